/* max_pool.c - the largest of each k x k window; padding never wins. */
#include "ops/pool_grad.h"

static void ref(const tg_call *c)
{
    const pool_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 };
    do {
        double most = -INFINITY;
        for (int64_t r = i[2] * o->stride - o->pad[0], k = 0; k < o->k; k++, r++)
            for (int64_t q = i[3] * o->stride - o->pad[1], l = 0; l < o->k; l++, q++)
                if (r >= 0 && r < x->shape.dim[2] && q >= 0 && q < x->shape.dim[3])
                    most = fmax(most, tg_get(x, i[0] * x->stride[0] + i[1] * x->stride[1] + r * x->stride[2] + q * x->stride[3]));
        tg_put(y, tg_offset(y, i), most);
    } while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx) { dx[0] = max_pool_grad(dy, y->in[0], tg_attr(y)); }

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 3, 2, { 1, 1, 1, 1 }, false, false } },
    { .in = { DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 2, 2, { 0 }, true, false }, .note = "ceil" },
    { .in = { DIMS(2, 3, 7, 7) }, .attr = &(const pool_attr){ 3, 2, { 0, 0, 1, 1 }, false, false }, .note = "SAME" },
    { .in = { DIMS(2, 3, 2, 2) }, .attr = &(const pool_attr){ 3, 2, { 0 }, false, false }, .rejects = "a window of 3 does not fit in (2, 3, 2, 2)" },
};

const tg_op op_max_pool = {
    "max_pool", .arity = 1, .attr_size = sizeof(pool_attr), .flags = TG_SPATIAL, .shape = pool_shape, .grad = grad, .ref = ref,
    .describe = pool_describe, TG_CASES(cases), .tol = 0,
};

tg *tg_max_pool(tg *x, tg_pool o) { return pool_apply(&op_max_pool, x, o); }
