/* schedule.h - timm's learning-rate schedules.  Counterpart: timm.scheduler.create_scheduler_v2.
 *
 *     s = schedule_new("cosine", arg, n, lr, NULL, 1, st);
 *     for (epoch = 0; epoch < schedule_epochs(s); epoch++) {
 *         for (each update) { train with schedule_lr(s, group); schedule_update(s, ++updates); }
 *         schedule_epoch(s, epoch + 1, metric);
 *     }
 */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

typedef struct schedule schedule;

/* An option as text: "warmup_epochs" "5", "warmup_prefix" "true", "decay_milestones" "30,60", "noise" "0.4,0.9".
 * Keys and defaults are create_scheduler_v2's; beyond them those that only timm's classes have: "lb" and "ub" (tanh);
 * "threshold", "cooldown_t" (plateau); "stable_fn" (constant, rsqrt, power), "stable_power", "decay_power",
 * "decay_ratio" (wsd); "noise_type" (normal, uniform) and "noise_range_t", noise not relative to the length. */
typedef struct schedule_arg { const char *key, *value; } schedule_arg;

/* sched: one of schedule_name().  base: the groups' rate before lr_scale; scale[groups]: their lr_scale, NULL: 1.
 * "none" leaves every group at base.  NULL: see st. */
schedule *schedule_new(const char *sched, const schedule_arg *arg, int args, double base, const double *scale,
                       int groups, status *st);
void schedule_free(schedule *s);
const char *schedule_name(int i);                         /* from 0 up; NULL: no more */

int64_t schedule_epochs(const schedule *s);               /* to train: cycles, cool-down and warm-up included */
double schedule_lr(const schedule *s, int group);         /* now; after schedule_new: that of the first update */
/* A schedule counts epochs or, with "step_on_epochs" "false", updates: one of these two does nothing. */
void schedule_epoch(schedule *s, int64_t epochs, double metric);   /* after each: how many are done; NAN: no metric */
void schedule_update(schedule *s, int64_t updates);       /* after each update: how many are done */

/* What a checkpoint must hold beyond the counts: n numbers of the schedule's own, to be written out and put back.
 * plateau: what it remembers of the metric, and rates; the others: nothing. */
int schedule_state(schedule *s, double **state);
bool schedule_state_is_sound(const schedule *s);        /* after it was written to: rates are rates, counts are counts */

#endif
