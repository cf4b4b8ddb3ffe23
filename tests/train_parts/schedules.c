/* schedules.c - the rate of two groups after each of 39 steps, and the number of epochs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "parts.h"
#include "train/schedule.h"

enum { MOST_ARGS = 24 };

/* Options of timm's classes, under create_scheduler_v2's names. */
static const struct { const char *theirs, *ours; } renamed[] = {
    { "t_initial", "num_epochs" }, { "warmup_t", "warmup_epochs" },     { "warmup_lr_init", "warmup_lr" },
    { "lr_min", "min_lr" },        { "patience_t", "patience_epochs" }, { "mode", "plateau_mode" },
    { "decay_t", "decay_epochs" }, { "power", "decay_rate" },
};
/* What their classes leave out, where create_scheduler_v2 has another default. */
static const struct { const char *name, *sched; schedule_arg arg[3]; } classes[] = {
    { "TanhLRScheduler", "tanh", { { "cycle_decay", "1" }, { "warmup_lr", "0" } } },
    { "PolyLRScheduler", "poly", { { "cycle_decay", "1" }, { "warmup_lr", "0" } } },
    { "PlateauLRScheduler", "plateau", { { "warmup_lr", "0" } } },
    { "WSDLRScheduler", "wsd", { { "warmup_lr", "0" }, { "warmup_prefix", "true" } } },
};

typedef struct args { schedule_arg arg[MOST_ARGS]; char text[MOST_ARGS][100]; int n; } args;

static const char *read_class(const char *name, args *a)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (!strcmp(classes[i].name, name)) {
            for (const schedule_arg *d = classes[i].arg; d->key; d++)
                a->arg[a->n++] = *d;
            return classes[i].sched;
        }
    return name;
}

static const char *read_args(const json_t *options, args *a)
{
    const char *key, *name = jsonl_text(options, "class");
    const char *sched = name[0] ? read_class(name, a) : jsonl_text(options, "sched");
    json_t *value;
    json_object_foreach((json_t *)options, key, value) {
        if (!strcmp(key, "sched") || !strcmp(key, "class") || json_is_null(value) || a->n == MOST_ARGS)
            continue;
        const char *ours = key;
        for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
            if (name[0] && !strcmp(renamed[i].theirs, key))
                ours = renamed[i].ours;
        a->arg[a->n] = (schedule_arg){ ours, part_text(value, a->text[a->n], sizeof a->text[0]) };
        a->n++;
    }
    return sched;
}

static void compare(const json_t *want, const schedule *s, size_t t, part_report *r)
{
    for (size_t i = 0; i < 2; i++) {
        double lr = json_number_value(json_array_get(json_array_get(want, t), i));
        char what[40];
        snprintf(what, sizeof what, "step %zu, group %zu", t, i);
        part_number(r, what, lr, schedule_lr(s, (int)i), fmax(1e-9 * fabs(lr), 1e-15));
    }
}

void check_schedules(const json_t *head, const json_t *record, part_report *r)
{
    static args a;
    const json_t *want = json_object_get(record, "lr"), *metric = json_object_get(record, "metric");
    const double scale[2] = { 1, .5 };
    status st = { 0 };
    (void)head;
    a.n = 0;
    const char *sched = read_args(json_object_get(record, "options"), &a);
    char *options = json_dumps(json_object_get(record, "options"), JSON_COMPACT);
    snprintf(r->label, sizeof r->label, "%.190s", options);
    free(options);
    schedule *s = schedule_new(sched, a.arg, a.n, jsonl_number(record, "base"), scale, 2, &st);
    if (!s) {
        part_differ(r, "    %s\n", st.text);
        return;
    }
    const json_t *total = json_object_get(record, "total_epochs");
    if (total && json_number_value(total) != (double)schedule_epochs(s))
        part_differ(r, "    %lld epochs, not %g\n", (long long)schedule_epochs(s), json_number_value(total));
    compare(want, s, 0, r);
    for (size_t t = 1; t < json_array_size(want); t++) {
        schedule_update(s, (int64_t)t);
        if (strcmp(jsonl_text(record, "unit"), "update") != 0)
            schedule_epoch(s, (int64_t)t, metric ? json_number_value(json_array_get(metric, t - 1)) : NAN);
        compare(want, s, t, r);
    }
    schedule_free(s);
}
