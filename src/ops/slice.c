/* slice.c - every step-th index of one axis from `from` up to, not including, `to`. */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const slice_attr *o = attr;
    tg_shape s = in[0];
    (void)n_in;
    if (o->axis < 0 || o->axis >= s.rank)
        return tg_reject(c, "axis %d of %s", o->axis, tg_str(s));
    if (o->step < 1 || o->from < 0 || o->to < o->from || o->to > s.dim[o->axis])
        return tg_reject(c, "[%lld, %lld) by %lld of axis %d", (long long)o->from, (long long)o->to, (long long)o->step, o->axis);
    s.dim[o->axis] = (o->to - o->from + o->step - 1) / o->step;
    return s;
}

static bool view(const tg_tensor *in, const void *attr, tg_tensor *out, int64_t *offset)
{
    const slice_attr *o = attr;
    memcpy(out->stride, in->stride, sizeof out->stride);
    out->stride[o->axis] *= o->step;
    *offset = o->from * in->stride[o->axis];
    return true;
}

static void ref(const tg_call *c)
{
    tg_tensor x = c->in[0];
    int64_t i[TG_MAX_RANK] = { 0 }, offset = 0;
    view(&c->in[0], c->attr, &x, &offset);
    if (tg_numel(c->out.shape))
        do
            tg_put(&c->out, tg_offset(&c->out, i), tg_get(&x, offset + tg_offset(&x, i)));
        while (tg_next(c->out.shape, i));
}

/* Zeros around and, for steps, between. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const slice_attr *o = tg_attr(y);
    int64_t n = tg_dim(dy, o->axis), full = tg_dim(y->in[0], o->axis);
    if (o->step > 1) {
        tg_shape apart = dy->shape, together = dy->shape;
        if (apart.rank == TG_MAX_RANK) {
            dx[0] = tg_poison(y->graph, TIMM_UNSUPPORTED, "the gradient of a stepped slice of rank %d", apart.rank);
            return;
        }
        for (int i = apart.rank++; i > o->axis + 1; i--)
            apart.dim[i] = apart.dim[i - 1];
        apart.dim[o->axis + 1] = 1;
        tg_pads gap = { .after = { 0 } };
        gap.after[o->axis + 1] = o->step - 1;
        together.dim[o->axis] = n * o->step;
        dy = tg_reshape(tg_pad(tg_reshape(dy, apart), gap), together);
        n *= o->step;
    }
    if (o->from + n > full) {
        dy = tg_slice(dy, o->axis, 0, full - o->from);
        n = full - o->from;
    }
    tg_pads around = { .before = { 0 } };
    around.before[o->axis] = o->from;
    around.after[o->axis] = full - o->from - n;
    dx[0] = tg_pad(dy, around);
}

static void describe(const void *attr, char *text, size_t size)
{
    const slice_attr *o = attr;
    snprintf(text, size, "axis %d [%lld, %lld) by %lld", o->axis, (long long)o->from, (long long)o->to, (long long)o->step);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) },    .attr = &(const slice_attr){ 1, 2, 5, 1 } },
    { .in = { DIMS(2, 5, 4) }, .attr = &(const slice_attr){ 1, 0, 5, 2 } },
    { .in = { DIMS(2, 5, 4) }, .attr = &(const slice_attr){ 1, 1, 4, 2 } },
    { .in = { DIMS(2, 3) },    .attr = &(const slice_attr){ 1, 2, 5, 1 }, .rejects = "[2, 5) by 1 of axis 1" },
};

const tg_op op_slice = {
    "slice", .arity = 1, .attr_size = sizeof(slice_attr), .flags = TG_VIEW, .shape = shape, .grad = grad, .ref = ref,
    .view = view, .describe = describe, TG_CASES(cases), .tol = 0,
};

tg *tg_slice_step(tg *x, int axis, int64_t from, int64_t to, int64_t step)
{
    int64_t n = tg_dim(x, axis);
    slice_attr a = { .axis = axis < 0 ? axis + tg_rank(x) : axis, .from = from < 0 ? from + n : from, .to = to < 0 ? to + n : to,
                     .step = step };
    if (!x->poisoned && a.from == 0 && a.to == n && step == 1)
        return x;
    return tg_apply(&op_slice, &x, 1, &a);
}

tg *tg_slice(tg *x, int axis, int64_t from, int64_t to) { return tg_slice_step(x, axis, from, to, 1); }
