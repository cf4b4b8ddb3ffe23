/* channels_vec.c - sums over rows, a number each column: short sums in float, these in double. */
#include "simd.h"
#include "vec.h"

enum { ROWS = 64, COLUMNS = 256 };

INLINE void add_up(const float *from, double *to, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        to[j] += (double)from[j];
}

/* a += x - shift, b += (x - shift)^2, over the rows of one block. */
INLINE void moments_vector(const float *x, int64_t step, int64_t rows, vf shift, float *a, float *b)
{
    vf sum = vset(0), squares = vset(0);
    for (int64_t r = 0; r < rows; r++) {
        vf v = vload(x + r * step) - shift;
        sum += v;
        squares += v * v;
    }
    vstore(a, sum);
    vstore(b, squares);
}

INLINE void dots_vector(const float *d, int64_t ds, const float *x, int64_t xs, int64_t rows, vf mean, float *a, float *b)
{
    vf sum = vload(a), dot = vload(b);
    for (int64_t r = 0; r < rows; r++) {
        vf v = vload(d + r * ds);
        sum += v;
        dot += v * (vload(x + r * xs) - mean);
    }
    vstore(a, sum);
    vstore(b, dot);
}

static void moments(const float *x, int64_t step, int64_t rows, const float *shift, double *sum, double *squares, int64_t n)
{
    float a[COLUMNS], b[COLUMNS];
    for (int64_t r = 0; r < rows; r += ROWS)
        for (int64_t c = 0; c < n; c += COLUMNS) {
            int64_t some = rows - r < ROWS ? rows - r : ROWS, wide = n - c < COLUMNS ? n - c : COLUMNS, j = 0;
            const float *at = x + r * step + c;
            for (; j + VW <= wide; j += VW)
                moments_vector(at + j, step, some, vload(shift + c + j), a + j, b + j);
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

static void dots_more(const float *d, int64_t ds, const float *x, int64_t xs, int64_t rows, const float *mean, float *a, float *b,
                      int64_t n)
{
    int64_t j = 0;
    for (; j + VW <= n; j += VW)
        dots_vector(d + j, ds, x + j, xs, rows, vload(mean + j), a + j, b + j);
    for (; j < n; j++)
        for (int64_t i = 0; i < rows; i++) {
            a[j] += d[i * ds + j];
            b[j] += d[i * ds + j] * (x[i * xs + j] - mean[j]);
        }
}

static void dots(const float *d, int64_t ds, const float *x, int64_t xs, int64_t rows, const float *mean, double *sum, double *dot,
                 int64_t n)
{
    for (int64_t r = 0; r < rows; r += ROWS)
        for (int64_t c = 0; c < n; c += COLUMNS) {
            float a[COLUMNS] = { 0 }, b[COLUMNS] = { 0 };
            int64_t some = rows - r < ROWS ? rows - r : ROWS, wide = n - c < COLUMNS ? n - c : COLUMNS;
            dots_more(d + r * ds + c, ds, x + r * xs + c, xs, some, mean + c, a, b, wide);
            add_up(a, sum + c, wide);
            add_up(b, dot + c, wide);
        }
}

const channels_vec VEC(channels_vec) = { .moments = moments, .dots = dots, .dots_more = dots_more };
