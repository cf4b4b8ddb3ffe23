/* opt_adabelief.c - AdaBelief (Zhuang et al., 2020): the variance is that of the gradient about its average. */
#include "train/optim_kind.h"

struct adabelief { double betas[2], eps; bool amsgrad, decoupled_decay, fixed_decay, rectify, degenerated_to_sgd; };

static const optim_option options[] = {
    NUMBERS(adabelief, betas, 2, "0.9 0.999"), NUMBER(adabelief, eps, "1e-16"), FLAG(adabelief, amsgrad, "false"),
    FLAG(adabelief, decoupled_decay, "true"), FLAG(adabelief, fixed_decay, "false"), FLAG(adabelief, rectify, "true"),
    FLAG(adabelief, degenerated_to_sgd, "true"),
};

static int64_t slot_size(const void *opt, const optim_param *p, int slot)
{
    return slot < 2 || ((const struct adabelief *)opt)->amsgrad ? tg_numel(p->shape) : 0;
}

/* ema(m, g, b1); ema(s, (g - m)^2, b2); s += eps, and it stays in s. */
static void adabelief(const optim_step *s)
{
    const struct adabelief *o = s->opt;
    const float *g = s->g;
    float *m = s->slot[0], *v = s->slot[1], *w = s->slot[2];
    if (!o->decoupled_decay)
        g = with_l2(s, s->scratch[0]);
    else if (s->wd != 0)
        scale_by(s->p, s->n, 1 - (o->fixed_decay ? 1 : s->lr) * s->wd);
    double b2k = pow(o->betas[1], (double)s->k), c1 = 1 - pow(o->betas[0], (double)s->k), c2 = 1 - b2k;
    float keep = (float)o->betas[1], take = (float)(1 - o->betas[1]), eps = (float)o->eps;
    ema(m, g, s->n, o->betas[0]);
    for (int64_t i = 0; i < s->n; i++) {
        float d = g[i] - m[i];
        v[i] = keep * v[i] + take * (d * d) + eps;
        if (o->amsgrad)
            w[i] = fmaxf(w[i], v[i]);
    }
    if (!o->rectify) {
        float rate = (float)(s->lr / c1), root = (float)sqrt(c2);
        for (int64_t i = 0; i < s->n; i++)
            s->p[i] -= rate * (m[i] / (sqrtf(o->amsgrad ? w[i] : v[i]) / root + eps));
        return;
    }
    double N = 2 / (1 - o->betas[1]) - 1, n = N - 2 * (double)s->k * b2k / c2;
    if (n >= 5) {
        float rate = (float)(s->lr * sqrt(c2 * (n - 4) / (N - 4) * (n - 2) / n * N / (N - 2)) / c1);
        for (int64_t i = 0; i < s->n; i++)
            s->p[i] -= rate * (m[i] / (sqrtf(v[i]) + eps));
    } else if (o->degenerated_to_sgd) {
        add_scaled(s->p, m, s->n, -s->lr / c1);
    }
}

const optim_kind optim_adabelief = { .name = "AdaBelief", .lr = 1e-3, .size = sizeof(struct adabelief), OPTIONS(options),
                                     .slots = { "exp_avg", "exp_avg_var", "max_exp_avg_var" }, .slot_size = slot_size, .scratch = 1,
                                     .step = adabelief };
