/* channel_sums.h - the two sums over images and pixels that a batch norm needs in training, one forward, one backward. */
#ifndef OPS_CHANNEL_SUMS_H
#define OPS_CHANNEL_SUMS_H
#include "ops/op.h"

/* (2, channels) of x (n, channels, ...): the mean, and the mean square distance from it. */
tg *channel_moments(tg *x);
/* (2, channels): the sum of dy, and that of dy (x - mean); mean: (channels). */
tg *channel_dots(tg *dy, tg *x, tg *mean);

#endif
