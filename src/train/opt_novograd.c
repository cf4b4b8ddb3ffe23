/* opt_novograd.c - NovoGrad (Ginsburg et al., 2019): one second moment a tensor. */
#include "train/optim_kind.h"

struct novograd { double betas[2], eps; bool grad_averaging, amsgrad, decoupled_decay, corrected_weight_decay; };

static const optim_option options[] = {
    NUMBERS(novograd, betas, 2, "0.95 0.98"), NUMBER(novograd, eps, "1e-8"), FLAG(novograd, grad_averaging, "false"),
    FLAG(novograd, amsgrad, "false"), FLAG(novograd, decoupled_decay, "false"), FLAG(novograd, corrected_weight_decay, "false"),
};

/* number: v, the largest v.  v = |g|^2 while it is 0, later ema(v, |g|^2, b2); u = g / (sqrt(v) + eps); m = b1 m + u; p -= lr m. */
static void novograd(const optim_step *s)
{
    const struct novograd *o = s->opt;
    float *m = s->slot[0], b1 = (float)o->betas[0], wd = (float)s->wd;
    double square = norm2(s->g, s->n);
    square *= square;
    s->number[0] = s->number[0] == 0 ? square : o->betas[1] * s->number[0] + (1 - o->betas[1]) * square;
    s->number[1] = fmax(s->number[1], s->number[0]);
    float d = (float)(sqrt(o->amsgrad ? s->number[1] : s->number[0]) + o->eps), by = o->grad_averaging ? (float)(1 - o->betas[0]) : 1;
    if (o->decoupled_decay)
        decay(s, o->corrected_weight_decay);
    float l2 = o->decoupled_decay ? 0 : wd;
    for (int64_t i = 0; i < s->n; i++)
        m[i] = b1 * m[i] + by * (s->g[i] / d + l2 * s->p[i]);
    add_scaled(s->p, m, s->n, -s->lr);
}

const optim_kind optim_novograd = { .name = "NvNovoGrad", .lr = 1e-3, .size = sizeof(struct novograd), OPTIONS(options),
                                    .slots = { "exp_avg" }, .numbers = 2, .step = novograd };
