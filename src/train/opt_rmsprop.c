/* opt_rmsprop.c - RMSprop as PyTorch's, and as TensorFlow's: v starts at 1, eps under the root, lr inside the momentum. */
#include "train/optim_kind.h"

struct rmsprop { double momentum, alpha, eps; bool centered, decoupled_decay, corrected_weight_decay, lr_in_momentum, caution; };

static const optim_option options[] = {
    NUMBER(rmsprop, momentum, "0.9"), NUMBER(rmsprop, alpha, "0.99"), NUMBER(rmsprop, eps, "1e-8"), FLAG(rmsprop, centered, "false"),
};
static const optim_option options_tf[] = {
    NUMBER(rmsprop, momentum, "0.9"), NUMBER(rmsprop, alpha, "0.9"), NUMBER(rmsprop, eps, "1e-10"), FLAG(rmsprop, centered, "false"),
    FLAG(rmsprop, decoupled_decay, "false"), FLAG(rmsprop, corrected_weight_decay, "false"), FLAG(rmsprop, lr_in_momentum, "true"),
    FLAG(rmsprop, caution, "false"),
};

static int64_t slot_size(const void *opt, const optim_param *p, int slot)
{
    const struct rmsprop *o = opt;
    return slot == 0 || (slot == 1 && o->momentum > 0) || (slot == 2 && o->centered) ? tg_numel(p->shape) : 0;
}

/* u = g / d; d = sqrt(v) + eps, centred sqrt(v - h^2) + eps. */
static void rmsprop(const optim_step *s)
{
    const struct rmsprop *o = s->opt;
    const float *g = with_l2(s, s->scratch[0]);
    float mu = (float)o->momentum, eps = (float)o->eps, lr = (float)s->lr, *v = s->slot[0], *buf = s->slot[1], *h = s->slot[2];
    ema_square(v, g, s->n, o->alpha);
    if (o->centered)
        ema(h, g, s->n, o->alpha);
    for (int64_t i = 0; i < s->n; i++) {
        float u = g[i] / (sqrtf(o->centered ? v[i] - h[i] * h[i] : v[i]) + eps);
        if (mu > 0)
            u = buf[i] = mu * buf[i] + u;
        s->p[i] -= lr * u;
    }
}

static void tf_init(const optim_step *s)
{
    for (int64_t i = 0; i < s->n; i++)
        s->slot[0][i] = 1;
}

static void rmsprop_tf(const optim_step *s)
{
    const struct rmsprop *o = s->opt;
    const float *g = s->g;
    if (o->decoupled_decay)
        decay(s, o->corrected_weight_decay);
    else
        g = with_l2(s, s->scratch[1]);
    float *u = s->scratch[0], *v = s->slot[0], *buf = s->slot[1], *h = s->slot[2];
    float mu = (float)o->momentum, eps = (float)o->eps;
    bool inside = mu > 0 && o->lr_in_momentum;
    float by = inside ? (float)s->lr : 1, take = (float)(1 - o->alpha);
    for (int64_t i = 0; i < s->n; i++) {
        v[i] += take * (g[i] * g[i] - v[i]);
        if (o->centered)
            h[i] += take * (g[i] - h[i]);
        u[i] = by * (g[i] / sqrtf((o->centered ? v[i] - h[i] * h[i] : v[i]) + eps));
        if (mu > 0)
            u[i] = buf[i] = mu * buf[i] + u[i];
    }
    if (o->caution && mu > 0)
        caution(u, g, s->n);
    add_scaled(s->p, u, s->n, inside ? -1 : -s->lr);
}

#define COMMON .lr = 1e-2, .size = sizeof(struct rmsprop), .slots = { "square_avg", "momentum_buffer", "grad_avg" }, .slot_size = slot_size
const optim_kind optim_rmsprop = { .name = "RMSprop", COMMON, OPTIONS(options), .scratch = 1, .step = rmsprop };
const optim_kind optim_rmsprop_tf = { .name = "RMSpropTF", COMMON, OPTIONS(options_tf), .scratch = 2, .init = tf_init, .step = rmsprop_tf };
