/* logsumexp.c - y = log of the sum of exp(x) along one axis, which stays as 1; x - y is the logarithm of softmax. */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const axis_attr *o = attr;
    tg_shape out = in[0];
    (void)n_in;
    if (o->axis < 0 || o->axis >= out.rank)
        return tg_reject(c, "axis %d of %s", o->axis, tg_str(in[0]));
    out.dim[o->axis] = 1;
    return out;
}

/* dx = dy softmax(x) */
static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_mul(dy, tg_exp(tg_sub(y->in[0], y)));
}

static void ref(const tg_call *c)
{
    int axis = ((const axis_attr *)c->attr)->axis;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t n = x->shape.dim[axis], step = x->stride[axis], i[TG_MAX_RANK] = { 0 };
    do {
        int64_t from = tg_offset(x, i);
        double most = -INFINITY, sum = 0;
        for (int64_t k = 0; k < n; k++)
            most = tg_get(x, from + k * step) > most ? tg_get(x, from + k * step) : most;
        for (int64_t k = 0; k < n; k++)
            sum += exp(tg_get(x, from + k * step) - most);
        tg_put(y, tg_offset(y, i), most + log(sum));
    } while (tg_next(y->shape, i));
}

#define ALONG(n) .attr = &(const axis_attr){ n }
static const tg_case cases[] = {
    { .in = { DIMS(3, 7) },    ALONG(1) },
    { .in = { DIMS(2, 5, 4) }, ALONG(1), .note = "strided axis" },
    { .in = { DIMS(4, 1) },    ALONG(1), .note = "one element: y = x" },
    { .in = { DIMS(2, 1000) }, ALONG(1), .lo = -500, .hi = 500, .kinked = true, .note = "no overflow" },
    { .in = { DIMS(2, 3) },    ALONG(5), .rejects = "axis 5 of (2, 3)" },
};

const tg_op op_logsumexp = {
    "logsumexp", .arity = 1, .attr_size = sizeof(axis_attr), .shape = shape, .grad = grad, .ref = ref,
    TG_CASES(cases), .tol = 1e-6,
};

tg *tg_logsumexp(tg *x, int axis)
{
    return tg_apply(&op_logsumexp, &x, 1, &(axis_attr){ axis < 0 ? axis + tg_rank(x) : axis });
}
