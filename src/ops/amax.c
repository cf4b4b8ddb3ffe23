/* amax.c - y = the largest over the axes, which stay as 1; the gradient is shared among equals. */
#include "ops/reduce.h"

static void ref(const tg_call *c)
{
    const tg_tensor *y = &c->out;
    tg_tensor from, part;
    int64_t i[TG_MAX_RANK] = { 0 };
    reduce_split(c, &from, &part);
    do {
        int64_t k[TG_MAX_RANK] = { 0 }, base = tg_offset(&from, i);
        double s = -INFINITY;
        do {
            double v = tg_get(&part, base + tg_offset(&part, k));
            s = v > s ? v : s;
        } while (tg_next(part.shape, k));
        tg_put(y, tg_offset(y, i), s);
    } while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0], *hit = tg_affine(tg_greater(y, x), -1, 1);
    unsigned axes = ((const axes_attr *)tg_attr(y))->axes;
    dx[0] = tg_mul(tg_div(hit, tg_sum(hit, axes)), dy);
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 5, 4, 3) }, .attr = &(const axes_attr){ AXIS(2) | AXIS(3) } },
    { .in = { DIMS(2, 21, 9, 8) }, .attr = &(const axes_attr){ AXIS(2) | AXIS(3) }, .note = "many rows" },
    { .in = { DIMS(2, 5, 4) }, .attr = &(const axes_attr){ AXIS(2) } },
    { .in = { DIMS(2, 5, 4) }, .attr = &(const axes_attr){ AXIS(0) } },
    { .in = { DIMS(2, 3) }, .attr = &(const axes_attr){ AXIS(0) | AXIS(1) } },
    { .in = { DIMS(2, 3) }, .attr = &(const axes_attr){ AXIS(2) }, .rejects = "axis 2 of (2, 3)" },
};

const tg_op op_amax = {
    "amax", .arity = 1, .attr_size = sizeof(axes_attr), .shape = reduce_shape, .grad = grad, .ref = ref,
    .describe = reduce_describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_amax(tg *x, unsigned axes) { return tg_apply(&op_amax, &x, 1, &(axes_attr){ axes }); }
