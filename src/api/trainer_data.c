/* trainer_data.c - a trainer over a data set: epochs and validation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "api/trainer.h"

static double now(void)
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
    dataset *d = dataset_open(kind ? kind : "", dir ? dir : "", split ? split : "train", &(dataset_opts){ .class_map = class_map }, &ctx->st);
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
    if (!eval_transform(t, &tr))
        return NULL;
    loader_opts o = {
        .batch = (int)(train || !eval_size ? size : eval_size), .threads = (int)train_int(&t->opts, "workers"),
        .seed = (uint64_t)train_int(&t->opts, "seed"), .shuffle = train, .drop_last = train, .transform = tr,
        .train = train && !train_flag(&t->opts, "no-aug"),
        .augment = { .hflip = train_number(&t->opts, "hflip"), .vflip = train_number(&t->opts, "vflip"),
                     .padding = (int)train_int(&t->opts, "crop-padding"), .interpolation = train_text(&t->opts, "train-interpolation"),
                     .erase = train_number(&t->opts, "reprob") },
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

static dataset *open_split(timm_trainer *t, const char *split)
{
    const char *map = train_text(&t->opts, "class-map");
    dataset_opts o = { .channels = t->m->opts.in_chans, .class_map = *map ? map : NULL };
    return dataset_open(train_text(&t->opts, "dataset"), train_text(&t->opts, "data-dir"), split, &o, &t->m->ctx->st);
}

/* Class i of validation must be class i of training, and the head must have it. */
static bool same_classes(timm_trainer *t)
{
    status *st = &t->m->ctx->st;
    int n = status_ok(st) && t->eval_data ? dataset_classes(t->eval_data) : 0;
    if (n > t->m->head.classes)
        return status_fail(st, TIMM_MISMATCH, "the images to validate on have %d classes, the model's head %d; see --num-classes", n,
                           t->m->head.classes);
    for (int i = 0; i < n && i < t->n_labels; i++)
        if (strcmp(dataset_class_name(t->eval_data, i), t->labels[i]) != 0)
            return status_fail(st, TIMM_MISMATCH, "class %d is '%s' in training, '%s' in validation; a --class-map would name them", i,
                               t->labels[i], dataset_class_name(t->eval_data, i));
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
    if (status_ok(st) && *val)
        t->eval_data = open_split(t, val);
    dataset *d = t->train_data ? t->train_data : t->eval_data;
    if (!status_ok(st) || !d)
        return status_fail(st, TIMM_BAD_ARG, "neither a --train-split nor a --val-split is named"), st->code;
    t->n_labels = dataset_classes(d);
    t->labels = calloc((size_t)t->n_labels + 1, sizeof *t->labels);
    for (int i = 0; t->labels && i < t->n_labels; i++)
        t->labels[i] = dataset_class_name(d, i);
    if (!t->labels)
        status_fail(st, TIMM_NO_MEMORY, "out of memory for class names");
    else if (t->n_labels > t->m->head.classes)
        status_fail(st, TIMM_MISMATCH, "%s has %d classes, the model's head %d; see --num-classes", train_text(&t->opts, "data-dir"),
                    t->n_labels, t->m->head.classes);
    same_classes(t);
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

/* Normalised pixels and one-hot rows of a batch, in the trainer's memory; nth: of the epoch, mixed where the options say so;
 * -1: of validation. */
static bool to_tensors(timm_trainer *t, const batch *made, int64_t nth, timm_tensor *x, timm_tensor *y)
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
    memset(t->targets, 0, (size_t)timm_numel(y) * sizeof *t->targets);
    for (int64_t i = 0; i < b->count; i++)
        t->targets[i * classes + b->label[i]] = 1;
    return !mixed || trainer_mix_targets(t, b->count, classes, t->targets);
}

static void tell(timm_trainer *t, const char *phase, int64_t nth, int64_t batches, double loss, double mean, int64_t images, double since)
{
    double spent = now() - since, rate = spent > 0 ? (double)images / spent : 0;
    int64_t epochs = t->epochs ? t->epochs : train_int(&t->opts, "epochs");
    timm_progress p = { .phase = phase, .epoch = t->epoch, .epochs = epochs, .batch = nth, .batches = batches, .loss = loss,
                        .mean_loss = mean, .images_per_second = rate, .lr = timm_trainer_lr(t) };
    double done = (double)t->run_batches, all = (double)(batches * (epochs - t->run_epoch)) - (double)t->run_batch;
    p.seconds_left = done > 0 && phase[0] == 't' ? (now() - t->run_began) / done * (all - done) : 0;
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
    int64_t batches = loader_batches(t->train_loader), accumulate = train_int(&t->opts, "grad-accum-steps"), images = 0;
    int64_t every = train_int(&t->opts, "recovery-interval");
    bool skip_nan = !strcmp(train_text(&t->opts, "on-nan"), "skip");
    double began = now();
    loader_seek(t->train_loader, t->epoch, t->batch);
    for (int64_t i = t->batch, passes = 0; i < batches; i++) {
        timm_tensor x, y;
        double loss = 0;
        const batch *b = loader_next(t->train_loader, st);
        if (!b || !to_tensors(t, b, i, &x, &y))
            return status_fail(st, TIMM_INTERNAL, "batch %lld of %lld is missing", (long long)i, (long long)batches);
        if (passes)
            timm_keep_gradients(t);
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
        }
        t->run_batches++;
        tell(t, "train", i + 1, batches, loss, t->loss_count ? t->loss_sum / (double)t->loss_count : 0, images, began);
        if (passes && passes < accumulate && i + 1 < batches)
            continue;
        if (passes && timm_optimizer_step(t) != TIMM_OK)
            return false;
        bool due = every && passes && t->updates % every == 0;
        passes = 0;
        t->batch = i + 1;
        if (t->stop && t->batch < batches)
            return false;
        if (due && t->batch < batches && t->save && !t->save(t))
            return false;
    }
    double spent = now() - began;
    if (out)
        *out = (timm_epoch){ .epoch = t->epoch, .lr = timm_trainer_lr(t), .train_loss = t->loss_count ? t->loss_sum / (double)t->loss_count : NAN,
                             .images_per_second = spent > 0 ? (double)images / spent : 0 };
    return true;
}

/* -- validation ------------------------------------------------------------------------------------------------------------ */

/* Parameters and their averages change places; called twice. */
static void swap_average(timm_trainer *t)
{
    for (size_t i = 0; i < t->m->entries; i++) {
        float *a = t->m->entry[i]->owned, *b = t->ema[i];
        for (int64_t k = 0, n = tg_numel(t->m->entry[i]->shape); k < n; k++) {
            float v = a[k];
            a[k] = b[k];
            b[k] = v;
        }
    }
    model_drop_plans(t->m);
}

typedef struct tally { double loss; int64_t images, first, five; } tally;

/* One row of logits: its loss and its place among the classes. */
static void count(timm_trainer *t, tally *s, const float *z, int classes, int64_t label)
{
    double most = -INFINITY, sum = 0;
    int above = 0, guess = 0;
    for (int c = 0; c < classes; c++) {
        guess = z[c] > most ? c : guess;
        most = fmax(most, z[c]);
        above += !(z[c] < z[label] || (z[c] == z[label] && c >= label));          /* what is no number is above all */
    }
    for (int c = 0; c < classes; c++)
        sum += exp(z[c] - most);
    s->loss += log(sum) - (z[label] - most);
    s->first += above < 1;
    s->five += above < 5;
    s->images++;
    t->confusion[label * classes + guess]++;
}

static bool validate(timm_trainer *t, tally *s)
{
    status *st = &t->m->ctx->st;
    int classes = t->m->head.classes;
    double began = now();
    int64_t batches = loader_batches(t->eval_loader);
    loader_seek(t->eval_loader, 0, 0);
    for (int64_t i = 0; i < batches && !(t->stop && t->save); i++) {              /* a run validates again when it goes on */
        timm_tensor x, y, z;
        const batch *b = loader_next(t->eval_loader, st);
        if (!b || !to_tensors(t, b, -1, &x, &y))
            return status_fail(st, TIMM_INTERNAL, "batch %lld of %lld is missing", (long long)i, (long long)batches);
        z = timm_forward(t->m, &x);
        if (!z.data)
            return false;
        for (int64_t k = 0; k < b->count; k++)
            count(t, s, z.data + k * classes, classes, b->label[k]);
        tell(t, "validate", i + 1, batches, s->loss / (double)s->images, s->loss / (double)s->images, s->images, began);
    }
    return true;
}

timm_status timm_trainer_validate(timm_trainer *t, bool average, timm_metrics *out)
{
    if (!t)
        return TIMM_BAD_ARG;
    status *st = &t->m->ctx->st;
    if (timm_trainer_open_data(t) != TIMM_OK)
        return st->code;
    size_t classes = (size_t)t->m->head.classes;
    double began = now();
    tally s = { 0 };
    if (!t->eval_loader)
        status_fail(st, TIMM_BAD_ARG, "no --val-split is named");
    else if (average && !t->ema)
        status_fail(st, TIMM_BAD_ARG, "there is no average of the weights: it needs --model-ema");
    free(t->confusion);
    t->confusion = calloc(classes * classes + 1, sizeof *t->confusion);
    if (!t->confusion)
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a confusion matrix");
    if (!status_ok(st))
        return st->code;
    if (average)
        swap_average(t);
    validate(t, &s);
    if (average)
        swap_average(t);
    if (out && status_ok(st)) {
        double n = (double)s.images;
        *out = (timm_metrics){ .images = s.images, .loss = s.loss == s.loss ? s.loss / n : NAN, .top1 = 100 * (double)s.first / n, .top5 = 100 * (double)s.five / n,
                               .seconds = now() - began, .classes = (int)classes, .confusion = t->confusion };
    }
    return st->code;
}
