/* greater.c - y = 1 where a > b, else 0; numpy broadcasting. */
#include "ops/elementwise.h"

static double greater_of(double a, double b) { return a > b; }
static void ref(const tg_call *c) { binary_ref(c, greater_of); }

static const tg_case cases[] = {
    { .in = { DIMS(3, 7), DIMS(3, 7) }, .kinked = true },
    { .in = { DIMS(2, 5, 4, 3), DIMS(5, 1, 1) }, .kinked = true, .note = "a number a channel" },
    { .in = { DIMS(2, 5, 4, 3), DIMS(2, 5, 1, 1) }, .kinked = true, .note = "a gate" },
    { .in = { DIMS(1), DIMS(4, 3) }, .kinked = true },
    { .in = { DIMS(2, 1, 3), DIMS(4, 1) }, .kinked = true, .note = "both are repeated" },
    { .in = { DIMS(2, 3), DIMS(4, 3) }, .rejects = "do not broadcast" },
};

const tg_op op_greater = {
    "greater", .arity = 2, .flags = TG_ELEMENTWISE | TG_FLAT, .shape = broadcast_shape, .ref = ref, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_greater(tg *a, tg *b) { return tg_apply(&op_greater, (tg *[]){ a, b }, 2, NULL); }
