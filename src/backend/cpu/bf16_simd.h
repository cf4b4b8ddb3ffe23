/* bf16_simd.h - vectors of bfloat16 numbers, and functions as exact as these tell; for sources compiled for instructions for them
 * (VEC_ISA: amx, dot; see CMakeLists.txt), and for tests once more over instructions written in C. */
#ifndef BF16_SIMD_H
#define BF16_SIMD_H
#include "gelu_bf16.h"
#include "simd.h"
#include "vec.h"
#ifdef BF16_EMULATED
#include "bf16_emulated.h"
#else
#include <immintrin.h>
#endif

typedef int16_t vh __attribute__((vector_size(VEC_BYTES)));            /* a row of a slab */

/* 2^r for 0 <= r < 1. */
INLINE vf powers(vf r) { return ((vset(7.896726e-2f) * r + vset(.22469316f)) * r + vset(.69632477f)) * r + vset(.99990029f); }

#ifdef BF16_EMULATED
INLINE vf bfloat(vf v) { return vbfloat(v); }
INLINE vi pair(vf a, vf b) { return ((vi)bfloat(a) >> 16 & vseti(0xffff)) | ((vi)bfloat(b) & vseti(-65536)); }
INLINE vh halves(vf a, vf b)
{
    typedef int16_t vs __attribute__((vector_size(VEC_BYTES / 2)));
    vs half[2] = { __builtin_convertvector((vi)bfloat(a) >> 16, vs), __builtin_convertvector((vi)bfloat(b) >> 16, vs) };
    vh r;
    memcpy(&r, half, sizeof r);
    return r;
}
INLINE vh tops(vf a, vf b) { return halves((vf)((vi)a & vseti(-65536)), (vf)((vi)b & vseti(-65536))); }
INLINE void put(uint16_t *to, vh v, int n) { memcpy(to, &v, (size_t)n * sizeof *to); }
INLINE vh get(const uint16_t *from, int n)
{
    vh v = { 0 };
    memcpy(&v, from, (size_t)n * sizeof *from);
    return v;
}
INLINE void put_triples(uint16_t *to, vh a, vh b, vh c, int n)
{
    for (int i = 0; i < n; i++)
        to[3 * i] = (uint16_t)a[i], to[3 * i + 1] = (uint16_t)b[i], to[3 * i + 2] = (uint16_t)c[i];
}
INLINE vf wide(const uint16_t *from, int n)
{
    vi v = { 0 };
    for (int i = 0; i < n; i++)
        v[i] = (int32_t)((uint32_t)from[i] << 16);
    return (vf)v;
}
INLINE vf power(vf x)
{
    x = vclamp(x, vset(-126.f), vset(126.f));
    vf n = vround(x - vset(.5f));
    return powers(x - n) * vpow2(n);
}
INLINE vf inverse(vf x) { return vset(1.f) / x; }
INLINE vf look_up(const float *table, vi at)
{
    vf r;
    for (int i = 0; i < VW; i++)
        r[i] = table[at[i] & 31];
    return r;
}
INLINE void stay_awake(void) {}
INLINE vi choose(vi from, vi at)
{
    vi r;
    for (int i = 0; i < VW; i++)
        r[i] = from[at[i]];
    return r;
}
#else
/* Rounded as vbfloat does, but that subnormal numbers become zero, which the products take them for.  As floats; in turn, one of
 * a and one of b; a's, then b's. */
INLINE vf bfloat(vf v) { return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v)), 16); }
INLINE vh halves(vf a, vf b) { return (vh)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a); }
INLINE vi pair(vf a, vf b)
{
    const vh turns = { 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };
    return (vi)_mm512_permutexvar_epi16((__m512i)turns, (__m512i)halves(a, b));
}
/* The upper halves of a's numbers, then b's: what is cut off, not rounded. */
INLINE vh tops(vf a, vf b)
{
    const vh upper = { 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63 };
    return (vh)_mm512_permutex2var_epi16((__m512i)a, (__m512i)upper, (__m512i)b);
}
INLINE void put(uint16_t *to, vh v, int n) { _mm512_mask_storeu_epi16(to, (__mmask32)((UINT64_C(1) << n) - 1), (__m512i)v); }
INLINE vh get(const uint16_t *from, int n) { return (vh)_mm512_maskz_loadu_epi16((__mmask32)((UINT64_C(1) << n) - 1), from); }
/* n of a, b and c in turn.  Number i is that of pixel i / 3, and i * 43691 >> 17 is i / 3 for what 16 bits hold. */
INLINE void put_triples(uint16_t *to, vh a, vh b, vh c, int n)
{
    const vh count = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };
    UNROLL for (int i = 0; i < 3; i++) {
        const int first = i * 32, here = 3 * n - first < 0 ? 0 : 3 * n - first < 32 ? 3 * n - first : 32;
        const __m512i pixel = _mm512_srli_epi16(_mm512_mulhi_epu16((__m512i)(count + (int16_t)first), _mm512_set1_epi16((int16_t)43691)), 1);
        __m512i v = _mm512_permutexvar_epi16(pixel, (__m512i)a);
        v = _mm512_mask_permutexvar_epi16(v, (__mmask32)(UINT64_C(0x492492492492) >> 2 * i % 3), pixel, (__m512i)b);
        v = _mm512_mask_permutexvar_epi16(v, (__mmask32)(UINT64_C(0x924924924924) >> 2 * i % 3), pixel, (__m512i)c);
        put(to + first, (vh)v, here);
    }
}
INLINE vf wide(const uint16_t *from, int n)             /* a vector of bfloat16 as floats */
{
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), from)), 16);
}
/* 2^x and 1 / x, to one part in ten thousand: for results that are rounded to one in three hundred. */
INLINE vf power(vf x) { return (vf)_mm512_scalef_ps((__m512)powers((vf)_mm512_reduce_ps((__m512)x, 9)), (__m512)x); }
INLINE vf inverse(vf x) { return (vf)_mm512_rcp14_ps((__m512)x); }
/* table[at], of 32 numbers; of at the last five bits count. */
INLINE vf look_up(const float *table, vi at)
{
    return (vf)_mm512_permutex2var_ps((__m512)vload(table), (__m512i)at, (__m512)vload(table + VW));
}
INLINE vi choose(vi from, vi at) { return (vi)_mm512_permutexvar_epi32((__m512i)at, (__m512i)from); }       /* from[at] */
INLINE vf bf16_dot(vf sum, vi a, vi b) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
/* A sum of floats nobody wants.  Tiles alone let the units for floats fall asleep after some 450 ns, and storing a tile then waits 300 ns
 * for them to wake (measured on processors of the fourth and fifth generation of Xeon). */
INLINE void stay_awake(void)
{
    __m128 sum;
    __asm__ volatile("vaddps %1, %1, %0" : "=x"(sum) : "x"(_mm_setzero_ps()));
}

#endif

/* A number as the sum of so many of bfloat16: halves_of, pair_of its first as halves and pair have it, rest_of what that leaves; nothing
 * of an infinity.  One and two are rounded.  Three are cut: 8 + 8 + 8 bits are all that a number has, so that none is lost. */
INLINE vh halves_of(vf a, vf b, const int parts) { return parts > 2 ? tops(a, b) : halves(a, b); }
INLINE vi pair_of(vf a, vf b, const int parts) { return parts > 2 ? ((vi)a >> 16 & vseti(0xffff)) | ((vi)b & vseti(-65536)) : pair(a, b); }
INLINE vf rest_of(vf v, const int parts)
{
    if (parts > 2)
        return vpick(vabs(v) == vset(INFINITY), vset(0.f), v - (vf)((vi)v & vseti(-65536)));
    vf rounded = bfloat(v);
    return vpick(vabs(rounded) < vset(INFINITY), v - rounded, vset(0.f));
}

/* c0 + c1 a + c2 a^2 of a = |x|, in pieces (gelu_bf16.h). */
INLINE vf pieces_of(const float (*c)[32], vf x)
{
    const vf a = vmin(vabs(x), vset(gelu_top));
    const vi at = (vi)(a * vset(gelu_per) + vset(8388608.f));           /* 2^23: the sum ends in its integer part */
    return look_up(c[0], at) + a * (look_up(c[1], at) + a * look_up(c[2], at));
}

/* What becomes of sums.  WIDE: floats, a residual and clamps at most, then dearer functions.  The others: rounded to bfloat16, as
 * exactly as these tell; of few slabs they take longer than the products, hence the simplest apart.  PLAIN; ABOVE: no less than lo;
 * ADDED: likewise, of the sum and a residual; STRAIGHT: a x + b, cut to [lo, hi]; CURVED: sigmoid(a x); PIECES, PIECES_TANH: GELU;
 * HARD: x + 3 of 6, cut. */
typedef enum form { NOTHING, OTHER, WIDE, PLAIN, ABOVE, ADDED, STRAIGHT, CURVED, PIECES, PIECES_TANH, HARD } form;
typedef struct curve { form form; float a, b, lo, hi; bool times; } curve;            /* times x */

static inline curve curve_of(act f)
{
    const float e = 1.44269504f;                        /* powers are of two */
    switch (f.kind) {
    case ACT_NONE:         return (curve){ PLAIN, 1, 0, -INFINITY, INFINITY, false };
    case ACT_CLAMP:        return (curve){ f.b == INFINITY ? ABOVE : STRAIGHT, 1, 0, f.a, f.b, false };
    case ACT_AFFINE:       return (curve){ STRAIGHT, f.a, f.b, -INFINITY, INFINITY, false };
    case ACT_SIGMOID:      return (curve){ CURVED, e, 0, 0, 0, false };
    case ACT_SILU:         return (curve){ CURVED, e, 0, 0, 0, true };
    case ACT_QUICK_GELU:   return (curve){ CURVED, 1.702f * e, 0, 0, 0, true };
    case ACT_GELU:         return (curve){ .form = PIECES };
    case ACT_GELU_TANH:    return (curve){ .form = PIECES_TANH };
    case ACT_HARD_SIGMOID: return (curve){ HARD, 0, 0, 0, 0, false };
    case ACT_HARD_SWISH:   return (curve){ HARD, 0, 0, 0, 0, true };
    default:               return (curve){ .form = OTHER };
    }
}

/* The same in registers, but for the pieces. */
typedef struct bend { vf a, b, lo, hi; bool times; const float (*pieces)[32]; } bend;
INLINE bend bend_of(const curve *q)
{
    return (bend){ vset(q->a), vset(q->b), vset(q->lo), vset(q->hi), q->times, q->form == PIECES_TANH ? gelu_tanh_pieces : gelu_pieces };
}

INLINE vf follow(const form how, const bend *q, vf x)
{
    if (how == PLAIN)
        return x;
    if (how == ABOVE || how == ADDED)
        return vmax(x, q->lo);
    if (how == STRAIGHT)
        return vclamp(x * q->a + q->b, q->lo, q->hi);
    if (how == PIECES || how == PIECES_TANH)
        return vmax(x, vset(0.f)) + pieces_of(q->pieces, x);
    const vf y = how == HARD ? vclamp(x + vset(3.f), vset(0.f), vset(6.f)) * vset(1.f / 6) : inverse(vset(1.f) + power(x * -q->a));
    return q->times ? x * y : y;
}

/* The derivative of x sigmoid(y), y = a x: sigmoid(y) + x sigmoid(y) (1 - sigmoid(y)) a; or GELU's. */
INLINE vf slope_of(const form how, const bend *q, vf x)
{
    if (how == PIECES) {
        const vf s = pieces_of(gelu_slope_pieces, x);
        return vpick(x > vset(0.f), vset(1.f) + s, -s);
    }
    const vf y = inverse(vset(1.f) + power(x * -q->a));
    return y + x * y * (vset(1.f) - y) * vset(.693147181f) * q->a;
}

#endif
