/* gelu_tanh.c - y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
#include "ops/elementwise.h"

static double gelu_tanh_of(double x, const void *attr) { return (void)attr, .5 * x * (1 + tanh(.7978845608028654 * (x + .044715 * x * x * x))); }

static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0], *xx = tg_mul(x, x), *u = tg_affine(tg_mul(x, tg_affine(xx, .044715, 1)), .7978845608028654, 0);
    tg *t = tg_tanh(u), *du = tg_affine(xx, .7978845608028654 * 3 * .044715, .7978845608028654);
    tg *slope = tg_mul(tg_mul(x, tg_affine(tg_mul(t, t), -.5, .5)), du);
    dx[0] = tg_mul(dy, tg_add(tg_affine(t, .5, .5), slope));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_gelu_tanh = {
    "gelu_tanh", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = gelu_tanh_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_gelu_tanh(tg *x) { return tg_apply(&op_gelu_tanh, &x, 1, NULL); }
