/* log.c - y = log x. */
#include "ops/elementwise.h"

static double log_of(double x, const void *attr) { return (void)attr, log(x); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_div(dy, y->in[0]);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) }, .lo = .1, .hi = 4 },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = .1, .hi = 4 },
};

const tg_op op_log = {
    "log", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = log_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_log(tg *x) { return tg_apply(&op_log, &x, 1, NULL); }
