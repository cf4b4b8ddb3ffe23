/* simd.h - vectors of floats for sources that are compiled once per instruction set (*_vec.c; see CMakeLists.txt).
 *
 * VEC_ISA names the set (plain, avx2, avx512) and VEC_BYTES its vectors. Arithmetic is the compiler's vector
 * extension; only what it cannot say is spelled out per set. The fallbacks are loops over lanes and right for any
 * width.
 */
#ifndef SIMD_H
#define SIMD_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define VEC_JOIN2(a, b) a##_##b
#define VEC_JOIN(a, b) VEC_JOIN2(a, b)
#define VEC(name) VEC_JOIN(name, VEC_ISA)       /* gemm_vec -> gemm_vec_avx2 */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

typedef float vf __attribute__((vector_size(VEC_BYTES)));
typedef int32_t vi __attribute__((vector_size(VEC_BYTES)));
typedef float vf_any __attribute__((vector_size(VEC_BYTES), aligned(4), may_alias));    /* at any address */
enum { VW = VEC_BYTES / 4 };

INLINE vf vload(const float *p) { return *(const vf_any *)p; }
INLINE void vstore(float *p, vf v) { *(vf_any *)p = v; }
INLINE vf vpick(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }     /* lanes of mask: 0 or -1 */
/* vmax and vmin give the first operand where it is not a number. */

#if defined(__AVX512F__) && VEC_BYTES == 64
INLINE vf vset(float x) { return (vf)_mm512_set1_ps(x); }
INLINE vi vseti(int32_t x) { return (vi)_mm512_set1_epi32(x); }
INLINE vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)b, (__m512)a); }
INLINE vf vmin(vf a, vf b) { return (vf)_mm512_min_ps((__m512)b, (__m512)a); }
INLINE vf vround(vf a) { return (vf)_mm512_roundscale_ps((__m512)a, 0); }
INLINE vi vtoi(vf a) { return (vi)_mm512_cvtps_epi32((__m512)a); }
INLINE vf vsqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
INLINE vf vload_n(const float *p, int n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
INLINE void vstore_n(float *p, vf v, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
INLINE vf vload_fill(const float *p, int n, vf fill)
{
    return (vf)_mm512_mask_loadu_ps((__m512)fill, (__mmask16)((1u << n) - 1), p);
}
#elif defined(__AVX2__) && VEC_BYTES == 32
INLINE vf vset(float x) { return (vf)_mm256_set1_ps(x); }
INLINE vi vseti(int32_t x) { return (vi)_mm256_set1_epi32(x); }
INLINE vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)b, (__m256)a); }
INLINE vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)b, (__m256)a); }
INLINE vf vround(vf a) { return (vf)_mm256_round_ps((__m256)a, 8); }
INLINE vi vtoi(vf a) { return (vi)_mm256_cvtps_epi32((__m256)a); }
INLINE vf vsqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
INLINE __m256i vfirst(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vf vload_n(const float *p, int n) { return (vf)_mm256_maskload_ps(p, vfirst(n)); }
INLINE void vstore_n(float *p, vf v, int n) { _mm256_maskstore_ps(p, vfirst(n), (__m256)v); }
INLINE vf vload_fill(const float *p, int n, vf fill)
{
    __m256i first = vfirst(n);
    return (vf)_mm256_blendv_ps((__m256)fill, _mm256_maskload_ps(p, first), _mm256_castsi256_ps(first));
}
#else
INLINE vf vset(float x) { vf r = { 0 }; for (int i = 0; i < VW; i++) r[i] = x; return r; }
INLINE vi vseti(int32_t x) { vi r = { 0 }; for (int i = 0; i < VW; i++) r[i] = x; return r; }
INLINE vf vmax(vf a, vf b) { return vpick(a < b, b, a); }
INLINE vf vmin(vf a, vf b) { return vpick(a > b, b, a); }
INLINE vf vround(vf a) { vf r = { 0 }; for (int i = 0; i < VW; i++) r[i] = rintf(a[i]); return r; }
INLINE vi vtoi(vf a) { vi r = { 0 }; for (int i = 0; i < VW; i++) r[i] = (int32_t)rintf(a[i]); return r; }
INLINE vf vsqrt(vf a) { vf r = { 0 }; for (int i = 0; i < VW; i++) r[i] = sqrtf(a[i]); return r; }
INLINE vf vload_n(const float *p, int n)
{
    vf r = { 0 };
    memcpy(&r, p, (size_t)n * sizeof *p);
    return r;
}
INLINE void vstore_n(float *p, vf v, int n) { memcpy(p, &v, (size_t)n * sizeof *p); }
INLINE vf vload_fill(const float *p, int n, vf fill)
{
    memcpy(&fill, p, (size_t)n * sizeof *p);
    return fill;
}
#endif

INLINE vf vabs(vf a) { return (vf)((vi)a & vseti(0x7fffffff)); }
INLINE vf vclamp(vf a, vf lo, vf hi) { return vmin(vmax(a, lo), hi); }

/* To bfloat16, nearest even; no number stays none, whose bits may run over. */
INLINE vf vbfloat(vf a)
{
    typedef uint32_t vu __attribute__((vector_size(VEC_BYTES)));
    const vu u = (vu)a;
    vf r = (vf)((vi)(u + 0x7fff + (u >> 16 & 1)) & vseti(-65536));
    return vpick(a == a, r, a);
}

/* bfloat16 in memory, n of them at most a vector. */
typedef uint16_t vshort __attribute__((vector_size(VEC_BYTES / 2)));
#if VEC_BYTES == 64 && defined(__AVX512BW__) && defined(__AVX512VL__)
INLINE vf vwiden(const uint16_t *p, int n)
{
    const __m256i v = n == VW ? _mm256_loadu_si256((const void *)p) : _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16);
}
INLINE void vnarrow(uint16_t *p, vf a, int n)
{
    const __m256i v = _mm512_cvtepi32_epi16(_mm512_srli_epi32((__m512i)vbfloat(a), 16));
    if (n == VW)
        _mm256_storeu_si256((void *)p, v);
    else
        _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), v);
}
#else
INLINE vf vwiden(const uint16_t *p, int n)
{
    vshort v = { 0 };
    if (n == VW)
        memcpy(&v, p, sizeof v);
    else
        memcpy(&v, p, (size_t)n * sizeof *p);
    return (vf)(__builtin_convertvector(v, vi) << 16);
}
INLINE void vnarrow(uint16_t *p, vf a, int n)
{
    vshort v = __builtin_convertvector((vi)vbfloat(a) >> 16, vshort);
    if (n == VW)
        memcpy(p, &v, sizeof v);
    else
        memcpy(p, &v, (size_t)n * sizeof *p);
}
#endif

/* Lanes combined: the upper half with the lower, and again. */
#if defined(__AVX2__) && (VEC_BYTES == 32 || defined(__AVX512F__))
INLINE __m128 vfold(vf a, bool max)
{
#if VEC_BYTES == 64
    __m256 lo = _mm512_castps512_ps256((__m512)a), hi = _mm512_extractf32x8_ps((__m512)a, 1);
    __m256 b = max ? _mm256_max_ps(lo, hi) : _mm256_add_ps(lo, hi);
#else
    __m256 b = (__m256)a;
#endif
    __m128 x = _mm256_castps256_ps128(b), y = _mm256_extractf128_ps(b, 1);
    x = max ? _mm_max_ps(x, y) : _mm_add_ps(x, y);
    y = _mm_movehl_ps(x, x);
    x = max ? _mm_max_ps(x, y) : _mm_add_ps(x, y);
    y = _mm_shuffle_ps(x, x, 1);
    return max ? _mm_max_ss(x, y) : _mm_add_ss(x, y);
}
INLINE float vsum(vf a) { return _mm_cvtss_f32(vfold(a, false)); }
INLINE float vmaximum(vf a) { return _mm_cvtss_f32(vfold(a, true)); }
#else
INLINE float vfold(vf a, bool max)
{
    for (int w = VW / 2; w; w /= 2)
        for (int i = 0; i < w; i++)
            a[i] = !max ? a[i] + a[i + w] : a[i] > a[i + w] ? a[i] : a[i + w];
    return a[0];
}
INLINE float vsum(vf a) { return vfold(a, false); }
INLINE float vmaximum(vf a) { return vfold(a, true); }
#endif

/* 2^n for whole n in [-127, 128]: 0 and infinity at the ends. */
INLINE vf vpow2(vf n) { return (vf)((vtoi(n) + vseti(127)) << 23); }

/* e^x = p 2^n: x = n ln 2 + r; a polynomial of degree 6 on |r| <= ln 2 / 2; relative error below 1e-7. */
INLINE vf vexp_part(vf x, vf *n)
{
    *n = vround(x * vset(1.44269504088896341f));
    vf r = x - *n * vset(0.693359375f);
    r = r + *n * vset(2.12194440e-4f);
    vf p = vset(1.9875691500e-4f);
    p = p * r + vset(1.3981999507e-3f);
    p = p * r + vset(8.3334519073e-3f);
    p = p * r + vset(4.1665795894e-2f);
    p = p * r + vset(1.6666665459e-1f);
    p = p * r + vset(5.0000001201e-1f);
    return p * (r * r) + r + vset(1.f);
}

/* 2^n in two factors, so that results down to the smallest subnormal come out. */
INLINE vf vexp(vf x)
{
    vf n, p = vexp_part(vclamp(x, vset(-104.f), vset(89.f)), &n);
    vf half = vround(n * vset(.5f));
    return p * vpow2(half) * vpow2(n - half);
}

/* The same for x cut to [-86, 88]: n comes from adding 1.5 2^23, which leaves it in the low bits, and goes into the
 * exponent; a polynomial of degree 5, relative error below 2e-7. */
INLINE vf vexp_mid(vf x)
{
    const vf magic = vset(12582912.f);
    x = vclamp(x, vset(-86.f), vset(88.f));
    vf t = x * vset(1.44269504088896341f) + magic, n = t - magic;
    vf r = x - n * vset(0.693359375f);
    r = r + n * vset(2.12194440e-4f);
    vf p = vset(8.29031243e-3f);
    p = p * r + vset(4.18979382e-2f);
    p = p * r + vset(1.66676363e-1f);
    p = p * r + vset(4.99991495e-1f);
    p = p * r + vset(9.99999707e-1f);
    p = p * r + vset(1.f);
    return (vf)((vi)p + ((vi)t << 23));
}

#ifdef __AVX2__
enum { BLOCK = 8 };
/* to[p][j] = b[j][p], BLOCK x BLOCK; rows are st and sf apart. */
INLINE void vtranspose(const float *from, int64_t sf, float *to, int64_t st)
{
    __m256 r[8], s[8];
    UNROLL for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(from + i * sf);
    UNROLL for (int i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4)
        UNROLL for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm256_shuffle_ps(s[i + j], s[i + j + 2], 0x44);
            r[i + 2 * j + 1] = _mm256_shuffle_ps(s[i + j], s[i + j + 2], 0xee);
        }
    UNROLL for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * st, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * st, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}
#else
enum { BLOCK = 4 };
INLINE void vtranspose(const float *from, int64_t sf, float *to, int64_t st)
{
    for (int p = 0; p < BLOCK; p++)
        for (int j = 0; j < BLOCK; j++)
            to[p * st + j] = from[j * sf + p];
}
#endif

#endif
