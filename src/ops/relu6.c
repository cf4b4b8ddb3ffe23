/* relu6.c - y = min(max(x, 0), 6). */
#include "ops/elementwise.h"

static double relu6_of(double x, const void *attr) { return (void)attr, x > 6 ? 6 : x > 0 ? x : 0; }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, tg_mul(tg_greater(y->in[0], tg_full(dy, SHAPE(1), 0)), tg_greater(tg_full(dy, SHAPE(1), 6), y->in[0])));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) } },
};

const tg_op op_relu6 = {
    "relu6", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = relu6_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_relu6(tg *x) { return tg_apply(&op_relu6, &x, 1, NULL); }
