/* opt_muon.c - Muon (Jordan et al., 2024): momentum made orthogonal by Newton and Schulz's iteration; AdaMuon (Si et al., 2025)
 * with a second moment of the result.  Vectors and thin matrices fall back to AdamW. */
#include <stdio.h>
#include <stdlib.h>
#include "base/half.h"
#include "train/optim_kind.h"
#include "train/small_matrix.h"

struct muon {
    double momentum, ns_steps, eps, safety_factor, fallback_lr_scale, betas[2];
    bool nesterov, normalize_spatial, scale_eps;
    char ns_coefficients[96], adjust_lr_fn[32], conv_mode[32], algo[32], ns_dtype[32];
};

static const optim_option options[] = {
    NUMBER(muon, momentum, "0.9"), FLAG(muon, nesterov, "false"), NUMBER(muon, ns_steps, "5"), WORD(muon, ns_coefficients, "quintic"),
    NUMBER(muon, eps, "1e-7"), NUMBER(muon, safety_factor, "1"), WORD(muon, adjust_lr_fn, "match_rms_adamw"),
    WORD(muon, conv_mode, "flatten"), FLAG(muon, normalize_spatial, "true"), NUMBER(muon, fallback_lr_scale, "1"),
    NUMBERS(muon, betas, 2, "0.9 0.95"), WORD(muon, algo, "muon"), FLAG(muon, scale_eps, "false"), WORD(muon, ns_dtype, "bfloat16"),
};

/* a, b, c of X = a X + (b A + c A A) X, A = X X', step by step; the last is repeated. */
static const struct preset { const char *name; int n; double abc[8][3]; } presets[] = {
    { "original", 1, { { 3.4445, -4.7750, 2.0315 } } },         /* Jordan */
    { "quintic", 5, { { 4.0848, -6.8946, 2.9270 }, { 3.9505, -6.3029, 2.6377 }, { 3.7418, -5.5913, 2.3037 },
                      { 2.8769, -3.1427, 1.2046 }, { 2.8366, -3.0525, 1.2012 } } },
    { "polar_express", 8, { { 8.237312490495555, -23.157747414558198, 16.680568411445915 },        /* Amsel et al., 2025 */
        { 4.082441999064835, -2.893047735332586, 0.5252849256975648 }, { 3.9263479922546582, -2.8547468034765298, 0.5318022422894988 },
        { 3.2982187133085143, -2.424541981026706, 0.48632008358844075 }, { 2.2970369434552573, -1.63662558125903, 0.4002628455953627 },
        { 1.8763805351440397, -1.2347896577722228, 0.35891887501668385 }, { 1.8564423485617974, -1.2132449880935525, 0.3568003487825883 },
        { 1.8749994008682747, -1.2499988017229169, 0.3749994008546422 } } },
    { "polar_express_safer", 8, { { 8.156554524902461, -22.48329292557795, 15.878769915207462 },
        { 4.0429299351667245, -2.808917465908704, 0.5000178451051299 }, { 3.8916678022926563, -2.7724841532176825, 0.5060648178503389 },
        { 3.285753657755658, -2.3681294933425394, 0.46449024233003117 }, { 2.3005307116270983, -1.6111665557258408, 0.3833374427545273 },
        { 1.8631210546382593, -1.2042160621002727, 0.3421879560523383 }, { 1.8382572152247512, -1.1779263289537742, 0.3396513038637379 },
        { 1.8749999923301852, -1.2499999836060613, 0.374999991275876 } } },
};

static bool coefficients(const struct muon *o, int step, double abc[3])
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (!strcmp(presets[i].name, o->ns_coefficients)) {
            memcpy(abc, presets[i].abc[step < presets[i].n ? step : presets[i].n - 1], 3 * sizeof *abc);
            return true;
        }
    return sscanf(o->ns_coefficients, "%*[[( ]%lf%*[, ]%lf%*[, ]%lf", &abc[0], &abc[1], &abc[2]) == 3
           || sscanf(o->ns_coefficients, "%lf%*[, ]%lf%*[, ]%lf", &abc[0], &abc[1], &abc[2]) == 3;
}

static bool one_of(const char *s, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(s, *names))
            return true;
    return false;
}

static const char *check(const void *opt)
{
    const struct muon *o = opt;
    double abc[3];
    bool ada = !strcmp(o->algo, "adamuon");
    static const char *const plain[] = { "", "original", "match_rms_adamw", "rms_to_rms", NULL };
    static const char *const adaptive[] = { "", "match_rms_adamw", "rms_to_rms", "rsqrt_in", NULL };
    if (!ada && strcmp(o->algo, "muon"))
        return "algo is muon or adamuon";
    if (strcmp(o->conv_mode, "flatten") && strcmp(o->conv_mode, "batched"))
        return "conv_mode is flatten or batched";
    if (!coefficients(o, 0, abc))
        return "ns_coefficients is original, quintic, polar_express, polar_express_safer or three numbers";
    if (!(o->ns_steps >= 1 && o->ns_steps < 100))
        return "ns_steps is 1 to 99";
    if (!one_of(o->adjust_lr_fn, ada ? adaptive : plain))
        return ada ? "adjust_lr_fn is match_rms_adamw, rms_to_rms, rsqrt_in or none" : "adjust_lr_fn is match_rms_adamw, original, rms_to_rms or none";
    return strcmp(o->ns_dtype, "bfloat16") && strcmp(o->ns_dtype, "float32") ? "ns_dtype is bfloat16 or float32" : NULL;
}

static bool falls_back(const optim_param *p)
{
    int wide = 0;
    for (int i = 0; i < p->shape.rank; i++)
        wide += p->shape.dim[i] > 1;
    if (p->fallback || p->shape.rank < 2 || wide < 2 || p->shape.dim[0] == 1 || p->shape.dim[1] == 1)
        return true;
    int64_t out = p->shape.dim[0], in = tg_span(p->shape, 1, p->shape.rank), lo = out < in ? out : in, hi = out < in ? in : out;
    return lo < 4 || hi > 128 * lo;
}

enum { MOMENTUM, SECOND };

static int64_t slot_size(const void *opt, const optim_param *p, int slot)
{
    bool second = falls_back(p) || !strcmp(((const struct muon *)opt)->algo, "adamuon");
    return slot == MOMENTUM || second ? tg_numel(p->shape) : 0;
}

static int64_t scratch_size(const void *opt, const optim_param *p) { return (void)opt, 2 * tg_numel(p->shape); }

/* -- orthogonalisation ----------------------------------------------------------------------------------------------------- */

static void round_all(float *x, int64_t n, bool half)
{
    for (int64_t i = 0; half && i < n; i++)
        x[i] = bfloat_to_float(float_to_bfloat(x[i]));
}

/* X (r, c), r <= c, in place; A, B: r r each; C: r c. */
static void newton_schulz(const struct muon *o, float *X, int64_t r, int64_t c, float *A, float *B, float *C)
{
    bool half = !strcmp(o->ns_dtype, "bfloat16");
    for (int step = 0; step < (int)o->ns_steps; step++) {
        double abc[3];
        coefficients(o, step, abc);
        float a = (float)abc[0], b = (float)abc[1], cc = (float)abc[2];
        matrix_gram(X, A, r, c);
        round_all(A, r * r, half);
        matrix_product(A, A, B, r, r, r);
        for (int64_t i = 0; i < r * r; i++)
            B[i] = b * A[i] + cc * B[i];
        round_all(B, r * r, half);
        matrix_product(B, X, C, r, r, c);
        for (int64_t i = 0; i < r * c; i++)
            X[i] = a * X[i] + C[i];
        round_all(X, r * c, half);
    }
}

/* m (out, in) in place. */
static void orthogonalise(const struct muon *o, float *m, int64_t out, int64_t in, float *X, float *AB, float *C)
{
    bool half = !strcmp(o->ns_dtype, "bfloat16"), turned = out > in;
    int64_t r = turned ? in : out, c = turned ? out : in;
    if (turned)
        matrix_transpose(m, X, out, in);
    else
        memcpy(X, m, (size_t)(r * c) * sizeof *X);
    round_all(X, r * c, half);
    double length = norm2(X, r * c) * o->safety_factor;
    length = o->scale_eps ? length + o->eps * sqrt((double)in / (double)out) : fmax(length, o->eps);
    for (int64_t i = 0; i < r * c; i++)
        X[i] /= (float)length;
    round_all(X, r * c, half);
    newton_schulz(o, X, r, c, AB, AB + r * r, C);
    if (turned)
        matrix_transpose(X, m, in, out);
    else
        memcpy(m, X, (size_t)(r * c) * sizeof *X);
}

/* -- steps ----------------------------------------------------------------------------------------------------------------- */

/* AdamW, or NAdamW with nesterov. */
static void fall_back(const optim_step *s)
{
    const struct muon *o = s->opt;
    double lr = s->lr * o->fallback_lr_scale, c1 = 1 - pow(o->betas[0], (double)s->k), c2 = 1 - pow(o->betas[1], (double)s->k);
    float *m = s->slot[MOMENTUM], *v = s->slot[SECOND], b1 = (float)o->betas[0], a1 = (float)(1 - o->betas[0]);
    float rate = (float)(lr / c1), root = (float)sqrt(c2), eps = (float)o->eps;
    if (s->wd != 0)
        scale_by(s->p, s->n, 1 - lr * s->wd);
    ema(m, s->g, s->n, o->betas[0]);
    ema_square(v, s->g, s->n, o->betas[1]);
    for (int64_t i = 0; i < s->n; i++)
        s->p[i] -= rate * ((o->nesterov ? b1 * m[i] + a1 * s->g[i] : m[i]) / (sqrtf(v[i]) / root + eps));
}

/* O = orthogonal(u), u and O in scratch[0]; positions of a kernel one by one where conv_mode is batched. */
static void directions(const optim_step *s, bool batched)
{
    const struct muon *o = s->opt;
    tg_shape shape = s->param->shape;
    float *u = s->scratch[0], *X = s->scratch[1], *AB = s->scratch[2], *C = s->scratch[3];
    int64_t out = shape.dim[0], in = batched ? shape.dim[1] : s->n / out, places = s->n / out / in;
    if (places == 1) {
        orthogonalise(o, u, out, in, X, AB, C);
        return;
    }
    float *one = u + s->n;
    for (int64_t q = 0; q < places; q++) {
        for (int64_t i = 0; i < out * in; i++)
            one[i] = u[i * places + q];
        orthogonalise(o, one, out, in, X, AB, C);
        for (int64_t i = 0; i < out * in; i++)
            u[i * places + q] = one[i];
    }
}

static void muon(const optim_step *s)
{
    const struct muon *o = s->opt;
    if (falls_back(s->param)) {
        fall_back(s);
        return;
    }
    bool batched = !strcmp(o->conv_mode, "batched") && s->param->shape.rank >= 3, ada = !strcmp(o->algo, "adamuon");
    float *u = s->scratch[0], *m = s->slot[MOMENTUM], mu = (float)o->momentum, take = (float)(1 - o->momentum);
    double out = (double)s->param->shape.dim[0], in = batched ? (double)s->param->shape.dim[1] : (double)s->n / out, scale = 1;
    const char *how = o->adjust_lr_fn;
    decay(s, false);
    ema(m, s->g, s->n, o->momentum);
    for (int64_t i = 0; i < s->n; i++)
        u[i] = o->nesterov ? take * s->g[i] + mu * m[i] : m[i];
    directions(s, batched);
    if (!strcmp(how, "match_rms_adamw"))
        scale = .2 * sqrt(ada ? (double)s->n : fmax(out, in));
    else if (!strcmp(how, "original"))
        scale = sqrt(fmax(1, out / in));
    else if (!strcmp(how, "rms_to_rms"))
        scale = sqrt(out / in);
    else if (!strcmp(how, "rsqrt_in"))
        scale = 1 / sqrt(in);
    if (batched && o->normalize_spatial)
        scale /= sqrt((double)s->n / out / in);
    if (ada) {
        bool by_norm = !strcmp(how, "match_rms_adamw");
        float by = by_norm ? 1 : (float)(1 / (1 - pow(o->betas[1], (double)s->k))), eps = (float)o->eps;
        ema_square(s->slot[SECOND], u, s->n, o->betas[1]);
        for (int64_t i = 0; i < s->n; i++)
            u[i] /= sqrtf(s->slot[SECOND][i] * by) + eps;
        if (by_norm)
            scale /= norm2(u, s->n) + o->eps;
    }
    add_scaled(s->p, u, s->n, -s->lr * scale);
}

const optim_kind optim_muon = { .name = "Muon", .lr = .02, .size = sizeof(struct muon), OPTIONS(options), .check = check,
                                .slots = { "momentum_buffer", "exp_avg_sq" }, .slot_size = slot_size, .scratch = 4,
                                .scratch_size = scratch_size, .step = muon };
