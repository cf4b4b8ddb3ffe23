/* trainer_data.c - a trainer over a data set: its batches, its epochs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "api/trainer.h"
#include "base/random.h"
#include "data/random_erasing.h"
#include "train/task.h"

double trainer_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void timm_trainer_progress(timm_trainer *t, timm_progress_fn *progress, void *user)
{
    if (t) {
        t->progress = progress;
        t->progress_user = user;
    }
}

void timm_trainer_stop(timm_trainer *t)
{
    if (t)
        t->stop = 1;
}

bool timm_trainer_stopped(const timm_trainer *t) { return t && t->stop; }
int timm_trainer_classes(const timm_trainer *t) { return t ? t->n_labels : 0; }
const char *timm_trainer_class(const timm_trainer *t, int i) { return t && i >= 0 && i < t->n_labels ? t->labels[i] : NULL; }

const char *const *timm_list_optimizers(void) { return optimizer_names(); }
const char *timm_optimizer_about(const char *name) { return name ? optimizer_about(name) : NULL; }

int timm_count_classes(timm_ctx *ctx, const char *kind, const char *dir, const char *split, const char *class_map)
{
    if (!ctx)
        return 0;
    dataset_opts o = { .class_map = class_map && *class_map ? class_map : NULL };
    dataset *d = dataset_open(kind ? kind : "", dir ? dir : "", split ? split : "train", &o, &ctx->st);
    int classes = d ? dataset_classes(d) : 0;
    dataset_close(d);
    return classes;
}

/* -- opening --------------------------------------------------------------------------------------------------------------- */

/* What the eval transform is: the model's own, with the options over it. */
static bool eval_transform(timm_trainer *t, timm_transform *tr)
{
    double v[8];
    *tr = timm_model_transform(t->m, false);
    const char *how = train_text(&t->opts, "interpolation");
    double crop = train_number(&t->opts, "crop-pct");
    tr->interpolation = *how ? how : tr->interpolation;
    tr->crop_pct = crop > 0 ? crop : tr->crop_pct;
    struct { const char *name; double *to; } stats[] = { { "mean", tr->mean }, { "std", tr->std } };
    for (int s = 0; s < 2; s++) {
        int n = train_numbers(&t->opts, stats[s].name, v, 8);
        if (n && n != 1 && n != tr->input_size[0])
            return status_fail(&t->m->ctx->st, TIMM_BAD_ARG, "--%s takes %d numbers, one a channel, not %d", stats[s].name,
                               (int)tr->input_size[0], n);
        for (int c = 0; n && c < 3; c++)
            stats[s].to[c] = v[n == 1 ? 0 : c];
        for (int c = 0; s && c < 3; c++)
            if (!(tr->std[c] > 0))
                return status_fail(&t->m->ctx->st, TIMM_BAD_ARG, "--std is above 0, not %g", tr->std[c]);
    }
    return true;
}

static loader *open_loader(timm_trainer *t, dataset *d, bool train)
{
    double scale[2], ratio[2];
    timm_transform tr;
    int64_t size = train_int(&t->opts, "batch-size"), eval_size = train_int(&t->opts, "validation-batch-size");
    bool plain = train && train_flag(&t->opts, "no-aug");
    if (!eval_transform(t, &tr))
        return NULL;
    if (plain) {                                         /* timm's transforms_noaug_train: resized to the size, and nothing cropped */
        tr.crop_pct = 1;
        tr.crop_mode = "squash";
    }
    loader_opts o = {
        .batch = (int)(train || !eval_size ? size : eval_size), .threads = (int)train_int(&t->opts, "workers"),
        .seed = (uint64_t)train_int(&t->opts, "seed"), .shuffle = train, .drop_last = train, .transform = tr,
        .train = train && !plain,
        .augment = { .hflip = train_number(&t->opts, "hflip"), .vflip = train_number(&t->opts, "vflip"),
                     .padding = (int)train_int(&t->opts, "crop-padding"), .interpolation = train_text(&t->opts, "train-interpolation") },
    };
    if (train_numbers(&t->opts, "scale", scale, 2) != 2 || train_numbers(&t->opts, "ratio", ratio, 2) != 2) {
        status_fail(&t->m->ctx->st, TIMM_BAD_ARG, "--scale and --ratio take two numbers each");
        return NULL;
    }
    if (!(scale[0] > 0 && scale[0] <= scale[1] && scale[1] <= 1 && ratio[0] > 0 && ratio[0] <= ratio[1])) {
        status_fail(&t->m->ctx->st, TIMM_BAD_ARG, "--scale is 0 < A <= B <= 1, --ratio 0 < A <= B; not %g %g and %g %g", scale[0], scale[1],
                    ratio[0], ratio[1]);
        return NULL;
    }
    memcpy(o.augment.scale, scale, sizeof scale);
    memcpy(o.augment.ratio, ratio, sizeof ratio);
    return loader_open(d, &o, &t->m->ctx->st);
}

static void note(void *ctx, const char *text) { ctx_note(ctx, "%s", text); }

static dataset *open_split(timm_trainer *t, const char *split)
{
    const char *map = train_text(&t->opts, "class-map");
    const char *kind = train_text(&t->opts, "dataset"), *task = train_text(&t->opts, "task");
    dataset_opts o = { .channels = t->m->opts.in_chans, .class_map = *map ? map : NULL, .n_classes = t->n_labels, .classes = t->labels,
                       .note = note, .user = t->m->ctx };
    if (task_of(&t->opts) != TIMM_CLASSIFICATION && *kind && strcmp(kind, "folder") != 0) {
        status_fail(&t->m->ctx->st, TIMM_BAD_ARG, "--task %s reads images of a folder, and not of --dataset %s", task, kind);
        return NULL;
    }
    return dataset_open(task_of(&t->opts) ? task : kind, train_text(&t->opts, "data-dir"), split, &o, &t->m->ctx->st);
}

/* Class i of validation must be class i of training, and the head must have it. */
static bool same_classes(timm_trainer *t)
{
    status *st = &t->m->ctx->st;
    int n = status_ok(st) && t->eval_data ? dataset_classes(t->eval_data) : 0;
    if (n > t->m->head.classes)
        return status_fail(st, TIMM_MISMATCH, "the images to validate on have %d classes, the model's head %d; see --num-classes", n,
                           t->m->head.classes);
    if (n && n != t->n_labels && task_of(&t->opts))
        return status_fail(st, TIMM_MISMATCH, "the images to train on have %d columns, those to validate on %d", t->n_labels, n);
    for (int i = 0; i < n && i < t->n_labels; i++)
        if (strcmp(dataset_class_name(t->eval_data, i), t->labels[i]) != 0)
            return status_fail(st, TIMM_MISMATCH, "class %d is '%s' in training, '%s' in validation; a --class-map would name them", i,
                               t->labels[i], dataset_class_name(t->eval_data, i));
    return true;
}

/* 0, 1, 2, ...: classes that nobody named, as idx files have them. */
static bool only_numbers(const char *const *label, int n)
{
    char number[16];
    int i = 0;
    while (i < n && snprintf(number, sizeof number, "%d", i) > 0 && !strcmp(label[i], number))
        i++;
    return i == n;
}

/* To validate weights that name their classes: with others, or in another order, every guess would count as wrong. */
static bool classes_of_weights(timm_trainer *t)
{
    const timm_model *m = t->m;
    int n = t->n_labels < m->labels ? t->n_labels : m->labels, other = 0, found = 0;
    while (other < n && !strcmp(t->labels[other], m->label[other]))
        other++;
    if (other == n || only_numbers(t->labels, t->n_labels) || only_numbers(m->label, m->labels))
        return true;
    for (int i = 0; i < t->n_labels; i++)
        for (int k = 0; k < m->labels; k++)
            found += !strcmp(t->labels[i], m->label[k]);
    return status_fail(&m->ctx->st, TIMM_MISMATCH, "class %d is '%s' in the weights and '%s' in the data, which %s", other, m->label[other],
                       t->labels[other], found == t->n_labels ? "have them in another order; a --class-map would name them"
                                                              : "are not of the classes that these weights know");
}

static bool list_labels(timm_trainer *t, const dataset *d)
{
    int n = dataset_classes(d);
    t->labels = calloc((size_t)n + 1, sizeof *t->labels);
    if (!t->labels)
        return status_fail(&t->m->ctx->st, TIMM_NO_MEMORY, "out of memory for class names");
    for (t->n_labels = 0; t->n_labels < n; t->n_labels++)
        t->labels[t->n_labels] = dataset_class_name(d, t->n_labels);
    return true;
}

timm_status timm_trainer_open_data(timm_trainer *t)
{
    if (!t)
        return TIMM_BAD_ARG;
    status *st = &t->m->ctx->st;
    if (!status_ok(st) || t->eval_data || t->train_data)
        return st->code;
    int64_t size = train_int(&t->opts, "batch-size");
    trainer_can_mix(t);
    const char *val = train_text(&t->opts, "val-split"), *train = train_text(&t->opts, "train-split");
    if (status_ok(st) && *train)
        t->train_data = open_split(t, train);
    bool named = !t->train_data || list_labels(t, t->train_data);
    if (named && t->train_data && t->n_labels == 1 && !task_of(&t->opts))
        ctx_note(t->m->ctx, "all images are of one class, %s: there is nothing to tell apart; a table of labels beside them is of --task multilabel or "
                 "regression", t->labels[0]);
    if (status_ok(st) && *val)
        t->eval_data = open_split(t, val);
    dataset *d = t->train_data ? t->train_data : t->eval_data;
    if (!status_ok(st) || !d)
        return status_fail(st, TIMM_BAD_ARG, "neither a --train-split nor a --val-split is named"), st->code;
    named = named && (t->train_data || list_labels(t, d));
    if (named && t->n_labels > t->m->head.classes)
        status_fail(st, TIMM_MISMATCH, "%s has %d classes, the model's head %d; see --num-classes", train_text(&t->opts, "data-dir"),
                    t->n_labels, t->m->head.classes);
    else if (named && task_of(&t->opts) && t->n_labels < t->m->head.classes)
        status_fail(st, TIMM_MISMATCH, "%s: %d columns, but %d outputs of the model; see --num-classes", train_text(&t->opts, "data-dir"),
                    t->n_labels, t->m->head.classes);
    same_classes(t);
    if (status_ok(st) && !t->train_data)
        classes_of_weights(t);
    task_best_metric(&t->opts, st);
    if (status_ok(st) && t->train_data && dataset_count(t->train_data) < size)
        status_fail(st, TIMM_BAD_ARG, "a batch of %lld is more than the %lld images to train on; see --batch-size", (long long)size,
                    (long long)dataset_count(t->train_data));
    if (status_ok(st) && t->train_data)
        t->train_loader = open_loader(t, t->train_data, true);
    if (status_ok(st) && t->eval_data)
        t->eval_loader = open_loader(t, t->eval_data, false);
    if (t->train_loader) {
        int64_t steps = train_int(&t->opts, "grad-accum-steps");
        t->updates_per_epoch = (loader_batches(t->train_loader) + steps - 1) / steps;
    }
    return st->code;
}

void trainer_data_free(timm_trainer *t)
{
    loader_close(t->train_loader);
    loader_close(t->eval_loader);
    dataset_close(t->train_data);
    dataset_close(t->eval_data);
    free(t->labels);
    free(t->pixels);
    free(t->targets);
    free(t->confusion);
    free(t->blended);
    free(t->mix);
}

/* -- batches ----------------------------------------------------------------------------------------------------------------- */

typedef struct erasing_of { erasing how; uint64_t key; const batch *b; float *pixels; } erasing_of;

static void erase_some(void *arg, int64_t from, int64_t to)
{
    const erasing_of *e = arg;
    const batch *b = e->b;
    for (int64_t i = from; i < to; i++)
        random_erasing(&e->how, random_bits(e->key, (uint64_t)b->index[i] + 1), b->channels, b->height, b->width,
                       e->pixels + i * b->channels * b->height * b->width);
}

/* As timm does it where batches are made ready: after mixing. */
static void erase(const timm_trainer *t, const batch *b)
{
    const char *mode = train_text(&t->opts, "remode");
    uint64_t seed = (uint64_t)train_int(&t->opts, "seed");
    erasing_of e = { .how = { .prob = train_number(&t->opts, "reprob"), .count = (int)train_int(&t->opts, "recount"),
                              .fill = !strcmp(mode, "pixel") ? ERASE_PIXEL : !strcmp(mode, "rand") ? ERASE_RAND : ERASE_CONST },
                     .key = random_bits(random_bits(seed, 5), (uint64_t)t->epoch + 1), .b = b, .pixels = t->pixels };
    if (e.how.prob > 0 && !train_flag(&t->opts, "no-aug"))
        pool_run(ctx_pool(t->m->ctx), b->count, 1, erase_some, &e);
}

bool trainer_tensors(timm_trainer *t, const batch *made, int64_t nth, timm_tensor *x, timm_tensor *y)
{
    batch given = *made, *b = &given;
    bool mixed = nth >= 0 && t->mixed;
    int classes = t->m->head.classes;
    timm_transform tr;
    *x = (timm_tensor){ .rank = 4, .dim = { b->count, b->channels, b->height, b->width } };
    *y = (timm_tensor){ .rank = 2, .dim = { b->count, classes } };
    if (b->count > t->room) {
        free(t->pixels);
        free(t->targets);
        t->pixels = malloc((size_t)timm_numel(x) * sizeof *t->pixels);
        t->targets = malloc((size_t)timm_numel(y) * sizeof *t->targets + 1);
        t->room = t->pixels && t->targets ? b->count : 0;
        if (!t->room)
            return status_fail(&t->m->ctx->st, TIMM_NO_MEMORY, "out of memory for a batch of %lld images", (long long)b->count);
    }
    if (!eval_transform(t, &tr) || (mixed && !trainer_mix(t, nth, b)))
        return false;
    x->data = t->pixels;
    y->data = t->targets;
    batch_to_float(b, tr.mean, tr.std, t->pixels, ctx_pool(t->m->ctx));
    if (nth >= 0)
        erase(t, b);
    memset(t->targets, 0, (size_t)timm_numel(y) * sizeof *t->targets);
    for (int64_t i = 0; i < b->count; i++) {
        const float *row = dataset_target(nth < 0 ? t->eval_data : t->train_data, b->index[i]);
        if (row)
            memcpy(t->targets + i * classes, row, (size_t)classes * sizeof *row);
        else
            t->targets[i * classes + b->label[i]] = 1;
    }
    return !mixed || trainer_mix_targets(t, b->count, classes, t->targets);
}

void trainer_tell(timm_trainer *t, const char *phase, int64_t nth, int64_t batches, double loss, double mean, int64_t images, double since)
{
    double spent = trainer_now() - since, rate = spent > 0 ? (double)images / spent : 0;
    int64_t epochs = t->epochs ? t->epochs : train_int(&t->opts, "epochs");
    timm_progress p = { .phase = phase, .epoch = t->epoch, .epochs = epochs, .batch = nth, .batches = batches, .loss = loss,
                        .mean_loss = mean, .images_per_second = rate, .lr = timm_trainer_lr(t) };
    double done = (double)t->run_batches, all = (double)(batches * (epochs - t->run_epoch)) - (double)t->run_batch;
    p.seconds_left = done > 0 && phase[0] == 't' ? (trainer_now() - t->run_began) / done * (all - done) : 0;
    if (t->progress)
        t->progress(t->progress_user, &p);
}

bool timm_trainer_epoch(timm_trainer *t, timm_epoch *out)
{
    if (!t || timm_trainer_open_data(t) != TIMM_OK || !trainer_start(t))
        return false;
    status *st = &t->m->ctx->st;
    if (!t->train_loader)
        return status_fail(st, TIMM_BAD_ARG, "no --train-split is named");
    if (!strcmp(train_text(&t->opts, "loss"), "given"))
        return status_fail(st, TIMM_BAD_ARG, "--loss given is for a loop of one's own in C: a data set has targets, no gradients");
    int64_t batches = loader_batches(t->train_loader), accumulate = train_int(&t->opts, "grad-accum-steps"), images = 0, skipped = 0;
    int64_t every = train_int(&t->opts, "recovery-interval");
    bool skip_nan = !strcmp(train_text(&t->opts, "on-nan"), "skip");
    double began = trainer_now();
    loader_seek(t->train_loader, t->epoch, t->batch);
    t->between = true;
    for (int64_t i = t->batch, passes = 0; i < batches; i++) {
        timm_tensor x, y;
        double loss = 0;
        const batch *b = loader_next(t->train_loader, st);
        if (!b || !trainer_tensors(t, b, i, &x, &y))
            return status_fail(st, TIMM_INTERNAL, "batch %lld of %lld is missing", (long long)i, (long long)batches);
        if (passes)
            timm_keep_gradients(t);
        t->between = false;
        if (timm_backward(t, &x, &y, &loss) != TIMM_OK)
            return false;
        if (!isfinite(loss) && !skip_nan)
            return status_fail(st, TIMM_DIVERGED, "the loss is no number (%s) in epoch %lld, batch %lld, at a rate of %g; "
                               "a lower --lr, --clip-grad or --warmup-epochs may help", loss == loss ? "infinite" : "NaN", (long long)t->epoch, (long long)i,
                               timm_trainer_lr(t));
        if (isfinite(loss) && (!skip_nan || trainer_finite_gradients(t))) {
            passes++;
            images += b->count;
            t->loss_sum += loss * (double)b->count;
            t->loss_count += b->count;
        } else {
            passes = t->calls = 0;                       /* its gradients are none */
            skipped++;
        }
        t->run_batches++;
        trainer_tell(t, "train", i + 1, batches, loss, t->loss_count ? t->loss_sum / (double)t->loss_count : 0, images, began);
        if (passes && passes < accumulate && i + 1 < batches)
            continue;
        if (passes && timm_optimizer_step(t) != TIMM_OK)
            return false;
        bool due = every && passes && t->updates % every == 0;
        passes = 0;
        t->batch = i + 1;
        t->between = true;
        if (t->stop && t->batch < batches)
            return false;
        if (due && t->batch < batches && t->save && !t->save(t))
            return false;
    }
    if (!t->loss_count)
        return status_fail(st, TIMM_DIVERGED, "no batch of epoch %lld has a loss that is a number: skipping them leads nowhere", (long long)t->epoch);
    if (skipped)
        ctx_note(t->m->ctx, "epoch %lld: %lld of %lld batches were skipped, whose loss or gradients are no numbers", (long long)t->epoch,
                 (long long)skipped, (long long)batches);
    double spent = trainer_now() - began;
    if (out)
        *out = (timm_epoch){ .epoch = t->epoch, .lr = timm_trainer_lr(t), .train_loss = t->loss_sum / (double)t->loss_count,
                             .images_per_second = spent > 0 ? (double)images / spent : 0 };
    return true;
}
