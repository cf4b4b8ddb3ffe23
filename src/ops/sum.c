/* sum.c - y = the sum over the axes, which stay as 1. */
#include "ops/reduce.h"

static void ref(const tg_call *c)
{
    const tg_tensor *y = &c->out;
    tg_tensor from, part;
    int64_t i[TG_MAX_RANK] = { 0 };
    reduce_split(c, &from, &part);
    do {
        int64_t k[TG_MAX_RANK] = { 0 }, base = tg_offset(&from, i);
        double s = 0;
        do {
            double v = tg_get(&part, base + tg_offset(&part, k));
            s += v;
        } while (tg_next(part.shape, k));
        tg_put(y, tg_offset(y, i), s);
    } while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_expand(dy, y->in[0]->shape);
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 5, 4, 3) }, .attr = &(const axes_attr){ AXIS(2) | AXIS(3) } },
    { .in = { DIMS(2, 21, 9, 8) }, .attr = &(const axes_attr){ AXIS(2) | AXIS(3) }, .note = "many rows" },
    { .in = { DIMS(2, 5, 4) }, .attr = &(const axes_attr){ AXIS(2) } },
    { .in = { DIMS(2, 5, 4) }, .attr = &(const axes_attr){ AXIS(0) } },
    { .in = { DIMS(2, 3) }, .attr = &(const axes_attr){ AXIS(0) | AXIS(1) } },
    { .in = { DIMS(2, 3) }, .attr = &(const axes_attr){ AXIS(2) }, .rejects = "axis 2 of (2, 3)" },
};

const tg_op op_sum = {
    "sum", .arity = 1, .attr_size = sizeof(axes_attr), .shape = reduce_shape, .grad = grad, .ref = ref,
    .describe = reduce_describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_sum(tg *x, unsigned axes) { return tg_apply(&op_sum, &x, 1, &(axes_attr){ axes }); }
