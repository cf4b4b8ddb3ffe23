/* gather.c - rows of a table by index: y[i..., :] = table[index[i...], :].  Indices are whole numbers. */
#include "ops/gather_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    tg_shape s = in[1];
    (void)n_in, (void)attr;
    if (in[0].rank < 1 || s.rank + in[0].rank - 1 > TG_MAX_RANK)
        return tg_reject(c, "rows of %s by %s have too many axes", tg_str(in[0]), tg_str(in[1]));
    for (int i = 1; i < in[0].rank; i++)
        s.dim[s.rank++] = in[0].dim[i];
    return s;
}

static void ref(const tg_call *c)
{
    const tg_tensor *table = &c->in[0], *index = &c->in[1], *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 };
    int ri = index->shape.rank;
    if (tg_numel(y->shape))
        do {
            int64_t row = (int64_t)tg_get(index, tg_offset(index, i)), n = table->shape.dim[0];
            int64_t from = (row < 0 ? 0 : row >= n ? n - 1 : row) * table->stride[0];
            for (int k = 1; k < table->shape.rank; k++)
                from += i[ri + k - 1] * table->stride[k];
            tg_put(y, tg_offset(y, i), tg_get(table, from));
        } while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx) { dx[0] = gather_grad(dy, y->in[1], y->in[0]->shape); }

static const tg_case cases[] = {
    { .in = { DIMS(5, 3), DIMS(4) },    .index_of = 2, .lo = 0, .hi = 4 },
    { .in = { DIMS(5, 3), DIMS(2, 4) }, .index_of = 2, .lo = 0, .hi = 4 },
};

const tg_op op_gather = { "gather", .arity = 2, .shape = shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 0 };

tg *tg_gather(tg *table, tg *index) { return tg_apply(&op_gather, (tg *[]){ table, index }, 2, NULL); }
