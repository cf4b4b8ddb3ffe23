/* softmax.c - y = exp(x - max x) / sum exp(x - max x), along one axis. */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const axis_attr *o = attr;
    (void)n_in;
    if (o->axis < 0 || o->axis >= in[0].rank)
        return tg_reject(c, "axis %d of %s", o->axis, tg_str(in[0]));
    return in[0];
}

/* dx = y (dy - sum(dy y)) */
static void grad(tg *y, tg *dy, tg **dx)
{
    const axis_attr *o = tg_attr(y);
    dx[0] = tg_mul(y, tg_sub(dy, tg_sum(tg_mul(dy, y), AXIS(o->axis))));
}

static void ref(const tg_call *c)
{
    int axis = ((const axis_attr *)c->attr)->axis;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t n = x->shape.dim[axis], i[TG_MAX_RANK] = { 0 };
    tg_shape outer = x->shape;
    outer.dim[axis] = 1;
    do {
        int64_t from = tg_offset(x, i), to = tg_offset(y, i), sx = x->stride[axis], sy = y->stride[axis];
        double most = -INFINITY, sum = 0;
        for (int64_t k = 0; k < n; k++)
            most = tg_get(x, from + k * sx) > most ? tg_get(x, from + k * sx) : most;
        for (int64_t k = 0; k < n; k++)
            sum += exp(tg_get(x, from + k * sx) - most);
        for (int64_t k = 0; k < n; k++)
            tg_put(y, to + k * sy, exp(tg_get(x, from + k * sx) - most) / sum);
    } while (tg_next(outer, i));
}

#define ALONG(n) .attr = &(const axis_attr){ n }
static const tg_case cases[] = {
    { .in = { DIMS(3, 7) },    ALONG(1) },
    { .in = { DIMS(2, 5, 4) }, ALONG(1), .note = "strided axis" },
    { .in = { DIMS(4, 1) },    ALONG(1), .note = "one element: y = 1, dx = 0" },
    { .in = { DIMS(2, 1000) }, ALONG(1), .lo = -500, .hi = 500, .kinked = true, .note = "no overflow" },
    { .in = { DIMS(2, 3) },    ALONG(5), .rejects = "axis 5 of (2, 3)" },
};

const tg_op op_softmax = {
    "softmax", .arity = 1, .attr_size = sizeof(axis_attr), .shape = shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_softmax(tg *x, int axis) { return tg_apply(&op_softmax, &x, 1, &(axis_attr){ axis < 0 ? axis + tg_rank(x) : axis }); }
