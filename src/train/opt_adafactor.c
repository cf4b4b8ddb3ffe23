/* opt_adafactor.c - Adafactor (Shazeer and Stern, 2018), and Big Vision's: the second moment of a matrix from its row and column means. */
#include "base/half.h"
#include "train/optim_kind.h"

struct adafactor {
    double betas[2], eps, eps_scale, clip_threshold, decay_rate, min_dim_size_to_factor;
    double beta2_cap, decay_offset, momentum, clipping_threshold;
    bool scale_parameter, warmup_init, caution, unscaled_wd, corrected_weight_decay;
    char momentum_dtype[32];
};

static const optim_option options[] = {
    NUMBER(adafactor, eps, "1e-30"), NUMBER(adafactor, eps_scale, "1e-3"), NUMBER(adafactor, clip_threshold, "1"),
    NUMBER(adafactor, decay_rate, "-0.8"), NUMBERS(adafactor, betas, 2, "none"), FLAG(adafactor, scale_parameter, "true"),
    FLAG(adafactor, warmup_init, "false"), NUMBER(adafactor, min_dim_size_to_factor, "16"), FLAG(adafactor, caution, "false"),
};
static const optim_option options_big[] = {
    NUMBER(adafactor, min_dim_size_to_factor, "16"), NUMBER(adafactor, decay_rate, "0.8"), NUMBER(adafactor, decay_offset, "0"),
    NUMBER(adafactor, beta2_cap, "0.999"), NUMBER(adafactor, momentum, "0.9"), WORD(adafactor, momentum_dtype, "bfloat16"),
    NUMBER(adafactor, eps, "none"), NUMBER(adafactor, clipping_threshold, "none"), FLAG(adafactor, unscaled_wd, "false"),
    FLAG(adafactor, caution, "false"), FLAG(adafactor, corrected_weight_decay, "false"),
};

static const char *check_big(const void *opt)
{
    const char *d = ((const struct adafactor *)opt)->momentum_dtype;
    return strcmp(d, "bfloat16") && strcmp(d, "float32") ? "momentum_dtype is bfloat16 or float32" : NULL;
}

/* The two factored axes; i < 0: none.  A tensor is seen as [a, d[lo], b, d[hi], c]. */
typedef struct axes { int i, j; int64_t a, b, c, di, dj, others; } axes;

static axes of_axes(tg_shape s, int i, int j)
{
    int lo = i < j ? i : j, hi = i < j ? j : i;
    axes x = { i, j, tg_span(s, 0, lo), tg_span(s, lo + 1, hi), tg_span(s, hi + 1, s.rank), s.dim[i], s.dim[j], 0 };
    x.others = x.a * x.b * x.c;
    return x;
}

static axes axes_of(const struct adafactor *o, tg_shape s)
{
    double least = o->min_dim_size_to_factor;
    if (s.rank > 2 && (double)s.dim[0] > least && (double)s.dim[1] > least)
        return of_axes(s, 0, 1);
    if (s.rank >= 2 && (double)s.dim[s.rank - 2] > least && (double)s.dim[s.rank - 1] > least)
        return of_axes(s, s.rank - 2, s.rank - 1);
    return (axes){ .i = -1 };
}

/* The two largest; of equals the later counts as larger. */
static axes axes_of_big(const struct adafactor *o, tg_shape s)
{
    int first = -1, second = -1;
    for (int k = 0; k < s.rank; k++)
        if (first < 0 || s.dim[k] >= s.dim[first]) {
            second = first;
            first = k;
        } else if (second < 0 || s.dim[k] >= s.dim[second]) {
            second = k;
        }
    return second >= 0 && (double)s.dim[second] >= o->min_dim_size_to_factor ? of_axes(s, second, first) : (axes){ .i = -1 };
}

static int64_t place(const axes *x, int64_t other, int64_t i, int64_t j)
{
    int64_t c = other % x->c, b = other / x->c % x->b, a = other / x->c / x->b;
    int64_t lo = x->i < x->j ? i : j, hi = x->i < x->j ? j : i, dlo = x->i < x->j ? x->di : x->dj, dhi = x->i < x->j ? x->dj : x->di;
    return (((a * dlo + lo) * x->b + b) * dhi + hi) * x->c + c;
}

enum { ROW, COLUMN, FULL, MOMENT };

static int64_t size_of(axes x, tg_shape s, int slot, bool moment)
{
    switch (slot) {
    case ROW: return x.i < 0 ? 0 : x.others * x.di;
    case COLUMN: return x.i < 0 ? 0 : x.others * x.dj;
    case FULL: return x.i < 0 ? tg_numel(s) : 0;
    default: return moment ? tg_numel(s) : 0;
    }
}
static int64_t slot_size(const void *opt, const optim_param *p, int slot)
{
    const struct adafactor *o = opt;
    return size_of(axes_of(o, p->shape), p->shape, slot, o->betas[0] == o->betas[0]);
}
static int64_t slot_size_big(const void *opt, const optim_param *p, int slot)
{
    const struct adafactor *o = opt;
    return size_of(axes_of_big(o, p->shape), p->shape, slot, o->momentum == o->momentum);
}

/* u = g rsqrt(second moment), of q = g^2 + eps kept with weight b. */
static void normalise(const optim_step *s, const axes *x, double b, double eps, float *u)
{
    float *R = s->slot[ROW], *C = s->slot[COLUMN], *V = s->slot[FULL];
    if (x->i < 0) {
        float keep = (float)b, take = (float)(1 - b), e = (float)eps;
        for (int64_t k = 0; k < s->n; k++) {
            V[k] = keep * V[k] + take * (s->g[k] * s->g[k] + e);
            u[k] = s->g[k] / sqrtf(V[k]);
        }
        return;
    }
    for (int64_t other = 0; other < x->others; other++) {
        float *r = R + other * x->di, *c = C + other * x->dj;
        double mean = 0;
        for (int64_t i = 0; i < x->di; i++) {
            double sum = 0;
            for (int64_t j = 0; j < x->dj; j++) {
                double g = s->g[place(x, other, i, j)];
                sum += g * g + eps;
            }
            r[i] = (float)(b * r[i] + (1 - b) * sum / (double)x->dj);
            mean += r[i];
        }
        mean /= (double)x->di;
        for (int64_t j = 0; j < x->dj; j++) {
            double sum = 0;
            for (int64_t i = 0; i < x->di; i++) {
                double g = s->g[place(x, other, i, j)];
                sum += g * g + eps;
            }
            c[j] = (float)(b * c[j] + (1 - b) * sum / (double)x->di);
        }
        for (int64_t i = 0; i < x->di; i++) {
            double of_row = 1 / sqrt(r[i] / mean);
            for (int64_t j = 0; j < x->dj; j++) {
                int64_t k = place(x, other, i, j);
                u[k] = (float)(s->g[k] * of_row / sqrt(c[j]));
            }
        }
    }
}

static void adafactor(const optim_step *s)
{
    const struct adafactor *o = s->opt;
    axes x = axes_of(o, s->param->shape);
    double k = (double)s->k, e = s->lr;
    float *u = s->scratch[0];
    if (s->max_lr != s->max_lr)                          /* no rate given: relative steps */
        e = fmin(o->warmup_init ? 1e-6 * k : 1e-2, 1 / sqrt(k)) * (o->scale_parameter ? fmax(o->eps_scale, rms(s->p, s->n)) : 1);
    normalise(s, &x, 1 - pow(k, o->decay_rate), o->eps, u);
    scale_by(u, s->n, e / fmax(1, rms(u, s->n) / o->clip_threshold));
    if (o->betas[0] == o->betas[0]) {
        ema(s->slot[MOMENT], u, s->n, o->betas[0]);
        memcpy(u, s->slot[MOMENT], (size_t)s->n * sizeof *u);
        if (o->caution)
            caution(u, s->g, s->n);
    }
    if (s->wd != 0)
        scale_by(s->p, s->n, 1 - s->wd * e);
    add_scaled(s->p, u, s->n, -1);
}

static void adafactor_big_vision(const optim_step *s)
{
    const struct adafactor *o = s->opt;
    axes x = axes_of_big(o, s->param->shape);
    float *u = s->scratch[0], *m = s->slot[MOMENT], lr = (float)s->lr;
    double b = fmin(o->beta2_cap, 1 - pow(fmax((double)s->k - o->decay_offset, 1), -o->decay_rate));
    normalise(s, &x, b, o->eps == o->eps ? o->eps : 1e-30, u);
    if (o->clipping_threshold == o->clipping_threshold)
        scale_by(u, s->n, 1 / fmax(1, rms(u, s->n) / o->clipping_threshold));
    if (o->momentum == o->momentum) {
        bool half = !strcmp(o->momentum_dtype, "bfloat16");
        float take = (float)(1 - o->momentum);
        for (int64_t i = 0; i < s->n; i++) {
            float now = half ? bfloat_to_float(float_to_bfloat(u[i])) : u[i], v = m[i] + (now - m[i]) * take;
            u[i] = m[i] = half ? bfloat_to_float(float_to_bfloat(v)) : v;
        }
        if (o->caution)
            caution(u, s->g, s->n);
    }
    if (s->wd != 0) {
        double rate = o->corrected_weight_decay ? s->lr / s->max_lr : 1;
        scale_by(s->p, s->n, 1 - rate * (o->unscaled_wd ? 1 : s->lr) * s->wd);
    }
    for (int64_t i = 0; i < s->n; i++)
        s->p[i] -= u[i] * lr;
}

#define SLOTS .slots = { "exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_sq", "exp_avg" }, .size = sizeof(struct adafactor), .scratch = 1
const optim_kind optim_adafactor = { .name = "Adafactor", .lr = NAN, SLOTS, OPTIONS(options), .slot_size = slot_size, .step = adafactor };
const optim_kind optim_adafactor_big_vision = { .name = "AdafactorBigVision", .lr = 1, SLOTS, OPTIONS(options_big), .check = check_big,
                                                .slot_size = slot_size_big, .step = adafactor_big_vision };
