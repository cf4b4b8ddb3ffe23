/* pointwise_dots.c - channel_dots(chain(..), x, mean), the chain's result being no node of its own.
 *
 * Operands: the chain's (ops/pointwise.c), then x, whose shape its result has, and mean.  The planner makes these
 * (plan/fuse_dots.c).
 */
#include "ops/channel_sums.h"
#include "ops/elementwise.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    if (n_in < 3)
        return tg_reject(c, "%d operands", n_in);
    tg_shape of_chain = op_pointwise.shape(c, in, n_in - 2, attr);
    return c->failed ? of_chain : op_channel_dots.shape(c, (tg_shape[]){ of_chain, in[n_in - 2], in[n_in - 1] }, 3, NULL);
}

static void ref(const tg_call *c)
{
    const int chain = c->n_in - 2;
    const tg_tensor *x = &c->in[chain], *mean = x + 1, *y = &c->out;
    tg_shape one = x->shape;                            /* a channel */
    tg_tensor in[POINTWISE_INPUTS];
    one.dim[1] = 1;
    for (int k = 0; k < chain; k++)
        in[k] = broadcast_to(&c->in[k], x->shape);
    for (int64_t k = 0; k < y->shape.dim[1]; k++) {
        int64_t i[TG_MAX_RANK] = { 0 };
        double sum = 0, dot = 0, m = tg_get(mean, k * mean->stride[0]);
        do {
            i[1] = k;
            double d = pointwise_at(c->attr, in, chain, i);
            sum += d;
            dot += d * (tg_get(x, tg_offset(x, i)) - m);
            i[1] = 0;
        } while (tg_next(one, i));
        tg_put(y, k * y->stride[1], sum);
        tg_put(y, y->stride[0] + k * y->stride[1], dot);
    }
}

static void grad(tg *y, tg *d, tg **dx)
{
    const int chain = y->n_in - 2;
    tg *made = tg_apply(&op_pointwise, y->in, chain, y->attr), *of[3] = { 0 };
    op_channel_dots.grad(channel_dots(made, y->in[chain], y->in[chain + 1]), d, of);
    op_pointwise.grad(made, of[0], dx);
    dx[chain] = of[1];
    dx[chain + 1] = of[2];
}

#define STEP(i) (POINTWISE_INPUTS + (i))
/* dy silu_slope(x scale + shift) */
static const pointwise_attr through_silu = { .steps = 4, .step = {
    { &op_mul, 1, 2, { 0 } }, { &op_add, STEP(0), 3, { 0 } }, { &op_silu_slope, STEP(1), 0, { 0 } }, { &op_mul, 0, STEP(2), { 0 } },
} };
static const pointwise_attr product = { .steps = 1, .step = { { &op_mul, 0, 1, { 0 } } } };
#define THROUGH_SILU(n, c, h, w) \
    { DIMS(n, c, h, w), DIMS(n, c, h, w), DIMS(c, 1, 1), DIMS(c, 1, 1), DIMS(n, c, h, w), DIMS(c) }

static const tg_case cases[] = {
    { .in = THROUGH_SILU(2, 5, 4, 3), .attr = &through_silu },
    { .in = THROUGH_SILU(3, 40, 5, 3), .attr = &through_silu },
    { .in = THROUGH_SILU(1, 1100, 1, 3), .attr = &through_silu, .note = "more channels than a tile has numbers" },
    { .in = { DIMS(6, 19), DIMS(6, 19), DIMS(6, 19), DIMS(19) }, .attr = &product },
    { .in = { DIMS(2, 7, 3, 5), DIMS(2, 7, 1, 1), DIMS(2, 7, 3, 5), DIMS(7) }, .attr = &product, .note = "a gate" },
    { .in = { DIMS(2, 3), DIMS(2, 3), DIMS(2, 4), DIMS(3) }, .attr = &product, .rejects = "(2, 3) with (2, 4)" },
    { .in = { DIMS(2, 3), DIMS(2, 3) }, .attr = &product, .rejects = "2 operands" },
};

const tg_op op_pointwise_dots = {
    "pointwise_dots", .arity = -1, .attr_size = sizeof(pointwise_attr), .shape = shape, .grad = grad, .ref = ref,
    .describe = pointwise_describe, TG_CASES(cases), .tol = 1e-6,
};
