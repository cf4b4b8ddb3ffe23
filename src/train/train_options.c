/* train_options.c - the table of training options, and their values as text. */
#include "train/train_options.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/edits.h"

#define F TIMM_FLAG
#define I TIMM_INT
#define N TIMM_NUMBER
#define T TIMM_TEXT
#define L TIMM_LIST
static const timm_train_option table[] = {
    { NULL, F, NULL, NULL, "Data:" },
    { "data-dir", T, NULL, "DIR", "folder of the images, or of the files of --dataset" },
    { "dataset", T, "", "KIND", "folder (classes are sub-folders), fashion-mnist, idx, cifar10, cifar100" },
    { "task", T, "classification", "TASK", "classification; multilabel, regression: what DIR/SPLIT/labels.csv or DIR/SPLIT.csv says" },
    { "train-split", T, "train", "NAME", "what to train on" },
    { "val-split", T, "validation", "NAME", "what to validate on; empty: nothing" },
    { "class-map", T, NULL, "FILE", "class names, a line each, in the order of their numbers" },
    { "batch-size", I, "128", "N", "images in a batch" },
    { "validation-batch-size", I, NULL, "N", "the same in validation (as --batch-size)" },
    { "workers", I, "2", "N", "threads that read images; 0: none beside the computing ones" },

    { NULL, F, NULL, NULL, "Augmentation:" },
    { "no-aug", F, "false", NULL, "train on the images as they are, resized to the input's height and width" },
    { "scale", L, "0.08 1.0", "A B", "area of the random crop, as parts of the image" },
    { "ratio", L, "0.75 1.3333333333333333", "A B", "shape of the random crop, width over height" },
    { "hflip", N, "0.5", "P", "mirror left and right so often" },
    { "vflip", N, "0", "P", "mirror top and bottom so often" },
    { "crop-padding", I, NULL, "N", "crop at random from the image with N black pixels around, in place of --scale and --ratio" },
    { "train-interpolation", T, "random", "I", "bilinear, bicubic, random (of these two)" },
    { "reprob", N, "0", "P", "erase random rectangles so often" },
    { "remode", T, "pixel", "MODE", "what they become: noise a pixel, a random colour a rectangle (rand), the mean colour (const)" },
    { "recount", I, "1", "N", "1 to N rectangles, the more the smaller" },
    { "interpolation", T, NULL, "I", "of validation (the model's own)" },
    { "crop-pct", N, NULL, "X", "of validation (the model's own)" },
    { "mean", L, NULL, "M...", "of the pixels, one number a channel (the model's own)" },
    { "std", L, NULL, "S...", "likewise, their deviation" },
    { "mixup", N, "0", "A", "mix pairs of images: Beta(A, A)" },
    { "cutmix", N, "0", "A", "paste a rectangle of another image: Beta(A, A)" },
    { "cutmix-minmax", L, NULL, "A B", "its sides are A to B of the image's, in place of Beta" },
    { "mixup-prob", N, "1", "P", "how often a batch is mixed" },
    { "mixup-switch-prob", N, "0.5", "P", "how often with cutmix when both are on" },
    { "mixup-mode", T, "batch", "MODE", "one draw for a batch, a pair of images, or each image (elem)" },
    { "mixup-off-epoch", I, "0", "N", "no mixing from epoch N on; 0: to the end" },

    { NULL, F, NULL, NULL, "Loss:" },
    { "smoothing", N, "0.1", "A", "label smoothing" },
    { "bce-loss", F, "false", NULL, "binary cross entropy" },
    { "bce-sum", F, "false", NULL, "its sum over the classes" },
    { "bce-target-thresh", N, NULL, "T", "targets above T count as 1, others as 0" },
    { "bce-pos-weight", N, NULL, "W", "weight of positive classes" },
    { "loss", T, NULL, "NAME", "ce, bce, asl, poly; multilabel: bce, asl, poly, db; twoway, zlpr with --smoothing 0; regression: mse, l1, smooth_l1; or timm's "
      "class: AsymmetricLossSingleLabel, ...; in C also given: the target is the gradient by the logits" },
    { "loss-kwargs", L, NULL, "K=V...", "its options: gamma_neg=2" },

    { NULL, F, NULL, NULL, "Optimizer:" },
    { "opt", T, "sgd", "NAME", "adamw, lamb, muon, lookahead_radam, ...; 'timm train --list-opts' names all" },
    { "opt-eps", N, NULL, "E", "its epsilon (the optimizer's own)" },
    { "opt-betas", L, NULL, "B...", "its betas (the optimizer's own)" },
    { "momentum", N, "0.9", "M", "where it has one" },
    { "weight-decay", N, "2e-5", "W", "of all but biases, norms and what the model names" },
    { "layer-decay", N, NULL, "D", "rate of a layer over that of the next: 0.65 for fine-tuning transformers" },
    { "layer-decay-min-scale", N, "0", "S", "no layer's rate below S times the rate" },
    { "layer-decay-no-opt-scale", N, NULL, "S", "layers below S times the rate are not trained" },
    { "opt-kwargs", L, NULL, "K=V...", "its other options: nesterov=false betas=[0.9,0.99]; foreach and fused change nothing" },
    { "clip-grad", N, NULL, "V", "clip gradients; 0: do not" },
    { "clip-mode", T, "norm", "MODE", "norm, value, agc" },
    { "grad-accum-steps", I, "1", "N", "batches to an update" },
    { "grad-checkpointing", F, "false", NULL, "less memory: what is in the blocks is computed again for the gradients" },
    { "freeze", L, NULL, "GLOB...", "parameters that stay as they are: 'stem*' 'layer1*'; of batch norms, their running statistics too" },
    { "head-only", F, "false", NULL, "train the classifier alone; batch norms work as in inference" },

    { NULL, F, NULL, NULL, "Schedule:" },
    { "sched", T, "cosine", "NAME", "cosine, tanh, step, multistep, plateau, poly, wsd, rsqrt, constant, none" },
    { "sched-on-updates", F, "false", NULL, "move it at each update, not each epoch" },
    { "lr", N, NULL, "R", "learning rate; without: --lr-base times the global batch over --lr-base-size" },
    { "lr-base", N, "0.1", "R", "rate for a batch of --lr-base-size" },
    { "lr-base-size", I, "256", "N", "see --lr-base" },
    { "lr-base-scale", T, NULL, "HOW", "linear or sqrt (sqrt for ada* and lamb*)" },
    { "lr-noise", L, NULL, "A [B]", "noise between these parts of the run" },
    { "lr-noise-pct", N, "0.67", "P", "its limit" },
    { "lr-noise-std", N, "1.0", "S", "its deviation" },
    { "lr-cycle-mul", N, "1.0", "M", "each cycle M times as long" },
    { "lr-cycle-decay", N, "0.5", "D", "each cycle starts D times as high" },
    { "lr-cycle-limit", I, "1", "N", "cycles" },
    { "lr-k-decay", N, "1.0", "K", "k-decay of cosine and poly" },
    { "warmup-lr", N, "1e-5", "R", "rate at the start" },
    { "min-lr", N, "0", "R", "rate at the end" },
    { "epochs", I, "300", "N", "passes over the data" },
    { "decay-milestones", L, "90 180 270", "E...", "of multistep" },
    { "decay-epochs", N, NULL, "E", "of step (90); wsd, rsqrt: length of the decay, below 1 a fraction of the epochs (0.2)" },
    { "warmup-epochs", I, "5", "N", "linear warm-up" },
    { "warmup-prefix", F, "false", NULL, "the warm-up goes before the schedule, not into it" },
    { "cooldown-epochs", I, "0", "N", "epochs at --min-lr after the end" },
    { "patience-epochs", I, NULL, "N", "plateau: epochs without progress (10); others, if given: stop after so many" },
    { "decay-rate", N, "0.1", "R", "of step, multistep, plateau, poly" },

    { NULL, F, NULL, NULL, "Precision:" },
    { "amp", F, "false", NULL, "products of bfloat16 numbers (--precision bf16); weights, sums, norms and losses stay single" },
    { "amp-dtype", T, "bfloat16", "T", "the numbers of --amp: bfloat16" },
    { "precision", T, NULL, "P", "of products: bf16x6 (as exact as fp32), fp32, bf16x3, bf16 (bf16x6; with --amp: bf16)" },

    { NULL, F, NULL, NULL, "Averages of the weights:" },
    { "model-ema", F, "false", NULL, "keep an exponential moving average of the weights, and validate it" },
    { "model-ema-decay", N, "0.9998", "D", "its decay" },
    { "model-ema-warmup", F, "false", NULL, "its decay grows from 0" },

    { NULL, F, NULL, NULL, "Run:" },
    { "seed", I, "42", "N", "of initial values, order, augmentation, dropout" },
    { "log-interval", I, "50", "N", "a line every N batches" },
    { "val-interval", I, "1", "N", "validate every N epochs" },
    { "recovery-interval", I, "0", "N", "save within the epoch, too, every N updates" },
    { "checkpoint-hist", I, "10", "N", "how many of the best checkpoints to keep" },
    { "output", T, "", "DIR", "where runs go (output/train)" },
    { "experiment", T, NULL, "NAME", "folder of this run in it (date-time-model-size)" },
    { "eval-metric", T, NULL, "NAME", "what is best: loss; top1, top5 (top1); multilabel: map, micro_f1, macro_f1, sample_f1 (map); regression: "
      "rmse, mae, r2 (rmse)" },
    { "threshold", N, "0.5", "P", "multilabel: a label is given above this probability" },
    { "resume", T, NULL, "FILE", "go on from a checkpoint; 'auto': from the run's last one, or the newest there is, if any" },
    { "no-resume-opt", F, "false", NULL, "go on from it with an optimizer that begins anew, and may be another" },
    { "on-nan", T, "stop", "HOW", "a loss that is no number: stop (the last good checkpoint is kept) or skip the batch" },
    { NULL, F, NULL, NULL, NULL }
};

const timm_train_option *timm_train_options(void) { return table; }

/* timm's other names, as its scripts spell them. */
static const char *const aliases[][2] = {
    { "data-dir", "--data" }, { "batch-size", "-b" }, { "validation-batch-size", "-vb" }, { "workers", "-j" }, { "decay-rate", "--dr" },
};

const char *timm_train_alias(const char *name)
{
    for (size_t i = 0; name && i < sizeof aliases / sizeof *aliases; i++)
        if (!strcmp(aliases[i][0], name))
            return aliases[i][1];
    return NULL;
}

/* '-' and '_' are the same. */
static bool same_name(const char *a, const char *b)
{
    for (; *a && (*a == *b || (*a == '-' && *b == '_')); a++)
        b++;
    return !*a && !*b;
}

static int index_of(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (same_name(aliases[i][1] + strspn(aliases[i][1], "-"), name))
            name = aliases[i][0];
    for (int i = 0; table[i].help; i++)
        if (table[i].name && same_name(table[i].name, name))
            return i;
    return -1;
}

static bool fits(timm_option_kind kind, const char *text)
{
    char *end;
    switch (kind) {
    case TIMM_FLAG:
        return !strcmp(text, "true") || !strcmp(text, "false");
    case TIMM_INT:
        (void)strtoll(text, &end, 10);
        return end != text && !*end;
    case TIMM_NUMBER:
        return isfinite(strtod(text, &end)) && end != text && !*end;
    default:
        return true;
    }
}

/* Numbers that make no sense beyond these. */
static const struct { const char *name; double least, most; } limits[] = {
    { "batch-size", 1, 1e6 }, { "validation-batch-size", 1, 1e6 }, { "workers", 0, 256 }, { "hflip", 0, 1 }, { "vflip", 0, 1 },
    { "crop-padding", 0, 1e4 }, { "reprob", 0, 1 }, { "recount", 1, 1000 }, { "crop-pct", 1e-3, 10 }, { "mixup", 0, 1e3 }, { "cutmix", 0, 1e3 },
    { "mixup-prob", 0, 1 }, { "mixup-switch-prob", 0, 1 }, { "threshold", 0, 1 }, { "mixup-off-epoch", 0, 1e9 }, { "smoothing", 0, 1 }, { "weight-decay", 0, 1e3 },
    { "layer-decay", 1e-9, 1e3 }, { "clip-grad", 0, 1e38 }, { "grad-accum-steps", 1, 1e6 }, { "lr", 0, 1e38 }, { "lr-base", 0, 1e38 },
    { "lr-base-size", 1, 1e9 }, { "warmup-lr", 0, 1e9 }, { "min-lr", 0, 1e9 }, { "epochs", 1, 1e9 }, { "warmup-epochs", 0, 1e9 },
    { "cooldown-epochs", 0, 1e9 }, { "patience-epochs", 0, 1e9 }, { "model-ema-decay", 0, 1 }, { "log-interval", 1, 1e9 },
    { "val-interval", 1, 1e9 }, { "recovery-interval", 0, 1e9 }, { "checkpoint-hist", 1, TRAIN_HISTORY }, { "seed", -1e15, 1e15 },
    { "lr-noise-pct", 1e-6, 1e6 }, { "lr-noise-std", 0, 1e6 }, { "lr-cycle-mul", 1e-3, 1e3 }, { "lr-cycle-decay", 0, 1e3 },
    { "lr-cycle-limit", 0, 1e6 }, { "lr-k-decay", 1e-3, 1e3 }, { "decay-rate", 0, 1e9 }, { "decay-epochs", 1e-9, 1e9 },
};

static bool within(const char *name, const char *text, status *st)
{
    double v = strtod(text, NULL);
    for (size_t i = 0; i < sizeof limits / sizeof *limits && *text; i++)
        if (!strcmp(limits[i].name, name) && (v < limits[i].least || v > limits[i].most))
            return status_fail(st, TIMM_BAD_ARG, "%s takes a number from %g to %g, not '%s'", name, limits[i].least, limits[i].most, text);
    return true;
}

/* Options that take one of a few words; "" is each one's own default. */
static const char *const choices[][2] = {
    { "amp-dtype", "bfloat16, float16" }, { "precision", "fp32, bf16x6, bf16x3, bf16" }, { "clip-mode", "norm, value, agc" }, { "eval-metric", "top1, top5, loss, map, micro_f1, macro_f1, sample_f1, rmse, mae, r2" },
    { "lr-base-scale", "linear, sqrt" }, { "interpolation", "nearest, box, bilinear, hamming, bicubic, lanczos" },
    { "mixup-mode", "batch, pair, elem" }, { "on-nan", "stop, skip" }, { "task", "classification, multilabel, regression" },
    { "remode", "pixel, rand, const" }, { "train-interpolation", "bilinear, bicubic, random" },
};

/* The words of the choice that `value` is none of; NULL: it may be. */
static const char *not_among(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const char *p = choices[i][1];
        if (strcmp(choices[i][0], name) != 0 || !*value)
            continue;
        for (size_t n; *p; p += n + strspn(p + n, ", ")) {
            n = strcspn(p, ",");
            if (strlen(value) == n && !strncmp(p, value, n))
                return NULL;
        }
        return choices[i][1];
    }
    return NULL;
}

static bool unknown(const char *name, status *st)
{
    const char *best = NULL;
    for (int i = 0; table[i].help; i++)
        if (table[i].name && (!best || edits(name, table[i].name) < edits(name, best)))
            best = table[i].name;
    if (!edits_near(name, best))
        return status_fail(st, TIMM_BAD_ARG, "no training option is called '%s'", name);
    return status_fail(st, TIMM_BAD_ARG, "no training option is called '%s'; did you mean '%s'?", name, best);
}

bool train_set(train_options *o, const char *name, const char *value, status *st)
{
    static const char *const takes[] = { "true or false", "a whole number", "a number" };
    int i = index_of(name);
    if (i < 0)
        return unknown(name, st);
    timm_option_kind kind = table[i].kind;
    bool none = kind != TIMM_FLAG && kind != TIMM_TEXT && (!*value || !strcmp(value, "null") || !strcmp(value, "none"));
    if (!none && !fits(kind, value))
        return status_fail(st, TIMM_BAD_ARG, "%s takes %s, not '%s'", table[i].name, takes[kind], value);
    const char *among = not_among(table[i].name, value);
    if (among)
        return status_fail(st, TIMM_BAD_ARG, "%s is one of %s, not '%s'", table[i].name, among, value);
    if (!within(table[i].name, none ? "" : value, st))
        return false;
    char *copy = strdup(none ? "" : value);
    if (!copy)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for option %s", name);
    free(o->value[i]);
    o->value[i] = copy;
    return true;
}

void train_options_free(train_options *o)
{
    for (int i = 0; i < TRAIN_OPTIONS; i++)
        free(o->value[i]);
    *o = (train_options){ { NULL } };
}

bool train_given(const train_options *o, const char *name)
{
    int i = index_of(name);
    return i >= 0 && o->value[i];
}

const char *train_text(const train_options *o, const char *name)
{
    int i = index_of(name);
    const char *text = i < 0 ? NULL : o->value[i] ? o->value[i] : table[i].fallback;
    return text ? text : "";
}

double train_number(const train_options *o, const char *name)
{
    const char *text = train_text(o, name);
    return *text ? strtod(text, NULL) : NAN;
}

int64_t train_int(const train_options *o, const char *name) { return strtoll(train_text(o, name), NULL, 10); }
bool train_flag(const train_options *o, const char *name) { return !strcmp(train_text(o, name), "true"); }

static const char blanks[] = " ,\t\n";

int train_numbers(const train_options *o, const char *name, double *out, int room)
{
    int n = 0;
    char *end;
    for (const char *p = train_text(o, name); *(p += strspn(p, blanks)) && n < room; p = end) {
        out[n] = strtod(p, &end);
        if (end == p)
            break;
        n++;
    }
    return n;
}

/* Of the word at p: blanks and commas within brackets are its own, as in betas=(0.9, 0.99). */
static size_t word_length(const char *p)
{
    size_t n = 0;
    for (int depth = 0; p[n] && (depth > 0 || !strchr(blanks, p[n])); n++)
        depth += (p[n] == '[' || p[n] == '(') - (p[n] == ']' || p[n] == ')');
    return n;
}

bool train_words(const train_options *o, const char *name, bool (*each)(void *user, const char *word), void *user)
{
    for (const char *p = train_text(o, name); *(p += strspn(p, blanks));) {
        char word[256];
        size_t n = word_length(p);
        if (n >= sizeof word)
            return false;
        memcpy(word, p, n);
        word[n] = 0;
        if (!each(user, word))
            return false;
        p += n;
    }
    return true;
}
