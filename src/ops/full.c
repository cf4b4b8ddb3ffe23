/* full.c - y = one number everywhere, of the shape asked for; its operand only says which graph. */
#include "ops/op.h"

typedef struct full_attr { tg_shape shape; double value; } full_attr;

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    (void)c, (void)in, (void)n_in;
    return ((const full_attr *)attr)->shape;
}

static void ref(const tg_call *c)
{
    int64_t i[TG_MAX_RANK] = { 0 };
    do
        tg_put(&c->out, tg_offset(&c->out, i), ((const full_attr *)c->attr)->value);
    while (tg_next(c->out.shape, i));
}

static const tg_case cases[] = { { .in = { DIMS(1) }, .attr = &(const full_attr){ DIMS(2, 3), 1.5 } } };

const tg_op op_full = {
    "full", .arity = 1, .attr_size = sizeof(full_attr), .flags = TG_FLAT, .shape = shape, .ref = ref, TG_CASES(cases), .tol = 0,
};

tg *tg_full(const tg *x, tg_shape s, double value)
{
    float data[64];
    int64_t n = tg_numel(s);
    if (n > 64) {
        tg *one = tg_full(x, SHAPE(1), value);
        return tg_apply(&op_full, &one, 1, &(full_attr){ s, value });
    }
    for (int64_t i = 0; i < n; i++)
        data[i] = (float)value;
    return tg_const(x, s, data);
}
