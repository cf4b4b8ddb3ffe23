/* opt_lamb.c - LAMB (You et al., 2020): Adam whose step has the length of the weights; LARS (You et al., 2017): SGD likewise. */
#include "train/optim_kind.h"

struct lamb {
    double betas[2], eps, max_grad_norm;
    bool bias_correction, grad_averaging, trust_clip, always_adapt, caution, decoupled_decay, corrected_weight_decay;
};

static const optim_option lamb_options[] = {
    FLAG(lamb, bias_correction, "true"), NUMBERS(lamb, betas, 2, "0.9 0.999"), NUMBER(lamb, eps, "1e-6"),
    FLAG(lamb, grad_averaging, "true"), NUMBER(lamb, max_grad_norm, "1"), FLAG(lamb, trust_clip, "false"),
    FLAG(lamb, always_adapt, "false"), FLAG(lamb, caution, "false"), FLAG(lamb, decoupled_decay, "false"),
    FLAG(lamb, corrected_weight_decay, "false"),
};

/* What all gradients are divided by. */
static double lamb_before(const void *opt, void *common, const optim_param *p, int n, int64_t k, double *numbers)
{
    const struct lamb *o = opt;
    double sum = 0;
    (void)common, (void)k, (void)numbers;
    if (o->max_grad_norm != o->max_grad_norm)
        return 1;
    for (int i = 0; i < n; i++) {
        double one = norm2(p[i].grad, tg_numel(p[i].shape));
        sum += one * one;
    }
    return fmax(1, sqrt(sum) / o->max_grad_norm);
}

/* m = b1 m + (1 - b1) g (grad_averaging false: + g); u = m / c1 / (sqrt(v) / sqrt(c2) + eps); p -= lr |p| / |u| u. */
static void lamb(const optim_step *s)
{
    const struct lamb *o = s->opt;
    double c1 = o->bias_correction ? 1 - pow(o->betas[0], (double)s->k) : 1;
    double c2 = o->bias_correction ? 1 - pow(o->betas[1], (double)s->k) : 1;
    float *u = s->scratch[0], *g = s->scratch[1], *m = s->slot[0], *v = s->slot[1];
    float b1 = (float)o->betas[0], a1 = (float)(o->grad_averaging ? 1 - o->betas[0] : 1), by = (float)s->shared;
    float first = (float)c1, root = (float)sqrt(c2), eps = (float)o->eps, wd = (float)s->wd;
    for (int64_t i = 0; i < s->n; i++) {
        g[i] = s->g[i] / by;
        m[i] = b1 * m[i] + a1 * g[i];
    }
    ema_square(v, g, s->n, o->betas[1]);
    for (int64_t i = 0; i < s->n; i++)
        u[i] = m[i] / first / (sqrtf(v[i]) / root + eps);
    if (o->caution)
        caution(u, g, s->n);
    if (s->wd != 0 && o->decoupled_decay)
        decay(s, o->corrected_weight_decay);
    for (int64_t i = 0; i < s->n && s->wd != 0 && !o->decoupled_decay; i++)
        u[i] += wd * s->p[i];
    double r = 1;
    if (s->wd != 0 || o->always_adapt) {
        double of_p = norm2(s->p, s->n), of_u = norm2(u, s->n);
        r = of_p > 0 && of_u > 0 ? of_p / of_u : 1;
        r = o->trust_clip ? fmin(r, 1) : r;
    }
    add_scaled(s->p, u, s->n, -s->lr * r);
}

struct lars { double momentum, dampening, trust_coeff, eps; bool nesterov, trust_clip, always_adapt; };

static const optim_option lars_options[] = {
    NUMBER(lars, momentum, "0.9"), NUMBER(lars, dampening, "0"), FLAG(lars, nesterov, "false"), NUMBER(lars, trust_coeff, "0.001"),
    NUMBER(lars, eps, "1e-8"), FLAG(lars, trust_clip, "false"), FLAG(lars, always_adapt, "false"),
};

/* r = coeff |p| / (|g| + wd |p| + eps), clipped: min(r / lr, 1); g = (g + wd p) r; then as SGD. */
static void lars(const optim_step *s)
{
    const struct lars *o = s->opt;
    float *g = s->scratch[0], *buf = s->slot[0], mu = (float)o->momentum, wd = (float)s->wd, by = 1;
    if (s->wd != 0 || o->always_adapt) {
        double of_p = norm2(s->p, s->n), of_g = norm2(s->g, s->n);
        double r = of_p > 0 && of_g > 0 ? o->trust_coeff * of_p / (of_g + s->wd * of_p + o->eps) : 1;
        by = (float)(o->trust_clip ? fmin(r / s->lr, 1) : r);
    }
    float keep = s->k == 1 ? 0 : mu, take = (float)(s->k == 1 ? 1 : 1 - o->dampening), lr = (float)s->lr;
    for (int64_t i = 0; i < s->n; i++) {
        g[i] = (s->g[i] + wd * s->p[i]) * by;
        if (mu != 0) {
            buf[i] = keep * buf[i] + take * g[i];
            g[i] = o->nesterov ? g[i] + mu * buf[i] : buf[i];
        }
        s->p[i] -= lr * g[i];
    }
}

const optim_kind optim_lamb = { .name = "Lamb", .lr = 1e-3, .size = sizeof(struct lamb), OPTIONS(lamb_options),
                                .slots = { "exp_avg", "exp_avg_sq" }, .scratch = 2, .before = lamb_before, .step = lamb };
const optim_kind optim_lars = { .name = "Lars", .lr = 1, .size = sizeof(struct lars), OPTIONS(lars_options), .slots = { "momentum_buffer" },
                                .scratch = 1, .step = lars };
