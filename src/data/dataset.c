/* dataset.c - data sets by kind, and what the kinds share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "data/dataset_in.h"
#include "io/image.h"

int split_named(const char *split)
{
    static const char *const names[][4] = {
        { "train", "training", NULL }, { "val", "valid", "validation", "eval" }, { "test", "testing", NULL },
    };
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 4 && names[k][i]; i++)
            if (!strcmp(split, names[k][i]))
                return k;
    return -1;
}

dataset *dataset_open(const char *kind, const char *dir, const char *split, const dataset_opts *o, status *st)
{
    dataset *d = status_ok(st) ? calloc(1, sizeof *d) : NULL;
    if (!d) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a data set");
        return NULL;
    }
    dataset_opts none = { 0 };
    o = o ? o : &none;
    d->channels = o->channels ? o->channels : 3;
    bool ok;
    if (!*kind || !strcmp(kind, "folder"))
        ok = dataset_folder(d, dir, split, o, st);
    else if (!strcmp(kind, "fashion-mnist"))
        ok = dataset_fashion_mnist(d, dir, split, st);
    else if (!strcmp(kind, "idx"))
        ok = dataset_idx(d, dir, split, st);
    else if (!strcmp(kind, "cifar10") || !strcmp(kind, "cifar100"))
        ok = dataset_cifar(d, dir, split, !strcmp(kind, "cifar100"), st);
    else if (!strcmp(kind, "multilabel") || !strcmp(kind, "regression"))
        ok = dataset_table(d, dir, split, kind[0] == 'm', o, st);
    else
        ok = status_fail(st, TIMM_BAD_ARG, "no kind of data set is called '%s'; there are folder, fashion-mnist, idx, cifar10, cifar100", kind);
    if (ok)
        return d;
    dataset_close(d);
    return NULL;
}

void dataset_close(dataset *d)
{
    if (!d)
        return;
    for (int i = 0; d->class_name && i < d->classes; i++)
        free(d->class_name[i]);
    for (int64_t i = 0; d->path && i < d->count; i++)
        free(d->path[i]);
    free(d->class_name);
    free(d->path);
    free(d->label);
    free(d->target);
    free(d->pixels);
    free(d->file);
    free(d);
}

int64_t dataset_count(const dataset *d) { return d->count; }
int dataset_classes(const dataset *d) { return d->classes; }
const char *dataset_class_name(const dataset *d, int i) { return i >= 0 && i < d->classes ? d->class_name[i] : NULL; }
int64_t dataset_label(const dataset *d, int64_t i) { return d->label[i]; }
const float *dataset_target(const dataset *d, int64_t i) { return d->target ? d->target + i * d->classes : NULL; }
const char *dataset_sample_name(const dataset *d, int64_t i) { return d->name(d, i); }
bool dataset_read(const dataset *d, int64_t i, timm_image *out, status *st) { return d->read(d, i, out, st); }

bool dataset_name_classes(dataset *d, const char *const *names, int n, status *st)
{
    char number[16];
    d->class_name = calloc((size_t)n + 1, sizeof *d->class_name);
    d->classes = d->class_name ? n : 0;
    for (int i = 0; i < d->classes; i++) {
        snprintf(number, sizeof number, "%d", i);
        d->class_name[i] = strdup(names ? names[i] : number);
        if (!d->class_name[i])
            return status_fail(st, TIMM_NO_MEMORY, "out of memory for class names");
    }
    return d->class_name || status_fail(st, TIMM_NO_MEMORY, "out of memory for class names");
}

const char *dataset_file_of(const dataset *d, int64_t i) { return (void)i, d->file; }

bool dataset_read_memory(const dataset *d, int64_t i, timm_image *out, status *st)
{
    size_t n = (size_t)d->width * (size_t)d->height;
    const uint8_t *from = d->pixels + i * d->stride;
    *out = (timm_image){ 0 };
    if (!image_alloc(out, d->width, d->height, d->planes, st))
        return false;
    for (int c = 0; c < d->planes; c++)
        for (size_t k = 0; k < n; k++)
            out->pixels[k * (size_t)d->planes + (size_t)c] = from[(size_t)c * n + k];
    return d->planes == d->channels || image_convert(out, d->channels, st);
}

uint8_t *dataset_unpack(const char *path, size_t limit, size_t *size, status *st)
{
    char packed[1200];
    size_t room = 1 << 20;
    snprintf(packed, sizeof packed, "%s.gz", path);
    const char *name = access(path, F_OK) && !access(packed, F_OK) ? packed : path;
    gzFile f = gzopen(name, "rb");                       /* reads plain files as they are */
    uint8_t *bytes = f ? malloc(room) : NULL;
    *size = 0;
    if (!f)
        status_errno(st, name, "open");
    else if (!bytes)
        status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", name);
    while (bytes && status_ok(st)) {
        if (*size == room) {
            uint8_t *more = room < limit ? realloc(bytes, room *= 2) : NULL;
            if (!more) {
                if (*size < limit)
                    status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", name);
                else
                    status_fail(st, TIMM_BAD_FILE, "%s: larger than the %zu bytes that fit", name, limit);
                break;
            }
            bytes = more;
        }
        int got = gzread(f, bytes + *size, (unsigned)(room - *size < 1 << 30 ? room - *size : 1 << 30));
        if (got < 0) {
            int code;
            const char *why = gzerror(f, &code);
            status_fail(st, TIMM_BAD_FILE, "%s: cannot be unpacked: %s", name, code == Z_ERRNO ? strerror(errno) : why);
        }
        if (got <= 0)
            break;
        *size += (size_t)got;
    }
    if (f)
        gzclose(f);
    if (status_ok(st))
        return bytes;
    free(bytes);
    return NULL;
}
