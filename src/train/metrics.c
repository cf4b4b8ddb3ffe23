/* metrics.c - top-k hits, confusion, average precision and F1; errors of numbers. */
#include "train/metrics.h"
#include <math.h>
#include <stdlib.h>

/* How many logits of the row come before that of `at`. */
static int64_t rank_of(const float *row, int64_t classes, int64_t at)
{
    int64_t before = 0;
    for (int64_t i = 0; i < classes; i++)
        before += row[i] > row[at] || isnan(row[i]) || (row[i] == row[at] && i < at);
    return before;
}

int64_t metrics_hits(const float *logits, const int64_t *label, int64_t n, int64_t classes, int64_t k)
{
    int64_t hits = 0;
    for (int64_t i = 0; i < n; i++)
        if (label[i] >= 0 && label[i] < classes && !isnan(logits[i * classes + label[i]]))
            hits += rank_of(logits + i * classes, classes, label[i]) < k;
    return hits;
}

void metrics_confusion(const float *logits, const int64_t *label, int64_t n, int64_t classes, int64_t *count)
{
    for (int64_t i = 0; i < n; i++) {
        const float *row = logits + i * classes;
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++)
            if (row[k] > row[best] || (isnan(row[k]) && !isnan(row[best])))
                best = k;
        if (label[i] >= 0 && label[i] < classes)
            count[label[i] * classes + best]++;
    }
}

/* -- average precision --------------------------------------------------------------------------------------------- */

typedef struct scored { float score; bool positive; } scored;

/* Largest first, NaN before all, as PyTorch sorts. */
static int by_score(const void *a, const void *b)
{
    float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    if (isnan(x) || isnan(y))
        return (isnan(y) ? 1 : 0) - (isnan(x) ? 1 : 0);
    return (x < y) - (x > y);
}

/* The mean, over the positives, of the precision among all that score as much as they do. */
static double average_precision(scored *s, int64_t n)
{
    double positives = 0, sum = 0;
    qsort(s, (size_t)n, sizeof *s, by_score);
    for (int64_t i = 0; i < n;) {
        double here = 0;
        int64_t end = i;
        for (float score = s[i].score; end < n && (end == i || s[end].score == score); end++)
            here += s[end].positive;
        positives += here;
        sum += here * positives / (double)end;
        i = end;
    }
    return positives ? sum / positives : 0;
}

/* -- F1 ------------------------------------------------------------------------------------------------------------ */

typedef struct agreement { double both, either; } agreement;       /* true positives; predicted + positive */

static double f1(agreement a) { return a.either ? 2 * a.both / a.either : 0; }

static void add(agreement *a, bool predicted, bool positive)
{
    a->both += predicted && positive;
    a->either += (double)predicted + (double)positive;
}

bool metrics_multi_label(const float *logits, const float *target, int64_t n, int64_t classes, double threshold,
                         double *ap, multi_label_metrics *out, status *st)
{
    scored *column = malloc(((size_t)n + 1) * sizeof *column);
    agreement *row = calloc((size_t)n + 1, sizeof *row), all = { 0 };
    *out = (multi_label_metrics){ 0 };
    if (!column || !row) {
        free(column);
        free(row);
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for metrics of %lld rows", (long long)n);
    }
    for (int64_t k = 0; k < classes; k++) {
        agreement class = { 0 };
        for (int64_t i = 0; i < n; i++) {
            float x = logits[i * classes + k];
            bool predicted = 1 / (1 + expf(-x)) >= (float)threshold;
            column[i] = (scored){ x, target[i * classes + k] >= .5f };
            add(&class, predicted, column[i].positive);
            add(&row[i], predicted, column[i].positive);
            add(&all, predicted, column[i].positive);
        }
        double precision = average_precision(column, n);
        out->mean_ap += precision / (double)classes;
        out->macro_f1 += f1(class) / (double)classes;
        if (ap)
            ap[k] = precision;
    }
    out->micro_f1 = f1(all);
    for (int64_t i = 0; i < n; i++)
        out->sample_f1 += f1(row[i]) / (double)n;
    free(column);
    free(row);
    return true;
}

/* -- numbers --------------------------------------------------------------------------------------------------------------- */

double metrics_binary_loss(const float *logits, const float *target, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = logits[i];
        sum += fmax(x, 0) - x * target[i] + log1p(exp(-fabs(x)));
    }
    return count ? sum / (double)count : 0;
}

regression_metrics metrics_regression(const float *value, const float *target, int64_t n, int64_t outputs)
{
    regression_metrics m = { 0 };
    double count = (double)n * (double)outputs;
    for (int64_t k = 0; k < outputs; k++) {
        double squares = 0, about = 0, mean = 0;
        for (int64_t i = 0; i < n; i++)
            mean += target[i * outputs + k] / (double)n;
        for (int64_t i = 0; i < n; i++) {
            double t = target[i * outputs + k], d = value[i * outputs + k] - t;
            squares += d * d;
            about += (t - mean) * (t - mean);
            m.mae += fabs(d) / count;
        }
        m.mse += squares / count;
        m.r2 += (about > 0 ? 1 - squares / about : squares == 0) / (double)outputs;
    }
    return m;
}
