/* dataset_cifar.c - CIFAR's binary version: records of one label byte (CIFAR-100: two, coarse and fine) and 3 x 32 x 32 bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "data/dataset_in.h"

enum { PIXELS = 3 * 32 * 32 };

/* One file's records behind those there are. */
static bool add_file(dataset *d, const char *path, bool hundred, status *st)
{
    size_t size, record = PIXELS + (hundred ? 2 : 1);
    uint8_t *bytes = dataset_unpack(path, (size_t)1 << 30, &size, st);
    if (!bytes)
        return false;
    int64_t n = (int64_t)(size / record);
    int most = hundred ? 100 : 10;
    bool ok = (n && size % record == 0) || status_fail(st, TIMM_BAD_FILE, "%s: %zu bytes are no whole number of records of %zu", path, size, record);
    uint8_t *pixels = ok ? realloc(d->pixels, (size_t)(d->count + n) * PIXELS) : NULL;
    d->pixels = pixels ? pixels : d->pixels;
    int32_t *label = pixels ? realloc(d->label, (size_t)(d->count + n) * sizeof *label) : NULL;
    d->label = label ? label : d->label;
    ok = ok && (label || status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", path));
    for (int64_t i = 0; ok && i < n; i++) {
        const uint8_t *r = bytes + (size_t)i * record;
        d->label[d->count + i] = r[hundred ? 1 : 0];
        memcpy(d->pixels + (d->count + i) * PIXELS, r + (record - PIXELS), PIXELS);
        ok = d->label[d->count + i] < most || status_fail(st, TIMM_BAD_FILE, "%s: record %lld has label %d; there are %d classes", path,
                                                          (long long)i, d->label[d->count + i], most);
    }
    d->count += ok ? n : 0;
    free(bytes);
    return ok;
}

/* Names of classes: a line each of the file that comes with the data, if it is there. */
static bool names_from(dataset *d, const char *path, int n, status *st)
{
    char line[100][64];
    const char *names[100];
    int i = 0;
    FILE *f = fopen(path, "r");
    for (; f && i < n && fgets(line[i], sizeof *line, f); i++) {
        line[i][strcspn(line[i], "\r\n")] = 0;
        names[i] = line[i];
    }
    if (f)
        fclose(f);
    return dataset_name_classes(d, i == n && line[n - 1][0] ? names : NULL, n, st);
}

bool dataset_cifar(dataset *d, const char *dir, const char *split, bool hundred, status *st)
{
    char path[1200];
    int kind = split_named(split);
    bool ok = kind >= 0 || status_fail(st, TIMM_BAD_ARG, "%s: no split is called '%s'; there are train and test", dir, split);
    if (hundred || kind != SPLIT_TRAIN) {
        snprintf(path, sizeof path, "%s/%s.bin", dir, hundred ? (kind == SPLIT_TRAIN ? "train" : "test") : "test_batch");
        ok = ok && add_file(d, path, hundred, st);
    } else {
        for (int i = 1; ok && i <= 5; i++) {
            snprintf(path, sizeof path, "%s/data_batch_%d.bin", dir, i);
            ok = add_file(d, path, false, st);
        }
    }
    d->file = ok ? strdup(path) : NULL;
    d->width = d->height = 32;
    d->planes = 3;
    d->stride = PIXELS;
    d->name = dataset_file_of;
    d->read = dataset_read_memory;
    snprintf(path, sizeof path, "%s/%s", dir, hundred ? "fine_label_names.txt" : "batches.meta.txt");
    return ok && (d->file || status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", dir)) && names_from(d, path, hundred ? 100 : 10, st);
}
