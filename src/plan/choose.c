/* choose.c - asks each kernel of each backend in turn, best first; the definition takes what nobody wants. */
#include <string.h>
#include "plan_in.h"

/* Dense strides whose order from outermost to innermost is that of `like`; ties and repeated axes keep their own order. */
void plan_order_strides(tg_tensor *out, const tg_tensor *like)
{
    int rank = out->shape.rank, axis[TG_MAX_RANK];
    if (like->shape.rank != rank) {
        tg_dense(out);
        return;
    }
    for (int i = 0; i < rank; i++)
        axis[i] = i;
    for (int i = 1; i < rank; i++)                       /* insertion sort, stable; size-1 and 0-stride axes stay put */
        for (int k = i; k > 0; k--) {
            int a = axis[k - 1], b = axis[k];
            if (like->shape.dim[a] == 1 || like->shape.dim[b] == 1 || !like->stride[a] || !like->stride[b]
                || like->stride[a] >= like->stride[b])
                break;
            axis[k - 1] = b;
            axis[k] = a;
        }
    int64_t step = 1;
    for (int i = rank; i-- > 0; step *= out->shape.dim[axis[i]])
        out->stride[axis[i]] = step;
}

static bool prepare(const plan_opts *o, const tg_kernel *k, const tg_call *call, choice *c, status *st)
{
    c->kernel = k;
    c->precision = call->precision;
    c->prep = (tg_prep){ .st = st, .sketch = o->sketch };
    return status_ok(st) && (!k->prepare || k->prepare(call, &c->prep));
}

/* The layout an op asks for when it does not take what it is given. */
static void canonical_layout(const tg_op *op, tg_tensor *in, int n_in, tg_tensor *out)
{
    for (int i = 0; i < n_in; i++)
        if ((op->flags & TG_SPATIAL) && in[i].shape.rank == 4 && !in[i].constant)
            tg_channels_last(&in[i]);
        else
            tg_dense(&in[i]);
    if (op->flags & TG_SPATIAL)
        tg_channels_last(out);
    else
        tg_dense(out);
}

static void tell(const plan_opts *o, const char *where, const tg_call *call, const tg_kernel *k, const char *why)
{
    if (o->verbose >= 2)
        fprintf(stderr, "timm: %-40s %-14s %-24s %s\n", where, call->op->name, k ? k->name : "ref", why ? why : "chosen");
}

static bool without_fewer(const plan_opts *o) { return o->without >> PASS_FEWER & 1; }

static bool takes(const plan_opts *o, const tg_kernel *k, const tg_call *call)
{
    return !strcmp(k->op, call->op->name) && !(k->fewer && without_fewer(o)) && (!k->declines || !k->declines(call));
}

/* Kernels for a call that is laid out as the first of them wants it, prepared; the first is the choice by rule.  Where one has
 * instructions for the precision that are not those of single precision, all that this adds in single precision as well. */
static int contenders(const plan_opts *o, const tg_call *call, const tg_kernel *first, choice *c, int room, status *st)
{
    tg_call exact = *call;
    exact.precision = TG_FP32;
    bool apart = false;
    int n = 0;
    if (prepare(o, first, call, &c[n], st))
        n++;
    for (int round = 0; round < 1 + apart; round++)
        for (int b = 0; o->backends[b] && n; b++)
            for (size_t i = 0; i < o->backends[b]->count && n < room && status_ok(st); i++) {
                const tg_kernel *k = &o->backends[b]->kernels[i];
                bool now = takes(o, k, call), differs = now && k->apart && k->apart(call->precision);
                apart = apart || differs;
                if (round ? (!now || differs) && takes(o, k, &exact) && prepare(o, k, &exact, &c[n], st) : now && k != first && prepare(o, k, call, &c[n], st))
                    n++;
            }
    return n;
}

static void drop(const choice *c)
{
    if (c->kernel->release)
        c->kernel->release(c->prep.state);
}

#define IN_FP32 "@fp32"         /* after a kernel's name in the table: in single precision, whatever was asked for */

/* The kernel that was measured to be the fastest, or is now, where `first` claims the call by rule.  False: by rule, then. */
static bool measured(const plan_opts *o, const tg_call *call, const tg_kernel *first, const char *where, choice *c, status *st)
{
    enum { MOST = 8 };
    char text[TUNE_CALL];
    choice of[MOST];
    double us[MOST];
    if (!tune_call(call, text))
        return false;
    const char *name = tune_find(o->tune, text);
    const size_t length = name ? strcspn(name, "@") : 0;
    const bool exact = name && !strcmp(name + length, IN_FP32);
    tg_call found = *call;
    if (exact)
        found.precision = TG_FP32;
    for (int b = 0; o->backends[b] && name && (exact || !name[length]); b++)
        for (size_t i = 0; i < o->backends[b]->count; i++) {
            const tg_kernel *k = &o->backends[b]->kernels[i];
            if (strlen(k->name) == length && !strncmp(k->name, name, length) && takes(o, k, &found))
                return (k != first || found.precision != call->precision) && prepare(o, k, &found, c, st);
        }
    if (!tune_measures(o->tune) || o->sketch || without_fewer(o))          /* a name of no kernel that can is as good as none */
        return false;
    int n = contenders(o, call, first, of, MOST, st), best = n - 1;
    if (n > 1)
        best = status_ok(st) ? tune_fastest(o->tune, call, of, n, us) : -1;
    for (int i = 0; i < n && n > 1 && best >= 0 && o->verbose >= 2; i++)
        fprintf(stderr, "timm: %-40s %-14s %-24s %.1f us\n", where, call->op->name, of[i].kernel->name, us[i]);
    if (n > 1 && best >= 0) {
        char as[80];
        snprintf(as, sizeof as, "%s%s", of[best].kernel->name, of[best].precision == call->precision ? "" : IN_FP32);
        if (!tune_add(o->tune, text, as))
            best = -1;
    }
    for (int i = 0; i < n; i++)
        if (i == best)
            *c = of[i];
        else
            drop(&of[i]);
    return best >= 0;
}

/* What is multiplied is so little that single precision is faster, by rule; a measurement tells by itself. */
static bool exact(const plan_opts *o, const tg_call *call)
{
    for (int b = 0; o->backends[b] && !o->tune; b++)
        for (size_t i = 0; i < o->backends[b]->count; i++) {
            const tg_kernel *k = &o->backends[b]->kernels[i];
            if (k->exact && !strcmp(k->op, call->op->name) && k->exact(call))
                return true;
        }
    return false;
}

bool choose_kernel(const plan_opts *o, tg_call *call, tg_tensor *in, bool canonical, const char *where, choice *c, status *st)
{
    tg_tensor was[64], out_was = call->out;
    int n = call->n_in <= 64 ? call->n_in : 0;
    if (exact(o, call))
        call->precision = TG_FP32;
    memcpy(was, in, (size_t)n * sizeof *in);
    for (int b = 0; o->backends[b] && n == call->n_in; b++)
        for (size_t i = 0; i < o->backends[b]->count; i++) {
            const tg_kernel *k = &o->backends[b]->kernels[i];
            if (strcmp(k->op, call->op->name) || (k->fewer && without_fewer(o)))
                continue;
            if (k->prefers && canonical)
                k->prefers(call, in, &call->out);
            const char *why = k->declines ? k->declines(call) : NULL;
            if (why && canonical && !k->prefers) {
                canonical_layout(call->op, in, n, &call->out);
                if (!k->declines(call))
                    why = NULL;
            }
            if (!why && k->doubts)
                why = k->doubts(call);
            if (!why && ((o->tune && measured(o, call, k, where, c, st)) || prepare(o, k, call, c, st))) {
                call->precision = c->precision;
                tell(o, where, call, c->kernel, NULL);
                return true;
            }
            tell(o, where, call, k, why ? why : "could not be prepared");
            memcpy(in, was, (size_t)n * sizeof *in);
            call->out = out_was;
            if (!status_ok(st))
                return false;
        }
    *c = (choice){ 0 };
    tell(o, where, call, NULL, NULL);
    return true;
}
