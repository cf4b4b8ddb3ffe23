/* clamp.c - y = min(max(x, lo), hi); a is lo, b is hi. */
#include "ops/elementwise.h"

static double clamp_of(double x, const void *attr)
{
    const scalar2_attr *p = attr;
    return x < p->a ? p->a : x > p->b ? p->b : x;
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const scalar2_attr *p = tg_attr(y);
    tg *x = y->in[0], *above = tg_greater(x, tg_full(x, SHAPE(1), p->a)), *below = tg_greater(tg_full(x, SHAPE(1), p->b), x);
    dx[0] = tg_mul(dy, tg_mul(above, below));
}

static void describe(const void *attr, char *text, size_t size)
{
    const scalar2_attr *p = attr;
    snprintf(text, size, "%g, %g", p->a, p->b);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) }, .attr = &(const scalar2_attr){ -1, 1 } },
    { .in = { DIMS(2, 5, 4, 3) }, .attr = &(const scalar2_attr){ -1, 1 } },
};

const tg_op op_clamp = {
    "clamp", .arity = 1, .attr_size = sizeof(scalar2_attr), .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = unary_shape,
    .grad = grad, .ref = unary_ref, .scalar = clamp_of, .describe = describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_clamp(tg *x, double lo, double hi) { return tg_apply(&op_clamp, &x, 1, &(scalar2_attr){ lo, hi }); }
