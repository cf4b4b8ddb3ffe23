/* train_transform.h - random crops and flips.  Counterpart: RandomResizedCropAndInterpolation and torchvision's flips. */
#ifndef DATA_TRAIN_TRANSFORM_H
#define DATA_TRAIN_TRANSFORM_H
#include "data/loader.h"

/* Width x height pixels of `in`, by the numbers of `key` (random.h). */
bool transform_train(const timm_image *in, const augment *a, int width, int height, uint64_t key, timm_image *out, status *st);
/* The box of the random resized crop: x0, y0, x1, y1 in pixels. */
void random_crop_box(int in_width, int in_height, const augment *a, uint64_t key, double box[4]);

#endif
