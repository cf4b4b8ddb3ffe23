/* avg_pool.c - the mean of each k x k window; padding counts as zeros unless exclude_pad. */
#include "ops/pool_grad.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* torch's divisor: the window cut at the padded border, or with exclude_pad at the image. */
double avg_pool_area(const pool_attr *o, int64_t h, int64_t w, int64_t i, int64_t j, int64_t rows[2], int64_t cols[2])
{
    int64_t r0 = i * o->stride - o->pad[0], q0 = j * o->stride - o->pad[1];
    int64_t r1 = least(r0 + o->k, h + o->pad[2]), q1 = least(q0 + o->k, w + o->pad[3]);
    rows[0] = most(r0, 0);
    rows[1] = least(r1, h);
    cols[0] = most(q0, 0);
    cols[1] = least(q1, w);
    return (double)(o->exclude_pad ? (rows[1] - rows[0]) * (cols[1] - cols[0]) : (r1 - r0) * (q1 - q0));
}

static void ref(const tg_call *c)
{
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 }, rows[2], cols[2];
    do {
        double area = avg_pool_area(c->attr, x->shape.dim[2], x->shape.dim[3], i[2], i[3], rows, cols), sum = 0;
        for (int64_t r = rows[0]; r < rows[1]; r++)
            for (int64_t q = cols[0]; q < cols[1]; q++)
                sum += tg_get(x, i[0] * x->stride[0] + i[1] * x->stride[1] + r * x->stride[2] + q * x->stride[3]);
        tg_put(y, tg_offset(y, i), sum / area);
    } while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx) { dx[0] = avg_pool_grad(dy, tg_attr(y), y->in[0]->shape); }

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 3, 2, { 1, 1, 1, 1 }, false, false } },
    { .in = { DIMS(2, 3, 9, 8) }, .attr = &(const pool_attr){ 3, 2, { 1, 1, 1, 1 }, false, true } },
    { .in = { DIMS(2, 3, 9, 7) }, .attr = &(const pool_attr){ 2, 2, { 0 }, true, true }, .note = "ceil" },
    { .in = { DIMS(2, 3, 9, 7) }, .attr = &(const pool_attr){ 2, 2, { 0 }, true, false }, .note = "ceil" },
    { .in = { DIMS(2, 3, 7, 7) }, .attr = &(const pool_attr){ 7, 7, { 0 }, false, false } },
};

const tg_op op_avg_pool = {
    "avg_pool", .arity = 1, .attr_size = sizeof(pool_attr), .flags = TG_SPATIAL, .shape = pool_shape, .grad = grad, .ref = ref,
    .describe = pool_describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_avg_pool(tg *x, tg_pool o) { return pool_apply(&op_avg_pool, x, o); }
