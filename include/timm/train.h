/* train.h - training: from one gradient to a whole run.
 *
 * A trainer belongs to a model and writes to its parameters.  Options have the names of timm's train.py and are set as
 * text before the first step.  Three ways to use it, each made of the one before:
 *   timm_train_forward, timm_train_loss, timm_train_backward, timm_optimizer_step      a loop of one's own
 *   timm_trainer_epoch, _validate, ...    epochs over the data set that the options name
 *   timm_trainer_run                      all of it: schedule, validation, checkpoints, logs, as `timm train`
 */
#ifndef TIMM_TRAIN_H
#define TIMM_TRAIN_H
#include "timm/timm.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct timm_trainer timm_trainer;

/* -- options ----------------------------------------------------------------------------------------------------------- */

typedef enum timm_option_kind { TIMM_FLAG, TIMM_INT, TIMM_NUMBER, TIMM_TEXT, TIMM_LIST } timm_option_kind;
typedef struct timm_train_option {
    const char *name;                   /* "weight-decay"; NULL: a heading, whose text is help */
    timm_option_kind kind;
    const char *fallback;               /* the default; NULL: none */
    const char *argument, *help;
} timm_train_option;
/* The table; ends with name and help NULL. */
TIMM_API const timm_train_option *timm_train_options(void);
/* The other name that timm's scripts have for the option of that name, with its dashes: "-vb", "--dr"; NULL: none. */
TIMM_API const char *timm_train_alias(const char *name);

/* timm's names of optimizers, NULL-ended, and a line about each (NULL: no such name). */
TIMM_API const char *const *timm_list_optimizers(void);
TIMM_API const char *timm_optimizer_about(const char *name);
/* How many classes the data set has that "dataset", "data-dir", "train-split" and "class-map" name; kind may be a "task", too:
 * labels of "multilabel", numbers of "regression".  0 with a status. */
TIMM_API int timm_count_classes(timm_ctx *ctx, const char *kind, const char *dir, const char *split, const char *class_map);

/* Close it before the model. */
TIMM_API timm_trainer *timm_trainer_open(timm_model *model);
TIMM_API void timm_trainer_close(timm_trainer *trainer);
/* "weight-decay" or "weight_decay", "0.05"; flags: "true" or "false"; lists: words with blanks or commas between.  Only
 * before the first step. */
TIMM_API timm_status timm_trainer_set(timm_trainer *trainer, const char *name, const char *value);
TIMM_API const char *timm_trainer_get(const timm_trainer *trainer, const char *name);  /* as text; NULL: no such option */
/* How the network was made, "in_chans", "1": what a run writes into args.yaml between the model and its options. */
TIMM_API timm_status timm_trainer_made(timm_trainer *trainer, const char *name, const char *value);

/* -- a loop of one's own ------------------------------------------------------------------------------------------------- */

/* A batch, in this order.  Image (N, C, H, W), in training mode; the logits (N, classes) live until the next forward pass. */
TIMM_API timm_tensor timm_train_forward(timm_trainer *trainer, const timm_tensor *image);
/* The loss that the options name; target (N, classes) of probabilities.  With the option "loss" "given" the loss is the
 * caller's: target is then its gradient by the logits, d loss / d logits, and what comes out the sum of target times logits. */
TIMM_API timm_status timm_train_loss(timm_trainer *trainer, const timm_tensor *target, double *loss);
/* Gradients replace those of the last batch, or add to them after timm_keep_gradients; running statistics move, unless the
 * loss is no finite number.  Image and target must still be there. */
TIMM_API timm_status timm_train_backward(timm_trainer *trainer);
/* The three of them. */
TIMM_API timm_status timm_backward(timm_trainer *trainer, const timm_tensor *image, const timm_tensor *target, double *loss);
/* The next batch adds to the gradients: accumulation. */
TIMM_API void timm_keep_gradients(timm_trainer *trainer);
TIMM_API timm_tensor timm_trainer_logits(const timm_trainer *trainer);              /* of the last call */
/* The gradient of a parameter; rank 0 without data: none flows there.  It lives until the next call. */
TIMM_API timm_tensor timm_gradient(const timm_trainer *trainer, const char *name);
/* Divides what was accumulated by the number of calls, clips, updates the parameters and the average of them (EMA), moves the
 * schedule where it counts updates. */
TIMM_API timm_status timm_optimizer_step(timm_trainer *trainer);
TIMM_API double timm_trainer_lr(const timm_trainer *trainer);                       /* of the next step, first group */
TIMM_API int64_t timm_trainer_updates(const timm_trainer *trainer);                 /* steps so far */
/* The kernel calls of timm_backward once it has run, as timm_get_step has those of inference. */
TIMM_API void timm_trainer_set_profile(timm_trainer *trainer, bool on);
TIMM_API int timm_trainer_step_count(const timm_trainer *trainer);
TIMM_API timm_step timm_trainer_get_step(const timm_trainer *trainer, int i);
/* The end of an epoch: moves the schedule.  metric: what "eval-metric" names, for the plateau schedule. */
TIMM_API timm_status timm_trainer_end_epoch(timm_trainer *trainer, double metric);
/* Everything that the next step depends on, in one file; training from it goes on bit for bit.  The parameters have
 * their own names: the file is a weights file too. */
TIMM_API timm_status timm_trainer_save(timm_trainer *trainer, const char *path);
TIMM_API timm_status timm_trainer_load(timm_trainer *trainer, const char *path);

/* -- over a data set ----------------------------------------------------------------------------------------------------- */

typedef enum timm_task { TIMM_CLASSIFICATION, TIMM_MULTILABEL, TIMM_REGRESSION } timm_task;
typedef struct timm_metrics {
    timm_task task;
    int64_t images;
    double loss;                            /* mean cross entropy; binary, of multilabel; mean squared error of regression */
    double top1, top5;                      /* per cent */
    double map, micro_f1, macro_f1, sample_f1;      /* multilabel: per cent, as timm's evaluator */
    double rmse, mae, r2;                   /* regression: over all numbers; r2: the mean over the columns */
    double seconds;
    int classes;
    const int64_t *confusion;               /* classification: (classes, classes): row the truth, column the guess; the trainer's, until its next validation */
} timm_metrics;

/* The figures of a task, "loss" first and then what the best epoch goes by; a name of NULL ends them. */
typedef struct timm_metric { const char *name, *label, *unit; bool less_is_better; } timm_metric;
TIMM_API const timm_metric *timm_metrics_of(timm_task task);
TIMM_API double timm_metric_value(const timm_metric *metric, const timm_metrics *of);

typedef struct timm_progress {
    const char *phase;                      /* "train", "validate" */
    int64_t epoch, epochs, batch, batches;  /* of the phase; batch from 1 */
    double loss, mean_loss;                 /* of this batch, of the epoch so far */
    double images_per_second, lr;
    double seconds_left;                    /* of the whole run, about */
} timm_progress;
typedef void timm_progress_fn(void *user, const timm_progress *p);

typedef struct timm_epoch {
    int64_t epoch;                          /* from 0 */
    double train_loss, lr;                  /* lr: of the first group, at the epoch's end */
    double images_per_second;               /* of what was trained of it since the run went on; 0: nothing */
    bool validated, averaged;               /* eval is set; it is of the average (EMA) */
    timm_metrics eval;
} timm_epoch;

/* Called after each batch. */
TIMM_API void timm_trainer_progress(timm_trainer *trainer, timm_progress_fn *progress, void *user);
/* The data set that the options name: "data-dir", "dataset", "train-split", ... */
TIMM_API timm_status timm_trainer_open_data(timm_trainer *trainer);
TIMM_API int timm_trainer_classes(const timm_trainer *trainer);                    /* of the data set */
TIMM_API const char *timm_trainer_class(const timm_trainer *trainer, int i);       /* its name */
/* The rest of the current epoch; false: it failed, or was asked to stop (timm_trainer_stopped). */
TIMM_API bool timm_trainer_epoch(timm_trainer *trainer, timm_epoch *out);
/* All of "val-split"; average: with the averaged weights. */
TIMM_API timm_status timm_trainer_validate(timm_trainer *trainer, bool average, timm_metrics *out);
/* The whole run: epochs, validation, checkpoints and logs in the folder "output"/"experiment", until the last epoch, until
 * "patience-epochs" pass without progress, or until timm_trainer_stop.  each may be NULL; called after each epoch. */
TIMM_API timm_status timm_trainer_run(timm_trainer *trainer, void (*each)(void *user, const timm_epoch *epoch), void *user);
TIMM_API const char *timm_trainer_folder(const timm_trainer *trainer);             /* of the run; "" before it */
/* Finish the update, save, return: may be called from a signal handler. */
TIMM_API void timm_trainer_stop(timm_trainer *trainer);
TIMM_API bool timm_trainer_stopped(const timm_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
