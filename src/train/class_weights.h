/* class_weights.h - weights of classes for a loss, from their counts.  Counterpart: timm.loss.compute_class_weights. */
#ifndef TRAIN_CLASS_WEIGHTS_H
#define TRAIN_CLASS_WEIGHTS_H
#include <stdint.h>
#include "base/status.h"

/* With M samples, n of a class (none counts as one):
 *     neg_pos        ((M - n) / n)^power              loss_spec.pos_weight
 *     inv_freq       (M / n)^power, over its mean      loss_spec.weight
 *     effective_num  (1 - beta) / (1 - beta^n), over its mean; likewise */
typedef struct class_weights_opts {
    const char *method;
    double power, beta;         /* 0: 1 and 0.999 */
    double most;                /* no weight is larger; 0: no limit */
} class_weights_opts;

/* false: see st.  counts and weights: `classes` numbers; *positive: they are for pos_weight. */
bool class_weights(const class_weights_opts *o, const float *counts, int64_t classes, double samples, float *weights,
                   bool *positive, status *st);

#endif
