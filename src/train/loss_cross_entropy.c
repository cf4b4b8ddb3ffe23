/* loss_cross_entropy.c - losses of softmax: cross entropy and its relatives.
 *
 * L is the logarithm of softmax.  One-hot rows smoothed are t (1 - a) + a/C: -sum t L is then
 * (1 - a) (-L of the label) + a (mean of -L), so that labels and dense rows share one expression.
 */
#include "train/loss_class.h"

static tg *row_sum(tg *x) { return tg_sum(x, AXIS(1)); }

/* -sum over classes of w t L: (N, 1) */
static tg *rows(tg *x, tg *t, tg *weight)
{
    tg *each = tg_mul(t, loss_log_softmax(x));
    return tg_affine(row_sum(weight ? tg_mul(each, weight) : each), -1, 0);
}

/* -- CrossEntropyLoss: weighted labels are averaged over their weights, dense rows over the batch ------------------ */

enum { CE_SMOOTHING, CE_REDUCTION };
static const loss_option ce_options[] = { { "label_smoothing", LOSS_NUMBER, 0, 0, 1 },
                                          { "reduction", LOSS_REDUCTION, REDUCE_MEAN, 0, 0 } };

static tg *cross_entropy(const loss_call *l)
{
    tg *each = rows(l->x, loss_smoothed(l->t, l->o[CE_SMOOTHING], 1 / (double)l->c), l->weight);
    if (l->weight && l->labels && l->o[CE_REDUCTION] == REDUCE_MEAN)
        return tg_div(loss_sum(each), loss_sum(tg_mul(l->t, l->weight)));
    return loss_reduce(l, each, l->o[CE_REDUCTION]);
}

const loss_class loss_CrossEntropyLoss = {
    "CrossEntropyLoss", .flags = LOSS_WEIGHT, LOSS_OPTIONS(ce_options), .build = cross_entropy,
};

/* -- LabelSmoothingCrossEntropy, SoftTargetCrossEntropy: the mean over rows of -sum t L ---------------------------- */

static const loss_option smoothing_options[] = { { "smoothing", LOSS_NUMBER, .1, 0, 1 } };

static tg *smoothed_mean(const loss_call *l, tg *x, tg *t, double smoothing)
{
    tg *each = rows(x, loss_smoothed(t, smoothing, 1 / (double)l->c), NULL);
    return loss_reduce(l, each, REDUCE_MEAN);
}

static tg *label_smoothing(const loss_call *l) { return smoothed_mean(l, l->x, l->t, l->o[0]); }
static tg *soft_target(const loss_call *l) { return smoothed_mean(l, l->x, l->t, 0); }

const loss_class loss_LabelSmoothingCrossEntropy = {
    "LabelSmoothingCrossEntropy", .flags = LOSS_LABELS_ONLY, LOSS_OPTIONS(smoothing_options), .build = label_smoothing,
};
const loss_class loss_SoftTargetCrossEntropy = { "SoftTargetCrossEntropy", .build = soft_target };

/* -- JsdCrossEntropy: the batch is parts of the same images, the first without augmentation ------------------------ */

enum { JSD_SPLITS, JSD_ALPHA, JSD_SMOOTHING };
static const loss_option jsd_options[] = {
    { "num_splits", LOSS_NUMBER, 3, 1, 16 }, { "alpha", LOSS_NUMBER, 12, 0, 0 }, { "smoothing", LOSS_NUMBER, .1, 0, 1 },
};

/* Cross entropy of the first part + alpha * mean over parts of KL(p || q), q the mean of the p, not below 1e-7. */
static tg *jsd(const loss_call *l)
{
    int parts = (int)l->o[JSD_SPLITS];
    int64_t n = l->n / parts;
    if (n * parts != l->n || parts != l->o[JSD_SPLITS])
        return tg_poison(l->x->graph, TIMM_BAD_ARG, "JsdCrossEntropy: a batch of %lld is not %g parts", (long long)l->n,
                         l->o[JSD_SPLITS]);
    tg *loss = smoothed_mean(l, tg_slice(l->x, 0, 0, n), tg_slice(l->t, 0, 0, n), l->o[JSD_SMOOTHING]);
    tg *log_p[16], *sum = NULL, *kl = NULL;
    for (int i = 0; i < parts; i++) {
        log_p[i] = loss_log_softmax(tg_slice(l->x, 0, i * n, (i + 1) * n));
        sum = sum ? tg_add(sum, tg_exp(log_p[i])) : tg_exp(log_p[i]);
    }
    tg *log_q = tg_log(tg_clamp(tg_affine(sum, 1. / parts, 0), 1e-7, 1));
    for (int i = 0; i < parts; i++) {
        tg *part = tg_mul(tg_exp(log_p[i]), tg_sub(log_p[i], log_q));
        kl = kl ? tg_add(kl, part) : part;
    }
    return tg_add(loss, tg_affine(loss_sum(kl), l->o[JSD_ALPHA] / (double)(n * parts), 0));
}

const loss_class loss_JsdCrossEntropy = { "JsdCrossEntropy", .flags = LOSS_LABELS_ONLY, LOSS_OPTIONS(jsd_options),
                                          .build = jsd };

/* -- AsymmetricLossSingleLabel: classes weigh (1 - pt)^gamma, the label's with another gamma ----------------------- */

enum { ASL_POS, ASL_NEG, ASL_EPS, ASL_REDUCTION };
static const loss_option asl_options[] = {
    { "gamma_pos", LOSS_NUMBER, 1, 0, 100 }, { "gamma_neg", LOSS_NUMBER, 4, 0, 100 }, { "eps", LOSS_NUMBER, .1, 0, 1 },
    { "reduction", LOSS_REDUCTION, REDUCE_MEAN, 0, 0 },
};

/* 1 - pt = t (1 - p) + (1 - t) p */
static tg *asymmetric(const loss_call *l)
{
    tg *log_p = loss_log_softmax(l->x), *p = tg_exp(log_p), *others = loss_one_minus(l->t);
    tg *miss = tg_add(tg_mul(l->t, loss_one_minus(p)), tg_mul(others, p));
    tg *gamma = tg_affine(l->t, l->o[ASL_POS] - l->o[ASL_NEG], l->o[ASL_NEG]);
    tg *each = tg_mul(loss_smoothed(l->t, l->o[ASL_EPS], 1 / (double)l->c), tg_mul(log_p, tg_pow(miss, gamma)));
    return loss_reduce(l, tg_affine(row_sum(each), -1, 0), l->o[ASL_REDUCTION]);
}

const loss_class loss_AsymmetricLossSingleLabel = {
    "AsymmetricLossSingleLabel", .flags = LOSS_LABELS_ONLY, LOSS_OPTIONS(asl_options), .build = asymmetric,
};

/* -- PolyCrossEntropy: -sum t L + epsilon (1 - sum t p) ------------------------------------------------------------ */

enum { POLY_EPSILON, POLY_SMOOTHING, POLY_REDUCTION };
static const loss_option poly_options[] = {
    { "epsilon", LOSS_NUMBER, 2, 0, 0 },
    { "smoothing", LOSS_NUMBER, 0, 0, 1 },
    { "reduction", LOSS_REDUCTION, REDUCE_MEAN, 0, 0 },
};

static tg *poly(const loss_call *l)
{
    tg *t = loss_smoothed(l->t, l->labels ? l->o[POLY_SMOOTHING] : 0, 1 / (double)l->c);
    tg *p = tg_exp(loss_log_softmax(l->x));
    tg *each = tg_add(rows(l->x, t, NULL), tg_affine(row_sum(tg_mul(t, p)), -l->o[POLY_EPSILON], l->o[POLY_EPSILON]));
    return loss_reduce(l, each, l->o[POLY_REDUCTION]);
}

const loss_class loss_PolyCrossEntropy = { "PolyCrossEntropy", LOSS_OPTIONS(poly_options), .build = poly };
