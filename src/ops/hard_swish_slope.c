/* hard_swish_slope.c - y = 0 up to -3, x / 3 + 1/2 up to 3, then 1: the derivative of hard_swish. */
#include "ops/slopes.h"

static double hard_swish_slope_of(double x, const void *attr) { return (void)attr, x > 3 ? 1 : x > -3 ? x / 3 + .5 : 0; }

static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0], *in = tg_mul(tg_greater(x, tg_full(x, SHAPE(1), -3)), tg_greater(tg_full(x, SHAPE(1), 3), x));
    dx[0] = tg_mul(dy, tg_affine(in, 1. / 3, 0));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_hard_swish_slope = {
    "hard_swish_slope", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = hard_swish_slope_of, TG_CASES(cases), .tol = 1e-6,
};

tg *hard_swish_slope(tg *x) { return tg_apply(&op_hard_swish_slope, &x, 1, NULL); }
