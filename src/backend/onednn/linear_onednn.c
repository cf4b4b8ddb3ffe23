/* linear_onednn.c - x w' + bias as a matrix product of all rows. */
#include "onednn_product.h"

static const char *declines(const tg_call *c)
{
    const linear_attr *a = c->attr;
    if (c->precision == TG_BF16)
        return "exact";
    if (!tg_is_dense(&c->in[0]) || !tg_is_dense(&c->out))
        return "not dense";
    if (a->e.residual && !tg_is_dense(&c->in[2 + a->e.bias]))
        return "residual not dense";
    return dn_declines(c, &a->e);
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    const linear_attr *a = c->attr;
    tg_dense(&in[0]);
    if (a->e.residual)
        tg_dense(&in[2 + a->e.bias]);
    tg_dense(out);
}

static bool describe(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, dnnl_primitive_attr_t attr,
                     const tg_call *c)
{
    (void)c;
    return dn_matmul_desc(pd, x, w, bias, y, attr);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const linear_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    int64_t n = w->shape.dim[0], k = w->shape.dim[1], m = tg_numel(c->out.shape) / n;
    dn_view x = { 2, { m, k }, { k, 1 } }, y = { 2, { m, n }, { n, 1 } }, none = { 0 },
            bias = { 2, { 1, n }, { n, 1 } };
    dn_view weights = { 2, { k, n }, { w->stride[1], w->stride[0] } };
    return dn_prepare(c, &a->e, x, weights, a->e.bias ? bias : none, y, describe, prep);
}

static void run(const tg_call *c) { dn_run(c, &((const linear_attr *)c->attr)->e); }

const tg_kernel kernel_linear_onednn = {
    .op = "linear", .name = "onednn.linear", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .release = dn_release, .repack = true
};
