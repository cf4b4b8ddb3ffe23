/* resample.h - one resampling pass along one axis: each output byte is a weighted sum of input bytes, in integers. */
#ifndef DATA_RESAMPLE_H
#define DATA_RESAMPLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESAMPLE_BITS = 22,      /* weights are multiples of 2^-22 */
       RESAMPLE_LOW = 15,       /* weight = high 2^15 + low, 0 <= low < 2^15: both fit 16 bits */
       RESAMPLE_PAD = 16 };     /* the length of a row of weights is a multiple of this, zeros after the used ones */

/* The weights of output i: weight[i length .. + used[i]), for inputs first[i], first[i] + 1, ... */
typedef struct resample_taps {
    int count, length;
    int *first, *used;
    int32_t *weight;
    int16_t *high, *low;        /* the same weights in two halves */
} resample_taps;

/* Along rows: src has `rows` rows of which pixel 0 is input 0; bytes up to src_end may be read. */
typedef struct resample_rows {
    const resample_taps *taps;
    int channels, rows;
    const uint8_t *src, *src_end;
    uint8_t *dst;
    size_t src_stride, dst_stride;
} resample_rows;

/* Along columns: row 0 of src is input 0; `bytes` bytes of each row. */
typedef struct resample_columns {
    const resample_taps *taps;
    const uint8_t *src;
    uint8_t *dst;
    size_t src_stride, dst_stride, bytes;
} resample_columns;

typedef struct resample_kernels {
    bool (*rows)(const resample_rows *pass);           /* false: out of memory */
    bool (*columns)(const resample_columns *pass);
} resample_kernels;

extern const resample_kernels resample_plain;          /* the definition */
const resample_kernels *resample_best(void);           /* the fastest this processor runs; the same bytes */

#endif
