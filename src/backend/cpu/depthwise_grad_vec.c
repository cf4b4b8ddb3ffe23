/* depthwise_grad_vec.c - what one row of dy adds to a kernel row's gradients, channels in the lanes. */
#include "simd.h"
#include "vec.h"

enum { PIXELS = 4, MOST_TAPS = 7 };

INLINE vf some(const float *p, int n) { return n == VW ? vload(p) : vload_n(p, n); }

/* Pixels [from, to) of dy, of which taps [a, b) fall inside the image. */
INLINE void edge(const depthwise_row *r, int64_t c, int n, int64_t from, int64_t to, vf *acc, const int taps)
{
    for (int64_t ox = from; ox < to; ox++) {
        vf d = some(r->dy + ox * r->dstep + c, n);
        UNROLL for (int l = 0; l < taps; l++) {
            int64_t q = ox * r->stride - r->pad + l * r->dilation;
            if (q >= 0 && q < r->w)
                acc[l] += d * some(r->x + q * r->xstep + c, n);
        }
    }
}

/* stride: r's, or 0 where it is not known; with a stride of 1 or 2 and no dilation neighbours share what they read of x. */
INLINE void channels(const depthwise_row *r, int64_t c, const int n, const int taps, const int stride, int64_t left, int64_t right)
{
    vf acc[MOST_TAPS];
    UNROLL for (int l = 0; l < taps; l++)
        acc[l] = some(r->sum + l * r->room + c, n);
    edge(r, c, n, 0, left, acc, taps);
    int64_t ox = left;
    for (; stride && ox + PIXELS <= right; ox += PIXELS) {
        const float *x = r->x + (ox * stride - r->pad) * r->xstep + c;
        vf d[PIXELS];
        UNROLL for (int p = 0; p < PIXELS; p++)
            d[p] = some(r->dy + (ox + p) * r->dstep + c, n);
        UNROLL for (int q = 0; q < (PIXELS - 1) * stride + taps; q++) {
            vf v = some(x + q * r->xstep, n);
            UNROLL for (int p = 0; p < PIXELS; p++)
                if (q - p * stride >= 0 && q - p * stride < taps)
                    acc[q - p * stride] += d[p] * v;
        }
    }
    edge(r, c, n, ox, r->ow, acc, taps);
    UNROLL for (int l = 0; l < taps; l++)
        if (n == VW)
            vstore(r->sum + l * r->room + c, acc[l]);
        else
            vstore_n(r->sum + l * r->room + c, acc[l], n);
}

INLINE void row(const depthwise_row *r, const int taps, const int stride)
{
    int64_t left = (r->pad + r->stride - 1) / r->stride, reach = (taps - 1) * r->dilation, c = 0;
    int64_t right = r->w + r->pad - reach > 0 ? (r->w + r->pad - reach + r->stride - 1) / r->stride : 0;
    right = right < r->ow ? right : r->ow;
    left = left > right ? right : left < 0 ? 0 : left;          /* a later tap alone has padding below 0 */
    for (; c + VW <= r->channels; c += VW)
        channels(r, c, VW, taps, stride, left, right);
    if (c < r->channels)
        channels(r, c, (int)(r->channels - c), taps, stride, left, right);
}

#define ROW(taps, stride) \
    static __attribute__((noinline)) void row_##taps##x##stride(const depthwise_row *r) { row(r, taps, stride); }
ROW(1, 0) ROW(3, 1) ROW(3, 2) ROW(5, 1) ROW(5, 2) ROW(7, 1) ROW(7, 2)

static void weight_row(const depthwise_row *r)
{
    static void (*const known[MOST_TAPS + 1][3])(const depthwise_row *) = {
        [3] = { NULL, row_3x1, row_3x2 }, [5] = { NULL, row_5x1, row_5x2 }, [7] = { NULL, row_7x1, row_7x2 },
    };
    if (r->dilation == 1 && r->stride <= 2 && r->taps <= MOST_TAPS && known[r->taps][r->stride]) {
        known[r->taps][r->stride](r);
        return;
    }
    for (int64_t l = 0; l < r->taps; l++) {
        depthwise_row one = *r;
        one.taps = 1;
        one.pad = r->pad - l * r->dilation;
        one.sum = r->sum + l * r->room;
        row_1x0(&one);
    }
}

const depthwise_grad_vec VEC(depthwise_grad_vec) = { .weight_row = weight_row };
