/* rows_bf16.h - rows of floats that become bfloat16: by functions, scaled, or as weights of attention.  For gemm_bf16.c, whose slabs they
 * are laid out for. */
#ifndef ROWS_BF16_H
#define ROWS_BF16_H
#include "bf16_simd.h"

enum { ROWS = 32, DEEP = 32, LEFT = ROWS * DEEP };              /* rows of a slab of the left operand, its numbers of k; all */

INLINE void settle_as(const form how, const curve *of, const float *x, uint16_t *y, int64_t n)
{
    const bend q = bend_of(of);
    for (int64_t i = 0; i < n; i += DEEP) {
        const int here = n - i < DEEP ? (int)(n - i) : DEEP, second = here > VW ? here - VW : 0;
        vf a = here >= VW ? vload(x + i) : vload_n(x + i, here), b = second == VW ? vload(x + i + VW) : second ? vload_n(x + i + VW, second) : vset(0.f);
        put(y + i, halves(follow(how, &q, a), follow(how, &q, b)), here);
    }
}

static void settle(act f, const float *x, uint16_t *y, int64_t n)
{
    enum { PIECE = 512 };
    const curve q = curve_of(f), plain = curve_of((act){ 0 });
    float piece[PIECE];
    switch (q.form) {
    case PLAIN:    settle_as(PLAIN, &q, x, y, n); break;
    case ABOVE:    settle_as(ABOVE, &q, x, y, n); break;
    case STRAIGHT: settle_as(STRAIGHT, &q, x, y, n); break;
    case CURVED:   settle_as(CURVED, &q, x, y, n); break;
    case PIECES:   settle_as(PIECES, &q, x, y, n); break;
    case PIECES_TANH: settle_as(PIECES_TANH, &q, x, y, n); break;
    case HARD:     settle_as(HARD, &q, x, y, n); break;
    default:
        for (int64_t i = 0; i < n; i += PIECE) {
            const int64_t here = n - i < PIECE ? n - i : PIECE;
            VEC_PICK(elementwise_vec)->unary(f, x + i, piece, here);
            settle_as(PLAIN, &plain, piece, y + i, here);
        }
    }
}

INLINE void quick_as(const form how, const bool slope, act f, const float *x, float *y, int64_t n)
{
    const curve of = curve_of(f);
    const bend q = bend_of(&of);
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        vstore(y + i, slope ? slope_of(how, &q, vload(x + i)) : follow(how, &q, vload(x + i)));
    if (i < n) {
        const vf v = vload_n(x + i, (int)(n - i));
        vstore_n(y + i, slope ? slope_of(how, &q, v) : follow(how, &q, v), (int)(n - i));
    }
}

static bool quick(act f, const float *x, float *y, int64_t n)
{
    switch (f.kind) {
    case ACT_SIGMOID: case ACT_SILU: case ACT_QUICK_GELU:
                         quick_as(CURVED, false, f, x, y, n); return true;
    case ACT_GELU:       quick_as(PIECES, false, f, x, y, n); return true;
    case ACT_GELU_TANH:  quick_as(PIECES_TANH, false, f, x, y, n); return true;
    case ACT_SILU_SLOPE: quick_as(CURVED, true, (act){ ACT_SILU, 0, 0 }, x, y, n); return true;
    case ACT_GELU_SLOPE: quick_as(PIECES, true, (act){ ACT_GELU, 0, 0 }, x, y, n); return true;
    default:             return false;
    }
}

/* scale x + bias for powers of two, -infinity from n on. */
INLINE vf score(const float *x, const vf scale, const float *bias, const vf unit, int64_t i, int64_t n)
{
    if (n - i >= VW)
        return bias ? vload(x + i) * scale + vload(bias + i) * unit : vload(x + i) * scale;
    const int left = n > i ? (int)(n - i) : 0;
    vf v = vload_n(x + i, left) * scale;
    vi lane = { 0 };
    for (int k = 0; k < VW; k++)
        lane[k] = k;
    if (bias)
        v += vload_n(bias + i, left) * unit;
    return vpick(lane < vseti(left), v, vset(-INFINITY));
}

INLINE vf highest(const float *x, const vf scale, const float *bias, const vf unit, int64_t n)
{
    vf most[2] = { vset(-INFINITY), vset(-INFINITY) };
    int64_t i = 0;
    for (; i + DEEP <= n; i += DEEP)
        UNROLL for (int j = 0; j < 2; j++)
            most[j] = vmax(most[j], score(x, scale, bias, unit, i + j * VW, INT64_MAX));
    for (; i < n; i += VW)
        most[0] = vmax(most[0], score(x, scale, bias, unit, i, n));
    return vset(vmaximum(vmax(most[0], most[1])));
}

/* 2^x for x <= 0, or as good as nothing: what masks of -100 leave, and its products, would be subnormal numbers, which the processor takes a
 * hundred cycles each for. */
INLINE vf weight_of(vf x) { return power(vmax(x, vset(-64.f))); }

INLINE float weigh_by(const float *x, float by, const float *bias, int64_t n, uint16_t *y)
{
    const vf unit = vset(1.44269504f), scale = vset(by) * unit, top = highest(x, scale, bias, unit, n);
    vf sum = vset(0.f);
    for (int64_t i = 0; i < n; i += DEEP, y += LEFT) {
        const int64_t end = i + DEEP <= n ? INT64_MAX : n;
        vf part[2];
        UNROLL for (int j = 0; j < 2; j++)
            part[j] = i + j * VW < end ? weight_of(score(x, scale, bias, unit, i + j * VW, end) - top) : vset(0.f);
        sum += part[0] + part[1];
        put(y, halves(part[0], part[1]), DEEP);
    }
    return vsum(sum);
}

INLINE void weigh_back_by(float *x, float by, const float *bias, float *dx, float *dbias, bool add, int64_t n)
{
    const vf unit = vset(1.44269504f), scale = vset(by) * unit, top = highest(x, scale, bias, unit, n);
    vf sum = vset(0.f), dot = vset(0.f);
    for (int64_t i = 0; i < n; i += VW) {
        const vf e = weight_of(score(x, scale, bias, unit, i, n) - top);
        vstore(x + i, e);
        sum += e;
        dot += e * vload(dx + i);
    }
    const float part = 1 / vsum(sum);
    const vf mean = vset(vsum(dot) * part);
    for (int64_t i = 0; i < n; i += VW) {
        const int here = n - i < VW ? (int)(n - i) : VW;
        const vf p = vload(x + i) * vset(part), d = p * (vload(dx + i) - mean);
        if (dbias)
            vstore_n(dbias + i, add ? vload_n(dbias + i, here) + d : d, here);
        vstore(x + i, p);
        vstore(dx + i, d * vset(by));
    }
}

/* x = softmax(scale x + bias); dx, in place, the gradient of x from that of the result; dbias = that before it is scaled, or += it, NULL:
 * nowhere.  Whole vectors of x and dx are there, and written. */
static void weigh_back(float *x, float scale, const float *bias, float *dx, float *dbias, bool add, int64_t n)
{
    if (bias)
        weigh_back_by(x, scale, bias, dx, dbias, add, n);
    else
        weigh_back_by(x, scale, NULL, dx, dbias, add, n);
}

/* y = e^(scale x + bias - the largest), a row of slabs, zeros from n on; bias may be NULL.  The sum of y before it is rounded. */
static float weigh(const float *x, float scale, const float *bias, int64_t n, uint16_t *y)
{
    return bias ? weigh_by(x, scale, bias, n, y) : weigh_by(x, scale, NULL, n, y);
}

/* y = x, times a number. */
static void round_scaled(const float *x, float by, uint16_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += DEEP) {
        const int here = n - i < DEEP ? (int)(n - i) : DEEP;
        vf a = here >= VW ? vload(x + i) : vload_n(x + i, here), b = here == DEEP ? vload(x + i + VW) : here > VW ? vload_n(x + i + VW, here - VW) : vset(0.f);
        put(y + i, halves(a * vset(by), b * vset(by)), here);
    }
}

#endif
