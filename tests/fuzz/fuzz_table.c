/* fuzz_table.c - any text as the CSV file of a set with several labels an image, or numbers. */
#include "data/dataset.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "scratch.h"

static const char *classes[64];

/* The classes that a validation set is told: a line each. */
static int cut_lines(char *text)
{
    int n = 0;
    for (char *line; n < 64 && (line = strsep(&text, "\n"));)
        classes[n++] = line;
    return n;
}

/* One byte chooses, then the classes, then the table. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    input in = { bytes, size };
    unsigned choice = input_byte(&in);
    bool labels = choice & 1, told = choice & 2, inside = choice & 4;
    char *text = input_text(input_part(&in));
    dataset_opts o = { .classes = told ? classes : NULL, .n_classes = told ? cut_lines(text) : 0 };
    scratch_write("train/a.png", (input){ 0 });
    scratch_write("a.png", (input){ 0 });
    scratch_write(inside ? "train/labels.csv" : "train.csv", input_part(&in));
    status st = { 0 };
    dataset *d = dataset_open(labels ? "multilabel" : "regression", scratch_path(""), "train", &o, &st);
    demand(!d == !status_ok(&st));
    demand(!d || (dataset_count(d) > 0 && dataset_classes(d) > 0));
    for (int k = 0; d && k < dataset_classes(d); k++)
        demand(dataset_class_name(d, k));
    for (int64_t i = 0; d && i < dataset_count(d); i++) {
        demand(dataset_sample_name(d, i));
        for (int k = 0; k < dataset_classes(d); k++) {
            float v = dataset_target(d, i)[k];
            demand(isfinite(v) && (!labels || (v >= 0 && v <= 1)));
        }
    }
    dataset_close(d);
    free(text);
    scratch_clear("train.csv");
    scratch_clear("train/labels.csv");
    return 0;
}
