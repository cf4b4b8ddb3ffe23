/* dataset.h - labelled images: folders, idx files, CIFAR's binaries.  Counterpart: timm.data.create_dataset and its readers.
 *
 * What a kind is stands in dataset_KIND.c: open lists the samples, read gives one.  Reading is safe from several threads.
 */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H
#include "base/status.h"

typedef struct dataset dataset;

typedef struct dataset_opts {
    int channels;               /* of the images given: 1 or 3; 0: 3 */
    const char *class_map;      /* folder: a file with the class names, a line each; NULL: the sub-folders in natural order */
    const char *const *classes; /* multilabel: the n_classes names that there are, in order; NULL: those in the file */
    int n_classes;
    void (*note)(void *user, const char *text);         /* told what is surprising and no failure; NULL: nobody is */
    void *user;
} dataset_opts;

/* kind: "folder" (or ""), "idx", "fashion-mnist" (idx files; dir "" is where Debian's dataset-fashion-mnist puts them), "cifar10",
 * "cifar100"; "multilabel", "regression" (DIR/SPLIT/labels.csv or DIR/SPLIT.csv).  split: "train", "validation", "test" and timm's other names for them. */
dataset *dataset_open(const char *kind, const char *dir, const char *split, const dataset_opts *o, status *st);
void dataset_close(dataset *d);
int64_t dataset_count(const dataset *d);
int dataset_classes(const dataset *d);
const char *dataset_class_name(const dataset *d, int i);
int64_t dataset_label(const dataset *d, int64_t i);
const float *dataset_target(const dataset *d, int64_t i);                /* of multilabel and regression: a number a class; else NULL */
const char *dataset_sample_name(const dataset *d, int64_t i);            /* a path, or that of the file it lies in */
bool dataset_read(const dataset *d, int64_t i, timm_image *out, status *st);      /* out is the caller's, for image_free */
/* train, val or test: the kind of split that a name means; -1: some other. */
typedef enum split_kind { SPLIT_TRAIN, SPLIT_VALIDATION, SPLIT_TEST } split_kind;
int split_named(const char *split);

#endif
