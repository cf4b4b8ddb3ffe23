/* elu.c - y = x above 0, a (exp(x) - 1) below. */
#include "ops/elementwise.h"

static double elu_of(double x, const void *attr)
{
    const scalar2_attr *p = attr;
    return x > 0 ? x : p->a * expm1(x);
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const scalar2_attr *p = tg_attr(y);
    tg *x = y->in[0], *above = tg_greater(x, tg_full(x, SHAPE(1), 0)), *low = tg_minimum(x, tg_full(x, SHAPE(1), 0));
    dx[0] = tg_mul(dy, tg_add(above, tg_mul(tg_affine(above, -1, 1), tg_affine(tg_exp(low), p->a, 0))));
}

static void describe(const void *attr, char *text, size_t size)
{
    const scalar2_attr *p = attr;
    snprintf(text, size, "%g, %g", p->a, p->b);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) }, .attr = &(const scalar2_attr){ 1.5, 0 } },
    { .in = { DIMS(2, 5, 4, 3) }, .attr = &(const scalar2_attr){ 1.5, 0 } },
};

const tg_op op_elu = {
    "elu", .arity = 1, .attr_size = sizeof(scalar2_attr), .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape,
    .grad = grad, .ref = unary_ref, .scalar = elu_of, .describe = describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_elu(tg *x, double alpha) { return tg_apply(&op_elu, &x, 1, &(scalar2_attr){ alpha, 0 }); }
