/* max_pool_grad.c - each number of dy goes back to the largest of its window, the first where several are equal. */
#include "ops/pool_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    tg_shape y = pool_shape(c, &in[1], n_in, attr);
    return c->failed || tg_same(y, in[0]) ? in[1] : tg_reject(c, "dy is %s, not %s", tg_str(in[0]), tg_str(y));
}

bool max_pool_place(const pool_attr *o, const tg_tensor *x, const int64_t *i, int64_t at[2])
{
    int64_t h = x->shape.dim[2], w = x->shape.dim[3], base = i[0] * x->stride[0] + i[1] * x->stride[1];
    double most = -INFINITY;
    bool any = false;
    at[0] = at[1] = 0;
    for (int64_t k = 0; k < (int64_t)o->k * o->k; k++) {
        int64_t r = i[2] * o->stride - o->pad[0] + k / o->k, q = i[3] * o->stride - o->pad[1] + k % o->k;
        if (r < 0 || r >= h || q < 0 || q >= w)
            continue;
        double v = tg_get(x, base + r * x->stride[2] + q * x->stride[3]);
        if (v > most || !any) {
            most = v;
            any = true;
            at[0] = r;
            at[1] = q;
        }
    }
    return any;
}

static void ref(const tg_call *c)
{
    const tg_tensor *dy = &c->in[0], *dx = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 }, at[2];
    do
        tg_put(dx, tg_offset(dx, i), 0);
    while (tg_next(dx->shape, i));
    do {
        if (!max_pool_place(c->attr, &c->in[1], i, at))
            continue;
        int64_t to = i[0] * dx->stride[0] + i[1] * dx->stride[1] + at[0] * dx->stride[2] + at[1] * dx->stride[3];
        tg_put(dx, to, tg_get(dx, to) + tg_get(dy, tg_offset(dy, i)));
    } while (tg_next(dy->shape, i));
}

/* Which of x is largest does not change but where two are equal. */
static void grad(tg *y, tg *dy, tg **dx) { dx[0] = max_pool_pick(dy, y->in[1], tg_attr(y)); }

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 5, 4), DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 3, 2, { 1, 1, 1, 1 }, false, false }, .kinked = true },
    { .in = { DIMS(2, 3, 5, 4), DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 2, 2, { 0 }, true, false }, .kinked = true },
};

const tg_op op_max_pool_grad = {
    "max_pool_grad", .arity = 2, .attr_size = sizeof(pool_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad, .ref = ref,
    .describe = pool_describe, TG_CASES(cases), .tol = 1e-6,
};

tg *max_pool_grad(tg *dy, tg *x, const pool_attr *pool) { return tg_apply(&op_max_pool_grad, (tg *[]){ dy, x }, 2, pool); }
