/* slabs.h - operands of bare products (gemm_vec.bare), for kernels that make small products one after the other: rows of the left one
 * packed by up to 32, the right one in panels of two vectors. */
#ifndef SLABS_H
#define SLABS_H
#include "gemm.h"

enum { SLAB = 32 };                         /* numbers of k, and rows of a left operand */

static inline int64_t slabs_of(int64_t k) { return (k + SLAB - 1) / SLAB; }
static inline size_t slabs_left(const gemm_vec *v, int64_t k) { return (size_t)(slabs_of(k) * SLAB * SLAB * v->bytes); }
static inline size_t slabs_right(const gemm_vec *v, int64_t k, int64_t n) { return lines(gemm_packed(v, k, n)); }

/* Up to 32 rows of k numbers, `step` apart, as a left operand. */
void slabs_rows(const gemm_vec *v, const void *x, tg_dtype of, int64_t step, int rows, int64_t k, void *to);
/* k x n numbers, (p, j) at x[p * sp + j * sj], as a right one. */
void slabs_columns(const gemm_vec *v, const void *x, tg_dtype of, int64_t k, int64_t n, int64_t sp, int64_t sj, void *to);
/* Between v->enter and v->leave: y (rows x n, in whole halves of 32 rows and whole vectors; step: from row to row) = or += left right, of whose slabs those from
 * `first` on are as many as left's; right_slabs: all of them. */
void slabs_multiply(const gemm_vec *v, const void *left, int64_t slabs, int rows, const void *right, int64_t right_slabs, int64_t first,
                    int64_t n, bool add, float *y, int64_t step);

#endif
