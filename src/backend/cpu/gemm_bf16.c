/* gemm_bf16.c - products of bfloat16 numbers by instructions for them: tiles (AMX) or pairs in vectors (AVX512-BF16).
 *
 * Compiled once for each (VEC_ISA: amx, dot; see CMakeLists.txt), and for tests once more over instructions written in C.
 * Both take operands packed alike, in slabs of 32 numbers of k, filled up with zeros:
 *   left, of up to 32 rows: [part][slab][row][32]; right, of one or two vectors: [part][slab][vector][16 pairs][16 columns][2]
 * The parts are the number rounded, and for bf16x3 what is left of it, rounded: hi hi + hi lo + lo hi is then as exact as
 * single precision for networks.  Sums are in single precision.
 */
#include "simd.h"
#include "vec.h"
#ifdef BF16_EMULATED
#include "bf16_emulated.h"
#else
#include <immintrin.h>
#endif

enum { ROWS = 32, DEEP = 32, PAIRS = 16, LEFT = ROWS * DEEP, RIGHT = DEEP * VW };       /* numbers of a slab; of one vector */

_Static_assert(DEEP == 2 * VW, "a row of a slab is two vectors of floats");
typedef int16_t vh __attribute__((vector_size(VEC_BYTES)));            /* a row of a slab */

/* -- packing ---------------------------------------------------------------------------------------------------------- */

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
INLINE void put(uint16_t *to, vh v, int n) { memcpy(to, &v, (size_t)n * sizeof *to); }
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
INLINE void put(uint16_t *to, vh v, int n) { _mm512_mask_storeu_epi16(to, (__mmask32)((UINT64_C(1) << n) - 1), (__m512i)v); }
#endif

/* What rounding leaves; nothing of an infinity. */
INLINE vf rest(vf v)
{
    vf rounded = bfloat(v);
    return vpick(vabs(rounded) < vset(INFINITY), v - rounded, vset(0.f));
}

/* n numbers (up to a row of a slab) as bfloat16, and their rest at `low`, unless NULL. */
INLINE void narrow(const float *from, int n, uint16_t *to, uint16_t *low)
{
    vf a = n >= VW ? vload(from) : vload_n(from, n);
    vf b = n == DEEP ? vload(from + VW) : n > VW ? vload_n(from + VW, n - VW) : vset(0.f);
    put(to, halves(a, b), n);
    if (low)
        put(low, halves(rest(a), rest(b)), n);
}

/* Rows of numbers `step` apart: a slab at a time is turned, where the rows are neighbours, and then is as any other. */
static void turn(const float *const *row, int count, int64_t first, int64_t n, int64_t step, float *to)
{
    bool neighbours = count == TILE_ROWS;
    for (int i = 1; i < count; i++)
        neighbours = neighbours && row[i] == row[0] + i;
    int64_t k = 0;
    for (; neighbours && k + BLOCK <= n; k += BLOCK)
        for (int i = 0; i < count; i += BLOCK)
            vtranspose(row[i] + (first + k) * step, step, to + i * DEEP + k, DEEP);
    for (; k < n; k++)
        for (int i = 0; i < count; i++)
            to[i * DEEP + k] = row[i][(first + k) * step];
}

INLINE void left_turned(const float *const *row, int count, int64_t run, int64_t step, int at, void *packed, const int parts)
{
    const int64_t slabs = (run + DEEP - 1) / DEEP;
    for (int64_t s = 0; s < slabs; s++) {
        int64_t n = run - s * DEEP < DEEP ? run - s * DEEP : DEEP;
        float block[TILE_ROWS * DEEP];
        turn(row, count, s * DEEP, n, step, block);
        for (int i = 0; i < count; i++) {
            uint16_t *to = (uint16_t *)packed + s * LEFT + (at + i) * DEEP;
            for (int64_t k = n; k < DEEP; k++)
                block[i * DEEP + k] = 0;
            narrow(block + i * DEEP, DEEP, to, parts > 1 ? to + slabs * LEFT : NULL);
        }
    }
}

INLINE void left_any(const float *const *row, int count, int64_t taps, int64_t run, int at, void *packed, const int parts)
{
    const int64_t k = taps * run, slabs = (k + DEEP - 1) / DEEP;
    for (int i = 0; i < count; i++) {
        uint16_t *to = (uint16_t *)packed + (at + i) * DEEP;
        int64_t place = 0;
        for (int64_t t = 0; t < taps; t++) {
            const float *from = row[t * count + i];
            int64_t p = 0, n;
            if (place % DEEP == 0)
                for (; p + DEEP <= run; p += DEEP, place += DEEP) {
                    uint16_t *here = to + place / DEEP * LEFT;
                    narrow(from + p, DEEP, here, parts > 1 ? here + slabs * LEFT : NULL);
                }
            for (; p < run; p += n, place += n) {
                int64_t in = place % DEEP;
                uint16_t *here = to + place / DEEP * LEFT + in;
                n = DEEP - in < run - p ? DEEP - in : run - p;
                narrow(from + p, (int)n, here, parts > 1 ? here + slabs * LEFT : NULL);
            }
        }
        if (place % DEEP)
            for (int part = 0; part < parts; part++)
                memset(to + (part * slabs + slabs - 1) * LEFT + place % DEEP, 0, (size_t)(DEEP - place % DEEP) * sizeof *to);
    }
}

/* DEEP x VW numbers of b, of which k x n are there, zeros else. */
static void gather(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, float *to)
{
    int p = 0;
    if (k < DEEP || n < VW)
        memset(to, 0, DEEP * VW * sizeof *to);
    if (sk == 1 && n >= VW)
        for (; p + BLOCK <= k && p < DEEP; p += BLOCK)
            for (int j = 0; j < VW; j += BLOCK)
                vtranspose(b + p + j * sn, sn, to + p * VW + j, VW);
    for (; p < DEEP && p < k; p++)
        for (int j = 0; j < VW && j < n; j++)
            to[p * VW + j] = b[p * sk + j * sn];
}

INLINE void pack_any(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed, const int parts)
{
    const int64_t slabs = (k + DEEP - 1) / DEEP;
    for (int64_t j = 0; j < n; j += panel) {
        int64_t columns = n - j < panel ? n - j : panel, vecs = (columns + VW - 1) / VW;
        for (int64_t i = 0; i < slabs * vecs; i++) {
            float block[DEEP * VW], *to = packed + j * slabs * DEEP * parts / 2 + i * RIGHT / 2;
            int64_t p = i / vecs * DEEP, c = j + i % vecs * VW, step = sk;
            int deep = k - p < DEEP ? (int)(k - p) : DEEP, wide = n - c < VW ? (int)(n - c) : VW;
            const float *from = b + p * sk + c * sn;
            if (sn != 1) {
                gather(from, k - p, n - c, sk, sn, block);
                from = block, step = VW, deep = DEEP, wide = VW;
            }
            for (int q = 0; q < PAIRS; q++) {
                vf x = 2 * q < deep ? vload_n(from + 2 * q * step, wide) : vset(0.f);
                vf y = 2 * q + 1 < deep ? vload_n(from + (2 * q + 1) * step, wide) : vset(0.f);
                vstore(to + q * VW, (vf)pair(x, y));
                if (parts > 1)
                    vstore(to + slabs * vecs * RIGHT / 2 + q * VW, (vf)pair(rest(x), rest(y)));
            }
        }
    }
}

/* -- up to 32 x 2 vectors of sums: sum[ROWS][2 VW] ---------------------------------------------------------------------- */

#if BF16_TILES

/* Tiles 0 to 3 hold the sums, 4 what is read of the left, 5 of the right: no more, although there are eight.  Where another thread
 * shares the core, what is left of its tiles for renaming is so little that each tile in use costs: with one for each half of an
 * operand a product takes 1.5 times as long there, and no less elsewhere, though one half is then read once only.  Static: GCC's
 * _tile_loadconfig says that it reads 8 bytes, and of a variable on the stack the other 56 were never written. */
static void begin(void)
{
    static const struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {
        .palette = 1, .bytes = { 64, 64, 64, 64, 64, 64 }, .rows = { 16, 16, 16, 16, 16, 16 },
    };
    _tile_loadconfig(&shape);
}

static void end(void) { _tile_release(); }

INLINE void slab(const uint16_t *a, const uint16_t *b, const bool low, const bool right)
{
    _tile_loadd(5, b, 64);
    _tile_loadd(4, a, 2 * DEEP);
    _tile_dpbf16ps(0, 4, 5);
    if (right) {
        _tile_loadd(5, b + RIGHT, 64);
        _tile_dpbf16ps(1, 4, 5);
    }
    if (low)
        _tile_loadd(4, a + LEFT / 2, 2 * DEEP);
    if (low && right) {
        _tile_dpbf16ps(3, 4, 5);
        _tile_loadd(5, b, 64);
    }
    if (low)
        _tile_dpbf16ps(2, 4, 5);
}

INLINE void sums(const uint16_t *a, const uint16_t *b, int64_t slabs, const bool low, const bool right, const int parts, float *sum)
{
    const int64_t rest_a = slabs * LEFT, rest_b = slabs * RIGHT * (1 + right);
    _tile_zero(0);
    if (right)
        _tile_zero(1);
    if (low)
        _tile_zero(2);
    if (low && right)
        _tile_zero(3);
    for (int64_t s = 0; s < slabs; s++, a += LEFT, b += RIGHT * (1 + right)) {
        slab(a, b, low, right);
        if (parts > 1) {
            slab(a, b + rest_b, low, right);
            slab(a + rest_a, b, low, right);
        }
    }
    _tile_stored(0, sum, 2 * VEC_BYTES);
    if (right)
        _tile_stored(1, sum + VW, 2 * VEC_BYTES);
    if (low)
        _tile_stored(2, sum + ROWS * VW, 2 * VEC_BYTES);
    if (low && right)
        _tile_stored(3, sum + ROWS * VW + VW, 2 * VEC_BYTES);
}

INLINE void multiply(const uint16_t *a, const uint16_t *b, int64_t slabs, int rows, int vecs, const int parts, float *sum)
{
    if (rows > ROWS / 2 && vecs > 1)
        sums(a, b, slabs, true, true, parts, sum);
    else if (rows > ROWS / 2)
        sums(a, b, slabs, true, false, parts, sum);
    else if (vecs > 1)
        sums(a, b, slabs, false, true, parts, sum);
    else
        sums(a, b, slabs, false, false, parts, sum);
}

#else

enum { STRIP = 8 };
static void begin(void) {}
static void end(void) {}

#ifndef BF16_EMULATED
INLINE vf bf16_dot(vf sum, vi a, vi b) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
#endif

INLINE vi two(const uint16_t *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return vseti(x);
}

/* STRIP rows; those beyond the last are computed of what lies there, and not looked at. */
INLINE void sums(const uint16_t *a, const uint16_t *b, int64_t slabs, const int vecs, float *sum)
{
    vf acc[STRIP][2];
    UNROLL for (int i = 0; i < STRIP; i++)
        UNROLL for (int j = 0; j < vecs; j++)
            acc[i][j] = vset(0.f);
    for (int64_t s = 0; s < slabs; s++, a += LEFT, b += RIGHT * vecs)
        for (int q = 0; q < PAIRS; q++) {
            vi right[2];
            UNROLL for (int j = 0; j < vecs; j++)
                memcpy(&right[j], b + j * RIGHT + q * 2 * VW, sizeof *right);
            UNROLL for (int i = 0; i < STRIP; i++) {
                vi x = two(a + i * DEEP + 2 * q);
                UNROLL for (int j = 0; j < vecs; j++)
                    acc[i][j] = bf16_dot(acc[i][j], x, right[j]);
            }
        }
    UNROLL for (int i = 0; i < STRIP; i++)
        UNROLL for (int j = 0; j < vecs; j++)
            vstore(sum + (2 * i + j) * VW, acc[i][j]);
}

INLINE void multiply(const uint16_t *a, const uint16_t *b, int64_t slabs, int rows, int vecs, const int parts, float *sum)
{
    (void)parts;                                        /* three products would be slower than single precision */
    for (int i = 0; i < rows; i += STRIP)
        if (vecs > 1)
            sums(a + i * DEEP, b, slabs, 2, sum + i * 2 * VW);
        else
            sums(a + i * DEEP, b, slabs, 1, sum + i * 2 * VW);
}

#endif

/* -- tiles ------------------------------------------------------------------------------------------------------------ */

/* Whole vectors; `more`, where it is not NULL, is added. */
INLINE void leave_whole(const gemm_tile *t, int rows, const int vecs, const float *sum, vf lo, vf hi, float *const *more)
{
    float *const *out = t->out;
    const int64_t column = t->column;
    vf bias[2];
    UNROLL for (int j = 0; j < vecs; j++)
        bias[j] = t->bias && !t->add ? vload(t->bias + column + j * VW) : vset(0.f);
    for (int i = 0; i < rows; i++, sum += 2 * VW) {
        float *to = out[i] + column;
        const float *from = more ? more[i] + column : NULL;
        UNROLL for (int j = 0; j < vecs; j++) {
            vf v = vload(sum + j * VW) + bias[j];
            if (more)
                v += vload(from + j * VW);
            vstore(to + j * VW, vclamp(v, lo, hi));
        }
    }
}

static void leave_ragged(const gemm_tile *t, int rows, int vecs, const float *sum, vf lo, vf hi)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vecs; j++) {
            int n = t->columns - j * VW < VW ? t->columns - j * VW : VW;
            int64_t c = t->column + j * VW;
            vf v = vload(sum + (2 * i + j) * VW);
            if (t->add)
                v += vload_n(t->out[i] + c, n);
            else if (t->bias)
                v += vload(t->bias + c);
            if (t->residual && !t->act_first)
                v += vload_n(t->residual[i] + c, n);
            vstore_n(t->out[i] + c, vclamp(v, lo, hi), n);
        }
}

/* From the sums to the results: bias, residual and clamps here, dearer functions after. */
static void leave(const gemm_tile *t, int rows, int vecs, const float *sum)
{
    const vf lo = vset(t->f.kind == ACT_CLAMP ? t->f.a : -INFINITY), hi = vset(t->f.kind == ACT_CLAMP ? t->f.b : INFINITY);
    float *const *residual = t->act_first ? NULL : (float *const *)t->residual, *const *more = t->add ? t->out : residual;
    if (t->columns != vecs * VW || (t->add && residual))
        leave_ragged(t, rows, vecs, sum, lo, hi);
    else if (more && vecs > 1)
        leave_whole(t, rows, 2, sum, lo, hi, more);
    else if (more)
        leave_whole(t, rows, 1, sum, lo, hi, more);
    else if (vecs > 1)
        leave_whole(t, rows, 2, sum, lo, hi, NULL);
    else
        leave_whole(t, rows, 1, sum, lo, hi, NULL);
    if (t->f.kind > ACT_CLAMP || (t->residual && t->act_first))
        VEC_PICK(gemm_vec)->finish(t, rows);
}

INLINE void tile_any(const gemm_tile *t, int rows, int vecs, const int parts)
{
    _Alignas(64) float sum[ROWS * 2 * VW];
    multiply((const uint16_t *)(const void *)t->row[0], (const uint16_t *)(const void *)t->b, (t->run + DEEP - 1) / DEEP, rows, vecs,
             parts, sum);
    leave(t, rows, vecs, sum);
}

#define TABLE(name, parts) \
    static void left_##parts(const float *const *row, int count, int64_t taps, int64_t run, int64_t step, int at, int64_t pitch, \
                             void *packed) \
    { \
        (void)pitch; \
        if (step == 1) \
            left_any(row, count, taps, run, at, packed, parts); \
        else                                            /* of one tap */ \
            left_turned(row, count, run, step, at, packed, parts); \
    } \
    static void pack_##parts(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed) \
    { \
        pack_any(b, k, n, sk, sn, panel, packed, parts); \
    } \
    static void tile_##parts(const gemm_tile *t, int rows, int vecs) { tile_any(t, rows, vecs, parts); } \
    const gemm_vec VEC(name) = { .width = VW, .rows = { 0, ROWS, ROWS }, .any = tile_##parts, .pack = pack_##parts, .left = left_##parts, \
                                 .deep = DEEP, .bytes = 2 * parts, .begin = begin, .end = end };
TABLE(gemm_bf16, 1)
#if BF16_TILES
TABLE(gemm_bf16x3, 2)
#endif
