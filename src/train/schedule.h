/* schedule.h - timm's learning-rate schedules.  Counterpart: timm.scheduler.create_scheduler_v2. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

typedef struct schedule schedule;
typedef struct schedule_arg { const char *key, *value; } schedule_arg;   /* "warmup_epochs" "5", "decay_milestones" "30,60" */

/* sched: "cosine", "tanh", "poly", "step", "multistep", "plateau", "wsd", "rsqrt", "constant", "none".  Options have
 * create_scheduler_v2's names.  base: the groups' rate before lr_scale; scale[groups]: their lr_scale. */
schedule *schedule_new(const char *sched, const schedule_arg *arg, int args, double base, const double *scale, int groups, status *st);
void schedule_free(schedule *s);
int64_t schedule_epochs(const schedule *s);               /* the number to train: cycles, cool-down and warm-up included */
double schedule_lr(const schedule *s, int group);         /* now */
void schedule_epoch(schedule *s, int64_t epoch, double metric);          /* at the end of an epoch: its number + 1 */
void schedule_update(schedule *s, int64_t updates);       /* after each update */
/* What a checkpoint must hold, as doubles (plateau's best, ...; the others' none). */
int schedule_state(schedule *s, double **state);

#endif
