/* sigmoid.c - y = 1 / (1 + exp(-x)). */
#include "ops/elementwise.h"

static double sigmoid_of(double x, const void *attr) { return (void)attr, 1 / (1 + exp(-x)); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, tg_mul(y, tg_affine(y, -1, 1)));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) } },
};

const tg_op op_sigmoid = {
    "sigmoid", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = sigmoid_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_sigmoid(tg *x) { return tg_apply(&op_sigmoid, &x, 1, NULL); }
