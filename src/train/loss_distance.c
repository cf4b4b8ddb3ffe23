/* loss_distance.c - losses of |x - t|. */
#include "train/loss_class.h"

enum { REDUCTION, BETA };
static const loss_option options[] = { { "reduction", LOSS_REDUCTION, REDUCE_MEAN, 0, 0 },
                                       { "beta", LOSS_NUMBER, 1, 0, 1e9 } };

static tg *squared(const loss_call *l)
{
    tg *d = tg_sub(l->x, l->t);
    return loss_reduce(l, tg_mul(d, d), l->o[REDUCTION]);
}

static tg *absolute(const loss_call *l) { return loss_reduce(l, tg_abs(tg_sub(l->x, l->t)), l->o[REDUCTION]); }

/* d^2 / (2 beta) below beta, d - beta / 2 from there on: m (d - m / 2) / beta with m = min(d, beta) */
static tg *smooth(const loss_call *l)
{
    double beta = l->o[BETA];
    if (!beta)
        return absolute(l);
    tg *d = tg_abs(tg_sub(l->x, l->t)), *m = tg_minimum(d, loss_number(l, beta));
    return loss_reduce(l, tg_affine(tg_mul(m, tg_sub(d, tg_affine(m, .5, 0))), 1 / beta, 0), l->o[REDUCTION]);
}

const loss_class loss_MSELoss = { "MSELoss", .option = options, .options = 1, .build = squared };
const loss_class loss_L1Loss = { "L1Loss", .option = options, .options = 1, .build = absolute };
const loss_class loss_SmoothL1Loss = { "SmoothL1Loss", LOSS_OPTIONS(options), .build = smooth };
