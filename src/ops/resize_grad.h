/* resize_grad.h - the weights of a resize, and what goes back through it. */
#ifndef OPS_RESIZE_GRAD_H
#define OPS_RESIZE_GRAD_H
#include "ops/op.h"

typedef struct resize_grad_attr { resize_attr resize; tg_shape shape; } resize_grad_attr;
tg *resize_grad(tg *dy, const resize_attr *resize, tg_shape shape);       /* shape: the resize's operand's */
/* Dense weights (to, from) of one axis, row i those of result i; to be freed.  NULL: out of memory. */
double *resize_weights(int64_t from, int64_t to, const resize_attr *o);

#endif
