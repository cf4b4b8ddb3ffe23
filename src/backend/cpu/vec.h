/* vec.h - tables of vector code, one per instruction set, and the choice among them. */
#ifndef VEC_H
#define VEC_H
#include "act.h"
#include "base/cpu.h"

#ifdef TIMM_X86
#define VEC_TABLE(type, name) extern const type name##_plain, name##_avx2, name##_avx512;
#define VEC_PICK(name) \
    (cpu()->isa == ISA_AVX512 ? &name##_avx512 : cpu()->isa == ISA_AVX2 ? &name##_avx2 : &name##_plain)
#else
#define VEC_TABLE(type, name) extern const type name##_plain;
#define VEC_PICK(name) (&name##_plain)
#endif

/* -- products: gemm_vec.c ------------------------------------------------------------------------------------------ */

enum { TILE_ROWS = 8, TILE_VECS = 12, GEMM_ROOM = 8704 };
/* A tile of the product: rows x (vecs vectors) results, over taps runs of `run` numbers.
 * row[tap * rows + i]: where row i's numbers of that tap lie.  b: packed, vecs vectors per number. */
typedef struct gemm_tile {
    const float *const *row;
    int64_t taps, run, used;                /* used: of a run's numbers those that may be other than zero; of .any alone */
    const float *b;
    const float *other;                     /* .summed: b - other, packed alike, or .gated: b, its k-th vectors times other[k], which goes to `made` */
    float *made;
    /* Sums of rows x vecs vectors, each dense: what is added to first, NULL: nothing; and where sums go before `plus` is added to them. */
    const float *from[2], *plus;
    float *keep;
    const float *bias;                      /* padded to whole vectors; NULL: none */
    float *const *out;                      /* row i's results go to out[i] + column; bfloat16, if narrow_out */
    const float *const *residual;           /* NULL: none; bfloat16, if narrow_residual */
    int64_t column;
    int columns;                            /* valid ones, of vecs vectors */
    const char *ahead; /* memory wanted soon: brought to L2, ahead_step bytes each number of the run */
    int64_t ahead_step;
    bool act_first, add;                    /* add: to what out holds, instead of to the bias */
    bool narrow_out, narrow_residual;       /* where rows are packed for .any */
    /* .any: rows of bfloat16 as they lie, the first at row[0], `pitch` bytes apart, tap t `tap[t]` bytes on; run is a multiple of deep.
     * NULL: packed. */
    const int64_t *tap;
    int64_t pitch, rest;                    /* rest: bytes on to each further part of them */
    int64_t b_rest;                         /* likewise for .any, in numbers of 16 bits on from b */
    act f;
} gemm_tile;
/* Products of packed operands and nothing else: slabs of up to 32 rows, and of vecs vectors of columns.  Sums of whole halves of 32 rows and
 * of whole vectors are written, rows `step` numbers apart.  a_rest, b_rest: on to each further part; bytes, numbers of 16 bits.  b_second: to
 * the second vector's slabs, where each vector's follow one another; numbers of 16 bits; 0: slabs are of all vectors. */
typedef struct gemm_bare {
    const void *a, *b;
    int64_t a_rest, b_rest, b_second, slabs;
    int rows, vecs;
    bool add;                               /* to what y holds */
    float *y;
    int64_t step;
} gemm_bare;
/* Numbers on their way to bfloat16: `count` strips of n, `step` apart there and `on` here, further parts of them `rest` bytes on each. */
typedef struct gemm_strips { int64_t n, count, step, on, rest; } gemm_strips;
struct grouped;
typedef struct gemm_vec {
    int width;                              /* floats in a vector */
    int rows[TILE_VECS + 1];                /* most rows of a tile that many vectors wide; 0: no such tile */
    void (*tile[TILE_VECS + 1][TILE_ROWS + 1])(const gemm_tile *t);
    void (*summed[TILE_VECS + 1])(const gemm_tile *t), (*gated[TILE_VECS + 1])(const gemm_tile *t);        /* of most rows */
    /* Packs k x n numbers, element (p, j) at b[p * sk + j * sn], into panels of `panel` columns: [panel][k][its columns];
     * the last panel is as many whole vectors as it needs, filled up with zeros. */
    void (*pack)(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed);
    /* For instructions for bfloat16 rows are packed too, numbers of `taps` runs, row i's at row[tap * count + i] and `step` apart, as
     * rows `at` and on of a tile.  NULL: they are read where they lie, in single precision and one after the other. */
    void (*left)(const float *const *row, int count, int64_t taps, int64_t run, int64_t step, int at, void *packed);
    void (*left_narrow)(const void *const *row, int count, int64_t taps, int64_t run, int at, void *packed);     /* of bfloat16 */
    /* Rows of one tap, of floats or bfloat16, row i times the numbers at by[i]. */
    void (*left_gated)(const void *const *row, bool of_bfloat, const float *const *by, int count, int64_t run, int at, void *packed);
    void (*pack_narrow)(const void *b, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed);     /* likewise, as pack */
    /* For products over pixels, of the 32 that begin at at[]: numbers [c, c + n) of each, n <= 32, as rows of a slab of the left operand; or,
     * n <= 16, as a vector of columns of the right one, zeros after n.  Further parts of them go `rest` bytes on each.  Likewise. */
    void (*turn)(const float *const *at, int64_t c, int n, void *slab, int64_t rest);
    void (*pairs)(const float *const *at, int64_t c, int n, void *slab, int64_t rest);
    void (*split)(const void *x, bool of_bfloat, const gemm_strips *s, uint16_t *y);      /* of floats, or bfloat16 already.  Likewise */
    /* Of pixels of three planes, `channel` numbers apart, the numbers in turn; likewise. */
    void (*triples)(const float *x, int64_t channel, int64_t pixels, uint16_t *y, int64_t rest);
    /* So many runs of n numbers that begin `step` apart, to places `pitch` apart.  Likewise. */
    void (*spread)(const uint16_t *x, int64_t step, int64_t n, int64_t runs, uint16_t *y, int64_t pitch);
    void (*settle)(act f, const float *x, uint16_t *y, int64_t n);         /* f, as exactly as bfloat16 tells; likewise */
    bool (*quick)(act f, const float *x, float *y, int64_t n);             /* to floats; false: f is as quick exactly, and nothing was done */
    void (*round_scaled)(const float *x, float by, uint16_t *y, int64_t n);
    /* Of a row of attention: y = e^(scale x + bias - the largest), a row of slabs filled up with zeros, and its sum.  Likewise. */
    float (*weigh)(const float *x, float scale, const float *bias, int64_t n, uint16_t *y);
    /* And of its gradient: x = softmax(scale x + bias); dx, the gradient of that, becomes x's; dbias as softmax_back's.  x and dx are whole
     * vectors.  Likewise. */
    void (*weigh_back)(float *x, float scale, const float *bias, float *dx, float *dbias, bool add, int64_t n);
    const struct depthwise_vec *depthwise;  /* of bfloat16 in memory; likewise: depthwise_bf16.c */
    const struct chain_vec *chain;          /* that leaves bfloat16; likewise: chain_bf16.c */
    void (*grouped)(const struct grouped *g, int64_t from, int64_t to, int64_t c, int64_t end);   /* by dot products; likewise: grouped_bf16.c */
    int deep, bytes;                        /* k is filled up to a multiple of this; of a packed number */
    int grain, half;                        /* rows that are read as they lie are of a multiple of `grain` numbers, and half of them at once; likewise */
    void (*finish)(const gemm_tile *t, int rows);       /* dear functions, and a residual after them, on rows just written */
    /* Packed operands alone: tiles one after the other, between begin and end on the same thread.  A tile's results are left while the
     * next one's products are made, and all are there after end; out and residual stay until then.  begin: what is common to them,
     * and whether there is a residual.  room: GEMM_ROOM bytes, 64-byte aligned.  NULL: see .tile. */
    void (*any)(const gemm_tile *t, int rows, int vecs, void *room);
    void (*begin)(const gemm_tile *t, void *room), (*end)(void *room);
    void (*bare)(const gemm_bare *t);       /* between enter and leave on the same thread; there as .any is */
    void (*enter)(void), (*leave)(void);
    double gain;                            /* times as many products as in single precision, about */
    float (*peak)(int64_t rounds);          /* as many products as the processor can start; their multiply-adds.  NULL: see peak_vec */
} gemm_vec;
VEC_TABLE(gemm_vec, gemm_vec)
extern const gemm_vec gemm_bf16_amx, gemm_bf16x3_amx, gemm_bf16x6_amx, gemm_bf16_dot;       /* gemm_bf16.c */

/* -- products of halves: strassen_vec.c ----------------------------------------------------------------------------- */

typedef struct strassen_vec {
    /* Of quarters 11, 12, 21, 22, n numbers of each: 21 + 22, 21 + 22 - 11, 11 - 21, 11 + 12 - 21 - 22, `step` numbers apart. */
    void (*sums)(const float *const q[4], int64_t n, float *to, int64_t step);
} strassen_vec;
VEC_TABLE(strassen_vec, strassen_vec)

/* -- what is possible at most: peak_vec.c ---------------------------------------------------------------------------- */

typedef struct peak_vec {
    int numbers;                            /* multiply-adds a round */
    float (*chains)(int64_t rounds, float a, float b);
} peak_vec;
VEC_TABLE(peak_vec, peak_vec)

/* -- sums of outer products: outer_vec.c --------------------------------------------------------------------------- */

/* out (rows x vecs vectors) = sum over pixels of left's numbers times right's vectors; pixels come in runs. */
typedef struct outer_tile {
    const float *left;                      /* rows numbers a pixel, left_step apart from pixel to pixel: as many, if packed */
    int64_t left_step;
    const float *right;                     /* vecs vectors a pixel, right_step numbers apart: as many, if packed */
    int64_t right_step;
    const int64_t *place;                   /* where each run begins in right, in pixels */
    int64_t runs, run;
    /* As gemm_tile's: .summed's right - other, of one run, to sum, packed; and sums before and after. */
    const float *other;
    int64_t other_step;
    float *sum;
    const float *from[2], *plus;
    float *keep;
    float *out;                             /* NULL: they are kept alone */
    int64_t step;                           /* from row to row of out */
    bool add;                               /* to what out holds */
} outer_tile;
typedef struct outer_vec {
    int width;
    int rows[TILE_VECS + 1];                /* as gemm_vec's */
    void (*tile[TILE_VECS + 1][TILE_ROWS + 1])(const outer_tile *t), (*summed[TILE_VECS + 1])(const outer_tile *t);     /* summed: of most rows */
    /* Packs `rows` numbers of n pixels; `columns` numbers, filled up with zeros to `width`. */
    void (*left)(const float *x, int64_t step, int64_t n, int rows, float *to);
    void (*right)(const float *x, int64_t step, int64_t n, int columns, int width, float *to);
} outer_vec;
VEC_TABLE(outer_vec, outer_vec)

/* -- depthwise convolution: depthwise_vec.c ------------------------------------------------------------------------ */

typedef struct depthwise {
    int64_t h, w, oh, ow, kh, kw;
    int64_t stride[2], pad[2], dilation[2];
    int64_t xy, xx, yy, yx, ry, rx;         /* steps from row to row and pixel to pixel: image, result, residual */
    int64_t room;                           /* channels, in whole vectors: a tap's weights */
    const float *weights, *bias;            /* [tap][room]; bias [room] or NULL */
    const float *x, *residual;              /* of one image; residual NULL: none */
    float *y;
    bool act_first, of_floats;              /* of_floats: where the result is bfloat16, whether the image is not */
    act f;
} depthwise;
typedef struct depthwise_vec {
    int width;
    /* Channels [c, end) of result rows [from, to); c is a multiple of 2 * width. */
    void (*rows)(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end);
    bool (*knows)(const depthwise *d);      /* where the result is bfloat16: there are strips for such kernels */
} depthwise_vec;
VEC_TABLE(depthwise_vec, depthwise_vec)

/* -- convolution in narrow groups: grouped_vec.c ------------------------------------------------------------------- */

enum { GROUP_WIDTHS = 17 };
typedef struct grouped_vec {
    int width;
    /* By channels of a group, in and out; NULL: not these.  As depthwise_vec's, but that weights lie as [block][tap][i][lane]: i of the
     * group's channels in, blocks of channels out of a group or a vector, whatever is more; c and end are multiples of these. */
    void (*rows[GROUP_WIDTHS])(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end);
} grouped_vec;
VEC_TABLE(grouped_vec, grouped_vec)

/* -- the same by dot products: grouped_bf16.c ---------------------------------------------------------------------- */

enum { GROUPED_BLOCK = 32, GROUPED_WIDEST = 32, GROUPED_ROWS = 8 };    /* channels at a time, of a group; of a kernel at most */
/* Rows [from, to) of the result, channels [c, end) of it, c a multiple of GROUPED_BLOCK. */
typedef struct grouped {
    int64_t h, w, ow, kh, kw, width;        /* width: channels of a group in and out, a power of two */
    int64_t stride[2], pad[2], dilation[2];
    int64_t xy, xx, yy, yx;                 /* as depthwise's */
    const uint16_t *weights;                /* [block][row][pair of a group's channels in][column][channel out of the block][2] */
    const float *bias;                      /* filled up to whole blocks, as weights are */
    const void *x;
    void *y;
    bool of_floats, to_floats;              /* image and result; else bfloat16 */
    int64_t pixels;                         /* of a row of the image with the zeros that taps read beside it */
    uint16_t *copies;                       /* room for as many of these as a kernel spans, and one more; 64-byte aligned */
    act f;
} grouped;

/* -- its gradient in the weights: depthwise_grad_vec.c --------------------------------------------------------------- */

typedef struct depthwise_row {
    const float *dy, *x;                    /* a row of each */
    int64_t dstep, xstep, ow, w;            /* from pixel to pixel; pixels */
    int64_t stride, pad, dilation, taps, channels;
    float *sum;                             /* [tap][room], added to */
    int64_t room;
} depthwise_row;
typedef struct depthwise_grad_vec {
    void (*weight_row)(const depthwise_row *r);
} depthwise_grad_vec;
VEC_TABLE(depthwise_grad_vec, depthwise_grad_vec)

/* -- elementwise: elementwise_vec.c -------------------------------------------------------------------------------- */

typedef struct elementwise_vec {
    void (*unary)(act f, const float *x, float *y, int64_t n);
    /* Steps 0 or 1: a vector or one number. */
    void (*binary[BIN_KINDS])(const float *a, int sa, const float *b, int sb, float *y, int64_t n);
    void (*scale_shift)(const float *x, const float *scale, const float *shift, float *y, int64_t n);
    /* to = a x + b y + more */
    void (*scale_two)(const float *x, const float *a, const float *y, const float *b, const float *more, float *to, int64_t n);
    /* to[i * st + j] = from[j * sf + i], i < n, j < m. */
    void (*transpose)(const float *from, int64_t sf, float *to, int64_t st, int64_t n, int64_t m);
} elementwise_vec;
VEC_TABLE(elementwise_vec, elementwise_vec)

/* -- chains of elementwise ops: chain_simd.h ----------------------------------------------------------------------- */

/* What an operand is in memory: floats, bfloat16, or one float for all. */
typedef enum chain_source { CHAIN_FLOATS, CHAIN_BFLOATS, CHAIN_ONE, CHAIN_SOURCES } chain_source;
/* An instruction for a strip of numbers, which stays in registers from one to the next. */
enum {
    CHAIN_LOAD,                                                         /* strip = operand; + its source */
    CHAIN_BINARY = CHAIN_LOAD + CHAIN_SOURCES,                          /* f(strip, operand); + kind * CHAIN_SOURCES + source */
    CHAIN_TURNED = CHAIN_BINARY + BIN_KINDS * CHAIN_SOURCES,            /* f(operand, strip); likewise */
    CHAIN_UNARY = CHAIN_TURNED + BIN_KINDS * CHAIN_SOURCES,             /* + act_kind */
    CHAIN_PLAIN = CHAIN_UNARY + ACT_KINDS,                              /* by op->scalar */
    CHAIN_KEEP,                                                         /* for an operand of later ones */
    CHAIN_LEAVE                                                         /* strip is the result, of floats or bfloat16; + which; the end */
};
enum { CHAIN_OPERANDS = 10, CHAIN_KEPT = 24, CHAIN_OPS = 3 * CHAIN_KEPT + 1, CHAIN_LONGEST = 128 };          /* LONGEST: numbers of a strip, at most */
typedef struct chain_op {
    int code, operand;                      /* from CHAIN_OPERANDS on what was kept there */
    act f;
    const tg_op *op;
    double attr[2];
} chain_op;
typedef struct chain_program {
    const chain_op *op;
    const void *in[CHAIN_OPERANDS];
    int64_t step[CHAIN_OPERANDS];           /* bytes from number to number */
    /* Which number is read first, and of how many that follow one another in turn, with a strip of these once more after them; 0: they do not. */
    int64_t first[CHAIN_OPERANDS], period[CHAIN_OPERANDS];
    bool fetch[CHAIN_OPERANDS];             /* what is read soon */
    int n_in;
    /* Functions that take long: quick as exactly as bfloat16 tells, false or NULL: as unary has them. */
    void (*unary)(act f, const float *x, float *y, int64_t n);
    bool (*quick)(act f, const float *x, float *y, int64_t n);
} chain_program;
typedef struct chain_vec {
    int strip;                              /* numbers of one; the last may be shorter */
    void (*run)(const chain_program *p, void *y, int64_t n);
} chain_vec;
VEC_TABLE(chain_vec, chain_vec)
VEC_TABLE(chain_vec, chain_narrow_vec)          /* that leaves bfloat16, of functions as exact as floats */

/* -- rows: rows_vec.c ---------------------------------------------------------------------------------------------- */

typedef enum reduce_kind { REDUCE_SUM, REDUCE_MAX } reduce_kind;
enum { REDUCED_COLUMNS = 512 };
typedef struct rows_vec {
    void (*softmax)(const float *x, float *y, int64_t n);                          /* in place is fine */
    void (*scaled_softmax)(float *x, float scale, const float *bias,
                           int64_t n); /* x = softmax(scale x + bias); bias may be NULL */
    /* dx = y (dy - sum(dy y)) of one row, left in dy scaled; to `bias`, unless NULL, it goes unscaled, or is added. */
    void (*softmax_back)(const float *y, float *dy, float scale, float *bias, bool add, int64_t n);
    /* Rows that are floats, or bfloat16 where xn and yn say so; y may be x.  weight, bias: NULL or n numbers. */
    void (*layer_norm)(const void *const *x, bool xn, void *const *y, bool yn, int rows, const float *weight, const float *bias, float eps,
                       int64_t n);
    /* dx of one row; dweight += dy hat, dbias += dy, n numbers each.  weight, dweight, dbias: NULL or there. */
    void (*layer_norm_back)(const float *x, const float *dy, const float *weight, float eps, float *dx, float *dweight, float *dbias,
                            int64_t n);
    void (*rms_norm)(const float *x, const float *weight, float eps, float *y, int64_t n);
    float (*reduce)(reduce_kind kind, const float *x, int64_t n);
    /* y[j] = over i < rows of x[i * step + j]; times scale; n <= REDUCED_COLUMNS. */
    void (*reduce_rows)(reduce_kind kind, const float *x, int64_t step, int64_t rows, float scale, float *y, int64_t n);
    /* Sum of (x - mean)^2. */
    float (*variance)(const float *x, float mean, int64_t n);
    /* y[j] = max or scaled sum of row[i][j] over the rows of a pool's window. */
    void (*pool)(reduce_kind kind, const float *const *row, int rows, float scale, float *y, int64_t n);
} rows_vec;
VEC_TABLE(rows_vec, rows_vec)

/* -- bfloat16 in memory: narrow_vec.c -------------------------------------------------------------------------------- */

typedef struct narrow_vec {
    void (*narrow)(const float *x, uint16_t *y, int64_t n);
    void (*widen)(const uint16_t *x, float *y, int64_t n);
    void (*widen_runs)(const uint16_t *x, int64_t step, int64_t n, int64_t runs, float *y, int64_t pitch);      /* of n, `step` and `pitch` apart */
    void (*reduce_rows)(reduce_kind kind, const uint16_t *x, int64_t step, int64_t rows, float scale, float *y, int64_t n);      /* as rows_vec's */
    void (*pool)(reduce_kind kind, const uint16_t *const *row, int rows, float scale, float *y, int64_t n);
    void (*largest)(const uint16_t *const *row, int rows, uint16_t *y, int64_t n);         /* of one row or more; not a number counts as its bits do */
    /* As gemm_vec's, of numbers that are rounded already and have no rest. */
    void (*turn)(const uint16_t *const *at, int64_t c, int n, void *slab);
    void (*pairs)(const uint16_t *const *at, int64_t c, int n, void *slab);
} narrow_vec;
VEC_TABLE(narrow_vec, narrow_vec)

/* -- pools backwards: pool_grad_vec.c ------------------------------------------------------------------------------ */

typedef struct pool_grad_vec {
    /* Of n channels each, over the places of one window (1 or more): dx[i] += dy where x[i], floats or narrow, is the first of the
     * largest. */
    void (*max_back)(const void *const *x, bool narrow, float *const *dx, int places, const float *dy, int64_t n);
    void (*mean_back)(float *const *dx, int places, const float *dy, float share, int64_t n);  /* dx[i] += share dy */
} pool_grad_vec;
VEC_TABLE(pool_grad_vec, pool_grad_vec)

/* -- sums a channel: channels_vec.c --------------------------------------------------------------------------------- */

typedef struct channels_vec {         /* narrow, dn, xn: x, d, x are of bfloat16 instead of floats */
    /* sum += x - shift, squares += (x - shift)^2 over rows that are `step` apart, for n columns. */
    void (*moments)(const void *x, bool narrow, int64_t step, int64_t rows, const float *shift, double *sum, double *squares, int64_t n);
    /* sum += d, dot += d (x - mean). */
    void (*dots)(const void *d, bool dn, int64_t ds, const void *x, bool xn, int64_t xs, int64_t rows, const float *mean, double *sum,
                 double *dot, int64_t n);
    void (*dots_more)(const float *d, int64_t ds, const void *x, bool narrow, int64_t xs, int64_t rows, const float *mean, float *sum,
                      float *dot, int64_t n);           /* a few rows of it, which lie in the cache */
} channels_vec;
VEC_TABLE(channels_vec, channels_vec)

/* -- Winograd convolution: winograd_vec.c -------------------------------------------------------------------------- */

enum { WINO_OUT = 4, WINO_IN = 6, WINO_SIZE = 36 };
typedef struct winograd {
    int64_t h, w, oh, ow, channels;         /* image and result; channels of the one at hand */
    int64_t xy, xx;                         /* steps of that one */
    int64_t ry, rx;                         /* of the residual */
    int64_t point;                          /* numbers from one of the 36 products to the next */
    const float *bias;                      /* NULL: none */
    bool narrow, narrow_residual;           /* the one at hand is of bfloat16 in memory, the residual is */
    bool act_first;
    act f;
} winograd;
typedef struct winograd_vec {
    /* to[p * point + c]: the 36 transformed numbers of the 6 x 6 patch whose corner is (y, x), zeros outside the image. */
    void (*input)(const winograd *w, const void *image, int64_t y, int64_t x, float *to);
    /* The 4 x 4 results (cut at the border) at (y, x), from from[p * point + c].  residual: NULL: none. */
    void (*output)(const winograd *w, const float *from, const void *residual, void *result, int64_t y, int64_t x);
    /* to[p * point + j]: the 36 numbers of kernel j < n, whose taps (y, x) lie at w[j * lane + y * down + x * right]; zeros up to
     * whole vectors.  round: taps to bfloat16. */
    void (*weights)(const float *w, int64_t lane, int64_t down, int64_t right, int n, float *to, int64_t point);
    /* The gradients of these: to[p * point + c], what the 4 x 4 results at (y, x) send back to the 36 products; and the kernels
     * w[j * lane + ...], j < n, from the 36 sums from[p * point + j], whole vectors. */
    void (*spread)(const winograd *w, const void *image, int64_t y, int64_t x, float *to);
    void (*weights_back)(const float *from, int64_t point, int64_t n, float *w, int64_t lane, int64_t down, int64_t right);
} winograd_vec;
VEC_TABLE(winograd_vec, winograd_vec)

#endif
