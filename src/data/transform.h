/* transform.h - timm's evaluation transform: resize and crop to the network's input, and normalisation. */
#ifndef DATA_TRANSFORM_H
#define DATA_TRANSFORM_H
#include "base/status.h"

/* The exact pixels the network sees: input_size[1] x input_size[2], as many channels as `in`.  As in create_transform,
   NULL and 0 stand for bilinear, center and a crop_pct of .875. */
bool transform_eval(const timm_image *in, const timm_transform *how, timm_image *out, status *st);
/* The size of the whole image after the resize, of which the crop is taken. */
bool transform_resized(const timm_image *in, const timm_transform *how, int *width, int *height, status *st);
/* (v / 255 - mean) / std in float, as (C, H, W) into to[0 .. C H W). */
bool transform_normalize(const timm_image *in, const double *mean, const double *std, float *to, status *st);

#endif
