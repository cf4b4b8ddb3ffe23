/* reduce.c - what sum, mean and amax share. */
#include "ops/reduce.h"

tg_shape reduce_shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    unsigned axes = ((const axes_attr *)attr)->axes;
    tg_shape out = in[0];
    (void)n_in;
    for (int i = 0; i < 32; i++)
        if (axes >> i & 1) {
            if (i >= out.rank)
                return tg_reject(c, "axis %d of %s", i, tg_str(in[0]));
            out.dim[i] = 1;
        }
    return out;
}

void reduce_split(const tg_call *c, tg_tensor *from, tg_tensor *part)
{
    unsigned axes = ((const axes_attr *)c->attr)->axes;
    *from = *part = c->in[0];
    from->shape = c->out.shape;
    for (int i = 0; i < part->shape.rank; i++)
        if (!(axes >> i & 1))
            part->shape.dim[i] = 1;
}

void reduce_describe(const void *attr, char *text, size_t size)
{
    unsigned axes = ((const axes_attr *)attr)->axes;
    size_t at = 0;
    for (int i = 0; i < TG_MAX_RANK && at < size; i++)
        if (axes >> i & 1)
            at += (size_t)snprintf(text + at, size - at, at ? ",%d" : "axes %d", i);
}
