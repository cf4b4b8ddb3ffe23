/* mixup.h - mixing pairs of images and their targets.  Counterpart: timm.data.mixup.
 *
 * Row i of a batch is mixed with row n - 1 - i.  Pixels are mixed as FastCollateMixup does, timm's default: bytes, rounded to
 * the nearest, halves to even; normalised afterwards.  What is drawn is a function of a key, the batch's.
 */
#ifndef TRAIN_MIXUP_H
#define TRAIN_MIXUP_H
#include <stdbool.h>
#include <stdint.h>

/* The box [y0, y1) x [x0, x1) that another's pixels replace: around a centre, 1 - lam of the image where it fits. */
typedef struct cutmix_box { int64_t y0, y1, x0, x1; } cutmix_box;
cutmix_box cutmix_box_at(int64_t h, int64_t w, double lam, int64_t centre_y, int64_t centre_x);
double cutmix_lam(cutmix_box box, int64_t h, int64_t w);              /* the part of the image that stays */

/* One draw for all rows, one for a row and its partner, or one for each row. */
typedef enum mixup_mode { MIXUP_BATCH, MIXUP_PAIR, MIXUP_ELEM } mixup_mode;
typedef struct mixup_opts {
    double mixup, cutmix;       /* alphas of Beta(alpha, alpha); 0: without */
    bool minmax;                /* cutmix boxes with sides of part[0] to part[1] of the image's */
    double part[2];
    double prob, switch_prob;   /* how often at all; of both, how often cutmix */
    mixup_mode mode;
} mixup_opts;

/* What becomes of a row: lam of it stays, and 1 - lam comes from its partner, all over or in the box. */
typedef struct mixup_row { float lam; bool cut; cutmix_box box; } mixup_row;
void mixup_draw(const mixup_opts *o, uint64_t key, int64_t n, int64_t h, int64_t w, mixup_row *row);
double mixup_beta(double alpha, uint64_t key);          /* of Beta(alpha, alpha), a function of the key */

/* in, out: n images of h x w pixels with c bytes each, not the same memory. */
void mixup_pixels(const uint8_t *in, int64_t n, int64_t h, int64_t w, int64_t c, const mixup_row *row, uint8_t *out);
/* out = y lam + y' (1 - lam), where y is the target smoothed and y' its rows in reverse; row i has lam[i].
 * target, out: (n, classes), not the same memory; rows are one-hot, smoothed towards 1 / classes, or multi_label,
 * towards 1/2. */
void mixup_target(const float *target, int64_t n, int64_t classes, const float *lam, double smoothing, bool multi_label,
                  float *out);

#endif
