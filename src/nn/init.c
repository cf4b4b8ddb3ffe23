/* init.c - initial values: number i of a tensor is a function of (seed, full name, i). */
#include <math.h>
#include "base/random.h"
#include "nn.h"

typedef struct fans { double in, out; } fans;

/* PyTorch's _calculate_fan_in_and_fan_out: dimension 0 is out, 1 is in, the rest is the receptive field. */
static fans fans_of(tg_shape s)
{
    double field = (double)tg_span(s, 2, s.rank < 2 ? 2 : s.rank);
    double out = s.rank > 0 ? (double)s.dim[0] : 1, in = s.rank > 1 ? (double)s.dim[1] : out;
    return (fans){ .in = in * field, .out = out * field };
}

/* Resolves the kinds that depend on the shape to a normal of that deviation or a uniform of that bound. */
static nn_par resolve(nn_par p, tg_shape shape)
{
    fans f = fans_of(shape);
    switch (p.init) {
    case NN_KAIMING_NORMAL_OUT: return (nn_par){ .init = NN_NORMAL, .value = (float)sqrt(2 / f.out) };
    case NN_KAIMING_UNIFORM:    return (nn_par){ .init = NN_UNIFORM, .value = (float)(1 / sqrt(f.in)) };
    case NN_EFFICIENTNET_LINEAR: return (nn_par){ .init = NN_UNIFORM, .value = (float)(1 / sqrt(f.out)) };
    case NN_XAVIER_UNIFORM:     return (nn_par){ .init = NN_UNIFORM, .value = (float)sqrt(6 / (f.in + f.out)) };
    /* value: the convolution's groups */
    case NN_EFFICIENTNET_CONV:  return (nn_par){ .init = NN_NORMAL, .value = (float)sqrt(2 * fmax(p.value, 1) / f.out) };
    default: return p;
    }
}

/* Cut at +-2, absolute: at most a few draws again, as deviations are far below 2. */
static float within(float v, float deviation, uint64_t key, uint64_t c)
{
    float pair[2];
    for (uint64_t again = 1; fabsf(v) > 2; again++) {
        random_normals(key ^ (again * 0xD1B54A32D192ED03u), c, pair);
        v = deviation * pair[0];
    }
    return v;
}

static void draw_normal(float deviation, bool cut, uint64_t key, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += 2) {
        uint64_t c = (uint64_t)i / 2 + 1;
        float pair[2];
        random_normals(key, c, pair);
        for (int64_t k = i; k < n && k < i + 2; k++) {
            out[k] = deviation * pair[k - i];
            if (cut)
                out[k] = within(out[k], deviation, key + (uint64_t)(k - i), c);
        }
    }
}

void nn_draw(const nn_entry *e, uint64_t seed, float *out)
{
    nn_par p = resolve(e->par, e->shape);
    uint64_t key = hash_name(e->name) ^ (seed * 0x9E3779B97F4A7C15u);
    int64_t n = tg_numel(e->shape);

    if (p.init == NN_NORMAL || p.init == NN_TRUNC_NORMAL)
        draw_normal(p.value, p.init == NN_TRUNC_NORMAL, key, n, out);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = p.init == NN_UNIFORM ? (float)(p.value * (2 * random_uniform(key, (uint64_t)i + 1) - 1)) : p.value;
}
