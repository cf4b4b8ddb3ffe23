/* fuse_shortcut.c - where a block's shortcut is a 1x1 convolution, so that two of them are added, both become one product over the channels
 * of both: nothing is written between.  Where products have instructions of their own: else other kernels of 1x1 convolutions are as
 * fast.
 */
#include "ops/op.h"
#include "plan_in.h"

/* A 1x1 convolution without border whose operands but the images are constants; NULL: another. */
static const conv2d_attr *conv_of(const tg *x)
{
    const conv2d_attr *a = x->op == &op_conv2d ? x->attr : NULL;
    if (!a || tg_dim(x->in[1], 2) != 1 || tg_dim(x->in[1], 3) != 1 || a->groups != 1 || a->pad[0] || a->pad[1] || a->pad[2] || a->pad[3]
        || a->e.gate || !x->in[1]->constant || (a->e.bias && !x->in[2]->constant))
        return NULL;
    return a;
}

/* A row of the product is a pixel of near's image and its place in far's: in few pieces, all as long as the first. */
static bool suits(const tg *near, const tg *far)
{
    enum { SHORT = 32, MANY = 8 };
    const conv2d_attr *n = near->attr;
    const int64_t piece = tg_dim(near->in[0], 1), rest = tg_dim(far->in[0], 1);
    return n->stride[0] == 1 && n->stride[1] == 1 && piece >= SHORT && rest % piece == 0 && rest / piece <= MANY;
}

static tg *fused(tg *y, const plan_opts *o)
{
    (void)o;
    const conv2d_attr *a = conv_of(y), *b = NULL;
    tg *r = a && a->e.residual && !a->e.act_first && !y->in[0]->constant ? y->in[2 + a->e.bias] : NULL;
    if (!r || r->mark != 1 || r->constant || r->in[0]->constant || !(b = conv_of(r)) || b->e.residual || b->e.act)
        return NULL;
    const bool first = suits(y, r);
    if (!first && !suits(r, y))
        return NULL;
    const tg *near = first ? y : r, *far = first ? r : y;
    const conv2d_attr *n = near->attr, *f = far->attr;
    tg *in[5], *bias = n->e.bias && f->e.bias ? tg_add(near->in[2], far->in[2]) : n->e.bias ? near->in[2] : f->e.bias ? far->in[2] : NULL;
    int count = 0;
    conv2d_shortcut_attr s = { { f->stride[0], f->stride[1] }, a->e };
    s.e.bias = bias != NULL;
    s.e.residual = false;
    in[count++] = near->in[0];
    in[count++] = near->in[1];
    if (bias)
        in[count++] = bias;
    in[count++] = far->in[0];
    in[count++] = far->in[1];
    tg_where(y->graph, y->where);
    return tg_apply(&op_conv2d_shortcut, in, count, &s);
}

bool plan_fuse_shortcut(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st)
{
    return o->precision == TG_FP32 || plan_replace(g, outputs, n, fused, o, st);
}
