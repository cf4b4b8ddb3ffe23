/* plan_in.h - what the passes share. */
#ifndef PLAN_IN_H
#define PLAN_IN_H
#include "plan/plan.h"
#include "plan/tune.h"

/* rewrite.c: the outputs are replaced by equal ones over a smaller graph. */
bool plan_rewrite(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st);
/* What such a pass is made of: rule gives what stands for a node whose operands are replaced already and whose tg.mark counts its
 * users (two more for an output), or NULL: itself. */
bool plan_replace(tg_graph *g, tg **outputs, int n, tg *(*rule)(tg *y, const plan_opts *o), const plan_opts *o, status *st);
/* fuse_expand.c: likewise, 1x1 and depthwise convolutions that follow each other as one node. */
bool plan_fuse_expand(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st);
/* fuse_gate.c: likewise, convolutions of a map times a gate, where their kernel multiplies by it. */
bool plan_fuse_gate(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st);
/* fuse_shortcut.c: likewise, two 1x1 convolutions that are added. */
bool plan_fuse_shortcut(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st);
/* fuse_pointwise.c: likewise, chains of elementwise ops as one node. */
bool plan_fuse_pointwise(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st);
/* fuse_dots.c: likewise, sums a channel of such a chain and the chain after it, without its result. */
bool plan_fuse_dots(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st);

/* recompute.c: likewise, of a training plan, whose first output is the network's: cheap results once more for what comes after. */
bool plan_recompute(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st);

/* constants.c: the value of a constant node, dense and row-major; nothing in a sketch. */
typedef struct constant {
    const float *data;
    float *heap;                /* ours to free; NULL: borrowed */
    void *param;                /* to be told when done */
    bool temporary;
} constant;
bool constant_eval(const plan_opts *o, tg *x, constant *c, status *st);
void constant_done(const plan_opts *o, constant *c);

/* choose.c: finds the best kernel for a call and prepares it.  canonical: inputs may be laid out anew, in call->in and
 * call->out; the caller compares strides and inserts copies.  call->precision becomes single where that was measured, or is
 * by rule, faster than what was asked for. */
typedef struct choice { const tg_kernel *kernel; tg_precision precision; tg_prep prep; } choice;
bool choose_kernel(const plan_opts *o, tg_call *call, tg_tensor *in, bool canonical, const char *where, choice *c, status *st);
void plan_order_strides(tg_tensor *out, const tg_tensor *like);      /* dense, axes in like's order in memory */

/* memory.c: offsets of buffers that live over [first, last] steps, none overlapping another alive at the same time. */
typedef struct buffer {
    size_t bytes, offset;
    int first, last;
    int64_t image;              /* numbers of an image, where slices of a batch are gathered; 0: no such buffer */
} buffer;
size_t plan_memory(buffer *b, int n, status *st);                    /* the arena's size; SIZE_MAX: out of memory */

#endif
