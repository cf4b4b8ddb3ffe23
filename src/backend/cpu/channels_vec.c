/* channels_vec.c - sums over rows, a number each column: short sums in float, these in double.  Of floats, or of bfloat16. */
#include "simd.h"
#include "vec.h"

/* At a time: rows whose sums are of floats, columns; vectors of a row, and rows of these: memory is read nearly as it lies. */
enum { ROWS = 64, COLUMNS = 1024, VECS = 4, TOGETHER = 8 };

INLINE void add_up(const float *from, double *to, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        to[j] += (double)from[j];
}

/* Numbers of either kind, the kind known where this is compiled. */
INLINE const void *number(const void *x, const bool narrow, int64_t i) { return (const char *)x + i * (narrow ? 2 : 4); }
INLINE vf load(const void *x, const bool narrow, int64_t i)
{
    return narrow ? vwiden(number(x, true, i), VW) : vload(number(x, false, i));
}
INLINE float load_one(const void *x, const bool narrow, int64_t i)
{
    return narrow ? vwiden(number(x, true, i), 1)[0] : *(const float *)number(x, false, i);
}

/* Numbers further on whose rows are asked for now, every cache line of them: not all processors bring its neighbour along. */
INLINE int64_t ahead_of(int64_t step) { return (2048 / step + 1) * step; }
INLINE void ask(const void *x, const bool narrow, int64_t ahead, int v)
{
    if (v * VW * (narrow ? 2 : 4) % 64 == 0)
        __builtin_prefetch(number(x, narrow, ahead + v * VW));
}

/* a += x - shift, b += (x - shift)^2, over a few rows. */
INLINE void moments_vectors(const int vecs, const bool narrow, const void *x, int64_t step, int64_t rows, const float *shift, float *a, float *b)
{
    vf sum[VECS], squares[VECS], about[VECS];
    const int64_t ahead = ahead_of(step);
    UNROLL for (int v = 0; v < vecs; v++) {
        sum[v] = vload(a + v * VW);
        squares[v] = vload(b + v * VW);
        about[v] = vload(shift + v * VW);
    }
    for (int64_t r = 0; r < rows; r++, x = number(x, narrow, step))
        UNROLL for (int v = 0; v < vecs; v++) {
            vf d = load(x, narrow, v * VW) - about[v];
            sum[v] += d;
            squares[v] += d * d;
            ask(x, narrow, ahead, v);
        }
    UNROLL for (int v = 0; v < vecs; v++) {
        vstore(a + v * VW, sum[v]);
        vstore(b + v * VW, squares[v]);
    }
}

INLINE void moments_some(const bool narrow, const void *x, int64_t step, int64_t rows, const float *shift, float *a, float *b, int64_t n)
{
    int64_t j = 0;
    for (; j + VECS * VW <= n; j += VECS * VW)
        moments_vectors(VECS, narrow, number(x, narrow, j), step, rows, shift + j, a + j, b + j);
    for (; j + VW <= n; j += VW)
        moments_vectors(1, narrow, number(x, narrow, j), step, rows, shift + j, a + j, b + j);
    for (; j < n; j++)
        for (int64_t i = 0; i < rows; i++) {
            float v = load_one(x, narrow, i * step + j) - shift[j];
            a[j] += v;
            b[j] += v * v;
        }
}

INLINE int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

INLINE void moments_rows(const bool narrow, const void *x, int64_t step, int64_t rows, const float *shift, double *sum, double *squares, int64_t n)
{
    float a[COLUMNS], b[COLUMNS];
    for (int64_t c = 0; c < n; c += COLUMNS) {
        const int64_t wide = at_most(n - c, COLUMNS);
        for (int64_t first = 0; first < rows; first += ROWS) {
            const int64_t end = first + at_most(rows - first, ROWS);
            memset(a, 0, (size_t)wide * sizeof *a);
            memset(b, 0, (size_t)wide * sizeof *b);
            for (int64_t r = first; r < end; r += TOGETHER)
                moments_some(narrow, number(x, narrow, r * step + c), step, at_most(end - r, TOGETHER), shift + c, a, b, wide);
            add_up(a, sum + c, wide);
            add_up(b, squares + c, wide);
        }
    }
}

static void moments(const void *x, bool narrow, int64_t step, int64_t rows, const float *shift, double *sum, double *squares, int64_t n)
{
    if (narrow)
        moments_rows(true, x, step, rows, shift, sum, squares, n);
    else
        moments_rows(false, x, step, rows, shift, sum, squares, n);
}

/* What dots are made of, and where to. */
typedef struct pair { const void *d, *x; int64_t ds, xs, rows; const float *mean; } pair;

INLINE void dots_vectors(const int vecs, const bool fetch, const bool dn, const bool xn, const pair *p, int64_t j, float *a, float *b)
{
    const void *d = number(p->d, dn, j), *x = number(p->x, xn, j);
    vf sum[VECS], dot[VECS], m[VECS];
    const int64_t ahead[2] = { ahead_of(p->ds), ahead_of(p->xs) };
    UNROLL for (int v = 0; v < vecs; v++) {
        sum[v] = vload(a + j + v * VW);
        dot[v] = vload(b + j + v * VW);
        m[v] = vload(p->mean + j + v * VW);
    }
    for (int64_t r = 0; r < p->rows; r++, d = number(d, dn, p->ds), x = number(x, xn, p->xs))
        UNROLL for (int v = 0; v < vecs; v++) {
            vf e = load(d, dn, v * VW);
            sum[v] += e;
            dot[v] += e * (load(x, xn, v * VW) - m[v]);
            if (fetch) {
                ask(d, dn, ahead[0], v);
                ask(x, xn, ahead[1], v);
            }
        }
    UNROLL for (int v = 0; v < vecs; v++) {
        vstore(a + j + v * VW, sum[v]);
        vstore(b + j + v * VW, dot[v]);
    }
}

INLINE void dots_rows(const bool fetch, const bool dn, const bool xn, const pair *p, float *a, float *b, int64_t n)
{
    int64_t j = 0;
    for (; j + VECS * VW <= n; j += VECS * VW)
        dots_vectors(VECS, fetch, dn, xn, p, j, a, b);
    for (; j + VW <= n; j += VW)
        dots_vectors(1, fetch, dn, xn, p, j, a, b);
    for (; j < n; j++)
        for (int64_t i = 0; i < p->rows; i++) {
            float d = load_one(p->d, dn, i * p->ds + j);
            a[j] += d;
            b[j] += d * (load_one(p->x, xn, i * p->xs + j) - p->mean[j]);
        }
}

static void dots_more(const float *d, int64_t ds, const void *x, bool narrow, int64_t xs, int64_t rows, const float *mean, float *a, float *b,
                      int64_t n)
{
    const pair p = { d, x, ds, xs, rows, mean };
    if (narrow)
        dots_rows(false, false, true, &p, a, b, n);
    else
        dots_rows(false, false, false, &p, a, b, n);
}

INLINE void dots_of(const bool dn, const bool xn, const pair *all, double *sum, double *dot, int64_t n)
{
    float a[COLUMNS], b[COLUMNS];
    for (int64_t c = 0; c < n; c += COLUMNS) {
        const int64_t wide = at_most(n - c, COLUMNS);
        for (int64_t first = 0; first < all->rows; first += ROWS) {
            const int64_t end = first + at_most(all->rows - first, ROWS);
            memset(a, 0, (size_t)wide * sizeof *a);
            memset(b, 0, (size_t)wide * sizeof *b);
            for (int64_t r = first; r < end; r += TOGETHER) {
                const pair p = { number(all->d, dn, r * all->ds + c), number(all->x, xn, r * all->xs + c), all->ds, all->xs,
                                 at_most(end - r, TOGETHER), all->mean + c };
                dots_rows(true, dn, xn, &p, a, b, wide);
            }
            add_up(a, sum + c, wide);
            add_up(b, dot + c, wide);
        }
    }
}

static void dots(const void *d, bool dn, int64_t ds, const void *x, bool xn, int64_t xs, int64_t rows, const float *mean, double *sum,
                 double *dot, int64_t n)
{
    const pair p = { d, x, ds, xs, rows, mean };
    if (dn && xn)
        dots_of(true, true, &p, sum, dot, n);
    else if (dn)
        dots_of(true, false, &p, sum, dot, n);
    else if (xn)
        dots_of(false, true, &p, sum, dot, n);
    else
        dots_of(false, false, &p, sum, dot, n);
}

const channels_vec VEC(channels_vec) = { .moments = moments, .dots = dots, .dots_more = dots_more };
