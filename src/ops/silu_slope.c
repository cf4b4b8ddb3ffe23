/* silu_slope.c - y = s (1 + x (1 - s)) with s = sigmoid(x): the derivative of silu. */
#include "ops/slopes.h"

static double silu_slope_of(double x, const void *attr)
{
    double s = 1 / (1 + exp(-x));
    return (void)attr, s * (1 + x * (1 - s));
}

/* s (1 - s) (2 + x (1 - 2 s)) */
static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0], *s = tg_sigmoid(x), *of_s = tg_mul(s, tg_affine(s, -1, 1));
    dx[0] = tg_mul(dy, tg_mul(of_s, tg_affine(tg_mul(x, tg_affine(s, -2, 1)), 1, 2)));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_silu_slope = {
    "silu_slope", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = silu_slope_of, TG_CASES(cases), .tol = 1e-6,
};

tg *silu_slope(tg *x) { return tg_apply(&op_silu_slope, &x, 1, NULL); }
