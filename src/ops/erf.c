/* erf.c - y = erf x = 2 / sqrt(pi) times the integral of exp(-t t) from 0 to x. */
#include "ops/elementwise.h"

static double erf_of(double x, const void *attr) { return (void)attr, erf(x); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, tg_affine(tg_exp(tg_affine(tg_mul(y->in[0], y->in[0]), -1, 0)), 1.1283791670955126, 0));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) } },
};

const tg_op op_erf = {
    "erf", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = erf_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_erf(tg *x) { return tg_apply(&op_erf, &x, 1, NULL); }
