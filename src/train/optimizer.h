/* optimizer.h - timm's optimizers by name, over parameters as they lie in memory.
 *
 * One kind of rule a file (opt_adam.c, ...), one line a kind in optimizers.list; optimizer.c has the registry of names, options
 * and state.  A kind declares its options in a table, its state as slots, and one step over one parameter.
 * Counterpart: timm.optim.create_optimizer_v2.
 */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H
#include "base/status.h"
#include "base/threads.h"
#include "graph/graph.h"

/* What an optimizer sees of one parameter.  The caller owns all of it and sets lr and grad before each step. */
typedef struct optim_param {
    const char *name;
    tg_shape shape;
    float *value;
    const float *grad;
    const float *hessian;       /* adahessian only: this step's estimate of the Hessian's diagonal */
    double lr;                  /* of this step; the schedule's, lr_scale included */
    double weight_decay;        /* of its group */
    bool fallback;              /* muon leaves it to its fallback rule */
    const float *probe;         /* kron: this step's random numbers, of variance 1; NULL: drawn */
} optim_param;

/* An option as text, as --opt-kwargs gives it: "betas" "0.9,0.99"; "nesterov" "false"; "eps" "none". */
typedef struct optim_arg { const char *key, *value; } optim_arg;

/* State that a checkpoint must hold: data are `count` numbers of 4 (float), 8 (double) or 8 (int64_t) bytes. */
typedef enum optim_dtype { OPTIM_F32, OPTIM_F64, OPTIM_I64 } optim_dtype;
typedef struct optim_state {
    char name[200];             /* "fc.weight.exp_avg", "step" */
    optim_dtype dtype;
    int64_t count;
    void *data;
} optim_state;

typedef struct optimizer optimizer;

/* name: timm's, "lookahead_adamw" too.  lr: the base rate as constructed (what "corrected" kinds compare with); NAN: the
 * class's default.  param[] is borrowed and must outlive the optimizer.  NULL: see st (unknown name with the nearest one, an
 * option this name does not take, a value that makes no sense). */
optimizer *optimizer_new(const char *name, double lr, optim_param *param, int n, const optim_arg *arg, int args, pool *threads, status *st);
void optimizer_free(optimizer *o);
void optimizer_step(optimizer *o);                        /* allocates nothing */
double optimizer_default_lr(const char *name);            /* NAN: the class has none */
bool optimizer_wants_hessian(const char *name);           /* false for unknown names */
int optimizer_state(const optimizer *o, optim_state **state);   /* all of it; the array belongs to the optimizer */
/* Names in timm's order of list_optimizers; NULL-ended. */
const char *const *optimizer_names(void);
const char *optimizer_about(const char *name);            /* one line; NULL: no such name */

#endif
