/* grouped_bf16.c - convolution in narrow groups, as many channels in as out, by dot products of pairs (AVX512-BF16): channels out in the
 * lanes, 32 at a time, image and result of bfloat16 or floats.
 *
 * y[o] = sum over taps and pairs p of w[o][p] . x[pair p of o's group]: of 32 channels of a pixel, which are 16 pairs, each lane chooses that
 * of its group.  What a row of results reads is copied first, as pixels of all channels lie so far apart that few fit in the first cache:
 * each row of the image once, zeros beside it.  Kernels of 3 columns, not dilated along a row: strips of pixels share weights and what was
 * chosen.  Others: pixel by pixel.
 */
#include "lanes_bf16.h"

/* Where lanes of the two vectors find the first pair of their groups, of a power of two of channels. */
INLINE void first_pairs(int width, vi *at)
{
    const vi lane = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    const int bits = __builtin_ctz((unsigned)width);
    for (int j = 0; j < 2; j++)
        at[j] = (lane + vseti(j * VW)) >> bits << (bits - 1);
}

INLINE vi pairs_at(const uint16_t *p) { return *(const vi *)(const void *)p; }

/* `pixels` neighbours, to sum[pixel][32].  row: what each row of taps reads, 32 channels a pixel, from the first tap on; w: [row][pair][tap][32
 * channels' pairs]. */
INLINE void strip(const grouped *d, const int pixels, const int stride, const uint16_t *const *row, int64_t x, const uint16_t *w, const float *bias,
                  float *sum)
{
    vf acc[STRIP][2];
    vi first[2];
    first_pairs((int)d->width, first);
    UNROLL for (int p = 0; p < pixels; p++)
        UNROLL for (int j = 0; j < 2; j++)
            acc[p][j] = vload(bias + j * VW);
    for (int64_t r = 0; r < d->kh; r++) {
        const uint16_t *from = row[r] + x;
        vi of[2] = { first[0], first[1] };
        for (int64_t pair = 0; pair < d->width / 2; pair++, w += 3 * 2 * WIDE_VW) {
            vi weight[3][2];
            UNROLL for (int t = 0; t < 3; t++)
                UNROLL for (int j = 0; j < 2; j++)
                    weight[t][j] = pairs_at(w + (2 * t + j) * WIDE_VW);
            UNROLL for (int q = 0; q < (pixels - 1) * stride + 3; q++) {
                const vi v = pairs_at(from + q * WIDE_VW);
                UNROLL for (int j = 0; j < 2; j++) {
                    const vi chosen = choose(v, of[j]);
                    UNROLL for (int p = 0; p < pixels; p++)
                        if (q - p * stride >= 0 && q - p * stride < 3)
                            acc[p][j] = bf16_dot(acc[p][j], chosen, weight[q - p * stride][j]);
                }
            }
            UNROLL for (int j = 0; j < 2; j++)
                of[j] += vseti(1);
        }
    }
    UNROLL for (int p = 0; p < pixels; p++)
        UNROLL for (int j = 0; j < 2; j++)
            vstore(sum + (2 * p + j) * VW, acc[p][j]);
}

/* One, of any kernel. */
static void pixel(const grouped *d, const uint16_t *const *row, int64_t x, const uint16_t *w, const float *bias, float *sum)
{
    vf acc[2];
    vi first[2];
    first_pairs((int)d->width, first);
    for (int j = 0; j < 2; j++)
        acc[j] = vload(bias + j * VW);
    for (int64_t r = 0; r < d->kh; r++)
        for (int32_t pair = 0; pair < d->width / 2; pair++)
            for (int64_t t = 0; t < d->kw; t++, w += 2 * WIDE_VW)
                UNROLL for (int j = 0; j < 2; j++)
                    acc[j] = bf16_dot(acc[j], choose(pairs_at(row[r] + x + t * d->dilation[1] * WIDE_VW), first[j] + vseti(pair)), pairs_at(w + j * WIDE_VW));
    for (int j = 0; j < 2; j++)
        vstore(sum + j * VW, acc[j]);
}

#define STRIPS(p) \
    static void strip_1_##p(const grouped *d, const uint16_t *const *row, int64_t x, const uint16_t *w, const float *bias, float *sum) \
    { \
        strip(d, p, 1, row, x, w, bias, sum); \
    } \
    static void strip_2_##p(const grouped *d, const uint16_t *const *row, int64_t x, const uint16_t *w, const float *bias, float *sum) \
    { \
        strip(d, p, 2, row, x, w, bias, sum); \
    }
STRIPS(1) STRIPS(2) STRIPS(4) STRIPS(7) STRIPS(8)
typedef void strip_of(const grouped *d, const uint16_t *const *row, int64_t x, const uint16_t *w, const float *bias, float *sum);
static strip_of *const by_pixels[2][STRIP + 1] = {
    { [1] = strip_1_1, [2] = strip_1_2, [4] = strip_1_4, [7] = strip_1_7, [8] = strip_1_8 },
    { [1] = strip_2_1, [2] = strip_2_2, [4] = strip_2_4, [7] = strip_2_7, [8] = strip_2_8 },
};

/* Of n channels, to number `at` of the result. */
static void leave_sums(const grouped *d, const curve *q, float *sum, int pixels, int n, int64_t at)
{
    if (!d->to_floats)
        leave(d->f, q, true, sum, pixels, n, (uint16_t *)d->y + at, d->yx);
    for (int p = 0; d->to_floats && p < pixels; p++)
        VEC_PICK(elementwise_vec)->unary(d->f, sum + p * WIDE_VW, (float *)d->y + at + p * d->yx, n);
}

/* n channels of a row of the image, from `at` on.  The next row is fetched meanwhile. */
INLINE void copy(const grouped *d, int64_t at, int n, uint16_t *to)
{
    for (int64_t i = 0; i < d->w; i++, at += d->xx, to += WIDE_VW) {
        __builtin_prefetch((const char *)d->x + (at + d->xy) * (d->of_floats ? 4 : 2), 0, 2);
        if (!d->of_floats) {
            put(to, get((const uint16_t *)d->x + at, n), WIDE_VW);
        } else {
            const float *from = (const float *)d->x + at;
            const vf a = vload_n(from, n < VW ? n : VW), b = vload_n(from + VW, n > VW ? n - VW : 0);
            put(to, halves(a, b), WIDE_VW);
        }
    }
}

void VEC(grouped_bf16)(const grouped *d, int64_t from, int64_t to, int64_t c, int64_t end)
{
    const curve q = curve_of(d->f);
    const int64_t kept = (d->kh - 1) * d->dilation[0] + 1, line = d->pixels * WIDE_VW;
    uint16_t *copies = d->copies, *zeros = copies + kept * line;
    strip_of *const *by = d->kw == 3 && d->stride[1] <= 2 && d->dilation[1] == 1 ? by_pixels[d->stride[1] - 1] : NULL;
    const int most = !by ? 1 : d->ow % 7 == 0 && d->ow <= 14 ? 7 : STRIP;
    memset(copies, 0, (size_t)((kept + 1) * line) * sizeof *copies);
    for (; c < end; c += WIDE_VW) {
        const int n = end - c < WIDE_VW ? (int)(end - c) : WIDE_VW;
        const uint16_t *w = d->weights + c * d->kh * d->kw * d->width;
        int64_t next = 0;                               /* the first row that is not there */
        for (int64_t oy = from; oy < to; oy++) {
            const int64_t top = oy * d->stride[0] - d->pad[0];
            const uint16_t *row[GROUPED_ROWS];
            for (int64_t y = next > top ? next : top; y < top + kept && y < d->h; y++, next = y)
                if (y >= 0)
                    copy(d, y * d->xy + c, n, copies + y % kept * line + d->pad[1] * WIDE_VW);
            for (int64_t r = 0; r < d->kh; r++) {
                const int64_t y = top + r * d->dilation[0];
                row[r] = y < 0 || y >= d->h ? zeros : copies + y % kept * line;
            }
            for (int64_t ox = 0, pixels; ox < d->ow; ox += pixels) {
                _Alignas(64) float sum[STRIP * WIDE_VW];
                const int64_t rest = d->ow - ox, x = ox * d->stride[1] * WIDE_VW;
                pixels = rest >= most ? most : rest >= 4 ? 4 : rest >= 2 ? 2 : 1;
                (by ? by[pixels] : pixel)(d, row, x, w, d->bias + c, sum);
                leave_sums(d, &q, sum, (int)pixels, n, oy * d->yy + ox * d->yx + c);
            }
        }
    }
}
