/* avg_pool_grad.c - avg_pool's transpose: each number of dy shared among its window. */
#include "ops/pool_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const avg_pool_grad_attr *a = attr;
    tg_shape y = pool_shape(c, &a->shape, n_in, &a->pool);
    return c->failed || tg_same(y, in[0]) ? a->shape : tg_reject(c, "dy is %s, not %s", tg_str(in[0]), tg_str(y));
}

static void ref(const tg_call *c)
{
    const avg_pool_grad_attr *a = c->attr;
    const tg_tensor *dy = &c->in[0], *dx = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 }, rows[2], cols[2];
    do
        tg_put(dx, tg_offset(dx, i), 0);
    while (tg_next(dx->shape, i));
    do {
        double area = avg_pool_area(&a->pool, dx->shape.dim[2], dx->shape.dim[3], i[2], i[3], rows, cols);
        double share = tg_get(dy, tg_offset(dy, i)) / area;
        for (int64_t r = rows[0]; r < rows[1]; r++)
            for (int64_t q = cols[0]; q < cols[1]; q++) {
                int64_t to = i[0] * dx->stride[0] + i[1] * dx->stride[1] + r * dx->stride[2] + q * dx->stride[3];
                tg_put(dx, to, tg_get(dx, to) + share);
            }
    } while (tg_next(dy->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = tg_apply(&op_avg_pool, &dy, 1, &((const avg_pool_grad_attr *)tg_attr(y))->pool);
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 5, 4) }, .attr = &(const avg_pool_grad_attr){ { 3, 2, { 1, 1, 1, 1 }, false, false }, DIMS(2, 3, 9, 8) } },
    { .in = { DIMS(2, 3, 5, 4) }, .attr = &(const avg_pool_grad_attr){ { 2, 2, { 0 }, true, true }, DIMS(2, 3, 9, 7) } },
};

const tg_op op_avg_pool_grad = {
    "avg_pool_grad", .arity = 1, .attr_size = sizeof(avg_pool_grad_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad,
    .ref = ref, TG_CASES(cases), .tol = 1e-6,
};

tg *avg_pool_grad(tg *dy, const pool_attr *pool, tg_shape s)
{
    return tg_apply(&op_avg_pool_grad, &dy, 1, &(avg_pool_grad_attr){ *pool, s });
}
