/* gemm_vec.c - tiles of matrix products, and packing of their operands. */
#include "act_simd.h"
#include "vec.h"

enum { PLAIN, SUMMED, GATED };
enum { WORTH = 64 };                        /* numbers whose products leave time to fetch results */

/* Bias, residual and clamps while the results are in registers; dearer functions on the rows just written. */
INLINE void tile(const int rows, const int vecs, const int right, const gemm_tile *t)
{
    vf acc[TILE_ROWS][TILE_VECS];
    const float *b = t->b, *other = t->other;
    float *made = t->made;
    const char *ahead = t->ahead;
    const int64_t step = t->ahead_step;
    const bool whole = t->columns == vecs * VW;
    const int last = t->columns - (vecs - 1) * VW;

    UNROLL for (int j = 0; j < vecs; j++) {
        vf start = t->bias && !t->keep ? vload(t->bias + t->column + j * VW) : vset(0.f);
        UNROLL for (int i = 0; i < rows; i++)
            acc[i][j] = start;
    }
    if (t->add)
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int j = 0; j < vecs; j++) {
                const float *p = t->out[i] + t->column + j * VW;
                acc[i][j] = j < vecs - 1 || whole ? vload(p) : vload_n(p, last);
            }
    for (int k = 0; k < 2 && t->from[k]; k++)
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int j = 0; j < vecs; j++)
                acc[i][j] += vload(t->from[k] + (i * vecs + j) * VW);
    if (t->residual)
        UNROLL for (int i = 0; i < rows; i++)
            __builtin_prefetch(t->residual[i] + t->column);
    for (int64_t tap = 0; tap < t->taps; tap++) {
        const float *row[TILE_ROWS];
        UNROLL for (int i = 0; i < rows; i++)
            row[i] = t->row[tap * rows + i];
        /* Where results go is fetched meanwhile, a row at a time: from memory all at once would keep the panel from coming out of L2. */
        const int parts = t->out && !tap && t->run >= WORTH ? rows : 1;
        int64_t k = 0;
        for (int part = 0; part < parts; part++) {
            const int64_t end = t->run * (part + 1) / parts;
            if (parts > 1)
                UNROLL for (int j = 0; j < vecs; j++)
                    __builtin_prefetch(t->out[part] + t->column + j * VW, 1);
            for (; k < end; k++) {
                vf bv[TILE_VECS];
                UNROLL for (int j = 0; j < vecs; j++)
                    bv[j] = vload(b + j * VW);
                if (right != PLAIN) {
                    UNROLL for (int j = 0; j < vecs; j++) {
                        bv[j] = right == SUMMED ? bv[j] - vload(other + j * VW) : bv[j] * vset(*other);
                        vstore(made + j * VW, bv[j]);
                    }
                    other += right == SUMMED ? vecs * VW : 1;
                    made += vecs * VW;
                }
                UNROLL for (int i = 0; i < rows; i++) {
                    vf x = vset(row[i][k]);
                    UNROLL for (int j = 0; j < vecs; j++)
                        acc[i][j] += x * bv[j];
                }
                b += vecs * VW;
                __builtin_prefetch(ahead, 0, 2);
                ahead += step;
            }
        }
    }
    if (t->keep)
        UNROLL for (int j = 0; j < vecs; j++) {
            const vf more = t->bias ? vload(t->bias + t->column + j * VW) : vset(0.f);
            UNROLL for (int i = 0; i < rows; i++) {
                vstore(t->keep + (i * vecs + j) * VW, acc[i][j]);
                acc[i][j] += t->plus ? vload(t->plus + (i * vecs + j) * VW) + more : more;
            }
        }
    if (!t->out)
        return;
    if (t->residual && !t->act_first)
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int j = 0; j < vecs; j++) {
                const float *p = t->residual[i] + t->column + j * VW;
                acc[i][j] += j < vecs - 1 || whole ? vload(p) : vload_n(p, last);
            }
    if (t->f.kind == ACT_CLAMP) {
        vf lo = vset(t->f.a), hi = vset(t->f.b);
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int j = 0; j < vecs; j++)
                acc[i][j] = vclamp(acc[i][j], lo, hi);
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < vecs; j++) {
            float *p = t->out[i] + t->column + j * VW;
            if (j < vecs - 1 || whole)
                vstore(p, acc[i][j]);
            else
                vstore_n(p, acc[i][j], last);
        }
}

static __attribute__((noinline)) void finish(const gemm_tile *t, int rows)
{
    if (t->f.kind > ACT_CLAMP)
        act_rows(t->f, t->out, rows, t->column, t->columns);
    for (int i = 0; i < rows && t->residual && t->act_first; i++)
        for (int j = 0; j < t->columns; j++)
            t->out[i][t->column + j] += t->residual[i][t->column + j];
}

#define NAMED(name, r, v, right) \
    static void name##_##r##x##v(const gemm_tile *t) \
    { \
        tile(r, v, right, t); \
        if (t->f.kind > ACT_CLAMP || (t->residual && t->act_first)) \
            finish(t, r); \
    }
#define TILE(r, v) NAMED(tile, r, v, PLAIN)
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1)
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2)
TILE(1, 3) TILE(2, 3) TILE(3, 3) TILE(4, 3)
TILE(1, 4) TILE(1, 5) TILE(1, 6) TILE(1, 7) TILE(1, 8)
#if VEC_BYTES == 64
TILE(7, 1) TILE(8, 1) TILE(7, 2) TILE(8, 2) TILE(5, 3) TILE(6, 3) TILE(7, 3) TILE(8, 3)
TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4) TILE(6, 4)
#endif

#define MADE(r, v) NAMED(summed, r, v, SUMMED) NAMED(gated, r, v, GATED)
#if VEC_BYTES == 64
NAMED(gated, 8, 1, GATED) MADE(8, 2) MADE(8, 3) MADE(6, 4)
#else
NAMED(gated, 6, 1, GATED) MADE(6, 2) MADE(4, 3)
#endif

static void pack_panel(const float *b, int64_t k, int n, int64_t sk, int64_t sn, int width, float *packed)
{
    int64_t p = 0;
    if (sk == 1)
        for (; p + BLOCK <= k; p += BLOCK) {
            int j = 0;
            for (; j + BLOCK <= n; j += BLOCK)
                vtranspose(b + p + j * sn, sn, packed + p * width + j, width);
            for (int q = 0; q < BLOCK; q++) {
                for (int i = j; i < n; i++)
                    packed[(p + q) * width + i] = b[p + q + i * sn];
                for (int i = n; i < width; i++)
                    packed[(p + q) * width + i] = 0;
            }
        }
    for (; p < k; p++) {
        float *to = packed + p * width;
        const float *from = b + p * sk;
        if (sn == 1 && n == width)
            for (int j = 0; j < width; j += VW)
                vstore(to + j, vload(from + j));
        else {
            for (int j = 0; j < n; j++)
                to[j] = from[j * sn];
            for (int j = n; j < width; j++)
                to[j] = 0;
        }
    }
}

static void pack(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed)
{
    for (int64_t j = 0; j < n; j += panel) {
        int columns = n - j < panel ? (int)(n - j) : panel, width = (columns + VW - 1) / VW * VW;
        pack_panel(b + j * sn, k, columns, sk, sn, width, packed + j * k);
    }
}

#if VEC_BYTES == 64
#define ROWS_AND_TILES \
    .rows = { 0, 8, 8, 8, 6, 1, 1, 1, 1 }, \
    .summed = { [2] = summed_8x2, [3] = summed_8x3, [4] = summed_6x4 }, \
    .gated = { [1] = gated_8x1, [2] = gated_8x2, [3] = gated_8x3, [4] = gated_6x4 }, \
    .tile = { \
        [1] = { NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1, tile_7x1, tile_8x1 }, \
        [2] = { NULL, tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2, tile_7x2, tile_8x2 }, \
        [3] = { NULL, tile_1x3, tile_2x3, tile_3x3, tile_4x3, tile_5x3, tile_6x3, tile_7x3, tile_8x3 }, \
        [4] = { NULL, tile_1x4, tile_2x4, tile_3x4, tile_4x4, tile_5x4, tile_6x4 }, \
        [5] = { NULL, tile_1x5 }, [6] = { NULL, tile_1x6 }, [7] = { NULL, tile_1x7 }, [8] = { NULL, tile_1x8 }, \
    },
#else
#define ROWS_AND_TILES \
    .rows = { 0, 6, 6, 4, 1, 1, 1, 1, 1 }, \
    .summed = { [2] = summed_6x2, [3] = summed_4x3 }, \
    .gated = { [1] = gated_6x1, [2] = gated_6x2, [3] = gated_4x3 }, \
    .tile = { \
        [1] = { NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1 }, \
        [2] = { NULL, tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2 }, \
        [3] = { NULL, tile_1x3, tile_2x3, tile_3x3, tile_4x3 }, \
        [4] = { NULL, tile_1x4 }, [5] = { NULL, tile_1x5 }, [6] = { NULL, tile_1x6 }, [7] = { NULL, tile_1x7 }, \
        [8] = { NULL, tile_1x8 }, \
    },
#endif

const gemm_vec VEC(gemm_vec) = { .width = VW, .pack = pack, .finish = finish, .deep = 1, .bytes = 4, .gain = 1, ROWS_AND_TILES };
