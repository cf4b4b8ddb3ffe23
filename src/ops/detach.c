/* detach.c - y = x, and no gradient flows back: x counts as a constant. */
#include "ops/elementwise.h"

static bool view(const tg_tensor *in, const void *attr, tg_tensor *out, int64_t *offset)
{
    (void)attr, (void)offset;
    memcpy(out->stride, in->stride, sizeof out->stride);
    return true;
}

static double same(double x, const void *attr) { return (void)attr, x; }

static const tg_case cases[] = {
    { .in = { DIMS(3, 7) } },
    { .in = { DIMS(2, 3, 5, 4) } },
};

const tg_op op_detach = {
    "detach", .arity = 1, .flags = TG_VIEW | TG_FLAT, .shape = unary_shape, .ref = unary_ref, .scalar = same,
    .view = view, TG_CASES(cases), .tol = 0,
};

tg *tg_detach(tg *x) { return tg_apply(&op_detach, &x, 1, NULL); }
