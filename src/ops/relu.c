/* relu.c - y = max(x, 0). */
#include "ops/elementwise.h"

static double relu_of(double x, const void *attr) { return (void)attr, x > 0 ? x : 0; }

/* x and y are above zero in the same places.  A sum of two maps would be kept for that alone, or computed again; y is what the next layer
 * reads.  Of anything else x is: a norm is computed from what its own gradient keeps. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const tg *x = y->in[0];
    const bool sum = x->op == &op_add && tg_same(x->in[0]->shape, x->shape) && tg_same(x->in[1]->shape, x->shape);
    dx[0] = tg_mul(dy, tg_greater(sum ? y : y->in[0], tg_full(dy, SHAPE(1), 0)));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) } },
};

const tg_op op_relu = {
    "relu", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = relu_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_relu(tg *x) { return tg_apply(&op_relu, &x, 1, NULL); }
