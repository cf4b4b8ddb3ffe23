/* attention.h - what attention and its gradient share. */
#ifndef OPS_ATTENTION_H
#define OPS_ATTENTION_H
#include "ops/elementwise.h"

/* The gradients of q, k, v and, where wanted, of the bias in nodes of their own: d[3] stays NULL else.  The probabilities
 * are computed again: p = softmax(scale q k' + bias). */
void attention_gradients(tg *q, tg *k, tg *v, tg *bias, tg *dy, double scale, bool of_bias, tg **d);
/* The same as one node, for q, k and v of one shape. */
void tg_attention_grad(tg *q, tg *k, tg *v, tg *bias, tg *dy, double scale, bool of_bias, tg **d);

/* Images that a bias has one of each for: 1 if it is the same for all. */
static inline int64_t attention_biases(tg_shape bias) { return bias.rank == 4 ? bias.dim[0] : 1; }

static inline double attention_scale(double scale, int64_t d) { return scale != 0 ? scale : 1 / sqrt((double)d); }

#endif
