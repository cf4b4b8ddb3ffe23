/* losses.c - losses as graph values. */
#include "train/losses.h"

tg *loss_cross_entropy(tg *logits, tg *target)
{
    tg *shifted = tg_sub(logits, tg_amax(logits, AXIS(1)));
    tg *log_p = tg_sub(shifted, tg_log(tg_sum(tg_exp(shifted), AXIS(1))));
    tg *sum = tg_sum(tg_mul(target, log_p), AXIS(0) | AXIS(1));
    return tg_reshape(tg_affine(sum, -1. / (double)tg_dim(logits, 0), 0), SHAPE(1));
}
