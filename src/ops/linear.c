/* linear.c - y[..., o] = sum over i of x[..., i] w[o, i]; then the epilogue. */
#include "ops/conv2d_grad.h"
#include "ops/product.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const linear_attr *o = attr;
    tg_shape s = in[0];
    if (n_in < 2 || s.rank < 1 || in[1].rank != 2 || s.dim[s.rank - 1] != in[1].dim[1])
        return tg_reject(c, "do not multiply");
    s.dim[s.rank - 1] = in[1].dim[0];
    if (o->e.gate)
        return tg_reject(c, "only images have gates");
    return epilogue_fits(c, &o->e, in, n_in, in[1].dim[0], s) ? s : (tg_shape){ 0 };
}

static void ref(const tg_call *c)
{
    const linear_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    int last = x->shape.rank - 1;
    int64_t n = x->shape.dim[last], i[TG_MAX_RANK] = { 0 };
    do {
        int64_t out = i[last], from = tg_offset(x, i) - out * x->stride[last];
        double sum = 0;
        for (int64_t k = 0; k < n; k++)
            sum += tg_get(x, from + k * x->stride[last]) * tg_get(w, out * w->stride[0] + k * w->stride[1]);
        tg_put(&c->out, tg_offset(&c->out, i), epilogue_of(c, &o->e, sum, out, i));
    } while (tg_next(c->out.shape, i));
}

/* Rows as the pixels of an image: a linear layer is a 1 x 1 convolution, whose weights' gradient has kernels of its own. */
static tg *as_image(tg *x)
{
    int last = tg_rank(x) - 1;
    int64_t c = tg_dim(x, last), n = tg_dim(x, 0), rows = last ? tg_numel(x->shape) / c : 1;
    tg_shape s = SHAPE(rows, 1, 1, c);
    if (last == 2 || last == 3)
        s = SHAPE(n, last == 3 ? tg_dim(x, 1) : 1, tg_dim(x, last - 1), c);
    return tg_permute(tg_reshape(x, s), (int[]){ 0, 3, 1, 2 });
}

static void grad(tg *y, tg *dy, tg **dx)
{
    static const conv2d_attr one = { .stride = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1 };
    tg *x = y->in[0], *w = y->in[1];
    int64_t in = tg_dim(x, -1), out = tg_dim(dy, -1), rows = tg_numel(x->shape) / in;
    dx[0] = tg_linear(dy, tg_permute(w, (int[]){ 1, 0 }), NULL);
    dx[1] = tg_reshape(conv2d_grad_weight(as_image(dy), as_image(x), &one, SHAPE(out, in, 1, 1)), w->shape);
    if (((const linear_attr *)tg_attr(y))->e.bias)
        dx[2] = tg_reshape(tg_sum(tg_reshape(dy, SHAPE(rows, out)), AXIS(0)), SHAPE(out));
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    (void)n_in, (void)attr;
    return tg_numel(out) * in[1].dim[1];
}

static void describe(const void *attr, char *text, size_t size) { epilogue_describe(&((const linear_attr *)attr)->e, text, size); }

static const tg_case cases[] = {
    { .in = { DIMS(3, 7), DIMS(5, 7) },               .attr = &(const linear_attr){ { 0 } } },
    { .in = { DIMS(2, 3, 16), DIMS(24, 16), DIMS(24) }, .attr = &(const linear_attr){ { .bias = true } } },
    { .in = { DIMS(2, 113, 16), DIMS(192, 16), DIMS(192) }, .attr = &(const linear_attr){ { .bias = true } }, .note = "halves", .kinked = true, .lo = -.3, .hi = .3 },
    { .in = { DIMS(1, 33, 32), DIMS(384, 32) },       .attr = &(const linear_attr){ { 0 } }, .note = "halves of few rows", .kinked = true, .lo = -.3, .hi = .3 },
    { .in = { DIMS(1, 33, 1026), DIMS(64, 1026) },   .attr = &(const linear_attr){ { 0 } }, .note = "halves of pieces", .kinked = true, .lo = -.3, .hi = .3 },
    { .in = { DIMS(2, 3), DIMS(5, 4) },               .attr = &(const linear_attr){ { 0 } }, .rejects = "do not multiply" },
    { .in = { DIMS(2, 3), DIMS(5, 3) },               .attr = &(const linear_attr){ { .gate = true } }, .rejects = "only images have gates" },
};

const tg_op op_linear = {
    "linear", .arity = 2, .optional = 2, .attr_size = sizeof(linear_attr), .shape = shape, .grad = grad, .ref = ref, .macs = macs,
    .describe = describe, TG_CASES(cases), .tol = 1e-5,
};

tg *tg_linear(tg *x, tg *w, tg *bias)
{
    return tg_apply(&op_linear, (tg *[]){ x, w, bias }, bias ? 3 : 2, &(linear_attr){ .e = { .bias = bias != NULL } });
}
