/* opt_adam.c - Adam (Kingma and Ba, 2015), AdamW, and timm's AdamWLegacy and NAdamW. */
#include "train/optim_kind.h"

struct adam { double betas[2], eps, clipping_threshold; bool amsgrad, decoupled_weight_decay, caution, corrected_weight_decay, nesterov; };

static const optim_option options[] = {
    NUMBERS(adam, betas, 2, "0.9 0.999"), NUMBER(adam, eps, "1e-8"), FLAG(adam, amsgrad, "false"),
};
static const optim_option options_w[] = {
    NUMBERS(adam, betas, 2, "0.9 0.999"), NUMBER(adam, eps, "1e-8"), FLAG(adam, amsgrad, "false"),
    FLAG(adam, decoupled_weight_decay, "true"),
};
static const optim_option options_legacy[] = {
    NUMBERS(adam, betas, 2, "0.9 0.999"), NUMBER(adam, eps, "1e-8"), FLAG(adam, amsgrad, "false"), FLAG(adam, caution, "false"),
    FLAG(adam, corrected_weight_decay, "false"), NUMBER(adam, clipping_threshold, "none"),
};
static const optim_option options_n[] = {
    NUMBERS(adam, betas, 2, "0.9 0.999"), NUMBER(adam, eps, "1e-8"), FLAG(adam, caution, "false"),
    FLAG(adam, corrected_weight_decay, "false"), NUMBER(adam, clipping_threshold, "none"),
};

/* ema(m, g, b1); ema(v, g^2, b2); p -= lr / c1 m / (sqrt(v) / sqrt(c2) + eps); amsgrad: the largest v so far.  One pass. */
static void adam(const optim_step *s)
{
    const struct adam *o = s->opt;
    double c1 = 1 - pow(o->betas[0], (double)s->k), c2 = 1 - pow(o->betas[1], (double)s->k);
    float b1 = (float)o->betas[0], a1 = (float)(1 - o->betas[0]), b2 = (float)o->betas[1], a2 = (float)(1 - o->betas[1]);
    float rate = (float)(s->lr / c1), root = (float)sqrt(c2), eps = (float)o->eps;
    float l2 = o->decoupled_weight_decay ? 0 : (float)s->wd, shrink = o->decoupled_weight_decay ? (float)(1 - s->lr * s->wd) : 1;
    float *p = s->p, *m = s->slot[0], *v = s->slot[1], *w = s->slot[2];
    const float *grad = s->g;
    if (o->amsgrad) {
        for (int64_t i = 0; i < s->n; i++) {
            float g = grad[i] + l2 * p[i];
            m[i] = b1 * m[i] + a1 * g;
            v[i] = b2 * v[i] + a2 * (g * g);
            w[i] = fmaxf(w[i], v[i]);
            p[i] = p[i] * shrink - rate * (m[i] / (sqrtf(w[i]) / root + eps));
        }
        return;
    }
    for (int64_t i = 0; i < s->n; i++) {
        float g = grad[i] + l2 * p[i];
        m[i] = b1 * m[i] + a1 * g;
        v[i] = b2 * v[i] + a2 * (g * g);
        p[i] = p[i] * shrink - rate * (m[i] / (sqrtf(v[i]) / root + eps));
    }
}

static int64_t amsgrad_slot(const void *opt, const optim_param *p, int slot)
{
    return slot < 2 || ((const struct adam *)opt)->amsgrad ? tg_numel(p->shape) : 0;
}

/* As AdamW; u = m, or b1 m + (1 - b1) g (nesterov); clipping: the divisor d is made larger by max(1, rms(g / d) / T). */
static void timm_adamw(const optim_step *s, bool nesterov)
{
    const struct adam *o = s->opt;
    double c1 = 1 - pow(o->betas[0], (double)s->k), c2 = 1 - pow(o->betas[1], (double)s->k);
    float root = (float)sqrt(c2), eps = (float)o->eps, b1 = (float)o->betas[0], a1 = (float)(1 - o->betas[0]);
    float *u = s->scratch[0], *m = s->slot[0], *v = s->slot[1];
    decay(s, o->corrected_weight_decay);
    ema(m, s->g, s->n, o->betas[0]);
    ema_square(v, s->g, s->n, o->betas[1]);
    const float *second = v;
    if (o->amsgrad) {
        for (int64_t i = 0; i < s->n; i++)
            s->slot[2][i] = fmaxf(s->slot[2][i], v[i]);
        second = s->slot[2];
    }
    double larger = 1;
    if (o->clipping_threshold == o->clipping_threshold) {
        for (int64_t i = 0; i < s->n; i++)
            u[i] = s->g[i] / (sqrtf(second[i]) / root + eps);
        larger = fmax(1, rms(u, s->n) / o->clipping_threshold);
    }
    for (int64_t i = 0; i < s->n; i++)
        u[i] = nesterov ? b1 * m[i] + a1 * s->g[i] : m[i];
    if (o->caution)
        caution(u, s->g, s->n);
    float rate = (float)(s->lr / c1), by = (float)larger;
    for (int64_t i = 0; i < s->n; i++)
        s->p[i] -= rate * (u[i] / ((sqrtf(second[i]) / root + eps) * by));
}

static void adamw_legacy(const optim_step *s) { timm_adamw(s, false); }
static void nadamw(const optim_step *s) { timm_adamw(s, true); }

#define SLOTS .slots = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" }, .slot_size = amsgrad_slot
const optim_kind optim_adam = { .name = "Adam", .lr = 1e-3, .size = sizeof(struct adam), OPTIONS(options), SLOTS, .step = adam };
const optim_kind optim_adamw = { .name = "AdamW", .lr = 1e-3, .size = sizeof(struct adam), OPTIONS(options_w), SLOTS, .step = adam };
const optim_kind optim_adamw_legacy = { .name = "AdamWLegacy", .lr = 1e-3, .size = sizeof(struct adam), OPTIONS(options_legacy), SLOTS,
                                        .scratch = 1, .step = adamw_legacy };
const optim_kind optim_nadamw = { .name = "NAdamW", .lr = 1e-3, .size = sizeof(struct adam), OPTIONS(options_n),
                                  .slots = { "exp_avg", "exp_avg_sq" }, .scratch = 1, .step = nadamw };
