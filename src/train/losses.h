/* losses.h - losses as graph values: scalars of shape (1). */
#ifndef TRAIN_LOSSES_H
#define TRAIN_LOSSES_H
#include "timm/model.h"

/* -mean over n of sum over c of target[n, c] log softmax(logits)[n, c]: torch's cross_entropy with probabilities. */
tg *loss_cross_entropy(tg *logits, tg *target);

#endif
