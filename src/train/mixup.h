/* mixup.h - what mixing images does to targets, and CutMix's box.  Counterpart: timm.data.mixup. */
#ifndef TRAIN_MIXUP_H
#define TRAIN_MIXUP_H
#include <stdbool.h>
#include <stdint.h>

/* out = y lam + y' (1 - lam), where y is the target smoothed and y' its rows in reverse; row i has lam[i].
 * target, out: (n, classes), not the same memory; rows are one-hot, smoothed towards 1 / classes, or multi_label,
 * towards 1/2. */
void mixup_target(const float *target, int64_t n, int64_t classes, const float *lam, double smoothing, bool multi_label,
                  float *out);

/* The box [y0, y1) x [x0, x1) that another's pixels replace: around a centre, 1 - lam of the image where it fits. */
typedef struct cutmix_box { int64_t y0, y1, x0, x1; } cutmix_box;
cutmix_box cutmix_box_at(int64_t h, int64_t w, double lam, int64_t centre_y, int64_t centre_x);
double cutmix_lam(cutmix_box box, int64_t h, int64_t w);              /* the part of the image that stays */

#endif
