/* schedule_kinds.c - the rate as a function of time.
 *
 * m is min_lr, P a cycle's peak, x the time since the cycle's start, L the cycle's length.
 */
#include <math.h>
#include <stddef.h>
#include "train/schedule_kind.h"

static const double pi = 3.14159265358979323846;

/* -- cycles: L = T M^i, P = base decay^i --------------------------------------------------------------------------- */

typedef struct cycle { double peak, x, length; bool over; } cycle;

static cycle cycle_at(const schedule_options *o, double base, double t)
{
    double T = o->num_epochs, M = o->cycle_mul, i = floor(t / T), begin = T * i;
    if (M != 1) {
        i = floor(log(1 - t / T * (1 - M)) / log(M));
        begin = (1 - pow(M, i)) / (1 - M) * T;
    }
    return (cycle){ base * pow(o->cycle_decay, i), fmax(t - begin, 0), M == 1 ? T : pow(M, i) * T,
                    i >= o->cycle_limit };
}

double schedule_cycles_length(const schedule_options *o)
{
    double M = o->cycle_mul, n = fmax(o->cycle_limit, 1);
    return M == 1 ? o->num_epochs * n : floor(-o->num_epochs * (pow(M, n) - 1) / (1 - M));
}

/* m + .5 (P - m) (1 + cos(pi x^k / L^k)) */
static double cosine(const schedule_options *o, double base, double t)
{
    cycle c = cycle_at(o, base, t);
    double along = pow(c.x, o->k_decay) / pow(c.length, o->k_decay);
    return c.over ? o->min_lr : o->min_lr + .5 * (c.peak - o->min_lr) * (1 + cos(pi * along));
}

/* m + .5 (P - m) (1 - tanh(lb (1 - x/L) + ub x/L)) */
static double hyperbolic(const schedule_options *o, double base, double t)
{
    cycle c = cycle_at(o, base, t);
    double along = c.x / c.length;
    return c.over ? o->min_lr : o->min_lr + .5 * (c.peak - o->min_lr) * (1 - tanh(o->lb * (1 - along) + o->ub * along));
}

/* m + (P - m) (1 - x^k / L^k)^power; the power is decay_rate */
static double poly(const schedule_options *o, double base, double t)
{
    cycle c = cycle_at(o, base, t);
    double along = pow(c.x, o->k_decay) / pow(c.length, o->k_decay);
    return c.over ? o->min_lr : o->min_lr + (c.peak - o->min_lr) * pow(1 - along, o->decay_rate);
}

/* -- steps --------------------------------------------------------------------------------------------------------- */

/* t // d as Python has it: 2.2 // 1.1 is 2 or 1 as fmod says, not as the quotient rounds. */
static double step(const schedule_options *o, double base, double t)
{
    double d = o->decay_epochs, n = (t - fmod(t, d)) / d;
    return base * pow(o->decay_rate, round(n));
}

/* A milestone counts from one step before it: timm's convention, not PyTorch's. */
static double multistep(const schedule_options *o, double base, double t)
{
    int n = 0;
    while (n < o->decay_milestones.n && o->decay_milestones.v[n] <= t + 1)
        n++;
    return base * pow(o->decay_rate, n);
}

static double constant(const schedule_options *o, double base, double t) { return (void)o, (void)t, base; }

/* -- warm-up, stable, decay ---------------------------------------------------------------------------------------- */

static double stable(const schedule_options *o, double t)
{
    if (o->stable_fn == STABLE_CONSTANT)
        return 1;
    return pow(1 + t / o->stable_timescale, o->stable_fn == STABLE_RSQRT ? -.5 : -o->stable_power);
}

/* From 1 to 0 as f goes from 0 to 1. */
static double decay(const schedule_options *o, double f)
{
    switch ((int)o->decay_fn) {
    case DECAY_LINEAR: return 1 - f;
    case DECAY_COSINE: return .5 * (1 + cos(pi * f));
    case DECAY_POWER:  return 1 - pow(f, o->decay_power);
    case DECAY_EXP:    return (pow(o->decay_ratio, f) - o->decay_ratio) / (1 - o->decay_ratio);
    default:           return 1 - sqrt(f);
    }
}

/* num_epochs is the length of the stable and decay phases together, decay_epochs that of the last. */
static double phases(const schedule_options *o, double base, double t)
{
    double v = fmax(base * stable(o, t), o->min_lr), into = t - (o->num_epochs - o->decay_epochs);
    return into <= 0 ? v : o->min_lr + (v - o->min_lr) * decay(o, fmin(into / o->decay_epochs, 1));
}

const schedule_kind schedule_kinds[] = {
    { "cosine", .value = cosine, .cycles = true },
    { "tanh", .value = hyperbolic, .cycles = true, .ramp_to_curve = true },
    { "poly", .value = poly, .cycles = true },
    { "step", .value = step },
    { "multistep", .value = multistep },
    { "plateau", .value = constant, .plateau = true },
    { "wsd", .value = phases, .phases = true },
    { "rsqrt", .value = phases, .phases = true },
    { "constant", .value = constant },
    { "none", .value = NULL },
    { .name = NULL },
};
