/* permute.c - the axes in another order: axis i of the result is axis order[i] of x. */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const permute_attr *o = attr;
    tg_shape s = { .rank = in[0].rank };
    unsigned seen = 0;
    (void)n_in;
    for (int i = 0; i < s.rank; i++) {
        if (o->order[i] < 0 || o->order[i] >= s.rank || (seen >> o->order[i] & 1))
            return tg_reject(c, "order %d at %d of %s", o->order[i], i, tg_str(in[0]));
        seen |= 1u << o->order[i];
        s.dim[i] = in[0].dim[o->order[i]];
    }
    return s;
}

static bool view(const tg_tensor *in, const void *attr, tg_tensor *out, int64_t *offset)
{
    (void)offset;
    for (int i = 0; i < in->shape.rank; i++)
        out->stride[i] = in->stride[((const permute_attr *)attr)->order[i]];
    return true;
}

static void ref(const tg_call *c)
{
    tg_tensor x = c->in[0];
    int64_t i[TG_MAX_RANK] = { 0 }, offset = 0;
    view(&c->in[0], c->attr, &x, &offset);
    if (tg_numel(c->out.shape))
        do
            tg_put(&c->out, tg_offset(&c->out, i), tg_get(&x, tg_offset(&x, i)));
        while (tg_next(c->out.shape, i));
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const permute_attr *o = tg_attr(y);
    int back[TG_MAX_RANK] = { 0 };
    for (int i = 0; i < tg_rank(y); i++)
        back[o->order[i]] = i;
    dx[0] = tg_permute(dy, back);
}

static void describe(const void *attr, char *text, size_t size)
{
    const int *o = ((const permute_attr *)attr)->order;
    snprintf(text, size, "%d%d%d%d%d%d", o[0], o[1], o[2], o[3], o[4], o[5]);
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 4) },    .attr = &(const permute_attr){ { 1, 2, 0 } } },
    { .in = { DIMS(2, 3, 4, 5) }, .attr = &(const permute_attr){ { 0, 2, 3, 1 } } },
    { .in = { DIMS(2, 3) },       .attr = &(const permute_attr){ { 0, 0 } }, .rejects = "order 0 at 1 of (2, 3)" },
};

const tg_op op_permute = {
    "permute", .arity = 1, .attr_size = sizeof(permute_attr), .flags = TG_VIEW, .shape = shape, .grad = grad, .ref = ref,
    .view = view, .describe = describe, TG_CASES(cases), .tol = 0,
};

tg *tg_permute(tg *x, const int *order)
{
    permute_attr a = { { 0 } };
    memcpy(a.order, order, (size_t)tg_rank(x) * sizeof *order);
    return tg_apply(&op_permute, &x, 1, &a);
}
