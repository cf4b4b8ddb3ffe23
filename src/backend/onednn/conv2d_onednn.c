/* conv2d_onednn.c - convolution, channels-last in and out, weights in the layout oneDNN chooses. */
#include "onednn_product.h"

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    if (c->precision == TG_BF16 && a->groups == 1)
        return "exact";
    if (dn_wide_border(a, c->in[1].shape.dim[2], c->in[1].shape.dim[3]))
        return "a border wider than the kernel";
    if (!tg_is_channels_last(&c->in[0]) || !tg_is_channels_last(&c->out))
        return "not channels-last";
    if (a->e.residual && !tg_is_channels_last(&c->in[2 + a->e.bias]))
        return "residual not channels-last";
    return dn_declines(c, &a->e);
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    const conv2d_attr *a = c->attr;
    tg_channels_last(&in[0]);
    if (a->e.residual)
        tg_channels_last(&in[2 + a->e.bias]);
    tg_channels_last(out);
}

static dn_view image(const tg_tensor *t)
{
    dn_view v = { .rank = 4 };
    tg_tensor as = *t;
    tg_channels_last(&as);                  /* strides of size-1 axes as oneDNN expects them */
    for (int i = 0; i < 4; i++) {
        v.dim[i] = as.shape.dim[i];
        v.stride[i] = as.stride[i];
    }
    return v;
}

static bool describe(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, dnnl_primitive_attr_t attr,
                     const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    int64_t stride[2] = { a->stride[0], a->stride[1] }, dilation[2] = { a->dilation[0] - 1, a->dilation[1] - 1 };
    int64_t before[2] = { a->pad[0], a->pad[1] }, after[2] = { a->pad[2], a->pad[3] };
    return dn_conv_desc(pd, x, w, bias, y, stride, dilation, before, after, attr);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *t = &c->in[1];
    const int64_t g = a->groups;
    dn_view w = { 4, { t->shape.dim[0], t->shape.dim[1], t->shape.dim[2], t->shape.dim[3] },
                  { t->stride[0], t->stride[1], t->stride[2], t->stride[3] } };
    if (g > 1)
        w = (dn_view){ 5, { g, t->shape.dim[0] / g, t->shape.dim[1], t->shape.dim[2], t->shape.dim[3] },
                       { t->shape.dim[0] / g * t->stride[0], t->stride[0], t->stride[1], t->stride[2], t->stride[3] } };
    dn_view bias = { a->e.bias ? 1 : 0, { t->shape.dim[0] }, { 1 } };
    return dn_prepare(c, &a->e, image(&c->in[0]), w, bias, image(&c->out), describe, prep);
}

static void run(const tg_call *c) { dn_run(c, &((const conv2d_attr *)c->attr)->e); }

const tg_kernel kernel_conv2d_onednn = {
    .op = "conv2d", .name = "onednn.conv2d", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .release = dn_release, .repack = true
};
