/* opt_sgd.c - stochastic gradient descent: PyTorch's SGD, and SGDW with decoupled decay. */
#include "train/optim_kind.h"

struct sgd { double momentum, dampening; bool nesterov, caution, corrected_weight_decay; };

static const optim_option options[] = {
    NUMBER(sgd, momentum, "0.9"), NUMBER(sgd, dampening, "0"), FLAG(sgd, nesterov, "false"),
};
static const optim_option options_w[] = {
    NUMBER(sgd, momentum, "0.9"), NUMBER(sgd, dampening, "0"), FLAG(sgd, nesterov, "false"), FLAG(sgd, caution, "false"),
    FLAG(sgd, corrected_weight_decay, "false"),
};

static const char *check(const void *opt)
{
    const struct sgd *o = opt;
    return o->nesterov && (!(o->momentum > 0) || o->dampening != 0) ? "nesterov needs a momentum and no dampening" : NULL;
}

/* buf = g at k = 1, later mu buf + (1 - dampening) g; u = g + mu buf (nesterov) or buf; p -= lr u.  One pass. */
static void sgd(const optim_step *s)
{
    const struct sgd *o = s->opt;
    float mu = (float)o->momentum, take = (float)(s->k == 1 ? 1 : 1 - o->dampening), wd = (float)s->wd, lr = (float)s->lr;
    float *p = s->p, *buf = s->slot[0];
    const float *grad = s->g;
    if (mu == 0) {
        for (int64_t i = 0; i < s->n; i++)
            p[i] -= lr * (grad[i] + wd * p[i]);
        return;
    }
    float keep = s->k == 1 ? 0 : mu;
    for (int64_t i = 0; i < s->n; i++) {
        float g = grad[i] + wd * p[i];
        buf[i] = keep * buf[i] + take * g;
        p[i] -= lr * (o->nesterov ? g + mu * buf[i] : buf[i]);
    }
}

static void sgdw(const optim_step *s)
{
    const struct sgd *o = s->opt;
    float *u = s->scratch[0], *buf = s->slot[0], mu = (float)o->momentum;
    decay(s, o->corrected_weight_decay);
    memcpy(u, s->g, (size_t)s->n * sizeof *u);
    if (mu != 0) {
        float take = (float)(s->k == 1 ? 1 : 1 - o->dampening), keep = s->k == 1 ? 0 : mu;
        for (int64_t i = 0; i < s->n; i++) {
            buf[i] = keep * buf[i] + take * s->g[i];
            u[i] = o->nesterov ? s->g[i] + mu * buf[i] : buf[i];
        }
    }
    if (o->caution)
        caution(u, s->g, s->n);
    add_scaled(s->p, u, s->n, -s->lr);
}

const optim_kind optim_sgd = { .name = "SGD", .lr = 1e-3, .size = sizeof(struct sgd), OPTIONS(options), .slots = { "momentum_buffer" },
                               .check = check, .step = sgd };
const optim_kind optim_sgdw = { .name = "SGDW", .lr = 1e-3, .size = sizeof(struct sgd), OPTIONS(options_w), .check = check,
                                .slots = { "momentum_buffer" }, .scratch = 1, .step = sgdw };
