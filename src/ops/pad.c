/* pad.c - more on both ends of axes: a constant, the mirror image without the edge, or the edge itself. */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const tg_pads *o = attr;
    tg_shape s = in[0];
    (void)n_in;
    for (int i = 0; i < s.rank; i++) {
        int64_t most = o->mode == TG_PAD_REFLECT ? s.dim[i] - 1 : o->mode == TG_PAD_EDGE && !s.dim[i] ? 0 : INT64_MAX / 4;
        if (o->before[i] < 0 || o->after[i] < 0 || o->before[i] > most || o->after[i] > most)
            return tg_reject(c, "pad %lld, %lld on axis %d of %s", (long long)o->before[i], (long long)o->after[i], i, tg_str(s));
        s.dim[i] += o->before[i] + o->after[i];
    }
    return s;
}

int64_t pad_source(const tg_pads *o, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    switch (o->mode) {
    case TG_PAD_REFLECT: return i < 0 ? -i : 2 * (n - 1) - i;
    case TG_PAD_EDGE:    return i < 0 ? 0 : n - 1;
    default:             return -1;
    }
}

static void ref(const tg_call *c)
{
    const tg_pads *o = c->attr;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 };
    do {
        int64_t from = 0;
        bool inside = true;
        for (int k = 0; k < x->shape.rank && inside; k++) {
            int64_t s = pad_source(o, i[k] - o->before[k], x->shape.dim[k]);
            inside = s >= 0;
            from += s * x->stride[k];
        }
        tg_put(y, tg_offset(y, i), inside ? tg_get(x, from) : o->value);
    } while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const tg_pads *o = tg_attr(y);
    const tg *x = y->in[0];
    for (int i = 0; i < tg_rank(x); i++) {
        int64_t n = tg_dim(x, i), b = o->before[i], a = o->after[i];
        if (!a && !b)
            continue;
        tg *middle = tg_slice(dy, i, b, b + n);
        if (o->mode != TG_PAD_CONST) {                       /* what lies outside came from inside: each row back to its source */
            for (int64_t k = 0; k < b + a; k++) {
                int64_t at = k < b ? k - b : n + k - b, to = pad_source(o, at, n);
                tg_pads alone = { .before = { 0 } };
                alone.before[i] = to;
                alone.after[i] = n - 1 - to;
                middle = tg_add(middle, tg_pad(tg_slice(dy, i, at + b, at + b + 1), alone));
            }
        }
        dy = middle;
    }
    dx[0] = dy;
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) },       .attr = &(const tg_pads){ .before = { 0, 1 }, .after = { 0, 2 } } },
    { .in = { DIMS(3, 4) },       .attr = &(const tg_pads){ .before = { 1, 1 }, .after = { 0, 2 }, .value = 3 } },
    { .in = { DIMS(2, 3, 5, 4) }, .attr = &(const tg_pads){ .before = { 0, 0, 1, 2 }, .after = { 0, 0, 2, 1 }, .mode = TG_PAD_REFLECT } },
    { .in = { DIMS(2, 3, 5, 4) }, .attr = &(const tg_pads){ .before = { 0, 0, 1, 2 }, .after = { 0, 0, 2, 1 }, .mode = TG_PAD_EDGE } },
    { .in = { DIMS(2, 3) },       .attr = &(const tg_pads){ .before = { 0, 3 }, .mode = TG_PAD_REFLECT }, .rejects = "pad 3, 0 on axis 1 of (2, 3)" },
};

const tg_op op_pad = {
    "pad", .arity = 1, .attr_size = sizeof(tg_pads), .shape = shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 0,
};

tg *tg_pad(tg *x, tg_pads o)
{
    bool any = x->poisoned;
    for (int i = 0; i < tg_rank(x); i++)
        any |= o.before[i] || o.after[i];
    return any ? tg_apply(&op_pad, &x, 1, &o) : x;
}
