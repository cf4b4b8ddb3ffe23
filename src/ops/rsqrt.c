/* rsqrt.c - y = 1 / sqrt(x). */
#include "ops/elementwise.h"

static double rsqrt_of(double x, const void *attr) { return (void)attr, 1 / sqrt(x); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(tg_affine(dy, -.5, 0), tg_mul(y, tg_mul(y, y)));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) }, .lo = .1, .hi = 4 },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = .1, .hi = 4 },
};

const tg_op op_rsqrt = {
    "rsqrt", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = rsqrt_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_rsqrt(tg *x) { return tg_apply(&op_rsqrt, &x, 1, NULL); }
