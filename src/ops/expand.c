/* expand.c - axes of size 1 repeated. */
#include "ops/elementwise.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    tg_shape s = ((const shape_attr *)attr)->shape;
    (void)n_in;
    bool fits = s.rank == in[0].rank;
    for (int i = 0; i < s.rank && fits; i++)
        fits = in[0].dim[i] == s.dim[i] || in[0].dim[i] == 1;
    return fits ? s : tg_reject(c, "does not expand to %s", tg_str(s));
}

static bool view(const tg_tensor *in, const void *attr, tg_tensor *out, int64_t *offset)
{
    (void)attr, (void)offset;
    *out = broadcast_to(in, out->shape);
    return true;
}

static void ref(const tg_call *c)
{
    tg_tensor x = broadcast_to(&c->in[0], c->out.shape);
    int64_t i[TG_MAX_RANK] = { 0 };
    if (tg_numel(c->out.shape))
        do
            tg_put(&c->out, tg_offset(&c->out, i), tg_get(&x, tg_offset(&x, i)));
        while (tg_next(c->out.shape, i));
}

static void grad(tg *y, tg *dy, tg **dx) { dx[0] = unbroadcast(dy, y->in[0]); }

static const tg_case cases[] = {
    { .in = { DIMS(1, 3) }, .attr = &(const shape_attr){ DIMS(4, 3) } },
    { .in = { DIMS(2, 1, 3) }, .attr = &(const shape_attr){ DIMS(2, 5, 3) } },
    { .in = { DIMS(2, 3) }, .attr = &(const shape_attr){ DIMS(4, 3) }, .rejects = "does not expand to (4, 3)" },
};

const tg_op op_expand = {
    "expand", .arity = 1, .attr_size = sizeof(shape_attr), .flags = TG_VIEW, .shape = shape, .grad = grad, .ref = ref,
    .view = view, TG_CASES(cases), .tol = 0,
};

tg *tg_expand(tg *x, tg_shape s)
{
    return tg_same(x->shape, s) && !x->poisoned ? x : tg_apply(&op_expand, &x, 1, &(shape_attr){ s });
}
