/* clip.c - gradient clipping. */
#include "train/clip.h"
#include <math.h>

static double norm_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void scale(float *x, int64_t n, double by)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= (float)by;
}

static void by_norm(double limit, clip_tensor *t, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double one = norm_of(t[i].grad, tg_numel(t[i].shape));
        sum += one * one;
    }
    double by = limit / (sqrt(sum) + 1e-6);
    for (int i = 0; by < 1 && i < n; i++)
        scale(t[i].grad, tg_numel(t[i].shape), by);
}

static void by_value(double limit, clip_tensor *t, int n)
{
    float most = (float)limit;
    for (int i = 0; i < n; i++)
        for (int64_t k = 0, count = tg_numel(t[i].shape); k < count; k++)
            t[i].grad[k] = fminf(fmaxf(t[i].grad[k], -most), most);
}

static void by_unit(double limit, clip_tensor *t, int n)
{
    for (int i = 0; i < n; i++) {
        int64_t count = tg_numel(t[i].shape), units = t[i].shape.rank > 1 ? t[i].shape.dim[0] : 1, size = units ? count / units : 0;
        for (int64_t u = 0; u < units; u++) {
            float *g = t[i].grad + u * size;
            double most = fmax(norm_of(t[i].value + u * size, size), 1e-3) * limit, norm = norm_of(g, size);
            if (norm >= most)
                scale(g, size, most / fmax(norm, 1e-6));
        }
    }
}

void clip_gradients(clip_mode mode, double limit, clip_tensor *t, int n)
{
    switch (mode) {
    case CLIP_NONE: break;
    case CLIP_NORM: by_norm(limit, t, n); break;
    case CLIP_VALUE: by_value(limit, t, n); break;
    case CLIP_AGC: by_unit(limit, t, n); break;
    }
}
