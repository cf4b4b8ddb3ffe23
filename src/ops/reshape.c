/* reshape.c - the same numbers in row-major order under another shape. */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    tg_shape s = ((const shape_attr *)attr)->shape;
    int64_t known = 1, total = tg_numel(in[0]);
    int open = -1;
    (void)n_in;
    for (int i = 0; i < s.rank; i++) {
        if (s.dim[i] >= 0)
            known *= s.dim[i];
        else if (open >= 0)
            return tg_reject(c, "two dimensions of %s are open", tg_str(s));
        else
            open = i;
    }
    if (open >= 0 && known > 0 && total % known == 0)
        s.dim[open] = total / known;
    if (tg_numel(s) != total || (open >= 0 && s.dim[open] < 0))
        return tg_reject(c, "has %lld numbers, not those of %s", (long long)total, tg_str(((const shape_attr *)attr)->shape));
    return s;
}

/* Walks runs of axes on both sides whose products agree; within a run the memory must be one stride. */
static bool view(const tg_tensor *in, const void *attr, tg_tensor *out, int64_t *offset)
{
    int i = 0, o = 0, ni = in->shape.rank, no = out->shape.rank;
    (void)attr, (void)offset;
    if (tg_numel(in->shape) == 0)
        return false;
    while (i < ni || o < no) {
        int i0 = i, o0 = o;
        int64_t pi = i < ni ? in->shape.dim[i++] : 1, po = o < no ? out->shape.dim[o++] : 1;
        while (pi != po)
            if (pi < po)
                pi *= in->shape.dim[i++];
            else
                po *= out->shape.dim[o++];
        int64_t stride = 0, reach = 0;                       /* the innermost stride of the run; what the next axis out must have */
        bool any = false;
        for (int k = i; k-- > i0;) {
            if (in->shape.dim[k] == 1)
                continue;
            if (!any)
                stride = in->stride[k];
            else if (in->stride[k] != reach)
                return false;
            any = true;
            reach = in->stride[k] * in->shape.dim[k];
        }
        for (int k = o; k-- > o0;) {
            out->stride[k] = stride;
            stride *= out->shape.dim[k];
        }
    }
    return true;
}

static void ref(const tg_call *c)
{
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 }, k[TG_MAX_RANK] = { 0 };
    if (tg_numel(y->shape))
        do {
            tg_put(y, tg_offset(y, i), tg_get(x, tg_offset(x, k)));
            tg_next(x->shape, k);
        } while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx) { dx[0] = tg_reshape(dy, y->in[0]->shape); }

#define TO(...) .attr = &(const shape_attr){ DIMS(__VA_ARGS__) }
static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 4) }, TO(6, 4) },
    { .in = { DIMS(2, 12) },   TO(2, 3, -1) },
    { .in = { DIMS(2, 3, 1) }, TO(1, 6) },
    { .in = { DIMS(2, 3) },    TO(4, 2), .rejects = "has 6 numbers, not those of (4, 2)" },
    { .in = { DIMS(2, 3) },    TO(-1, -1), .rejects = "two dimensions of (-1, -1) are open" },
};

const tg_op op_reshape = {
    "reshape", .arity = 1, .attr_size = sizeof(shape_attr), .flags = TG_VIEW, .shape = shape, .grad = grad, .ref = ref,
    .view = view, TG_CASES(cases), .tol = 0,
};

tg *tg_reshape(tg *x, tg_shape s)
{
    if (tg_same(x->shape, s) && !x->poisoned)
        return x;
    return tg_apply(&op_reshape, &x, 1, &(shape_attr){ s });
}
