/* channels_vec.c - sums over rows, a number each column: short sums in float, these in double. */
#include "simd.h"
#include "vec.h"

enum { ROWS = 64, COLUMNS = 256, VECS = 4 };         /* at a time: rows, columns; vectors of a row */

INLINE void add_up(const float *from, double *to, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        to[j] += (double)from[j];
}

/* Numbers further on whose rows are asked for now. */
INLINE int64_t ahead_of(int64_t step) { return (2048 / step + 1) * step; }

/* a += x - shift, b += (x - shift)^2, over the rows of one block. */
INLINE void moments_vectors(const int vecs, const float *x, int64_t step, int64_t rows, const float *shift, float *a, float *b)
{
    vf sum[VECS], squares[VECS], about[VECS];
    const int64_t ahead = ahead_of(step);
    UNROLL for (int v = 0; v < vecs; v++) {
        sum[v] = squares[v] = vset(0.f);
        about[v] = vload(shift + v * VW);
    }
    for (int64_t r = 0; r < rows; r++, x += step)
        UNROLL for (int v = 0; v < vecs; v++) {
            vf d = vload(x + v * VW) - about[v];
            sum[v] += d;
            squares[v] += d * d;
            if (v % 2 == 0)
                __builtin_prefetch(x + ahead + v * VW);
        }
    UNROLL for (int v = 0; v < vecs; v++) {
        vstore(a + v * VW, sum[v]);
        vstore(b + v * VW, squares[v]);
    }
}

INLINE void dots_vectors(const int vecs, const bool fetch, const float *d, int64_t ds, const float *x, int64_t xs, int64_t rows,
                         const float *mean, float *a, float *b)
{
    vf sum[VECS], dot[VECS], m[VECS];
    const int64_t ahead[2] = { ahead_of(ds), ahead_of(xs) };
    UNROLL for (int v = 0; v < vecs; v++) {
        sum[v] = vload(a + v * VW);
        dot[v] = vload(b + v * VW);
        m[v] = vload(mean + v * VW);
    }
    for (int64_t r = 0; r < rows; r++, d += ds, x += xs)
        UNROLL for (int v = 0; v < vecs; v++) {
            vf e = vload(d + v * VW);
            sum[v] += e;
            dot[v] += e * (vload(x + v * VW) - m[v]);
            if (fetch && v % 2 == 0) {
                __builtin_prefetch(d + ahead[0] + v * VW);
                __builtin_prefetch(x + ahead[1] + v * VW);
            }
        }
    UNROLL for (int v = 0; v < vecs; v++) {
        vstore(a + v * VW, sum[v]);
        vstore(b + v * VW, dot[v]);
    }
}

static void moments(const float *x, int64_t step, int64_t rows, const float *shift, double *sum, double *squares, int64_t n)
{
    float a[COLUMNS], b[COLUMNS];
    for (int64_t r = 0; r < rows; r += ROWS)
        for (int64_t c = 0; c < n; c += COLUMNS) {
            int64_t some = rows - r < ROWS ? rows - r : ROWS, wide = n - c < COLUMNS ? n - c : COLUMNS, j = 0;
            const float *at = x + r * step + c;
            for (; j + VECS * VW <= wide; j += VECS * VW)
                moments_vectors(VECS, at + j, step, some, shift + c + j, a + j, b + j);
            for (; j + VW <= wide; j += VW)
                moments_vectors(1, at + j, step, some, shift + c + j, a + j, b + j);
            for (; j < wide; j++) {
                a[j] = b[j] = 0;
                for (int64_t i = 0; i < some; i++) {
                    float v = at[i * step + j] - shift[c + j];
                    a[j] += v;
                    b[j] += v * v;
                }
            }
            add_up(a, sum + c, wide);
            add_up(b, squares + c, wide);
        }
}

INLINE void dots_rows(const bool fetch, const float *d, int64_t ds, const float *x, int64_t xs, int64_t rows, const float *mean, float *a,
                      float *b, int64_t n)
{
    int64_t j = 0;
    for (; j + VECS * VW <= n; j += VECS * VW)
        dots_vectors(VECS, fetch, d + j, ds, x + j, xs, rows, mean + j, a + j, b + j);
    for (; j + VW <= n; j += VW)
        dots_vectors(1, fetch, d + j, ds, x + j, xs, rows, mean + j, a + j, b + j);
    for (; j < n; j++)
        for (int64_t i = 0; i < rows; i++) {
            a[j] += d[i * ds + j];
            b[j] += d[i * ds + j] * (x[i * xs + j] - mean[j]);
        }
}

static void dots_more(const float *d, int64_t ds, const float *x, int64_t xs, int64_t rows, const float *mean, float *a, float *b,
                      int64_t n)
{
    dots_rows(false, d, ds, x, xs, rows, mean, a, b, n);
}

static void dots(const float *d, int64_t ds, const float *x, int64_t xs, int64_t rows, const float *mean, double *sum, double *dot,
                 int64_t n)
{
    for (int64_t r = 0; r < rows; r += ROWS)
        for (int64_t c = 0; c < n; c += COLUMNS) {
            float a[COLUMNS] = { 0 }, b[COLUMNS] = { 0 };
            int64_t some = rows - r < ROWS ? rows - r : ROWS, wide = n - c < COLUMNS ? n - c : COLUMNS;
            dots_rows(true, d + r * ds + c, ds, x + r * xs + c, xs, some, mean + c, a, b, wide);
            add_up(a, sum + c, wide);
            add_up(b, dot + c, wide);
        }
}

const channels_vec VEC(channels_vec) = { .moments = moments, .dots = dots, .dots_more = dots_more };
