/* avg_pool.c - the mean of each k x k window; padding counts as zeros unless exclude_pad. */
#include "ops/windows.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* torch's divisor: the window cut at the padded border, or with exclude_pad at the image. */
static void ref(const tg_call *c)
{
    const pool_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t h = x->shape.dim[2], w = x->shape.dim[3], i[TG_MAX_RANK] = { 0 };
    do {
        int64_t r0 = i[2] * o->stride - o->pad[0], q0 = i[3] * o->stride - o->pad[1];
        int64_t r1 = least(r0 + o->k, h + o->pad[2]), q1 = least(q0 + o->k, w + o->pad[3]), area = (r1 - r0) * (q1 - q0), inside = 0;
        double sum = 0;
        for (int64_t r = r0; r < r1; r++)
            for (int64_t q = q0; q < q1; q++)
                if (r >= 0 && r < h && q >= 0 && q < w) {
                    sum += tg_get(x, i[0] * x->stride[0] + i[1] * x->stride[1] + r * x->stride[2] + q * x->stride[3]);
                    inside++;
                }
        tg_put(y, tg_offset(y, i), sum / (double)(o->exclude_pad ? inside : area));
    } while (tg_next(y->shape, i));
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 3, 2, { 1, 1, 1, 1 }, false, false } },
    { .in = { DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 3, 2, { 1, 1, 1, 1 }, false, true } },
    { .in = { DIMS(2, 3, 9, 7) }, .attr = &(const pool_attr){ 2, 2, { 0 }, true, true }, .note = "ceil" },
    { .in = { DIMS(2, 3, 9, 7) }, .attr = &(const pool_attr){ 2, 2, { 0 }, true, false }, .note = "ceil" },
    { .in = { DIMS(2, 3, 7, 7) }, .attr = &(const pool_attr){ 7, 7, { 0 }, false, false } },
};

const tg_op op_avg_pool = {
    "avg_pool", .arity = 1, .attr_size = sizeof(pool_attr), .flags = TG_SPATIAL, .shape = pool_shape, .ref = ref,
    .describe = pool_describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_avg_pool(tg *x, tg_pool o) { return pool_apply(&op_avg_pool, x, o); }
