/* small_matrix.c - four rows at a time over columns that stay in cache. */
#include "train/small_matrix.h"
#include <string.h>

enum { COLUMNS = 256 };

void matrix_product(const float *a, const float *b, float *c, int64_t m, int64_t k, int64_t n)
{
    memset(c, 0, (size_t)(m * n) * sizeof *c);
    for (int64_t from = 0; from < n; from += COLUMNS) {
        int64_t to = from + COLUMNS < n ? from + COLUMNS : n, i = 0;
        for (; i + 4 <= m; i += 4) {
            float *c0 = c + i * n, *c1 = c0 + n, *c2 = c1 + n, *c3 = c2 + n;
            const float *a0 = a + i * k, *a1 = a0 + k, *a2 = a1 + k, *a3 = a2 + k;
            for (int64_t p = 0; p < k; p++) {
                const float *row = b + p * n;
                float x0 = a0[p], x1 = a1[p], x2 = a2[p], x3 = a3[p];
                for (int64_t j = from; j < to; j++) {
                    c0[j] += x0 * row[j];
                    c1[j] += x1 * row[j];
                    c2[j] += x2 * row[j];
                    c3[j] += x3 * row[j];
                }
            }
        }
        for (; i < m; i++)
            for (int64_t p = 0; p < k; p++) {
                const float *row = b + p * n;
                float x = a[i * k + p], *out = c + i * n;
                for (int64_t j = from; j < to; j++)
                    out[j] += x * row[j];
            }
    }
}

enum { LANES = 16 };

static float dot(const float *a, const float *b, int64_t n)
{
    float lane[LANES] = { 0 }, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

void matrix_gram(const float *a, float *c, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j <= i; j++)
            c[i * m + j] = c[j * m + i] = dot(a + i * n, a + j * n, n);
}

void matrix_transpose(const float *a, float *out, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            out[j * m + i] = a[i * n + j];
}
