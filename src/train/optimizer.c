/* optimizer.c - names, options and state of the optimizers; the rules are in opt_*.c. */
#include "train/optim_kind.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "base/edits.h"

#define OPTIMIZER(name, kind, bound, about) extern const optim_kind optim_##kind;
#include "train/optimizers.list"
#undef OPTIMIZER

typedef struct named { const char *name; const optim_kind *kind; const char *bound, *about; } named;
static const named table[] = {
#define OPTIMIZER(name, kind, bound, about) { name, &optim_##kind, bound, about },
#include "train/optimizers.list"
#undef OPTIMIZER
};
enum { NAMES = sizeof table / sizeof *table };

/* Lookahead (Zhang et al., 2019): every k-th step the weights go back half way to where they were k steps ago.  At an epoch's end
 * nothing is done: timm's train.py calls sync_lookahead there, which passes over weights without gradients, and those are gone by then. */
static const double lookahead_alpha = .5;
enum { LOOKAHEAD_K = 6 };

typedef struct param_state { float *slot[OPTIM_SLOTS]; int64_t size[OPTIM_SLOTS]; double *number; } param_state;

struct optimizer {
    const optim_kind *kind;
    void *opt;
    double lr;
    optim_param *param;
    int n;
    pool *threads;
    param_state *state;
    float *block;                           /* all slots, then the slow weights */
    double *numbers;
    int64_t k;
    bool lookahead;
    float **slow;
    int64_t slow_known;                     /* 0: none yet */
    float *scratch;
    int64_t scratch_room;                   /* numbers of one scratch array */
    int *bin, bins;                         /* which parameters each thread takes */
    double shared;
    void *common;
    optim_state *listed;
};

/* -- names ----------------------------------------------------------------------------------------------------------------- */

const char *const *optimizer_names(void)
{
    static const char *names[NAMES + 1];
    for (int i = 0; i < NAMES; i++)
        names[i] = table[i].name;
    return names;
}

/* "Lookahead_AdamW": the last part is the name, lookahead the only other part that means anything; case means nothing. */
static const named *find(const char *name)
{
    const char *last = strrchr(name, '_');
    last = last ? last + 1 : name;
    for (int i = 0; i < NAMES; i++)
        if (!strcasecmp(table[i].name, last))
            return &table[i];
    return NULL;
}

static void unknown_name(const char *name, status *st)
{
    char last[32];
    const char *best = table[0].name, *part = strrchr(name, '_');
    snprintf(last, sizeof last, "%s", part ? part + 1 : name);
    for (char *p = last; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    for (int i = 1; i < NAMES; i++)
        if (edits(last, table[i].name) < edits(last, best))
            best = table[i].name;
    status_fail(st, TIMM_BAD_ARG, "no optimizer is called '%s'; the nearest is '%s'", name, best);
}

const char *optimizer_about(const char *name)
{
    const named *n = find(name);
    return n ? n->about : NULL;
}

double optimizer_default_lr(const char *name)
{
    const named *n = find(name);
    return n ? n->kind->lr : NAN;
}

/* -- options --------------------------------------------------------------------------------------------------------------- */

static bool is_none(const char *text) { return !*text || !strcmp(text, "none") || !strcmp(text, "None") || !strcmp(text, "null"); }

static bool read_option(const optim_option *o, char *opt, const char *text)
{
    void *at = opt + o->offset;
    char *end;
    switch (o->kind) {
    case OPTIM_FLAG:
        *(bool *)at = !strcmp(text, "true") || !strcmp(text, "True");
        return *(bool *)at || !strcmp(text, "false") || !strcmp(text, "False");
    case OPTIM_WORD:
        if (strlen(text) >= (size_t)o->count)
            return false;
        strcpy(at, is_none(text) ? "" : text);
        return true;
    case OPTIM_NUMBER:
        *(double *)at = is_none(text) ? NAN : strtod(text, &end);
        return is_none(text) || (end != text && !*end && isfinite(*(double *)at));
    case OPTIM_NUMBERS:
        if (is_none(text)) {
            *(double *)at = NAN;
            return true;
        }
        for (int i = 0; i < o->count; i++) {
            text += strspn(text, " ,[]()");
            ((double *)at)[i] = strtod(text, &end);
            if (end == text || !isfinite(((double *)at)[i]))
                return false;
            text = end;
        }
        return !text[strspn(text, " ,[]()")];
    }
    return false;
}

static const optim_option *option_of(const optim_kind *kind, const char *key)
{
    for (int i = 0; i < kind->n_options; i++)
        if (!strcmp(kind->options[i].name, key))
            return &kind->options[i];
    return NULL;
}

/* "key=value key=value" of the list. */
static void bind(const optim_kind *kind, char *opt, const char *bound)
{
    while (*bound) {
        char key[64], value[64];
        size_t n = strcspn(bound, "="), m = strcspn(bound + n, " ");
        snprintf(key, sizeof key, "%.*s", (int)n, bound);
        snprintf(value, sizeof value, "%.*s", (int)m - 1, bound + n + 1);
        const optim_option *o = option_of(kind, key);
        if (o)
            read_option(o, opt, value);
        bound += n + m;
        bound += *bound == ' ';
    }
}

/* timm passes the first three to whatever optimizer is asked for and drops them where it has none; the others choose between
 * PyTorch's implementations of one rule. */
static bool dropped(const char *key)
{
    static const char *const keys[] = { "momentum", "betas", "eps", "foreach", "fused" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(keys[i], key))
            return true;
    return false;
}

/* What no value may be: what PyTorch or timm refuse of some kinds, of every kind that has it.  kind: of that one alone. */
static const struct { const char *key, *kind; double least, most; bool below; const char *says; } limits[] = {
    { "betas", NULL, 0, 1, true, "betas lie in [0, 1)" },
    { "betas_1d", NULL, 0, 1, true, "betas_1d lie in [0, 1)" },
    { "momentum", NULL, 0, INFINITY, false, "momentum is not below 0" },
    { "momentum", "MADGRAD", 0, 1, true, "momentum lies in [0, 1)" },
    { "momentum", "Kron", 0, 1, true, "momentum lies in [0, 1)" },
    { "momentum", "Muon", 0, 1, true, "momentum lies in [0, 1)" },
    { "eps", NULL, 0, INFINITY, false, "eps is not below 0" },
    { "alpha", NULL, 0, INFINITY, false, "alpha is not below 0" },
    { "rho", NULL, 0, 1, false, "rho lies in [0, 1]" },
    { "lr_decay", NULL, 0, INFINITY, false, "lr_decay is not below 0" },
    { "initial_accumulator_value", NULL, 0, INFINITY, false, "initial_accumulator_value is not below 0" },
    { "momentum_decay", NULL, 0, INFINITY, false, "momentum_decay is not below 0" },
    { "hessian_power", NULL, 0, 1, false, "hessian_power lies in [0, 1]" },
};

static bool within_limits(const optimizer *o, const named *which, status *st)
{
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        const optim_option *option = option_of(o->kind, limits[k].key);
        if (!option || (limits[k].kind && strcmp(limits[k].kind, o->kind->name) != 0))
            continue;
        const double *v = (const double *)((const char *)o->opt + option->offset);
        for (int i = 0; i < option->count && (i == 0 || v[0] == v[0]); i++)           /* none is one NaN */
            if (v[i] < limits[k].least || v[i] > limits[k].most || (limits[k].below && v[i] == limits[k].most))
                return status_fail(st, TIMM_BAD_ARG, "optimizer %s: %s, not %g", which->name, limits[k].says, v[i]);
    }
    return true;
}

static bool read_options(optimizer *o, const named *which, const optim_arg *arg, int args, status *st)
{
    for (int i = 0; i < o->kind->n_options; i++)
        read_option(&o->kind->options[i], o->opt, o->kind->options[i].fallback);
    bind(o->kind, o->opt, which->bound);
    for (int i = 0; i < args; i++) {
        const optim_option *option = option_of(o->kind, arg[i].key);
        if (!option && !dropped(arg[i].key))
            return status_fail(st, TIMM_BAD_ARG, "optimizer %s has no option '%s'", which->name, arg[i].key);
        if (option && !read_option(option, o->opt, arg[i].value))
            return status_fail(st, TIMM_BAD_ARG, "optimizer %s: '%s' is no value for %s", which->name, arg[i].value, arg[i].key);
    }
    if (!within_limits(o, which, st))
        return false;
    const char *wrong = o->kind->check ? o->kind->check(o->opt) : NULL;
    return !wrong || status_fail(st, TIMM_BAD_ARG, "optimizer %s: %s", which->name, wrong);
}

/* -- state ----------------------------------------------------------------------------------------------------------------- */

static optim_step step_of(const optimizer *o, int i, float *scratch)
{
    optim_param *p = &o->param[i];
    optim_step s = { .opt = o->opt, .param = p, .p = p->value, .g = p->grad, .n = tg_numel(p->shape), .slot = o->state[i].slot,
                     .number = o->state[i].number, .k = o->k, .lr = p->lr, .wd = p->weight_decay, .max_lr = o->lr, .shared = o->shared };
    for (int k = 0; scratch && k < o->kind->scratch; k++)
        s.scratch[k] = scratch + k * o->scratch_room;
    return s;
}

/* Larger parameters first, each to the thread with the least so far; no result depends on it. */
static bool share_out(optimizer *o)
{
    o->bins = pool_threads(o->threads);
    o->bin = calloc((size_t)o->n + 1, sizeof *o->bin);
    int *order = calloc((size_t)o->n + 1, sizeof *order);
    int64_t *load = calloc((size_t)o->bins, sizeof *load);
    bool ok = o->bin && order && load;
    for (int i = 0; ok && i < o->n; i++) {
        int at = i;
        for (; at && tg_numel(o->param[order[at - 1]].shape) < tg_numel(o->param[i].shape); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int i = 0; ok && i < o->n; i++) {
        int least = 0;
        for (int b = 1; b < o->bins; b++)
            least = load[b] < load[least] ? b : least;
        o->bin[order[i]] = least;
        load[least] += tg_numel(o->param[order[i]].shape);
    }
    free(order);
    free(load);
    return ok;
}

static bool make_state(optimizer *o)
{
    const optim_kind *kind = o->kind;
    int64_t total = 0;
    o->state = calloc((size_t)o->n + 1, sizeof *o->state);
    o->numbers = calloc((size_t)(o->n * kind->numbers) + 1, sizeof *o->numbers);
    o->slow = calloc((size_t)o->n + 1, sizeof *o->slow);
    if (!o->state || !o->numbers || !o->slow)
        return false;
    for (int i = 0; i < o->n; i++) {
        int64_t n = tg_numel(o->param[i].shape), wide = kind->scratch_size ? kind->scratch_size(o->opt, &o->param[i]) : n;
        for (int k = 0; kind->slots[k]; k++) {
            o->state[i].size[k] = kind->slot_size ? kind->slot_size(o->opt, &o->param[i], k) : n;
            total += o->state[i].size[k];
        }
        total += o->lookahead ? n : 0;
        o->scratch_room = wide > o->scratch_room ? wide : o->scratch_room;
        o->state[i].number = o->numbers + i * kind->numbers;
    }
    o->block = calloc((size_t)total + 1, sizeof *o->block);
    o->scratch = malloc((size_t)(o->scratch_room * kind->scratch * pool_threads(o->threads)) * sizeof *o->scratch + 1);
    if (!o->block || !o->scratch || !share_out(o))
        return false;
    float *at = o->block;
    for (int i = 0; i < o->n; i++) {
        for (int k = 0; kind->slots[k]; k++) {
            o->state[i].slot[k] = at;
            at += o->state[i].size[k];
        }
        if (o->lookahead) {
            o->slow[i] = at;
            at += tg_numel(o->param[i].shape);
        }
        if (kind->init) {
            optim_step s = step_of(o, i, NULL);
            kind->init(&s);
        }
    }
    return true;
}

optimizer *optimizer_new(const char *name, double lr, optim_param *param, int n, const optim_arg *arg, int args, pool *threads, status *st)
{
    const named *which = find(name);
    if (!which) {
        unknown_name(name, st);
        return NULL;
    }
    optimizer *o = calloc(1, sizeof *o);
    if (!o) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for an optimizer");
        return NULL;
    }
    o->kind = which->kind;
    o->lr = lr == lr ? lr : which->kind->lr;
    o->param = param;
    o->n = n;
    o->threads = threads;
    o->lookahead = !strncasecmp(name, "lookahead_", 10);
    o->opt = calloc(1, which->kind->size);
    o->common = calloc(1, which->kind->common + 1);
    bool ok = (o->opt && o->common) || status_fail(st, TIMM_NO_MEMORY, "out of memory for an optimizer");
    ok = ok && read_options(o, which, arg, args, st);
    ok = ok && (make_state(o) || status_fail(st, TIMM_NO_MEMORY, "out of memory for the state of %s", name));
    if (ok)
        return o;
    optimizer_free(o);
    return NULL;
}

void optimizer_free(optimizer *o)
{
    if (!o)
        return;
    free(o->opt);
    free(o->state);
    free(o->block);
    free(o->numbers);
    free(o->slow);
    free(o->scratch);
    free(o->bin);
    free(o->common);
    free(o->listed);
    free(o);
}

bool optimizer_wants_hessian(const char *name)
{
    const named *which = find(name);
    return which && which->kind->hessian;
}

int optimizer_state(const optimizer *o, optim_state **state)
{
    int n = 0;
    size_t most = (size_t)o->n * (OPTIM_SLOTS + 2) + 3;
    optim_state *list = o->listed ? o->listed : calloc(most, sizeof *list);
    ((optimizer *)(uintptr_t)o)->listed = list;
    *state = list;
    if (!list)
        return 0;
    list[n++] = (optim_state){ "step", OPTIM_I64, 1, (void *)(uintptr_t)&o->k };
    if (o->lookahead)
        list[n++] = (optim_state){ "lookahead", OPTIM_I64, 1, (void *)(uintptr_t)&o->slow_known };
    for (int i = 0; i < o->n; i++) {
        const char *name = o->param[i].name;
        for (int k = 0; o->kind->slots[k]; k++, n++) {
            list[n] = (optim_state){ .dtype = OPTIM_F32, .count = o->state[i].size[k], .data = o->state[i].slot[k] };
            snprintf(list[n].name, sizeof list[n].name, "%s.%s", name, o->kind->slots[k]);
        }
        if (o->kind->numbers) {
            list[n] = (optim_state){ .dtype = OPTIM_F64, .count = o->kind->numbers, .data = o->state[i].number };
            snprintf(list[n++].name, sizeof list[n].name, "%s.numbers", name);
        }
        if (o->lookahead) {
            list[n] = (optim_state){ .dtype = OPTIM_F32, .count = tg_numel(o->param[i].shape), .data = o->slow[i] };
            snprintf(list[n++].name, sizeof list[n].name, "%s.slow", name);
        }
    }
    return n;
}

/* -- a step ---------------------------------------------------------------------------------------------------------------- */

static void run_bins(void *arg, int64_t from, int64_t to)
{
    optimizer *o = arg;
    float *scratch = o->scratch + (int64_t)pool_worker() * o->kind->scratch * o->scratch_room;
    for (int64_t b = from; b < to; b++)
        for (int i = 0; i < o->n; i++)
            if (o->bin[i] == b) {
                optim_step s = step_of(o, i, scratch);
                o->kind->step(&s);
            }
}

static void look_back(optimizer *o)
{
    float alpha = (float)lookahead_alpha;
    for (int i = 0; i < o->n; i++) {
        float *p = o->param[i].value, *slow = o->slow[i];
        int64_t n = tg_numel(o->param[i].shape);
        for (int64_t k = 0; k < n && o->slow_known; k++)
            p[k] = slow[k] += alpha * (p[k] - slow[k]);
        if (!o->slow_known)
            memcpy(slow, p, (size_t)n * sizeof *p);
    }
    o->slow_known = 1;
}

void optimizer_step(optimizer *o)
{
    o->k++;
    o->shared = o->kind->before ? o->kind->before(o->opt, o->common, o->param, o->n, o->k, o->numbers) : 0;
    pool_run(o->threads, o->bins, 1, run_bins, o);
    if (o->lookahead && o->k % LOOKAHEAD_K == 0)
        look_back(o);
}
