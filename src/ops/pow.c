/* pow.c - y = a to the power b, for a >= 0; numpy broadcasting. */
#include "ops/elementwise.h"

static double pow_of(double a, double b) { return pow(a, b); }
static void ref(const tg_call *c) { binary_ref(c, pow_of); }

/* da = dy b a^(b - 1), db = dy y log a.  A base of 0 is taken as the smallest normal number, so that b = 0 gives 0. */
static void grad(tg *y, tg *dy, tg **dx)
{
    tg *b = y->in[1], *a = tg_maximum(y->in[0], tg_full(y, SHAPE(1), 0x1p-126));
    dx[0] = unbroadcast(tg_mul(dy, tg_mul(b, tg_pow(a, tg_affine(b, 1, -1)))), y->in[0]);
    dx[1] = unbroadcast(tg_mul(dy, tg_mul(y, tg_log(a))), b);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7), DIMS(3, 7) }, .lo = .1, .hi = 3 },
    { .in = { DIMS(2, 5, 4, 3), DIMS(5, 1, 1) }, .lo = .1, .hi = 3, .note = "an exponent a channel" },
    { .in = { DIMS(1), DIMS(4, 3) }, .lo = .1, .hi = 3 },
    { .in = { DIMS(2, 3), DIMS(4, 3) }, .rejects = "do not broadcast" },
};

const tg_op op_pow = {
    "pow", .arity = 2, .flags = TG_ELEMENTWISE | TG_INPLACE, .shape = broadcast_shape, .grad = grad, .ref = ref,
    TG_CASES(cases), .tol = 1e-6,
};

tg *tg_pow(tg *a, tg *b) { return tg_apply(&op_pow, (tg *[]){ a, b }, 2, NULL); }
