/* after.c - y = x, computed no sooner than its second operand: how a graph says that something has time. */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    (void)c, (void)n_in, (void)attr;
    return in[0];
}

static void grad(tg *y, tg *dy, tg **dx) { (void)y, dx[0] = dy; }

static void ref(const tg_call *c)
{
    int64_t i[TG_MAX_RANK] = { 0 };
    if (tg_numel(c->out.shape))
        do
            tg_put(&c->out, tg_offset(&c->out, i), tg_get(&c->in[0], tg_offset(&c->in[0], i)));
        while (tg_next(c->out.shape, i));
}

static bool view(const tg_tensor *in, const void *attr, tg_tensor *out, int64_t *offset)
{
    (void)attr, (void)offset;
    memcpy(out->stride, in->stride, sizeof out->stride);
    return true;
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7), DIMS(2) }, .index_of = 2, .lo = 0, .hi = 9, .note = "all of x, nothing of the other" },
    { .in = { DIMS(2, 3, 5, 4), DIMS(2, 3, 5, 4) }, .index_of = 2, .lo = 0, .hi = 9 },
};

const tg_op op_after = {
    "after", .arity = 2, .flags = TG_VIEW, .shape = shape, .grad = grad, .ref = ref, .view = view, TG_CASES(cases), .tol = 0,
};

tg *tg_after(tg *x, tg *before)
{
    tg *y = tg_apply(&op_after, (tg *[]){ x, before }, 2, NULL);
    y->wants_grad = x->wants_grad;
    return y;
}
