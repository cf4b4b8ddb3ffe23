/* fuse_expand.c - a 1x1 convolution and the depthwise one after it become one node, where what is between them is too large for
 * the cache: the kernel computes it a piece at a time. */
#include "base/cpu.h"
#include "ops/op.h"
#include "plan_in.h"

static const conv2d_attr *conv_of(const tg *x)
{
    const conv2d_attr *a = x->op == &op_conv2d ? x->attr : NULL;
    for (int k = 1; a && k < x->n_in; k++)
        if (!x->in[k]->constant)
            return NULL;
    return a && !a->e.residual ? a : NULL;
}

/* x expands, y = conv2d(x, ..) is depthwise, nobody else reads x, and an image of it is twice what a core's L2 holds. */
static bool fits(const tg *x, const tg *y)
{
    const conv2d_attr *e = conv_of(x), *d = conv_of(y);
    return e && d && x->mark == 1 && tg_dim(x->in[1], 2) == 1 && tg_dim(x->in[1], 3) == 1 && e->stride[0] == 1 && e->stride[1] == 1
           && !e->pad[0] && !e->pad[1] && !e->pad[2] && !e->pad[3] && e->groups == 1 && d->groups == tg_dim(x, 1)
           && tg_dim(y->in[1], 0) == d->groups && (size_t)tg_span(x->shape, 1, 4) * sizeof(float) > 2 * cpu()->l2;
}

static tg *fused(tg *y, const plan_opts *o)
{
    (void)o;
    tg *x = y->n_in ? y->in[0] : NULL, *in[6];
    int n = 0;
    if (!x || !fits(x, y))
        return NULL;
    expand_depthwise_attr a = { *conv_of(x), *conv_of(y) };
    for (int k = 0; k < x->n_in; k++)
        in[n++] = x->in[k];
    for (int k = 1; k < y->n_in; k++)
        in[n++] = y->in[k];
    tg_where(y->graph, y->where);
    return tg_apply(&op_expand_depthwise, in, n, &a);
}

bool plan_fuse_expand(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st)
{
    if (o->precision == TG_BF16)                        /* whose maps are half as large, and products so quick that it takes longer */
        return true;
    return plan_replace(g, outputs, n, fused, o, st);
}
