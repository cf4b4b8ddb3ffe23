/* pointwise.c - a chain of elementwise ops as one node: every operand is read once, only the last result is written.
 *
 * The planner makes these (plan/fuse_pointwise.c).  The definition runs the definitions of the steps, one number at a time.
 */
#include "ops/elementwise.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const pointwise_attr *a = attr;
    tg_shape of[POINTWISE_STEPS];
    if (n_in > POINTWISE_INPUTS || a->steps < 1 || a->steps > POINTWISE_STEPS)
        return tg_reject(c, "%d operands, %d steps", n_in, (int)a->steps);
    for (int i = 0; i < a->steps; i++) {
        const pointwise_step *s = &a->step[i];
        int from[2] = { s->a, s->b };
        tg_shape operand[2];
        for (int k = 0; k < s->op->arity; k++) {
            if (from[k] < 0 || from[k] >= POINTWISE_INPUTS + i || (from[k] < POINTWISE_INPUTS && from[k] >= n_in))
                return tg_reject(c, "step %d has no operand %d", i, from[k]);
            operand[k] = from[k] < POINTWISE_INPUTS ? in[from[k]] : of[from[k] - POINTWISE_INPUTS];
        }
        of[i] = s->op->shape(c, operand, s->op->arity, s->attr);
        if (c->failed)
            return (tg_shape){ 0 };
    }
    return of[a->steps - 1];
}

double pointwise_at(const pointwise_attr *a, const tg_tensor *in, int n_in, const int64_t *i)
{
    double v[POINTWISE_INPUTS + POINTWISE_STEPS];
    for (int k = 0; k < n_in; k++)
        v[k] = tg_get(&in[k], tg_offset(&in[k], i));
    for (int s = 0; s < a->steps; s++) {
        const pointwise_step *p = &a->step[s];
        tg_tensor one[2] = { { .data = &v[p->a], .dtype = TG_F64, .shape = SHAPE(1), .stride = { 1 } },
                             { .data = &v[p->b], .dtype = TG_F64, .shape = SHAPE(1), .stride = { 1 } } };
        tg_call step = { .op = p->op, .attr = p->attr, .in = one, .n_in = p->op->arity, .out = one[0] };
        step.out.data = &v[POINTWISE_INPUTS + s];
        p->op->ref(&step);
    }
    return v[POINTWISE_INPUTS + a->steps - 1];
}

static void ref(const tg_call *c)
{
    const tg_tensor *y = &c->out;
    tg_tensor in[POINTWISE_INPUTS];
    int64_t i[TG_MAX_RANK] = { 0 };
    for (int k = 0; k < c->n_in; k++)
        in[k] = broadcast_to(&c->in[k], y->shape);
    if (!tg_numel(y->shape))
        return;
    do {
        tg_put(y, tg_offset(y, i), pointwise_at(c->attr, in, c->n_in, i));
    } while (tg_next(y->shape, i));
}

/* The steps' own rules, last step first. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const pointwise_attr *a = y->attr;
    tg *v[POINTWISE_INPUTS + POINTWISE_STEPS] = { 0 }, *d[POINTWISE_INPUTS + POINTWISE_STEPS] = { 0 };
    memcpy(v, y->in, (size_t)y->n_in * sizeof *v);
    for (int i = 0; i < a->steps; i++) {
        const pointwise_step *s = &a->step[i];
        v[POINTWISE_INPUTS + i] = tg_apply(s->op, (tg *[]){ v[s->a], v[s->b] }, s->op->arity, s->op->attr_size ? s->attr : NULL);
    }
    d[POINTWISE_INPUTS + a->steps - 1] = dy;
    for (int64_t i = a->steps; i-- > 0;) {
        const pointwise_step *s = &a->step[i];
        tg *back[2] = { 0 };
        if (d[POINTWISE_INPUTS + i] && s->op->grad)
            s->op->grad(v[POINTWISE_INPUTS + i], d[POINTWISE_INPUTS + i], back);
        for (int k = 0; k < s->op->arity; k++) {
            int from = k ? s->b : s->a;
            if (back[k])
                d[from] = d[from] ? tg_add(d[from], back[k]) : back[k];
        }
    }
    memcpy(dx, d, (size_t)y->n_in * sizeof *dx);
}

void pointwise_describe(const void *attr, char *text, size_t size)
{
    const pointwise_attr *a = attr;
    size_t at = 0;
    for (int i = 0; i < a->steps && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, i ? " %s" : "%s", a->step[i].op->name);
}

#define STEP(i) (POINTWISE_INPUTS + (i))
/* dy s (1 + x (1 - s)) with s = sigmoid(x): what comes back through silu. */
static const pointwise_attr through_silu = { .steps = 6, .step = {
    { &op_sigmoid, 1, 0, { 0 } }, { &op_affine, STEP(0), 0, { -1, 1 } }, { &op_mul, 1, STEP(1), { 0 } },
    { &op_affine, STEP(2), 0, { 1, 1 } }, { &op_mul, STEP(0), STEP(3), { 0 } }, { &op_mul, 0, STEP(4), { 0 } },
} };
/* relu(x scale + shift + residual) */
static const pointwise_attr norm_add_relu = { .steps = 4, .step = {
    { &op_mul, 0, 1, { 0 } }, { &op_add, STEP(0), 2, { 0 } }, { &op_add, STEP(1), 3, { 0 } }, { &op_relu, STEP(2), 0, { 0 } },
} };
static const pointwise_attr odd_functions = { .steps = 3, .step = {
    { &op_softplus, 0, 0, { 0 } }, { &op_greater, STEP(0), 1, { 0 } }, { &op_mul, STEP(1), STEP(0), { 0 } },
} };
/* (a - s + s^2 / max(b, s))^2 with s = x a: operands on either side, and results that are read again, twice or later. */
static const pointwise_attr turned = { .steps = 7, .step = {
    { &op_mul, 0, 1, { 0 } }, { &op_sub, 1, STEP(0), { 0 } }, { &op_mul, STEP(0), STEP(0), { 0 } }, { &op_maximum, 2, STEP(0), { 0 } },
    { &op_div, STEP(2), STEP(3), { 0 } }, { &op_add, STEP(1), STEP(4), { 0 } }, { &op_mul, STEP(5), STEP(5), { 0 } },
} };
static const pointwise_attr astray = { .steps = 1, .step = { { &op_add, 0, STEP(0), { 0 } } } };

static const tg_case cases[] = {
    { .in = { DIMS(3, 7), DIMS(3, 7) }, .attr = &through_silu },
    { .in = { DIMS(2, 24, 14, 13), DIMS(2, 24, 14, 13) }, .attr = &through_silu },
    { .in = { DIMS(2, 5, 4, 3), DIMS(5, 1, 1), DIMS(5, 1, 1), DIMS(2, 5, 4, 3) }, .attr = &norm_add_relu },
    { .in = { DIMS(2, 40, 9, 11), DIMS(40, 1, 1), DIMS(1), DIMS(2, 40, 9, 11) }, .attr = &norm_add_relu },
    { .in = { DIMS(3, 40, 9, 11), DIMS(3, 40, 1, 1), DIMS(3, 1, 1, 1), DIMS(3, 40, 9, 11) }, .attr = &norm_add_relu, .note = "gates" },
    { .in = { DIMS(5, 1500), DIMS(1500), DIMS(5, 1), DIMS(5, 1500) }, .attr = &norm_add_relu, .note = "rows longer than a tile" },
    { .in = { DIMS(4, 1, 6), DIMS(5, 1), DIMS(4, 1, 1), DIMS(1, 5, 6) }, .attr = &norm_add_relu, .note = "all are repeated" },
    { .in = { DIMS(2, 5000), DIMS(5000), DIMS(2, 1), DIMS(2, 5000) }, .attr = &norm_add_relu, .note = "too long to be laid out" },
    { .in = { DIMS(3, 72, 5, 7), DIMS(3, 72, 1, 1), DIMS(72, 1, 1), DIMS(3, 72, 5, 7) }, .attr = &norm_add_relu, .note = "rows of half vectors" },
    { .in = { DIMS(6, 5), DIMS(6, 5) }, .attr = &odd_functions, .kinked = true },
    { .in = { DIMS(3, 400), DIMS(3, 400), DIMS(400) }, .attr = &turned, .lo = .5, .hi = 2, .kinked = true },
    { .in = { DIMS(2, 3), DIMS(4, 3) }, .attr = &astray, .rejects = "step 0 has no operand 10" },
};

const tg_op op_pointwise = {
    "pointwise", .arity = -1, .attr_size = sizeof(pointwise_attr), .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = shape, .grad = grad,
    .ref = ref, .describe = pointwise_describe, TG_CASES(cases), .tol = 1e-6,
};
