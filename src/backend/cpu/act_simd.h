/* act_simd.h - the unary and binary functions on vectors.  Errors are a few units in the last place of the largest result. */
#ifndef ACT_SIMD_H
#define ACT_SIMD_H
#include "act.h"
#include "simd.h"

INLINE vf vsigmoid(vf x) { return vset(1.f) / (vset(1.f) + vexp_mid(-x)); }

/* x P(x^2) / Q(x^2) on [-3.8, 3.8], the ends beyond: 8e-8 from 1.  Fitted; 3e-7 in float arithmetic. */
INLINE vf verf(vf x)
{
    x = vclamp(x, vset(-3.8f), vset(3.8f));
    vf s = x * x;
    vf p = vset(2.12405678e-8f), q = vset(9.24249151e-4f);
    p = p * s + vset(-2.01988641e-6f);
    p = p * s + vset(1.40621604e-4f);
    p = p * s + vset(3.53178348e-3f);
    p = p * s + vset(4.99654314e-2f);
    p = p * s + vset(1.95142507e-1f);
    p = p * s + vset(1.12837890e+0f);
    q = q * s + vset(1.39735043e-2f);
    q = q * s + vset(1.13050153e-1f);
    q = q * s + vset(5.06270633e-1f);
    q = q * s + vset(1.f);
    return x * p / q;
}

/* |x| < 0.625: x P(x^2); beyond: 1 - 2 / (e^2|x| + 1). */
INLINE vf vtanh(vf x)
{
    vf t = vabs(x), s = x * x;
    vf p = vset(-5.48215527e-03f);
    p = p * s + vset(2.04298845e-02f);
    p = p * s + vset(-5.36707225e-02f);
    p = p * s + vset(1.33304975e-01f);
    p = p * s + vset(-3.33332336e-01f);
    p = p * s + vset(9.99999994e-01f);
    vf far = vset(1.f) - vset(2.f) / (vexp_mid(t + t) + vset(1.f));
    far = (vf)((vi)far | ((vi)x & vseti(INT32_MIN)));
    return vpick(t < vset(.625f), x * p, far);
}

/* s (1 + x (1 - s)), s = sigmoid(x). */
INLINE vf vsilu_slope(vf x)
{
    vf s = vsigmoid(x);
    return s * (vset(1.f) + x * (vset(1.f) - s));
}

INLINE vf vact(act_kind kind, vf x, vf a, vf b)
{
    switch (kind) {
    case ACT_NONE:         return x;
    case ACT_CLAMP:        return vclamp(x, a, b);
    case ACT_LEAKY:        return vpick(x > vset(0.f), x, a * x);
    case ACT_ELU:          return vpick(x > vset(0.f), x, a * (vexp(x) - vset(1.f)));
    case ACT_AFFINE:       return a * x + b;
    case ACT_ABS:          return vabs(x);
    case ACT_SQRT:         return vsqrt(x);
    case ACT_RSQRT:        return vset(1.f) / vsqrt(x);
    case ACT_EXP:          return vexp(x);
    case ACT_ERF:          return verf(x);
    case ACT_TANH:         return vtanh(x);
    case ACT_SIGMOID:      return vsigmoid(x);
    case ACT_SILU:         return x / (vset(1.f) + vexp_mid(-x));
    case ACT_GELU:         return vset(.5f) * x * (vset(1.f) + verf(x * vset(.70710678118654752f)));
    case ACT_GELU_TANH:
        return vset(.5f) * x
               * (vset(1.f) + vtanh(vset(.79788456080286536f) * x * (vset(1.f) + vset(.044715f) * x * x)));
    case ACT_QUICK_GELU:   return x / (vset(1.f) + vexp_mid(vset(-1.702f) * x));
    case ACT_HARD_SWISH:   return x * vclamp(x + vset(3.f), vset(0.f), vset(6.f)) * vset(1.f / 6.f);
    case ACT_HARD_SIGMOID: return vclamp(x + vset(3.f), vset(0.f), vset(6.f)) * vset(1.f / 6.f);
    case ACT_SILU_SLOPE:   return vsilu_slope(x);
    case ACT_GELU_SLOPE:
        return vset(.5f) + vset(.5f) * verf(x * vset(.70710678118654752f)) + x * vset(.3989422804014327f) * vexp_mid(vset(-.5f) * x * x);
    case ACT_HARD_SWISH_SLOPE:
        return vpick(x > vset(3.f), vset(1.f), vpick(x > vset(-3.f), x * vset(1.f / 3) + vset(.5f), vset(0.f)));
    case ACT_KINDS:        break;
    }
    return x;
}

INLINE vf vbinary(binary_kind kind, vf a, vf b)
{
    switch (kind) {
    case BIN_ADD:     return a + b;
    case BIN_SUB:     return a - b;
    case BIN_MUL:     return a * b;
    case BIN_DIV:     return a / b;
    case BIN_MAX:     return vmax(a, b);
    case BIN_MIN:     return vmin(a, b);
    case BIN_GREATER: return vpick(a > b, vset(1.f), vset(0.f));
    case BIN_KINDS:   break;
    }
    return a;
}

/* y[i] = f(x[i]); in place is fine. */
INLINE void act_row(act_kind kind, float a, float b, const float *x, float *y, int64_t n)
{
    vf va = vset(a), vb = vset(b);
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        vstore(y + i, vact(kind, vload(x + i), va, vb));
    if (i < n)
        vstore_n(y + i, vact(kind, vload_n(x + i, (int)(n - i)), va, vb), (int)(n - i));
}

#define ACT_EACH(ACT) \
    ACT(ACT_NONE) ACT(ACT_CLAMP) ACT(ACT_LEAKY) ACT(ACT_ELU) ACT(ACT_AFFINE) ACT(ACT_ABS) ACT(ACT_SQRT) ACT(ACT_RSQRT) \
    ACT(ACT_EXP) ACT(ACT_ERF) ACT(ACT_TANH) ACT(ACT_SIGMOID) ACT(ACT_SILU) ACT(ACT_GELU) ACT(ACT_GELU_TANH) \
    ACT(ACT_QUICK_GELU) ACT(ACT_HARD_SWISH) ACT(ACT_HARD_SIGMOID) \
    ACT(ACT_SILU_SLOPE) ACT(ACT_GELU_SLOPE) ACT(ACT_HARD_SWISH_SLOPE)

/* One loop per function: the kind is a constant inside each. */
static inline void act_any(act f, const float *x, float *y, int64_t n)
{
    switch (f.kind) {
#define ACT_ROW(k) case k: act_row(k, f.a, f.b, x, y, n); break;
    ACT_EACH(ACT_ROW)
    case ACT_KINDS: break;
#undef ACT_ROW
    }
}

/* The same in place for rows of n numbers at y[i] + column. */
static inline void act_rows(act f, float *const *y, int rows, int64_t column, int64_t n)
{
    switch (f.kind) {
#define ACT_ROWS(k) \
    case k: \
        for (int i = 0; i < rows; i++) \
            act_row(k, f.a, f.b, y[i] + column, y[i] + column, n); \
        break;
    ACT_EACH(ACT_ROWS)
    case ACT_KINDS: break;
#undef ACT_ROWS
    }
}

#endif
