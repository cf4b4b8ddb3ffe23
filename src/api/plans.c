/* plans.c - the plans made of a model so far, and how many images of a batch each stretch of layers runs at once.
 *
 * Maps of a few images stay in the cache of the processor where those of sixteen travel to memory and back at each layer; but each
 * slice of a batch reads all weights, so that it may have as many bytes as they.  Maps shrink and weights grow on the way through a
 * network: between two stages, where all that is known of an image is one value, the number may change.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/model.h"
#include "plan/tune.h"

static const size_t cached = 10 << 20;          /* bytes of arena a thread that are quick: 4 to 16 MB did as well on Zen 3 */
enum { STRETCHES = 12 };

/* Stretch k ends with tap[k], the last one with the network, and runs images[k] at a time. */
typedef struct course {
    int stretches, tap[STRETCHES];
    int64_t images[STRETCHES];
} course;

/* Slices of s cost their images, those computed twice too, and each slice a tenth of an image. */
static double cost(int64_t batch, int64_t s) { return (double)((batch + s - 1) / s) * ((double)s + .1); }

int64_t slice_of(int64_t batch, size_t image_bytes, size_t weight_bytes, int threads)
{
    const size_t quick = cached * (size_t)threads;
    size_t room = (weight_bytes > quick ? weight_bytes : quick) / (image_bytes ? image_bytes : 1);
    int64_t most = room < 1 ? 1 : room < (size_t)batch ? (int64_t)room : batch, best = most;
    for (int64_t s = most; s-- > 1;)
        best = cost(batch, s) < cost(batch, best) ? s : best;
    return best;
}

/* -- making ---------------------------------------------------------------------------------------------------------------- */

static const float *fetch(void *entry, bool *temporary) { return nn_fetch(entry, temporary); }
static void done(void *entry, const float *value, bool temporary) { nn_done(entry, value, temporary); }

static plan *make_plan(timm_model *m, part what, tg_shape input, const course *c, bool sketch)
{
    nn_build b[STRETCHES];
    plan_stretch stretch[STRETCHES];
    tg *out[256], *left[STRETCHES];
    int made = 0, n = 0;
    plan_opts o = { .backends = ctx_backends(m->ctx), .pool = ctx_pool(m->ctx), .verbose = m->ctx->verbose, .source = { .fetch = fetch, .done = done },
                    .precision = m->precision, .batch = input.dim[0], .sketch = sketch, .without = m->ctx->without, .tune = ctx_tune(m->ctx) };
    for (bool ok = true; made < c->stretches && ok; made++) {
        const bool last = made == c->stretches - 1;
        input.dim[0] = c->images[made];
        ok = model_build(m, what, input, &b[made], out, 256, &n);
        if (ok && made)
            tg_begin(b[made].tap[c->tap[made - 1]].value, 0);
        if (ok && !last)
            left[made] = b[made].tap[c->tap[made]].value;
        stretch[made] = (plan_stretch){ .graph = b[made].graph, .outputs = last ? out : &left[made], .n_outputs = last ? n : 1,
                                        .images = c->stretches == 1 && c->images[0] == o.batch ? 0 : c->images[made] };
    }
    plan *p = status_ok(&m->ctx->st) ? plan_make_of(stretch, made, &o, &m->ctx->st) : NULL;
    while (made)
        nn_build_close(&b[--made]);
    return p;
}

/* -- where the number of images may change ----------------------------------------------------------------------------------- */

/* used[i]: the last place in the order where what is computed at i or before is asked for; of outputs and what follows them, none. */
static void last_uses(tg **order, int count, tg *const *out, int outputs, int *used)
{
    for (int i = 0; i < count; i++) {
        order[i]->mark = i;
        used[i] = i;
    }
    for (int i = 0; i < count; i++)
        for (int k = 0; k < order[i]->n_in && !order[i]->constant; k++)
            if (!order[i]->in[k]->constant)
                used[order[i]->in[k]->mark] = i;
    for (int i = 0; i < outputs; i++)
        used[out[i]->mark] = count;
    for (int i = 1; i < count; i++)
        used[i] = used[i] < used[i - 1] ? used[i - 1] : used[i];
}

/* Stages end with taps.  One will do where it is all that the rest of the network is computed from, and the next one's value has another size:
 * the last of each size but of the last size. */
static bool find_cuts(timm_model *m, part what, tg_shape image, course *c)
{
    nn_build b;
    tg *out[256];
    int n, count = 0, *used = NULL;
    int64_t size = 0;
    *c = (course){ .stretches = 1 };
    tg **order = model_build(m, what, image, &b, out, 256, &n) ? tg_order(b.graph, out, n, &count) : NULL;
    if (order && (used = malloc(((size_t)count + 1) * sizeof *used))) {
        last_uses(order, count, out, n, used);
        for (int i = 0; i < b.taps; i++) {
            const tg *x = b.tap[i].value;
            const int at = x->mark;
            if (at < 1 || at >= count || order[at] != x || used[at - 1] > at || used[at] == count || x->shape.dim[0] != 1 || x->constant)
                continue;
            const bool as_before = c->stretches > 1 && tg_numel(x->shape) == size;
            if (!as_before && c->stretches == STRETCHES)
                break;
            c->tap[c->stretches - 1 - as_before] = i;
            c->stretches += !as_before;
            size = tg_numel(x->shape);
        }
        c->stretches -= c->stretches > 1;
    }
    free(used);
    nn_build_close(&b);
    return used || (order && status_fail(&m->ctx->st, TIMM_NO_MEMORY, "out of memory for a graph of %d nodes", count));
}

/* -- how many ------------------------------------------------------------------------------------------------------------- */

static bool by_rule(timm_model *m, part what, tg_shape input, course *c)
{
    const int64_t batch = input.dim[0];
    for (int k = 0; k < c->stretches; k++)
        c->images[k] = 1;
    input.dim[0] = 1;
    plan *one = make_plan(m, what, input, c, true);
    for (int k = 0; one && k < c->stretches; k++) {
        const plan_stretch_told s = plan_stretch_tell(one, k);
        /* In bf16 maps take longer than products, and should rather stay in the cache, whatever the weights. */
        c->images[k] = slice_of(batch, s.bytes, m->precision == TG_BF16 ? 0 : s.weight_bytes, pool_threads(ctx_pool(m->ctx)));
    }
    plan_free(one);
    return one != NULL;
}

/* Seconds of each stretch, the least of the runs after the first one, of as many as there is time for. */
static void measure(timm_model *m, part what, tg_shape input, const float *x, const course *c, double *seconds)
{
    plan *p = make_plan(m, what, input, c, false);
    double before[STRETCHES] = { 0 };
    const double patience = .2, from = tune_clock();
    if (p)
        plan_profile(p, true);
    for (int i = 0; p && (i < 2 || (i < 8 && tune_clock() - from < patience)); i++) {
        plan_run(p, (const float *const[]){ x });
        for (int k = 0; k < c->stretches; k++) {
            const double now = plan_stretch_tell(p, k).seconds;
            if (i)
                seconds[k] = fmin(seconds[k], now - before[k]);
            before[k] = now;
        }
    }
    plan_free(p);
}

/* Half as many and twice as many images as by rule, where that is quicker, twice looked at; of no more images than that takes. */
static void measured(timm_model *m, part what, tg_shape input, course *c)
{
    int64_t most = 1;
    for (int k = 0; k < c->stretches; k++)
        most = 2 * c->images[k] > most ? 2 * c->images[k] : most;
    input.dim[0] = most < input.dim[0] ? most : input.dim[0];
    const int64_t numbers = tg_numel(input);
    float *x = malloc((size_t)numbers * sizeof *x);
    course of[3] = { *c, *c, *c };
    double s[3][STRETCHES], again[STRETCHES];
    int pick[STRETCHES];
    for (int64_t i = 0; x && i < numbers; i++)
        x[i] = (float)(i % 256 - 128) * 1e-2f;
    for (int k = 0; k < c->stretches; k++) {
        of[1].images[k] = c->images[k] > 1 ? c->images[k] / 2 : 1;
        of[2].images[k] = 2 * c->images[k] <= input.dim[0] ? 2 * c->images[k] : c->images[k];
        s[0][k] = s[1][k] = s[2][k] = again[k] = INFINITY;
    }
    for (int i = 0; x && i < 3; i++)
        measure(m, what, input, x, &of[i], s[i]);
    bool other = false;
    for (int k = 0; k < c->stretches && x; k++) {
        pick[k] = s[1][k] < s[2][k] ? 1 : 2;
        pick[k] = s[pick[k]][k] < s[0][k] * TUNE_CLEARLY ? pick[k] : 0;
        c->images[k] = of[pick[k]].images[k];
        other = other || pick[k];
    }
    if (other) {
        measure(m, what, input, x, &of[0], s[0]);
        measure(m, what, input, x, c, again);
    }
    for (int k = 0; k < c->stretches && other; k++)
        if (!(fmin(s[pick[k]][k], again[k]) < s[0][k] * TUNE_CLEARLY))
            c->images[k] = of[0].images[k];
    free(x);
}

/* "2 4 16" is for three stretches; false: it is not. */
static bool read_images(const char *text, int64_t batch, course *c)
{
    course read = *c;
    for (int k = 0; k < c->stretches; k++) {
        char *end;
        read.images[k] = strtoll(text, &end, 10);
        if (end == text || read.images[k] < 1 || read.images[k] > batch)
            return false;
        text = end;
    }
    *c = read;
    return !*text;
}

/* As many images as were measured to be quickest, or are now. */
static void by_measurement(timm_model *m, part what, tg_shape input, course *c)
{
    char text[TUNE_CALL], found[STRETCHES * 24] = "";
    const int64_t batch = input.dim[0];
    tune *t = ctx_tune(m->ctx);
    input.dim[0] = 1;
    snprintf(text, sizeof text, "images at once: %s part %d %s of %lld %s %d threads", m->cfg.architecture, (int)what, tg_str(input),
             (long long)batch, plan_precisions[m->precision], pool_threads(ctx_pool(m->ctx)));
    input.dim[0] = batch;
    const char *known = t ? tune_find(t, text) : NULL;
    if (!t || (known && read_images(known, batch, c)) || !tune_measures(t))
        return;
    const double before = tune_spent(t), start = tune_clock();
    measured(m, what, input, c);
    for (int k = 0; k < c->stretches; k++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%lld", k ? " " : "", (long long)c->images[k]);
    tune_found(t, text, found, before + tune_clock() - start);
}

/* No more images than further on, where maps are smaller, for whose sake they would leave the cache; and neighbours of as many at once are
 * one stretch. */
static void join(course *c)
{
    int n = 0;
    for (int k = c->stretches - 1; k-- > 0;)
        c->images[k] = c->images[k] < c->images[k + 1] ? c->images[k] : c->images[k + 1];
    for (int k = 0; k < c->stretches; k++) {
        n += k && c->images[k] != c->images[n];
        c->images[n] = c->images[k];
        c->tap[n] = c->tap[k];
    }
    c->stretches = n + 1;
}

static bool choose_course(timm_model *m, part what, tg_shape input, course *c)
{
    const int64_t batch = input.dim[0];
    *c = (course){ .stretches = 1, .images = { batch } };
    if (batch == 1 || m->ctx->without >> PASS_SLICES & 1)
        return true;
    input.dim[0] = 1;
    if (!find_cuts(m, what, input, c))
        return false;
    input.dim[0] = batch;
    if (!by_rule(m, what, input, c))
        return false;
    if (what != PART_HEAD)
        by_measurement(m, what, input, c);
    join(c);
    return status_ok(&m->ctx->st);
}

/* -- kept ------------------------------------------------------------------------------------------------------------------ */

plan *model_sketch(timm_model *m, part what, tg_shape input)
{
    course c;
    return status_ok(&m->ctx->st) && choose_course(m, what, input, &c) ? make_plan(m, what, input, &c, true) : NULL;
}

void model_drop_plans(timm_model *m)
{
    for (int i = 0; i < PLANS; i++) {
        plan_free(m->plans[i].plan);
        m->plans[i] = (planned){ 0 };
    }
    m->last = -1;
}

planned *model_plan(timm_model *m, part what, tg_shape input)
{
    int at = 0;
    for (int i = 0; i < PLANS; i++) {
        planned *p = &m->plans[i];
        if (p->plan && p->what == what && tg_same(p->input, input)) {
            p->used = ++m->clock;
            m->last = i;
            return p;
        }
        if (p->used < m->plans[at].used)
            at = i;
    }
    course c;
    plan *made = choose_course(m, what, input, &c) ? make_plan(m, what, input, &c, false) : NULL;
    ctx_tune_keep(m->ctx);
    if (!made)
        return NULL;
    plan_free(m->plans[at].plan);
    m->plans[at] = (planned){ .what = what, .input = input, .plan = made, .used = ++m->clock };
    m->last = at;
    plan_profile(made, m->profile);
    return &m->plans[at];
}
