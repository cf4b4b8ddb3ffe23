/* dataset_idx.c - idx files, as MNIST and Fashion-MNIST come: big-endian header, then bytes.
 *
 * Header: two zero bytes, 8 (unsigned bytes), the rank, then the sizes, 4 bytes each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "data/dataset_in.h"

static const char debian_folder[] = "/usr/share/datasets/fashion-mnist";
static const size_t largest = (size_t)4 << 30;

bool idx_header(const uint8_t *b, size_t size, const char *name, int rank, int64_t dim[3], status *st)
{
    size_t at = 4 + 4 * (size_t)rank, n = 1;
    if (size < at || b[0] || b[1] || b[2] != 8 || b[3] != rank)
        return status_fail(st, TIMM_BAD_FILE, "%s: no idx file of bytes with %d dimension%s", name, rank, rank == 1 ? "" : "s");
    for (int i = 0; i < rank; i++) {
        const uint8_t *p = b + 4 + 4 * i;
        dim[i] = (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | p[3];
        if (!dim[i] || __builtin_mul_overflow(n, (size_t)dim[i], &n))
            return status_fail(st, TIMM_BAD_FILE, "%s: impossible sizes in its header", name);
    }
    if (n != size - at)
        return status_fail(st, TIMM_BAD_FILE, "%s: its header tells of %zu bytes, %zu follow", name, n, size - at);
    return true;
}

static uint8_t *load(const char *dir, const char *stem, const char *what, int rank, int64_t dim[3], char path[static 1200], status *st)
{
    size_t size;
    snprintf(path, 1200, "%s/%s-%s-idx%d-ubyte", dir, stem, what, rank);
    uint8_t *bytes = dataset_unpack(path, largest, &size, st);
    if (bytes && idx_header(bytes, size, path, rank, dim, st))
        return bytes;
    free(bytes);
    return NULL;
}

bool dataset_idx(dataset *d, const char *dir, const char *split, status *st)
{
    char path[1200], labels_path[1200];
    int64_t dim[3] = { 0 }, many[3] = { 0 };
    int kind = split_named(split), most = 0;
    if (kind < 0)
        return status_fail(st, TIMM_BAD_ARG, "%s: no split is called '%s'; there are train and test", dir, split);
    const char *stem = kind == SPLIT_TRAIN ? "train" : "t10k";
    d->pixels = load(dir, stem, "images", 3, dim, path, st);
    uint8_t *labels = d->pixels ? load(dir, stem, "labels", 1, many, labels_path, st) : NULL;
    if (!labels)
        return false;
    bool ok = dim[0] == many[0] || status_fail(st, TIMM_BAD_FILE, "%s has %lld images, %s %lld labels", path, (long long)dim[0], labels_path,
                                               (long long)many[0]);
    ok = ok && ((dim[1] <= 65535 && dim[2] <= 65535) || status_fail(st, TIMM_BAD_FILE, "%s: images too large", path));
    d->label = ok ? malloc((size_t)dim[0] * sizeof *d->label) : NULL;
    d->file = ok ? strdup(path) : NULL;
    ok = ok && ((d->label && d->file) || status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", path));
    for (int64_t i = 0; ok && i < dim[0]; i++) {
        d->label[i] = labels[8 + i];
        most = labels[8 + i] > most ? labels[8 + i] : most;
    }
    free(labels);
    if (!ok)
        return false;
    memmove(d->pixels, d->pixels + 16, (size_t)(dim[0] * dim[1] * dim[2]));
    d->count = dim[0];
    d->height = (int)dim[1];
    d->width = (int)dim[2];
    d->planes = 1;
    d->stride = dim[1] * dim[2];
    d->name = dataset_file_of;
    d->read = dataset_read_memory;
    return dataset_name_classes(d, NULL, most + 1, st);
}

bool dataset_fashion_mnist(dataset *d, const char *dir, const char *split, status *st)
{
    static const char *const names[] = { "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot" };
    if (!*dir && access(debian_folder, F_OK))
        return status_fail(st, TIMM_NOT_FOUND, "%s is not there: install Debian's package dataset-fashion-mnist, or name the folder of the "
                           "four files with --data-dir", debian_folder);
    if (!dataset_idx(d, *dir ? dir : debian_folder, split, st))
        return false;
    for (int i = 0; i < d->classes; i++)
        free(d->class_name[i]);
    free(d->class_name);
    if (d->classes > 10) {
        d->class_name = NULL;
        return status_fail(st, TIMM_BAD_FILE, "%s: a label of %d; Fashion-MNIST has ten classes", d->file, d->classes - 1);
    }
    return dataset_name_classes(d, names, 10, st);
}
