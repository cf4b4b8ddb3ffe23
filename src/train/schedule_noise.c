/* schedule_noise.c - the noise of a rate: what PyTorch's generator draws when seeded with noise_seed + t. */
#include <math.h>
#include "base/mersenne.h"
#include "train/schedule_kind.h"

static double uniform53(mersenne *m)
{
    uint64_t high = mersenne_draw(m), low = mersenne_draw(m);
    return (double)((high << 32 | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* torch.randn(1) draws normals in pairs: of u and v, sqrt(-2 log(1 - v)) times cos and then sin of 2 pi u. */
static double cut_normal(mersenne *m, double std, double most)
{
    for (;;) {
        double u = uniform53(m), v = uniform53(m), angle = 2 * 3.14159265358979323846 * u, r = sqrt(-2 * log1p(-v));
        double z[2] = { (float)(r * cos(angle)) * std, (float)(r * sin(angle)) * std };
        for (int i = 0; i < 2; i++)
            if (fabs(z[i]) < most)
                return z[i];
    }
}

double schedule_noise(const schedule_options *o, int64_t t)
{
    mersenne m;
    mersenne_seed(&m, (uint32_t)((int64_t)o->noise_seed + t));
    if (!o->noise_type)
        return cut_normal(&m, o->noise_std, o->noise_pct);
    return 2 * ((double)(mersenne_draw(&m) & 0xFFFFFF) * 0x1p-24 - .5) * o->noise_pct;
}
