/* act_simd.h - the unary functions on vectors.  Errors are a few units in the last place of the largest result. */
#ifndef ACT_SIMD_H
#define ACT_SIMD_H
#include "act.h"
#include "simd.h"

INLINE vf vsigmoid(vf x) { return vset(1.f) / (vset(1.f) + vexp_mid(-x)); }

/* |x| < 0.95: x P(x^2); beyond: 1 - e^Q(|x|), where e^Q is the complement, fitted to it on [0.9, 4]; 1 from there. */
INLINE vf verf(vf x)
{
    vf t = vabs(x), s = x * x;
    vf p = vset(8.21542649e-05f);
    p = p * s + vset(-8.10596587e-04f);
    p = p * s + vset(5.19779724e-03f);
    p = p * s + vset(-2.68581043e-02f);
    p = p * s + vset(1.12836725e-01f);
    p = p * s + vset(-3.76126323e-01f);
    p = p * s + vset(1.12837917e+00f);
    vf u = vmin(t, vset(4.f));
    vf q = vset(1.97181650e-04f);
    q = q * u + vset(-3.05560685e-03f);
    q = q * u + vset(2.22770843e-02f);
    q = q * u + vset(-1.04037354e-01f);
    q = q * u + vset(-6.37059759e-01f);
    q = q * u + vset(-1.12774956e+00f);
    q = q * u + vset(-1.77495495e-04f);
    vf far = vset(1.f) - vexp_mid(q);
    far = (vf)((vi)far | ((vi)x & vseti(INT32_MIN)));
    return vpick(t < vset(.95f), x * p, far);
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
    case ACT_SILU:         return x * vsigmoid(x);
    case ACT_GELU:         return vset(.5f) * x * (vset(1.f) + verf(x * vset(.70710678118654752f)));
    case ACT_GELU_TANH:
        return vset(.5f) * x * (vset(1.f) + vtanh(vset(.79788456080286536f) * x * (vset(1.f) + vset(.044715f) * x * x)));
    case ACT_QUICK_GELU:   return x * vsigmoid(vset(1.702f) * x);
    case ACT_HARD_SWISH:   return x * vclamp(x + vset(3.f), vset(0.f), vset(6.f)) * vset(1.f / 6.f);
    case ACT_HARD_SIGMOID: return vclamp(x + vset(3.f), vset(0.f), vset(6.f)) * vset(1.f / 6.f);
    }
    return x;
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

#define ACT_ROW(k) case k: act_row(k, f.a, f.b, x, y, n); break;
/* One loop per function: the kind is a constant inside each. */
static inline void act_any(act f, const float *x, float *y, int64_t n)
{
    switch (f.kind) {
    ACT_ROW(ACT_NONE) ACT_ROW(ACT_CLAMP) ACT_ROW(ACT_LEAKY) ACT_ROW(ACT_ELU) ACT_ROW(ACT_AFFINE) ACT_ROW(ACT_ABS)
    ACT_ROW(ACT_SQRT) ACT_ROW(ACT_RSQRT) ACT_ROW(ACT_EXP) ACT_ROW(ACT_ERF) ACT_ROW(ACT_TANH) ACT_ROW(ACT_SIGMOID)
    ACT_ROW(ACT_SILU) ACT_ROW(ACT_GELU) ACT_ROW(ACT_GELU_TANH) ACT_ROW(ACT_QUICK_GELU) ACT_ROW(ACT_HARD_SWISH)
    ACT_ROW(ACT_HARD_SIGMOID)
    }
}

#endif
