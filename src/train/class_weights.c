/* class_weights.c - weights of classes from their counts, in double. */
#include "train/class_weights.h"
#include <math.h>
#include <string.h>

typedef double formula(double n, double samples, double power, double beta);

static double neg_pos(double n, double samples, double power, double beta)
{
    return (void)beta, pow(fmax(samples - n, 0) / n, power);
}
static double inv_freq(double n, double samples, double power, double beta)
{
    return (void)beta, pow(samples / n, power);
}
static double effective_num(double n, double samples, double power, double beta)
{
    return (void)samples, (void)power, (1 - beta) / (1 - pow(beta, n));
}

static const struct method { const char *name; formula *f; bool positive; } methods[] = {
    { "neg_pos", neg_pos, true }, { "inv_freq", inv_freq, false }, { "effective_num", effective_num, false },
};

static bool check(const class_weights_opts *o, double beta, const float *counts, int64_t classes, double samples,
                  status *st)
{
    if (!(beta > 0 && beta < 1))
        return status_fail(st, TIMM_BAD_ARG, "class weights: beta has to be in (0, 1), and is %g", beta);
    if (classes < 1 || !(samples > 0) || !o->method)
        return status_fail(st, TIMM_BAD_ARG, "class weights: %lld classes, %g samples", (long long)classes, samples);
    for (int64_t i = 0; i < classes; i++)
        if (!(counts[i] >= 0 && counts[i] <= samples))
            return status_fail(st, TIMM_BAD_ARG, "class weights: class %lld has %g of %g samples", (long long)i,
                               counts[i], samples);
    return true;
}

bool class_weights(const class_weights_opts *o, const float *counts, int64_t classes, double samples, float *weights,
                   bool *positive, status *st)
{
    double power = o->power ? o->power : 1, beta = o->beta ? o->beta : .999, sum = 0;
    if (!check(o, beta, counts, classes, samples, st))
        return false;
    const struct method *m = methods;
    while (m < methods + 3 && strcmp(m->name, o->method) != 0)
        m++;
    if (m == methods + 3)
        return status_fail(st, TIMM_BAD_ARG,
                           "Unknown class weight method '%s', expected one of neg_pos, inv_freq, effective_num.",
                           o->method);
    *positive = m->positive;
    for (int64_t i = 0; i < classes; i++)
        sum += m->f(fmax(counts[i], 1), samples, power, beta);
    double over = m->positive ? 1 : sum / (double)classes;
    for (int64_t i = 0; i < classes; i++) {
        double w = m->f(fmax(counts[i], 1), samples, power, beta) / over;
        weights[i] = (float)(o->most && w > o->most ? o->most : w);
    }
    return true;
}
