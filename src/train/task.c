/* task.c - the tasks' names and metrics. */
#include "train/task.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The loss first, then what the best epoch goes by. */
static const timm_metric metrics[][8] = {
    { { "loss", "loss", "", true }, { "top1", "top-1", " %", false }, { "top5", "top-5", " %", false }, { NULL, NULL, NULL, false } },
    { { "loss", "loss", "", true }, { "map", "mAP", " %", false }, { "micro_f1", "micro F1", " %", false }, { "macro_f1", "macro F1", " %", false },
      { "sample_f1", "sample F1", " %", false }, { NULL, NULL, NULL, false } },
    { { "loss", "loss", "", true }, { "rmse", "RMSE", "", true }, { "mae", "MAE", "", true }, { "r2", "R2", "", false }, { NULL, NULL, NULL, false } },
};
static const struct { const char *name; size_t offset; } fields[] = {
    { "loss", offsetof(timm_metrics, loss) }, { "top1", offsetof(timm_metrics, top1) }, { "top5", offsetof(timm_metrics, top5) },
    { "map", offsetof(timm_metrics, map) }, { "micro_f1", offsetof(timm_metrics, micro_f1) }, { "macro_f1", offsetof(timm_metrics, macro_f1) },
    { "sample_f1", offsetof(timm_metrics, sample_f1) }, { "rmse", offsetof(timm_metrics, rmse) }, { "mae", offsetof(timm_metrics, mae) },
    { "r2", offsetof(timm_metrics, r2) },
};

timm_task task_named(const char *name)
{
    return !strcmp(name, "multilabel") ? TIMM_MULTILABEL : !strcmp(name, "regression") ? TIMM_REGRESSION : TIMM_CLASSIFICATION;
}

timm_task task_of(const train_options *o) { return task_named(train_text(o, "task")); }

const timm_metric *timm_metrics_of(timm_task task) { return metrics[task]; }

const timm_metric *task_metric_named(timm_task task, const char *name)
{
    for (const timm_metric *m = metrics[task]; m->name; m++)
        if (!strcmp(m->name, name))
            return m;
    return NULL;
}

static double *field_of(const timm_metric *metric, timm_metrics *of)
{
    size_t i = 0;
    while (strcmp(fields[i].name, metric->name) != 0)
        i++;
    return (double *)(void *)((char *)of + fields[i].offset);
}

double task_metric_value(const timm_metric *metric, const timm_metrics *of) { return *field_of(metric, (timm_metrics *)(uintptr_t)of); }
void task_metric_set(const timm_metric *metric, timm_metrics *of, double value) { *field_of(metric, of) = value; }
double timm_metric_value(const timm_metric *metric, const timm_metrics *of) { return metric && of ? task_metric_value(metric, of) : 0; }

const timm_metric *task_best_metric(const train_options *o, status *st)
{
    timm_task task = task_of(o);
    const char *name = train_text(o, "eval-metric");
    const timm_metric *m = *name ? task_metric_named(task, name) : &metrics[task][1];
    char has[128] = "";
    for (const timm_metric *k = metrics[task]; !m && k->name; k++)
        snprintf(has + strlen(has), sizeof has - strlen(has), "%s%s", *has ? ", " : "", k->name);
    if (!m)
        status_fail(st, TIMM_BAD_ARG, "--task %s has the metrics %s, not %s", train_text(o, "task"), has, name);
    return m;
}
