/* conv2d_shortcut.c - the sum of two 1x1 convolutions, then the epilogue: y = act(conv2d(x, w) + conv2d(from, v) + bias), as where a block's
 * shortcut is a convolution of its own.  Nothing is written between them.
 *
 * Operands: x (n,c,h,w), w (o,c,1,1), bias (o) if there is one, from (n,d,.,.), read `stride` apart, v (o,d,1,1).  The planner makes
 * these (plan/fuse_shortcut.c).
 */
#include "ops/product.h"

static int second(const conv2d_shortcut_attr *a) { return 2 + a->e.bias; }          /* operand: from */

static conv2d_attr conv_of(const int *stride, epilogue e) { return (conv2d_attr){ { stride[0], stride[1] }, { 0 }, { 1, 1 }, 1, e }; }
static const int near[2] = { 1, 1 };

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const conv2d_shortcut_attr *a = attr;
    const int at = second(a);
    if (n_in != at + 2)
        return tg_reject(c, "%d operands, not %d", n_in, at + 2);
    const conv2d_attr first = conv_of(near, a->e), last = conv_of(a->stride, (epilogue){ 0 });
    const tg_shape y = op_conv2d.shape(c, in, at, &first), z = c->failed ? y : op_conv2d.shape(c, in + at, 2, &last);
    if (c->failed)
        return y;
    if (in[1].dim[2] != 1 || in[1].dim[3] != 1 || in[at + 1].dim[2] != 1 || in[at + 1].dim[3] != 1 || a->e.residual || a->e.gate)
        return tg_reject(c, "two 1x1 convolutions and no more are needed");
    return tg_same(y, z) ? y : tg_reject(c, "%s is added to %s", tg_str(z), tg_str(y));
}

static double dot(const tg_tensor *x, const tg_tensor *w, const int *stride, const int64_t *i)
{
    const int64_t at = i[0] * x->stride[0] + i[2] * stride[0] * x->stride[2] + i[3] * stride[1] * x->stride[3];
    double sum = 0;
    for (int64_t k = 0; k < w->shape.dim[1]; k++)
        sum += tg_get(x, at + k * x->stride[1]) * tg_get(w, i[1] * w->stride[0] + k * w->stride[1]);
    return sum;
}

static void ref(const tg_call *c)
{
    const conv2d_shortcut_attr *a = c->attr;
    const tg_tensor *from = c->in + second(a);
    int64_t i[TG_MAX_RANK] = { 0 };
    do
        tg_put(&c->out, tg_offset(&c->out, i),
               epilogue_of(c, &a->e, dot(&c->in[0], &c->in[1], near, i) + dot(&from[0], &from[1], a->stride, i), i[1], i));
    while (tg_next(c->out.shape, i));
}

/* The rules of what it stands for, computed again. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const conv2d_shortcut_attr *a = tg_attr(y);
    const int at = second(a);
    const conv2d_attr first = conv_of(near, (epilogue){ .bias = a->e.bias }), last = conv_of(a->stride, (epilogue){ 0 });
    tg *one = tg_apply(&op_conv2d, y->in, at, &first), *other = tg_apply(&op_conv2d, y->in + at, 2, &last), *sum = tg_add(one, other), *d = dy;
    if (a->e.act) {
        tg *whole = tg_apply(a->e.act, &sum, 1, a->e.act->attr_size ? a->e.act_attr : NULL);
        whole->op->grad(whole, dy, &d);
    }
    op_conv2d.grad(one, d, dx);
    op_conv2d.grad(other, d, dx + at);
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    (void)n_in;
    return tg_numel(out) * (in[1].dim[1] + in[second(attr) + 1].dim[1]);
}

static void describe(const void *attr, char *text, size_t size)
{
    const conv2d_shortcut_attr *a = attr;
    int n = snprintf(text, size, "1x1 and 1x1 stride %d %d", a->stride[0], a->stride[1]);
    if (n > 0 && (size_t)n < size)
        epilogue_describe(&a->e, text + n, size - (size_t)n);
}

#define SUM(...) .attr = &(const conv2d_shortcut_attr){ __VA_ARGS__ }
static const tg_case cases[] = {
    { .in = { DIMS(2, 16, 5, 6), DIMS(24, 16, 1, 1), DIMS(24), DIMS(2, 32, 9, 11), DIMS(24, 32, 1, 1) },
      SUM({ 2, 2 }, { .bias = true, .act = &op_relu }) },
    { .in = { DIMS(1, 64, 9, 13), DIMS(70, 64, 1, 1), DIMS(70), DIMS(1, 64, 9, 13), DIMS(70, 64, 1, 1) },
      SUM({ 1, 1 }, { .bias = true, .act = &op_silu }), .note = "as wide" },
    { .in = { DIMS(3, 5, 4, 7), DIMS(33, 5, 1, 1), DIMS(3, 15, 12, 13), DIMS(33, 15, 1, 1) }, SUM({ 3, 2 }, { 0 }), .note = "narrow, alone" },
    { .in = { DIMS(1, 6, 5, 5), DIMS(8, 6, 1, 1), DIMS(1, 7, 5, 5), DIMS(8, 7, 1, 1) }, SUM({ 1, 1 }, { 0 }), .note = "no multiple" },
    { .in = { DIMS(1, 6, 5, 5), DIMS(8, 6, 1, 1), DIMS(1, 6, 5, 5), DIMS(8, 6, 1, 1) }, SUM({ 2, 2 }, { 0 }),
      .rejects = "(1, 8, 3, 3) is added to (1, 8, 5, 5)" },
    { .in = { DIMS(1, 6, 5, 5), DIMS(8, 6, 3, 3), DIMS(1, 6, 3, 3), DIMS(8, 6, 1, 1) }, SUM({ 1, 1 }, { 0 }),
      .rejects = "two 1x1 convolutions and no more are needed" },
};

const tg_op op_conv2d_shortcut = {
    "conv2d_shortcut", .arity = 4, .optional = 1, .attr_size = sizeof(conv2d_shortcut_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad,
    .ref = ref, .macs = macs, .describe = describe, TG_CASES(cases), .tol = 1e-5,
};
