/* loss.c - losses by name, their options, and the few expressions they share. */
#include "base/edits.h"
#include "train/loss_class.h"
#include <stdlib.h>
#include <string.h>

static const loss_class *const classes[] = {
#define LOSS(name) &loss_##name,
#include "train/losses.list"
#undef LOSS
};

static const char *const names[] = {
#define LOSS(name) #name,
#include "train/losses.list"
#undef LOSS
    NULL
};

static const char *const reductions[] = { "mean", "sum", "none", "batchmean" };

const char *const *loss_names(void) { return names; }

/* -- shared expressions -------------------------------------------------------------------------------------------- */

tg *loss_number(const loss_call *l, double v) { return tg_full(l->x, SHAPE(1, 1), v); }
tg *loss_one_minus(tg *x) { return tg_affine(x, -1, 1); }
tg *loss_log_softmax(tg *x) { return tg_sub(x, tg_logsumexp(x, -1)); }
tg *loss_sum(tg *x) { return tg_reshape(tg_sum(x, AXIS(0) | AXIS(1)), SHAPE(1)); }
tg *loss_smoothed(tg *t, double smoothing, double to)
{
    return smoothing ? tg_affine(t, 1 - smoothing, smoothing * to) : t;
}

tg *loss_reduce(const loss_call *l, tg *each, double reduction)
{
    switch ((loss_reduction)reduction) {
    case REDUCE_SUM:
        return loss_sum(each);
    case REDUCE_NONE:
        return tg_dim(each, 1) == 1 && l->c > 1 ? tg_reshape(each, SHAPE(l->n)) : each;
    case REDUCE_BATCHMEAN:
        return tg_affine(loss_sum(each), 1 / (double)l->n, 0);
    case REDUCE_MEAN:
        break;
    }
    return tg_affine(loss_sum(each), 1 / (double)(tg_dim(each, 0) * tg_dim(each, 1)), 0);
}

/* -- options ------------------------------------------------------------------------------------------------------- */

static bool number(const char *text, double *v)
{
    char *end;
    *v = strtod(text, &end);
    return *text && !*end && isfinite(*v);
}

static bool flag(const char *text, double *v)
{
    *v = !strcmp(text, "true") || !strcmp(text, "1");
    return *v == 1 || !strcmp(text, "false") || !strcmp(text, "0");
}

static bool reduction(const loss_class *k, const char *text, double *v)
{
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, reductions[i])) {
            *v = i;
            return i != REDUCE_BATCHMEAN || (k->flags & LOSS_BATCHMEAN);
        }
    return false;
}

static bool value(const loss_class *k, const loss_option *o, const char *text, double *v)
{
    if (o->kind == LOSS_REDUCTION)
        return reduction(k, text, v);
    if (o->kind == LOSS_FLAG)
        return flag(text, v);
    if (o->kind == LOSS_OR_NONE && (!strcmp(text, "none") || !strcmp(text, "None"))) {
        *v = NAN;
        return true;
    }
    return number(text, v) && (o->lo == o->hi || (*v >= o->lo && *v <= o->hi));
}

static const char *keys_of(const loss_class *k, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, k->options ? "it takes" : "it takes none");
    for (int i = 0; i < k->options && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s %s", i ? "," : "", k->option[i].key);
    return text;
}

/* NULL: all is well; otherwise the poison. */
static tg *read_options(const loss_class *k, const loss_spec *s, tg_graph *g, double *o)
{
    char text[400];
    for (int i = 0; i < k->options; i++)
        o[i] = k->option[i].fallback;
    for (int a = 0; a < s->args; a++) {
        int i = 0;
        while (i < k->options && strcmp(k->option[i].key, s->arg[a].key) != 0)
            i++;
        if (i == k->options)
            return tg_poison(g, TIMM_BAD_ARG, "%s has no option %s; %s", k->name, s->arg[a].key,
                             keys_of(k, text, sizeof text));
        if (!value(k, &k->option[i], s->arg[a].value, &o[i]))
            return tg_poison(g, TIMM_BAD_ARG, "%s: %s cannot be %s", k->name, s->arg[a].key, s->arg[a].value);
    }
    return NULL;
}

static const char *misfit(const loss_class *k, const loss_spec *s, bool labels)
{
    if (s->weight && !(k->flags & LOSS_WEIGHT))
        return "takes no weights of classes";
    if (s->pos_weight && !(k->flags & LOSS_POS_WEIGHT))
        return "takes no weights of positives";
    if (!s->counts && (k->flags & LOSS_COUNTS))
        return "needs the counts of classes";
    if (!labels && (k->flags & LOSS_LABELS_ONLY))
        return "takes labels, not soft targets";
    if (labels && (k->flags & LOSS_DENSE_ONLY))
        return "takes multi-label targets, not labels";
    return NULL;
}

static tg *unknown(const loss_spec *s, tg_graph *g)
{
    char text[800] = "";
    const char *best = names[0];
    size_t at = 0;
    for (int i = 0; names[i] && at < sizeof text; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? ", " : "", names[i]);
        best = edits(s->name, names[i]) < edits(s->name, best) ? names[i] : best;
    }
    bool near = edits_near(s->name, best);
    return tg_poison(g, TIMM_BAD_ARG, "Unknown loss (%s); there are %s%s%s", s->name, text, near ? "; the nearest is " : "", near ? best : "");
}

tg *loss_build(const loss_spec *s, tg *logits, tg *target, bool labels)
{
    tg_graph *g = logits->graph;
    const loss_class *k = NULL;
    for (size_t i = 0; !k && i < sizeof classes / sizeof *classes; i++)
        if (!strcmp(classes[i]->name, s->name))
            k = classes[i];
    if (!k)
        return unknown(s, g);
    loss_call l = { .x = logits, .t = target, .labels = labels };
    tg *bad = read_options(k, s, g, l.o);
    if (bad)
        return bad;
    if (misfit(k, s, labels))
        return tg_poison(g, TIMM_BAD_ARG, "%s %s", k->name, misfit(k, s, labels));
    if (logits->poisoned || target->poisoned)
        return logits->poisoned ? logits : target;
    if (tg_rank(logits) != 2 || !tg_same(logits->shape, target->shape))
        return tg_poison(g, TIMM_SHAPE, "%s: logits %s and target %s", k->name, tg_str(logits->shape),
                         tg_str(target->shape));
    l.n = tg_dim(logits, 0);
    l.c = tg_dim(logits, 1);
    tg_shape row = SHAPE(1, l.c);
    l.weight = s->weight ? tg_const(logits, row, s->weight) : NULL;
    l.pos_weight = s->pos_weight ? tg_const(logits, row, s->pos_weight) : NULL;
    l.counts = s->counts ? tg_const(logits, row, s->counts) : NULL;
    return k->build(&l);
}
