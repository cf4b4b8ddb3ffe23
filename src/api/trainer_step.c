/* trainer_step.c - from gradients to new parameters: groups, clipping, optimizer, schedule, average. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/names.h"
#include "api/trainer.h"
#include "train/ema.h"
#include "train/task.h"

/* -- what is trained, and how ------------------------------------------------------------------------------------------- */

static double number_or_0(const train_options *o, const char *name)
{
    double v = train_number(o, name);
    return v == v ? v : 0;                  /* not given: NaN */
}

static bool match_module(void *user, const char *pattern)
{
    const char **name = user;
    if (name_in_module(pattern, *name))
        *name = "";
    return true;
}

static bool of_head(const timm_model *m, const char *name)
{
    for (const char *p = m->cfg.classifier; p && *p;) {
        size_t n = strcspn(p, " ");
        if (!strncmp(name, p, n) && name[n] == '.')
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

/* Some parameter is in it. */
static bool is_module(void *user, const char *pattern)
{
    const timm_trainer *t = user;
    for (size_t i = 0; i < t->m->entries; i++)
        if (name_in_module(pattern, t->m->entry[i]->name))
            return true;
    return status_fail(&t->m->ctx->st, TIMM_BAD_ARG, "--freeze %s: no parameter of %s has such a name; see timm info %s --tensors", pattern,
                       t->m->cfg.architecture, t->m->cfg.architecture);
}

bool trainer_freezes(void *trainer, const nn_entry *e)
{
    const timm_trainer *t = trainer;
    const char *name = e->name;
    train_words(&t->opts, "freeze", match_module, &name);
    return !*name || (train_flag(&t->opts, "head-only") && !of_head(t->m, e->name));
}

bool trainer_find_groups(timm_trainer *t)
{
    timm_model *m = t->m;
    const train_options *o = &t->opts;
    group_opts by = { .weight_decay = train_number(o, "weight-decay"), .layer_decay = number_or_0(o, "layer-decay"),
                      .min_scale = number_or_0(o, "layer-decay-min-scale"), .no_opt_scale = number_or_0(o, "layer-decay-no-opt-scale") };
    if (!t->group && !(t->group = calloc(m->entries + 1, sizeof *t->group)))
        return status_fail(&m->ctx->st, TIMM_NO_MEMORY, "out of memory for a trainer");
    if (!train_words(o, "freeze", is_module, t) || !model_param_groups(m, &by, t->group))
        return false;
    for (size_t i = 0; i < m->entries; i++)
        t->group[i].frozen |= trainer_freezes(t, m->entry[i]);
    return true;
}

const param_group *trainer_group(const timm_trainer *t, const nn_entry *e)
{
    size_t i = 0;
    while (t->m->entry[i] != e)
        i++;
    return &t->group[i];
}

static int group_of(timm_trainer *t, double scale)
{
    for (int i = 0; i < t->groups; i++)
        if (t->group_scale[i] == scale)
            return i;
    t->group_scale[t->groups] = scale;
    return t->groups++;
}

static bool list_trained(timm_trainer *t)
{
    size_t n = (size_t)t->params + 1;
    t->trained = calloc(n, sizeof *t->trained);
    t->trained_param = calloc(n, sizeof *t->trained_param);
    t->trained_group = calloc(n, sizeof *t->trained_group);
    t->group_scale = calloc(n, sizeof *t->group_scale);
    t->clip = calloc(n, sizeof *t->clip);
    if (!t->trained || !t->trained_param || !t->trained_group || !t->group_scale || !t->clip)
        return status_fail(&t->m->ctx->st, TIMM_NO_MEMORY, "out of memory for a trainer");
    group_of(t, 1);
    for (int i = 0; i < t->params; i++) {
        nn_entry *e = t->param[i];
        const param_group *g = trainer_group(t, e);
        if (!t->gradient[i])
            continue;
        float *value = nn_own(e);
        if (!value)
            return false;
        t->trained[t->trained_count] = (optim_param){ .name = e->name, .shape = e->shape, .value = value,
                                                      .weight_decay = g->weight_decay };
        t->trained_group[t->trained_count] = group_of(t, g->lr_scale);
        t->trained_param[t->trained_count++] = i;
    }
    return t->trained_count || status_fail(&t->m->ctx->st, TIMM_BAD_ARG, "%s: no parameter is left to train", t->m->cfg.architecture);
}

/* -- options into arguments ------------------------------------------------------------------------------------------------ */

enum { ARGS = 48 };
typedef struct args { optim_arg arg[ARGS]; int n; char text[ARGS][320]; } args;

static void add(args *a, const char *key, const char *value)
{
    if (!*value || a->n == ARGS)
        return;
    snprintf(a->text[a->n], sizeof a->text[a->n], "%s", value);
    for (char *p = a->text[a->n]; *p; p++)
        *p = *p == ' ' ? ',' : *p;
    a->arg[a->n] = (optim_arg){ key, a->text[a->n] };
    a->n++;
}

static bool add_pair(void *user, const char *word)
{
    args *a = user;
    const char *eq = strchr(word, '=');
    if (!eq || a->n == ARGS)
        return false;
    snprintf(a->text[a->n], sizeof a->text[a->n], "%s", word);
    a->text[a->n][eq - word] = 0;
    a->arg[a->n] = (optim_arg){ a->text[a->n], a->text[a->n] + (eq - word) + 1 };
    a->n++;
    return true;
}

static bool make_optimizer(timm_trainer *t)
{
    args *a = calloc(1, sizeof *a);
    status *st = &t->m->ctx->st;
    if (!a)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for an optimizer");
    add(a, "eps", train_text(&t->opts, "opt-eps"));
    add(a, "betas", train_text(&t->opts, "opt-betas"));
    add(a, "momentum", train_text(&t->opts, "momentum"));
    bool ok = train_words(&t->opts, "opt-kwargs", add_pair, a)
              || status_fail(st, TIMM_BAD_ARG, "--opt-kwargs takes KEY=VALUE, not '%s'", train_text(&t->opts, "opt-kwargs"));
    t->optimizer = ok ? optimizer_new(train_text(&t->opts, "opt"), trainer_base_lr(t), t->trained, t->trained_count, a->arg, a->n,
                                      ctx_pool(t->m->ctx), st)
                      : NULL;
    free(a);
    return t->optimizer != NULL;
}

double trainer_base_lr(const timm_trainer *t)
{
    const train_options *o = &t->opts;
    double lr = train_number(o, "lr");
    if (lr == lr)
        return lr;
    const char *how = train_text(o, "lr-base-scale"), *opt = train_text(o, "opt");
    double ratio = (double)train_int(o, "batch-size") * (double)train_int(o, "grad-accum-steps") / (double)train_int(o, "lr-base-size");
    bool root = *how ? !strcmp(how, "sqrt") : strcasestr(opt, "ada") || strcasestr(opt, "lamb");
    return train_number(o, "lr-base") * (root ? sqrt(ratio) : ratio);
}

/* timm_train's option: create_scheduler_v2's. */
static const char *const schedule_options[][2] = {
    { "epochs", "num_epochs" }, { "decay-epochs", "decay_epochs" }, { "decay-milestones", "decay_milestones" },
    { "cooldown-epochs", "cooldown_epochs" }, { "patience-epochs", "patience_epochs" }, { "decay-rate", "decay_rate" },
    { "min-lr", "min_lr" }, { "warmup-lr", "warmup_lr" }, { "warmup-epochs", "warmup_epochs" }, { "lr-noise", "noise" },
    { "lr-noise-pct", "noise_pct" }, { "lr-noise-std", "noise_std" }, { "seed", "noise_seed" }, { "lr-cycle-mul", "cycle_mul" },
    { "lr-cycle-decay", "cycle_decay" }, { "lr-cycle-limit", "cycle_limit" }, { "lr-k-decay", "k_decay" },
    { "warmup-prefix", "warmup_prefix" },
};

static bool make_schedule(timm_trainer *t)
{
    args *a = calloc(1, sizeof *a);
    if (!a)
        return status_fail(&t->m->ctx->st, TIMM_NO_MEMORY, "out of memory for a schedule");
    for (size_t i = 0; i < sizeof schedule_options / sizeof *schedule_options; i++)
        add(a, schedule_options[i][1], train_text(&t->opts, schedule_options[i][0]));
    char updates[32];
    snprintf(updates, sizeof updates, "%lld", (long long)t->updates_per_epoch);
    bool by_update = train_flag(&t->opts, "sched-on-updates") && t->updates_per_epoch;
    add(a, "step_on_epochs", by_update ? "false" : "true");
    add(a, "updates_per_epoch", by_update ? updates : "");
    const timm_metric *best = task_best_metric(&t->opts, &t->m->ctx->st);
    add(a, "plateau_mode", best && best->less_is_better ? "min" : "max");
    schedule_arg arg[ARGS];
    for (int i = 0; i < a->n; i++)
        arg[i] = (schedule_arg){ a->arg[i].key, a->arg[i].value };
    t->schedule = schedule_new(train_text(&t->opts, "sched"), arg, a->n, trainer_base_lr(t), t->group_scale, t->groups, &t->m->ctx->st);
    free(a);
    return t->schedule != NULL;
}

static void make_clip(timm_trainer *t)
{
    static const char *const names[] = { "", "norm", "value", "agc" };
    const char *mode = train_text(&t->opts, "clip-mode");
    t->clip_limit = train_number(&t->opts, "clip-grad");
    for (int i = CLIP_NORM; i <= CLIP_AGC && t->clip_limit > 0; i++)
        if (!strcmp(names[i], mode))
            t->clip_mode = (clip_mode)i;
}

static bool make_average(timm_trainer *t)
{
    timm_model *m = t->m;
    int64_t n = 0;
    if (!train_flag(&t->opts, "model-ema"))
        return true;
    for (size_t i = 0; i < m->entries; i++)
        n += tg_numel(m->entry[i]->shape);
    t->ema = calloc(m->entries + 1, sizeof *t->ema);
    t->ema_block = malloc((size_t)n * sizeof *t->ema_block + 1);
    if (!t->ema || !t->ema_block)
        return status_fail(&m->ctx->st, TIMM_NO_MEMORY, "out of memory for the average of the weights");
    float *next = t->ema_block;
    for (size_t i = 0; i < m->entries; i++) {
        const float *value = nn_own(m->entry[i]);
        if (!value)
            return false;
        t->ema[i] = memcpy(next, value, (size_t)tg_numel(m->entry[i]->shape) * sizeof *next);
        next += tg_numel(m->entry[i]->shape);
    }
    return true;
}

bool trainer_start(timm_trainer *t)
{
    if (t->started)
        return status_ok(&t->m->ctx->st);
    t->started = true;
    make_clip(t);
    return trainer_needs_plan(t) && list_trained(t) && make_optimizer(t) && make_schedule(t) && make_average(t);
}

bool trainer_finite(const float *v, int64_t n)
{
    float sum = 0;                          /* 0 times what is no number, or infinite, is no number */
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * 0.f;
    return sum == 0;
}

bool trainer_sane(const float *v, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabsf(v[i]) > most ? fabsf(v[i]) : most;
    return most < 1e15f && trainer_finite(v, n);
}

bool trainer_finite_gradients(const timm_trainer *t)
{
    for (int i = 0; i < t->params; i++)
        if (t->gradient[i] && !trainer_finite(trainer_gradient(t, i), tg_numel(t->param[i]->shape)))
            return false;
    return true;
}

void trainer_step_free(timm_trainer *t)
{
    optimizer_free(t->optimizer);
    schedule_free(t->schedule);
    free(t->group);
    free(t->trained);
    free(t->trained_param);
    free(t->trained_group);
    free(t->group_scale);
    free(t->clip);
    free(t->sum);
    free(t->sum_block);
    free(t->ema);
    free(t->ema_block);
}

/* -- a step ---------------------------------------------------------------------------------------------------------------- */

static void mean_of(float *sum, int calls, int64_t n)
{
    float by = 1 / (float)calls;
    for (int64_t i = 0; sum && calls > 1 && i < n; i++)
        sum[i] *= by;
}

/* timm leaves the head out of adaptive clipping: the last two of all parameters, frozen ones counted.  Where these begin. */
static int unclipped(const timm_trainer *t)
{
    int at = t->params, left = t->clip_mode == CLIP_AGC ? 2 : 0;
    while (at && left)
        left -= !t->param[--at]->par.buffer;
    return at;
}

/* Sums become means and are clipped; untouched gradients stay where the plan put them. */
static bool settle_gradients(timm_trainer *t)
{
    if (t->calls > 1 || t->clip_mode) {
        int clipped = 0, end = unclipped(t);
        if (!trainer_own_gradients(t))
            return false;
        for (int i = 0; i < t->trained_count; i++) {
            float *g = t->sum[t->trained_param[i]], *h = t->curves ? t->sum[t->params + t->trained_param[i]] : NULL;
            mean_of(g, t->calls, tg_numel(t->trained[i].shape));
            mean_of(h, t->calls, tg_numel(t->trained[i].shape));
            if (t->trained_param[i] < end)
                t->clip[clipped++] = (clip_tensor){ g, t->trained[i].value, t->trained[i].shape };
        }
        clip_gradients(t->clip_mode, t->clip_limit, t->clip, clipped);
    }
    for (int i = 0; i < t->trained_count; i++) {
        t->trained[i].grad = trainer_gradient(t, t->trained_param[i]);
        t->trained[i].hessian = t->curves ? trainer_gradient(t, t->params + t->trained_param[i]) : NULL;
        t->trained[i].lr = schedule_lr(t->schedule, t->trained_group[i]);
    }
    return true;
}

static void move_average(timm_trainer *t)
{
    double decay = ema_decay(train_number(&t->opts, "model-ema-decay"), train_flag(&t->opts, "model-ema-warmup"), t->updates);
    for (size_t i = 0; i < t->m->entries; i++) {
        nn_entry *e = t->m->entry[i];
        ema_update(t->ema[i], e->owned, tg_numel(e->shape), e->par.integer ? 0 : decay);
    }
}

timm_status timm_optimizer_step(timm_trainer *t)
{
    if (!t)
        return TIMM_BAD_ARG;
    status *st = &t->m->ctx->st;
    if (!t->calls)
        status_fail(st, TIMM_BAD_ARG, "an optimizer step needs gradients: call timm_train_backward first");
    if (!status_ok(st) || !trainer_start(t) || !settle_gradients(t))
        return st->code;
    optimizer_step(t->optimizer);
    t->updates++;
    t->calls = 0;
    t->keep = false;
    if (t->ema)
        move_average(t);
    schedule_update(t->schedule, t->updates);
    model_drop_plans(t->m);
    return st->code;
}

double timm_trainer_lr(const timm_trainer *t) { return t && t->schedule ? schedule_lr(t->schedule, 0) : 0; }
int64_t timm_trainer_updates(const timm_trainer *t) { return t ? t->updates : 0; }

timm_status timm_trainer_end_epoch(timm_trainer *t, double metric)
{
    if (!t)
        return TIMM_BAD_ARG;
    if (!trainer_start(t))
        return t->m->ctx->st.code;
    t->epoch++;
    t->batch = 0;
    t->loss_sum = 0;
    t->loss_count = 0;
    schedule_epoch(t->schedule, t->epoch, metric);
    return t->m->ctx->st.code;
}
