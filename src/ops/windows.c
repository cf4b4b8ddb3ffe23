/* windows.c - what max_pool and avg_pool share. */
#include "ops/windows.h"

/* torch's rule: with ceil, a last window that would start beyond the input and its first padding is dropped. */
static int64_t out_size(int64_t n, const pool_attr *o, int before, int after)
{
    int64_t room = n + before + after - o->k;
    if (room < 0)
        return 0;
    int64_t out = (room + (o->ceil ? o->stride - 1 : 0)) / o->stride + 1;
    return o->ceil && (out - 1) * o->stride >= n + before ? out - 1 : out;
}

tg_shape pool_shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const pool_attr *o = attr;
    (void)n_in;
    if (in[0].rank != 4 || o->k < 1 || o->stride < 1)
        return tg_reject(c, "window %d, stride %d of %s", o->k, o->stride, tg_str(in[0]));
    tg_shape s = in[0];
    s.dim[2] = out_size(in[0].dim[2], o, o->pad[0], o->pad[2]);
    s.dim[3] = out_size(in[0].dim[3], o, o->pad[1], o->pad[3]);
    if (s.dim[2] < 1 || s.dim[3] < 1)
        return tg_reject(c, "a window of %d does not fit in %s", o->k, tg_str(in[0]));
    return s;
}

void pool_describe(const void *attr, char *text, size_t size)
{
    const pool_attr *o = attr;
    snprintf(text, size, "%d stride %d pad %d %d %d %d%s", o->k, o->stride, o->pad[0], o->pad[1], o->pad[2], o->pad[3],
             o->ceil ? " ceil" : "");
}

tg *pool_apply(const tg_op *op, tg *x, tg_pool o)
{
    pool_attr a = { .k = o.k, .stride = o.stride ? o.stride : o.k, .ceil = o.ceil, .exclude_pad = o.exclude_pad };
    memcpy(a.pad, o.pad, sizeof a.pad);
    return tg_apply(op, &x, 1, &a);
}
