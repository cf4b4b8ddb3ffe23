/* loss_class.h - what a loss_*.c file sees: a class is a table of options and a function that builds. */
#ifndef TRAIN_LOSS_CLASS_H
#define TRAIN_LOSS_CLASS_H
#include <math.h>
#include "graph/graph.h"
#include "train/loss.h"

typedef enum loss_reduction { REDUCE_MEAN, REDUCE_SUM, REDUCE_NONE, REDUCE_BATCHMEAN } loss_reduction;
typedef enum loss_kind { LOSS_NUMBER, LOSS_OR_NONE, LOSS_FLAG, LOSS_REDUCTION } loss_kind;

/* NAN stands for none.  A number lies in [lo, hi]; both 0: any finite one. */
typedef struct loss_option { const char *key; loss_kind kind; double fallback, lo, hi; } loss_option;

enum { LOSS_MOST_OPTIONS = 10 };
typedef struct loss_call {
    double o[LOSS_MOST_OPTIONS];            /* in the class's order */
    tg *x, *t;                              /* (N, C) */
    tg *weight, *pos_weight, *counts;       /* (1, C), or NULL */
    bool labels;
    int64_t n, c;
} loss_call;

enum { LOSS_WEIGHT = 1, LOSS_POS_WEIGHT = 2, LOSS_COUNTS = 4,      /* arrays it takes; counts it needs */
       LOSS_LABELS_ONLY = 8, LOSS_DENSE_ONLY = 16, LOSS_BATCHMEAN = 32 /* a reduction it has */ };
typedef struct loss_class {
    const char *name;
    unsigned flags;
    const loss_option *option; int options;
    tg *(*build)(const loss_call *l);
} loss_class;
#define LOSS_OPTIONS(o) .option = (o), .options = sizeof(o) / sizeof *(o)
#define LOSS(name) extern const loss_class loss_##name;
#include "train/losses.list"
#undef LOSS

tg *loss_number(const loss_call *l, double v);      /* (1, 1) */
tg *loss_one_minus(tg *x);
tg *loss_log_softmax(tg *x);                        /* along the last axis */
tg *loss_sum(tg *x);                                /* of all, (1) */
/* Of what is left, (N, 1) or (N, C); none: (N) or (N, C). */
tg *loss_reduce(const loss_call *l, tg *each, double reduction);
tg *loss_smoothed(tg *t, double smoothing, double to);             /* t (1 - smoothing) + smoothing to */

#endif
