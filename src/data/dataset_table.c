/* dataset_table.c - images whose targets stand in a CSV file: several labels each, or numbers.
 *
 * DIR/SPLIT/labels.csv or DIR/SPLIT.csv, with a header.  The first column is the image, relative to the file.  Multi-label: one more
 * column, labels with ';' between, or a column a class, numbers from 0 to 1.  Regression: a column a number. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "data/dataset_in.h"

static bool is_file(const char *path) { return !access(path, F_OK); }

/* The file of the split, by any of its names; base: where its paths begin. */
static bool find_file(const char *dir, const char *split, char path[static 1300], char base[static 1200], status *st)
{
    static const char *const others[] = { "train", "training", "val", "validation", "valid", "eval", "test", "testing" };
    int kind = split_named(split);
    dataset_find_split(dir, split, base);
    snprintf(path, 1300, "%s/labels.csv", base);
    if (strcmp(base, dir) && is_file(path))
        return true;
    snprintf(base, 1200, "%s", dir);
    snprintf(path, 1300, "%s/%s.csv", dir, split);
    for (size_t i = 0; !is_file(path) && i < sizeof others / sizeof *others; i++)
        if (kind >= 0 && split_named(others[i]) == kind)
            snprintf(path, 1300, "%s/%s.csv", dir, others[i]);
    return is_file(path) || status_fail(st, TIMM_NOT_FOUND, "%s: neither %s/labels.csv nor %s.csv is in it, which would tell what is in the images",
                                        dir, split, split);
}

/* -- CSV ------------------------------------------------------------------------------------------------------------------- */

typedef struct sheet {
    const char *path;
    char *text;                 /* the file, cut up into cells */
    char **cell;                /* rows of `columns` */
    int64_t cells, room, rows;  /* rows: without the header */
    int columns;
} sheet;

static bool add_cell(sheet *s, char *cell, status *st)
{
    if (s->cells == s->room) {
        int64_t room = s->room ? 2 * s->room : 1024;
        char **more = realloc(s->cell, (size_t)room * sizeof *more);
        if (!more)
            return status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", s->path);
        s->cell = more;
        s->room = room;
    }
    s->cell[s->cells++] = cell;
    return true;
}

/* Ends the cell that starts at p, quotes taken off, "" made one; *next is what follows it, *end what ended it. */
static char *cut_cell(char *p, char **next, char *end)
{
    char *from = p, *to = p;
    if (*p == '"') {
        for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
            p += *p == '"';
            *to++ = *p;
        }
        p += *p == '"';
    }
    while (*p && *p != ',' && *p != '\n')
        *to++ = *p++;
    *end = *p;
    *next = p + (*p != 0);
    while (to > from && to[-1] == '\r')
        to--;
    *to = 0;
    return from;
}

static bool read_sheet(sheet *s, status *st)
{
    size_t size;
    uint8_t *bytes = dataset_unpack(s->path, (size_t)1 << 31, &size, st);
    s->text = bytes ? realloc(bytes, size + 1) : NULL;
    if (!s->text) {
        free(bytes);
        return status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", s->path);
    }
    s->text[size] = 0;
    bool marked = size > 2 && !memcmp(s->text, "\xEF\xBB\xBF", 3);          /* UTF-8, as spreadsheets begin it */
    int64_t line = 1;
    for (char *p = s->text + (marked ? 3 : 0), end = 0; *p; line++) {
        int columns = 0;
        if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
            p += 1 + (*p == '\r');
            continue;
        }
        do {
            if (!add_cell(s, cut_cell(p, &p, &end), st))
                return false;
            columns++;
        } while (end == ',');
        s->columns = s->columns ? s->columns : columns;
        if (columns != s->columns)
            return status_fail(st, TIMM_BAD_FILE, "%s: line %lld has %d columns, the first %d", s->path, (long long)line, columns, s->columns);
    }
    s->rows = s->columns ? s->cells / s->columns - 1 : 0;
    if (s->columns < 2 || s->rows < 1)
        return status_fail(st, TIMM_BAD_FILE, "%s: a header and rows of an image and its labels are wanted", s->path);
    return true;
}

static char *cell(const sheet *s, int64_t row, int column) { return s->cell[(row + 1) * s->columns + column]; }

/* -- numbers, a column each ------------------------------------------------------------------------------------------------ */

static bool read_numbers(dataset *d, const sheet *s, bool labels, status *st)
{
    int n = s->columns - 1;
    d->target = malloc((size_t)s->rows * (size_t)n * sizeof *d->target);
    if (!d->target || !dataset_name_classes(d, (const char *const *)s->cell + 1, n, st))
        return status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", s->path);
    for (int64_t i = 0; i < s->rows; i++)
        for (int k = 0; k < n; k++) {
            char *end, *text = cell(s, i, k + 1);
            float v = strtof(text, &end);
            if (end == text || *end || !isfinite(v) || (labels && (v < 0 || v > 1)))
                return status_fail(st, TIMM_BAD_FILE, "%s: %s of %s is a number%s, not '%s'", s->path, s->cell[k + 1], cell(s, i, 0),
                                   labels ? " from 0 to 1" : " that 32 bits hold", text);
            d->target[i * n + k] = v;
        }
    return true;
}

/* -- labels, ';' between --------------------------------------------------------------------------------------------------- */

typedef struct label { char *text; int64_t row; int class; } label;
static int by_text(const void *a, const void *b) { return strcmp(((const label *)a)->text, ((const label *)b)->text); }

/* All labels of all rows. */
static label *cut_labels(const sheet *s, int64_t *count, status *st)
{
    int64_t n = 0, room = 0;
    for (int64_t i = 0; i < s->rows; i++) {
        room++;
        for (const char *p = cell(s, i, 1); *p; p++)
            room += *p == ';';
    }
    label *all = malloc((size_t)room * sizeof *all);
    if (!all)
        status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", s->path);
    for (int64_t i = 0; all && i < s->rows; i++) {
        char *rest = cell(s, i, 1);
        for (char *p; (p = strsep(&rest, ";"));) {
            p += strspn(p, " \t");
            size_t length = strlen(p);
            while (length && (p[length - 1] == ' ' || p[length - 1] == '\t'))
                p[--length] = 0;
            if (length)
                all[n++] = (label){ .text = p, .row = i };
        }
    }
    *count = n;
    return all;
}

/* Names as they are given, or those that the rows have, in order. */
static label *list_names(const label *all, int64_t n, const dataset_opts *o, int *count)
{
    size_t room = o->classes ? (size_t)o->n_classes : (size_t)n;
    label *names = malloc((room + 1) * sizeof *names);
    *count = 0;
    for (int i = 0; names && o->classes && i < o->n_classes; i++)
        names[(*count)++] = (label){ .text = (char *)(uintptr_t)o->classes[i], .class = i };
    for (int64_t i = 0; names && !o->classes && i < n; i++)
        if (!*count || strcmp(names[*count - 1].text, all[i].text) != 0) {
            names[*count] = (label){ .text = all[i].text, .class = *count };
            ++*count;
        }
    return names;
}

static bool read_labels(dataset *d, const sheet *s, const dataset_opts *o, status *st)
{
    int64_t n;
    int classes = 0;
    label *all = cut_labels(s, &n, st), *names = NULL;
    if (!all)
        return false;
    qsort(all, (size_t)n, sizeof *all, by_text);
    names = list_names(all, n, o, &classes);
    const char **text = calloc((size_t)classes + 1, sizeof *text);
    d->target = calloc((size_t)s->rows * (size_t)classes + 1, sizeof *d->target);
    bool ok = (names && text && d->target) || status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", s->path);
    ok = ok && (classes || status_fail(st, TIMM_BAD_FILE, "%s: no image has a label", s->path));
    for (int i = 0; ok && i < classes; i++)
        text[i] = names[i].text;
    ok = ok && dataset_name_classes(d, text, classes, st);
    if (ok)
        qsort(names, (size_t)classes, sizeof *names, by_text);
    for (int64_t i = 0; ok && i < n; i++) {
        const label *is = bsearch(&all[i], names, (size_t)classes, sizeof *names, by_text);
        if (is)
            d->target[all[i].row * classes + is->class] = 1;
        else
            ok = status_fail(st, TIMM_BAD_FILE, "%s: '%s' of %s is none of the %d labels of training", s->path, all[i].text,
                             cell(s, all[i].row, 0), classes);
    }
    free(all);
    free(names);
    free(text);
    return ok;
}

/* -- the set --------------------------------------------------------------------------------------------------------------- */

static bool list_images(dataset *d, const sheet *s, const char *base, status *st)
{
    char full[2400];
    d->path = calloc((size_t)s->rows + 1, sizeof *d->path);
    d->label = calloc((size_t)s->rows + 1, sizeof *d->label);
    for (int64_t i = 0; d->path && d->label && i < s->rows; i++) {
        const char *name = cell(s, i, 0);
        snprintf(full, sizeof full, "%s%s%s", *name == '/' ? "" : base, *name == '/' ? "" : "/", name);
        if (!is_file(full))
            return status_fail(st, TIMM_NOT_FOUND, "%s: row %lld: %s: %s", s->path, (long long)i + 1, full, strerror(errno));
        d->path[i] = strdup(full);
        if (!d->path[i])
            break;
        d->count++;
    }
    return d->count == s->rows || status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", s->path);
}

bool dataset_table(dataset *d, const char *dir, const char *split, bool labels, const dataset_opts *o, status *st)
{
    char path[1300], base[1200];
    sheet s = { .path = path };
    if (!*dir)
        return status_fail(st, TIMM_BAD_ARG, "which images? --data-dir names the folder with %s.csv", split);
    bool ok = find_file(dir, split, path, base, st) && read_sheet(&s, st);
    ok = ok && (labels && s.columns == 2 ? read_labels(d, &s, o, st) : read_numbers(d, &s, labels, st)) && list_images(d, &s, base, st);
    d->name = dataset_path_of;
    d->read = dataset_read_path;
    free(s.text);
    free(s.cell);
    return ok;
}
