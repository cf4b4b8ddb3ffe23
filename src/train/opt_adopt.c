/* opt_adopt.c - ADOPT (Taniguchi et al., 2024): the second moment of the steps before normalises this one. */
#include "train/optim_kind.h"

struct adopt { double betas[2], eps, clip_exp; bool decoupled, caution, corrected_weight_decay; };

static const optim_option options[] = {
    NUMBERS(adopt, betas, 2, "0.9 0.9999"), NUMBER(adopt, eps, "1e-6"), NUMBER(adopt, clip_exp, "0.333"),
    FLAG(adopt, decoupled, "false"), FLAG(adopt, caution, "false"), FLAG(adopt, corrected_weight_decay, "false"),
};

/* k = 1: v = g^2, nothing else.  u = g / max(sqrt(v), eps), within +-(k - 1)^clip_exp; ema(m, u, b1); p -= lr m; ema(v, g^2, b2). */
static void adopt(const optim_step *s)
{
    const struct adopt *o = s->opt;
    const float *g = o->decoupled ? s->g : with_l2(s, s->scratch[1]);
    float *m = s->slot[0], *v = s->slot[1], *u = s->scratch[0], eps = (float)o->eps;
    if (s->k == 1) {
        for (int64_t i = 0; i < s->n; i++)
            v[i] = g[i] * g[i];
        return;
    }
    if (o->decoupled)
        decay(s, o->corrected_weight_decay);
    float most = o->clip_exp == o->clip_exp ? (float)pow((double)s->k - 1, o->clip_exp) : INFINITY;
    for (int64_t i = 0; i < s->n; i++)
        u[i] = fminf(fmaxf(g[i] / fmaxf(sqrtf(v[i]), eps), -most), most);
    ema(m, u, s->n, o->betas[0]);
    memcpy(u, m, (size_t)s->n * sizeof *u);
    if (o->caution)
        caution(u, g, s->n);
    add_scaled(s->p, u, s->n, -s->lr);
    ema_square(v, g, s->n, o->betas[1]);
}

const optim_kind optim_adopt = { .name = "Adopt", .lr = 1e-3, .size = sizeof(struct adopt), OPTIONS(options),
                                 .slots = { "exp_avg", "exp_avg_sq" }, .scratch = 2, .step = adopt };
