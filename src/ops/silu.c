/* silu.c - y = x sigmoid(x). */
#include "ops/slopes.h"

static double silu_of(double x, const void *attr) { return (void)attr, x / (1 + exp(-x)); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, silu_slope(y->in[0]));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_silu = {
    "silu", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = silu_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_silu(tg *x) { return tg_apply(&op_silu, &x, 1, NULL); }
