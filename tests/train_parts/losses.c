/* losses.c - losses with their gradients, weights of classes, mixed targets and CutMix's boxes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "parts.h"
#include "plan/plan.h"
#include "train/class_weights.h"
#include "train/loss.h"
#include "train/mixup.h"

enum { SAMPLES = 400, MOST_ARGS = 12 };
typedef struct problem { const char *name; int64_t n, c; double range; const char *seed; } problem;

static problem problem_of(const json_t *head, const json_t *record)
{
    bool wide = !strcmp(jsonl_text(record, "data"), "wide");
    problem p = wide ? (problem){ "wide", 6, 37, 12, 0 } : (problem){ "small", 12, 10, 4, 0 };
    p.seed = jsonl_text(head, "seed");
    return p;
}

static float *matrix(const problem *p, const char *what, double lo, double hi)
{
    return part_fill(p->n * p->c, lo, hi, "%s/%s/%lldx%lld", p->seed, what, (long long)p->n, (long long)p->c);
}

static float *row(const problem *p, const char *what, double lo, double hi)
{
    return part_fill(p->c, lo, hi, "%s/%s/%lld", p->seed, what, (long long)p->c);
}

static float *counts(const problem *p)
{
    float *n = row(p, "counts", 1, 200);
    for (int64_t i = 0; n && i < p->c; i++)
        n[i] = floorf(n[i]);
    return n;
}

static void make_soft(float *t, const problem *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < p->c; k++)
            sum += t[i * p->c + k];
        for (int64_t k = 0; k < p->c; k++)
            t[i * p->c + k] = (float)(t[i * p->c + k] / sum);
    }
}

/* One-hot rows for labels. */
static float *target(const problem *p, const char *what)
{
    bool real = !strcmp(what, "real"), multi = !strcmp(what, "multi"), label = !strcmp(what, "label");
    float *t = matrix(p, real || multi ? what : "each", real ? -p->range : 0, real ? p->range : 1);
    for (int64_t i = 0; t && (multi || label) && i < p->n * p->c; i++)
        t[i] = multi ? t[i] < .3 : (7 * (i / p->c) + 3) % p->c == i % p->c;
    if (t && !strcmp(what, "soft"))
        make_soft(t, p);
    return t;
}

/* The spec's text lives in args. */
typedef struct args { loss_arg arg[MOST_ARGS]; char text[MOST_ARGS][40]; int n; } args;

static loss_spec spec_of(const json_t *record, args *a, const float *weight, const float *pos_weight, const float *n)
{
    const char *key;
    json_t *value;
    loss_spec s = { .name = jsonl_text(record, "loss"), .arg = a->arg };
    a->n = 0;
    json_object_foreach(json_object_get(record, "options"), key, value) {
        if (!strcmp(key, "weight"))
            s.weight = weight;
        else if (!strcmp(key, "pos_weight") && json_is_string(value))
            s.pos_weight = pos_weight;
        else if (a->n + 1 < MOST_ARGS) {
            a->arg[a->n] = (loss_arg){ key, part_text(value, a->text[a->n], sizeof a->text[0]) };
            a->n++;
        }
    }
    if (!strcmp(s.name, "DistributionBalancedLoss")) {
        a->arg[a->n++] = (loss_arg){ "num_samples", "400" };
        s.counts = n;
    }
    s.args = a->n;
    return s;
}

static const float *no_fetch(void *param, bool *temporary) { return (void)param, *temporary = false, NULL; }
static void no_done(void *param, const float *value, bool temporary) { (void)param, (void)value, (void)temporary; }

/* Value and gradient, as the trainer makes them: one plan on the normal backends, d(sum of value)/dx. */
static void run_loss(const json_t *record, const problem *p, const loss_spec *s, const float *x, const float *t,
                     part_report *r)
{
    status st = { 0 };
    tg_graph *g = tg_graph_new(&st);
    tg *logits = tg_input(g, 0, SHAPE(p->n, p->c)), *out[2] = { 0 };
    logits->wants_grad = true;
    out[0] = loss_build(s, logits, tg_input(g, 1, SHAPE(p->n, p->c)), !strcmp(jsonl_text(record, "target"), "label"));
    tg_gradients(out[0], tg_full(out[0], tg_shape_of(out[0]), 1), &logits, 1, &out[1]);
    plan_opts o = { .backends = tg_backends("auto"), .pool = r->threads, .source = { no_fetch, no_done } };
    plan *made = status_ok(&st) && out[1] ? plan_make(g, out, 2, &o, &st) : NULL;
    if (made) {
        plan_run(made, (const float *const[]){ x, t });
        const tg_tensor *value = plan_output(made, 0), *grad = plan_output(made, 1);
        const json_t *want = json_object_get(record, "value");
        double tol = fmax(1e-5, 10 * jsonl_number(record, "noise"));
        if (json_is_number(want))
            part_number(r, "value", json_number_value(want), *(const float *)value->data,
                        tol * fabs(json_number_value(want)));
        else
            part_tensor(r, "value", want, value->data, value->shape, tol);
        part_tensor(r, "grad", json_object_get(record, "grad"), grad->data, grad->shape,
                    fmax(1e-5, 10 * jsonl_number(record, "grad_noise")));
    } else {
        part_differ(r, "    %s\n", st.text[0] ? st.text : "no gradient");
    }
    plan_free(made);
    tg_graph_free(g);
}

static void check_loss(const json_t *record, const problem *p, part_report *r)
{
    static args a;
    float *x = matrix(p, "logits", -p->range, p->range), *t = target(p, jsonl_text(record, "target"));
    float *weight = row(p, "weight", .5, 2), *pos_weight = row(p, "pos_weight", .5, 3), *n = counts(p);
    loss_spec s = spec_of(record, &a, weight, pos_weight, n);
    char *options = json_dumps(json_object_get(record, "options"), JSON_COMPACT);
    snprintf(r->label, sizeof r->label, "%s %s %s %.100s", s.name, p->name, jsonl_text(record, "target"), options);
    if (x && t && weight && pos_weight && n)
        run_loss(record, p, &s, x, t, r);
    else
        part_differ(r, "    out of memory\n");
    free(options);
    free(x);
    free(t);
    free(weight);
    free(pos_weight);
    free(n);
}

static void check_class_weights(const json_t *record, const problem *p, part_report *r)
{
    const json_t *o = json_object_get(record, "class_weights");
    class_weights_opts opts = { jsonl_text(o, "method"), jsonl_number(o, "power"), jsonl_number(o, "beta"),
                                jsonl_number(o, "max_weight") };
    float *n = counts(p), *w = calloc((size_t)p->c, sizeof *w);
    bool positive = false;
    status st = { 0 };
    snprintf(r->label, sizeof r->label, "class weights %s %s", opts.method, p->name);
    if (!n || !w || !class_weights(&opts, n, p->c, SAMPLES, w, &positive, &st))
        part_differ(r, "    %s\n", st.text);
    else
        part_tensor(r, "weights", json_object_get(record, "weights"), w, SHAPE(p->c), 1e-6);
    if (strcmp(jsonl_text(record, "kind"), positive ? "pos_weight" : "class_weight") != 0)
        part_differ(r, "    not for %s\n", jsonl_text(record, "kind"));
    free(n);
    free(w);
}

static void check_mixup(const json_t *record, const problem *p, part_report *r)
{
    const char *kind = jsonl_text(record, "mixup_target");
    const json_t *given = json_object_get(record, "lam");
    float *t = target(p, kind), *out = calloc((size_t)(p->n * p->c), sizeof *out);
    float *lam = part_fill(p->n, 0, 1, "%s/lam/%lld", p->seed, (long long)p->n);
    snprintf(r->label, sizeof r->label, "mixup %s %s", kind, p->name);
    if (t && out && lam) {
        for (int64_t i = 0; i < p->n && json_is_number(given); i++)
            lam[i] = (float)json_number_value(given);
        mixup_target(t, p->n, p->c, lam, jsonl_number(record, "smoothing"), !strcmp(kind, "multi"), out);
        part_tensor(r, "target", json_object_get(record, "result"), out, SHAPE(p->n, p->c), 1e-6);
    }
    free(t);
    free(out);
    free(lam);
}

static void check_cutmix(const json_t *record, part_report *r)
{
    int64_t v[8];
    const char *const keys[] = { "cutmix", "centre", "box" };
    for (size_t k = 0, at = 0; k < 3; k++)
        for (size_t i = 0; i < (k < 2 ? 2 : 4); i++)
            v[at++] = json_integer_value(json_array_get(json_object_get(record, keys[k]), i));
    snprintf(r->label, sizeof r->label, "cutmix %lldx%lld", (long long)v[0], (long long)v[1]);
    cutmix_box b = cutmix_box_at(v[0], v[1], jsonl_number(record, "lam"), v[2], v[3]);
    if (b.y0 != v[4] || b.y1 != v[5] || b.x0 != v[6] || b.x1 != v[7])
        part_differ(r, "    [%lld, %lld, %lld, %lld]\n", (long long)b.y0, (long long)b.y1, (long long)b.x0,
                    (long long)b.x1);
    part_number(r, "lam", jsonl_number(record, "corrected_lam"), cutmix_lam(b, v[0], v[1]), 1e-8);
}

void check_losses(const json_t *head, const json_t *record, part_report *r)
{
    problem p = problem_of(head, record);
    if (json_object_get(record, "loss"))
        check_loss(record, &p, r);
    else if (json_object_get(record, "class_weights"))
        check_class_weights(record, &p, r);
    else if (json_object_get(record, "mixup_target"))
        check_mixup(record, &p, r);
    else if (json_object_get(record, "cutmix"))
        check_cutmix(record, r);
    else
        part_differ(r, "    an unknown kind of record\n");
}
