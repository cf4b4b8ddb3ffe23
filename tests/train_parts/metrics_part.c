/* metrics_part.c - top-k hits, confusion, average precision and F1 of made-up logits (tools/metrics_golden.py). */
#include <math.h>
#include <stdlib.h>
#include "parts.h"
#include "train/metrics.h"

static void check_single(const json_t *record, const float *x, int64_t n, int64_t c, part_report *r)
{
    int64_t *label = calloc((size_t)n, sizeof *label), *count = calloc((size_t)(c * c), sizeof *count);
    const json_t *confusion = json_object_get(record, "confusion");
    for (int64_t i = 0; label && i < n; i++)
        label[i] = (7 * i + 3) % c;
    if (label && count) {
        part_number(r, "top1", jsonl_number(record, "top1"), 100 * (double)metrics_hits(x, label, n, c, 1) / (double)n,
                    1e-9);
        part_number(r, "top5", jsonl_number(record, "top5"), 100 * (double)metrics_hits(x, label, n, c, 5) / (double)n,
                    1e-9);
        metrics_confusion(x, label, n, c, count);
        for (int64_t i = 0; i < c * c; i++)
            part_number(r, "confusion", json_number_value(json_array_get(confusion, (size_t)i)), (double)count[i], .1);
    }
    free(label);
    free(count);
}

static void check_multi(const json_t *record, const float *x, const float *t, int64_t n, int64_t c, part_report *r)
{
    double *ap = calloc((size_t)c, sizeof *ap);
    multi_label_metrics m;
    status st = { 0 };
    if (ap && metrics_multi_label(x, t, n, c, jsonl_number(record, "threshold"), ap, &m, &st)) {
        const struct { const char *key; double value; } figures[] = {
            { "map", m.mean_ap }, { "micro_f1", m.micro_f1 }, { "macro_f1", m.macro_f1 }, { "sample_f1", m.sample_f1 },
        };
        for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
            part_number(r, figures[i].key, jsonl_number(record, figures[i].key), 100 * figures[i].value, 1e-9);
        for (int64_t i = 0; i < c; i++)
            part_number(r, "ap", json_number_value(json_array_get(json_object_get(record, "ap"), (size_t)i)), ap[i],
                        1e-12);
    }
    free(ap);
}

void check_metrics(const json_t *head, const json_t *record, part_report *r)
{
    const char *name = jsonl_text(record, "name");
    int64_t n = (int64_t)jsonl_number(record, "n"), c = (int64_t)jsonl_number(record, "c");
    double range = jsonl_number(record, "range");
    float step = (float)jsonl_number(record, "step"), density = (float)jsonl_number(record, "density");
    float *x = part_fill(n * c, -range, range, "%s/logits", name), *t = part_fill(n * c, 0, 1, "%s/multi", name);
    (void)head;
    snprintf(r->label, sizeof r->label, "metrics %.20s", name);
    for (int64_t i = 0; x && t && i < n * c; i++) {
        x[i] = step ? ceilf(x[i] / step) * step : x[i];
        t[i] = t[i] < density;
    }
    if (x && t && json_object_get(record, "top1"))
        check_single(record, x, n, c, r);
    if (x && t)
        check_multi(record, x, t, n, c, r);
    free(x);
    free(t);
}
