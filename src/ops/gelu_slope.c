/* gelu_slope.c - y = Phi(x) + x phi(x), the normal distribution and its density: the derivative of gelu. */
#include "ops/slopes.h"

static double gelu_slope_of(double x, const void *attr)
{
    return (void)attr, .5 * (1 + erf(x * .7071067811865476)) + x * exp(-.5 * x * x) * .3989422804014327;
}

/* phi(x) (2 - x^2) */
static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0], *square = tg_mul(x, x), *density = tg_affine(tg_exp(tg_affine(square, -.5, 0)), .3989422804014327, 0);
    dx[0] = tg_mul(dy, tg_mul(density, tg_affine(square, -1, 2)));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_gelu_slope = {
    "gelu_slope", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = gelu_slope_of, TG_CASES(cases), .tol = 1e-6,
};

tg *gelu_slope(tg *x) { return tg_apply(&op_gelu_slope, &x, 1, NULL); }
