/* copy.c - y = x, in memory of its own: what the planner puts where a kernel wants other strides. */
#include "ops/elementwise.h"

static void ref(const tg_call *c)
{
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 };
    if (tg_numel(y->shape))
        do
            tg_put(y, tg_offset(y, i), tg_get(x, tg_offset(x, i)));
        while (tg_next(y->shape, i));
}

static void grad(tg *y, tg *dy, tg **dx) { (void)y, dx[0] = dy; }

static const tg_case cases[] = { { .in = { DIMS(3, 7) } }, { .in = { DIMS(2, 3, 5, 4) } }, { .in = { DIMS(2, 2, 3, 2, 3, 5) } } };

const tg_op op_copy = {
    "copy", .arity = 1, .flags = TG_ELEMENTWISE, .shape = unary_shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 0,
};
