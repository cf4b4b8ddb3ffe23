/* softplus.c - y = log(1 + exp(x)), without overflow. */
#include "ops/elementwise.h"

static double softplus_of(double x, const void *attr) { return (void)attr, fmax(x, 0) + log1p(exp(-fabs(x))); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, tg_sigmoid(y->in[0]));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) } },
    { .in = { DIMS(50) }, .lo = -100, .hi = 1000, .kinked = true, .note = "no overflow" },
};

const tg_op op_softplus = {
    "softplus", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = softplus_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_softplus(tg *x) { return tg_apply(&op_softplus, &x, 1, NULL); }
