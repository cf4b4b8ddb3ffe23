/* conv2d_grad_weight.c - dw[o,c,k,l] = sum over n, i, j of dy[n,o,i,j] x[n, g C/G + c, i s + k d - pad, j s + l d - pad]:
 * the convolution's transpose in w.  dy (n,o,h',w'), x (n,c,h,w). */
#include "ops/conv2d_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const conv2d_grad_attr *a = attr;
    (void)n_in;
    tg_shape y = op_conv2d.shape(c, (tg_shape[]){ in[1], a->shape }, 2, &a->conv);
    return c->failed || tg_same(y, in[0]) ? a->shape : tg_reject(c, "dy is %s, not %s", tg_str(in[0]), tg_str(y));
}

static void ref(const tg_call *c)
{
    const conv2d_attr *o = &((const conv2d_grad_attr *)c->attr)->conv;
    const tg_tensor *dy = &c->in[0], *x = &c->in[1];
    int64_t per_in = c->out.shape.dim[1], per_out = c->out.shape.dim[0] / o->groups, i[TG_MAX_RANK] = { 0 };
    do {
        int64_t channel = i[0] / per_out * per_in + i[1];
        double sum = 0;
        for (int64_t n = 0; n < dy->shape.dim[0]; n++)
            for (int64_t r = 0; r < dy->shape.dim[2]; r++)
                for (int64_t q = 0; q < dy->shape.dim[3]; q++) {
                    int64_t row = r * o->stride[0] + i[2] * o->dilation[0] - o->pad[0];
                    int64_t col = q * o->stride[1] + i[3] * o->dilation[1] - o->pad[1];
                    if (row >= 0 && row < x->shape.dim[2] && col >= 0 && col < x->shape.dim[3])
                        sum += tg_get(dy, tg_offset(dy, (int64_t[]){ n, i[0], r, q }))
                               * tg_get(x, tg_offset(x, (int64_t[]){ n, channel, row, col }));
                }
        tg_put(&c->out, tg_offset(&c->out, i), sum);
    } while (tg_next(c->out.shape, i));
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const conv2d_grad_attr *a = tg_attr(y);
    dx[0] = tg_apply(&op_conv2d, (tg *[]){ y->in[1], dy }, 2, &a->conv);
    dx[1] = conv2d_grad_input(y->in[0], dy, &a->conv, y->in[1]->shape);
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    (void)n_in, (void)attr;
    return tg_numel(in[0]) * tg_span(out, 1, 4);
}

#define CONV(...) .attr = &(const conv2d_grad_attr){ __VA_ARGS__ }
static const tg_case cases[] = {
    { .in = { DIMS(2, 8, 8, 7), DIMS(2, 6, 8, 7) },
      CONV({ { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(8, 6, 3, 3)) },
    { .in = { DIMS(1, 4, 4, 4), DIMS(1, 3, 8, 8) },
      CONV({ { 2, 2 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(4, 3, 3, 3)) },
    { .in = { DIMS(1, 8, 5, 5), DIMS(1, 8, 10, 10) },
      CONV({ { 2, 2 }, { 1, 1, 2, 2 }, { 1, 1 }, 8, { 0 } }, DIMS(8, 1, 5, 5)), .note = "depthwise" },
    { .in = { DIMS(1, 6, 7, 7), DIMS(1, 4, 7, 7) },
      CONV({ { 1, 1 }, { 2, 2, 2, 2 }, { 2, 2 }, 2, { 0 } }, DIMS(6, 2, 3, 3)), .note = "grouped, dilated" },
    { .in = { DIMS(2, 12, 7, 8), DIMS(2, 8, 7, 8) },
      CONV({ { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 2, { 0 } }, DIMS(12, 4, 3, 3)), .note = "grouped" },
    { .in = { DIMS(1, 32, 6, 5), DIMS(1, 32, 11, 10) },
      CONV({ { 2, 2 }, { 1, 1, 1, 1 }, { 1, 1 }, 4, { 0 } }, DIMS(32, 8, 3, 3)), .note = "grouped, of stride 2" },
    { .in = { DIMS(2, 19, 9, 11), DIMS(2, 19, 9, 11) },
      CONV({ { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 19, { 0 } }, DIMS(19, 1, 3, 3)), .note = "depthwise" },
    { .in = { DIMS(1, 67, 24, 25), DIMS(1, 67, 47, 50) },
      CONV({ { 2, 2 }, { 0, 1, 2, 2 }, { 1, 1 }, 67, { 0 } }, DIMS(67, 1, 3, 5)), .note = "depthwise, in lots" },
    { .in = { DIMS(1, 9, 8, 8), DIMS(1, 9, 8, 8) },
      CONV({ { 1, 1 }, { 2, 2, 2, 2 }, { 2, 2 }, 9, { 0 } }, DIMS(9, 1, 3, 3)), .note = "depthwise, dilated" },
    { .in = { DIMS(2, 34, 20, 18), DIMS(2, 20, 20, 18) },
      CONV({ { 1, 1 }, { 2, 2, 2, 2 }, { 1, 1 }, 1, { 0 } }, DIMS(34, 20, 5, 5)), .note = "5x5, borders shared" },
    { .in = { DIMS(3, 7, 6, 7), DIMS(3, 3, 12, 13) },
      CONV({ { 2, 2 }, { 3, 3, 3, 3 }, { 1, 1 }, 1, { 0 } }, DIMS(7, 3, 7, 7)), .note = "few channels" },
    { .in = { DIMS(2, 5, 28, 30), DIMS(2, 26, 28, 30) },
      CONV({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(5, 26, 1, 1)), .note = "1x1, many pixels" },
    { .in = { DIMS(3, 19, 29, 31), DIMS(3, 37, 29, 31) },
      CONV({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(19, 37, 1, 1)), .note = "1x1, pixels in lots", .kinked = true },
    { .in = { DIMS(2, 34, 23, 22), DIMS(2, 64, 23, 22) },
      CONV({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(34, 64, 1, 1)), .note = "halves, pixels in lots", .kinked = true },
    { .in = { DIMS(1, 206, 2, 3), DIMS(1, 64, 2, 3) },
      CONV({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(206, 64, 1, 1)), .note = "halves, channels in blocks", .kinked = true },
    { .in = { DIMS(3, 4, 3, 4), DIMS(3, 18, 6, 7) },
      CONV({ { 2, 2 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(4, 18, 1, 1)), .note = "1x1 of stride 2" },
    { .in = { DIMS(1, 3, 13, 70), DIMS(1, 17, 25, 139) },
      CONV({ { 2, 2 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(3, 17, 3, 3)), .note = "rows in lots" },
    { .in = { DIMS(3, 35, 26, 25), DIMS(3, 42, 26, 25) },
      CONV({ { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(35, 42, 3, 3)), .note = "tiles in lots", .kinked = true },
    { .in = { DIMS(2, 40, 21, 23), DIMS(2, 33, 21, 25) },
      CONV({ { 1, 1 }, { 2, 0, 0, 0 }, { 1, 1 }, 1, { 0 } }, DIMS(40, 33, 3, 3)), .note = "tiles, padded on one side", .kinked = true },
    { .in = { DIMS(1, 6, 7, 7), DIMS(1, 4, 7, 7) }, CONV({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(6, 4, 3, 3)),
      .rejects = "dy is (1, 6, 7, 7), not (1, 6, 5, 5)" },
};

const tg_op op_conv2d_grad_weight = {
    "conv2d_grad_weight", .arity = 2, .attr_size = sizeof(conv2d_grad_attr), .shape = shape, .grad = grad, .ref = ref,
    .macs = macs, .describe = conv2d_grad_describe, TG_CASES(cases), .tol = 1e-5,
};

tg *conv2d_grad_weight(tg *dy, tg *x, const conv2d_attr *conv, tg_shape s)
{
    return tg_apply(&op_conv2d_grad_weight, (tg *[]){ dy, x }, 2, &(conv2d_grad_attr){ *conv, s });
}
