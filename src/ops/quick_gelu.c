/* quick_gelu.c - y = x sigmoid(1.702 x). */
#include "ops/elementwise.h"

static double quick_gelu_of(double x, const void *attr) { return (void)attr, x / (1 + exp(-1.702 * x)); }

static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0], *s = tg_sigmoid(tg_affine(x, 1.702, 0));
    dx[0] = tg_mul(dy, tg_add(s, tg_affine(tg_mul(x, tg_mul(s, tg_affine(s, -1, 1))), 1.702, 0)));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3) }, .lo = -8, .hi = 8 },
};

const tg_op op_quick_gelu = {
    "quick_gelu", .arity = 1, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape, .grad = grad, .ref = unary_ref,
    .scalar = quick_gelu_of, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_quick_gelu(tg *x) { return tg_apply(&op_quick_gelu, &x, 1, NULL); }
