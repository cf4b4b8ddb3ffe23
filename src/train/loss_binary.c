/* loss_binary.c - losses that take every class for itself: s is sigmoid(x), n = 1 - s is sigmoid(-x).
 *
 * Binary cross entropy is (1 - t) softplus(x) + pos_weight t softplus(-x), which loses nothing at either end.
 */
#include "train/loss_class.h"

static tg *negative(tg *x) { return tg_affine(x, -1, 0); }

static tg *cross_entropy(tg *x, tg *t, tg *pos_weight)
{
    tg *miss = tg_mul(t, tg_softplus(negative(x)));
    return tg_add(tg_mul(loss_one_minus(t), tg_softplus(x)), pos_weight ? tg_mul(miss, pos_weight) : miss);
}

/* The array, or the option's number, or NULL. */
static tg *pos_weight_of(const loss_call *l, double option)
{
    return l->pos_weight ? l->pos_weight : isnan(option) ? NULL : loss_number(l, option);
}

static tg *weighted(const loss_call *l, tg *each) { return l->weight ? tg_mul(each, l->weight) : each; }

/* -- BCEWithLogitsLoss --------------------------------------------------------------------------------------------- */

static const loss_option logits_options[] = { { "pos_weight", LOSS_OR_NONE, NAN, 0, 1e6 },
                                              { "reduction", LOSS_REDUCTION, REDUCE_MEAN, 0, 0 } };

static tg *with_logits(const loss_call *l)
{
    return loss_reduce(l, weighted(l, cross_entropy(l->x, l->t, pos_weight_of(l, l->o[0]))), l->o[1]);
}

const loss_class loss_BCEWithLogitsLoss = {
    "BCEWithLogitsLoss", .flags = LOSS_WEIGHT | LOSS_POS_WEIGHT, LOSS_OPTIONS(logits_options), .build = with_logits,
};

/* -- BinaryCrossEntropy: labels are smoothed, dense rows only when asked; then a threshold ------------------------- */

enum { BCE_SMOOTHING, BCE_THRESHOLD, BCE_SUM, BCE_POS_WEIGHT, BCE_DENSE, BCE_REDUCTION };
static const loss_option binary_options[] = {
    { "smoothing", LOSS_NUMBER, .1, 0, 1 }, { "target_threshold", LOSS_OR_NONE, NAN, 0, 0 },
    { "sum_classes", LOSS_FLAG, 0, 0, 0 },  { "pos_weight", LOSS_OR_NONE, NAN, 0, 1e6 },
    { "smooth_dense", LOSS_FLAG, 0, 0, 0 }, { "reduction", LOSS_REDUCTION, REDUCE_MEAN, 0, 0 },
};

static tg *binary(const loss_call *l)
{
    tg *t = l->t;
    if (l->labels || l->o[BCE_DENSE])
        t = loss_smoothed(t, l->o[BCE_SMOOTHING], l->labels ? 1 / (double)l->c : .5);
    if (!isnan(l->o[BCE_THRESHOLD]))
        t = tg_greater(t, loss_number(l, l->o[BCE_THRESHOLD]));
    tg *each = weighted(l, cross_entropy(l->x, t, pos_weight_of(l, l->o[BCE_POS_WEIGHT])));
    return loss_reduce(l, each, l->o[BCE_SUM] ? REDUCE_BATCHMEAN : l->o[BCE_REDUCTION]);
}

const loss_class loss_BinaryCrossEntropy = {
    "BinaryCrossEntropy", .flags = LOSS_WEIGHT | LOSS_POS_WEIGHT, LOSS_OPTIONS(binary_options), .build = binary,
};

/* -- AsymmetricLossMultiLabel: negatives count less the easier they are, and not at all below `clip` --------------- */

enum { ASL_NEG, ASL_POS, ASL_CLIP, ASL_EPS, ASL_CONSTANT, ASL_SMOOTHING, ASL_POS_WEIGHT, ASL_REDUCTION };
static const loss_option asl_options[] = {
    { "gamma_neg", LOSS_NUMBER, 4, 0, 100 },
    { "gamma_pos", LOSS_NUMBER, 1, 0, 100 },
    { "clip", LOSS_OR_NONE, .05, 0, 1 },
    { "eps", LOSS_NUMBER, 1e-8, 0, 1 },
    { "disable_torch_grad_focal_loss", LOSS_FLAG, 0, 0, 0 },
    { "smoothing", LOSS_NUMBER, 0, 0, 1 },
    { "pos_weight", LOSS_OR_NONE, NAN, 0, 1e6 },
    { "reduction", LOSS_REDUCTION, REDUCE_BATCHMEAN, 0, 0 },
};

/* n = min(1 - s + clip, 1); factor (1 - s t - n (1 - t))^gamma, whose base is t (1 - s) + (1 - t) max(s - clip, 0). */
static tg *asymmetric(const loss_call *l)
{
    double clip = l->o[ASL_CLIP] > 0 ? l->o[ASL_CLIP] : 0, pos = l->o[ASL_POS], neg = l->o[ASL_NEG];
    tg *t = loss_smoothed(l->t, l->o[ASL_SMOOTHING], .5), *others = loss_one_minus(t);
    tg *eps = loss_number(l, l->o[ASL_EPS]);
    tg *s = tg_sigmoid(l->x), *miss = tg_sigmoid(negative(l->x)), *n = miss, *wrong = s;
    if (clip) {
        n = tg_minimum(tg_affine(miss, 1, clip), loss_number(l, 1));
        wrong = tg_maximum(tg_affine(s, 1, -clip), loss_number(l, 0));
    }
    tg *hit = tg_mul(t, tg_log(tg_maximum(s, eps))), *pos_weight = pos_weight_of(l, l->o[ASL_POS_WEIGHT]);
    tg *each = tg_add(pos_weight ? tg_mul(hit, pos_weight) : hit, tg_mul(others, tg_log(tg_maximum(n, eps))));
    if (pos > 0 || neg > 0) {
        tg *factor = tg_pow(tg_add(tg_mul(t, miss), tg_mul(others, wrong)), tg_affine(t, pos - neg, neg));
        each = tg_mul(each, l->o[ASL_CONSTANT] ? tg_detach(factor) : factor);
    }
    return loss_reduce(l, weighted(l, negative(each)), l->o[ASL_REDUCTION]);
}

const loss_class loss_AsymmetricLossMultiLabel = {
    "AsymmetricLossMultiLabel",
    .flags = LOSS_WEIGHT | LOSS_POS_WEIGHT | LOSS_BATCHMEAN,
    LOSS_OPTIONS(asl_options),
    .build = asymmetric,
};

/* -- PolyBinaryCrossEntropy: with q = t (1 - s) + (1 - t) s, q^gamma (cross entropy + epsilon q) ------------------- */

enum { POLY_EPSILON, POLY_GAMMA, POLY_ALPHA, POLY_SMOOTHING, POLY_REDUCTION };
static const loss_option poly_options[] = {
    { "epsilon", LOSS_NUMBER, 2, 0, 0 }, { "gamma", LOSS_NUMBER, 0, 0, 100 }, { "alpha", LOSS_OR_NONE, NAN, 0, 1 },
    { "smoothing", LOSS_NUMBER, 0, 0, 1 }, { "reduction", LOSS_REDUCTION, REDUCE_MEAN, 0, 0 },
};

static tg *poly(const loss_call *l)
{
    double alpha = l->o[POLY_ALPHA];
    tg *t = loss_smoothed(l->t, l->o[POLY_SMOOTHING], .5);
    tg *q = tg_add(tg_mul(t, tg_sigmoid(negative(l->x))), tg_mul(loss_one_minus(t), tg_sigmoid(l->x)));
    tg *each = tg_add(cross_entropy(l->x, t, NULL), tg_affine(q, l->o[POLY_EPSILON], 0));
    if (l->o[POLY_GAMMA])
        each = tg_mul(each, tg_pow(q, loss_number(l, l->o[POLY_GAMMA])));
    if (!isnan(alpha))
        each = tg_mul(each, tg_affine(t, 2 * alpha - 1, 1 - alpha));
    return loss_reduce(l, each, l->o[POLY_REDUCTION]);
}

const loss_class loss_PolyBinaryCrossEntropy = {
    "PolyBinaryCrossEntropy", .flags = LOSS_BATCHMEAN, LOSS_OPTIONS(poly_options), .build = poly,
};
