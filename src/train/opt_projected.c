/* opt_projected.c - SGDP and AdamP (Heo et al., 2021): what would only make weights before a norm longer is taken out. */
#include "train/optim_kind.h"

struct projected { double betas[2], momentum, dampening, eps, delta, wd_ratio; bool nesterov, caution; };

static const optim_option options_sgdp[] = {
    NUMBER(projected, momentum, "0.9"), NUMBER(projected, dampening, "0"), FLAG(projected, nesterov, "false"), NUMBER(projected, eps, "1e-8"),
    NUMBER(projected, delta, "0.1"), NUMBER(projected, wd_ratio, "0.1"), FLAG(projected, caution, "false"),
};
static const optim_option options_adamp[] = {
    NUMBERS(projected, betas, 2, "0.9 0.999"), NUMBER(projected, eps, "1e-8"), NUMBER(projected, delta, "0.1"),
    NUMBER(projected, wd_ratio, "0.1"), FLAG(projected, nesterov, "false"), FLAG(projected, caution, "false"),
};

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* Is every row of g nearly orthogonal to its row of p? */
static bool orthogonal(const optim_step *s, const struct projected *o, int64_t rows)
{
    int64_t size = s->n / rows;
    double most = 0;
    for (int64_t r = 0; r < rows; r++) {
        const float *g = s->g + r * size, *p = s->p + r * size;
        most = fmax(most, fabs(dot(g, p, size)) / (fmax(norm2(g, size), o->eps) * fmax(norm2(p, size), o->eps)));
    }
    return most < o->delta / sqrt((double)size);
}

/* x -= n <n, x> by rows, n = p / (|p| + eps). */
static void take_out(const optim_step *s, double eps, int64_t rows, float *x)
{
    int64_t size = s->n / rows;
    for (int64_t r = 0; r < rows; r++) {
        const float *p = s->p + r * size;
        double length = norm2(p, size) + eps;
        add_scaled(x + r * size, p, size, -dot(p, x + r * size, size) / length / length);
    }
}

/* Projects u; the factor of the weight decay. */
static double project(const optim_step *s, const struct projected *o, float *u, float *g)
{
    int64_t ways[2] = { s->param->shape.rank > 1 ? s->param->shape.dim[0] : 0, 1 };
    for (int i = 0; i < 2 && ways[0]; i++) {
        if (!orthogonal(s, o, ways[i]))
            continue;
        take_out(s, o->eps, ways[i], u);
        if (o->caution) {
            memcpy(g, s->g, (size_t)s->n * sizeof *g);
            take_out(s, o->eps, ways[i], g);
            caution(u, g, s->n);
            take_out(s, o->eps, ways[i], u);
        }
        return o->wd_ratio;
    }
    if (o->caution)
        caution(u, s->g, s->n);
    return 1;
}

static void sgdp(const optim_step *s)
{
    const struct projected *o = s->opt;
    float *buf = s->slot[0], *u = s->scratch[0], mu = (float)o->momentum, take = (float)(1 - o->dampening);
    for (int64_t i = 0; i < s->n; i++) {
        buf[i] = mu * buf[i] + take * s->g[i];
        u[i] = o->nesterov ? s->g[i] + mu * buf[i] : buf[i];
    }
    double r = project(s, o, u, s->scratch[1]);
    if (s->wd != 0)
        scale_by(s->p, s->n, 1 - s->lr * s->wd * r / (1 - o->momentum));
    add_scaled(s->p, u, s->n, -s->lr);
}

static void adamp(const optim_step *s)
{
    const struct projected *o = s->opt;
    double c1 = 1 - pow(o->betas[0], (double)s->k), c2 = 1 - pow(o->betas[1], (double)s->k);
    float *m = s->slot[0], *v = s->slot[1], *u = s->scratch[0], b1 = (float)o->betas[0], a1 = (float)(1 - o->betas[0]);
    float root = (float)sqrt(c2), eps = (float)o->eps;
    ema(m, s->g, s->n, o->betas[0]);
    ema_square(v, s->g, s->n, o->betas[1]);
    for (int64_t i = 0; i < s->n; i++)
        u[i] = (o->nesterov ? b1 * m[i] + a1 * s->g[i] : m[i]) / (sqrtf(v[i]) / root + eps);
    double r = project(s, o, u, s->scratch[1]);
    if (s->wd != 0)
        scale_by(s->p, s->n, 1 - s->lr * s->wd * r);
    add_scaled(s->p, u, s->n, -s->lr / c1);
}

const optim_kind optim_sgdp = { .name = "SGDP", .lr = NAN, .size = sizeof(struct projected), OPTIONS(options_sgdp), .slots = { "momentum" },
                                .scratch = 2, .step = sgdp };
const optim_kind optim_adamp = { .name = "AdamP", .lr = 1e-3, .size = sizeof(struct projected), OPTIONS(options_adamp),
                                 .slots = { "exp_avg", "exp_avg_sq" }, .scratch = 2, .step = adamp };
