/* leaky_relu.c - y = x above 0, a x below. */
#include "ops/elementwise.h"

static double leaky_relu_of(double x, const void *attr)
{
    const scalar2_attr *p = attr;
    return x > 0 ? x : p->a * x;
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const scalar2_attr *p = tg_attr(y);
    tg *above = tg_greater(y->in[0], tg_full(y->in[0], SHAPE(1), 0));
    dx[0] = tg_mul(dy, tg_affine(above, 1 - p->a, p->a));
}

static void describe(const void *attr, char *text, size_t size)
{
    const scalar2_attr *p = attr;
    snprintf(text, size, "%g, %g", p->a, p->b);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) }, .attr = &(const scalar2_attr){ .1, 0 } },
    { .in = { DIMS(2, 5, 4, 3) }, .attr = &(const scalar2_attr){ .1, 0 } },
};

const tg_op op_leaky_relu = {
    "leaky_relu", .arity = 1, .attr_size = sizeof(scalar2_attr), .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape,
    .grad = grad, .ref = unary_ref, .scalar = leaky_relu_of, .describe = describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_leaky_relu(tg *x, double slope) { return tg_apply(&op_leaky_relu, &x, 1, &(scalar2_attr){ slope, 0 }); }
