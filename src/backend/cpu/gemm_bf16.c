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

typedef int16_t vs __attribute__((vector_size(VEC_BYTES / 2)));

/* -- packing ---------------------------------------------------------------------------------------------------------- */

/* What rounding leaves; nothing of an infinity. */
INLINE vf rest(vf v, vf rounded) { return vpick(vabs(rounded) < vset(INFINITY), v - rounded, vset(0.f)); }

#ifdef BF16_EMULATED
INLINE vs halves(vf v) { return __builtin_convertvector((vi)vbfloat(v) >> 16, vs); }
INLINE void store_halves(uint16_t *to, vs v, int n) { memcpy(to, &v, (size_t)n * sizeof *to); }
#else
INLINE vs halves(vf v) { return (vs)_mm512_cvtneps_pbh((__m512)v); }
INLINE void store_halves(uint16_t *to, vs v, int n) { _mm256_mask_storeu_epi16(to, (__mmask16)((1u << n) - 1), (__m256i)v); }
#endif

INLINE vf widened(vs v) { return (vf)(__builtin_convertvector(v, vi) << 16); }

/* n numbers (up to a vector) as bfloat16, and their rest at `low`, unless NULL. */
INLINE void narrow(const float *from, int n, uint16_t *to, uint16_t *low)
{
    vf v = n == VW ? vload(from) : vload_n(from, n);
    vs high = halves(v);
    store_halves(to, high, n);
    if (low)
        store_halves(low, halves(rest(v, widened(high))), n);
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
            for (int k = 0; k < DEEP; k += VW)
                narrow(block + i * DEEP + k, VW, to + k, parts > 1 ? to + slabs * LEFT + k : NULL);
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
            for (int64_t p = 0, n; p < run; p += n, place += n) {
                int64_t in = place % DEEP;
                uint16_t *here = to + place / DEEP * LEFT + in, *low = parts > 1 ? here + slabs * LEFT : NULL;
                if (!in && run - p >= DEEP) {               /* most often: a whole slab's row */
                    for (int j = 0; j < DEEP; j += VW)
                        narrow(from + p + j, VW, here + j, low ? low + j : NULL);
                    n = DEEP;
                    continue;
                }
                n = DEEP - in < VW ? DEEP - in : VW;
                n = n < run - p ? n : run - p;
                narrow(from + p, (int)n, here, low);
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

INLINE vi pair(vf a, vf b) { return ((vi)a >> 16 & vseti(0xffff)) | ((vi)b & vseti(-65536)); }

INLINE void pack_any(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed, const int parts)
{
    const int64_t slabs = (k + DEEP - 1) / DEEP;
    for (int64_t j = 0; j < n; j += panel) {
        int64_t columns = n - j < panel ? n - j : panel, vecs = (columns + VW - 1) / VW;
        for (int64_t i = 0; i < slabs * vecs; i++) {
            float block[DEEP * VW], *to = packed + j * slabs * DEEP * parts / 2 + i * RIGHT / 2;
            int64_t p = i / vecs * DEEP, c = j + i % vecs * VW;
            gather(b + p * sk + c * sn, k - p, n - c, sk, sn, block);
            for (int q = 0; q < PAIRS; q++) {
                vf x = vload(block + 2 * q * VW), y = vload(block + (2 * q + 1) * VW), high = vbfloat(x), highest = vbfloat(y);
                vstore(to + q * VW, (vf)pair(high, highest));
                if (parts > 1)
                    vstore(to + slabs * vecs * RIGHT / 2 + q * VW, (vf)pair(vbfloat(rest(x, high)), vbfloat(rest(y, highest))));
            }
        }
    }
}

/* -- up to 32 x 2 vectors of sums: sum[ROWS][2 VW] ---------------------------------------------------------------------- */

#if BF16_TILES

/* Tiles 0 to 3 hold the sums, 4 and 5 what is read of the left, 6 and 7 of the right.  Static: GCC's _tile_loadconfig says that
 * it reads 8 bytes, and of a variable on the stack the other 56 were never written. */
static void begin(void)
{
    static const struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {
        .palette = 1, .bytes = { 64, 64, 64, 64, 64, 64, 64, 64 }, .rows = { 16, 16, 16, 16, 16, 16, 16, 16 },
    };
    _tile_loadconfig(&shape);
}

static void end(void) { _tile_release(); }

INLINE void slab(const uint16_t *a, const uint16_t *b, const bool low, const bool right)
{
    _tile_loadd(4, a, 2 * DEEP);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (right) {
        _tile_loadd(7, b + RIGHT, 64);
        _tile_dpbf16ps(1, 4, 7);
    }
    if (low) {
        _tile_loadd(5, a + LEFT / 2, 2 * DEEP);
        _tile_dpbf16ps(2, 5, 6);
    }
    if (low && right)
        _tile_dpbf16ps(3, 5, 7);
}

INLINE void sums(const uint16_t *a, const uint16_t *b, int64_t slabs, const bool low, const bool right, const int parts, float *sum)
{
    const int64_t rest_a = slabs * LEFT, rest_b = slabs * RIGHT * (1 + right);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
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
