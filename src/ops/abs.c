/* abs.c - y = |x|. */
#include "ops/elementwise.h"

static double abs_of(double x, const void *attr) { return (void)attr, fabs(x); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, tg_affine(tg_greater(y->in[0], tg_full(dy, SHAPE(1), 0)), 2, -1));
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
