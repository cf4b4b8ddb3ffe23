/* mixup.c - mixed targets and CutMix's box. */
#include "train/mixup.h"
#include <math.h>

void mixup_target(const float *target, int64_t n, int64_t classes, const float *lam, double smoothing, bool multi_label,
                  float *out)
{
    float keep = (float)(1 - smoothing), add = (float)(multi_label ? smoothing / 2 : smoothing / (double)classes);
    for (int64_t i = 0; i < n; i++) {
        const float *a = target + i * classes, *b = target + (n - 1 - i) * classes;
        for (int64_t k = 0; k < classes; k++)
            out[i * classes + k] = (a[k] * keep + add) * lam[i] + (b[k] * keep + add) * (1 - lam[i]);
    }
}

static int64_t within(int64_t v, int64_t size) { return v < 0 ? 0 : v > size ? size : v; }

cutmix_box cutmix_box_at(int64_t h, int64_t w, double lam, int64_t centre_y, int64_t centre_x)
{
    double ratio = sqrt(1 - lam);
    int64_t cut_h = (int64_t)((double)h * ratio), cut_w = (int64_t)((double)w * ratio);
    return (cutmix_box){ within(centre_y - cut_h / 2, h), within(centre_y + (cut_h + 1) / 2, h),
                         within(centre_x - cut_w / 2, w), within(centre_x + (cut_w + 1) / 2, w) };
}

double cutmix_lam(cutmix_box box, int64_t h, int64_t w)
{
    return 1 - (double)((box.y1 - box.y0) * (box.x1 - box.x0)) / (double)(h * w);
}
