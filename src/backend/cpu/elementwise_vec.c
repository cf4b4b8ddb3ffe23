/* elementwise_vec.c - rows of unary and binary functions; transposition. */
#include "act_simd.h"
#include "vec.h"

INLINE void bin_row(binary_kind kind, const float *a, int sa, const float *b, int sb, float *y, int64_t n)
{
    vf a0 = vset(*a), b0 = vset(*b);
    int64_t i = 0;
    if (sa && sb)
        for (; i + VW <= n; i += VW)
            vstore(y + i, vbinary(kind, vload(a + i), vload(b + i)));
    else
        for (; i + VW <= n; i += VW)
            vstore(y + i, vbinary(kind, sa ? vload(a + i) : a0, sb ? vload(b + i) : b0));
    if (i < n) {
        int last = (int)(n - i);
        vstore_n(y + i, vbinary(kind, sa ? vload_n(a + i, last) : a0, sb ? vload_n(b + i, last) : b0), last);
    }
}

#define BINARY(name, kind) \
    static void name(const float *a, int sa, const float *b, int sb, float *y, int64_t n) \
    { \
        bin_row(kind, a, sa, b, sb, y, n); \
    }
BINARY(add, BIN_ADD)
BINARY(sub, BIN_SUB)
BINARY(mul, BIN_MUL)
BINARY(div_, BIN_DIV)
BINARY(max_, BIN_MAX)
BINARY(min_, BIN_MIN)
BINARY(greater, BIN_GREATER)

static void scale_shift(const float *x, const float *scale, const float *shift, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        vstore(y + i, vload(x + i) * vload(scale + i) + vload(shift + i));
    if (i < n) {
        int last = (int)(n - i);
        vstore_n(y + i, vload_n(x + i, last) * vload_n(scale + i, last) + vload_n(shift + i, last), last);
    }
}

static void scale_two(const float *x, const float *a, const float *y, const float *b, const float *more, float *to, int64_t n)
{
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        vstore(to + i, vload(x + i) * vload(a + i) + (vload(y + i) * vload(b + i) + vload(more + i)));
    if (i < n) {
        int last = (int)(n - i);
        vstore_n(to + i, vload_n(x + i, last) * vload_n(a + i, last) + (vload_n(y + i, last) * vload_n(b + i, last) + vload_n(more + i, last)), last);
    }
}

static void transpose(const float *from, int64_t sf, float *to, int64_t st, int64_t n, int64_t m)
{
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        int64_t j = 0;
        for (; j + BLOCK <= m; j += BLOCK)
            vtranspose(from + j * sf + i, sf, to + i * st + j, st);
        for (; j < m; j++)
            for (int k = 0; k < BLOCK; k++)
                to[(i + k) * st + j] = from[j * sf + i + k];
    }
    for (; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            to[i * st + j] = from[j * sf + i];
}

const elementwise_vec VEC(elementwise_vec) = {
    .unary = act_any, .binary = { add, sub, mul, div_, max_, min_, greater },
    .scale_shift = scale_shift, .scale_two = scale_two, .transpose = transpose,
};
