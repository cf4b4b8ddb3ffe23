/* gather_grad.c - gather's transpose: rows of dy summed into the rows of a table that they came from. */
#include "ops/gather_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    tg_shape table = ((const shape_attr *)attr)->shape;
    (void)n_in;
    if (in[0].rank != in[1].rank + table.rank - 1)
        return tg_reject(c, "dy %s by %s is not of rows of %s", tg_str(in[0]), tg_str(in[1]), tg_str(table));
    return table;
}

static void ref(const tg_call *c)
{
    const tg_tensor *dy = &c->in[0], *index = &c->in[1], *dx = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 }, n = dx->shape.dim[0];
    int ri = index->shape.rank;
    do
        tg_put(dx, tg_offset(dx, i), 0);
    while (tg_next(dx->shape, i));
    do {
        int64_t row = (int64_t)tg_get(index, tg_offset(index, i));
        int64_t to = (row < 0 ? 0 : row >= n ? n - 1 : row) * dx->stride[0];
        for (int k = 1; k < dx->shape.rank; k++)
            to += i[ri + k - 1] * dx->stride[k];
        tg_put(dx, to, tg_get(dx, to) + tg_get(dy, tg_offset(dy, i)));
    } while (tg_next(dy->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx) { dx[0] = tg_gather(dy, y->in[1]); }

static const tg_case cases[] = {
    { .in = { DIMS(4, 3), DIMS(4) },       .attr = &(const shape_attr){ DIMS(5, 3) }, .index_of = 2, .lo = 0, .hi = 4 },
    { .in = { DIMS(2, 4, 3), DIMS(2, 4) }, .attr = &(const shape_attr){ DIMS(5, 3) }, .index_of = 2, .lo = 0, .hi = 4 },
};

const tg_op op_gather_grad = {
    "gather_grad", .arity = 2, .attr_size = sizeof(shape_attr), .shape = shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 1e-6,
};

tg *gather_grad(tg *dy, tg *index, tg_shape table)
{
    return tg_apply(&op_gather_grad, (tg *[]){ dy, index }, 2, &(shape_attr){ table });
}
