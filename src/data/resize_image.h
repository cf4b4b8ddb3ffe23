/* resize_image.h - Pillow 13's Image.resize on 8-bit images, byte for byte. */
#ifndef DATA_RESIZE_IMAGE_H
#define DATA_RESIZE_IMAGE_H
#include "base/status.h"

typedef enum resize_filter {
    RESIZE_NEAREST, RESIZE_BOX, RESIZE_BILINEAR, RESIZE_HAMMING, RESIZE_BICUBIC, RESIZE_LANCZOS, RESIZE_FILTERS
} resize_filter;

typedef struct resize_part { int x, y, width, height; } resize_part;

typedef struct resize_how {
    int width, height;          /* of the whole result */
    resize_filter filter;
    const double *box;          /* x0, y0, x1, y1 within the image; NULL: all of it */
    const resize_part *part;    /* of the result, the only pixels made; NULL: all of it */
    bool plain;                 /* no vector instructions; the bytes are the same */
} resize_how;

/* "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos". */
bool resize_filter_named(const char *name, resize_filter *filter, status *st);
bool resize_image(const timm_image *in, const resize_how *how, timm_image *out, status *st);

#endif
