/* opt_nadam.c - NAdam (Dozat, 2016): Adam with Nesterov momentum; RAdam (Liu et al., 2020): Adam with a rectified variance. */
#include "train/optim_kind.h"

struct nadam { double betas[2], eps, momentum_decay, schedule_decay; bool decoupled_weight_decay; };

static const optim_option options[] = {
    NUMBERS(nadam, betas, 2, "0.9 0.999"), NUMBER(nadam, eps, "1e-8"), NUMBER(nadam, momentum_decay, "4e-3"),
    FLAG(nadam, decoupled_weight_decay, "false"),
};
static const optim_option options_legacy[] = {
    NUMBERS(nadam, betas, 2, "0.9 0.999"), NUMBER(nadam, eps, "1e-8"), NUMBER(nadam, schedule_decay, "4e-3"),
};
static const optim_option options_r[] = {
    NUMBERS(nadam, betas, 2, "0.9 0.999"), NUMBER(nadam, eps, "1e-8"), FLAG(nadam, decoupled_weight_decay, "false"),
};
static const optim_option options_r_legacy[] = { NUMBERS(nadam, betas, 2, "0.9 0.999"), NUMBER(nadam, eps, "1e-8") };

static double mu_at(const struct nadam *o, double rate, double k) { return o->betas[0] * (1 - .5 * pow(.96, k * rate)); }

/* f(k) = b1 (1 - .5 .96^(k rate)); number[0] = product of f so far. */
static void nadam_of(const optim_step *s, double rate, bool decoupled)
{
    const struct nadam *o = s->opt;
    double c2 = 1 - pow(o->betas[1], (double)s->k), f = mu_at(o, rate, (double)s->k), next = mu_at(o, rate, (double)s->k + 1);
    double product = (s->k == 1 ? 1 : s->number[0]) * f;
    s->number[0] = product;
    const float *g = s->g;
    if (decoupled)
        decay(s, false);
    else
        g = with_l2(s, s->scratch[0]);
    ema(s->slot[0], g, s->n, o->betas[0]);
    ema_square(s->slot[1], g, s->n, o->betas[1]);
    float of_g = (float)(s->lr * (1 - f) / (1 - product)), of_m = (float)(s->lr * next / (1 - product * next));
    float by = (float)(1 / c2), eps = (float)o->eps;
    for (int64_t i = 0; i < s->n; i++) {
        float d = sqrtf(s->slot[1][i] * by) + eps;
        s->p[i] = s->p[i] - of_g * (g[i] / d) - of_m * (s->slot[0][i] / d);
    }
}

static void nadam(const optim_step *s)
{
    const struct nadam *o = s->opt;
    nadam_of(s, o->momentum_decay, o->decoupled_weight_decay);
}
static void nadam_legacy(const optim_step *s) { nadam_of(s, ((const struct nadam *)s->opt)->schedule_decay, false); }

/* N = 2 / (1 - b2) - 1; n = N - 2 k b2^k / c2; rectified from n on: */
static void radam_of(const optim_step *s, bool decoupled, bool from_five)
{
    const struct nadam *o = s->opt;
    double b2k = pow(o->betas[1], (double)s->k), c1 = 1 - pow(o->betas[0], (double)s->k), c2 = 1 - b2k;
    double N = 2 / (1 - o->betas[1]) - 1, n = N - 2 * (double)s->k * b2k / c2;
    const float *g = s->g;
    if (decoupled)
        decay(s, false);
    else
        g = with_l2(s, s->scratch[0]);
    ema(s->slot[0], g, s->n, o->betas[0]);
    ema_square(s->slot[1], g, s->n, o->betas[1]);
    if (n > 5 || (from_five && n >= 5)) {
        float rate = (float)(s->lr / c1 * sqrt(c2) * sqrt((n - 4) * (n - 2) * N / ((N - 4) * (N - 2) * n))), eps = (float)o->eps;
        for (int64_t i = 0; i < s->n; i++)
            s->p[i] -= rate * (s->slot[0][i] / (sqrtf(s->slot[1][i]) + eps));
    } else {
        add_scaled(s->p, s->slot[0], s->n, -s->lr / c1);
    }
}

static void radam(const optim_step *s) { radam_of(s, ((const struct nadam *)s->opt)->decoupled_weight_decay, false); }
static void radam_legacy(const optim_step *s) { radam_of(s, true, true); }

#define COMMON .size = sizeof(struct nadam), .slots = { "exp_avg", "exp_avg_sq" }, .scratch = 1
const optim_kind optim_nadam = { .name = "NAdam", .lr = 2e-3, COMMON, OPTIONS(options), .numbers = 1, .step = nadam };
const optim_kind optim_nadam_legacy = { .name = "NAdamLegacy", .lr = 2e-3, COMMON, OPTIONS(options_legacy), .numbers = 1, .step = nadam_legacy };
const optim_kind optim_radam = { .name = "RAdam", .lr = 1e-3, COMMON, OPTIONS(options_r), .step = radam };
const optim_kind optim_radam_legacy = { .name = "RAdamLegacy", .lr = 1e-3, COMMON, OPTIONS(options_r_legacy), .step = radam_legacy };
