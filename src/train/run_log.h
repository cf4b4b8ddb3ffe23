/* run_log.h - what a run leaves behind for people: args.yaml, summary.csv, TensorBoard events, report.html. */
#ifndef TRAIN_RUN_LOG_H
#define TRAIN_RUN_LOG_H
#include "base/status.h"
#include "timm/train.h"
#include "train/train_options.h"

/* "name: value\n" as YAML, to be freed; NULL: out of memory. */
char *args_line(const char *name, const char *value);
/* options in force, in the table's order: args.yaml as timm's.  made: lines about the network, or NULL. */
bool write_args(const char *path, const char *model, const char *made, const train_options *o, status *st);

/* summary.csv: epoch,train_loss,eval_METRIC...,lr with the task's metrics, eval_loss,eval_top1,eval_top5 first of all.  Rows of epochs from `epoch` on are taken off: a resumed run
 * writes them again.  Appends one row; the header comes with the first. */
bool summary_trim(const char *path, timm_task task, int64_t epoch, status *st);
bool summary_add(const char *path, timm_task task, const timm_epoch *e, status *st);
/* The rows so far; *rows for free().  No file: none. */
int summary_read(const char *path, timm_task task, timm_epoch **rows, status *st);

/* TensorBoard: an event file in `folder`, scalars by tag.  step above 0: the run goes on from there, and TensorBoard forgets
 * what earlier files tell of that step and later ones. */
typedef struct events events;
events *events_open(const char *folder, int64_t step, status *st);
bool events_scalar(events *e, const char *tag, int64_t step, double value, status *st);
void events_close(events *e);

/* report.html: one file, no links: curves, the best epoch, the confusion matrix of the last validation. */
bool write_report(const char *path, const char *title, const train_options *o, const char *model, const timm_epoch *rows, int n,
                  const timm_metrics *last, const char *const *labels, int n_labels, status *st);

#endif
