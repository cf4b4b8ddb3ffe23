/* depthwise_simd.h - what convolutions with channels in the lanes share. */
#ifndef DEPTHWISE_SIMD_H
#define DEPTHWISE_SIMD_H
#include "act_simd.h"
#include "vec.h"

/* Taps [a, b) whose place from + tap * step lies in [0, n). */
INLINE void inside(int64_t from, int64_t step, int64_t taps, int64_t n, int64_t *a, int64_t *b)
{
    *a = from < 0 ? (-from + step - 1) / step : 0;
    *b = n - from <= 0 ? 0 : (n - from + step - 1) / step;
    if (*b > taps)
        *b = taps;
    if (*a > *b)
        *a = *b;
}

/* Dear functions, and a residual after them, on rows [from, to) of channels [c, end). */
static inline void finish(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end)
{
    for (int64_t oy = from; oy < to; oy++)
        for (int64_t ox = 0; ox < d->ow; ox++) {
            float *y = d->y + oy * d->yy + ox * d->yx + c;
            const float *r = d->residual + oy * d->ry + ox * d->rx + c;
            if (d->f.kind > ACT_CLAMP)
                act_any(d->f, y, y, end - c);
            for (int64_t i = 0; d->residual && d->act_first && i < end - c; i++)
                y[i] += r[i];
        }
}

#endif
