/* hard_swish.c - y = x relu6(x + 3) / 6. */
#include "ops/slopes.h"

static double hard_swish_of(double x, const void *attr) { return (void)attr, x > 3 ? x : x > -3 ? x * (x + 3) / 6 : 0; }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, hard_swish_slope(y->in[0]));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_hard_swish = {
    "hard_swish", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = hard_swish_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_hard_swish(tg *x) { return tg_apply(&op_hard_swish, &x, 1, NULL); }
