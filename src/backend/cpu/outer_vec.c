/* outer_vec.c - sums of outer products over pixels: numbers of one image by vectors of another. */
#include "simd.h"
#include "vec.h"

/* Summed from zero and then added, so that rounding grows with the pixels of a lot and the lots, not with their product. */
INLINE void tile(const int rows, const int vecs, const bool summed, const outer_tile *t)
{
    vf acc[TILE_ROWS][TILE_VECS];
    const float *d = t->left;
    const int64_t step = t->left_step, right_step = t->right_step, other_step = t->other_step;
    const float *other = t->other;
    float *sum = t->sum;
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < vecs; j++)
            acc[i][j] = vset(0.f);
    for (int k = 0; k < 2 && t->from[k]; k++)
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int j = 0; j < vecs; j++)
                acc[i][j] += vload(t->from[k] + (i * vecs + j) * VW);
    for (int64_t r = 0; r < t->runs; r++) {
        const float *b = t->right + t->place[r] * right_step;
        for (int64_t k = 0; k < t->run; k++, d += step, b += right_step) {
            vf bv[TILE_VECS];
            UNROLL for (int j = 0; j < vecs; j++)
                bv[j] = vload(b + j * VW);
            if (summed) {
                UNROLL for (int j = 0; j < vecs; j++) {
                    bv[j] -= vload(other + j * VW);
                    vstore(sum + j * VW, bv[j]);
                }
                other += other_step;
                sum += vecs * VW;
            }
            UNROLL for (int i = 0; i < rows; i++) {
                vf x = vset(d[i]);
                UNROLL for (int j = 0; j < vecs; j++)
                    acc[i][j] += x * bv[j];
            }
        }
    }
    if (t->keep)
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int j = 0; j < vecs; j++) {
                vstore(t->keep + (i * vecs + j) * VW, acc[i][j]);
                acc[i][j] += t->plus ? vload(t->plus + (i * vecs + j) * VW) : vset(0.f);
            }
    if (!t->out)
        return;
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < vecs; j++) {
            float *to = t->out + i * t->step + j * VW;
            vstore(to, t->add ? vload(to) + acc[i][j] : acc[i][j]);
        }
}

#define TILE(r, v) \
    static void tile_##r##x##v(const outer_tile *t) { tile(r, v, false, t); }
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1)
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2)
TILE(1, 3) TILE(2, 3) TILE(3, 3) TILE(4, 3)
#if VEC_BYTES == 64
TILE(7, 1) TILE(8, 1) TILE(7, 2) TILE(8, 2) TILE(5, 3) TILE(6, 3) TILE(7, 3) TILE(8, 3)
TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4) TILE(6, 4)
#endif

#define SUMMED(r, v) \
    static void summed_##r##x##v(const outer_tile *t) { tile(r, v, true, t); }
#if VEC_BYTES == 64
SUMMED(8, 2) SUMMED(8, 3) SUMMED(6, 4)
#else
SUMMED(6, 2) SUMMED(4, 3)
#endif

/* Some numbers of a pixel; eight at a time where what is too much is written over by the next pixel. */
INLINE void narrow(const int rows, const float *x, int64_t step, int64_t n, float *to)
{
    for (int64_t p = 0; p < n; p++, x += step, to += rows) {
        __builtin_prefetch(x + n * step);               /* what the next call reads */
#if VEC_BYTES == 64
        vstore_n(to, vload_n(x, rows), rows);
#else
        if (VW == 8 && 2 * rows >= VW && step >= rows && p + 1 < n)
            vstore(to, vload(x));
        else
            UNROLL for (int i = 0; i < rows; i++)
                to[i] = x[i];
#endif
    }
}

static void left(const float *x, int64_t step, int64_t n, int rows, float *to)
{
    switch (rows) {
    case 1: narrow(1, x, step, n, to); break;
    case 2: narrow(2, x, step, n, to); break;
    case 3: narrow(3, x, step, n, to); break;
    case 4: narrow(4, x, step, n, to); break;
    case 5: narrow(5, x, step, n, to); break;
    case 6: narrow(6, x, step, n, to); break;
    case 7: narrow(7, x, step, n, to); break;
    default: narrow(8, x, step, n, to);
    }
}

static void right(const float *x, int64_t step, int64_t n, int columns, int width, float *to)
{
    for (int64_t p = 0; p < n; p++, x += step, to += width) {
        int j = 0;
        __builtin_prefetch(x + n * step);
        for (; j + VW <= columns; j += VW)
            vstore(to + j, vload(x + j));
        if (j < columns) {
            vstore(to + j, vload_n(x + j, columns - j));
            j += VW;
        }
        for (; j < width; j += VW)
            vstore(to + j, vset(0.f));
    }
}

#if VEC_BYTES == 64
#define ROWS_AND_TILES \
    .rows = { 0, 8, 8, 8, 6 }, \
    .summed = { [2] = summed_8x2, [3] = summed_8x3, [4] = summed_6x4 }, \
    .tile = { \
        [1] = { NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1, tile_7x1, tile_8x1 }, \
        [2] = { NULL, tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2, tile_7x2, tile_8x2 }, \
        [3] = { NULL, tile_1x3, tile_2x3, tile_3x3, tile_4x3, tile_5x3, tile_6x3, tile_7x3, tile_8x3 }, \
        [4] = { NULL, tile_1x4, tile_2x4, tile_3x4, tile_4x4, tile_5x4, tile_6x4 }, \
    },
#else
#define ROWS_AND_TILES \
    .rows = { 0, 6, 6, 4 }, \
    .summed = { [2] = summed_6x2, [3] = summed_4x3 }, \
    .tile = { \
        [1] = { NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1 }, \
        [2] = { NULL, tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2 }, \
        [3] = { NULL, tile_1x3, tile_2x3, tile_3x3, tile_4x3 }, \
    },
#endif

const outer_vec VEC(outer_vec) = { .width = VW, .left = left, .right = right, ROWS_AND_TILES };
