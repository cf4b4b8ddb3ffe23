/* opt_adan.c - Adan (Xie et al., 2022): Nesterov momentum from differences of gradients. */
#include "train/optim_kind.h"

struct adan { double betas[3], eps; bool no_prox, caution; };

static const optim_option options[] = {
    NUMBERS(adan, betas, 3, "0.98 0.92 0.99"), NUMBER(adan, eps, "1e-8"), FLAG(adan, no_prox, "false"), FLAG(adan, caution, "false"),
};

/* d = g - last g; ema(m, g, b1); ema(D, d, b2); ema(v, (g + b2 d)^2, b3); e = sqrt(v) / sqrt(c3) + eps;
 * p -= lr / c1 m / e + lr b2 / c2 D / e. */
static void adan(const optim_step *s)
{
    const struct adan *o = s->opt;
    double c1 = 1 - pow(o->betas[0], (double)s->k), c2 = 1 - pow(o->betas[1], (double)s->k), c3 = 1 - pow(o->betas[2], (double)s->k);
    float *m = s->slot[0], *D = s->slot[1], *v = s->slot[2], *last = s->slot[3], *u = s->scratch[0];
    float b2 = (float)o->betas[1], a2 = (float)(1 - o->betas[1]), b3 = (float)o->betas[2], a3 = (float)(1 - o->betas[2]);
    if (s->k == 1)
        memcpy(last, s->g, (size_t)s->n * sizeof *last);
    ema(m, s->g, s->n, o->betas[0]);
    for (int64_t i = 0; i < s->n; i++) {
        float d = s->g[i] - last[i], x = s->g[i] + b2 * d;
        D[i] = b2 * D[i] + a2 * d;
        v[i] = b3 * v[i] + a3 * (x * x);
        u[i] = m[i];
        last[i] = s->g[i];
    }
    if (o->caution)
        caution(u, s->g, s->n);
    if (o->no_prox)
        decay(s, false);
    float of_m = (float)(s->lr / c1), of_d = (float)(s->lr * o->betas[1] / c2), root = (float)sqrt(c3), eps = (float)o->eps;
    for (int64_t i = 0; i < s->n; i++) {
        float e = sqrtf(v[i]) / root + eps;
        s->p[i] = s->p[i] - of_m * (u[i] / e) - of_d * (D[i] / e);
    }
    if (!o->no_prox && s->wd != 0)
        scale_by(s->p, s->n, 1 / (1 + s->lr * s->wd));
}

const optim_kind optim_adan = { .name = "Adan", .lr = 1e-3, .size = sizeof(struct adan), OPTIONS(options),
                                .slots = { "exp_avg", "exp_avg_diff", "exp_avg_sq", "last_grad" }, .scratch = 1, .step = adan };
