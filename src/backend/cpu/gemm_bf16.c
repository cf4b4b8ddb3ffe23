/* gemm_bf16.c - products of bfloat16 numbers by instructions for them: tiles (AMX) or pairs in vectors (AVX512-BF16).
 *
 * Compiled once for each (VEC_ISA: amx, dot; see CMakeLists.txt), and for tests once more over instructions written in C.
 * Both take operands packed alike, in slabs of 32 numbers of k, filled up with zeros:
 *   left, of up to 32 rows: [part][slab][row][32]; right, of one or two vectors: [part][slab][vector][16 pairs][16 columns][2]
 * Rows, residuals and results may be of bfloat16 in memory already.  The parts are the number rounded, and for bf16x3 what is left of it, rounded: hi hi + hi lo + lo hi is then as exact as
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

/* 2^r for 0 <= r < 1. */
INLINE vf powers(vf r) { return ((vset(7.896726e-2f) * r + vset(.22469316f)) * r + vset(.69632477f)) * r + vset(.99990029f); }

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
INLINE vh get(const uint16_t *from, int n)
{
    vh v = { 0 };
    memcpy(&v, from, (size_t)n * sizeof *from);
    return v;
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
INLINE vh get(const uint16_t *from, int n) { return (vh)_mm512_maskz_loadu_epi16((__mmask32)((UINT64_C(1) << n) - 1), from); }
INLINE vf wide(const uint16_t *from, int n)             /* a vector of bfloat16 as floats */
{
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), from)), 16);
}
/* 2^x and 1 / x, to one part in ten thousand: for results that are rounded to one in three hundred. */
INLINE vf power(vf x) { return (vf)_mm512_scalef_ps((__m512)powers((vf)_mm512_reduce_ps((__m512)x, 9)), (__m512)x); }
INLINE vf inverse(vf x) { return (vf)_mm512_rcp14_ps((__m512)x); }
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

/* Rows that are bfloat16 already. */
static void left_narrow(const void *const *row, int count, int64_t taps, int64_t run, int at, void *packed)
{
    const int64_t slabs = (taps * run + DEEP - 1) / DEEP;
    for (int i = 0; i < count; i++) {
        uint16_t *to = (uint16_t *)packed + (at + i) * DEEP;
        int64_t place = 0;
        for (int64_t t = 0; t < taps; t++) {
            const uint16_t *from = row[t * count + i];
            int64_t p = 0;
            if (place % DEEP == 0)
                for (; p + DEEP <= run; p += DEEP, place += DEEP)
                    put(to + place / DEEP * LEFT, get(from + p, DEEP), DEEP);
            for (int64_t n; p < run; p += n, place += n) {
                int64_t in = place % DEEP;
                n = DEEP - in < run - p ? DEEP - in : run - p;
                put(to + place / DEEP * LEFT + in, get(from + p, (int)n), (int)n);
            }
        }
        if (place % DEEP)
            memset(to + (slabs - 1) * LEFT + place % DEEP, 0, (size_t)(DEEP - place % DEEP) * sizeof *to);
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

/* Pairs of up to VW columns, of which a slab's first `deep` numbers are there, into [16 pairs][16 columns][2]. */
static void pairs_of(const uint16_t *b, int deep, int across, int64_t sk, int64_t sn, float *to)
{
    if (sn == 1)
        for (int q = 0; q < PAIRS; q++) {
            vi x = 2 * q < deep ? (vi)wide(b + 2 * q * sk, across) : vseti(0), y = 2 * q + 1 < deep ? (vi)wide(b + (2 * q + 1) * sk, across) : vseti(0);
            vstore(to + q * VW, (vf)((x >> 16 & vseti(0xffff)) | y));
        }
    else if (sk == 1 && sn % 2 == 0 && deep == DEEP && across == VW)         /* pairs lie side by side: as numbers of 32 bits */
        for (int q = 0; q < PAIRS; q += BLOCK)
            for (int j = 0; j < VW; j += BLOCK)
                vtranspose((const float *)(const void *)(b + 2 * q + j * sn), sn / 2, to + q * VW + j, VW);
    else {
        uint16_t pair[PAIRS][VW][2] = { 0 };
        for (int p = 0; p < deep; p++)
            for (int j = 0; j < across; j++)
                pair[p / 2][j][p % 2] = b[p * sk + j * sn];
        memcpy(to, pair, sizeof pair);
    }
}

static void pack_narrow(const void *from, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed)
{
    const uint16_t *b = from;
    const int64_t slabs = (k + DEEP - 1) / DEEP;
    for (int64_t j = 0; j < n; j += panel) {
        int64_t columns = n - j < panel ? n - j : panel, vecs = (columns + VW - 1) / VW;
        for (int64_t i = 0; i < slabs * vecs; i++) {
            int64_t p = i / vecs * DEEP, c = j + i % vecs * VW;
            pairs_of(b + p * sk + c * sn, k - p < DEEP ? (int)(k - p) : DEEP, n - c < VW ? (int)(n - c) : VW, sk, sn,
                     packed + j * slabs * DEEP / 2 + i * RIGHT / 2);
        }
    }
}

/* -- up to 32 x 2 vectors of sums: sum[ROWS][2 VW] ---------------------------------------------------------------------- */

/* Rows of a tile: packed, or as they lie; distances in bytes, slabs of a tap. */
typedef struct operand {
    const char *a;
    int64_t pitch, step, taps, slabs;
    const int64_t *tap;
    const char *ahead;                      /* fetched meanwhile, so many bytes a slab */
    int64_t ahead_step;
} operand;

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

static void products(int64_t rounds)
{
    begin();
    for (int64_t i = 0; i < rounds; i++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    end();
}
enum { A_ROUND = 4 * ROWS / 2 * VW * DEEP };             /* multiply-adds */

/* Rows of a are `pitch` bytes apart. */
INLINE void slab(const char *a, int64_t pitch, const uint16_t *b, const bool low, const bool right)
{
    _tile_loadd(5, b, 64);
    _tile_loadd(4, a, pitch);
    _tile_dpbf16ps(0, 4, 5);
    if (right) {
        _tile_loadd(5, b + RIGHT, 64);
        _tile_dpbf16ps(1, 4, 5);
    }
    if (low)
        _tile_loadd(4, a + ROWS / 2 * pitch, pitch);
    if (low && right) {
        _tile_dpbf16ps(3, 4, 5);
        _tile_loadd(5, b, 64);
    }
    if (low)
        _tile_dpbf16ps(2, 4, 5);
}

INLINE void sums(const operand *l, const uint16_t *b, const bool low, const bool right, const int parts, float *sum)
{
    const int64_t rest_a = l->slabs * LEFT * (int64_t)sizeof *b, rest_b = l->slabs * RIGHT * (1 + right);
    _tile_zero(0);
    if (right)
        _tile_zero(1);
    if (low)
        _tile_zero(2);
    if (low && right)
        _tile_zero(3);
    const char *ahead = l->ahead;
    for (int64_t t = 0; t < l->taps; t++) {
        const char *a = l->a + (l->tap ? l->tap[t] : 0);
        for (int64_t s = 0; s < l->slabs; s++, a += l->step, b += RIGHT * (1 + right), ahead += l->ahead_step) {
            for (int64_t i = 0; i < l->ahead_step; i += 64)
                __builtin_prefetch(ahead + i, 0, 2);
            slab(a, l->pitch, b, low, right);
            if (parts > 1) {
                slab(a, l->pitch, b + rest_b, low, right);
                slab(a + rest_a, l->pitch, b, low, right);
            }
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

INLINE void multiply(const operand *l, const uint16_t *b, int rows, int vecs, const int parts, float *sum)
{
    if (rows > ROWS / 2 && vecs > 1)
        sums(l, b, true, true, parts, sum);
    else if (rows > ROWS / 2)
        sums(l, b, true, false, parts, sum);
    else if (vecs > 1)
        sums(l, b, false, true, parts, sum);
    else
        sums(l, b, false, false, parts, sum);
}

#else

enum { STRIP = 8, A_ROUND = 2 * STRIP * DEEP };          /* rows; multiply-adds of a round of products */
static void begin(void) {}
static void end(void) {}

#ifndef BF16_EMULATED
INLINE vf bf16_dot(vf sum, vi a, vi b) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
#endif

static void products(int64_t rounds)
{
    static volatile int32_t one = 0x3f803f80;
    vf acc[2 * STRIP];
    vi x = vseti(one), y = vseti(one);
    volatile float result;
    UNROLL for (int i = 0; i < 2 * STRIP; i++)
        acc[i] = vset((float)i);
    for (int64_t k = 0; k < rounds; k++)
        UNROLL for (int i = 0; i < 2 * STRIP; i++)
            acc[i] = bf16_dot(acc[i], x, y);
    for (int i = 1; i < 2 * STRIP; i++)
        acc[0] += acc[i];
    result = vsum(acc[0]);
    (void)result;
}

INLINE vi two(const char *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return vseti(x);
}

/* STRIP rows; those beyond the last are computed of what lies there, and not looked at. */
INLINE void sums(const operand *l, int first, const uint16_t *b, const int vecs, float *sum)
{
    vf acc[STRIP][2];
    UNROLL for (int i = 0; i < STRIP; i++)
        UNROLL for (int j = 0; j < vecs; j++)
            acc[i][j] = vset(0.f);
    for (int64_t t = 0; t < l->taps; t++) {
        const char *a = l->a + (l->tap ? l->tap[t] : 0) + first * l->pitch;
        for (int64_t s = 0; s < l->slabs; s++, a += l->step, b += RIGHT * vecs)
            for (int q = 0; q < PAIRS; q++) {
                vi right[2];
                UNROLL for (int j = 0; j < vecs; j++)
                    memcpy(&right[j], b + j * RIGHT + q * 2 * VW, sizeof *right);
                UNROLL for (int i = 0; i < STRIP; i++) {
                    vi x = two(a + i * l->pitch + 2 * q * (int64_t)sizeof *b);
                    UNROLL for (int j = 0; j < vecs; j++)
                        acc[i][j] = bf16_dot(acc[i][j], x, right[j]);
                }
            }
    }
    UNROLL for (int i = 0; i < STRIP; i++)
        UNROLL for (int j = 0; j < vecs; j++)
            vstore(sum + (2 * i + j) * VW, acc[i][j]);
}

INLINE void multiply(const operand *l, const uint16_t *b, int rows, int vecs, const int parts, float *sum)
{
    (void)parts;                                        /* three products would be slower than single precision */
    for (int i = 0; i < rows; i += STRIP)
        if (vecs > 1)
            sums(l, i, b, 2, sum + i * 2 * VW);
        else
            sums(l, i, b, 1, sum + i * 2 * VW);
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
static void leave_wide(const gemm_tile *t, int rows, int vecs, const float *sum)
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

/* What may become of results that are rounded to bfloat16, as exactly as these tell.  STRAIGHT: a x + b, cut to [lo, hi].  CURVED and
 * FITTED: sigmoid(y), y = x (a + b x^2 + c x^4); GELU is fitted so, 3e-5 of itself.  HARD: x + 3 of 6, cut. */
typedef enum form { OTHER, STRAIGHT, CURVED, FITTED, HARD } form;
typedef struct curve { form form; float a, b, c, lo, hi; bool times; } curve;         /* times x */

static curve curve_of(act f)
{
    const float e = 1.44269504f;                        /* powers are of two */
    switch (f.kind) {
    case ACT_NONE:         return (curve){ STRAIGHT, 1, 0, 0, -INFINITY, INFINITY, false };
    case ACT_CLAMP:        return (curve){ STRAIGHT, 1, 0, 0, f.a, f.b, false };
    case ACT_AFFINE:       return (curve){ STRAIGHT, f.a, f.b, 0, -INFINITY, INFINITY, false };
    case ACT_SIGMOID:      return (curve){ CURVED, e, 0, 0, 0, 0, false };
    case ACT_SILU:         return (curve){ CURVED, e, 0, 0, 0, 0, true };
    case ACT_QUICK_GELU:   return (curve){ CURVED, 1.702f * e, 0, 0, 0, 0, true };
    case ACT_GELU:         return (curve){ FITTED, 2.30111759f, .106779132f, -1.01481661e-3f, 0, 0, true };
    case ACT_GELU_TANH:    return (curve){ FITTED, 1.59576912f * e, .0713548163f * e, 0, 0, 0, true };
    case ACT_HARD_SIGMOID: return (curve){ HARD, 0, 0, 0, 0, 0, false };
    case ACT_HARD_SWISH:   return (curve){ HARD, 0, 0, 0, 0, 0, true };
    default:               return (curve){ 0 };
    }
}

INLINE vf follow(const form how, const curve *q, vf x)
{
    vf near = x, slope = vset(-q->a), y;
    if (how == STRAIGHT)
        return vclamp(x * vset(q->a) + vset(q->b), vset(q->lo), vset(q->hi));
    if (how == FITTED) {                                /* beyond 8 the fit turns, and the function is x or nothing */
        near = vclamp(x, vset(-8.f), vset(8.f));
        vf s = near * near;
        slope = (vset(-q->c) * s - vset(q->b)) * s + slope;
    }
    if (how == HARD)
        y = vclamp(x + vset(3.f), vset(0.f), vset(6.f)) * vset(1.f / 6);
    else
        y = inverse(vset(1.f) + power(near * slope));
    return q->times ? x * y : y;
}

/* Rows of results as bfloat16: whole vectors in pairs. */
INLINE void leave_pairs(const gemm_tile *t, int rows, const float *sum, const bool residual, const form how, const curve *q)
{
    const int n = t->columns;
    const vf bias[2] = { t->bias ? vload(t->bias + t->column) : vset(0.f), t->bias ? vload(t->bias + t->column + VW) : vset(0.f) };
    for (int i = 0; i < rows; i++, sum += 2 * VW) {
        vf v[2];
        UNROLL for (int j = 0; j < 2; j++) {
            v[j] = vload(sum + j * VW) + bias[j];
            if (residual)
                v[j] += wide((const uint16_t *)(const void *)t->residual[i] + t->column + j * VW, j ? n - VW : VW);
            v[j] = follow(how, q, v[j]);
        }
        put((uint16_t *)(void *)t->out[i] + t->column, halves(v[0], v[1]), n);
    }
}

/* Residual or result are bfloat16: what leave_pairs does not do goes through rows of floats. */
static __attribute__((noinline)) void leave_narrow(const gemm_tile *t, int rows, int vecs, float *sum)
{
    const curve q = curve_of(t->f);
    const form how = t->narrow_out && vecs > 1 && (!t->residual || (t->narrow_residual && !t->act_first)) ? q.form : OTHER;
    if (how == STRAIGHT && t->residual)
        leave_pairs(t, rows, sum, true, STRAIGHT, &q);
    else if (how == STRAIGHT)
        leave_pairs(t, rows, sum, false, STRAIGHT, &q);
    else if (how == CURVED && !t->residual)
        leave_pairs(t, rows, sum, false, CURVED, &q);
    else if (how == FITTED && !t->residual)
        leave_pairs(t, rows, sum, false, FITTED, &q);
    else if (how == HARD && !t->residual)
        leave_pairs(t, rows, sum, false, HARD, &q);
    else {
        _Alignas(64) float more[ROWS][2 * VW];
        float *out[ROWS];
        const float *residual[ROWS];
        for (int i = 0; i < rows; i++) {
            out[i] = t->narrow_out ? sum + i * 2 * VW : t->out[i] + t->column;
            residual[i] = more[i];
            for (int j = 0; j < vecs && t->residual; j++) {
                int n = t->columns - j * VW < VW ? t->columns - j * VW : VW;
                const void *from = t->residual[i];
                vstore(more[i] + j * VW, t->narrow_residual ? wide((const uint16_t *)from + t->column + j * VW, n)
                                                            : vload_n((const float *)from + t->column + j * VW, n));
            }
        }
        gemm_tile u = *t;
        u.column = 0;
        u.out = out;
        u.bias = t->bias ? t->bias + t->column : NULL;
        u.residual = t->residual ? residual : NULL;
        leave_wide(&u, rows, vecs, sum);
        for (int i = 0; i < rows && t->narrow_out; i++)
            put((uint16_t *)(void *)t->out[i] + t->column, halves(vload(out[i]), vecs > 1 ? vload(out[i] + VW) : vset(0.f)), t->columns);
    }
}

INLINE void settle_as(const form how, const curve *q, const float *x, uint16_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += DEEP) {
        const int here = n - i < DEEP ? (int)(n - i) : DEEP, second = here > VW ? here - VW : 0;
        vf a = here >= VW ? vload(x + i) : vload_n(x + i, here), b = second == VW ? vload(x + i + VW) : second ? vload_n(x + i + VW, second) : vset(0.f);
        put(y + i, halves(follow(how, q, a), follow(how, q, b)), here);
    }
}

static void settle(act f, const float *x, uint16_t *y, int64_t n)
{
    enum { PIECE = 512 };
    const curve q = curve_of(f), plain = curve_of((act){ 0 });
    float piece[PIECE];
    switch (q.form) {
    case STRAIGHT: settle_as(STRAIGHT, &q, x, y, n); break;
    case CURVED:   settle_as(CURVED, &q, x, y, n); break;
    case FITTED:   settle_as(FITTED, &q, x, y, n); break;
    case HARD:     settle_as(HARD, &q, x, y, n); break;
    case OTHER:
        for (int64_t i = 0; i < n; i += PIECE) {
            const int64_t here = n - i < PIECE ? n - i : PIECE;
            VEC_PICK(elementwise_vec)->unary(f, x + i, piece, here);
            settle_as(STRAIGHT, &plain, piece, y + i, here);
        }
    }
}

/* y = e^(scale x + bias - the largest), zeros from n up to whole slabs; bias may be NULL.  The sum of y before it is rounded. */
static float weigh(float *x, float scale, const float *bias, int64_t n, uint16_t *y)
{
    const float e = 1.44269504f;
    vf most = vset(-INFINITY), sum = vset(0.f);
    for (int64_t i = 0; i < n; i += VW) {
        const int here = n - i < VW ? (int)(n - i) : VW;
        vf v = vload_fill(x + i, here, vset(-INFINITY)) * vset(scale * e);
        if (bias)
            v += vload_n(bias + i, here) * vset(e);
        vstore_n(x + i, v, here);
        most = vmax(most, v);
    }
    most = vset(vmaximum(most));
    for (int64_t i = 0; i < n; i += DEEP, y += DEEP) {
        vf part[2];
        UNROLL for (int j = 0; j < 2; j++) {
            const int64_t left = n - i - j * VW;
            part[j] = left >= VW ? power(vload(x + i + j * VW) - most) : left > 0 ? power(vload_fill(x + i + j * VW, (int)left, vset(-INFINITY)) - most)
                                                                               : vset(0.f);
            sum += part[j];
        }
        put(y, halves(part[0], part[1]), DEEP);
    }
    return vsum(sum);
}

/* Where the sums will go, and what is added to them: it comes while they are made. */
INLINE void fetch(const gemm_tile *t, int rows)
{
    const int64_t size = t->narrow_out ? sizeof(uint16_t) : sizeof(float), more = t->narrow_residual ? sizeof(uint16_t) : sizeof(float);
    for (int i = 0; i < rows; i++)
        for (int64_t at = 0; at < t->columns * size; at += 64)
            __builtin_prefetch((const char *)t->out[i] + t->column * size + at, 1, 3);
    for (int i = 0; i < rows && t->residual; i++)
        for (int64_t at = 0; at < t->columns * more; at += 64)
            __builtin_prefetch((const char *)t->residual[i] + t->column * more + at, 0, 3);
}

INLINE void tile_any(const gemm_tile *t, int rows, int vecs, const int parts)
{
    _Alignas(64) float sum[ROWS * 2 * VW];
    fetch(t, rows);
    const int64_t size = sizeof(uint16_t), row = DEEP * size;
    const operand l = { (const char *)t->row[0], t->tap ? t->pitch : row, t->tap ? row : LEFT * size, t->taps, (t->run + DEEP - 1) / DEEP, t->tap,
                        t->ahead, t->ahead_step * DEEP };
    multiply(&l, (const uint16_t *)(const void *)t->b, rows, vecs, parts, sum);
    if (t->narrow_out || t->narrow_residual)
        leave_narrow(t, rows, vecs, sum);
    else
        leave_wide(t, rows, vecs, sum);
}

#define TABLE(name, parts) \
    static void left_##parts(const float *const *row, int count, int64_t taps, int64_t run, int64_t step, int at, void *packed) \
    { \
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
    static float peak_##parts(int64_t rounds) { products(rounds); return (float)rounds * A_ROUND / (parts > 1 ? 3 : 1); } \
    const gemm_vec VEC(name) = { .width = VW, .rows = { 0, ROWS, ROWS }, .any = tile_##parts, .pack = pack_##parts, .left = left_##parts, .left_narrow = left_narrow, .pack_narrow = pack_narrow, .settle = settle, .weigh = weigh, .peak = peak_##parts, \
                                 .deep = DEEP, .bytes = 2 * parts, .begin = begin, .end = end };
TABLE(gemm_bf16, 1)
#if BF16_TILES
TABLE(gemm_bf16x3, 2)
#endif
