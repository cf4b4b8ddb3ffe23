/* random_erasing.h - rectangles of images become noise, or the mean.  Counterpart: timm.data.random_erasing. */
#ifndef DATA_RANDOM_ERASING_H
#define DATA_RANDOM_ERASING_H
#include <stdint.h>

/* What a rectangle becomes: N(0, 1) for each pixel and channel, for each channel, or 0. */
typedef enum erase_fill { ERASE_PIXEL, ERASE_RAND, ERASE_CONST } erase_fill;

typedef struct erasing {
    double prob;                /* of an image */
    erase_fill fill;
    int count;                  /* 1 to so many rectangles; the more, the smaller each */
} erasing;

/* Of one image (C, H, W), normalised, by the numbers of `key` (random.h). */
void random_erasing(const erasing *e, uint64_t key, int64_t channels, int64_t height, int64_t width, float *image);

#endif
