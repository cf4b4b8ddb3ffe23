/* expand_depthwise.c - conv2d of a 1x1 kernel, then a depthwise conv2d of its result, which is kept nowhere.
 *
 * Operands: x (n,k,h,w), the first's weights (c,k,1,1) and bias (c) if it has one, the second's (c,1,kh,kw) and bias.  The planner
 * makes these (plan/fuse_expand.c).  The definition computes every number of the first as often as the second reads it.
 */
#include "ops/product.h"

static int second(const expand_depthwise_attr *a) { return 2 + a->expand.e.bias; }      /* operand: its weights */

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const expand_depthwise_attr *a = attr;
    const int at = second(a);
    if (n_in != at + 1 + a->depthwise.e.bias)
        return tg_reject(c, "%d operands, not %d", n_in, at + 1 + a->depthwise.e.bias);
    const tg_shape middle = op_conv2d.shape(c, in, at, &a->expand);
    if (c->failed)
        return middle;
    const conv2d_attr *e = &a->expand, *d = &a->depthwise;
    if (in[1].dim[2] != 1 || in[1].dim[3] != 1 || e->stride[0] != 1 || e->stride[1] != 1 || e->groups != 1 || e->pad[0] || e->pad[1]
        || e->pad[2] || e->pad[3] || e->e.residual)
        return tg_reject(c, "the first is no 1x1 convolution alone");
    if (d->groups != middle.dim[1] || in[at].rank != 4 || in[at].dim[0] != d->groups || d->e.residual)
        return tg_reject(c, "the second is no depthwise convolution alone");
    return op_conv2d.shape(c, (tg_shape[]){ middle, in[at], in[n_in - 1] }, 2 + d->e.bias, d);
}

static double expanded(const tg_call *c, const conv2d_attr *e, int64_t n, int64_t o, int64_t y, int64_t x)
{
    const tg_tensor *from = &c->in[0], *w = &c->in[1];
    double sum = 0;
    for (int64_t k = 0; k < w->shape.dim[1]; k++)
        sum += tg_get(from, n * from->stride[0] + k * from->stride[1] + y * from->stride[2] + x * from->stride[3])
               * tg_get(w, o * w->stride[0] + k * w->stride[1]);
    return epilogue_of(c, &e->e, sum, o, NULL);
}

static double window(const tg_call *c, const expand_depthwise_attr *a, const int64_t *i)
{
    const conv2d_attr *d = &a->depthwise;
    const tg_tensor *x = &c->in[0], *w = &c->in[second(a)];
    double sum = 0;
    for (int64_t k = 0; k < w->shape.dim[2]; k++) {
        int64_t row = i[2] * d->stride[0] + k * d->dilation[0] - d->pad[0];
        for (int64_t l = 0; l < w->shape.dim[3] && row >= 0 && row < x->shape.dim[2]; l++) {
            int64_t column = i[3] * d->stride[1] + l * d->dilation[1] - d->pad[1];
            if (column >= 0 && column < x->shape.dim[3])
                sum += expanded(c, &a->expand, i[0], i[1], row, column)
                       * tg_get(w, i[1] * w->stride[0] + k * w->stride[2] + l * w->stride[3]);
        }
    }
    return sum;
}

static void ref(const tg_call *c)
{
    const expand_depthwise_attr *a = c->attr;
    tg_call last = *c;
    last.in = c->in + second(a) - 1;                    /* its bias follows its weights, as conv2d's does */
    int64_t i[TG_MAX_RANK] = { 0 };
    do
        tg_put(&c->out, tg_offset(&c->out, i), epilogue_of(&last, &a->depthwise.e, window(c, a, i), i[1], i));
    while (tg_next(c->out.shape, i));
}

/* x's convolution without its activation, and with it. */
typedef struct stage { tg *bare, *whole; } stage;

static stage staged(tg *const *in, const conv2d_attr *a)
{
    conv2d_attr bare = *a;
    bare.e = (epilogue){ .bias = a->e.bias };
    tg *x = tg_apply(&op_conv2d, in, 2 + a->e.bias, &bare);
    return (stage){ x, a->e.act ? tg_apply(a->e.act, &x, 1, a->e.act->attr_size ? a->e.act_attr : NULL) : x };
}

static void back(const stage *s, tg *dy, tg **dx)
{
    tg *d = dy;
    if (s->whole != s->bare)
        s->whole->op->grad(s->whole, dy, &d);
    op_conv2d.grad(s->bare, d, dx);
}

/* The rules of what it stands for, computed again. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const expand_depthwise_attr *a = tg_attr(y);
    const int at = second(a);
    const stage first = staged(y->in, &a->expand);
    const stage last = staged((tg *[]){ first.whole, y->in[at], y->in[y->n_in - 1] }, &a->depthwise);
    tg *d[3] = { 0 };
    back(&last, dy, d);
    back(&first, d[0], dx);
    for (int k = at; k < y->n_in; k++)
        dx[k] = d[k - at + 1];
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    const expand_depthwise_attr *a = attr;
    (void)n_in;
    return in[0].dim[0] * in[0].dim[2] * in[0].dim[3] * tg_numel(in[1]) + tg_numel(out) * tg_span(in[second(a)], 2, 4);
}

static void describe(const void *attr, char *text, size_t size)
{
    const expand_depthwise_attr *a = attr;
    char first[100], last[300];
    epilogue_describe(&a->expand.e, first, sizeof first);
    op_conv2d.describe(&a->depthwise, last, sizeof last);
    snprintf(text, size, "1x1%s, then %s", first, last);
}

#define ALONE { 1, 1 }, { 0 }, { 1, 1 }, 1
#define PAIR(...) .attr = &(const expand_depthwise_attr){ __VA_ARGS__ }
static const tg_case cases[] = {
    { .in = { DIMS(2, 5, 7, 6), DIMS(12, 5, 1, 1), DIMS(12, 1, 3, 3) },
      PAIR({ ALONE, { .act = &op_relu } }, { { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 12, { .act = &op_silu } }) },
    { .in = { DIMS(1, 4, 56, 52), DIMS(72, 4, 1, 1), DIMS(72), DIMS(72, 1, 3, 3), DIMS(72) },
      PAIR({ ALONE, { .bias = true, .act = &op_hard_swish } }, { { 2, 2 }, { 1, 1, 1, 1 }, { 1, 1 }, 72, { .bias = true } }),
      .note = "bands of rows and groups of channels" },
    { .in = { DIMS(3, 8, 17, 19), DIMS(51, 8, 1, 1), DIMS(51), DIMS(51, 1, 5, 5), DIMS(51) },
      PAIR({ ALONE, { .bias = true } }, { { 2, 1 }, { 1, 2, 2, 2 }, { 1, 1 }, 51, { .bias = true, .act = &op_relu } }),
      .note = "SAME, channels left over" },
    { .in = { DIMS(1, 6, 20, 9), DIMS(16, 6, 1, 1), DIMS(16, 1, 3, 3), DIMS(16) },
      PAIR({ ALONE, { .act = &op_relu } }, { { 1, 1 }, { 2, 2, 2, 2 }, { 2, 2 }, 16, { .bias = true } }), .note = "dilated" },
    { .in = { DIMS(1, 6, 5, 5), DIMS(8, 6, 3, 3), DIMS(8, 1, 3, 3) },
      PAIR({ { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, { { 1, 1 }, { 0 }, { 1, 1 }, 8, { 0 } }),
      .rejects = "the first is no 1x1 convolution alone" },
    { .in = { DIMS(1, 6, 5, 5), DIMS(8, 6, 1, 1), DIMS(8, 2, 3, 3) }, PAIR({ ALONE, { 0 } }, { { 1, 1 }, { 0 }, { 1, 1 }, 4, { 0 } }),
      .rejects = "the second is no depthwise convolution alone" },
};

const tg_op op_expand_depthwise = {
    "expand_depthwise", .arity = 3, .optional = 2, .attr_size = sizeof(expand_depthwise_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad,
    .ref = ref, .macs = macs, .describe = describe, TG_CASES(cases), .tol = 1e-5,
};
