/* dataset_folder.c - folders of images, a class each.  Counterpart: timm's ReaderImageFolder and its search for splits.
 *
 * Every image below a folder belongs to the class that the folder is called (its last part); classes and files are in natural
 * order, numbers by value. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "data/dataset_in.h"
#include "io/image.h"

static bool is_folder(const char *path)
{
    struct stat s;
    return !stat(path, &s) && S_ISDIR(s.st_mode);
}

/* dir/split, or another name of the same split, or dir itself. */
void dataset_find_split(const char *dir, const char *split, char out[static 1200])
{
    static const char *const names[3][4] = { { "train", "training", NULL }, { "val", "validation", "valid", "eval" }, { "test", "testing", NULL } };
    snprintf(out, 1200, "%s/%s", dir, split);
    if (is_folder(out))
        return;
    int kind = split_named(split);
    for (int i = 0; kind >= 0 && i < 4 && names[kind][i]; i++) {
        snprintf(out, 1200, "%s/%s", dir, names[kind][i]);
        if (is_folder(out))
            return;
    }
    snprintf(out, 1200, "%s", dir);
}

static bool has_other_splits(const char *dir)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/train", dir);
    return is_folder(path);
}

static bool is_image(const char *name)
{
    static const char *const ends[] = { ".png", ".jpg", ".jpeg", ".webp" };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof ends / sizeof *ends; i++)
        if (!strcasecmp(dot, ends[i]))
            return true;
    return false;
}

/* As natsort, without regard to case: runs of digits by value, the rest by character. */
static int natural(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            char *ea, *eb;
            unsigned long long x = strtoull(a, &ea, 10), y = strtoull(b, &eb, 10);
            if (x != y)
                return x < y ? -1 : 1;
            a = ea;
            b = eb;
            continue;
        }
        int x = tolower((unsigned char)*a), y = tolower((unsigned char)*b);
        if (x != y)
            return isdigit(x) ? -1 : isdigit(y) ? 1 : x - y;
        a++;
        b++;
    }
    return (*a != 0) - (*b != 0);
}

static int by_name(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int order = natural(x, y);
    return order ? order : strcmp(x, y);
}

typedef struct names { char **text; size_t count, room; } names;

static bool keep(names *l, const char *text, status *st)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 256;
        char **more = realloc(l->text, room * sizeof *more);
        if (!more)
            return status_fail(st, TIMM_NO_MEMORY, "out of memory listing images");
        l->text = more;
        l->room = room;
    }
    char *copy = strdup(text);
    if (!copy)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory listing images");
    l->text[l->count++] = copy;
    return true;
}

static void let_go(names *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->text[i]);
    free(l->text);
}

/* All images below, as paths relative to the root. */
static bool walk(const char *root, const char *below, names *images, names *empty, int depth, status *st)
{
    char path[1200];
    size_t before = images->count;
    snprintf(path, sizeof path, "%s%s%s", root, *below ? "/" : "", below);
    DIR *dir = depth < 32 ? opendir(path) : NULL;
    if (!dir)
        return depth < 32 ? status_errno(st, path, "read the folder") : status_fail(st, TIMM_BAD_ARG, "%s: folders too deep", path);
    bool folders = false;
    for (struct dirent *e; status_ok(st) && (e = readdir(dir));) {
        char inner[1200], full[2402];
        if (e->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s%s%s", below, *below ? "/" : "", e->d_name);
        snprintf(full, sizeof full, "%s/%s", root, inner);
        if (is_folder(full)) {
            folders = true;
            walk(root, inner, images, empty, depth + 1, st);
        } else if (is_image(e->d_name)) {
            keep(images, inner, st);
        }
    }
    closedir(dir);
    if (status_ok(st) && *below && !folders && images->count == before)
        keep(empty, below, st);
    return status_ok(st);
}

/* The last folder of a path; "" for an image in the root itself. */
static void class_of(const char *path, char out[static 1200])
{
    const char *slash = strrchr(path, '/'), *from = path;
    snprintf(out, 1200, "%.*s", slash ? (int)(slash - path) : 0, path);
    for (const char *p = out; *p; p++)
        if (*p == '/')
            from = p + 1;
    if (from != path)
        memmove(out, from, strlen(from) + 1);
}

static bool list_classes(const names *images, names *classes, status *st)
{
    char last[1200] = "", name[1200];
    for (size_t i = 0; i < images->count; i++) {
        class_of(images->text[i], name);
        if (!*name || !strcmp(name, last))
            continue;
        bool known = false;
        for (size_t k = 0; k < classes->count && !known; k++)
            known = !strcmp(classes->text[k], name);
        strcpy(last, name);
        if (!known && !keep(classes, name, st))
            return false;
    }
    if (classes->count)
        qsort(classes->text, classes->count, sizeof *classes->text, by_name);
    return true;
}

static int index_of(const names *classes, const char *name)
{
    for (size_t i = 0; i < classes->count; i++)
        if (!strcmp(classes->text[i], name))
            return (int)i;
    return -1;
}

static bool read_map(const char *path, names *classes, status *st)
{
    char line[1024];
    FILE *f = fopen(path, "r");
    if (!f)
        return status_errno(st, path, "open");
    while (status_ok(st) && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = 0;
        if (*line && index_of(classes, line) >= 0)
            status_fail(st, TIMM_BAD_FILE, "%s: '%s' stands twice in it", path, line);
        else if (*line)
            keep(classes, line, st);
    }
    if (ferror(f))
        status_errno(st, path, "read");
    fclose(f);
    return status_ok(st) && (classes->count || status_fail(st, TIMM_BAD_FILE, "%s: no class is named in it", path));
}

const char *dataset_path_of(const dataset *d, int64_t i) { return d->path[i]; }
bool dataset_read_path(const dataset *d, int64_t i, timm_image *out, status *st) { return image_load(d->path[i], d->channels, out, st); }

/* left: gets the images of no class; NULL: there must be none. */
static bool fill(dataset *d, const char *root, const names *images, const names *classes, names *left, status *st)
{
    char full[2402], name[1200];
    d->path = calloc(images->count + 1, sizeof *d->path);
    d->label = calloc(images->count + 1, sizeof *d->label);
    if (!d->path || !d->label)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for %zu images", images->count);
    for (size_t i = 0; i < images->count; i++) {
        class_of(images->text[i], name);
        int label = index_of(classes, name);
        if (label < 0 && left) {
            if (!keep(left, images->text[i], st))
                return false;
            continue;
        }
        snprintf(full, sizeof full, "%s/%s", root, images->text[i]);
        if (label < 0)
            return status_fail(st, TIMM_BAD_ARG, "%s lies in no class's folder", full);
        d->path[d->count] = strdup(full);
        if (!d->path[d->count])
            return status_fail(st, TIMM_NO_MEMORY, "out of memory for %zu images", images->count);
        d->label[d->count++] = label;
    }
    return d->count || status_fail(st, TIMM_NOT_FOUND, "%s: no image of the classes that the map names", root);
}

/* -- what is not wrong, but may not be meant --------------------------------------------------------------------------------- */

static void tell(const dataset_opts *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void tell(const dataset_opts *o, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (o->note)
        o->note(o->user, text);
}

enum { NAMED = 5 };

/* ": a, b", the first of them. */
static void name_some(const names *l, char list[NAMED * 260 + 8])
{
    size_t at = 0;
    *list = 0;
    for (size_t i = 0; i < l->count && i < NAMED; i++)
        at += (size_t)sprintf(list + at, "%s%.255s", i ? ", " : ": ", l->text[i]);
    strcpy(list + at, l->count > NAMED ? ", ..." : "");
}

/* How many images are of classes that the map does not name, and which those are. */
static void tell_left_out(const dataset_opts *o, const char *root, const names *left, status *st)
{
    char list[NAMED * 260 + 8];
    names folders = { 0 };
    if (left->count && list_classes(left, &folders, st)) {
        name_some(&folders, list);
        tell(o, "%s: %zu image%s left out, in %zu folder%s that %s does not name%s", root, left->count, left->count > 1 ? "s are" : " is",
             folders.count, folders.count == 1 ? "" : "s", o->class_map, list);
    }
    let_go(&folders);
}

/* Which classes of the map have no image: a misspelt name is one. */
static void tell_without_images(const dataset_opts *o, const char *root, const dataset *d, status *st)
{
    char list[NAMED * 260 + 8];
    names without = { 0 };
    bool *seen = calloc((size_t)d->classes + 1, sizeof *seen), ok = seen || status_fail(st, TIMM_NO_MEMORY, "out of memory listing classes");
    for (int64_t i = 0; ok && i < d->count; i++)
        seen[d->label[i]] = true;
    for (int i = 0; ok && i < d->classes; i++)
        ok = seen[i] || keep(&without, d->class_name[i], st);
    if (ok && without.count) {
        name_some(&without, list);
        tell(o, "%s: no image of %zu class%s that %s names%s", root, without.count, without.count == 1 ? "" : "es", o->class_map, list);
    }
    free(seen);
    let_go(&without);
}

/* "photos/val" is the split "validation" by its own name. */
static bool is_called(const char *dir, const char *split)
{
    char last[256];
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    size_t from = n;
    while (from && dir[from - 1] != '/')
        from--;
    snprintf(last, sizeof last, "%.*s", (int)(n - from), dir + from);
    return !strcmp(last, split) || (split_named(split) >= 0 && split_named(last) == split_named(split));
}

bool dataset_folder(dataset *d, const char *dir, const char *split, const dataset_opts *o, status *st)
{
    char root[1200];
    const char *class_map = o->class_map;
    names images = { 0 }, classes = { 0 }, empty = { 0 }, left = { 0 };
    if (!*dir)
        return status_fail(st, TIMM_BAD_ARG, "which images? --data-dir names their folder, --dataset another kind");
    if (!is_folder(dir))
        return errno ? status_errno(st, dir, "read the folder") : status_fail(st, TIMM_BAD_ARG, "%s is no folder", dir);
    dataset_find_split(dir, split, root);
    bool ok = strcmp(root, dir) || !has_other_splits(dir)
              || status_fail(st, TIMM_NOT_FOUND, "%s has no split '%s' though it has others", dir, split);
    ok = ok && walk(root, "", &images, &empty, 0, st);
    ok = ok && (images.count || status_fail(st, TIMM_NOT_FOUND, "%s: no images (.jpg, .jpeg, .png, .webp) in it", root));
    ok = ok && (!empty.count || class_map
                || status_fail(st, TIMM_BAD_ARG, "%s/%s: a class without images%s", root, empty.text[0], empty.count > 1 ? ", and others" : ""));
    ok = ok && (class_map ? read_map(class_map, &classes, st) : list_classes(&images, &classes, st));
    ok = ok && (classes.count || status_fail(st, TIMM_BAD_ARG, "%s: images, but no folders that would be classes", root));
    if (ok) {
        qsort(images.text, images.count, sizeof *images.text, by_name);
        ok = fill(d, root, &images, &classes, class_map ? &left : NULL, st)
             && dataset_name_classes(d, (const char *const *)classes.text, (int)classes.count, st);
    }
    if (ok)
        tell_left_out(o, root, &left, st);
    if (ok && class_map)
        tell_without_images(o, root, d, st);
    if (ok && !strcmp(root, dir) && !is_called(dir, split))
        tell(o, "%s has no folder for the split '%s': all of its images are taken", dir, split);
    d->name = dataset_path_of;
    d->read = dataset_read_path;
    let_go(&left);
    let_go(&images);
    let_go(&classes);
    let_go(&empty);
    return ok && status_ok(st);
}
