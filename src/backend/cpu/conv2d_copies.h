/* conv2d_copies.h - what conv2d_cpu.c shares with its copies of images as bfloat16: of whole images (conv2d_shared.c), of bands of lines
 * (conv2d_bands.c). */
#ifndef CONV2D_COPIES_H
#define CONV2D_COPIES_H
#include "kernels.h"
#include "packed_product.h"

/* BEYOND: rows after the last that may be read of a copy. */
enum { FEW_CHANNELS = 8, MOST_TAPS = 49, BEYOND = 31 };

typedef struct conv_state {
    product p;                  /* of one joined group */
    int joined, blocks;         /* groups to a product; products */
    bool padded;                /* the image is copied first */
    bool shared;                /* as bfloat16, whole images: a line of each after the other, and neighbours share their borders */
    gemm_span *spans;           /* of these lines: no run above or below the image is multiplied */
    int64_t images, plane;      /* copied at once; bytes of a part of them: the first is followed by what others there are */
    /* Such a copy is [slices][phases down][phases across], `phase` bytes each: a slice has the `width` channels that a panel of columns reads
     * in groups, or that wider groups do, a phase each stride-th line and pixel.  One slice: all channels, for all columns. */
    int64_t slices, slice_columns, panel, width, phases[2], phase;
    bool banded;                /* as bfloat16, some lines of results at a time, by the thread that multiplies them: */
    int64_t tap[MOST_TAPS];     /* bytes from the first tap to those of each run */
    int64_t band, line_bytes;   /* how many; of a part of a line on its way to its place (one_run) */
    bool pointwise;             /* 1x1 of stride 1 over pixels at one distance: rows of a matrix */
    bool rows_joined;           /* taps of a kernel row are one run */
    int64_t taps, run;          /* as bfloat16 a run is filled up to whole slabs */
    int64_t copy_h, copy_w;     /* of the padded copy */
    size_t weight_bytes, copy_bytes, row_bytes;         /* of scratch; the last of each thread: gemm's own, or what a band reads */
    packed *more;               /* of groups after the first */
    float *zeros;
} conv_state;

static inline int64_t divided(int64_t n, int64_t by) { return (n + by - 1) / by; }
static inline int64_t out_channels(const tg_call *c) { return c->in[1].shape.dim[0]; }
static inline int64_t group_in(const tg_call *c) { return c->in[1].shape.dim[1]; }

static inline bool one_tap(const tg_call *c) { return c->in[1].shape.dim[2] == 1 && c->in[1].shape.dim[3] == 1; }

static inline bool any_layout(const tg_call *c)     /* copied before it is used */
{
    return c->in[0].shape.dim[1] <= FEW_CHANNELS && ((const conv2d_attr *)c->attr)->groups == 1;
}

/* The first channel of a slice: of the group of the slice's first column. */
static inline int64_t slice_begin(const conv_state *s, const tg_call *c, int64_t slice)
{
    return slice * s->slice_columns / (out_channels(c) / ((const conv2d_attr *)c->attr)->groups) * group_in(c);
}

/* n channels of each of `count` pixels, `step` numbers apart, and for as many parts what rounding leaves, `rest` bytes further on. */
static inline void bring(const conv_state *s, tg_dtype of, const void *x, int64_t n, int64_t count, int64_t step, uint16_t *to, int64_t rest)
{
    gemm_strips strips = { n, count, step, s->width, rest };
    if (step == n && s->width == n)
        strips.n *= count, strips.count = 1;
    s->p.v->split(x, of == TG_BFLOAT, &strips, to);
}

/* From channels `channel` numbers apart, pixels `pixel` apart, to channels innermost; those of a colour image at once. */
void conv2d_interleave(const float *x, int64_t channel, int64_t pixel, int64_t channels, int64_t count, float *to);

/* The layout of a copy; false: no memory. */
bool conv2d_plan_shared(conv_state *s, const tg_call *c);
void conv2d_run_shared(const conv_state *s, const tg_call *c, gemm *g, char *copy);
bool conv2d_worth_bands(const tg_call *c);
void conv2d_plan_bands(conv_state *s, const tg_call *c);
void conv2d_run_bands(const conv_state *s, const tg_call *c, gemm *g, char *rooms);

#endif
