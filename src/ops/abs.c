/* abs.c - y = |x|. */
#include "ops/elementwise.h"

static double abs_of(double x, const void *attr) { return (void)attr, fabs(x); }

/* 0 at 0, as PyTorch has it. */
static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0], *zero = tg_full(dy, SHAPE(1), 0);
    dx[0] = tg_mul(dy, tg_sub(tg_greater(x, zero), tg_greater(zero, x)));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) } },
};

const tg_op op_abs = {
    "abs", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = abs_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_abs(tg *x) { return tg_apply(&op_abs, &x, 1, NULL); }
