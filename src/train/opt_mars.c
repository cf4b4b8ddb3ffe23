/* opt_mars.c - MARS (Yuan et al., 2024): gradients corrected by their difference from the last. */
#include "train/optim_kind.h"

struct mars { double betas[2], betas_1d[2], eps, gamma, lr_1d_factor; char mars_type[32]; bool optimize_1d, caution; };

static const optim_option options[] = {
    NUMBERS(mars, betas, 2, "0.9 0.99"), NUMBERS(mars, betas_1d, 2, "none"), NUMBER(mars, eps, "1e-8"), NUMBER(mars, gamma, "0.025"),
    NUMBER(mars, lr_1d_factor, "1"), WORD(mars, mars_type, "adamw"), FLAG(mars, optimize_1d, "false"), FLAG(mars, caution, "false"),
};

static const char *check(const void *opt)
{
    const struct mars *o = opt;
    return strcmp(o->mars_type, "adamw") && strcmp(o->mars_type, "lion") ? "mars_type is adamw or lion" : NULL;
}

/* c = g + gamma b1 / (1 - b1) (g - last g), no longer than 1; ema(m, c, b1); then AdamW's or Lion's step.  Vectors: AdamW of g. */
static void mars(const optim_step *s)
{
    const struct mars *o = s->opt;
    bool full = s->param->shape.rank >= 2 || o->optimize_1d, lion = full && !strcmp(o->mars_type, "lion");
    const double *betas = full || o->betas_1d[0] != o->betas_1d[0] ? o->betas : o->betas_1d;
    float *m = s->slot[0], *v = s->slot[1], *last = s->slot[2], *u = s->scratch[0], *c = s->scratch[1];
    float by = s->k == 1 || !full ? 0 : (float)(o->gamma * betas[0] / (1 - betas[0])), wd = (float)s->wd, eps = (float)o->eps;
    for (int64_t i = 0; i < s->n; i++) {
        c[i] = s->g[i] + by * (s->g[i] - last[i]);
        last[i] = s->g[i];
    }
    if (full)
        scale_by(c, s->n, 1 / fmax(1, norm2(c, s->n)));
    ema(m, c, s->n, betas[0]);
    memcpy(u, m, (size_t)s->n * sizeof *u);
    if (o->caution)
        caution(u, s->g, s->n);
    if (!lion) {
        float c1 = (float)(1 - pow(betas[0], (double)s->k)), root = (float)sqrt(1 - pow(betas[1], (double)s->k));
        ema_square(v, c, s->n, betas[1]);
        for (int64_t i = 0; i < s->n; i++)
            u[i] = u[i] / c1 / (sqrtf(v[i]) / root + eps);
    }
    for (int64_t i = 0; i < s->n; i++)
        u[i] = (lion ? (float)((u[i] > 0) - (u[i] < 0)) : u[i]) + wd * s->p[i];
    add_scaled(s->p, u, s->n, full ? -s->lr : -s->lr * o->lr_1d_factor);
}

const optim_kind optim_mars = { .name = "Mars", .lr = 3e-3, .size = sizeof(struct mars), OPTIONS(options), .check = check,
                                .slots = { "exp_avg", "exp_avg_sq", "last_grad" }, .scratch = 2, .step = mars };
