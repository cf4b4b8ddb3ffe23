/* task.h - what a network learns, and what tells how well.  Counterpart: timm.task and its evaluators; regression is ours. */
#ifndef TRAIN_TASK_H
#define TRAIN_TASK_H
#include "train/train_options.h"

timm_task task_named(const char *name);                /* of the option "task"; any other name: classification */
timm_task task_of(const train_options *o);
const timm_metric *task_metric_named(timm_task task, const char *name);         /* NULL: it has none of that name */
double task_metric_value(const timm_metric *metric, const timm_metrics *of);
void task_metric_set(const timm_metric *metric, timm_metrics *of, double value);
/* What "eval-metric" names; without it the first after the loss.  NULL: see st. */
const timm_metric *task_best_metric(const train_options *o, status *st);

#endif
