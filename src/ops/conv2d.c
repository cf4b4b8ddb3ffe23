/* conv2d.c - y[n,o,i,j] = sum over c,k,l of w[o,c,k,l] x[n, g C/G + c, i s + k d - pad, j s + l d - pad], g the group of o;
 * then the epilogue.  x (n,c,h,w), w (o,c/groups,kh,kw).  Gated, of x times its last operand, (n,c,1,1) (plan/fuse_gate.c). */
#include "ops/conv2d_grad.h"
#include "ops/product.h"

static int64_t out_size(int64_t n, int64_t k, int stride, int dilation, int before, int after)
{
    int64_t room = n + before + after - dilation * (k - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const conv2d_attr *o = attr;
    if (n_in < 2 || in[0].rank != 4 || in[1].rank != 4)
        return tg_reject(c, "an image (n, c, h, w) and weights (o, c / groups, kh, kw) are needed");
    const int64_t *x = in[0].dim, *w = in[1].dim;
    if (o->groups < 1 || o->stride[0] < 1 || o->stride[1] < 1 || o->dilation[0] < 1 || o->dilation[1] < 1)
        return tg_reject(c, "groups %d, stride %d %d, dilation %d %d", o->groups, o->stride[0], o->stride[1], o->dilation[0],
                         o->dilation[1]);
    if (x[1] != w[1] * o->groups || w[0] % o->groups)
        return tg_reject(c, "%lld channels, %d groups, weights %s", (long long)x[1], o->groups, tg_str(in[1]));
    tg_shape s = SHAPE(x[0], w[0], out_size(x[2], w[2], o->stride[0], o->dilation[0], o->pad[0], o->pad[2]),
                       out_size(x[3], w[3], o->stride[1], o->dilation[1], o->pad[1], o->pad[3]));
    if (s.dim[2] < 1 || s.dim[3] < 1)
        return tg_reject(c, "a %lld x %lld kernel does not fit in %lld x %lld", (long long)w[2], (long long)w[3], (long long)x[2],
                         (long long)x[3]);
    if (!epilogue_fits(c, &o->e, in, n_in, w[0], s))
        return (tg_shape){ 0 };
    const tg_shape gate = SHAPE(x[0], x[1], 1, 1);
    if (o->e.gate && !tg_same(in[n_in - 1], gate))
        return tg_reject(c, "the gate is %s, not %s", tg_str(in[n_in - 1]), tg_str(gate));
    return s;
}

static double window(const tg_call *c, const conv2d_attr *o, const int64_t *i)
{
    const tg_tensor *x = &c->in[0], *w = &c->in[1], *gate = o->e.gate ? &c->in[c->n_in - 1] : NULL;
    int64_t cg = w->shape.dim[1], group = i[1] / (w->shape.dim[0] / o->groups);
    const int64_t by = gate ? i[0] * gate->stride[0] + group * cg * gate->stride[1] : 0;
    double sum = 0;
    for (int64_t k = 0; k < w->shape.dim[2]; k++) {
        int64_t row = i[2] * o->stride[0] + k * o->dilation[0] - o->pad[0];
        if (row < 0 || row >= x->shape.dim[2])
            continue;
        for (int64_t l = 0; l < w->shape.dim[3]; l++) {
            int64_t col = i[3] * o->stride[1] + l * o->dilation[1] - o->pad[1];
            if (col < 0 || col >= x->shape.dim[3])
                continue;
            int64_t from = i[0] * x->stride[0] + group * cg * x->stride[1] + row * x->stride[2] + col * x->stride[3];
            int64_t weight = i[1] * w->stride[0] + k * w->stride[2] + l * w->stride[3];
            for (int64_t m = 0; m < cg; m++)
                sum += tg_get(x, from + m * x->stride[1]) * (gate ? tg_get(gate, by + m * gate->stride[1]) : 1)
                       * tg_get(w, weight + m * w->stride[1]);
        }
    }
    return sum;
}

static void ref(const tg_call *c)
{
    const conv2d_attr *o = c->attr;
    int64_t i[TG_MAX_RANK] = { 0 };
    do
        tg_put(&c->out, tg_offset(&c->out, i), epilogue_of(c, &o->e, window(c, o, i), i[1], i));
    while (tg_next(c->out.shape, i));
}

/* Of the bare convolution: fusion comes after differentiation. */
static void grad(tg *y, tg *dy, tg **dx)
{
    conv2d_attr a = *(const conv2d_attr *)tg_attr(y);
    tg *x = y->in[0], *gate = a.e.gate ? y->in[y->n_in - 1] : NULL;
    bool bias = a.e.bias;
    if (a.e.act || a.e.residual) {
        dx[0] = tg_poison(y->graph, TIMM_INTERNAL, "conv2d in %s is differentiated after fusion", y->where);
        return;
    }
    a.e = (epilogue){ 0 };
    dx[0] = conv2d_grad_input(dy, y->in[1], &a, x->shape);
    dx[1] = conv2d_grad_weight(dy, gate ? tg_mul(x, gate) : x, &a, y->in[1]->shape);
    if (bias)
        dx[2] = tg_reshape(tg_sum(dy, AXIS(0) | AXIS(2) | AXIS(3)), SHAPE(tg_dim(y, 1)));
    if (gate) {
        dx[y->n_in - 1] = tg_sum(tg_mul(dx[0], x), AXIS(2) | AXIS(3));
        dx[0] = tg_mul(dx[0], gate);
    }
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    (void)n_in, (void)attr;
    return tg_numel(out) * tg_span(in[1], 1, 4);
}

static void describe(const void *attr, char *text, size_t size)
{
    const conv2d_attr *o = attr;
    int n = snprintf(text, size, "stride %d pad %d %d %d %d dilation %d groups %d", o->stride[0], o->pad[0], o->pad[1], o->pad[2],
                     o->pad[3], o->dilation[0], o->groups);
    if (n > 0 && (size_t)n < size)
        epilogue_describe(&o->e, text + n, size - (size_t)n);
}

#define CONV(...) .attr = &(const conv2d_attr){ __VA_ARGS__ }
static const tg_case cases[] = {
    { .in = { DIMS(2, 6, 8, 7), DIMS(8, 6, 3, 3) }, CONV({ 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 }) },
    { .in = { DIMS(1, 3, 15, 14), DIMS(16, 3, 7, 7), DIMS(16) }, CONV({ 2, 2 }, { 3, 3, 3, 3 }, { 1, 1 }, 1, { .bias = true }) },
    { .in = { DIMS(2, 16, 5, 6), DIMS(24, 16, 1, 1) }, CONV({ 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 }) },
    { .in = { DIMS(2, 8, 9, 9), DIMS(8, 1, 5, 5) }, CONV({ 2, 2 }, { 1, 1, 2, 2 }, { 1, 1 }, 8, { 0 }), .note = "depthwise, SAME" },
    { .in = { DIMS(1, 8, 9, 9), DIMS(12, 2, 3, 3) }, CONV({ 1, 1 }, { 2, 2, 2, 2 }, { 2, 2 }, 4, { 0 }), .note = "grouped, dilated" },
    { .in = { DIMS(1, 16, 3, 11), DIMS(16, 4, 3, 3), DIMS(16) }, CONV({ 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 4, { .bias = true }), .note = "groups of four" },
    { .in = { DIMS(1, 16, 3, 20), DIMS(16, 8, 2, 3) }, CONV({ 2, 2 }, { 1, 1, 0, 1 }, { 1, 1 }, 2, { 0 }), .note = "groups of eight" },
    { .in = { DIMS(1, 32, 2, 7), DIMS(32, 16, 1, 2) }, CONV({ 1, 1 }, { 0, 2, 0, 2 }, { 1, 2 }, 2, { 0 }), .note = "groups of sixteen" },
    { .in = { DIMS(3, 64, 5, 6), DIMS(64, 4, 3, 3), DIMS(64) },
      CONV({ 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 16, { .bias = true }), .note = "groups of whole slabs" },
    { .in = { DIMS(2, 96, 7, 6), DIMS(96, 24, 3, 3) },
      CONV({ 2, 2 }, { 1, 1, 1, 1 }, { 1, 1 }, 4, { 0 }), .note = "groups across slabs, strided" },
    { .in = { DIMS(1, 80, 4, 5), DIMS(120, 40, 3, 3) },
      CONV({ 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 2, { 0 }), .note = "wide groups", .lo = -.3, .hi = .3 },
    { .in = { DIMS(2, 128, 5, 4), DIMS(192, 64, 3, 3) },
      CONV({ 2, 1 }, { 1, 0, 2, 1 }, { 1, 1 }, 2, { 0 }), .note = "wide groups, strided", .lo = -.3, .hi = .3 },
    { .in = { DIMS(1, 21, 9, 7), DIMS(35, 3, 5, 4) },
      CONV({ 3, 2 }, { 0, 3, 4, 1 }, { 2, 3 }, 7, { 0 }), .note = "groups, strided and dilated" },
    { .in = { DIMS(2, 12, 3, 4), DIMS(20, 6, 1, 1) }, CONV({ 2, 2 }, { 0 }, { 1, 1 }, 2, { 0 }), .note = "groups, one tap, strided" },
    { .in = { DIMS(1, 3, 8, 8), DIMS(5, 3, 4, 4) }, CONV({ 4, 4 }, { 0 }, { 1, 1 }, 1, { 0 }), .note = "patches" },
    { .in = { DIMS(2, 3, 13, 37), DIMS(7, 3, 3, 5), DIMS(7) }, CONV({ 2, 1 }, { 0, 2, 3, 1 }, { 2, 1 }, 1, { .bias = true }),
      .note = "few channels, rows apart" },
    { .in = { DIMS(1, 3, 23, 40), DIMS(34, 3, 2, 3) }, CONV({ 3, 2 }, { 4, 1, 2, 0 }, { 2, 1 }, 1, { 0 }), .note = "few channels, a wide border" },
    { .in = { DIMS(3, 3, 23, 70), DIMS(34, 3, 2, 3) }, CONV({ 3, 2 }, { 2, 1, 2, 0 }, { 2, 1 }, 1, { 0 }), .note = "few channels, no row twice" },
    { .in = { DIMS(1, 4, 17, 16), DIMS(9, 4, 5, 4) }, CONV({ 7, 5 }, { 2, 0, 0, 3 }, { 1, 1 }, 1, { 0 }), .note = "few channels, pixels between" },
    { .in = { DIMS(2, 16, 9, 32), DIMS(8, 16, 3, 3), DIMS(8) }, CONV({ 2, 2 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { .bias = true }),
      .note = "few filters" },
    { .in = { DIMS(1, 32, 5, 6), DIMS(36, 32, 3, 3) }, CONV({ 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 }), .lo = -.3, .hi = .3,
      .note = "many channels" },
    { .in = { DIMS(3, 40, 5, 3), DIMS(24, 40, 1, 1), DIMS(24), DIMS(3, 40, 1, 1) },
      CONV({ 1, 1 }, { 0 }, { 1, 1 }, 1, { .bias = true, .gate = true }), .note = "gated" },
    { .in = { DIMS(2, 6, 7, 6), DIMS(4, 3, 3, 2), DIMS(2, 6, 1, 1) }, CONV({ 2, 1 }, { 1, 1, 0, 1 }, { 1, 1 }, 2, { .gate = true }),
      .note = "gated, in groups" },
    { .in = { DIMS(2, 34, 5, 7), DIMS(128, 34, 1, 1), DIMS(128) }, CONV({ 1, 1 }, { 0 }, { 1, 1 }, 1, { .bias = true }), .note = "halves", .kinked = true, .lo = -.3, .hi = .3 },
    { .in = { DIMS(2, 30, 13, 11), DIMS(192, 30, 1, 1) }, CONV({ 3, 2 }, { 1, 0, 1, 2 }, { 1, 1 }, 1, { 0 }), .note = "halves, strided and padded", .kinked = true, .lo = -.3, .hi = .3 },
    { .in = { DIMS(2, 6, 4, 4), DIMS(5, 6, 1, 1), DIMS(1, 6, 1, 1) }, CONV({ 1, 1 }, { 0 }, { 1, 1 }, 1, { .gate = true }),
      .rejects = "the gate is (1, 6, 1, 1), not (2, 6, 1, 1)" },
    { .in = { DIMS(1, 6, 4, 4), DIMS(5, 6, 1, 1) }, CONV({ 1, 1 }, { 0 }, { 1, 1 }, 1, { .gate = true }), .rejects = "2 operands, not 3" },
    { .in = { DIMS(1, 6, 4, 4), DIMS(5, 4, 1, 1) }, CONV({ 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 }),
      .rejects = "6 channels, 1 groups, weights (5, 4, 1, 1)" },
    { .in = { DIMS(1, 6, 2, 2), DIMS(5, 6, 3, 3) }, CONV({ 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 }),
      .rejects = "a 3 x 3 kernel does not fit in 2 x 2" },
};

const tg_op op_conv2d = {
    "conv2d", .arity = 2, .optional = 3, .attr_size = sizeof(conv2d_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad, .ref = ref,
    .macs = macs, .describe = describe, TG_CASES(cases), .tol = 1e-5,
};

tg *tg_conv2d(tg *x, tg *w, tg *bias, tg_conv o)
{
    int s = o.stride ? o.stride : 1, d = o.dilation ? o.dilation : 1;
    conv2d_attr a = { .stride = { s, s }, .dilation = { d, d }, .groups = o.groups ? o.groups : 1, .e = { .bias = bias != NULL } };
    memcpy(a.pad, o.pad, sizeof a.pad);
    return tg_apply(&op_conv2d, (tg *[]){ x, w, bias }, bias ? 3 : 2, &a);
}
