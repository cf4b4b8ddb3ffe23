/* conv2d_grad_input.c - dx[n,c,r,q] = sum of dy[n,o,i,j] w[o,c,k,l] over all o, i, j, k, l with i s + k d - pad = r and so on:
 * the convolution's transpose in x.  dy (n,o,h',w'), w (o,c/groups,kh,kw). */
#include "ops/conv2d_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const conv2d_grad_attr *a = attr;
    (void)n_in;
    tg_shape y = op_conv2d.shape(c, (tg_shape[]){ a->shape, in[1] }, 2, &a->conv);
    return c->failed || tg_same(y, in[0]) ? a->shape : tg_reject(c, "dy is %s, not %s", tg_str(in[0]), tg_str(y));
}

static void ref(const tg_call *c)
{
    const conv2d_grad_attr *a = c->attr;
    const conv2d_attr *o = &a->conv;
    const tg_tensor *dy = &c->in[0], *w = &c->in[1];
    int64_t per_in = w->shape.dim[1], per_out = w->shape.dim[0] / o->groups, i[TG_MAX_RANK] = { 0 };
    do {
        int64_t group = i[1] / per_in;
        double sum = 0;
        for (int64_t k = 0; k < w->shape.dim[2]; k++)
            for (int64_t l = 0; l < w->shape.dim[3]; l++) {
                int64_t r = i[2] + o->pad[0] - k * o->dilation[0], q = i[3] + o->pad[1] - l * o->dilation[1];
                if (r < 0 || q < 0 || r % o->stride[0] || q % o->stride[1] || r / o->stride[0] >= dy->shape.dim[2]
                    || q / o->stride[1] >= dy->shape.dim[3])
                    continue;
                int64_t from = i[0] * dy->stride[0] + r / o->stride[0] * dy->stride[2] + q / o->stride[1] * dy->stride[3];
                int64_t weight = i[1] % per_in * w->stride[1] + k * w->stride[2] + l * w->stride[3];
                for (int64_t m = group * per_out; m < (group + 1) * per_out; m++)
                    sum += tg_get(dy, from + m * dy->stride[1]) * tg_get(w, weight + m * w->stride[0]);
            }
        tg_put(&c->out, tg_offset(&c->out, i), sum);
    } while (tg_next(c->out.shape, i));
}

/* Linear in both operands: its transposes are the convolution and the other gradient. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const conv2d_grad_attr *a = tg_attr(y);
    dx[0] = tg_apply(&op_conv2d, (tg *[]){ dy, y->in[1] }, 2, &a->conv);
    dx[1] = conv2d_grad_weight(y->in[0], dy, &a->conv, y->in[1]->shape);
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    (void)n_in, (void)out, (void)attr;
    return tg_numel(in[0]) * tg_span(in[1], 1, 4);
}

#define CONV(...) .attr = &(const conv2d_grad_attr){ __VA_ARGS__ }
static const tg_case cases[] = {
    { .in = { DIMS(2, 8, 8, 7), DIMS(8, 6, 3, 3) },
      CONV({ { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(2, 6, 8, 7)) },
    { .in = { DIMS(1, 4, 4, 4), DIMS(4, 3, 3, 3) },
      CONV({ { 2, 2 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(1, 3, 8, 8)), .note = "the last row reaches no window" },
    { .in = { DIMS(1, 8, 5, 5), DIMS(8, 1, 5, 5) },
      CONV({ { 2, 2 }, { 1, 1, 2, 2 }, { 1, 1 }, 8, { 0 } }, DIMS(1, 8, 10, 10)), .note = "depthwise" },
    { .in = { DIMS(2, 19, 9, 11), DIMS(19, 1, 7, 7) },
      CONV({ { 1, 1 }, { 3, 3, 3, 3 }, { 1, 1 }, 19, { 0 } }, DIMS(2, 19, 9, 11)), .note = "depthwise" },
    { .in = { DIMS(1, 17, 12, 13), DIMS(17, 1, 3, 3) },
      CONV({ { 2, 2 }, { 0, 0, 1, 1 }, { 1, 1 }, 17, { 0 } }, DIMS(1, 17, 24, 26)), .note = "depthwise, padded after" },
    { .in = { DIMS(2, 33, 10, 11), DIMS(33, 34, 3, 3) },
      CONV({ { 1, 1 }, { 0, 1, 2, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(2, 34, 10, 11)), .note = "tiles of 4 x 4" },
    { .in = { DIMS(2, 32, 7, 6), DIMS(32, 20, 3, 3) },
      CONV({ { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(2, 20, 7, 6)), .note = "whole slabs" },
    { .in = { DIMS(3, 32, 7, 6), DIMS(32, 35, 3, 3) },
      CONV({ { 1, 1 }, { 0, 1, 2, 1 }, { 1, 1 }, 1, { 0 } }, DIMS(3, 35, 7, 6)), .note = "whole slabs, padded unevenly" },
    { .in = { DIMS(2, 18, 7, 8), DIMS(18, 21, 1, 1) },
      CONV({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(2, 21, 7, 8)), .note = "1x1" },
    { .in = { DIMS(2, 34, 5, 7), DIMS(34, 128, 1, 1) },
      CONV({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(2, 128, 5, 7)), .note = "halves", .kinked = true, .lo = -.3, .hi = .3 },
    { .in = { DIMS(2, 9, 4, 3), DIMS(9, 10, 1, 1) },
      CONV({ { 2, 2 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(2, 10, 7, 6)), .note = "1x1 of stride 2" },
    { .in = { DIMS(1, 6, 4, 5), DIMS(6, 16, 3, 5) },
      CONV({ { 2, 2 }, { 1, 2, 1, 2 }, { 1, 1 }, 2, { 0 } }, DIMS(1, 32, 8, 9)), .note = "grouped, of stride 2" },
    { .in = { DIMS(1, 6, 7, 7), DIMS(6, 2, 3, 3) },
      CONV({ { 1, 1 }, { 2, 2, 2, 2 }, { 2, 2 }, 2, { 0 } }, DIMS(1, 4, 7, 7)), .note = "grouped, dilated" },
    { .in = { DIMS(1, 16, 3, 11), DIMS(16, 4, 3, 3) },
      CONV({ { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 4, { 0 } }, DIMS(1, 16, 3, 11)), .note = "groups of four" },
    { .in = { DIMS(1, 16, 2, 10), DIMS(16, 8, 2, 3) },
      CONV({ { 2, 2 }, { 1, 1, 0, 1 }, { 1, 1 }, 2, { 0 } }, DIMS(1, 16, 3, 20)), .note = "groups of eight" },
    { .in = { DIMS(1, 32, 2, 7), DIMS(32, 16, 1, 2) },
      CONV({ { 1, 1 }, { 0, 1, 0, 0 }, { 1, 1 }, 2, { 0 } }, DIMS(1, 32, 2, 7)), .note = "groups of sixteen" },
    { .in = { DIMS(1, 6, 7, 7), DIMS(6, 4, 3, 3) }, CONV({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(1, 4, 7, 7)),
      .rejects = "dy is (1, 6, 7, 7), not (1, 6, 5, 5)" },
};

const tg_op op_conv2d_grad_input = {
    "conv2d_grad_input", .arity = 2, .attr_size = sizeof(conv2d_grad_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad,
    .ref = ref, .macs = macs, .describe = conv2d_grad_describe, TG_CASES(cases), .tol = 1e-5,
};

tg *conv2d_grad_input(tg *dy, tg *w, const conv2d_attr *conv, tg_shape s)
{
    return tg_apply(&op_conv2d_grad_input, (tg *[]){ dy, w }, 2, &(conv2d_grad_attr){ *conv, s });
}

void conv2d_grad_describe(const void *attr, char *text, size_t size)
{
    op_conv2d.describe(&((const conv2d_grad_attr *)attr)->conv, text, size);
}
