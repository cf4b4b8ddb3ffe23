/* sub.c - y = a - b; numpy broadcasting. */
#include "ops/elementwise.h"

static double sub_of(double a, double b) { return a - b; }
static void ref(const tg_call *c) { binary_ref(c, sub_of); }

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = unbroadcast(dy, y->in[0]);
    dx[1] = unbroadcast(tg_affine(dy, -1, 0), y->in[1]);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7), DIMS(3, 7) } },
    { .in = { DIMS(2, 5, 4, 3), DIMS(5, 1, 1) }, .note = "a number a channel" },
    { .in = { DIMS(2, 5, 4, 3), DIMS(2, 5, 1, 1) }, .note = "a gate" },
    { .in = { DIMS(1), DIMS(4, 3) } },
    { .in = { DIMS(2, 1, 3), DIMS(4, 1) }, .note = "both are repeated" },
    { .in = { DIMS(2, 3), DIMS(4, 3) }, .rejects = "do not broadcast" },
};

const tg_op op_sub = {
    "sub", .arity = 2, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = broadcast_shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_sub(tg *a, tg *b) { return tg_apply(&op_sub, (tg *[]){ a, b }, 2, NULL); }
