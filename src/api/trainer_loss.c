/* trainer_loss.c - the loss that the options name, as timm's train.py chooses it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/trainer.h"
#include "train/loss.h"

enum { LOSS_ARGS = 24 };
typedef struct loss_args { loss_arg arg[LOSS_ARGS]; char text[LOSS_ARGS][128]; int n; } loss_args;

static void add_arg(loss_args *a, const char *key, const char *value)
{
    if (!*value || a->n == LOSS_ARGS)
        return;
    snprintf(a->text[a->n], sizeof *a->text, "%s", value);
    a->arg[a->n] = (loss_arg){ key, a->text[a->n] };
    a->n++;
}

static bool add_kwarg(void *user, const char *word)
{
    loss_args *a = user;
    const char *eq = strchr(word, '=');
    if (!eq || a->n == LOSS_ARGS)
        return false;
    snprintf(a->text[a->n], sizeof *a->text, "%s", word);
    a->text[a->n][eq - word] = 0;
    a->arg[a->n] = (loss_arg){ a->text[a->n], a->text[a->n] + (eq - word) + 1 };
    a->n++;
    return true;
}

/* timm's short names; by task the class, and the key of its smoothing. */
static const struct short_name { const char *name, *of[3], *smoothing[3]; } short_names[] = {
    { "ce", { "LabelSmoothingCrossEntropy" }, { "smoothing" } },
    { "bce", { "BinaryCrossEntropy", "BinaryCrossEntropy" }, { "smoothing", "smoothing" } },
    { "asl", { "AsymmetricLossSingleLabel", "AsymmetricLossMultiLabel" }, { "eps", "smoothing" } },
    { "poly", { "PolyCrossEntropy", "PolyBinaryCrossEntropy" }, { "smoothing", "smoothing" } },
    { "twoway", { NULL, "TwoWayLoss" }, { NULL } },
    { "zlpr", { NULL, "ZlprLoss" }, { NULL } },
    { "db", { NULL, "DistributionBalancedLoss" }, { NULL, "smoothing" } },
    { "mse", { NULL, NULL, "MSELoss" }, { NULL } },
    { "l1", { NULL, NULL, "L1Loss" }, { NULL } },
    { "smooth_l1", { NULL, NULL, "SmoothL1Loss" }, { NULL } },
};
static const char *const fallback[] = { [TIMM_CLASSIFICATION] = "ce", [TIMM_MULTILABEL] = "bce", [TIMM_REGRESSION] = "mse" };

static const struct short_name *short_named(const char *name)
{
    for (size_t i = 0; i < sizeof short_names / sizeof *short_names; i++)
        if (!strcmp(short_names[i].name, name))
            return &short_names[i];
    return NULL;
}

static void bce_args(const timm_trainer *t, loss_args *a, int64_t classes, float **weight)
{
    double w = train_number(&t->opts, "bce-pos-weight");
    add_arg(a, "target_threshold", train_text(&t->opts, "bce-target-thresh"));
    add_arg(a, "sum_classes", train_text(&t->opts, "bce-sum"));
    add_arg(a, "smooth_dense", t->task == TIMM_MULTILABEL ? "true" : "false");
    *weight = w == w ? malloc((size_t)classes * sizeof **weight) : NULL;
    for (int64_t i = 0; *weight && i < classes; i++)
        (*weight)[i] = (float)w;
}

/* Images of each class in the training data. */
static float *counts_of(const timm_trainer *t, loss_args *a, int64_t classes)
{
    char samples[32];
    const dataset *d = t->train_data;
    float *counts = d && dataset_classes(d) == classes && dataset_target(d, 0) ? calloc((size_t)classes, sizeof *counts) : NULL;
    for (int64_t i = 0; counts && i < dataset_count(d); i++)
        for (int64_t k = 0; k < classes; k++)
            counts[k] += dataset_target(d, i)[k] >= .5f;
    snprintf(samples, sizeof samples, "%lld", d ? (long long)dataset_count(d) : 0);
    add_arg(a, "num_samples", samples);
    return counts;
}

/* A loss by short name: smoothed here unless the targets are mixed, and so smoothed already. */
static tg *resolve(const timm_trainer *t, const struct short_name *s, tg_graph *g, loss_args *a, const char **class)
{
    const char *smoothing = train_text(&t->opts, "smoothing"), *key = s->smoothing[t->task];
    bool smooth = train_number(&t->opts, "smoothing") > 0;
    *class = s->of[t->task];
    if (!*class)
        return tg_poison(g, TIMM_BAD_ARG, "--loss %s is none of --task %s", s->name, train_text(&t->opts, "task"));
    if (!key && t->task != TIMM_REGRESSION && (smooth || t->mixed))
        return tg_poison(g, TIMM_BAD_ARG, "--loss %s takes targets of 0 and 1: --smoothing 0, and no --mixup or --cutmix", s->name);
    if (!strcmp(s->name, "ce") && (t->mixed || !smooth))
        *class = "SoftTargetCrossEntropy";
    else if (key)
        add_arg(a, key, smooth && !t->mixed ? smoothing : "0");
    return NULL;
}

/* Options of binary cross entropy that would change nothing, as create_classification_loss refuses them; and two losses at once. */
static tg *stray(const train_options *o, tg_graph *g, const char *named)
{
    static const char *const of_bce[] = { "bce-target-thresh", "bce-pos-weight", "bce-sum" };
    if (!strcmp(named, "bce"))
        return NULL;
    if (train_flag(o, "bce-loss"))
        return tg_poison(g, TIMM_BAD_ARG, "--bce-loss asks for one loss, --loss %s for another", named);
    for (size_t i = 0; i < sizeof of_bce / sizeof *of_bce; i++)
        if (*train_text(o, of_bce[i]) && strcmp(train_text(o, of_bce[i]), "false") != 0)
            return tg_poison(g, TIMM_BAD_ARG, "--%s is of binary cross entropy, and the loss is %s; see --bce-loss", of_bce[i], named);
    return NULL;
}

tg *trainer_loss(timm_trainer *t, tg *logits, tg *target)
{
    const train_options *o = &t->opts;
    loss_args a = { .n = 0 };
    const char *named = train_text(o, "loss");
    if (!strcmp(named, "given"))            /* the gradient by the logits is the target */
        return tg_reshape(tg_sum(tg_mul(logits, target), 3), SHAPE(1));
    named = *named ? named : train_flag(o, "bce-loss") ? "bce" : fallback[t->task];
    const struct short_name *s = short_named(named);
    loss_spec spec = { .name = named, .arg = a.arg };
    tg *bad = stray(o, logits->graph, named);
    if (s && !bad)
        bad = resolve(t, s, logits->graph, &a, &spec.name);
    if (bad)
        return bad;
    float *weight = NULL, *counts = NULL;
    if (!strcmp(named, "bce"))
        bce_args(t, &a, tg_dim(logits, 1), &weight);
    if (!strcmp(spec.name, "DistributionBalancedLoss"))
        counts = counts_of(t, &a, tg_dim(logits, 1));
    if (t->train_data && !strcmp(spec.name, "JsdCrossEntropy"))
        return tg_poison(logits->graph, TIMM_BAD_ARG, "JsdCrossEntropy compares several augmentations of each image, timm's aug_splits, which are not there "
                         "yet; in C a loop of one's own can make them");
    bool labels = t->task == TIMM_CLASSIFICATION && !t->mixed && strcmp(spec.name, "SoftTargetCrossEntropy") != 0;
    tg *loss = !train_words(o, "loss-kwargs", add_kwarg, &a)
        ? tg_poison(logits->graph, TIMM_BAD_ARG, "--loss-kwargs takes KEY=VALUE, not '%s'", train_text(o, "loss-kwargs")) : NULL;
    spec.args = a.n;
    spec.pos_weight = weight;
    spec.counts = counts;
    loss = loss ? loss : loss_build(&spec, logits, target, labels);
    free(weight);
    free(counts);
    return loss;
}
