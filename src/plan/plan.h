/* plan.h - from a graph to a flat list of kernel calls over one arena.
 *
 * Passes: fold and fuse (rewrite.c, fuse_expand.c, fuse_gate.c, fuse_shortcut.c, fuse_pointwise.c), what training computes twice (recompute.c), strides, kernels
 * and bfloat16 in memory (plan.c, choose.c), constants (constants.c), memory (memory.c).
 * A plan is for one set of shapes, or of stretches of a batch for so many images each.  It keeps what it needs of the weights; the graph may go when the plan is made.
 */
#ifndef PLAN_H
#define PLAN_H
#include "backend/backend.h"
#include "graph/graph.h"

/* How a plan gets at parameters: nn_fetch and nn_done fit. */
typedef struct plan_source {
    const float *(*fetch)(void *param, bool *temporary);             /* dense; NULL: failed, with a status */
    void (*done)(void *param, const float *value, bool temporary);
} plan_source;

/* Each may be left out, and the results stay the same but for rounding.  Fewer: kernels of fewer multiplications than the definition's. */
typedef enum plan_pass {
    PASS_FUSE, PASS_EXPAND, PASS_GATE, PASS_SHORTCUT, PASS_POINTWISE, PASS_DOTS, PASS_RECOMPUTE, PASS_NARROW, PASS_INPLACE, PASS_SLICES, PASS_FEWER, PLAN_PASSES
} plan_pass;
extern const char *const plan_passes[PLAN_PASSES];           /* "fuse", ... */
/* Bits of names with commas or blanks between, NULL: none.  False: no such name, with a status that names all. */
bool plan_without(const char *names, unsigned *without, status *st);

typedef struct plan_opts {
    const tg_backend *const *backends;  /* best first, NULL-ended */
    struct pool *pool;
    plan_source source;
    tg_precision precision;             /* of products */
    int64_t batch;                      /* images in all, where stretches run some at a time (plan_make_of) */
    int64_t slice;                      /* as tg_call's: kernels by rule are those of the batch, whatever the slices; the plan's own */
    unsigned without;                   /* bits of plan_pass: those left out */
    struct tune *tune;                  /* choices by measurement (tune.h); NULL: by rule */
    bool sketch;                        /* steps, work and memory only: no constant is computed or packed, and it cannot run */
    int verbose;                        /* 2: which kernel won each node and why others declined, on stderr */
} plan_opts;

typedef struct plan_step {
    tg_call call;
    tg_tensor *in;
    const tg_kernel *kernel;            /* NULL: the definition */
    const char *where;
    tg_shape shape;                     /* of the result */
    size_t state_bytes;
    int64_t macs;                       /* of a slice */
    int64_t slices;                     /* in a run */
    double seconds;                     /* summed over profiled runs */
} plan_step;

typedef struct plan plan;

extern const char *const plan_precisions[TG_PRECISIONS];     /* "fp32", ... */
/* By name, NULL or "": fp32.  False: no such name, with a status that names all. */
bool plan_precision(const char *name, tg_precision *p, status *st);
/* What a plan for p is of: one that no kernel has instructions for is single, as any kernel may be more exact than it has to. */
tg_precision plan_possible(const tg_backend *const *backends, tg_precision p);

plan *plan_make(tg_graph *g, tg *const *outputs, int n_outputs, const plan_opts *o, status *st);   /* NULL: see st */

/* Consecutive layers that compute some images of a batch at a time: where maps are large, few of them keep to the cache; where they are
 * small, many use each weight that is read.  As many images as the stretch with most of them takes go through all stretches before
 * others do.  Every value's first axis is that of the images, and what lies between two stretches is one value. */
typedef struct plan_stretch {
    tg_graph *graph;                    /* for `images` of them; all but the first one's begins with an input leaf, what was left */
    tg *const *outputs;                 /* of the last: the plan's; of others: what is left for the next */
    int n_outputs;
    int64_t images;                     /* 0: one stretch, of all there is */
} plan_stretch;
plan *plan_make_of(const plan_stretch *s, int n, const plan_opts *o, status *st);
void plan_free(plan *p);
/* inputs[i]: dense data of input number i.  No allocation. */
void plan_run(plan *p, const float *const *inputs);
/* Part of a run: from where output `after` was there (-1: the start) until output `until` is (-1: the end).  The parts of a
 * run come in order; inputs that only later parts read may be NULL until then. */
void plan_run_part(plan *p, const float *const *inputs, int after, int until);
const tg_tensor *plan_output(const plan *p, int i);        /* dense, row-major; valid until the next run */

typedef struct plan_stretch_told {
    int first, last;                    /* its steps: from first up to, not including, last */
    int64_t images;
    size_t bytes, weight_bytes;         /* of the arena, most at once; of constants as they come */
    double seconds;                     /* its steps' */
} plan_stretch_told;
int plan_stretches(const plan *p);
plan_stretch_told plan_stretch_tell(const plan *p, int k);
int plan_steps(const plan *p, const plan_step **steps);
void plan_profile(plan *p, bool on);                       /* sum the time of each step from now on */
int plan_nodes(const plan *p);                              /* of the graph after its passes, leaves and constants included */
int64_t plan_macs(const plan *p);
int64_t plan_activations(const plan *p);
size_t plan_arena_bytes(const plan *p);
size_t plan_state_bytes(const plan *p);                    /* packed weights and other prepared state */
void plan_print(FILE *f, const plan *p);

#endif
