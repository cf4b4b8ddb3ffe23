/* optim_kind.h - what a kind of optimizer is to optimizer.c: options, state, one step over one parameter.
 *
 * In the rules: p parameter, g gradient, k step from 1, lr, wd; ema(s, x, b): s = b s + (1 - b) x; c1 = 1 - b1^k, c2 = 1 - b2^k.
 * Scalars of options and step counts are double until they meet a tensor.
 */
#ifndef TRAIN_OPTIM_KIND_H
#define TRAIN_OPTIM_KIND_H
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "train/optimizer.h"

typedef enum optim_option_kind { OPTIM_NUMBER, OPTIM_NUMBERS, OPTIM_FLAG, OPTIM_WORD } optim_option_kind;
typedef struct optim_option {
    const char *name;
    optim_option_kind kind;     /* double (NAN for none), double[count], bool, char[count] ("" for none) */
    size_t offset;
    int count;
    const char *fallback;
} optim_option;
#define NUMBER(s, f, d)     { #f, OPTIM_NUMBER, offsetof(struct s, f), 1, d }
#define NUMBERS(s, f, n, d) { #f, OPTIM_NUMBERS, offsetof(struct s, f), n, d }
#define FLAG(s, f, d)       { #f, OPTIM_FLAG, offsetof(struct s, f), 1, d }
#define WORD(s, f, d)       { #f, OPTIM_WORD, offsetof(struct s, f), sizeof ((struct s *)0)->f, d }

enum { OPTIM_SLOTS = 6, OPTIM_SCRATCH = 4 };

typedef struct optim_step {
    const void *opt;
    const optim_param *param;
    float *p;
    const float *g;
    int64_t n;                  /* numbers in it */
    float *const *slot;
    double *number;             /* of this parameter, kept between steps */
    int64_t k;
    double lr, wd, max_lr;
    double shared;              /* what before() made of all parameters */
    float *scratch[OPTIM_SCRATCH];          /* n numbers each, as many as the kind asks for */
} optim_step;

typedef struct optim_kind {
    const char *name;           /* timm's class */
    double lr;                  /* its default; NAN: none */
    size_t size;                /* of the option struct */
    const optim_option *options; int n_options;
    const char *slots[OPTIM_SLOTS + 1];     /* float state, n numbers each unless slot_size says otherwise */
    int64_t (*slot_size)(const void *opt, const optim_param *p, int slot);
    int numbers;                /* doubles kept for each parameter */
    int scratch;
    int64_t (*scratch_size)(const void *opt, const optim_param *p);        /* NULL: n */
    bool hessian;
    const char *(*check)(const void *opt);  /* what makes no sense, or NULL */
    void (*init)(const optim_step *s);      /* state that does not start at 0 */
    size_t common;              /* bytes for before(), zero at first and not saved: what can be found again */
    /* Once a step, before all parameters; numbers: those of all parameters.  Gives `shared`. */
    double (*before)(const void *opt, void *common, const optim_param *p, int n, int64_t k, double *numbers);
    void (*step)(const optim_step *s);
} optim_kind;
#define OPTIONS(t) .options = (t), .n_options = sizeof(t) / sizeof *(t)

/* -- the parts that rules share ------------------------------------------------------------------------------------------- */

static inline double norm2(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}
static inline double rms(const float *x, int64_t n) { return norm2(x, n) / sqrt((double)n); }

static inline void scale_by(float *x, int64_t n, double by)
{
    float f = (float)by;
    for (int64_t i = 0; i < n; i++)
        x[i] *= f;
}
static inline void add_scaled(float *y, const float *x, int64_t n, double by)         /* y += by x */
{
    float f = (float)by;
    for (int64_t i = 0; i < n; i++)
        y[i] += f * x[i];
}
static inline void ema(float *s, const float *x, int64_t n, double b)
{
    float keep = (float)b, take = (float)(1 - b);
    for (int64_t i = 0; i < n; i++)
        s[i] = keep * s[i] + take * x[i];
}
static inline void ema_square(float *s, const float *x, int64_t n, double b)
{
    float keep = (float)b, take = (float)(1 - b);
    for (int64_t i = 0; i < n; i++)
        s[i] = keep * s[i] + take * (x[i] * x[i]);
}
/* Gradient with L2 decay, in scratch when there is one. */
static inline const float *with_l2(const optim_step *s, float *scratch)
{
    if (s->wd == 0)
        return s->g;
    float wd = (float)s->wd;
    for (int64_t i = 0; i < s->n; i++)
        scratch[i] = s->g[i] + wd * s->p[i];
    return scratch;
}
/* Decoupled decay; corrected: in proportion to lr^2 / max lr (Defazio, 2025). */
static inline void decay(const optim_step *s, bool corrected)
{
    double rate = corrected ? s->lr * s->lr / s->max_lr : s->lr;
    if (s->wd != 0)
        scale_by(s->p, s->n, 1 - rate * s->wd);
}
/* Cautious updates (Liang et al., 2024): what points against the gradient is dropped, the rest made larger for it. */
static inline void caution(float *u, const float *g, int64_t n)
{
    int64_t with = 0;
    for (int64_t i = 0; i < n; i++)
        with += u[i] * g[i] > 0;
    float by = (float)(1 / fmax((double)with / (double)n, 1e-3));
    for (int64_t i = 0; i < n; i++)
        u[i] = u[i] * g[i] > 0 ? u[i] * by : 0;
}

#endif
