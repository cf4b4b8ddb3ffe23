/* opt_laprop.c - LaProp (Ziyin et al., 2020): momentum of normalised gradients. */
#include "train/optim_kind.h"

struct laprop { double betas[2], eps; bool caution, corrected_weight_decay; };

static const optim_option options[] = {
    NUMBERS(laprop, betas, 2, "0.9 0.999"), NUMBER(laprop, eps, "1e-15"), FLAG(laprop, caution, "false"),
    FLAG(laprop, corrected_weight_decay, "false"),
};

/* A = b1 A + (1 - b1) lr; B = b2 B + 1 - b2; m = b1 m + lr (1 - b1) g / (sqrt(v / B) + eps); p -= lr / A m; D after it. */
static void laprop(const optim_step *s)
{
    const struct laprop *o = s->opt;
    double b1 = o->betas[0], b2 = o->betas[1];
    double A = s->number[0] = b1 * s->number[0] + (1 - b1) * s->lr, B = s->number[1] = b2 * s->number[1] + 1 - b2;
    float *m = s->slot[0], *v = s->slot[1], *u = s->scratch[0];
    float keep = (float)b1, take = (float)(s->lr * (1 - b1)), by = (float)(1 / B), eps = (float)o->eps;
    ema_square(v, s->g, s->n, b2);
    for (int64_t i = 0; i < s->n; i++) {
        m[i] = keep * m[i] + take * (s->g[i] / (sqrtf(v[i] * by) + eps));
        u[i] = m[i];
    }
    if (o->caution)
        caution(u, s->g, s->n);
    add_scaled(s->p, u, s->n, A != 0 ? -s->lr / A : 0);
    decay(s, o->corrected_weight_decay);
}

const optim_kind optim_laprop = { .name = "LaProp", .lr = 4e-4, .size = sizeof(struct laprop), OPTIONS(options),
                                  .slots = { "exp_avg", "exp_avg_sq" }, .numbers = 2, .scratch = 1, .step = laprop };
