/* narrow_vec.c - numbers that lie in memory as bfloat16: to floats and back, what pools and means do with them, and packing. */
#include "columns_simd.h"
#include "simd.h"
#include "vec.h"

static int first(int64_t n) { return n < VW ? (int)n : VW; }

static void narrow(const float *x, uint16_t *y, int64_t n)
{
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        vnarrow(y + i, vload(x + i), VW);
    if (i < n)
        vnarrow(y + i, vload_n(x + i, (int)(n - i)), (int)(n - i));
}

static void widen(const uint16_t *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        vstore(y + i, vwiden(x + i, VW));
    if (i < n)
        vstore_n(y + i, vwiden(x + i, (int)(n - i)), (int)(n - i));
}

/* The memory of runs further on is asked for: they lie in no order that a processor foresees. */
static void widen_runs(const uint16_t *x, int64_t step, int64_t n, int64_t runs, float *y, int64_t pitch)
{
    enum { AHEAD = 8 };
    for (int64_t r = 0; r < runs; r++, x += step, y += pitch) {
        for (int64_t i = 0; i < n; i += 32)
            __builtin_prefetch(x + AHEAD * step + i);
        widen(x, y, n);
    }
}

static void reduce_rows(reduce_kind kind, const uint16_t *x, int64_t step, int64_t rows, float scale, float *y, int64_t n)
{
    if (kind == REDUCE_SUM)
        reduce_down(REDUCE_SUM, true, x, step, rows, scale, y, n);
    else
        reduce_down(REDUCE_MAX, true, x, step, rows, scale, y, n);
}

static void pool(reduce_kind kind, const uint16_t *const *row, int rows, float scale, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j += VW) {
        int here = first(n - j);
        vf v = kind == REDUCE_SUM ? vset(0.f) : vset(-INFINITY);
        for (int i = 0; i < rows; i++) {
            vf a = vwiden(row[i] + j, here);
            v = kind == REDUCE_SUM ? v + a : vmax(a, v);
        }
        vstore_n(y + j, v * vset(scale), here);
    }
}

/* The bits of a bfloat16 number as an integer that is larger when the number is; and back, by the same. */
typedef int16_t vs __attribute__((vector_size(VEC_BYTES)));
INLINE vs ordered(vs v) { return v ^ ((v >> 15) & 0x7fff); }
INLINE vs larger(vs a, vs b)
{
#if defined(__AVX512BW__) && VEC_BYTES == 64
    return (vs)_mm512_max_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && VEC_BYTES == 32
    return (vs)_mm256_max_epi16((__m256i)a, (__m256i)b);
#else
    const vs more = a > b;
    return (a & more) | (b & ~more);
#endif
}

static void largest(const uint16_t *const *row, int rows, uint16_t *y, int64_t n)
{
    enum { MANY = VEC_BYTES / (int)sizeof *y };
    for (int64_t j = 0; j < n; j += MANY) {
        const size_t bytes = n - j < MANY ? (size_t)(n - j) * sizeof *y : VEC_BYTES;
        vs best = { 0 }, v = { 0 };
        for (int i = 0; i < rows; i++) {
            if (bytes == VEC_BYTES)
                memcpy(&v, row[i] + j, sizeof v);
            else
                memcpy(&v, row[i] + j, bytes);
            best = i ? larger(best, ordered(v)) : ordered(v);
        }
        best = ordered(best);
        if (bytes == VEC_BYTES)
            memcpy(y + j, &best, sizeof best);
        else
            memcpy(y + j, &best, bytes);
    }
}

enum { PAIRS = 16, ACROSS = 16 };       /* of a slab of a product; numbers of one and the next pixel in 16 columns */

/* Numbers [c, c + n) of one pixel and the next, side by side; zeros after them. */
INLINE void pairs_across(const uint16_t *const *at, int64_t c, int n, float *to)
{
    UNROLL for (int j = 0; j < ACROSS; j += VW) {
        const int here = n - j < 0 ? 0 : n - j < VW ? n - j : VW;
        for (int q = 0; q < PAIRS; q++) {
            vi a = (vi)vwiden(at[2 * q] + c + j, here), b = (vi)vwiden(at[2 * q + 1] + c + j, here);
            vstore(to + q * ACROSS + j, (vf)((a >> 16 & vseti(0xffff)) | b));
        }
    }
}

static void pairs(const uint16_t *const *at, int64_t c, int n, void *slab) { pairs_across(at, c, n, slab); }

static void turn(const uint16_t *const *at, int64_t c, int n, void *slab)
{
    for (int j = 0; j < n; j += ACROSS) {
        float block[PAIRS * ACROSS];
        pairs_across(at, c + j, n - j, block);
        for (int i = 0; i < ACROSS; i += BLOCK)
            for (int q = 0; q < PAIRS; q += BLOCK)
                vtranspose(block + q * ACROSS + i, ACROSS, (float *)slab + (j + i) * PAIRS + q, PAIRS);
    }
}

const narrow_vec VEC(narrow_vec) = {
    .narrow = narrow, .widen = widen, .widen_runs = widen_runs, .reduce_rows = reduce_rows, .pool = pool, .largest = largest, .turn = turn, .pairs = pairs,
};
