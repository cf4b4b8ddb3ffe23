/* hard_sigmoid.c - y = relu6(x + 3) / 6. */
#include "ops/elementwise.h"

static double hard_sigmoid_of(double x, const void *attr) { return (void)attr, x > 3 ? 1 : x > -3 ? (x + 3) / 6 : 0; }

static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0], *in = tg_mul(tg_greater(x, tg_full(x, SHAPE(1), -3)), tg_greater(tg_full(x, SHAPE(1), 3), x));
    dx[0] = tg_mul(dy, tg_affine(in, 1. / 6, 0));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_hard_sigmoid = {
    "hard_sigmoid", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = hard_sigmoid_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_hard_sigmoid(tg *x) { return tg_apply(&op_hard_sigmoid, &x, 1, NULL); }
