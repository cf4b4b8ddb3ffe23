/* gemm.h - products with a packed right operand: what linear layers, convolutions and matmul share. */
#ifndef GEMM_H
#define GEMM_H
#include "base/threads.h"
#include "graph/graph.h"
#include "vec.h"

/* Rows numbered in row-major order of some axes: where each begins. */
typedef struct rowmap { int rank; int64_t dim[TG_MAX_RANK], stride[TG_MAX_RANK]; } rowmap;
rowmap rowmap_of(const tg_tensor *t, int from, int to); /* of axes [from, to), merged where they can be */
rowmap rowmap_nhw(const tg_tensor *t);                                 /* (n, c, h, w): rows are pixels */
rowmap rowmap_hnw(const tg_tensor *t);                                 /* the same, of a line of each image after the other */
/* offsets[i] of rows [from, from + count). */
void rowmap_offsets(const rowmap *r, int64_t from, int count, int64_t *offsets);

/* Lines of rows from the last span's end to this one's are of these taps alone, where others would be of zeros. */
typedef struct gemm_span { int64_t end, first, count; } gemm_span;

typedef struct gemm {
    const gemm_vec *v;
    int64_t m, n, taps, run;    /* k = taps * run */
    int64_t used;               /* of a run's numbers the first ones, the others are multiplied by zeros; 0: all */
    int64_t skip, of_run;       /* of a run of of_run numbers those from skip on are multiplied; 0, 0: all of run */
    int vecs;                   /* width of a panel in vectors: gemm_panel */
    const float *b, *bias;      /* packed; bias filled up to whole vectors, or NULL */
    /* What the rows, the residual and the result are in memory: floats, or bfloat16 where v packs (gemm_packs). */
    tg_dtype of, residual_of, out_of;
    /* Where tap t of row from + i lies: row[t * count + i]. */
    void (*rows)(const void *ctx, int64_t from, int count, const void **row);
    const void *ctx;
    /* Rows of bfloat16 that are read as they lie (run is a multiple of v->grain): in lines of line_rows, line_bytes apart, rows `pitch`
     * bytes apart and tap t `tap[t]` bytes on.  NULL: packed.  beyond: what lies after a line may be read, 31 rows of it. */
    const void *direct;
    const int64_t *tap;
    int64_t pitch, line_rows, line_bytes, rest;             /* rest: bytes on to each further part of them, where there are any */
    bool beyond;
    const gemm_span *span;                                  /* of lines that follow one another, up to the last; NULL: all are of all taps */
    /* Each further slice_columns columns are of rows slice_bytes on; a panel's are those of its first column.  Only where `beyond`; 0: one
     * and the same for all columns. */
    int64_t slice_columns, slice_bytes;
    /* Of each `across` rows, a line and its border, the first used_across are results; of the others, sums go to `own`.  m counts them all;
     * 0: there are none. */
    int64_t across, used_across;
    char *own;                                              /* own_bytes of each thread */
    size_t own_bytes;
    /* Rows are multiplied first, row i by the numbers at gate[i / gate_rows * gate_step]; of one tap and no step: as they are packed, or where
     * they are not, a panel of the right operand is instead, in `own`.  NULL: by none. */
    const float *gate;
    int64_t gate_rows, gate_step;
    int64_t step;               /* from number to number of a row, where rows are packed (v->any); 0: 1 */
    bool far;                   /* results leave the caches before they are read: in training, where weights change */
    bool add;                   /* to what out, of floats, holds; no bias then */
    int64_t image;              /* rows of an image: its halves make seven products (strassen.c); of one tap, floats, vecs of strassen_vecs.  0: rows by themselves */
    void *out;
    rowmap out_rows;
    const void *residual;       /* NULL: none */
    rowmap residual_rows;
    bool act_first;
    act f;
    char *scratch;              /* gemm_scratch bytes */
} gemm;

enum { GEMM_ROWS = 208 };       /* most rows of a block, packed ones or ones of floats */

/* Rows for .rows that lie one stride apart. */
struct gemm_rows { const void *x; int64_t stride; tg_dtype of; };
void gemm_rows(const void *ctx, int64_t from, int count, const void **row);

const gemm_vec *gemm_for(tg_precision p);                              /* how this machine does such products: bf16.c */
const gemm_vec *gemm_exchange(tg_precision p, const gemm_vec *v);       /* from now on by v, for tests of it; returns what it was */
bool gemm_packs(tg_precision p);                                       /* by instructions of their own, several times as fast */
bool gemm_narrow(tg_precision p);                                      /* and numbers in memory may be bfloat16 */
bool gemm_whole(tg_precision p);                                       /* and of parts that are all of a number: as exact as single precision */
int gemm_panel(const gemm_vec *v, int64_t m, int64_t n, int64_t taps, int64_t run);     /* vectors to a panel that suit m x n */
int64_t gemm_packed(const gemm_vec *v, int64_t k, int64_t n);          /* floats' room that pack fills */
int64_t gemm_filled(const gemm_vec *v, int64_t n);                     /* n in whole vectors */
size_t gemm_scratch(const gemm_vec *v, int vecs, int64_t taps, int64_t run, int threads);    /* vecs: of gemm_panel */
void gemm_run(const gemm *g, pool *p);
/* The same for rows [from, to) and panels [first, last) on this thread; `place` has room for gemm_scratch(.., 1). */
void gemm_part(const gemm *g, int64_t from, int64_t to, int64_t first, int64_t last, char *place);

/* strassen.c.  NULL: a product, images of so many rows, can be one of halves, or by rule is faster so, of all images' m rows; otherwise why not.
 * last: a residual after a function. */
const char *strassen_declines(int64_t image, int64_t n, int64_t k, bool last);
const char *strassen_doubts(double m, int64_t n, int64_t k);
int strassen_vecs(int width, const int *rows, int64_t n);              /* vectors of panels that fill half of n columns; 0: none do */
int64_t strassen_length(int64_t run);                                  /* of a run so many numbers are multiplied at once */
size_t strassen_scratch(const gemm_vec *v, int vecs, int64_t run, int64_t n, int threads);
void strassen_run(const gemm *g, pool *p);

/* Packs a right operand on all threads: element (p, j) at w[p * sk + j * sn]; `to` has room for gemm_packed numbers. */
void gemm_pack_right(const gemm_vec *v, int64_t k, int64_t n, const float *w, int64_t sk, int64_t sn, int vecs, float *to, pool *p);

/* Weights and bias packed into one allocation (pages_free()); element (p, j) at w[p * sk + j * sn]. */
typedef struct packed { float *b, *bias; size_t bytes; int vecs; } packed;
bool gemm_pack(const gemm_vec *v, int vecs, int64_t n, int64_t k, const float *w, int64_t sk, int64_t sn, const tg_tensor *bias, packed *out);
/* Bytes of so many floats, in whole cache lines: how kernels divide their scratch. */
static inline size_t lines(int64_t numbers) { return ((size_t)numbers * sizeof(float) + 63) / 64 * 64; }

#endif
