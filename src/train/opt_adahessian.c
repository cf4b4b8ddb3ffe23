/* opt_adahessian.c - Adahessian (Yao et al., 2021): Adam with the Hessian's diagonal, estimated as z (H z), in place of the gradient. */
#include "train/optim_kind.h"

struct adahessian { double betas[2], eps, hessian_power; bool avg_conv_kernel; };

static const optim_option options[] = {
    NUMBERS(adahessian, betas, 2, "0.9 0.999"), NUMBER(adahessian, eps, "1e-8"), NUMBER(adahessian, hessian_power, "1"),
    FLAG(adahessian, avg_conv_kernel, "false"),
};

/* D; ema(m, g, b1); ema(v, h^2, b2); p -= lr / c1 m / ((v / c2)^(power / 2) + eps). */
static void adahessian(const optim_step *s)
{
    const struct adahessian *o = s->opt;
    double c1 = 1 - pow(o->betas[0], (double)s->k), c2 = 1 - pow(o->betas[1], (double)s->k);
    float *h = s->scratch[0], rate = (float)(s->lr / c1), by = (float)(1 / c2), power = (float)(o->hessian_power / 2), eps = (float)o->eps;
    memcpy(h, s->param->hessian, (size_t)s->n * sizeof *h);
    if (o->avg_conv_kernel && s->param->shape.rank == 4) {
        int64_t size = s->param->shape.dim[2] * s->param->shape.dim[3];
        for (int64_t from = 0; from < s->n; from += size) {
            double sum = 0;
            for (int64_t i = 0; i < size; i++)
                sum += fabsf(h[from + i]);
            for (int64_t i = 0; i < size; i++)
                h[from + i] = (float)(sum / (double)size);
        }
    }
    decay(s, false);
    ema(s->slot[0], s->g, s->n, o->betas[0]);
    ema_square(s->slot[1], h, s->n, o->betas[1]);
    for (int64_t i = 0; i < s->n; i++)
        s->p[i] -= rate * (s->slot[0][i] / (powf(s->slot[1][i] * by, power) + eps));
}

const optim_kind optim_adahessian = { .name = "Adahessian", .lr = .1, .size = sizeof(struct adahessian), OPTIONS(options),
                                      .slots = { "exp_avg", "exp_hessian_diag_sq" }, .scratch = 1, .hessian = true, .step = adahessian };
