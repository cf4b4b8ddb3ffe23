/* opt_kron.c - PSGD with Kronecker factors (Li, 2018): each axis has a triangular or diagonal factor Q; u = G with every axis
 * multiplied by Q' Q.
 *
 * A tensor is seen along axis i as [outer, d, inner].  Which steps balance the factors, and how much weight decay a step has, is
 * drawn from Python's generator seeded 1337, one number a parameter and step, as timm draws them. */
#include <float.h>
#include "base/mersenne.h"
#include "base/random.h"
#include "train/optim_kind.h"

struct kron {
    double momentum, preconditioner_update_probability, max_size_triangular, min_ndim_triangular, precond_lr, precond_init_scale;
    double flatten_start_dim, flatten_end_dim;
    bool momentum_into_precond_update, decoupled_decay, corrected_weight_decay, flatten, stochastic_weight_decay;
    char memory_save_mode[32];
};

static const optim_option options[] = {
    NUMBER(kron, momentum, "0.9"), NUMBER(kron, preconditioner_update_probability, "none"), NUMBER(kron, max_size_triangular, "2048"),
    NUMBER(kron, min_ndim_triangular, "2"), WORD(kron, memory_save_mode, "none"), FLAG(kron, momentum_into_precond_update, "true"),
    NUMBER(kron, precond_lr, "0.1"), NUMBER(kron, precond_init_scale, "1"), FLAG(kron, decoupled_decay, "false"),
    FLAG(kron, corrected_weight_decay, "false"), FLAG(kron, flatten, "false"), NUMBER(kron, flatten_start_dim, "2"),
    NUMBER(kron, flatten_end_dim, "-1"), FLAG(kron, stochastic_weight_decay, "false"),
};

static const char *check(const void *opt)
{
    const struct kron *o = opt;
    static const char *const modes[] = { "", "one_diag", "smart_one_diag", "all_diag" };
    double p = o->preconditioner_update_probability;
    for (int i = 0; i < 4; i++)
        if (!strcmp(modes[i], o->memory_save_mode))
            return p == p && !(p > 0 && p <= 1) ? "preconditioner_update_probability lies in (0, 1]" : NULL;
    return "memory_save_mode is none, one_diag, smart_one_diag or all_diag";
}

/* -- shapes ---------------------------------------------------------------------------------------------------------------- */

enum { AXES = OPTIM_SLOTS - 1 };

typedef struct layout { int rank; int64_t d[TG_MAX_RANK]; bool full[TG_MAX_RANK]; } layout;     /* full: a triangular factor */

static layout layout_of(const struct kron *o, tg_shape s)
{
    layout l = { 0, { 0 }, { 0 } };
    int from = (int)o->flatten_start_dim, rank = s.rank, to = (int)o->flatten_end_dim;
    to = to < 0 ? to + s.rank : to;
    l.d[0] = 1;
    for (int i = 0; i < rank; i++)
        if (i && ((o->flatten && i > from && i <= to) || l.rank == AXES))
            l.d[l.rank - 1] *= s.dim[i];
        else
            l.d[l.rank++] = s.dim[i];
    l.rank = l.rank ? l.rank : 1;
    int largest = 0, equals = 0;
    for (int i = 1; i < l.rank; i++)
        largest = l.d[i] >= l.d[largest] ? i : largest;
    for (int i = 0; i < l.rank; i++)
        equals += l.d[i] == l.d[largest];
    bool one = !strcmp(o->memory_save_mode, "one_diag") || (!strcmp(o->memory_save_mode, "smart_one_diag") && l.rank >= 2 && equals == 1);
    for (int i = 0; i < l.rank; i++)
        l.full[i] = l.d[i] > 1 && (double)l.d[i] <= o->max_size_triangular && (double)l.rank >= o->min_ndim_triangular
                    && strcmp(o->memory_save_mode, "all_diag") && !(one && i == largest);
    return l;
}

static int64_t factor_size(const layout *l, int i) { return i >= l->rank ? 0 : l->full[i] ? l->d[i] * l->d[i] : l->d[i]; }

/* Slot 0: momentum; slot 1 + i: Q of axis i. */
static int64_t slot_size(const void *opt, const optim_param *p, int slot)
{
    layout l = layout_of(opt, p->shape);
    return slot ? factor_size(&l, slot - 1) : tg_numel(p->shape);
}

static int64_t scratch_size(const void *opt, const optim_param *p)
{
    layout l = layout_of(opt, p->shape);
    int64_t most = tg_numel(p->shape);
    for (int i = 0; i < l.rank; i++)
        most = 4 * factor_size(&l, i) > most ? 4 * factor_size(&l, i) : most;
    return most;
}

static void init(const optim_step *s)
{
    const struct kron *o = s->opt;
    layout l = layout_of(o, s->param->shape);
    float scale = (float)pow(o->precond_init_scale, 1. / l.rank);
    for (int i = 0; i < l.rank; i++)
        for (int64_t k = 0; k < l.d[i]; k++)
            s->slot[1 + i][l.full[i] ? k * l.d[i] + k : k] = scale;
}

/* -- one axis of a tensor --------------------------------------------------------------------------------------------------- */

typedef struct along { int64_t outer, d, inner; const float *q; bool full; } along;

static along axis(const optim_step *s, const layout *l, int i)
{
    along a = { 1, l->d[i], 1, s->slot[1 + i], l->full[i] };
    for (int k = 0; k < i; k++)
        a.outer *= l->d[k];
    for (int k = i + 1; k < l->rank; k++)
        a.inner *= l->d[k];
    return a;
}

/* y = x with the axis multiplied by Q, or by Q' (turned); the triangle's zeros are skipped. */
static void multiply(along a, bool turned, const float *x, float *y)
{
    for (int64_t o = 0; o < a.outer; o++)
        for (int64_t r = 0; r < a.d; r++) {
            float *out = y + (o * a.d + r) * a.inner;
            int64_t from = !a.full ? r : turned ? 0 : r, to = !a.full ? r + 1 : turned ? r + 1 : a.d;
            memset(out, 0, (size_t)a.inner * sizeof *out);
            for (int64_t c = from; c < to; c++) {
                float w = !a.full ? a.q[r] : turned ? a.q[c * a.d + r] : a.q[r * a.d + c];
                const float *in = x + (o * a.d + c) * a.inner;
                for (int64_t k = 0; k < a.inner; k++)
                    out[k] += w * in[k];
            }
        }
}

/* x in place: x Q = x along the axis. */
static void solve(along a, float *x)
{
    for (int64_t o = 0; o < a.outer; o++)
        for (int64_t j = 0; j < a.d; j++) {
            float *out = x + (o * a.d + j) * a.inner, by = a.full ? a.q[j * a.d + j] : a.q[j];
            for (int64_t c = 0; a.full && c < j; c++) {
                const float *in = x + (o * a.d + c) * a.inner, w = a.q[c * a.d + j];
                for (int64_t k = 0; k < a.inner; k++)
                    out[k] -= w * in[k];
            }
            for (int64_t k = 0; k < a.inner; k++)
                out[k] /= by;
        }
}

static double dot(const float *x, const float *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * y[i];
    return sum;
}

/* Gram matrix (or sums of squares) over the other axes. */
static void gram(along a, const float *x, float *t)
{
    for (int64_t r = 0; r < a.d; r++)
        for (int64_t c = a.full ? 0 : r; c <= r; c++) {
            double sum = 0;
            for (int64_t o = 0; o < a.outer; o++)
                sum += dot(x + (o * a.d + r) * a.inner, x + (o * a.d + c) * a.inner, a.inner);
            if (a.full)
                t[r * a.d + c] = t[c * a.d + r] = (float)sum;
            else
                t[r] = (float)sum;
        }
}

static double largest(const float *x, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

/* A cheap lower bound of the largest singular value of a symmetric matrix. */
static double bound(const float *S, int64_t d, float *x)
{
    double M = largest(S, d * d), best = -1;
    int64_t j = 0;
    if (!(M > 0))
        return M;
    for (int64_t i = 0; i < d; i++) {
        double sum = dot(S + i * d, S + i * d, d);
        j = sum > best ? i : j;
        best = sum > best ? sum : best;
    }
    for (int64_t i = 0; i < d; i++)
        x[i] = (float)(dot(S + i * d, S + j * d, d) / M / M);
    double length = norm2(x, d), sum = 0;
    for (int64_t i = 0; i < d; i++) {
        double v = dot(S + i * d, x, d) / M / length;
        sum += v * v;
    }
    return M * sqrt(sum);
}

/* -- the factors ----------------------------------------------------------------------------------------------------------- */

static void balance(const optim_step *s, const layout *l)
{
    double mean = 0, most[AXES];
    for (int i = 0; i < l->rank; i++) {
        most[i] = largest(s->slot[1 + i], factor_size(l, i));
        mean += log(most[i]) / l->rank;
    }
    for (int i = 0; i < l->rank; i++)
        scale_by(s->slot[1 + i], factor_size(l, i), exp(mean) / most[i]);
}

/* Q -= rate triu(T - U) Q / bound(T + U), T from A and U from B; room: 4 d d numbers. */
static void update_factor(along a, float *q, const float *A, const float *B, double rate, float *room)
{
    int64_t n = a.full ? a.d * a.d : a.d;
    float *T = room, *U = room + n, *sum = room + 2 * n, *x = room + 3 * n;
    gram(a, A, T);
    gram(a, B, U);
    for (int64_t i = 0; i < n; i++) {
        sum[i] = T[i] + U[i];
        T[i] = (T[i] - U[i]) * (float)rate;
    }
    float by = (float)((a.full ? bound(sum, a.d, x) : largest(sum, n)) + FLT_MIN);
    if (!a.full) {
        for (int64_t i = 0; i < n; i++)
            q[i] -= T[i] * q[i] / by;
        return;
    }
    for (int64_t r = 0; r < a.d; r++) {
        memset(x, 0, (size_t)a.d * sizeof *x);
        for (int64_t k = r; k < a.d; k++) {
            float w = T[r * a.d + k] / by;
            for (int64_t c = k; c < a.d; c++)
                x[c] += w * q[k * a.d + c];
        }
        /* Later rows do not read this one: row r of the product has rows k >= r of Q. */
        for (int64_t c = r; c < a.d; c++)
            q[r * a.d + c] -= x[c];
    }
}

static void fill_probe(const optim_step *s, float *v)
{
    if (s->param->probe) {
        memcpy(v, s->param->probe, (size_t)s->n * sizeof *v);
        return;
    }
    uint64_t key = random_bits(hash_name(s->param->name), (uint64_t)s->k);
    for (int64_t i = 0; i < s->n; i += 2) {
        float two[2];
        random_normals(key, (uint64_t)(i / 2 + 1), two);
        v[i] = two[0];
        if (i + 1 < s->n)
            v[i + 1] = two[1];
    }
}

static void update_factors(const optim_step *s, const layout *l, const float *G, double rate)
{
    float *A = s->scratch[0], *B = s->scratch[1], *other = s->scratch[2];
    memcpy(A, G, (size_t)s->n * sizeof *A);
    fill_probe(s, B);
    for (int i = 0; i < l->rank; i++) {
        multiply(axis(s, l, i), false, A, other);
        memcpy(A, other, (size_t)s->n * sizeof *A);
        solve(axis(s, l, i), B);
    }
    for (int i = 0; i < l->rank; i++)
        update_factor(axis(s, l, i), s->slot[1 + i], A, B, rate, s->scratch[2]);
}

/* -- draws ----------------------------------------------------------------------------------------------------------------- */

enum { BALANCE, DECAY, SINCE_UPDATE, NUMBERS_KEPT };

typedef struct draws { mersenne m; bool seeded; int64_t step; } draws;

/* Python's random.Random(1337).random(). */
static void seed(mersenne *m)
{
    enum { N = 624 };
    mersenne_seed(m, 19650218u);
    uint32_t *s = m->word, i = 1;
    for (int k = 0; k < N; k++) {
        s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1664525u) + 1337;
        if (++i == N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    for (int k = 0; k < N - 1; k++) {
        s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1566083941u) - i;
        if (++i == N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    s[0] = 0x80000000u;
}

static double draw(mersenne *m)
{
    uint32_t a = mersenne_draw(m) >> 5, b = mersenne_draw(m) >> 6;
    return (a * 67108864. + b) / 9007199254740992.;
}

/* Parameters without weight decay come first, as their group does.  After a resumption the steps before are drawn again. */
static double before(const void *opt, void *common, const optim_param *p, int n, int64_t k, double *numbers)
{
    const struct kron *o = opt;
    draws *d = common;
    if (!d->seeded) {
        seed(&d->m);
        d->seeded = true;
    }
    for (; d->step < k; d->step++)
        for (int decayed = 0; decayed < 2; decayed++)
            for (int i = 0; i < n; i++) {
                if ((p[i].weight_decay != 0) != decayed)
                    continue;
                numbers[i * NUMBERS_KEPT + BALANCE] = draw(&d->m);
                numbers[i * NUMBERS_KEPT + DECAY] = o->stochastic_weight_decay && decayed ? 2 * draw(&d->m) : 1;
            }
    return 0;
}

/* -- a step ---------------------------------------------------------------------------------------------------------------- */

/* 1 for 500 steps, then falling to .03 by step 4000. */
static double annealed(double step) { return fmin(fmax(exp(-.001 * (step - 500)), .03), 1); }

static void kron(const optim_step *s)
{
    const struct kron *o = s->opt;
    layout l = layout_of(o, s->param->shape);
    double p = o->preconditioner_update_probability;
    float *G = s->scratch[3], *u = s->scratch[0], *other = s->scratch[1];
    bool update = s->number[SINCE_UPDATE] + 1 >= 1 / (p == p ? p : annealed((double)(s->k - 1)));
    s->number[SINCE_UPDATE] = update ? 0 : s->number[SINCE_UPDATE] + 1;
    ema(s->slot[0], s->g, s->n, o->momentum);
    memcpy(G, s->slot[0], (size_t)s->n * sizeof *G);
    scale_by(G, s->n, 1 / (1 - pow(o->momentum, (double)s->k)));
    if (update && l.rank > 1 && s->number[BALANCE] < .01)
        balance(s, &l);
    if (update)
        update_factors(s, &l, o->momentum_into_precond_update ? G : s->g, o->precond_lr);
    memcpy(u, G, (size_t)s->n * sizeof *u);
    for (int i = 0; i < l.rank; i++) {
        multiply(axis(s, &l, i), false, u, other);
        multiply(axis(s, &l, i), true, other, u);
    }
    scale_by(u, s->n, fmin(1, 1.1 / (rms(u, s->n) + 1e-8)));
    optim_step with = *s;
    with.wd *= s->number[DECAY];
    if (s->wd != 0 && o->decoupled_decay)
        decay(&with, o->corrected_weight_decay);
    else if (s->wd != 0)
        add_scaled(u, s->p, s->n, with.wd);
    add_scaled(s->p, u, s->n, -s->lr);
}

const optim_kind optim_kron = { .name = "Kron", .lr = 1e-3, .size = sizeof(struct kron), OPTIONS(options), .check = check,
                                .slots = { "momentum_buffer", "Q0", "Q1", "Q2", "Q3", "Q4" }, .slot_size = slot_size,
                                .numbers = NUMBERS_KEPT, .scratch = 4, .scratch_size = scratch_size, .common = sizeof(draws),
                                .init = init, .before = before, .step = kron };
