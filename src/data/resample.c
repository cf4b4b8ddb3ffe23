/* resample.c - the passes in plain C, and the choice of kernels. */
#include "data/resample.h"
#include "data/resample_avx2.h"

enum { HALF = 1 << (RESAMPLE_BITS - 1), STRIP = 64 };

static uint8_t to_byte(int32_t sum)
{
    int v = sum >> RESAMPLE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Called with constant channels, so that the inner loops unroll. */
static inline void one_row(const resample_taps *t, int channels, const uint8_t *src, uint8_t *dst)
{
    for (int i = 0; i < t->count; i++, dst += channels) {
        const int32_t *k = t->weight + (size_t)i * (size_t)t->length;
        const uint8_t *p = src + (size_t)t->first[i] * (size_t)channels;
        int32_t sum[4] = { HALF, HALF, HALF, HALF };
        for (int j = 0; j < t->used[i]; j++, p += channels)
            for (int c = 0; c < channels; c++)
                sum[c] += k[j] * p[c];
        for (int c = 0; c < channels; c++)
            dst[c] = to_byte(sum[c]);
    }
}

static bool plain_rows(const resample_rows *pass)
{
    for (int y = 0; y < pass->rows; y++) {
        const uint8_t *src = pass->src + (size_t)y * pass->src_stride;
        uint8_t *dst = pass->dst + (size_t)y * pass->dst_stride;
        switch (pass->channels) {
        case 1: one_row(pass->taps, 1, src, dst); break;
        case 3: one_row(pass->taps, 3, src, dst); break;
        default: one_row(pass->taps, 4, src, dst); break;
        }
    }
    return true;
}

static bool plain_columns(const resample_columns *pass)
{
    const resample_taps *t = pass->taps;
    for (int i = 0; i < t->count; i++) {
        const int32_t *k = t->weight + (size_t)i * (size_t)t->length;
        const uint8_t *src = pass->src + (size_t)t->first[i] * pass->src_stride;
        uint8_t *dst = pass->dst + (size_t)i * pass->dst_stride;
        for (size_t x = 0; x < pass->bytes; x += STRIP) {
            size_t n = pass->bytes - x < STRIP ? pass->bytes - x : STRIP;
            int32_t sum[STRIP];
            for (size_t j = 0; j < n; j++)
                sum[j] = HALF;
            for (int r = 0; r < t->used[i]; r++) {
                const uint8_t *row = src + (size_t)r * pass->src_stride + x;
                for (size_t j = 0; j < n; j++)
                    sum[j] += k[r] * row[j];
            }
            for (size_t j = 0; j < n; j++)
                dst[x + j] = to_byte(sum[j]);
        }
    }
    return true;
}

const resample_kernels resample_plain = { plain_rows, plain_columns };

const resample_kernels *resample_best(void)
{
    const resample_kernels *fast = resample_avx2();
    return fast ? fast : &resample_plain;
}
