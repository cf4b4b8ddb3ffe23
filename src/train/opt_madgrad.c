/* opt_madgrad.c - MADGRAD (Defazio and Jelassi, 2021): dual averaging under a cube root. */
#include "train/optim_kind.h"

struct madgrad { double momentum, eps; bool decoupled_decay; };

static const optim_option options[] = { NUMBER(madgrad, momentum, "0.9"), NUMBER(madgrad, eps, "1e-6"), FLAG(madgrad, decoupled_decay, "false") };

static void init(const optim_step *s) { memcpy(s->slot[2], s->p, (size_t)s->n * sizeof(float)); }

/* e = (lr + eps) sqrt(k); G += e g^2; s += e g; z = z0 - s / (cbrt(G) + eps); p = mu p + (1 - mu) z.
 * mu 0: z0 is found again from p, s and G as they were. */
static void madgrad(const optim_step *s)
{
    const struct madgrad *o = s->opt;
    const float *g = s->g;
    float *G = s->slot[0], *sum = s->slot[1], *z0 = s->slot[2], eps = (float)o->eps, e = (float)((s->lr + o->eps) * sqrt((double)s->k));
    float mu = (float)o->momentum, take = (float)(1 - o->momentum);
    if (o->decoupled_decay)
        decay(s, false);
    else
        g = with_l2(s, s->scratch[0]);
    for (int64_t i = 0; i < s->n; i++) {
        float start = mu == 0 ? s->p[i] + sum[i] / (cbrtf(G[i]) + eps) : z0[i];
        G[i] += e * (g[i] * g[i]);
        sum[i] += e * g[i];
        float z = start - sum[i] / (cbrtf(G[i]) + eps);
        s->p[i] = mu == 0 ? z : mu * s->p[i] + take * z;
    }
}

const optim_kind optim_madgrad = { .name = "MADGRAD", .lr = 1e-2, .size = sizeof(struct madgrad), OPTIONS(options),
                                   .slots = { "grad_sum_sq", "s", "x0" }, .scratch = 1, .init = init, .step = madgrad };
