/* tanh.c - y = tanh x. */
#include "ops/elementwise.h"

static double tanh_of(double x, const void *attr) { return (void)attr, tanh(x); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, tg_affine(tg_mul(y, y), -1, 1));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) } },
};

const tg_op op_tanh = {
    "tanh", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = tanh_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_tanh(tg *x) { return tg_apply(&op_tanh, &x, 1, NULL); }
