/* max_pool_grad.c - each number of dy goes back to the largest of its window, the first where several are equal. */
#include "ops/pool_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    tg_shape y = pool_shape(c, &in[1], n_in, attr);
    return c->failed || tg_same(y, in[0]) ? in[1] : tg_reject(c, "dy is %s, not %s", tg_str(in[0]), tg_str(y));
}

static void ref(const tg_call *c)
{
    const pool_attr *o = c->attr;
    const tg_tensor *dy = &c->in[0], *x = &c->in[1], *dx = &c->out;
    int64_t h = x->shape.dim[2], w = x->shape.dim[3], i[TG_MAX_RANK] = { 0 };
    do
        tg_put(dx, tg_offset(dx, i), 0);
    while (tg_next(dx->shape, i));
    do {
        double most = -INFINITY;
        int64_t best[2] = { -1, -1 }, base = i[0] * x->stride[0] + i[1] * x->stride[1];
        for (int64_t k = 0; k < (int64_t)o->k * o->k; k++) {
            int64_t r = i[2] * o->stride - o->pad[0] + k / o->k, q = i[3] * o->stride - o->pad[1] + k % o->k;
            if (r < 0 || r >= h || q < 0 || q >= w)
                continue;
            double v = tg_get(x, base + r * x->stride[2] + q * x->stride[3]);
            if (v > most || best[0] < 0) {
                most = v;
                best[0] = r;
                best[1] = q;
            }
        }
        int64_t to = i[0] * dx->stride[0] + i[1] * dx->stride[1] + best[0] * dx->stride[2] + best[1] * dx->stride[3];
        if (best[0] >= 0)
            tg_put(dx, to, tg_get(dx, to) + tg_get(dy, tg_offset(dy, i)));
    } while (tg_next(dy->shape, i));
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 5, 4), DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 3, 2, { 1, 1, 1, 1 }, false, false }, .kinked = true },
    { .in = { DIMS(2, 3, 5, 4), DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 2, 2, { 0 }, true, false }, .kinked = true },
};

const tg_op op_max_pool_grad = {
    "max_pool_grad", .arity = 2, .attr_size = sizeof(pool_attr), .flags = TG_SPATIAL, .shape = shape, .ref = ref,
    .describe = pool_describe, TG_CASES(cases), .tol = 1e-6,
};

tg *max_pool_grad(tg *dy, tg *x, const pool_attr *pool) { return tg_apply(&op_max_pool_grad, (tg *[]){ dy, x }, 2, pool); }
