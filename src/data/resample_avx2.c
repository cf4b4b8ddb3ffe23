/* resample_avx2.c - the resampling passes with AVX2.
 *
 * A weight has up to 24 bits, a byte 8; the 32-bit multiply is slow, so a weight is split as high 2^15 + low and two
 * taps at a time go through the 16-bit multiply-add.  Sums of both halves wrap modulo 2^32, and joined they are the
 * plain sum.
 */
#include "data/resample_avx2.h"
#include "base/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
enum { HALF = 1 << (RESAMPLE_BITS - 1), REACH = 64 };   /* a pass along rows reads less than REACH bytes past a row */

AVX2 static inline __m256i joined(__m256i high, __m256i low)
{
    return _mm256_add_epi32(_mm256_slli_epi32(high, RESAMPLE_LOW), low);
}

/* Four sums to four bytes. */
AVX2 static inline uint32_t to_bytes(__m128i sum)
{
    __m128i v = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), RESAMPLE_BITS);
    v = _mm_packs_epi32(v, v);
    return (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(v, v));
}

/* Weights j .. j + 3 of one half, pair 0 in the lower four lanes, pair 1 in the upper. */
AVX2 static inline __m256i four_weights(const int16_t *k)
{
    __m256i both = _mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)(const void *)k));
    return _mm256_permutevar8x32_epi32(both, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

/* From four pixels: 16-bit pairs of pixels 0 and 1 (lower half), 2 and 3 (upper half), a lane a channel. */
AVX2 static inline __m256i pair_mask(int channels)
{
    const char z = -1;
    return channels == 3
        ? _mm256_setr_epi8(0, z, 3, z, 1, z, 4, z, 2, z, 5, z, z, z, z, z, 6, z, 9, z, 7, z, 10, z, 8, z, 11, z,
                           z, z, z, z)
        : _mm256_setr_epi8(0, z, 4, z, 1, z, 5, z, 2, z, 6, z, 3, z, 7, z,
                           8, z, 12, z, 9, z, 13, z, 10, z, 14, z, 11, z, 15, z);
}

AVX2 static inline __m256i four_pixels(const uint8_t *p, __m256i mask)
{
    __m256i v = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_shuffle_epi8(v, mask);
}

AVX2 static inline __m128i lanes_added(__m256i v)
{
    return _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

/* Two rows at once share the weights; b may be a again. */
AVX2 static inline void colour_rows(const resample_taps *t, int channels, const uint8_t *const src[2],
                                    uint8_t *const dst[2])
{
    const __m256i mask = pair_mask(channels);
    for (int i = 0; i < t->count; i++) {
        const int16_t *high = t->high + (size_t)i * (size_t)t->length, *low = t->low + (size_t)i * (size_t)t->length;
        size_t at = (size_t)t->first[i] * (size_t)channels, to = (size_t)i * (size_t)channels;
        const uint8_t *a = src[0] + at, *b = src[1] + at;
        __m256i ah = _mm256_setzero_si256(), al = ah, bh = ah, bl = ah;
        for (int j = 0; j < t->used[i]; j += 4, a += 4 * channels, b += 4 * channels) {
            __m256i kh = four_weights(high + j), kl = four_weights(low + j);
            __m256i pa = four_pixels(a, mask), pb = four_pixels(b, mask);
            ah = _mm256_add_epi32(ah, _mm256_madd_epi16(pa, kh));
            al = _mm256_add_epi32(al, _mm256_madd_epi16(pa, kl));
            bh = _mm256_add_epi32(bh, _mm256_madd_epi16(pb, kh));
            bl = _mm256_add_epi32(bl, _mm256_madd_epi16(pb, kl));
        }
        uint32_t va = to_bytes(lanes_added(joined(ah, al))), vb = to_bytes(lanes_added(joined(bh, bl)));
        if (channels == 4 || i + 1 < t->count) {
            memcpy(dst[0] + to, &va, 4);
            memcpy(dst[1] + to, &vb, 4);
        } else {
            memcpy(dst[0] + to, &va, 3);
            memcpy(dst[1] + to, &vb, 3);
        }
    }
}

AVX2 static inline void grey_row(const resample_taps *t, const uint8_t *src, uint8_t *dst)
{
    for (int i = 0; i < t->count; i++) {
        const int16_t *high = t->high + (size_t)i * (size_t)t->length, *low = t->low + (size_t)i * (size_t)t->length;
        const uint8_t *p = src + t->first[i];
        __m256i h = _mm256_setzero_si256(), l = h;
        for (int j = 0; j < t->used[i]; j += 16) {
            __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(p + j)));
            h = _mm256_add_epi32(h,
                                 _mm256_madd_epi16(v, _mm256_loadu_si256((const __m256i *)(const void *)(high + j))));
            l = _mm256_add_epi32(l, _mm256_madd_epi16(v, _mm256_loadu_si256((const __m256i *)(const void *)(low + j))));
        }
        __m128i sum = lanes_added(joined(h, l));
        sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
        sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
        dst[i] = (uint8_t)to_bytes(sum);
    }
}

AVX2 static void two_rows(const resample_rows *pass, const uint8_t *const src[2], uint8_t *const dst[2])
{
    switch (pass->channels) {
    case 1:
        grey_row(pass->taps, src[0], dst[0]);
        if (dst[1] != dst[0])
            grey_row(pass->taps, src[1], dst[1]);
        break;
    case 3: colour_rows(pass->taps, 3, src, dst); break;
    default: colour_rows(pass->taps, 4, src, dst); break;
    }
}

/* Groups of taps are read whole, past the used ones, where the weights are zero; the last rows of the image, behind
   which there may be no memory, are resampled from a longer copy. */
AVX2 static bool avx2_rows(const resample_rows *pass)
{
    const resample_taps *t = pass->taps;
    size_t reach = (size_t)(t->first[t->count - 1] + t->used[t->count - 1]) * (size_t)pass->channels;
    uint8_t *copy = NULL;
    for (int y = 0; y < pass->rows; y += 2) {
        bool pair = y + 1 < pass->rows;
        const uint8_t *src[2] = { pass->src + (size_t)y * pass->src_stride };
        uint8_t *dst[2] = { pass->dst + (size_t)y * pass->dst_stride };
        src[1] = src[0] + (pair ? pass->src_stride : 0);
        dst[1] = dst[0] + (pair ? pass->dst_stride : 0);
        if ((size_t)(pass->src_end - src[1]) < reach + REACH) {
            copy = copy ? copy : calloc(2, reach + REACH);
            if (!copy)
                return false;
            for (int i = 0; i < 2; i++)
                src[i] = memcpy(copy + (size_t)i * (reach + REACH), src[i], reach);
        }
        two_rows(pass, src, dst);
    }
    free(copy);
    return true;
}

/* 32 columns from `used` rows, two rows a step. */
AVX2 static inline void strip(const resample_taps *t, int i, const uint8_t *src, size_t stride, uint8_t *dst)
{
    const int16_t *high = t->high + (size_t)i * (size_t)t->length, *low = t->low + (size_t)i * (size_t)t->length;
    const __m256i zero = _mm256_setzero_si256();
    __m256i h[4] = { zero, zero, zero, zero }, l[4] = { zero, zero, zero, zero };
    for (int j = 0; j < t->used[i]; j += 2, src += 2 * stride) {
        int32_t kh, kl;
        memcpy(&kh, high + j, sizeof kh);
        memcpy(&kl, low + j, sizeof kl);
        __m256i vh = _mm256_set1_epi32(kh), vl = _mm256_set1_epi32(kl);
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)src);
        __m256i b = j + 1 < t->used[i] ? _mm256_loadu_si256((const __m256i *)(const void *)(src + stride)) : zero;
        __m256i ab = _mm256_unpacklo_epi8(a, b), cd = _mm256_unpackhi_epi8(a, b);
        __m256i v[4] = { _mm256_unpacklo_epi8(ab, zero), _mm256_unpackhi_epi8(ab, zero),
                         _mm256_unpacklo_epi8(cd, zero), _mm256_unpackhi_epi8(cd, zero) };
        for (int n = 0; n < 4; n++) {
            h[n] = _mm256_add_epi32(h[n], _mm256_madd_epi16(v[n], vh));
            l[n] = _mm256_add_epi32(l[n], _mm256_madd_epi16(v[n], vl));
        }
    }
    const __m256i half = _mm256_set1_epi32(HALF);
    for (int n = 0; n < 4; n++)
        h[n] = _mm256_srai_epi32(_mm256_add_epi32(joined(h[n], l[n]), half), RESAMPLE_BITS);
    __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(h[0], h[1]), _mm256_packs_epi32(h[2], h[3]));
    _mm256_storeu_si256((__m256i *)(void *)dst, bytes);
}

/* The last strip overlaps the one before it; rows shorter than a strip are left to the plain pass. */
AVX2 static bool avx2_columns(const resample_columns *pass)
{
    const resample_taps *t = pass->taps;
    if (pass->bytes < 32)
        return resample_plain.columns(pass);
    for (int i = 0; i < t->count; i++) {
        const uint8_t *src = pass->src + (size_t)t->first[i] * pass->src_stride;
        uint8_t *dst = pass->dst + (size_t)i * pass->dst_stride;
        size_t x = 0;
        for (; x + 32 <= pass->bytes; x += 32)
            strip(t, i, src + x, pass->src_stride, dst + x);
        if (x < pass->bytes)
            strip(t, i, src + pass->bytes - 32, pass->src_stride, dst + pass->bytes - 32);
    }
    return true;
}

const resample_kernels *resample_avx2(void)
{
    static const resample_kernels kernels = { avx2_rows, avx2_columns };
    return cpu()->isa >= ISA_AVX2 ? &kernels : NULL;
}

#else

const resample_kernels *resample_avx2(void) { return NULL; }

#endif
