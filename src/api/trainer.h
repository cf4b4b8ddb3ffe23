/* trainer.h - what a trainer holds.
 *
 * trainer.c makes the plan and runs it; trainer_step.c turns gradients into new parameters; trainer_save.c writes all of it
 * to a file and reads it back; trainer_data.c runs epochs, trainer_validate.c validation; trainer_mix.c mixes
 * the images of a batch; trainer_loss.c chooses the loss; trainer_run.c runs all of it with a folder.
 */
#ifndef API_TRAINER_H
#define API_TRAINER_H
#include <signal.h>
#include "api/groups.h"
#include "api/model.h"
#include "data/loader.h"
#include "train/clip.h"
#include "train/mixup.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/train_options.h"

typedef enum train_pass { PASS_FORWARD, PASS_LOSS, PASS_BACKWARD } train_pass;

/* Inputs of the plan, before the parameters. */
enum { IN_IMAGE, IN_TARGET };

struct timm_trainer {
    timm_model *m;
    train_options opts;
    bool started;                           /* options are fixed now */

    /* The plan: parameters are its inputs, gradients and running statistics its outputs. */
    tg_shape image, target;
    plan *plan;
    nn_entry **param;                       /* in the build's order, buffers too */
    int *gradient;                          /* output that holds its gradient; 0: none flows there */
    int params, curves;                     /* curves: params where the optimizer wants the Hessian, too; else 0.  gradient[params + i],
                                             * sum[params + i] are then of the diagonal as it is estimated */
    nn_entry **buffer;                      /* output first_update + i becomes its value */
    int buffers, first_update;
    const float **input;
    float key[NN_KEY_SIZE];                 /* of this update: what dropout leaves out */
    timm_task task;
    bool mixed;                             /* targets are mixtures of classes, smoothed already */

    /* Gradients of the trainer's own: sums over several passes, or what clipping may change. */
    float **sum;                            /* by param; NULL where no gradient flows */
    float *sum_block;
    train_pass next;                        /* of a batch: what is to come */
    int calls;                              /* passes in the gradients now */
    int64_t passes;                         /* of all updates: dropout draws anew in each */
    bool keep, summed;
    bool between;                           /* two updates: what is there may be saved */

    /* One update. */
    param_group *group;                     /* by place in m->entry */
    optim_param *trained;                   /* parameters that the optimizer moves */
    int *trained_param, *trained_group, trained_count;
    double *group_scale;
    int groups;
    clip_tensor *clip;
    clip_mode clip_mode;
    double clip_limit;
    optimizer *optimizer;
    schedule *schedule;
    int64_t updates, updates_per_epoch, epoch, batch;      /* batch: those of the epoch that are done */
    double loss_sum;                        /* over them */
    int64_t loss_count;

    /* The average of parameters and running statistics, by place in m->entry; NULL: none. */
    float **ema;
    float *ema_block;

    /* Data (trainer_data.c). */
    dataset *train_data, *eval_data;
    loader *train_loader, *eval_loader;
    const char **labels;                    /* class names; those of the data set */
    int n_labels;
    float *pixels, *targets;                /* of one batch */
    int64_t room;
    uint8_t *blended;                       /* pixels of one batch, mixed */
    mixup_row *mix;                         /* how */
    int64_t mix_room;
    int64_t *confusion;
    timm_progress_fn *progress;
    void *progress_user;
    volatile sig_atomic_t stop;

    /* The run (trainer_run.c). */
    char folder[1024];
    int lock;                               /* of the folder, plus 1; 0: not taken */
    char *made;                             /* how the network was made: lines for args.yaml */
    size_t made_size;
    bool (*save)(timm_trainer *t);          /* within an epoch; NULL: nowhere to */
    int64_t epochs, run_epoch, run_batch, run_batches;     /* where this process began, and what it has done */
    double run_began;
    double *speed;                          /* images per second, by epoch */
    int64_t n_speed;
    double best[2 * TRAIN_HISTORY];          /* metric, epoch; best first */
    int n_best;
};

bool trainer_start(timm_trainer *t);        /* fixes the options; optimizer, schedule, average.  Needs param[] */
tg *trainer_loss(timm_trainer *t, tg *logits, tg *target);              /* trainer_loss.c */
bool trainer_needs_plan(timm_trainer *t);   /* param[], before any image was seen */
float *trainer_gradient(const timm_trainer *t, int param);              /* dense; NULL: none */
bool trainer_own_gradients(timm_trainer *t);                            /* from now on they are in sum[] and may change */
double trainer_now(void);                                               /* seconds */
/* Normalised pixels and rows of targets of a batch, in the trainer's memory; nth: of the epoch, mixed where the options say so;
 * -1: of validation. */
bool trainer_tensors(timm_trainer *t, const batch *made, int64_t nth, timm_tensor *x, timm_tensor *y);
void trainer_tell(timm_trainer *t, const char *phase, int64_t nth, int64_t batches, double loss, double mean, int64_t images, double since);
void trainer_step_free(timm_trainer *t);
void trainer_data_free(timm_trainer *t);
void trainer_run_free(timm_trainer *t);
bool trainer_mixes(const timm_trainer *t);                              /* the options ask for mixed images */
bool trainer_can_mix(timm_trainer *t);                                  /* they make sense */
bool trainer_mix(timm_trainer *t, int64_t nth, batch *b);               /* batch nth of the epoch: its pixels become mixed ones */
bool trainer_mix_targets(timm_trainer *t, int64_t n, int64_t classes, float *target);      /* the same with its rows, in place */
bool trainer_find_groups(timm_trainer *t);                             /* of every parameter, as the options say */
bool trainer_freezes(void *trainer, const nn_entry *e);                /* --freeze or --head-only leave it as it is */
const param_group *trainer_group(const timm_trainer *t, const nn_entry *e);
double trainer_base_lr(const timm_trainer *t);
bool trainer_finite(const float *v, int64_t n);                         /* no NaN, no infinity among them */
bool trainer_sane(const float *v, int64_t n);                           /* nor anything whose products soon are */
bool trainer_finite_gradients(const timm_trainer *t);

#endif
