/* opt_adaptive.c - rates by element: Adamax, Adadelta, Adagrad, as PyTorch's. */
#include "train/optim_kind.h"

struct adamax { double betas[2], eps; };
static const optim_option adamax_options[] = { NUMBERS(adamax, betas, 2, "0.9 0.999"), NUMBER(adamax, eps, "1e-8") };

/* v = max(b2 v, |g| + eps); p -= lr / c1 m / v. */
static void adamax(const optim_step *s)
{
    const struct adamax *o = s->opt;
    const float *g = with_l2(s, s->scratch[0]);
    float rate = (float)(s->lr / (1 - pow(o->betas[0], (double)s->k))), b2 = (float)o->betas[1], eps = (float)o->eps;
    ema(s->slot[0], g, s->n, o->betas[0]);
    for (int64_t i = 0; i < s->n; i++) {
        s->slot[1][i] = fmaxf(b2 * s->slot[1][i], fabsf(g[i]) + eps);
        s->p[i] -= rate * (s->slot[0][i] / s->slot[1][i]);
    }
}

struct adadelta { double rho, eps; };
static const optim_option adadelta_options[] = { NUMBER(adadelta, rho, "0.9"), NUMBER(adadelta, eps, "1e-6") };

/* ema(v, g^2, rho); u = sqrt(A + eps) / sqrt(v + eps) g; ema(A, u^2, rho); p -= lr u. */
static void adadelta(const optim_step *s)
{
    const struct adadelta *o = s->opt;
    const float *g = with_l2(s, s->scratch[0]);
    float rho = (float)o->rho, take = (float)(1 - o->rho), eps = (float)o->eps, lr = (float)s->lr;
    ema_square(s->slot[0], g, s->n, o->rho);
    for (int64_t i = 0; i < s->n; i++) {
        float u = sqrtf(s->slot[1][i] + eps) / sqrtf(s->slot[0][i] + eps) * g[i];
        s->slot[1][i] = rho * s->slot[1][i] + take * (u * u);
        s->p[i] -= lr * u;
    }
}

struct adagrad { double lr_decay, initial_accumulator_value, eps; };
static const optim_option adagrad_options[] = {
    NUMBER(adagrad, lr_decay, "0"), NUMBER(adagrad, initial_accumulator_value, "0"), NUMBER(adagrad, eps, "1e-10"),
};

static void adagrad_init(const optim_step *s)
{
    for (int64_t i = 0; i < s->n; i++)
        s->slot[0][i] = (float)((const struct adagrad *)s->opt)->initial_accumulator_value;
}

/* v += g^2; p -= lr / (1 + (k - 1) lr_decay) g / (sqrt(v) + eps). */
static void adagrad(const optim_step *s)
{
    const struct adagrad *o = s->opt;
    const float *g = with_l2(s, s->scratch[0]);
    float rate = (float)(s->lr / (1 + (double)(s->k - 1) * o->lr_decay)), eps = (float)o->eps;
    for (int64_t i = 0; i < s->n; i++) {
        s->slot[0][i] += g[i] * g[i];
        s->p[i] -= rate * (g[i] / (sqrtf(s->slot[0][i]) + eps));
    }
}

const optim_kind optim_adamax = { .name = "Adamax", .lr = 2e-3, .size = sizeof(struct adamax), OPTIONS(adamax_options),
                                  .slots = { "exp_avg", "exp_inf" }, .scratch = 1, .step = adamax };
const optim_kind optim_adadelta = { .name = "Adadelta", .lr = 1, .size = sizeof(struct adadelta), OPTIONS(adadelta_options),
                                    .slots = { "square_avg", "acc_delta" }, .scratch = 1, .step = adadelta };
const optim_kind optim_adagrad = { .name = "Adagrad", .lr = 1e-2, .size = sizeof(struct adagrad), OPTIONS(adagrad_options),
                                   .slots = { "sum" }, .scratch = 1, .init = adagrad_init, .step = adagrad };
