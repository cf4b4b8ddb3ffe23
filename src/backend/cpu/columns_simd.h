/* columns_simd.h - sums, or the largest numbers, down the columns of a matrix of floats or of bfloat16: for rows_vec.c and narrow_vec.c.
 *
 * The matrix is read about as it lies, some rows at a time and all their columns, as a column alone would be a line here and there.
 * Sums of a few rows are added up to those of many, and these to the result, which keeps rounding errors of long sums small.
 */
#ifndef COLUMNS_SIMD_H
#define COLUMNS_SIMD_H
#include "simd.h"
#include "vec.h"

enum { FEW_ROWS = 16, MANY_ROWS = 512, VECTORS = 4 };

INLINE vf reduced(reduce_kind kind, vf a, vf b) { return kind == REDUCE_SUM ? a + b : vmax(b, a); }

/* The first `last` numbers of the last of `vecs` vectors are there.  y: whole vectors; more: reduced with what it holds. */
INLINE void few_rows(reduce_kind kind, const bool narrow, const int vecs, const void *x, int64_t step, int64_t rows, int last, bool more, float *y)
{
    const float *wide = x;
    const uint16_t *half = x;
    vf part[VECTORS];
    UNROLL for (int v = 0; v < vecs; v++)
        part[v] = kind == REDUCE_SUM ? vset(0.f) : vset(-INFINITY);
    for (int64_t r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vecs; v++) {
            const int64_t at = r * step + v * VW;
            const int n = v + 1 < vecs ? VW : last;
            part[v] = reduced(kind, part[v], narrow ? vwiden(half + at, n) : n == VW ? vload(wide + at) : vload_n(wide + at, n));
        }
    UNROLL for (int v = 0; v < vecs; v++)
        vstore(y + v * VW, more ? reduced(kind, vload(y + v * VW), part[v]) : part[v]);
}

INLINE const void *column_at(const void *x, const bool narrow, int64_t i)
{
    return narrow ? (const void *)((const uint16_t *)x + i) : (const void *)((const float *)x + i);
}

/* y[j] = scale times the sum of x[i * step + j], or the largest, i < rows, j < n <= REDUCED_COLUMNS. */
INLINE void reduce_down(reduce_kind kind, const bool narrow, const void *x, int64_t step, int64_t rows, float scale, float *y, int64_t n)
{
    float many[REDUCED_COLUMNS];
    for (int64_t from = 0; from < rows; from += MANY_ROWS) {
        const int64_t end = from + MANY_ROWS < rows ? from + MANY_ROWS : rows;
        for (int64_t r = from; r < end; r += FEW_ROWS) {
            const int64_t few = r + FEW_ROWS < end ? FEW_ROWS : end - r;
            int64_t j = 0;
            for (; j + VECTORS * VW <= n; j += VECTORS * VW)
                few_rows(kind, narrow, VECTORS, column_at(x, narrow, r * step + j), step, few, VW, r > from, many + j);
            for (; j < n; j += VW)
                few_rows(kind, narrow, 1, column_at(x, narrow, r * step + j), step, few, n - j < VW ? (int)(n - j) : VW, r > from, many + j);
        }
        for (int64_t j = 0; j < n; j += VW) {
            const int here = n - j < VW ? (int)(n - j) : VW;
            vf all = vload(many + j);
            all = from ? reduced(kind, vload_n(y + j, here), all) : all;
            vstore_n(y + j, end == rows ? all * vset(scale) : all, here);
        }
    }
}

#endif
