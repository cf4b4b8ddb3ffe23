/* sqrt.c - y = sqrt x. */
#include "ops/elementwise.h"

static double sqrt_of(double x, const void *attr) { return (void)attr, sqrt(x); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_div(tg_affine(dy, .5, 0), y);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) }, .lo = .1, .hi = 4 },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = .1, .hi = 4 },
};

const tg_op op_sqrt = {
    "sqrt", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = sqrt_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_sqrt(tg *x) { return tg_apply(&op_sqrt, &x, 1, NULL); }
