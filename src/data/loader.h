/* loader.h - batches of a data set, made by threads, in an order and with bytes that depend on the seed alone.
 *
 * Sample i of epoch e is cropped and flipped by numbers that are a function of (seed, e, i): the same for any number of threads,
 * and going on within an epoch is a seek.
 */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H
#include "base/threads.h"
#include "data/dataset.h"

typedef struct augment {
    double scale[2], ratio[2];          /* random resized crop: part of the area, width over height */
    double hflip, vflip;
    int padding;                        /* above 0: crop from the image with so many black pixels around, in place of the above */
    const char *interpolation;          /* "bilinear", "bicubic", "random": one of the two */
} augment;

typedef struct loader_opts {
    int batch, threads;                 /* threads 0: the caller makes the batches */
    uint64_t seed;
    bool shuffle, drop_last;
    bool train;                         /* augment; else the transform alone */
    timm_transform transform;           /* size of the images; of evaluation all of it */
    augment augment;
} loader_opts;

typedef struct batch {
    int64_t count, channels, height, width;
    const uint8_t *pixels;              /* NHWC */
    const int64_t *label, *index;       /* index: in the data set */
} batch;

typedef struct loader loader;
loader *loader_open(const dataset *d, const loader_opts *o, status *st);
void loader_close(loader *l);
int64_t loader_batches(const loader *l);                  /* of an epoch */
bool loader_seek(loader *l, int64_t epoch, int64_t batch);
const batch *loader_next(loader *l, status *st);          /* NULL at the end of the epoch, or on failure; lives until the next call */
/* (v / 255 - mean) / std as (N, C, H, W). */
void batch_to_float(const batch *b, const double mean[3], const double std[3], float *out, pool *threads);

#endif
