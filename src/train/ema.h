/* ema.h - the exponential moving average of weights: timm's ModelEmaV3. */
#ifndef TRAIN_EMA_H
#define TRAIN_EMA_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* The decay after update number `update` (from 1): 0 at first, so that the average starts as a copy; with warm-up
 * 1 - (1 + s)^(-2/3), at most `decay`, s the updates before this one. */
static inline double ema_decay(double decay, bool warmup, int64_t update)
{
    double s = (double)(update - 1);
    return s <= 0 ? 0 : warmup ? fmin(1 - pow(1 + s, -2. / 3), decay) : decay;
}

/* average += (value - average) * (1 - decay). */
static inline void ema_update(float *average, const float *value, int64_t n, double decay)
{
    float w = (float)(1 - decay);
    for (int64_t i = 0; i < n; i++)
        average[i] = w == 1 ? value[i] : average[i] + (value[i] - average[i]) * w;
}

#endif
