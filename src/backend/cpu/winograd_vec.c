/* winograd_vec.c - the transforms of F(4x4, 3x3), channels in the lanes.
 *
 * Lavin 2015 (1509.09308), with the points 0, +-sqrt(1/2), +-sqrt(2) and infinity instead of 0, +-1, +-2: rounding
 * errors are then those of a direct convolution (measured: 9e-7 of the largest result, against 5e-6).
 */
#include "act_simd.h"
#include "vec.h"

#define A1 .70710678118654752f      /* sqrt(1/2), its cube, and those of sqrt(2) */
#define A3 .35355339059327376f
#define B1 1.4142135623730951f
#define B3 2.8284271247461903f

/* t = B' d, d and t `step` vectors apart. */
INLINE void to_points(const vf *d, vf *t, int step)
{
    vf d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    vf even = d4 - vset(2.f) * d2, odd = vset(A1) * (d3 - vset(2.f) * d1);
    vf even2 = d4 - vset(.5f) * d2, odd2 = vset(B1) * (d3 - vset(.5f) * d1);
    t[0] = d4 - vset(2.5f) * d2 + d0;
    t[step] = even + odd;
    t[2 * step] = even - odd;
    t[3 * step] = even2 + odd2;
    t[4 * step] = even2 - odd2;
    t[5 * step] = d5 - vset(2.5f) * d3 + d1;
}

/* y = A' m. */
INLINE void from_points(const vf *m, int step, vf *y, int ystep)
{
    vf s = m[step] + m[2 * step], d = m[step] - m[2 * step];
    vf s2 = m[3 * step] + m[4 * step], d2 = m[3 * step] - m[4 * step];
    y[0] = m[0] + s + s2;
    y[ystep] = vset(A1) * d + vset(B1) * d2;
    y[2 * ystep] = vset(.5f) * s + vset(2.f) * s2;
    y[3 * ystep] = vset(A3) * d + vset(B3) * d2 + m[5 * step];
}

/* m = A y. */
INLINE void spread_points(const vf *y, int ystep, vf *m, int step)
{
    vf y1 = y[ystep], y2 = y[2 * ystep], y3 = y[3 * ystep];
    vf even = y[0] + vset(.5f) * y2, odd = vset(A1) * y1 + vset(A3) * y3;
    vf even2 = y[0] + vset(2.f) * y2, odd2 = vset(B1) * y1 + vset(B3) * y3;
    m[0] = y[0];
    m[step] = even + odd;
    m[2 * step] = even - odd;
    m[3 * step] = even2 + odd2;
    m[4 * step] = even2 - odd2;
    m[5 * step] = y3;
}

/* n numbers at most a vector, from i on, of floats or bfloat16. */
INLINE vf some(const void *x, const bool narrow, int64_t i, int n)
{
    if (narrow)
        return vwiden((const uint16_t *)x + i, n);
    return n == VW ? vload((const float *)x + i) : vload_n((const float *)x + i, n);
}

INLINE void put_some(void *x, const bool narrow, int64_t i, vf v, int n)
{
    if (narrow)
        vnarrow((uint16_t *)x + i, v, n);
    else if (n == VW)
        vstore((float *)x + i, v);
    else
        vstore_n((float *)x + i, v, n);
}

/* 4 x 4 pixels from (y, x) on are wanted soon, channels from c on: maps of many images come from memory, whose lines no prefetcher of the
 * processor follows here. */
INLINE void fetch(const void *x, const bool narrow, int64_t at, int64_t down, int64_t right)
{
    const int64_t size = narrow ? 2 : 4;
    UNROLL for (int i = 0; i < WINO_OUT; i++)
        UNROLL for (int j = 0; j < WINO_OUT; j++)
            __builtin_prefetch((const char *)x + (at + i * down + j * right) * size, 0, 2);
}

/* Channels [c, c + n) of a patch. */
INLINE void patch(const winograd *w, const void *image, const bool narrow, int64_t y, int64_t x, float *to, bool inside, int64_t c, int n)
{
    vf d[WINO_SIZE];
    fetch(image, narrow, (y + WINO_IN) * w->xy + (x + 1) * w->xx + c, w->xy, w->xx);
    for (int i = 0; i < WINO_IN; i++)
        for (int j = 0; j < WINO_IN; j++) {
            bool in = inside || (y + i >= 0 && y + i < w->h && x + j >= 0 && x + j < w->w);
            d[i * WINO_IN + j] = in ? some(image, narrow, (y + i) * w->xy + (x + j) * w->xx + c, n) : vset(0.f);
        }
    for (int j = 0; j < WINO_IN; j++)
        to_points(d + j, d + j, WINO_IN);
    for (int i = 0; i < WINO_IN; i++) {
        to_points(d + i * WINO_IN, d + i * WINO_IN, 1);
        UNROLL for (int j = 0; j < WINO_IN; j++)
            put_some(to + (i * WINO_IN + j) * w->point, false, c, d[i * WINO_IN + j], n);
    }
}

INLINE void input_of(const winograd *w, const void *image, const bool narrow, int64_t y, int64_t x, float *to)
{
    bool inside = y >= 0 && x >= 0 && y + WINO_IN <= w->h && x + WINO_IN <= w->w;
    int64_t c = 0;
    if (inside)
        for (; c + VW <= w->channels; c += VW)
            patch(w, image, narrow, y, x, to, true, c, VW);
    else
        for (; c + VW <= w->channels; c += VW)
            patch(w, image, narrow, y, x, to, false, c, VW);
    if (c < w->channels)
        patch(w, image, narrow, y, x, to, inside, c, (int)(w->channels - c));
}

static void input(const winograd *w, const void *image, int64_t y, int64_t x, float *to)
{
    if (w->narrow)
        input_of(w, image, true, y, x, to);
    else
        input_of(w, image, false, y, x, to);
}

/* Dearer functions of the results of a tile. */
static __attribute__((noinline)) void bend(act f, vf *v)
{
    float room[WINO_OUT * WINO_OUT * VW];
    for (int i = 0; i < WINO_OUT * WINO_OUT; i++)
        vstore(room + i * VW, v[i]);
    act_any(f, room, room, WINO_OUT * WINO_OUT * VW);
    for (int i = 0; i < WINO_OUT * WINO_OUT; i++)
        v[i] = vload(room + i * VW);
}

INLINE void add_square(const winograd *w, const void *residual, const bool narrow, int64_t y, int64_t x, int64_t c, int n, vf *v)
{
    for (int i = 0; i < WINO_OUT && y + i < w->oh; i++)
        for (int j = 0; j < WINO_OUT && x + j < w->ow; j++)
            v[i * WINO_OUT + j] += some(residual, narrow, (y + i) * w->ry + (x + j) * w->rx + c, n);
}

/* Channels [c, c + n) of a tile's results; of bfloat16, and the residual is. */
INLINE void square(const winograd *w, const float *from, const void *residual, const bool narrow_residual, void *result, const bool narrow,
                   int64_t y, int64_t x, int64_t c, int n)
{
    vf m[WINO_SIZE], half[WINO_OUT * WINO_IN], out[WINO_OUT * WINO_OUT];
    const vf bias = w->bias ? vload(w->bias + c) : vset(0.f);
    for (int p = 0; p < WINO_SIZE; p++)
        m[p] = some(from + p * w->point, false, c, n);
    for (int j = 0; j < WINO_IN; j++)
        from_points(m + j, WINO_IN, half + j, WINO_IN);
    for (int i = 0; i < WINO_OUT; i++)
        from_points(half + i * WINO_IN, 1, out + i * WINO_OUT, 1);
    for (int i = 0; i < WINO_OUT * WINO_OUT; i++)
        out[i] += bias;
    if (residual && !w->act_first)
        add_square(w, residual, narrow_residual, y, x, c, n, out);
    if (w->f.kind == ACT_CLAMP)
        for (int i = 0; i < WINO_OUT * WINO_OUT; i++)
            out[i] = vclamp(out[i], vset(w->f.a), vset(w->f.b));
    else if (w->f.kind > ACT_CLAMP)
        bend(w->f, out);
    if (residual && w->act_first)
        add_square(w, residual, narrow_residual, y, x, c, n, out);
    for (int i = 0; i < WINO_OUT && y + i < w->oh; i++)
        for (int j = 0; j < WINO_OUT && x + j < w->ow; j++)
            put_some(result, narrow, (y + i) * w->xy + (x + j) * w->xx + c, out[i * WINO_OUT + j], n);
}

INLINE void output_of(const winograd *w, const float *from, const void *residual, const bool narrow_residual, void *result, const bool narrow,
                      int64_t y, int64_t x)
{
    int64_t c = 0;
    for (; c + VW <= w->channels; c += VW)
        square(w, from, residual, narrow_residual, result, narrow, y, x, c, VW);
    if (c < w->channels)
        square(w, from, residual, narrow_residual, result, narrow, y, x, c, (int)(w->channels - c));
}

static void output(const winograd *w, const float *from, const void *residual, void *result, int64_t y, int64_t x)
{
    if (w->narrow && (!residual || w->narrow_residual))
        output_of(w, from, residual, true, result, true, y, x);
    else if (!w->narrow && (!residual || !w->narrow_residual))
        output_of(w, from, residual, false, result, false, y, x);
    else
        output_of(w, from, residual, w->narrow_residual, result, w->narrow, y, x);
}

INLINE void spread_of(const winograd *w, const void *image, const bool narrow, int64_t y, int64_t x, float *to)
{
    for (int64_t c = 0; c < w->channels; c += VW) {
        vf d[WINO_OUT * WINO_OUT], half[WINO_IN * WINO_OUT], m[WINO_IN];
        int n = w->channels - c < VW ? (int)(w->channels - c) : VW;
        fetch(image, narrow, (y + WINO_OUT) * w->xy + x * w->xx + c, w->xy, w->xx);
        for (int i = 0; i < WINO_OUT; i++)
            for (int j = 0; j < WINO_OUT; j++)
                d[i * WINO_OUT + j] = y + i < w->oh && x + j < w->ow ? some(image, narrow, (y + i) * w->xy + (x + j) * w->xx + c, n) : vset(0.f);
        for (int j = 0; j < WINO_OUT; j++)
            spread_points(d + j, WINO_OUT, half + j, WINO_OUT);
        for (int i = 0; i < WINO_IN; i++) {
            spread_points(half + i * WINO_OUT, 1, m, 1);
            UNROLL for (int j = 0; j < WINO_IN; j++)
                put_some(to + (i * WINO_IN + j) * w->point, false, c, m[j], n);
        }
    }
}

static void spread(const winograd *w, const void *image, int64_t y, int64_t x, float *to)
{
    if (w->narrow)
        spread_of(w, image, true, y, x, to);
    else
        spread_of(w, image, false, y, x, to);
}

/* t = G k: powers of the points, 1, x, x^2, over the products of their distances. */
INLINE void weight_points(const vf *k, int kstep, vf *t, int step)
{
    const vf na = vset(-2.f / 3), nb = vset(1.f / 6);
    vf even = na * (k[0] + vset(.5f) * k[2 * kstep]), odd = na * vset(A1) * k[kstep];
    vf even2 = nb * (k[0] + vset(2.f) * k[2 * kstep]), odd2 = nb * vset(B1) * k[kstep];
    t[0] = k[0];
    t[step] = even + odd;
    t[2 * step] = even - odd;
    t[3 * step] = even2 + odd2;
    t[4 * step] = even2 - odd2;
    t[5 * step] = k[2 * kstep];
}

static void weights(const float *w, int64_t lane, int64_t down, int64_t right, int n, float *to, int64_t point)
{
    for (int j = 0; j < n; j += VW) {
        vf k[9], half[3 * WINO_IN], t[WINO_IN];
        float taps[9][VW];
        int lanes = n - j < VW ? n - j : VW;
        memset(taps, 0, sizeof taps);
        for (int i = 0; i < lanes; i++)
            UNROLL for (int p = 0; p < 9; p++)
                taps[p][i] = w[(j + i) * lane + p / 3 * down + p % 3 * right];
        UNROLL for (int p = 0; p < 9; p++)
            k[p] = vload(taps[p]);
        UNROLL for (int x = 0; x < 3; x++)
            weight_points(k + x, 3, half + x, 3);
        UNROLL for (int y = 0; y < WINO_IN; y++) {
            weight_points(half + 3 * y, 1, t, 1);
            UNROLL for (int x = 0; x < WINO_IN; x++)
                vstore(to + (y * WINO_IN + x) * point + j, t[x]);
        }
    }
}

/* k = G' t. */
INLINE void weight_sums(const vf *t, int step, vf *k, int kstep)
{
    const vf na = vset(-2.f / 3), nb = vset(1.f / 6);
    vf s = na * (t[step] + t[2 * step]), d = na * vset(A1) * (t[step] - t[2 * step]);
    vf s2 = nb * (t[3 * step] + t[4 * step]), d2 = nb * vset(B1) * (t[3 * step] - t[4 * step]);
    k[0] = t[0] + s + s2;
    k[kstep] = d + d2;
    k[2 * kstep] = vset(.5f) * s + vset(2.f) * s2 + t[5 * step];
}

static void weights_back(const float *from, int64_t point, int64_t n, float *w, int64_t lane, int64_t down, int64_t right)
{
    for (int64_t j = 0; j < n; j += VW) {
        vf t[WINO_SIZE], half[3 * WINO_IN], k[3];
        float taps[9][VW];
        for (int p = 0; p < WINO_SIZE; p++)
            t[p] = vload(from + p * point + j);
        for (int x = 0; x < WINO_IN; x++)
            weight_sums(t + x, WINO_IN, half + x, WINO_IN);
        for (int y = 0; y < 3; y++) {
            weight_sums(half + y * WINO_IN, 1, k, 1);
            UNROLL for (int x = 0; x < 3; x++)
                vstore(taps[y * 3 + x], k[x]);
        }
        for (int i = 0; i < VW && j + i < n; i++)
            for (int p = 0; p < 9; p++)
                w[(j + i) * lane + p / 3 * down + p % 3 * right] = taps[p][i];
    }
}

const winograd_vec VEC(winograd_vec) = { .input = input, .output = output, .weights = weights, .spread = spread, .weights_back = weights_back };
