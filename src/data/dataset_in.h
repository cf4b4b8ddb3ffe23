/* dataset_in.h - a data set from inside: what each kind fills in. */
#ifndef DATA_DATASET_IN_H
#define DATA_DATASET_IN_H
#include "data/dataset.h"

struct dataset {
    int64_t count;
    int32_t *label;
    float *target;              /* tables: a number a class; NULL: the label says all */
    char **class_name;
    int classes, channels;
    const char *(*name)(const dataset *d, int64_t i);
    bool (*read)(const dataset *d, int64_t i, timm_image *out, status *st);
    /* Images that lie in memory one after another: rows of width x height, planes of that where there are three (CIFAR). */
    uint8_t *pixels;
    int width, height, planes;
    int64_t stride;             /* bytes from one sample to the next */
    char *file;
    char **path;                /* folder: one a sample */
};

bool dataset_idx(dataset *d, const char *dir, const char *split, status *st);
bool dataset_fashion_mnist(dataset *d, const char *dir, const char *split, status *st);
bool dataset_cifar(dataset *d, const char *dir, const char *split, bool hundred, status *st);
bool dataset_folder(dataset *d, const char *dir, const char *split, const dataset_opts *o, status *st);
/* labels: several an image; else numbers. */
bool dataset_table(dataset *d, const char *dir, const char *split, bool labels, const dataset_opts *o, status *st);
/* dir/split, or another name of the same split, or dir itself. */
void dataset_find_split(const char *dir, const char *split, char out[static 1200]);
bool dataset_name_classes(dataset *d, const char *const *names, int n, status *st);       /* copies; NULL: "0", "1", ... */
/* name and read of sets of files, by path[]. */
const char *dataset_path_of(const dataset *d, int64_t i);
bool dataset_read_path(const dataset *d, int64_t i, timm_image *out, status *st);
/* Likewise of sets that lie in memory. */
const char *dataset_file_of(const dataset *d, int64_t i);
bool dataset_read_memory(const dataset *d, int64_t i, timm_image *out, status *st);
/* Reads a file, unpacked if it ends in .gz or only a .gz is there; at most limit bytes of it.  For free(). */
uint8_t *dataset_unpack(const char *path, size_t limit, size_t *size, status *st);
/* Bytes of an idx file: images (rank 3) or labels (rank 1).  What it says is checked against its size. */
bool idx_header(const uint8_t *bytes, size_t size, const char *name, int rank, int64_t dim[3], status *st);

#endif
