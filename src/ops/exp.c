/* exp.c - y = exp x. */
#include "ops/elementwise.h"

static double exp_of(double x, const void *attr) { return (void)attr, exp(x); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, y);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) } },
};

const tg_op op_exp = {
    "exp", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = exp_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_exp(tg *x) { return tg_apply(&op_exp, &x, 1, NULL); }
