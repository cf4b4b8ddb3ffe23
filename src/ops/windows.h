/* windows.h - what max_pool and avg_pool share. */
#ifndef OPS_WINDOWS_H
#define OPS_WINDOWS_H
#include "ops/op.h"

tg_shape pool_shape(tg_check *c, const tg_shape *in, int n_in, const void *attr);
void pool_describe(const void *attr, char *text, size_t size);
tg *pool_apply(const tg_op *op, tg *x, tg_pool o);

#endif
