/* concat.c - operands one after the other along one axis. */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    int axis = ((const axis_attr *)attr)->axis;
    tg_shape s = in[0];
    if (axis < 0 || axis >= s.rank)
        return tg_reject(c, "axis %d of %s", axis, tg_str(s));
    for (int k = 1; k < n_in; k++) {
        bool fits = in[k].rank == s.rank;
        for (int i = 0; i < s.rank && fits; i++)
            fits = i == axis || in[k].dim[i] == s.dim[i];
        if (!fits)
            return tg_reject(c, "do not join along axis %d", axis);
        s.dim[axis] += in[k].dim[axis];
    }
    return s;
}

static void ref(const tg_call *c)
{
    int axis = ((const axis_attr *)c->attr)->axis;
    int64_t base = 0;
    for (int k = 0; k < c->n_in; k++) {
        const tg_tensor *x = &c->in[k];
        int64_t i[TG_MAX_RANK] = { 0 };
        if (tg_numel(x->shape))
            do
                tg_put(&c->out, base + tg_offset(&c->out, i), tg_get(x, tg_offset(x, i)));
            while (tg_next(x->shape, i));
        base += x->shape.dim[axis] * c->out.stride[axis];
    }
}

static void grad(tg *y, tg *dy, tg **dx)
{
    int axis = ((const axis_attr *)tg_attr(y))->axis;
    int64_t at = 0;
    for (int k = 0; k < y->n_in; k++) {
        dx[k] = tg_slice(dy, axis, at, at + tg_dim(y->in[k], axis));
        at += tg_dim(y->in[k], axis);
    }
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7), DIMS(3, 2) },               .attr = &(const axis_attr){ 1 } },
    { .in = { DIMS(2, 3, 4), DIMS(1, 3, 4) },         .attr = &(const axis_attr){ 0 } },
    { .in = { DIMS(2, 3, 4, 5), DIMS(2, 1, 4, 5), DIMS(2, 2, 4, 5) }, .attr = &(const axis_attr){ 1 } },
    { .in = { DIMS(2, 3), DIMS(3, 3) },               .attr = &(const axis_attr){ 1 }, .rejects = "do not join along axis 1" },
};

const tg_op op_concat = {
    "concat", .arity = -1, .attr_size = sizeof(axis_attr), .shape = shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 0,
};

tg *tg_concat_all(int axis, tg *const *x, int count)
{
    return tg_apply(&op_concat, x, count, &(axis_attr){ axis < 0 ? axis + tg_rank(x[0]) : axis });
}

/* A token or the like, of batch 1, is repeated for each image. */
tg *tg_concat(int axis, tg *a, tg *b)
{
    tg **one = tg_dim(a, 0) == 1 ? &a : &b, *many = one == &a ? b : a;
    if (axis != 0 && tg_dim(*one, 0) == 1 && tg_dim(many, 0) != 1 && tg_rank(*one) == tg_rank(many)) {
        tg_shape s = (*one)->shape;
        s.dim[0] = tg_dim(many, 0);
        *one = tg_expand(*one, s);
    }
    return tg_concat_all(axis, (tg *[]){ a, b }, 2);
}
