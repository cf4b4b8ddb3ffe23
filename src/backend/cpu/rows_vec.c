/* rows_vec.c - sums, norms and softmax of rows of numbers that lie side by side. */
#include "act_simd.h"
#include "columns_simd.h"
#include "vec.h"

enum { LANES = 4, TOGETHER = 4 };       /* vectors in flight, so that additions do not wait for each other; rows of a layer norm */

/* A row that ends inside a vector is filled up with `fill`. */
INLINE vf vload_end(const float *x, int64_t left, vf fill)
{
    return left >= VW ? vload(x) : vload_fill(x, (int)left, fill);
}

/* The sum of f over n numbers, f(fill) being 0. */
#define SUM_OF(f, fill) \
    vf s[LANES] = { vset(0.f), vset(0.f), vset(0.f), vset(0.f) }; \
    int64_t i = 0; \
    for (; i + LANES * VW <= n; i += LANES * VW) \
        UNROLL for (int k = 0; k < LANES; k++) { \
            vf v = vload(x + i + k * VW); \
            s[k] += f; \
        } \
    for (; i < n; i += VW) { \
        vf v = vload_end(x + i, n - i, fill); \
        s[0] += f; \
    } \
    return vsum((s[0] + s[1]) + (s[2] + s[3]))

INLINE float sum(const float *x, int64_t n) { SUM_OF(v, vset(0.f)); }
INLINE float sum_squares(const float *x, int64_t n) { SUM_OF(v * v, vset(0.f)); }
static float variance(const float *x, float mean, int64_t n)
{
    vf m = vset(mean);
    SUM_OF((v - m) * (v - m), m);
}

INLINE float maximum(const float *x, int64_t n)
{
    vf low = vset(-INFINITY), m[LANES] = { low, low, low, low };
    int64_t i = 0;
    for (; i + LANES * VW <= n; i += LANES * VW)
        UNROLL for (int k = 0; k < LANES; k++)
            m[k] = vmax(vload(x + i + k * VW), m[k]);
    for (; i < n; i += VW)
        m[0] = vmax(vload_end(x + i, n - i, low), m[0]);
    return vmaximum(vmax(vmax(m[0], m[1]), vmax(m[2], m[3])));
}

static float reduce(reduce_kind kind, const float *x, int64_t n)
{
    return kind == REDUCE_SUM ? sum(x, n) : maximum(x, n);
}

/* e^x for x <= 0; 0 below -86, whose subnormal results would cost time and count for nothing beside e^0. */
INLINE vf vexp_down(vf x) { return vpick(x < vset(-86.f), vset(0.f), vexp_mid(x)); }

/* softmax of scale x + bias; bias NULL: none.  What is left beyond whole vectors stays in a register, filled up with -infinity. */
INLINE void softmax_of(const float *x, float scale, const float *bias, float *y, int64_t n)
{
    const bool plain = scale == 1.f && !bias;
    const int left = (int)(n % VW);
    const int64_t whole = n - left;
    vf low = vset(-INFINITY), by = vset(scale), top = low, s[2] = { vset(0.f), vset(0.f) }, tail = low;
    vi lane = { 0 };
    int64_t i;

    for (i = 0; i < VW; i++)
        lane[i] = (int32_t)i;
    if (left) {
        tail = vload_n(x + whole, left) * by + (bias ? vload_n(bias + whole, left) : vset(0.f));
        tail = vpick(lane < vseti(left), tail, low);
    }
    if (plain)
        for (i = 0; i < whole; i += VW)
            top = vmax(vload(x + i), top);
    else {
        for (i = 0; i < whole; i += VW) {
            vf v = bias ? vload(x + i) * by + vload(bias + i) : vload(x + i) * by;
            vstore(y + i, v);
            top = vmax(v, top);
        }
        x = y;
    }
    top = vset(vmaximum(vmax(tail, top)));
    for (i = 0; i + 2 * VW <= whole; i += 2 * VW)
        UNROLL for (int k = 0; k < 2; k++) {
            vf e = vexp_down(vload(x + i + k * VW) - top);
            vstore(y + i + k * VW, e);
            s[k] += e;
        }
    if (i < whole) {
        vf e = vexp_down(vload(x + i) - top);
        vstore(y + i, e);
        s[0] += e;
    }
    tail = vexp_down(tail - top);
    vf part = vset(1.f / vsum(s[0] + s[1] + tail));
    for (i = 0; i < whole; i += VW)
        vstore(y + i, vload(y + i) * part);
    if (left)
        vstore_n(y + whole, tail * part, left);
}

static void softmax(const float *x, float *y, int64_t n) { softmax_of(x, 1.f, NULL, y, n); }
static void scaled_softmax(float *x, float scale, const float *bias, int64_t n) { softmax_of(x, scale, bias, x, n); }

static void softmax_back(const float *y, float *dy, float scale, float *bias, bool add, int64_t n)
{
    vf s[2] = { vset(0.f), vset(0.f) }, by = vset(scale);
    int64_t i;
    for (i = 0; i + 2 * VW <= n; i += 2 * VW)
        UNROLL for (int k = 0; k < 2; k++)
            s[k] += vload(y + i + k * VW) * vload(dy + i + k * VW);
    for (; i < n; i += VW) {
        int left = n - i < VW ? (int)(n - i) : VW;
        s[0] += vload_n(y + i, left) * vload_n(dy + i, left);
    }
    vf mean = vset(vsum(s[0] + s[1]));
    for (i = 0; i + VW <= n; i += VW) {
        vf d = vload(y + i) * (vload(dy + i) - mean);
        if (bias)
            vstore(bias + i, add ? vload(bias + i) + d : d);
        vstore(dy + i, d * by);
    }
    if (i < n) {
        int left = (int)(n - i);
        vf d = vload_n(y + i, left) * (vload_n(dy + i, left) - mean);
        if (bias)
            vstore_n(bias + i, add ? vload_n(bias + i, left) + d : d, left);
        vstore_n(dy + i, d * by, left);
    }
}

INLINE void put_part(float *p, int64_t i, vf v, int left)
{
    if (left == VW)
        vstore(p + i, v);
    else
        vstore_n(p + i, v, left);
}

/* A vector of a row, or zeros after its first `left` numbers. */
INLINE vf taken(const void *x, const bool narrow, int64_t i, int left)
{
    return narrow ? vwiden((const uint16_t *)x + i, left) : left == VW ? vload((const float *)x + i) : vload_n((const float *)x + i, left);
}

INLINE void given(void *y, const bool narrow, int64_t i, vf v, int left)
{
    if (narrow)
        vnarrow((uint16_t *)y + i, v, left);
    else
        put_part(y, i, v, left);
}

/* Rows together, so that one's sums do not wait for each other; each is summed as if it were alone. */
INLINE void layer_norm_of(const int rows, const void *const *x, const bool xn, void *const *y, const bool yn, const float *weight,
                          const float *bias, float eps, int64_t n)
{
    const int left = (int)(n % VW);
    const int64_t whole = n - left;
    vf s[TOGETHER], mean[TOGETHER], scale[TOGETHER];
    vi lane = { 0 };
    for (int i = 0; i < VW; i++)
        lane[i] = i;
    UNROLL for (int k = 0; k < rows; k++)
        s[k] = left ? taken(x[k], xn, whole, left) : vset(0.f);
    for (int64_t i = 0; i < whole; i += VW)
        UNROLL for (int k = 0; k < rows; k++)
            s[k] += taken(x[k], xn, i, VW);
    UNROLL for (int k = 0; k < rows; k++)
        mean[k] = vset(vsum(s[k]) / (float)n);
    UNROLL for (int k = 0; k < rows; k++) {
        vf d = left ? vpick(lane < vseti(left), taken(x[k], xn, whole, left) - mean[k], vset(0.f)) : vset(0.f);
        s[k] = d * d;
    }
    for (int64_t i = 0; i < whole; i += VW)
        UNROLL for (int k = 0; k < rows; k++) {
            vf d = taken(x[k], xn, i, VW) - mean[k];
            s[k] += d * d;
        }
    UNROLL for (int k = 0; k < rows; k++)
        scale[k] = vset(1.f / sqrtf(vsum(s[k]) / (float)n + eps));
    for (int64_t i = 0; i < whole; i += VW) {
        const vf w = weight ? vload(weight + i) : vset(1.f), b = bias ? vload(bias + i) : vset(0.f);
        UNROLL for (int k = 0; k < rows; k++)
            given(y[k], yn, i, (taken(x[k], xn, i, VW) - mean[k]) * scale[k] * w + b, VW);
    }
    if (left) {
        const vf w = weight ? vload_n(weight + whole, left) : vset(1.f), b = bias ? vload_n(bias + whole, left) : vset(0.f);
        UNROLL for (int k = 0; k < rows; k++)
            given(y[k], yn, whole, (taken(x[k], xn, whole, left) - mean[k]) * scale[k] * w + b, left);
    }
}

INLINE void layer_norm_as(const void *const *x, const bool xn, void *const *y, const bool yn, int rows, const float *weight,
                          const float *bias, float eps, int64_t n)
{
    int i = 0;
    for (; i + TOGETHER <= rows; i += TOGETHER)
        layer_norm_of(TOGETHER, x + i, xn, y + i, yn, weight, bias, eps, n);
    for (; i < rows; i++)
        layer_norm_of(1, x + i, xn, y + i, yn, weight, bias, eps, n);
}

static void layer_norm(const void *const *x, bool xn, void *const *y, bool yn, int rows, const float *weight, const float *bias, float eps,
                       int64_t n)
{
    if (xn && yn)
        layer_norm_as(x, true, y, true, rows, weight, bias, eps, n);
    else if (xn)
        layer_norm_as(x, true, y, false, rows, weight, bias, eps, n);
    else if (yn)
        layer_norm_as(x, false, y, true, rows, weight, bias, eps, n);
    else
        layer_norm_as(x, false, y, false, rows, weight, bias, eps, n);
}

/* A vector or its first `left` numbers; zeros where p is NULL and `none` where the row has ended. */
INLINE vf part_of(const float *p, int64_t i, int left, vf none)
{
    return !p ? none : left == VW ? vload(p + i) : vload_n(p + i, left);
}

static void layer_norm_back(const float *x, const float *dy, const float *weight, float eps, float *dx, float *dweight, float *dbias,
                            int64_t n)
{
    const float mean = sum(x, n) / (float)n, scale = 1.f / sqrtf(variance(x, mean, n) / (float)n + eps);
    const vf m = vset(mean), r = vset(scale), one = vset(1.f);
    vf a = vset(0.f), b = vset(0.f);
    for (int64_t i = 0; i < n; i += VW) {
        int left = n - i < VW ? (int)(n - i) : VW;
        vf d = part_of(dy, i, left, one), hat = (vload_end(x + i, n - i, m) - m) * r, dhat = d * part_of(weight, i, left, one);
        a += dhat;
        b += dhat * hat;
        if (dweight)
            put_part(dweight, i, part_of(dweight, i, left, one) + d * hat, left);
        if (dbias)
            put_part(dbias, i, part_of(dbias, i, left, one) + d, left);
    }
    a = vset(vsum(a) / (float)n);
    b = vset(vsum(b) / (float)n);
    for (int64_t i = 0; i < n; i += VW) {
        int left = n - i < VW ? (int)(n - i) : VW;
        vf hat = (vload_end(x + i, n - i, m) - m) * r, dhat = part_of(dy, i, left, one) * part_of(weight, i, left, one);
        put_part(dx, i, (dhat - a - hat * b) * r, left);
    }
}

static void rms_norm(const float *x, const float *weight, float eps, float *y, int64_t n)
{
    const vf scale = vset(1.f / sqrtf(sum_squares(x, n) / (float)n + eps)), one = vset(1.f);
    for (int64_t i = 0; i < n; i += VW) {
        int left = n - i < VW ? (int)(n - i) : VW;
        put_part(y, i, part_of(x, i, left, one) * scale * part_of(weight, i, left, one), left);
    }
}

static void reduce_rows(reduce_kind kind, const float *x, int64_t step, int64_t rows, float scale, float *y, int64_t n)
{
    if (kind == REDUCE_SUM)
        reduce_down(REDUCE_SUM, false, x, step, rows, scale, y, n);
    else
        reduce_down(REDUCE_MAX, false, x, step, rows, scale, y, n);
}

static void pool(reduce_kind kind, const float *const *row, int rows, float scale, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j += VW) {
        int left = n - j < VW ? (int)(n - j) : VW;
        vf v = kind == REDUCE_SUM ? vset(0.f) : vset(-INFINITY);
        for (int i = 0; i < rows; i++) {
            vf a = left == VW ? vload(row[i] + j) : vload_n(row[i] + j, left);
            v = kind == REDUCE_SUM ? v + a : vmax(a, v);
        }
        v *= vset(scale);
        if (left == VW)
            vstore(y + j, v);
        else
            vstore_n(y + j, v, left);
    }
}

const rows_vec VEC(rows_vec) = {
    .softmax = softmax, .scaled_softmax = scaled_softmax, .softmax_back = softmax_back, .layer_norm = layer_norm, .layer_norm_back = layer_norm_back, .rms_norm = rms_norm,
    .reduce = reduce, .reduce_rows = reduce_rows, .variance = variance, .pool = pool,
};
