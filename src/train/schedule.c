/* schedule.c - schedules by name: options, units, warm-up, noise, and the plateau's memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/edits.h"
#include "train/schedule_kind.h"

struct schedule {
    const schedule_kind *kind;
    schedule_options o;
    double base, ramp;                      /* the warm-up's end */
    int64_t epochs;
    int groups;
    double *scale;
    double *state;                          /* BEST, BAD, COOLING; each group's rate now; each without noise */
};
enum { BEST, BAD, COOLING, RATES };

/* -- options ------------------------------------------------------------------------------------------------------- */

typedef enum kind { NUMBER, WHOLE, FLAG, WORD, LIST } kind;
typedef struct option { const char *key; kind kind; size_t at; double fallback, lo, hi; const char *words; } option;
#define AT(name, ...) { #name, .at = offsetof(schedule_options, name), __VA_ARGS__ }
#define NUM(name, f, least, most) AT(name, .kind = NUMBER, .fallback = f, .lo = least, .hi = most)
#define INT(name, f, least, most) AT(name, .kind = WHOLE, .fallback = f, .lo = least, .hi = most)
#define WORDS(name, f, w) AT(name, .kind = WORD, .fallback = f, .words = w)
static const double most = 1e12;
static const option options[] = {
    INT(num_epochs, 300, 1, 1e9),
    INT(warmup_epochs, 0, 0, 1e9),
    NUM(warmup_lr, 1e-5, 0, 1e9),
    AT(warmup_prefix, .kind = FLAG),
    INT(cooldown_epochs, 0, 0, 1e9),
    AT(step_on_epochs, .kind = FLAG, .fallback = 1),
    INT(updates_per_epoch, 0, 0, 1e9),
    NUM(min_lr, 0, 0, 1e9),
    NUM(decay_rate, .1, 0, 1e9),
    NUM(decay_epochs, NAN, 1e-9, 1e9),
    NUM(cycle_mul, 1, 1e-3, 1e3),
    NUM(cycle_decay, .1, 0, 1e3),
    INT(cycle_limit, 1, 0, 1e6),
    NUM(k_decay, 1, 1e-3, 1e3),
    NUM(lb, -7, -1e3, 1e3),
    NUM(ub, 3, -1e3, 1e3),
    WORDS(stable_fn, NAN, "constant rsqrt power"),
    NUM(stable_timescale, NAN, 1e-9, 1e12),
    NUM(stable_power, .5, 1e-9, 1e3),
    WORDS(decay_fn, NAN, "1-sqrt linear cosine power exp"),
    NUM(decay_power, .5, 1e-9, 1e3),
    NUM(decay_ratio, .1, 1e-9, .999999999),
    INT(patience_epochs, 10, 0, 1e9),
    WORDS(plateau_mode, 0, "max min"),
    NUM(threshold, 1e-4, 0, 1e9),
    INT(cooldown_t, 0, 0, 1e9),
    NUM(noise_pct, .67, 1e-6, 1e6),
    NUM(noise_std, 1, 0, 1e6),
    INT(noise_seed, 42, -1e15, 1e15),
    WORDS(noise_type, 0, "normal uniform"),
    AT(decay_milestones, .kind = LIST),
    AT(noise, .kind = LIST),
    AT(noise_range_t, .kind = LIST),
};

static double *field(schedule_options *o, const option *p) { return (double *)((char *)o + p->at); }

/* The number at *text, which moves behind it. */
static bool number(const char **text, double *v)
{
    char *end;
    *v = strtod(*text, &end);
    bool ok = end != *text && isfinite(*v);
    *text = end;
    return ok;
}

static bool list(const char *text, schedule_list *l)
{
    for (l->n = 0; l->n < SCHEDULE_MOST && number(&text, &l->v[l->n]);) {
        l->n++;
        if (!*text)
            return true;
        if (*text++ != ',')
            return false;
    }
    return false;
}

static bool word(const char *text, const char *words, double *v)
{
    size_t n = strlen(text);
    *v = 0;
    for (const char *w = words; n; w += strcspn(w, " ") + 1, ++*v) {
        if (!strncmp(w, text, n) && (w[n] == ' ' || !w[n]))
            return true;
        if (!w[strcspn(w, " ")])
            return false;
    }
    return false;
}

static bool parse(schedule_options *o, const option *p, const char *text)
{
    double *v = field(o, p);
    switch (p->kind) {
    case LIST:
        return list(text, (schedule_list *)(void *)v);
    case WORD:
        return word(text, p->words, v);
    case FLAG:
        *v = !strcmp(text, "true") || !strcmp(text, "1");
        return *v || !strcmp(text, "false") || !strcmp(text, "0");
    case WHOLE:
    case NUMBER:
        break;
    }
    return number(&text, v) && !*text && *v >= p->lo && *v <= p->hi && (p->kind == NUMBER || *v == floor(*v));
}

static bool read_options(schedule_options *o, const schedule_arg *arg, int args, status *st)
{
    const size_t n = sizeof options / sizeof *options;
    for (size_t i = 0; i < n; i++)
        if (options[i].kind != LIST)
            *field(o, &options[i]) = options[i].fallback;
    o->decay_milestones = (schedule_list){ 3, { 90, 180, 270 } };
    for (int a = 0; a < args; a++) {
        size_t i = 0;
        while (i < n && strcmp(options[i].key, arg[a].key) != 0)
            i++;
        if (i == n)
            return status_fail(st, TIMM_BAD_ARG, "schedules have no option %s", arg[a].key);
        if (!parse(o, &options[i], arg[a].value))
            return status_fail(st, TIMM_BAD_ARG, "a schedule's %s cannot be %s", arg[a].key, arg[a].value);
    }
    return true;
}

/* -- from options to what the kinds compute with ------------------------------------------------------------------- */

static void scale_list(schedule_list *l, double by)
{
    for (int i = 0; i < l->n; i++)
        l->v[i] *= by;
}

/* Stable and decay: num_epochs becomes the length of the two, decay_epochs a whole number of that unit. */
static bool fit_phases(schedule *s, bool given_as_fraction, status *st)
{
    schedule_options *o = &s->o;
    if (!o->warmup_prefix)
        o->num_epochs -= o->warmup_epochs;
    o->decay_epochs = rint(given_as_fraction ? o->decay_epochs * o->num_epochs : o->decay_epochs);
    if (!(o->decay_epochs > 0 && o->decay_epochs <= o->num_epochs))
        return status_fail(st, TIMM_BAD_ARG, "%s: a decay of %g does not fit into stable and decay phases of %g",
                           s->kind->name, o->decay_epochs, o->num_epochs);
    bool rsqrt = !strcmp(s->kind->name, "rsqrt");
    o->stable_fn = isnan(o->stable_fn) ? (rsqrt ? STABLE_RSQRT : STABLE_CONSTANT) : o->stable_fn;
    o->decay_fn = isnan(o->decay_fn) ? (rsqrt ? DECAY_LINEAR : DECAY_1_SQRT) : o->decay_fn;
    o->stable_timescale = isnan(o->stable_timescale) ? o->warmup_epochs : o->stable_timescale;
    if (o->stable_fn != STABLE_CONSTANT && !(o->stable_timescale > 0))
        return status_fail(st, TIMM_BAD_ARG, "%s needs stable_timescale where there is no warm-up", s->kind->name);
    o->warmup_prefix = 1;
    return true;
}

static bool settle(schedule *s, status *st)
{
    schedule_options *o = &s->o;
    bool prefix = o->warmup_prefix;
    double unit = o->step_on_epochs ? 1 : o->updates_per_epoch, epochs = o->num_epochs, warmup = o->warmup_epochs;
    if (unit < 1)
        return status_fail(st, TIMM_BAD_ARG, "a schedule by updates needs updates_per_epoch");
    if (s->kind->plateau && !o->step_on_epochs)
        return status_fail(st, TIMM_BAD_ARG, "Plateau LR only supports step per epoch.");
    if (isnan(o->decay_epochs))
        o->decay_epochs = s->kind->phases ? .2 : 90;
    bool fraction = s->kind->phases && o->decay_epochs < 1;
    o->decay_epochs *= fraction ? 1 : unit;
    o->num_epochs *= unit;
    o->warmup_epochs *= unit;
    o->cooldown_epochs *= unit;
    o->stable_timescale *= unit;
    scale_list(&o->decay_milestones, unit);
    if (o->noise.n) {
        scale_list(&o->noise, o->num_epochs);
        o->noise_range_t = o->noise;
    }
    if (s->kind->phases && !fit_phases(s, fraction, st))
        return false;
    double total = epochs + (prefix ? warmup : 0);
    if (s->kind->phases)
        total = floor((o->num_epochs + o->warmup_epochs + o->cooldown_epochs) / unit);
    if (s->kind->cycles)
        total = floor((schedule_cycles_length(o) + (prefix ? o->warmup_epochs : 0) + o->cooldown_epochs) / unit);
    if (!(total <= most))
        return status_fail(st, TIMM_BAD_ARG, "%s: %g epochs", s->kind->name, total);
    s->epochs = (int64_t)total;
    s->ramp = s->kind->ramp_to_curve && !prefix ? s->kind->value(o, s->base, o->warmup_epochs) : s->base;
    return true;
}

/* -- rates --------------------------------------------------------------------------------------------------------- */

static bool noisy(const schedule *s, double t)
{
    const schedule_list *r = &s->o.noise_range_t;
    return r->n && t >= r->v[0] && (r->n < 2 || t < r->v[1]);
}

static double warming(const schedule *s, double t)
{
    return s->o.warmup_lr + t * ((s->ramp - s->o.warmup_lr) / s->o.warmup_epochs);
}

static void set(schedule *s, double v)
{
    for (int i = 0; i < s->groups; i++)
        s->state[RATES + i] = s->state[RATES + s->groups + i] = v * s->scale[i];
}

static void move_to(schedule *s, int64_t t)
{
    const schedule_options *o = &s->o;
    double time = (double)t;
    double v = time < o->warmup_epochs ? warming(s, time)
                                       : s->kind->value(o, s->base, o->warmup_prefix ? time - o->warmup_epochs : time);
    set(s, noisy(s, time) ? v + v * schedule_noise(o, t) : v);
}

/* Lowers the rates when the metric has not become better for more than `patience` epochs. */
static void judge(schedule *s, double metric)
{
    const schedule_options *o = &s->o;
    double *m = s->state, *clean = m + RATES + s->groups;
    bool better = o->plateau_mode ? metric < m[BEST] * (1 - o->threshold) : metric > m[BEST] * (1 + o->threshold);
    m[BEST] = better ? metric : m[BEST];
    m[BAD] = better ? 0 : m[BAD] + 1;
    if (m[COOLING] > 0) {
        m[COOLING]--;
        m[BAD] = 0;
    }
    if (m[BAD] <= o->patience_epochs)
        return;
    for (int i = 0; i < s->groups; i++) {
        double lower = fmax(clean[i] * o->decay_rate, o->min_lr);
        clean[i] = clean[i] - lower > 1e-8 ? lower : clean[i];
    }
    m[COOLING] = o->cooldown_t;
    m[BAD] = 0;
}

static void watch(schedule *s, int64_t t, double metric)
{
    const double *clean = s->state + RATES + s->groups;
    if (t <= s->o.warmup_epochs) {
        if (s->o.warmup_epochs)
            set(s, warming(s, (double)t));
        return;
    }
    if (!isnan(metric))
        judge(s, metric);
    double z = noisy(s, (double)t) ? schedule_noise(&s->o, t) : 0;
    for (int i = 0; i < s->groups; i++)
        s->state[RATES + i] = clean[i] + clean[i] * z;
}

void schedule_epoch(schedule *s, int64_t epochs, double metric)
{
    if (s->kind->plateau)
        watch(s, epochs, metric);
    else if (s->kind->value && s->o.step_on_epochs)
        move_to(s, epochs);
}

void schedule_update(schedule *s, int64_t updates)
{
    if (s->kind->value && !s->o.step_on_epochs)
        move_to(s, updates);
}

/* -- making -------------------------------------------------------------------------------------------------------- */

const char *schedule_name(int i)
{
    int n = 0;
    while (schedule_kinds[n].name)
        n++;
    return i >= 0 && i < n ? schedule_kinds[i].name : NULL;
}

static bool allocate(schedule *s, const double *scale, int groups, status *st)
{
    s->groups = groups;
    s->scale = calloc((size_t)groups + 1, sizeof *s->scale);
    s->state = calloc((size_t)groups * 2 + RATES, sizeof *s->state);
    if (!s->scale || !s->state)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for a schedule");
    for (int i = 0; i < groups; i++)
        s->scale[i] = scale && s->kind->value ? scale[i] : 1;
    return true;
}

schedule *schedule_new(const char *sched, const schedule_arg *arg, int args, double base, const double *scale,
                       int groups, status *st)
{
    const schedule_kind *k = schedule_kinds;
    while (k->name && strcmp(k->name, sched) != 0)
        k++;
    if (!k->name) {
        const char *best = schedule_kinds->name;
        for (k = schedule_kinds; k->name; k++)
            best = edits(sched, k->name) < edits(sched, best) ? k->name : best;
        status_fail(st, TIMM_BAD_ARG, "Unknown scheduler '%s'; the nearest is '%s'", sched, best);
        return NULL;
    }
    schedule *s = calloc(1, sizeof *s);
    if (!s) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a schedule");
        return NULL;
    }
    s->kind = k;
    s->base = base;
    if (!allocate(s, scale, groups, st) || !read_options(&s->o, arg, args, st) || !settle(s, st)) {
        schedule_free(s);
        return NULL;
    }
    s->state[BEST] = s->o.plateau_mode ? INFINITY : -INFINITY;
    set(s, s->o.warmup_epochs && k->value ? s->o.warmup_lr : base);
    return s;
}

void schedule_free(schedule *s)
{
    if (!s)
        return;
    free(s->scale);
    free(s->state);
    free(s);
}

int64_t schedule_epochs(const schedule *s) { return s->epochs; }
double schedule_lr(const schedule *s, int group)
{
    return group >= 0 && group < s->groups ? s->state[RATES + group] : NAN;
}

int schedule_state(schedule *s, double **state)
{
    *state = s->state;
    return s->kind->plateau ? RATES + 2 * s->groups : 0;
}

bool schedule_state_is_sound(const schedule *s)
{
    bool ok = !s->kind->plateau || (!isnan(s->state[BEST]) && s->state[BAD] >= 0 && s->state[COOLING] >= 0);
    for (int i = 0; i < 2 * s->groups && s->kind->plateau; i++)
        ok = ok && s->state[RATES + i] >= 0 && isfinite(s->state[RATES + i]);
    return ok;
}
