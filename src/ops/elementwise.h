/* elementwise.h - what the elementwise ops share. */
#ifndef OPS_ELEMENTWISE_H
#define OPS_ELEMENTWISE_H
#include "ops/op.h"

tg_shape unary_shape(tg_check *c, const tg_shape *in, int n_in, const void *attr);
void unary_ref(const tg_call *c);                              /* applies c->op->scalar */
tg_shape broadcast_shape(tg_check *c, const tg_shape *in, int n_in, const void *attr);
void binary_ref(const tg_call *c, double (*f)(double a, double b));
/* dy summed over the axes along which `like` was broadcast. */
tg *unbroadcast(tg *dy, const tg *like);
/* t seen with that shape, repeated axes with stride 0. */
tg_tensor broadcast_to(const tg_tensor *t, tg_shape shape);

/* The result of a chain at index i; operands seen with the result's shape. */
double pointwise_at(const pointwise_attr *a, const tg_tensor *in, int n_in, const int64_t *i);
void pointwise_describe(const void *attr, char *text, size_t size);

#endif
