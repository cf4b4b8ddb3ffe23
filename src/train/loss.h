/* loss.h - timm's losses as graph values, by name and options.  One loss (or family of one formula) a file.
 * Values and gradients follow from the graph: no loss has a backward of its own.
 */
#ifndef TRAIN_LOSS_H
#define TRAIN_LOSS_H
#include "graph/graph.h"
#include "timm/model.h"

typedef enum loss_reduction { LOSS_MEAN, LOSS_SUM, LOSS_NONE, LOSS_BATCHMEAN } loss_reduction;

/* Zero is each loss's own default in timm; has_* tell that a number was given. */
typedef struct loss_arg { const char *key, *value; } loss_arg;       /* "smoothing" "0.1", "gamma_neg" "4", "clip" "none" */

typedef struct loss_spec {
    const char *name;                   /* timm's or torch's class: "LabelSmoothingCrossEntropy" */
    const loss_arg *arg;
    int args;
    const float *weight, *pos_weight;   /* C numbers each, or NULL */
    const float *counts;                /* C class counts: DistributionBalancedLoss */
} loss_spec;

/* logits (N, C); target (N, C): one-hot rows for labels.  Sets *sparse semantics from labels: where timm's loss treats integer
 * labels and dense rows differently, `labels` says which it was.  Returns (1), or what reduction none leaves. */
tg *loss_build(const loss_spec *spec, tg *logits, tg *target, bool labels);
const char *const *loss_names(void);    /* NULL-ended */

#endif
