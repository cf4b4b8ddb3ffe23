/* depthwise_vec.c - each channel by its own kernel, channels in the lanes.
 *
 * Kernels of 3, 5 and 7 columns: strips of up to eight pixels of a vector share weights and what they read of the image.  Others, and
 * channels that fill no vector: inside, four neighbouring pixels of two vectors share each weight; at the left and right border one
 * pixel at a time takes the taps that fall inside, over as many vectors as keep the adders busy.
 */
#include "depthwise_simd.h"

enum { PIXELS = 4, EDGE_VECS = 8 };

/* `pixels` neighbours from ox on, vectors of channels from c on, taps [x0, x1) of kernel rows [y0, y1). */
INLINE void block(const depthwise *d, const int pixels, const int vecs, const int last, int64_t oy, int64_t ox,
                  int64_t c, int64_t y0, int64_t y1, int64_t x0, int64_t x1)
{
    vf acc[PIXELS][EDGE_VECS];
    const int64_t step = d->stride[1] * d->xx, tap = d->dilation[1] * d->xx;
    const bool whole = last == VW;

    UNROLL for (int v = 0; v < vecs; v++) {
        vf start = d->bias ? vload(d->bias + c + v * VW) : vset(0.f);
        UNROLL for (int p = 0; p < pixels; p++)
            acc[p][v] = start;
    }
    for (int64_t ky = y0; ky < y1; ky++) {
        const float *x = d->x + (oy * d->stride[0] - d->pad[0] + ky * d->dilation[0]) * d->xy + c
                         + (ox * d->stride[1] - d->pad[1]) * d->xx + x0 * tap;
        const float *w = d->weights + (ky * d->kw + x0) * d->room + c;
        for (int64_t kx = x0; kx < x1; kx++, x += tap, w += d->room)
            UNROLL for (int v = 0; v < vecs; v++) {
                vf weight = vload(w + v * VW);
                UNROLL for (int p = 0; p < pixels; p++) {
                    const float *at = x + p * step + v * VW;
                    acc[p][v] += (v < vecs - 1 || whole ? vload(at) : vload_n(at, last)) * weight;
                }
            }
    }
    UNROLL for (int p = 0; p < pixels; p++)
        UNROLL for (int v = 0; v < vecs; v++) {
            float *y = d->y + oy * d->yy + (ox + p) * d->yx + c + v * VW;
            bool all = v < vecs - 1 || whole;
            if (d->residual && !d->act_first) {
                const float *r = d->residual + oy * d->ry + (ox + p) * d->rx + c + v * VW;
                acc[p][v] += all ? vload(r) : vload_n(r, last);
            }
            if (d->f.kind == ACT_CLAMP)
                acc[p][v] = vclamp(acc[p][v], vset(d->f.a), vset(d->f.b));
            if (all)
                vstore(y, acc[p][v]);
            else
                vstore_n(y, acc[p][v], last);
        }
}

static void edge_pixel(const depthwise *d, int64_t oy, int64_t ox, int64_t c, int64_t end, int64_t y0, int64_t y1)
{
    int64_t x0, x1;
    inside(ox * d->stride[1] - d->pad[1], d->dilation[1], d->kw, d->w, &x0, &x1);
    for (; c + EDGE_VECS * VW <= end; c += EDGE_VECS * VW)
        block(d, 1, EDGE_VECS, VW, oy, ox, c, y0, y1, x0, x1);
    for (; c + 2 * VW <= end; c += 2 * VW)
        block(d, 1, 2, VW, oy, ox, c, y0, y1, x0, x1);
    for (; c < end; c += VW)
        block(d, 1, 1, end - c < VW ? (int)(end - c) : VW, oy, ox, c, y0, y1, x0, x1);
}

/* Pixels [from, to), whose taps all fall inside, of vecs vectors of channels. */
INLINE void middle(const depthwise *d, const int vecs, const int last, int64_t oy, int64_t c, int64_t from, int64_t to,
                   int64_t y0, int64_t y1)
{
    int64_t ox = from;
    for (; ox + PIXELS <= to; ox += PIXELS)
        block(d, PIXELS, vecs, last, oy, ox, c, y0, y1, 0, d->kw);
    for (; ox + 2 <= to; ox += 2)
        block(d, 2, vecs, last, oy, ox, c, y0, y1, 0, d->kw);
    for (; ox < to; ox++)
        block(d, 1, vecs, last, oy, ox, c, y0, y1, 0, d->kw);
}

static __attribute__((noinline)) void middle2(const depthwise *d, int64_t oy, int64_t c, int64_t from, int64_t to,
                                              int64_t y0, int64_t y1)
{
    middle(d, 2, VW, oy, c, from, to, y0, y1);
}
static __attribute__((noinline)) void middle1(const depthwise *d, int last, int64_t oy, int64_t c, int64_t from,
                                              int64_t to, int64_t y0, int64_t y1)
{
    if (last == VW)
        middle(d, 1, VW, oy, c, from, to, y0, y1);
    else
        middle(d, 1, last, oy, c, from, to, y0, y1);
}

/* -- the usual kernels, not dilated along a row: neighbours share what they read ------------------------------------ */

enum { STRIP = 8, IN_LINE = 16 / VW };                   /* pixels; vectors of a cache line */

/* `pixels` neighbours of one vector of channels, from y on; x: the first tap of kernel row 0 of `rows`, w: its weights.  Taps
 * [first, end) fall inside the image: known to be all of them, or looked at. */
INLINE void strip(const depthwise *d, const int pixels, const int k, const int stride, const bool all, int64_t first, int64_t end,
                  const float *x, const float *w, int64_t rows, const float *bias, const float *residual, float *y)
{
    vf acc[STRIP];
    UNROLL for (int p = 0; p < pixels; p++)
        acc[p] = bias ? vload(bias) : vset(0.f);
    for (int64_t r = 0; r < rows; r++, x += d->dilation[0] * d->xy, w += k * d->room) {
        vf weight[7];
        UNROLL for (int t = 0; t < k; t++)
            weight[t] = vload(w + t * d->room);
        UNROLL for (int q = 0; q < (pixels - 1) * stride + k; q++) {
            if (!all && (q < first || q >= end))
                continue;
            vf v = vload(x + q * d->xx);
            UNROLL for (int p = 0; p < pixels; p++)
                if (q - p * stride >= 0 && q - p * stride < k)
                    acc[p] += v * weight[q - p * stride];
        }
    }
    UNROLL for (int p = 0; p < pixels; p++) {
        if (residual)
            acc[p] += vload(residual + p * d->rx);
        if (d->f.kind == ACT_CLAMP)
            acc[p] = vclamp(acc[p], vset(d->f.a), vset(d->f.b));
        vstore(y + p * d->yx, acc[p]);
    }
}

/* Pixels [ox, ox + pixels) of channels [c, end), whole vectors.  What the next row of results is first to need is fetched meanwhile
 * (strides down and along are taken to be the same). */
INLINE void strips(const depthwise *d, const int pixels, const int k, const int stride, int64_t oy, int64_t ox, int64_t c, int64_t end,
                   int64_t y0, int64_t y1)
{
    const int64_t left = ox * stride - d->pad[1], reach = (pixels - 1) * stride + k;
    const float *x = d->x + (oy * d->stride[0] - d->pad[0] + y0 * d->dilation[0]) * d->xy + left * d->xx;
    const float *next = d->x + (oy * d->stride[0] - d->pad[0] + (d->kh - 1) * d->dilation[0] + 1) * d->xy + left * d->xx;
    const float *w = d->weights + y0 * k * d->room, *r = d->act_first ? NULL : d->residual;
    float *y = d->y + oy * d->yy + ox * d->yx;
    r = r ? r + oy * d->ry + ox * d->rx : NULL;
    const bool all = left >= 0 && left + reach <= d->w;
    for (; c < end; c += VW) {
        const float *bias = d->bias ? d->bias + c : NULL, *add = r ? r + c : NULL;
        for (int i = 0; i < stride; i++)
            for (int64_t p = c / VW % IN_LINE; p < pixels * stride; p += IN_LINE)
                __builtin_prefetch(next + i * d->xy + p * d->xx + c, 0, 2);
        if (pixels == STRIP && all)
            strip(d, pixels, k, stride, true, 0, reach, x + c, w + c, y1 - y0, bias, add, y + c);
        else
            strip(d, pixels, k, stride, false, -left, d->w - left, x + c, w + c, y1 - y0, bias, add, y + c);
    }
}

typedef void strips_of(const depthwise *d, int64_t oy, int64_t ox, int64_t c, int64_t end, int64_t y0, int64_t y1);
#define STRIPS(k, s, p) \
    static __attribute__((noinline)) void strips_##k##_##s##_##p(const depthwise *d, int64_t oy, int64_t ox, int64_t c, int64_t end, int64_t y0, \
                                                                 int64_t y1) \
    { \
        strips(d, p, k, s, oy, ox, c, end, y0, y1); \
    }
#define KERNEL(k, s) STRIPS(k, s, 1) STRIPS(k, s, 2) STRIPS(k, s, 4) STRIPS(k, s, 7) STRIPS(k, s, 8)
KERNEL(3, 1) KERNEL(3, 2) KERNEL(5, 1) KERNEL(5, 2) KERNEL(7, 1)

/* By pixels; NULL: not one of these kernels. */
static strips_of *const *usual(const depthwise *d)
{
#define BY_PIXELS(k, s) \
    { [1] = strips_##k##_##s##_1, [2] = strips_##k##_##s##_2, [4] = strips_##k##_##s##_4, [7] = strips_##k##_##s##_7, [8] = strips_##k##_##s##_8 }
    static strips_of *const known[8][3][STRIP + 1] = {
        [3] = { [1] = BY_PIXELS(3, 1), [2] = BY_PIXELS(3, 2) }, [5] = { [1] = BY_PIXELS(5, 1), [2] = BY_PIXELS(5, 2) }, [7] = { [1] = BY_PIXELS(7, 1) },
    };
    const bool may = d->dilation[1] == 1 && d->kw < 8 && d->stride[1] < 3 && known[d->kw][d->stride[1]][STRIP];
    return may ? known[d->kw][d->stride[1]] : NULL;
}

/* A row of results: sevens where these come out even, else eights and what is left. */
static void row(strips_of *const *by, const depthwise *d, int64_t oy, int64_t c, int64_t end, int64_t y0, int64_t y1)
{
    int pixels = d->ow % 7 == 0 && d->ow <= 14 ? 7 : STRIP;
    for (int64_t ox = 0; ox < d->ow; ox += pixels) {
        while (ox + pixels > d->ow)
            pixels /= 2;
        by[pixels](d, oy, ox, c, end, y0, y1);
    }
}

/* Any kernel, and channels that are no whole vector. */
static void any_rows(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end)
{
    const int64_t s = d->stride[1], reach = (d->kw - 1) * d->dilation[1];
    int64_t left = (d->pad[1] + s - 1) / s,
            right = d->w + d->pad[1] - reach; /* pixels with all taps inside: [left, right) */
    right = right > 0 ? (right + s - 1) / s : 0;
    right = right > d->ow ? d->ow : right;
    left = left > right ? right : left;

    for (int64_t oy = from; oy < to; oy++) {
        int64_t y0, y1;
        inside(oy * d->stride[0] - d->pad[0], d->dilation[0], d->kh, d->h, &y0, &y1);
        for (int64_t ox = 0; ox < left; ox++)
            edge_pixel(d, oy, ox, c, end, y0, y1);
        for (int64_t ox = right; ox < d->ow; ox++)
            edge_pixel(d, oy, ox, c, end, y0, y1);
    }
    for (int64_t at = c; at < end; at += 2 * VW)
        for (int64_t oy = from; oy < to; oy++) {
            int64_t y0, y1;
            inside(oy * d->stride[0] - d->pad[0], d->dilation[0], d->kh, d->h, &y0, &y1);
            if (at + 2 * VW <= end) {
                middle2(d, oy, at, left, right, y0, y1);
                continue;
            }
            for (int64_t one = at; one < end; one += VW)
                middle1(d, end - one < VW ? (int)(end - one) : VW, oy, one, left, right, y0, y1);
        }
}

static void rows(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end)
{
    strips_of *const *by = usual(d);
    const int64_t whole = by ? c + (end - c) / VW * VW : c;
    for (int64_t oy = from; oy < to && whole > c; oy++) {
        int64_t y0, y1;
        inside(oy * d->stride[0] - d->pad[0], d->dilation[0], d->kh, d->h, &y0, &y1);
        row(by, d, oy, c, whole, y0, y1);
    }
    if (whole < end)
        any_rows(d, from, to, whole, end);
    if (d->f.kind > ACT_CLAMP || (d->residual && d->act_first))
        finish(d, from, to, c, end);
}

const depthwise_vec VEC(depthwise_vec) = { .width = VW, .rows = rows };
