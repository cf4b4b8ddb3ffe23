/* schedule_kind.h - what the schedules' files share: the options as numbers, and a kind as a function of time. */
#ifndef TRAIN_SCHEDULE_KIND_H
#define TRAIN_SCHEDULE_KIND_H
#include "train/schedule.h"

enum { SCHEDULE_MOST = 64 };
typedef struct schedule_list { int n; double v[SCHEDULE_MOST]; } schedule_list;
enum { STABLE_CONSTANT, STABLE_RSQRT, STABLE_POWER };
enum { DECAY_1_SQRT, DECAY_LINEAR, DECAY_COSINE, DECAY_POWER, DECAY_EXP };

/* Times are in epochs as given, and in the schedule's unit once it is made.  NAN: not given. */
typedef struct schedule_options {
    double num_epochs, warmup_epochs, warmup_lr, warmup_prefix, cooldown_epochs, step_on_epochs, updates_per_epoch;
    double min_lr, decay_rate, decay_epochs, cycle_mul, cycle_decay, cycle_limit, k_decay, lb, ub;
    double stable_fn, stable_timescale, stable_power, decay_fn, decay_power, decay_ratio;
    double patience_epochs, plateau_mode, threshold, cooldown_t;
    double noise_pct, noise_std, noise_seed, noise_type;
    schedule_list decay_milestones, noise, noise_range_t;
} schedule_options;

typedef struct schedule_kind {
    const char *name;
    double (*value)(const schedule_options *o, double base, double t);     /* t without a warm-up that is a prefix */
    bool cycles;                /* the number of epochs follows from the cycles */
    bool ramp_to_curve;         /* a warm-up that is no prefix ends on the curve, not at base */
    bool phases;                /* stable and decay: warm-up always a prefix */
    bool plateau;
} schedule_kind;

extern const schedule_kind schedule_kinds[];              /* name NULL ends */

double schedule_cycles_length(const schedule_options *o);
/* z of the rate's noise at time t: rate += rate z. */
double schedule_noise(const schedule_options *o, int64_t t);

#endif
