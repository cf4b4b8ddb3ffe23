/* trainer_validate.c - how well the network does on the images of "val-split". */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "api/trainer.h"
#include "train/metrics.h"
#include "train/task.h"

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

/* rows: of logits and of targets, all of them, where a metric needs more than sums. */
typedef struct tally { double loss; int64_t images, first, five; float *logits, *targets; } tally;

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

/* What a batch adds to the figures. */
static void add_batch(timm_trainer *t, tally *s, const batch *b, const float *logits, const float *target)
{
    int64_t classes = t->m->head.classes, n = b->count * classes;
    for (int64_t k = 0; k < b->count && !t->task; k++)
        count(t, s, logits + k * classes, (int)classes, b->label[k]);
    if (!t->task)
        return;
    memcpy(s->logits + s->images * classes, logits, (size_t)n * sizeof *logits);
    memcpy(s->targets + s->images * classes, target, (size_t)n * sizeof *target);
    double loss = t->task == TIMM_MULTILABEL ? metrics_binary_loss(logits, target, n) : metrics_regression(logits, target, b->count, classes).mse;
    s->loss += loss * (double)b->count;
    s->images += b->count;
}

static bool validate(timm_trainer *t, tally *s)
{
    status *st = &t->m->ctx->st;
    double began = trainer_now();
    int64_t batches = loader_batches(t->eval_loader);
    size_t rows = t->task ? (size_t)dataset_count(t->eval_data) * (size_t)t->m->head.classes : 0;
    s->logits = malloc(rows * sizeof *s->logits + 1);
    s->targets = malloc(rows * sizeof *s->targets + 1);
    if (!s->logits || !s->targets)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for what %lld images give", (long long)dataset_count(t->eval_data));
    loader_seek(t->eval_loader, 0, 0);
    for (int64_t i = 0; i < batches && !(t->stop && t->save); i++) {              /* a run validates again when it goes on */
        timm_tensor x, y, z;
        const batch *b = loader_next(t->eval_loader, st);
        if (!b || !trainer_tensors(t, b, -1, &x, &y))
            return status_fail(st, TIMM_INTERNAL, "batch %lld of %lld is missing", (long long)i, (long long)batches);
        z = timm_forward(t->m, &x);
        if (!z.data)
            return false;
        add_batch(t, s, b, z.data, y.data);
        trainer_tell(t, "validate", i + 1, batches, s->loss / (double)s->images, s->loss / (double)s->images, s->images, began);
    }
    return true;
}

/* The figures of the task. */
static bool settle(timm_trainer *t, const tally *s, timm_metrics *out)
{
    double n = (double)s->images;
    int64_t classes = t->m->head.classes;
    *out = (timm_metrics){ .task = t->task, .images = s->images, .loss = s->loss == s->loss ? s->loss / n : NAN, .classes = (int)classes };
    if (t->task == TIMM_CLASSIFICATION) {
        out->top1 = 100 * (double)s->first / n;
        out->top5 = 100 * (double)s->five / n;
        out->confusion = t->confusion;
    } else if (t->task == TIMM_MULTILABEL) {
        multi_label_metrics m;
        if (!metrics_multi_label(s->logits, s->targets, s->images, classes, train_number(&t->opts, "threshold"), NULL, &m, &t->m->ctx->st))
            return false;
        out->map = 100 * m.mean_ap;
        out->micro_f1 = 100 * m.micro_f1;
        out->macro_f1 = 100 * m.macro_f1;
        out->sample_f1 = 100 * m.sample_f1;
    } else {
        regression_metrics m = metrics_regression(s->logits, s->targets, s->images, classes);
        out->rmse = sqrt(m.mse);
        out->mae = m.mae;
        out->r2 = m.r2;
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
    double began = trainer_now();
    t->task = task_of(&t->opts);
    tally s = { 0 };
    if (!t->eval_loader)
        status_fail(st, TIMM_BAD_ARG, "no --val-split is named");
    else if (average && !t->ema)
        status_fail(st, TIMM_BAD_ARG, "there is no average of the weights: it needs --model-ema");
    free(t->confusion);
    t->confusion = calloc(t->task ? 1 : classes * classes + 1, sizeof *t->confusion);
    if (!t->confusion)
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a confusion matrix");
    if (!status_ok(st))
        return st->code;
    if (average)
        swap_average(t);
    validate(t, &s);
    if (average)
        swap_average(t);
    if (out && status_ok(st) && settle(t, &s, out))
        out->seconds = trainer_now() - began;
    free(s.logits);
    free(s.targets);
    return st->code;
}
