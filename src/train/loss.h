/* loss.h - timm's losses, and PyTorch's that stand beside them, as graph values by name and options.
 *
 * A family of one formula a file (loss_*.c), one line a loss in losses.list; loss.c has the registry and the options.
 * Values and gradients follow from the graph: no loss has a backward of its own.
 */
#ifndef TRAIN_LOSS_H
#define TRAIN_LOSS_H
#include <stdbool.h>
#include "timm/model.h"

/* An option as text, as a command line gives it: "smoothing" "0.1", "sum_classes" "true", "clip" "none",
 * "reduction" "batchmean".  Keys and defaults are those of the class in timm. */
typedef struct loss_arg { const char *key, *value; } loss_arg;

typedef struct loss_spec {
    const char *name;                   /* timm's or PyTorch's class: "LabelSmoothingCrossEntropy", "MSELoss" */
    const loss_arg *arg;
    int args;
    const float *weight, *pos_weight;   /* a number a class, or NULL; copied into the graph */
    const float *counts;                /* DistributionBalancedLoss: samples of each class, of "num_samples" */
} loss_spec;

/* logits and target: (N, C).  labels: the target's rows are one-hot, made of whole numbers; some losses smooth those
 * and leave dense rows as they are, some take only the one kind.  Returns (1), or what reduction none leaves: (N) or
 * (N, C).  What makes no sense (no such loss, option or value) poisons the value, with a sentence. */
tg *loss_build(const loss_spec *spec, tg *logits, tg *target, bool labels);
const char *const *loss_names(void);    /* NULL-ended */

#endif
