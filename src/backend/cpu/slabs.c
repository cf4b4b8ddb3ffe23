/* slabs.c - packing of small operands, and their products. */
#include "slabs.h"

void slabs_rows(const gemm_vec *v, const void *x, tg_dtype of, int64_t step, int rows, int64_t k, void *to)
{
    const void *row[SLAB];
    for (int i = 0; i < rows; i++)
        row[i] = tg_at(x, of, i * step);
    if (of == TG_BFLOAT)
        v->left_narrow(row, rows, 1, k, 0, to);
    else
        v->left((const float *const *)row, rows, 1, k, 1, 0, to);
}

void slabs_columns(const gemm_vec *v, const void *x, tg_dtype of, int64_t k, int64_t n, int64_t sp, int64_t sj, void *to)
{
    if (of == TG_BFLOAT)
        v->pack_narrow(x, k, n, sp, sj, 2 * v->width, to);
    else
        v->pack(x, k, n, sp, sj, 2 * v->width, to);
}

void slabs_multiply(const gemm_vec *v, const void *left, int64_t slabs, int rows, const void *right, int64_t right_slabs, int64_t first,
                    int64_t n, bool add, float *y, int64_t step)
{
    gemm_bare t = { .a = left, .a_rest = slabs * SLAB * SLAB * (int64_t)sizeof(uint16_t), .slabs = slabs, .rows = rows, .add = add, .step = step };
    for (int64_t j = 0; j < n; j += 2 * v->width) {
        const int64_t vecs = n - j > v->width ? 2 : 1, of_slab = SLAB * vecs * v->width;
        t.b = (const char *)right + j * right_slabs * SLAB * v->bytes + first * of_slab * (int64_t)sizeof(uint16_t);
        t.b_rest = right_slabs * of_slab;
        t.vecs = (int)vecs;
        t.y = y + j;
        v->bare(&t);
    }
}
