/* affine.c - y = a x + b. */
#include "ops/elementwise.h"

static double affine_of(double x, const void *attr)
{
    const scalar2_attr *p = attr;
    return p->a * x + p->b;
}

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_affine(dy, ((const scalar2_attr *)tg_attr(y))->a, 0);
}

static void describe(const void *attr, char *text, size_t size)
{
    const scalar2_attr *p = attr;
    snprintf(text, size, "%g, %g", p->a, p->b);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) }, .attr = &(const scalar2_attr){ 2, .5 } },
    { .in = { DIMS(2, 5, 4, 3) }, .attr = &(const scalar2_attr){ 2, .5 } },
};

const tg_op op_affine = {
    "affine", .arity = 1, .attr_size = sizeof(scalar2_attr), .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape,
    .grad = grad, .ref = unary_ref, .scalar = affine_of, .describe = describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_affine(tg *x, double scale, double shift) { return tg_apply(&op_affine, &x, 1, &(scalar2_attr){ scale, shift }); }
