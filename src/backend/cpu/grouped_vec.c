/* grouped_vec.c - convolution in narrow groups, as many channels in as out: channels in the lanes.
 *
 * y[o] = sum over taps and i of w[o][i] x[i of o's group]: the weights of one tap and one i are a vector, as are what its lanes read
 * of a pixel: one number where a group fills a vector, else numbers of several groups, spread over the lanes of each.
 */
#include "depthwise_simd.h"

enum { MOST = 8, LINE = 16 };               /* pixels by vectors of a strip; numbers of a cache line */

/* Number i of each group of `width` numbers, in all lanes of the group. */
INLINE vf spread(const float *x, const int width, const int i)
{
    if (width >= VW)
        return vset(x[i]);
#if VEC_BYTES == 64
    if (width == 8) {
        const __m512i lane = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8);
        return (vf)_mm512_permutexvar_ps(_mm512_add_epi32(lane, _mm512_set1_epi32(i)), (__m512)vload(x));
    }
#define FOUR(v, at) (vf)_mm512_permute_ps((__m512)(v), at)
#elif VEC_BYTES == 32
#define FOUR(v, at) (vf)_mm256_permute_ps((__m256)(v), at)
#else
#define FOUR(v, at) (v)
#endif
    vf v = vload(x);
    return i == 0 ? FOUR(v, 0x00) : i == 1 ? FOUR(v, 0x55) : i == 2 ? FOUR(v, 0xaa) : FOUR(v, 0xff);
#undef FOUR
}

/* `pixels` neighbours from ox on, all channels of a block of `vecs` vectors from c on; taps [y0, y1) by [x0, x1). */
INLINE void strip(const depthwise *d, const int width, const int vecs, const int pixels, int64_t oy, int64_t ox, int64_t c, int64_t y0,
                  int64_t y1, int64_t x0, int64_t x1)
{
    vf acc[MOST];
    const int64_t right = d->stride[1] * d->xx, tap = width * vecs * VW;
    const float *w = d->weights + c * d->kh * d->kw * width;
    UNROLL for (int p = 0; p < pixels; p++)
        UNROLL for (int v = 0; v < vecs; v++)
            acc[p * vecs + v] = d->bias ? vload(d->bias + c + v * VW) : vset(0.f);
    for (int64_t ky = y0; ky < y1; ky++)
        for (int64_t kx = x0; kx < x1; kx++) {
            const float *x = d->x + (oy * d->stride[0] - d->pad[0] + ky * d->dilation[0]) * d->xy + c
                             + (ox * d->stride[1] - d->pad[1] + kx * d->dilation[1]) * d->xx;
            const float *weight = w + (ky * d->kw + kx) * tap;
            UNROLL for (int i = 0; i < width; i++) {
                vf by[MOST];
                UNROLL for (int v = 0; v < vecs; v++)
                    by[v] = vload(weight + (i * vecs + v) * VW);
                UNROLL for (int p = 0; p < pixels; p++) {
                    vf at = spread(x + p * right, width, i);
                    UNROLL for (int v = 0; v < vecs; v++)
                        acc[p * vecs + v] += at * by[v];
                }
            }
        }
    UNROLL for (int p = 0; p < pixels; p++)
        UNROLL for (int v = 0; v < vecs; v++) {
            vf sum = acc[p * vecs + v];
            if (d->residual && !d->act_first)
                sum += vload(d->residual + oy * d->ry + (ox + p) * d->rx + c + v * VW);
            if (d->f.kind == ACT_CLAMP)
                sum = vclamp(sum, vset(d->f.a), vset(d->f.b));
            vstore(d->y + oy * d->yy + (ox + p) * d->yx + c + v * VW, sum);
        }
}

/* Pixels [from, to) whose taps all fall inside, some at a time and then one by one: all of them for the channels of a cache line, whose
 * weights then stay near. */
#define PIXELS(vecs) (MOST / (vecs))
#define STRIPS(width, vecs) \
    static __attribute__((noinline)) void strips_##width(const depthwise *d, int64_t oy, int64_t from, int64_t to, int64_t c, int64_t end, \
                                                         int64_t y0, int64_t y1) \
    { \
        for (int64_t line; c < end; c = line) { \
            line = end - c < LINE ? end : c + LINE; \
            int64_t ox = from; \
            for (; ox + PIXELS(vecs) <= to; ox += PIXELS(vecs)) \
                for (int64_t b = c; b < line; b += (vecs) * VW) \
                    strip(d, width, vecs, PIXELS(vecs), oy, ox, b, y0, y1, 0, d->kw); \
            for (; ox < to; ox++) \
                for (int64_t b = c; b < line; b += (vecs) * VW) \
                    strip(d, width, vecs, 1, oy, ox, b, y0, y1, 0, d->kw); \
        } \
    } \
    static __attribute__((noinline)) void edge_##width(const depthwise *d, int64_t oy, int64_t ox, int64_t c, int64_t end, int64_t y0, \
                                                       int64_t y1, int64_t x0, int64_t x1) \
    { \
        for (; c < end; c += (vecs) * VW) \
            strip(d, width, vecs, 1, oy, ox, c, y0, y1, x0, x1); \
    } \
    static void rows_##width(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end) \
    { \
        rows(d, from, to, c, end, strips_##width, edge_##width); \
    }

typedef void strips_of(const depthwise *d, int64_t oy, int64_t ox, int64_t to, int64_t c, int64_t end, int64_t y0, int64_t y1);
typedef void edge_of(const depthwise *d, int64_t oy, int64_t ox, int64_t c, int64_t end, int64_t y0, int64_t y1, int64_t x0, int64_t x1);

static void rows(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end, strips_of *strips, edge_of *edge)
{
    const int64_t s = d->stride[1], reach = (d->kw - 1) * d->dilation[1];
    int64_t left = (d->pad[1] + s - 1) / s, right = d->w + d->pad[1] - reach;      /* pixels with all taps inside: [left, right) */
    right = right > 0 ? (right + s - 1) / s : 0;
    right = right > d->ow ? d->ow : right;
    left = left > right ? right : left;
    for (int64_t oy = from; oy < to; oy++) {
        int64_t y0, y1, x0, x1;
        inside(oy * d->stride[0] - d->pad[0], d->dilation[0], d->kh, d->h, &y0, &y1);
        for (int64_t ox = left ? 0 : right; ox < d->ow; ox = ox + 1 == left ? right : ox + 1) {
            inside(ox * s - d->pad[1], d->dilation[1], d->kw, d->w, &x0, &x1);
            edge(d, oy, ox, c, end, y0, y1, x0, x1);
        }
        strips(d, oy, left, right, c, end, y0, y1);
    }
    if (d->f.kind > ACT_CLAMP || (d->residual && d->act_first))
        finish(d, from, to, c, end);
}

#if VEC_BYTES == 64
STRIPS(4, 1) STRIPS(8, 1) STRIPS(16, 1)
#elif VEC_BYTES == 32
STRIPS(4, 1) STRIPS(8, 1) STRIPS(16, 2)
#else
STRIPS(4, 1) STRIPS(8, 2) STRIPS(16, 4)
#endif

const grouped_vec VEC(grouped_vec) = { .width = VW, .rows = { [4] = rows_4, [8] = rows_8, [16] = rows_16 } };
