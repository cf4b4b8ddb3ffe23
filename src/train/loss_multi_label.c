/* loss_multi_label.c - losses that weigh the positive classes of a row (or of a batch) against the negative ones. */
#include "train/loss_class.h"

static tg *positives(const loss_call *l) { return tg_greater(l->t, loss_number(l, .5)); }

/* scale x where keep is 1, a number that no sum of exponentials notices elsewhere */
static tg *masked(tg *x, double scale, tg *keep)
{
    return tg_add(tg_mul(tg_affine(x, scale, 0), keep), tg_affine(keep, 1e4, -1e4));
}

/* -- TwoWayLoss: each class over its rows, each row over its classes ----------------------------------------------- */

enum { TWO_WAY_TP, TWO_WAY_TN };
static const loss_option two_way_options[] = { { "tp", LOSS_NUMBER, 4, 1e-6, 1e6 },
                                               { "tn", LOSS_NUMBER, 1, 1e-6, 1e6 } };

/* The mean, over those with a positive, of softplus(tn lse(x / tn over negatives) + tp lse(-x / tp over positives)). */
static tg *two_way(const loss_call *l)
{
    double tp = l->o[TWO_WAY_TP], tn = l->o[TWO_WAY_TN];
    tg *pos = positives(l), *up = masked(l->x, -1 / tp, pos), *down = masked(l->x, 1 / tn, loss_one_minus(pos));
    tg *loss = NULL;
    for (int axis = 0; axis < 2; axis++) {
        tg *has = tg_amax(pos, AXIS(axis));
        tg *margin = tg_add(tg_affine(tg_logsumexp(up, axis), tp, 0), tg_affine(tg_logsumexp(down, axis), tn, 0));
        tg *count = tg_maximum(loss_sum(has), tg_full(l->x, SHAPE(1), 1));
        tg *mean = tg_div(loss_sum(tg_mul(has, tg_softplus(margin))), count);
        loss = loss ? tg_add(loss, mean) : mean;
    }
    return loss;
}

const loss_class loss_TwoWayLoss = { "TwoWayLoss", .flags = LOSS_DENSE_ONLY, LOSS_OPTIONS(two_way_options),
                                     .build = two_way };

/* -- ZlprLoss: log(1 + sum over negatives e^x) + log(1 + sum over positives e^-x) ---------------------------------- */

static tg *zlpr(const loss_call *l)
{
    tg *pos = positives(l), *up = masked(l->x, -1, pos), *down = masked(l->x, 1, loss_one_minus(pos));
    return loss_reduce(l, tg_add(tg_softplus(tg_logsumexp(down, 1)), tg_softplus(tg_logsumexp(up, 1))), REDUCE_MEAN);
}

const loss_class loss_ZlprLoss = { "ZlprLoss", .flags = LOSS_DENSE_ONLY, .build = zlpr };

/* -- DistributionBalancedLoss: rare classes of rows that have few others weigh more -------------------------------- */

enum { DB_SAMPLES, DB_ALPHA_BETA_MU, DB_NEG_SCALE = 4, DB_INIT_BIAS, DB_GAMMA, DB_BALANCE, DB_SMOOTHING, DB_REDUCTION };
static const loss_option balanced_options[] = {
    { "num_samples", LOSS_NUMBER, 0, 0, 1e15 }, { "map_alpha", LOSS_NUMBER, .1, 0, 0 },
    { "map_beta", LOSS_NUMBER, 10, 0, 0 },      { "map_mu", LOSS_NUMBER, .2, 0, 0 },
    { "neg_scale", LOSS_NUMBER, 2, 1e-6, 1e6 }, { "init_bias", LOSS_NUMBER, .05, 0, 0 },
    { "focal_gamma", LOSS_NUMBER, 2, 0, 100 },  { "focal_balance", LOSS_NUMBER, 2, 0, 0 },
    { "smoothing", LOSS_NUMBER, 0, 0, 1 },      { "reduction", LOSS_REDUCTION, REDUCE_MEAN, 0, 0 },
};

/* alpha + sigmoid(beta ((1/n_j) / sum_j t_j/n_j - mu)) */
static tg *balance(const loss_call *l, tg *counts)
{
    const double *map = l->o + DB_ALPHA_BETA_MU;
    tg *rare = tg_div(loss_number(l, 1), counts);
    tg *ratio = tg_div(rare, tg_maximum(tg_sum(tg_mul(l->t, rare), AXIS(1)), loss_number(l, 1e-30)));
    return tg_affine(tg_sigmoid(tg_affine(ratio, map[1], -map[1] * map[2])), 1, map[0]);
}

/* softplus(z scale) / scale, times sigmoid(z scale)^gamma balance */
static tg *focal(const loss_call *l, tg *z, double scale)
{
    tg *each = tg_affine(tg_softplus(z), 1 / scale, 0);
    if (l->o[DB_GAMMA] > 0)
        each = tg_mul(each, tg_affine(tg_pow(tg_sigmoid(z), loss_number(l, l->o[DB_GAMMA])), l->o[DB_BALANCE], 0));
    return each;
}

/* Logits are moved by the classes' prior odds, log(n / (M - n)), and count `neg_scale` times as negatives. */
static tg *balanced(const loss_call *l)
{
    double samples = l->o[DB_SAMPLES], scale = l->o[DB_NEG_SCALE];
    if (samples < 2)
        return tg_poison(l->x->graph, TIMM_BAD_ARG,
                         "DistributionBalancedLoss: num_samples is %g, and has to be 2 or more", samples);
    tg *counts = tg_clamp(l->counts, 1, samples - 1), *t = loss_smoothed(l->t, l->o[DB_SMOOTHING], .5);
    tg *odds = tg_log(tg_affine(tg_div(loss_number(l, samples), counts), 1, -1));
    tg *z = tg_add(l->x, tg_affine(odds, -l->o[DB_INIT_BIAS] / scale, 0));
    tg *each = tg_add(tg_mul(t, focal(l, tg_affine(z, -1, 0), 1)),
                      tg_mul(loss_one_minus(t), focal(l, tg_affine(z, scale, 0), scale)));
    return loss_reduce(l, tg_mul(balance(l, counts), each), l->o[DB_REDUCTION]);
}

const loss_class loss_DistributionBalancedLoss = {
    "DistributionBalancedLoss",
    .flags = LOSS_COUNTS | LOSS_BATCHMEAN | LOSS_DENSE_ONLY,
    LOSS_OPTIONS(balanced_options),
    .build = balanced,
};
