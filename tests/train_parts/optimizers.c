/* optimizers.c - every optimizer on a small problem, step by step, against timm.
 *
 * The problem, its fills and the tolerance are those of the header's program: for each parameter a start p, a target t, a curvature a,
 * noise n at each step; gradient a (p - t) + .1 n. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "parts.h"
#include "train/optimizer.h"

static const struct { const char *name; tg_shape shape; } problem[] = {
    { "pos_embed", { 3, { 1, 5, 16 } } }, { "scale", { 1, { 1 } } }, { "fc.weight", { 2, { 64, 48 } } }, { "fc.bias", { 1, { 64 } } },
    { "conv.weight", { 4, { 16, 8, 3, 3 } } }, { "norm.weight", { 1, { 16 } } },
};
enum { PARAMS = sizeof problem / sizeof *problem };

typedef struct one { float *p, *t, *a, *g, *v; } one;

static bool start(const char *seed, one *x)
{
    bool ok = true;
    for (int i = 0; i < PARAMS; i++) {
        int64_t n = tg_numel(problem[i].shape);
        x[i].p = part_fill(n, -.5, .5, "%s/p/%s", seed, problem[i].name);
        x[i].t = part_fill(n, -.5, .5, "%s/t/%s", seed, problem[i].name);
        x[i].a = part_fill(n, .5, 1.5, "%s/a/%s", seed, problem[i].name);
        x[i].g = malloc((size_t)n * sizeof(float));
        ok = ok && x[i].p && x[i].t && x[i].a && x[i].g;
    }
    return ok;
}

static void stop(one *x)
{
    for (int i = 0; i < PARAMS; i++) {
        free(x[i].p);
        free(x[i].t);
        free(x[i].a);
        free(x[i].g);
        free(x[i].v);
    }
}

/* Each operation rounded by itself. */
static void gradients(const char *seed, int k, one *x)
{
    for (int i = 0; i < PARAMS; i++) {
        int64_t n = tg_numel(problem[i].shape);
        float *noise = part_fill(n, -1, 1, "%s/n/%d/%s", seed, k, problem[i].name);
        for (int64_t e = 0; noise && e < n; e++) {
            volatile float d = x[i].p[e] - x[i].t[e], ad = x[i].a[e] * d, tenth = .1f * noise[e];
            x[i].g[e] = ad + tenth;
        }
        free(noise);
        free(x[i].v);
        x[i].v = part_fill(n, -sqrt(3), sqrt(3), "%s/v/%d/%s", seed, k, problem[i].name);
    }
}

static void check_problem(const char *seed, const json_t *want, part_report *r)
{
    one x[PARAMS] = { { 0 } };
    if (start(seed, x)) {
        gradients(seed, 1, x);
        for (int i = 0; i < PARAMS; i++) {
            const json_t *figures = json_object_get(want, problem[i].name);
            part_tensor(r, "p0", json_object_get(figures, "p0"), x[i].p, problem[i].shape, 1e-6);
            part_tensor(r, "g1", json_object_get(figures, "g1"), x[i].g, problem[i].shape, 1e-6);
        }
    }
    stop(x);
}

/* Where a sign decides, or momentum is kept in bfloat16, one rounding may move an element by 2 lr: from step 10 on. */
static bool by_sign(const json_t *record)
{
    const char *class = jsonl_text(record, "class");
    const json_t *hyper = json_object_get(record, "hyper");
    return json_is_true(json_object_get(hyper, "caution")) || !strcmp(class, "Lion") || !strcmp(class, "AdamP") || !strcmp(class, "SGDP")
           || !strcmp(jsonl_text(hyper, "momentum_dtype"), "bfloat16") || !strcmp(jsonl_text(hyper, "mars_type"), "lion");
}

static void compare(const json_t *record, const char *step, const one *x, part_report *r)
{
    const json_t *want = json_object_get(json_object_get(record, "steps"), step);
    double noise = part_or(json_object_get(record, "noise"), step, 0), lr = fabs(part_or(record, "lr", .01));
    if (!want)
        return;
    for (int i = 0; i < PARAMS; i++) {
        const json_t *figures = json_object_get(want, problem[i].name);
        char what[64];
        double tol = fmax(1e-5, 10 * noise), amax = jsonl_number(figures, "amax");
        if (by_sign(record) && atoi(step) >= 10)
            tol += 2 * lr / fmax(amax, 1e-30);
        snprintf(what, sizeof what, "step %s %s", step, problem[i].name);
        part_tensor(r, what, figures, x[i].p, problem[i].shape, tol);
    }
}

static bool listed(const json_t *names, const char *name)
{
    size_t i;
    json_t *v;
    json_array_foreach(names, i, v)
        if (!strcmp(json_string_value(v), name))
            return true;
    return false;
}

static bool ours(const char *key)
{
    static const char *const elsewhere[] = { "lr", "weight_decay", "fallback_list", "fallback_no_weight_decay" };
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (!strcmp(key, elsewhere[i]))
            return false;
    return true;
}

static void run(const char *seed, const json_t *record, part_report *r)
{
    static char text[32][256];
    one x[PARAMS] = { { 0 } };
    optim_param param[PARAMS];
    optim_arg arg[32];
    int args = 0, last = 0;
    status st = { 0 };
    const char *key;
    json_t *value;
    if (!start(seed, x)) {
        stop(x);
        part_differ(r, "    out of memory\n");
        return;
    }
    for (int i = 0; i < PARAMS; i++)
        param[i] = (optim_param){ .name = problem[i].name, .shape = problem[i].shape, .value = x[i].p, .grad = x[i].g, .hessian = x[i].a,
                                  .weight_decay = part_or(json_object_get(record, "groups"), problem[i].name, 0),
                                  .fallback = listed(json_object_get(record, "fallback"), problem[i].name) };
    json_object_foreach(json_object_get(record, "options"), key, value)
        if (ours(key) && args < 31) {
            part_text(value, text[args], sizeof text[args]);
            arg[args] = (optim_arg){ key, text[args] };
            args++;
        }
    if (json_is_false(json_object_get(record, "bf16")) && !strcmp(jsonl_text(record, "class"), "Muon"))
        arg[args++] = (optim_arg){ "ns_dtype", "float32" };
    double lr = part_or(record, "lr", NAN);
    optimizer *o = optimizer_new(jsonl_text(record, "opt"), lr, param, PARAMS, arg, args, r->threads, &st);
    if (!o)
        part_differ(r, "    %s\n", st.text);
    json_object_foreach(json_object_get(record, "steps"), key, value)
        last = atoi(key) > last ? atoi(key) : last;
    for (int k = 1; o && k <= last; k++) {
        char step[16];
        snprintf(step, sizeof step, "%d", k);
        gradients(seed, k, x);
        for (int i = 0; i < PARAMS; i++) {
            param[i].lr = json_is_true(json_object_get(record, "decaying")) ? lr * (1 - (k - 1) / 200.) : lr;
            param[i].probe = x[i].v;
        }
        optimizer_step(o);
        compare(record, step, x, r);
    }
    optimizer_free(o);
    stop(x);
}

static void check_names(const json_t *left_out, part_report *r)
{
    const char *const *names = optimizer_names();
    for (; *names; names++)
        if (json_object_get(left_out, *names))
            part_differ(r, "    %s is said to need CUDA\n", *names);
}

void check_optimizers(const json_t *head, const json_t *record, part_report *r)
{
    const char *seed = jsonl_text(head, "seed");
    const json_t *first = json_object_get(record, "problem"), *left_out = json_object_get(record, "left_out");
    if (first) {
        snprintf(r->label, sizeof r->label, "the problem");
        check_problem(seed, first, r);
    } else if (left_out) {
        snprintf(r->label, sizeof r->label, "names");
        check_names(left_out, r);
    } else if (json_object_get(record, "model")) {
        check_groups(head, record, r);
    } else {
        snprintf(r->label, sizeof r->label, "%.40s %.60s", jsonl_text(record, "opt"), jsonl_text(record, "config"));
        run(seed, record, r);
    }
}
