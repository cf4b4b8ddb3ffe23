/* roll.c - index i of one axis moves to i + shift, around the end (torch.roll). */
#include "ops/op.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    int axis = ((const roll_attr *)attr)->axis;
    (void)n_in;
    return axis >= 0 && axis < in[0].rank ? in[0] : tg_reject(c, "axis %d of %s", axis, tg_str(in[0]));
}

static void ref(const tg_call *c)
{
    const roll_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t n = x->shape.dim[o->axis], i[TG_MAX_RANK] = { 0 };
    if (tg_numel(y->shape))
        do {
            int64_t to = ((i[o->axis] + o->shift) % n + n) % n;
            tg_put(y, tg_offset(y, i) + (to - i[o->axis]) * y->stride[o->axis], tg_get(x, tg_offset(x, i)));
        } while (tg_next(x->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const roll_attr *o = tg_attr(y);
    dx[0] = tg_roll(dy, o->axis, -o->shift);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) },       .attr = &(const roll_attr){ 1, 2 } },
    { .in = { DIMS(2, 6, 6, 3) }, .attr = &(const roll_attr){ 1, -3 } },
    { .in = { DIMS(2, 3) },       .attr = &(const roll_attr){ 2, 1 }, .rejects = "axis 2 of (2, 3)" },
};

const tg_op op_roll = {
    "roll", .arity = 1, .attr_size = sizeof(roll_attr), .shape = shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 0,
};

tg *tg_roll(tg *x, int axis, int64_t shift)
{
    return tg_apply(&op_roll, &x, 1, &(roll_attr){ axis < 0 ? axis + tg_rank(x) : axis, shift });
}
