/* half.c - F16 is 1 sign, 5 exponent (bias 15), 10 mantissa bits; BF16 is the upper half of a float. */
#include "half.h"
#include <stdbool.h>
#include <string.h>
#include "cpu.h"

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Infinity and NaN keep their mantissa; a signalling NaN becomes quiet, as the instructions do. */
float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31)
        return float_of(sign | 0x7F800000 | mantissa << 13 | (mantissa ? 0x400000 : 0));
    if (exponent == 0) {
        float x = (float)mantissa * 0x1p-24f;                /* exact: subnormal halves are normal floats */
        return sign ? -x : x;
    }
    return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t float_to_half(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7FFFFFFF;
    if (a > 0x7F800000)
        return (uint16_t)(sign | 0x7E00 | (a >> 13 & 0x3FF));
    if (a >= 0x477FF000)                                     /* 65520: half way to what would be the next number */
        return (uint16_t)(sign | 0x7C00);
    if (a < 0x38800000)                                      /* 2^-14: the sum's last bit is worth 2^-24 */
        return (uint16_t)(sign | (bits_of(float_of(a) + 0.5f) - 0x3F000000));
    return (uint16_t)(sign | ((a - 0x38000000 + 0xFFF + (a >> 13 & 1)) >> 13));
}

float bfloat_to_float(uint16_t b) { return float_of((uint32_t)b << 16); }

uint16_t float_to_bfloat(float x)
{
    uint32_t u = bits_of(x);
    bool nan = (u & 0x7FFFFFFF) > 0x7F800000;
    return (uint16_t)((nan ? u | 0x400000 : u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

static bool has_f16c(void) { return cpu()->isa >= ISA_AVX2; }

/* Both return how many they did: a multiple of eight. */
__attribute__((target("avx2,f16c"))) static size_t widen_f16c(float *out, const uint8_t *in, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(in + 2 * i))));
    return i;
}

__attribute__((target("avx2,f16c"))) static size_t narrow_f16c(uint8_t *out, const float *in, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_storeu_si128((__m128i *)(out + 2 * i), h);
    }
    return i;
}
#else
static bool has_f16c(void) { return false; }
static size_t widen_f16c(float *out, const uint8_t *in, size_t count) { return (void)out, (void)in, count * 0; }
static size_t narrow_f16c(uint8_t *out, const float *in, size_t count) { return (void)out, (void)in, count * 0; }
#endif

void halves_to_floats(float *out, const void *halves, size_t count)
{
    const uint8_t *in = halves;
    for (size_t i = has_f16c() ? widen_f16c(out, in, count) : 0; i < count; i++) {
        uint16_t h;
        memcpy(&h, in + 2 * i, sizeof h);
        out[i] = half_to_float(h);
    }
}

void floats_to_halves(void *halves, const float *in, size_t count)
{
    uint8_t *out = halves;
    for (size_t i = has_f16c() ? narrow_f16c(out, in, count) : 0; i < count; i++) {
        uint16_t h = float_to_half(in[i]);
        memcpy(out + 2 * i, &h, sizeof h);
    }
}

void bfloats_to_floats(float *out, const void *bfloats, size_t count)
{
    const uint8_t *in = bfloats;
    for (size_t i = 0; i < count; i++) {
        uint16_t b;
        memcpy(&b, in + 2 * i, sizeof b);
        out[i] = bfloat_to_float(b);
    }
}

void floats_to_bfloats(void *bfloats, const float *in, size_t count)
{
    uint8_t *out = bfloats;
    for (size_t i = 0; i < count; i++) {
        uint16_t b = float_to_bfloat(in[i]);
        memcpy(out + 2 * i, &b, sizeof b);
    }
}
