/* gelu.c - y = x Phi(x), Phi the normal distribution function, with erf. */
#include "ops/slopes.h"

static double gelu_of(double x, const void *attr) { return (void)attr, x * .5 * (1 + erf(x * .7071067811865476)); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, gelu_slope(y->in[0]));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_gelu = {
    "gelu", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = gelu_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_gelu(tg *x) { return tg_apply(&op_gelu, &x, 1, NULL); }
