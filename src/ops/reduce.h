/* reduce.h - what sum, mean and amax share. */
#ifndef OPS_REDUCE_H
#define OPS_REDUCE_H
#include "ops/op.h"

tg_shape reduce_shape(tg_check *c, const tg_shape *in, int n_in, const void *attr);
/* x as two tensors whose offsets add: `from` of the result's shape, `part` of the reduced axes. */
void reduce_split(const tg_call *c, tg_tensor *from, tg_tensor *part);
void reduce_describe(const void *attr, char *text, size_t size);

#endif
