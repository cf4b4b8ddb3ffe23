/* slopes.h - derivatives of activations as ops of their own: what their gradients multiply dy by. */
#ifndef OPS_SLOPES_H
#define OPS_SLOPES_H
#include "ops/elementwise.h"

tg *silu_slope(tg *x);
tg *gelu_slope(tg *x);
tg *hard_swish_slope(tg *x);

#endif
