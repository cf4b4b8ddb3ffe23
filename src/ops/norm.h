/* norm.h - what layer_norm, rms_norm, group_norm and batch_norm share. */
#ifndef OPS_NORM_H
#define OPS_NORM_H
#include "ops/op.h"

/* Weight and bias are (n); more operands may follow. */
bool norm_fits(tg_check *c, const norm_attr *o, const tg_shape *in, int n_in, int64_t n, int more);
tg_shape norm_along_axis(tg_check *c, const tg_shape *in, int n_in, const void *attr);       /* layer_norm, rms_norm */
double norm_weight(const tg_call *c, const norm_attr *o, int64_t k);      /* 1 without */
double norm_bias(const tg_call *c, const norm_attr *o, int64_t k);        /* 0 without */
void norm_describe(const void *attr, char *text, size_t size);
tg *norm_apply(const tg_op *op, tg *x, tg *weight, tg *bias, tg *mean, tg *var, norm_attr o);
/* A vector over one axis, shaped to broadcast over x. */
tg *norm_along(tg *v, const tg *x, int axis);
/* All gradients of y = layer_norm(x, weight, bias), as one node; and of group_norm. */
void tg_layer_norm_grad(tg *y, tg *dy, tg **dx);
void tg_group_norm_grad(tg *y, tg *dy, tg **dx);
/* Of such a node, whose operands are x, dy and the weight, if any. */
tg_shape norm_grad_shape(tg_check *c, const norm_attr *o, const tg_shape *in, int n_in, int axis);
/* The node, flat: the gradient of x with axis last, then those of weight and bias; as dx of y = norm(x, weight, bias). */
void norm_split_grad(tg *flat, const tg *y, int axis, tg **dx);
/* The same made of nodes: dx as x lies, dweight, dbias or NULL. */
tg *norm_join_grad(tg *dx, tg *dweight, tg *dbias, int axis);
/* dweight and dbias of y = xhat weight + bias along an axis; returns dy weight. */
tg *norm_affine_grad(tg *y, tg *dy, tg *xhat, int axis, tg **dx);

#endif
