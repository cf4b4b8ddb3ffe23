/* depthwise_bf16.c - each channel by its own kernel, the result of bfloat16, the image too or of floats: 32 channels at a time.  Of
 * bfloat16 those of even number are in one vector of floats and those of odd number in another, as a shift and a mask find them, and
 * so do weights and bias lie.
 *
 * Kernels of 3, 5 and 7 columns, not dilated along a row: strips of pixels share weights and what they read, as in depthwise_vec.c.
 */
#include "lanes_bf16.h"

/* n channels of a pixel, as two vectors. */
INLINE void widen(const bool floats, const void *x, int64_t at, int n, vf *v)
{
    if (floats) {
        const float *from = (const float *)x + at;
        v[0] = n >= VW ? vload(from) : vload_n(from, n);
        v[1] = n == WIDE_VW ? vload(from + VW) : vload_n(from + VW, n > VW ? n - VW : 0);
        return;
    }
    vi both = (vi)get((const uint16_t *)x + at, n);
    v[0] = (vf)(both << 16);
    v[1] = (vf)(both & vseti(-65536));
}

/* `pixels` neighbours of n <= 32 channels, to sum[pixel][32]; x: where the first tap of kernel row 0 of `rows` lies, w: its weights.  Taps
 * [first, end) fall inside the image: known to be all of them, or looked at. */
INLINE void strip(const depthwise *d, const bool floats, const int pixels, const int k, const int stride, const bool all, int64_t first, int64_t end,
                  const int n, int64_t x, const float *w, int64_t rows, const float *bias, float *sum)
{
    vf acc[STRIP][2];
    UNROLL for (int p = 0; p < pixels; p++)
        UNROLL for (int j = 0; j < 2; j++)
            acc[p][j] = bias ? vload(bias + j * VW) : vset(0.f);
    for (int64_t r = 0; r < rows; r++, x += d->dilation[0] * d->xy, w += k * d->room) {
        vf weight[7][2];
        UNROLL for (int t = 0; t < k; t++)
            UNROLL for (int j = 0; j < 2; j++)
                weight[t][j] = vload(w + t * d->room + j * VW);
        UNROLL for (int q = 0; q < (pixels - 1) * stride + k; q++) {
            if (!all && (q < first || q >= end))
                continue;
            vf v[2];
            widen(floats, d->x, x + q * d->xx, n, v);
            UNROLL for (int p = 0; p < pixels; p++)
                if (q - p * stride >= 0 && q - p * stride < k)
                    UNROLL for (int j = 0; j < 2; j++)
                        acc[p][j] += v[j] * weight[q - p * stride][j];
        }
    }
    UNROLL for (int p = 0; p < pixels; p++)
        UNROLL for (int j = 0; j < 2; j++)
            vstore(sum + (2 * p + j) * VW, acc[p][j]);
}

static __attribute__((noinline)) void leave_of_floats(const depthwise *d, const curve *q, float *sum, int pixels, int n, uint16_t *y)
{
    leave(d->f, q, true, sum, pixels, n, y, d->yx);
}
static __attribute__((noinline)) void leave_in_turn(const depthwise *d, const curve *q, float *sum, int pixels, int n, uint16_t *y)
{
    leave(d->f, q, false, sum, pixels, n, y, d->yx);
}

/* Pixels [ox, ox + pixels) of channels [c, end).  What the next row of results is first to need is fetched meanwhile. */
INLINE void strips(const depthwise *d, const curve *q, const bool floats, const int pixels, const int k, const int stride, int64_t oy, int64_t ox,
                   int64_t c, int64_t end, int64_t y0, int64_t y1)
{
    const int64_t left = ox * stride - d->pad[1], reach = (pixels - 1) * stride + k, row = oy * d->stride[0] - d->pad[0];
    const int64_t x = (row + y0 * d->dilation[0]) * d->xy + left * d->xx, next = (row + (d->kh - 1) * d->dilation[0] + 1) * d->xy + left * d->xx;
    const float *w = d->weights + y0 * k * d->room;
    uint16_t *y = (uint16_t *)(void *)d->y + oy * d->yy + ox * d->yx;
    const bool all = left >= 0 && left + reach <= d->w;
    for (; c < end; c += WIDE_VW) {
        _Alignas(64) float sum[STRIP * WIDE_VW];
        const float *bias = d->bias ? d->bias + c : NULL;
        const int n = end - c < WIDE_VW ? (int)(end - c) : WIDE_VW;
        for (int i = 0; i < stride; i++)
            for (int64_t p = 0; p < pixels * stride; p++)
                for (int64_t line = 0; line < (floats ? 2 : 1); line++)
                    __builtin_prefetch((const char *)d->x + (next + i * d->xy + p * d->xx + c) * (floats ? 4 : 2) + line * 64, 0, 2);
        if (pixels >= 7 && all && n == WIDE_VW)
            strip(d, floats, pixels, k, stride, true, 0, reach, WIDE_VW, x + c, w + c, y1 - y0, bias, sum);
        else
            strip(d, floats, pixels, k, stride, false, -left, d->w - left, n, x + c, w + c, y1 - y0, bias, sum);
        if (floats)
            leave_of_floats(d, q, sum, pixels, n, y + c);
        else
            leave_in_turn(d, q, sum, pixels, n, y + c);
    }
}

typedef void strips_of(const depthwise *d, const curve *q, int64_t oy, int64_t ox, int64_t c, int64_t end, int64_t y0, int64_t y1);
#define STRIPS(k, s, p, floats) \
    static __attribute__((noinline)) void strips_##k##_##s##_##p##_##floats(const depthwise *d, const curve *q, int64_t oy, int64_t ox, int64_t c, \
                                                                            int64_t end, int64_t y0, int64_t y1) \
    { \
        strips(d, q, floats, p, k, s, oy, ox, c, end, y0, y1); \
    }
#define OF(k, s, f) STRIPS(k, s, 1, f) STRIPS(k, s, 2, f) STRIPS(k, s, 4, f) STRIPS(k, s, 7, f) STRIPS(k, s, 8, f)
#define KERNEL(k, s) OF(k, s, 0) OF(k, s, 1)
KERNEL(3, 1) KERNEL(3, 2) KERNEL(5, 1) KERNEL(5, 2) KERNEL(7, 1)

/* By pixels; NULL: not one of these kernels. */
static strips_of *const *usual(const depthwise *d)
{
#define BY_PIXELS(k, s, f) \
    { [1] = strips_##k##_##s##_1_##f, [2] = strips_##k##_##s##_2_##f, [4] = strips_##k##_##s##_4_##f, [7] = strips_##k##_##s##_7_##f, \
      [8] = strips_##k##_##s##_8_##f }
#define BY_KERNEL(f) \
    { [3] = { [1] = BY_PIXELS(3, 1, f), [2] = BY_PIXELS(3, 2, f) }, [5] = { [1] = BY_PIXELS(5, 1, f), [2] = BY_PIXELS(5, 2, f) }, \
      [7] = { [1] = BY_PIXELS(7, 1, f) } }
    static strips_of *const known[2][8][3][STRIP + 1] = { BY_KERNEL(0), BY_KERNEL(1) };
    if (d->dilation[1] != 1 || d->kw > 7 || d->stride[1] > 2)
        return NULL;
    strips_of *const *by = known[d->of_floats][d->kw][d->stride[1]];
    return by[STRIP] ? by : NULL;
}

static bool knows(const depthwise *d) { return usual(d) != NULL; }

/* A row of results: sevens where these come out even, or where eight pixels' sums and seven weights are more than there are registers. */
static void rows(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end)
{
    strips_of *const *by = usual(d);
    const curve q = curve_of(d->f);
    const int most = d->kw == 7 || (d->ow % 7 == 0 && d->ow <= 14) ? 7 : STRIP;
    for (int64_t oy = from; oy < to; oy++) {
        int64_t y0, y1;
        inside(oy * d->stride[0] - d->pad[0], d->dilation[0], d->kh, d->h, &y0, &y1);
        for (int64_t ox = 0, pixels; ox < d->ow; ox += pixels) {
            const int64_t rest_of = d->ow - ox;
            pixels = rest_of >= most ? most : rest_of >= 4 ? 4 : rest_of >= 2 ? 2 : 1;
            by[pixels](d, &q, oy, ox, c, end, y0, y1);
        }
    }
}

const depthwise_vec VEC(depthwise_bf16) = { .width = VW, .rows = rows, .knows = knows };
