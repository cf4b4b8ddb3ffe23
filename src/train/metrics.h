/* metrics.h - how well logits fit targets.  Counterparts: timm.utils.accuracy, timm.task's evaluators. */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/* How many labels are among the k largest logits of their row; of equal logits the first is the larger.  A label
 * outside [0, classes) and a label whose logit is NaN are not. */
int64_t metrics_hits(const float *logits, const int64_t *label, int64_t n, int64_t classes, int64_t k);

/* count[label * classes + prediction] += 1 for each row with a label; the prediction is the largest logit. */
void metrics_confusion(const float *logits, const int64_t *label, int64_t n, int64_t classes, int64_t *count);

/* Fractions of 1.  AP is that of scikit-learn's average_precision_score: no interpolation, equal logits one threshold,
 * classes without positives 0; mean over classes.  F1: 2 tp / (predicted + positive), 0 where both are none. */
typedef struct multi_label_metrics {
    double mean_ap;
    double micro_f1;            /* of all (row, class) together */
    double macro_f1;            /* mean over classes */
    double sample_f1;           /* mean over rows */
} multi_label_metrics;

/* Targets of .5 and more are positive; predicted: sigmoid(logit) >= threshold.  ap: an AP a class, or NULL.  false:
 * see st. */
bool metrics_multi_label(const float *logits, const float *target, int64_t n, int64_t classes, double threshold,
                         double *ap, multi_label_metrics *out, status *st);

/* Over rows of `outputs` numbers; r2: 1 - squares of errors / squares about the mean, the mean over the columns; a column of one
 * value counts 1 where it is met, else 0 (scikit-learn's r2_score). */
typedef struct regression_metrics { double mse, mae, r2; } regression_metrics;
regression_metrics metrics_regression(const float *value, const float *target, int64_t n, int64_t outputs);
/* Mean binary cross entropy of logits. */
double metrics_binary_loss(const float *logits, const float *target, int64_t count);

#endif
