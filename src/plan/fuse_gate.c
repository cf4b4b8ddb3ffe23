/* fuse_gate.c - a map times a gate, a number an image and channel, and the convolution that alone reads the product become one node, where
 * the kernel of such a convolution takes it on its way, as it packs the map's rows or into its own weights: a pass over memory less.
 */
#include "ops/op.h"
#include "plan_in.h"

/* The operand of mul(x, gate) that is the gate; -1: neither is. */
static int gate_of(const tg *m)
{
    const tg_shape one = SHAPE(tg_dim(m, 0), tg_dim(m, 1), 1, 1);
    for (int k = 0; k < 2 && m->op == &op_mul && !tg_same(m->shape, one); k++)
        if (tg_same(m->in[k]->shape, one) && tg_same(m->in[1 - k]->shape, m->shape) && !m->in[0]->constant && !m->in[1]->constant)
            return k;
    return -1;
}

/* What by rule computes y, with these operands and attributes, of channels-last images; NULL: the definition. */
static const tg_kernel *kernel_of(const tg *y, tg *const *in, int n, const conv2d_attr *a, const plan_opts *o)
{
    tg_tensor t[6];
    tg_call call = { .op = y->op, .attr = a, .in = t, .n_in = n, .out = { .shape = y->shape }, .precision = o->precision, .slice = o->slice,
                     .batch = o->batch, .pool = o->pool };
    tg_channels_last(&call.out);
    for (int k = 0; k < n; k++) {
        t[k] = (tg_tensor){ .shape = in[k]->shape, .constant = in[k]->constant };
        if (in[k]->constant)
            tg_dense(&t[k]);
        else
            tg_channels_last(&t[k]);
    }
    for (int b = 0; o->backends[b]; b++)
        for (size_t i = 0; i < o->backends[b]->count; i++) {
            const tg_kernel *k = &o->backends[b]->kernels[i];
            if (!strcmp(k->op, y->op->name) && (!k->declines || !k->declines(&call)) && (!k->doubts || !k->doubts(&call)))
                return k;
        }
    return NULL;
}

static tg *fused(tg *y, const plan_opts *o)
{
    tg *m = y->op == &op_conv2d ? y->in[0] : NULL, *in[6];
    const int n = y->n_in, gate = m && m->mark == 1 && y->in[1]->constant ? gate_of(m) : -1;
    if (gate < 0)
        return NULL;
    conv2d_attr a = *(const conv2d_attr *)y->attr;
    a.e.gate = true;
    memcpy(in, y->in, (size_t)n * sizeof *in);
    in[0] = m->in[1 - gate];
    in[n] = m->in[gate];
    const tg_kernel *k = kernel_of(y, in, n + 1, &a, o);
    if (!k || k != kernel_of(y, y->in, n, y->attr, o))
        return NULL;
    tg_where(y->graph, y->where);
    return tg_apply(&op_conv2d, in, n + 1, &a);
}

bool plan_fuse_gate(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st)
{
    return plan_replace(g, outputs, n, fused, o, st);
}
