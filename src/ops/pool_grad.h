/* pool_grad.h - what goes back through the pools. */
#ifndef OPS_POOL_GRAD_H
#define OPS_POOL_GRAD_H
#include "ops/windows.h"

typedef struct avg_pool_grad_attr { pool_attr pool; tg_shape shape; } avg_pool_grad_attr;
tg *avg_pool_grad(tg *dy, const pool_attr *pool, tg_shape shape);         /* shape: the pool's operand's */
tg *max_pool_grad(tg *dy, tg *x, const pool_attr *pool);
tg *max_pool_pick(tg *g, tg *x, const pool_attr *pool);
/* Row and column of the largest of the window that result i comes from, the first of equals; false: all of it is padding. */
bool max_pool_place(const pool_attr *o, const tg_tensor *x, const int64_t *i, int64_t at[2]);
/* The divisor of one window of avg_pool, and the rows and columns of it that lie in the image. */
double avg_pool_area(const pool_attr *o, int64_t h, int64_t w, int64_t i, int64_t j, int64_t rows[2], int64_t cols[2]);

#endif
