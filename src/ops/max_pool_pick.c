/* max_pool_pick.c - of each window the number of g that stands where x is largest: max_pool_grad's transpose. */
#include "ops/pool_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    return tg_same(in[0], in[1]) ? pool_shape(c, &in[1], n_in, attr)
                                 : tg_reject(c, "g is %s, x %s", tg_str(in[0]), tg_str(in[1]));
}

static void ref(const tg_call *c)
{
    const pool_attr *o = c->attr;
    const tg_tensor *g = &c->in[0], *x = &c->in[1], *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 }, at[2];
    do {
        bool any = max_pool_place(o, x, i, at);
        int64_t from = i[0] * g->stride[0] + i[1] * g->stride[1] + at[0] * g->stride[2] + at[1] * g->stride[3];
        tg_put(y, tg_offset(y, i), any ? tg_get(g, from) : 0);
    } while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx) { dx[0] = max_pool_grad(dy, y->in[1], tg_attr(y)); }

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 9, 8), DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 3, 2, { 1, 1, 1, 1 }, false, false }, .kinked = true },
    { .in = { DIMS(2, 3, 9, 8), DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 2, 2, { 0 }, true, false }, .kinked = true },
    { .in = { DIMS(2, 3, 9, 8), DIMS(2, 3, 9, 9) }, .attr = &(const pool_attr){ 2, 2, { 0 }, false, false },
      .rejects = "g is (2, 3, 9, 8), x (2, 3, 9, 9)" },
};

const tg_op op_max_pool_pick = {
    "max_pool_pick", .arity = 2, .attr_size = sizeof(pool_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad, .ref = ref,
    .describe = pool_describe, TG_CASES(cases), .tol = 0,
};

tg *max_pool_pick(tg *g, tg *x, const pool_attr *pool) { return tg_apply(&op_max_pool_pick, (tg *[]){ g, x }, 2, pool); }
