/* small_matrix.h - products for the optimizers that work on matrices; row-major, float, sums in a fixed order. */
#ifndef TRAIN_SMALL_MATRIX_H
#define TRAIN_SMALL_MATRIX_H
#include <stdint.h>

/* c (m, n) = a (m, k) b (k, n). */
void matrix_product(const float *a, const float *b, float *c, int64_t m, int64_t k, int64_t n);
/* c (m, m) = a a', a (m, n). */
void matrix_gram(const float *a, float *c, int64_t m, int64_t n);
void matrix_transpose(const float *a, float *out, int64_t m, int64_t n);       /* (m, n) to (n, m) */

#endif
