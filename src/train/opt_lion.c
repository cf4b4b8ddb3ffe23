/* opt_lion.c - Lion (Chen et al., 2023): the sign of a momentum. */
#include "train/optim_kind.h"

struct lion { double betas[2]; bool caution, corrected_weight_decay; };

static const optim_option options[] = {
    NUMBERS(lion, betas, 2, "0.9 0.99"), FLAG(lion, caution, "false"), FLAG(lion, corrected_weight_decay, "false"),
};

/* D; u = sign(b1 m + (1 - b1) g); p -= lr u; ema(m, g, b2). */
static void lion(const optim_step *s)
{
    const struct lion *o = s->opt;
    float *m = s->slot[0], *u = s->scratch[0], b1 = (float)o->betas[0], a1 = (float)(1 - o->betas[0]);
    decay(s, o->corrected_weight_decay);
    for (int64_t i = 0; i < s->n; i++) {
        float x = b1 * m[i] + a1 * s->g[i];
        u[i] = (float)((x > 0) - (x < 0));
    }
    if (o->caution)
        caution(u, s->g, s->n);
    add_scaled(s->p, u, s->n, -s->lr);
    ema(m, s->g, s->n, o->betas[1]);
}

const optim_kind optim_lion = { .name = "Lion", .lr = 1e-4, .size = sizeof(struct lion), OPTIONS(options), .slots = { "exp_avg" },
                                .scratch = 1, .step = lion };
