/* names.c - what a model name means.  Counterpart: timm/models/_registry.py.
 *
 * "arch.tag" is split at the first dot.  An architecture is a run of neighbouring rows of its family's table; its first
 * row is its default.  All of it reads constant tables: nothing has to be set up before a name is looked up.
 */
#include "api/names.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "zoo/deprecated.tags.h"

static size_t arch_length(const char *name) { return strcspn(name, "."); }

static bool same_arch(const char *row, const char *name, size_t n)
{
    return !strncmp(row, name, n) && (!row[n] || row[n] == '.');
}

/* The first row of the architecture name[0 .. n); NULL: there is none. */
static const struct zoo_tag *default_row(name_set z, const char *name, size_t n, const timm_family **family)
{
    for (size_t f = 0; f < z.count; f++)
        for (size_t i = 0; i < z.family[f]->tag_count; i++)
            if (same_arch(z.family[f]->tags[i].name, name, n)) {
                *family = z.family[f];
                return &z.family[f]->tags[i];
            }
    return NULL;
}

/* Does row i begin an architecture? */
static bool is_default(const timm_family *f, size_t i)
{
    return i == 0 || !same_arch(f->tags[i].name, f->tags[i - 1].name, arch_length(f->tags[i - 1].name));
}

static const struct zoo_tag *rows_end(const timm_family *f) { return f->tags + f->tag_count; }

static bool look_up_current(name_set z, const char *name, model_name *out)
{
    size_t n = arch_length(name);
    *out = (model_name){ 0 };
    const struct zoo_tag *row = n && n < sizeof out->arch ? default_row(z, name, n, &out->family) : NULL;
    if (!row)
        return false;
    memcpy(out->arch, name, n);
    if (!name[n])
        out->tag = row;
    for (; !out->tag && row < rows_end(out->family) && same_arch(row->name, name, n); row++)
        if (!strcmp(row->name, name))
            out->tag = row;
    return out->tag;
}

static int by_old_name(const void *key, const void *row) { return strcmp(key, ((const struct zoo_renamed *)row)->old); }

enum { RENAMED = sizeof zoo_deprecated / sizeof *zoo_deprecated };

/* What an old architecture name means now: "arch" or "arch.tag"; NULL: it is no old name. */
static const char *successor(const char *arch)
{
    const struct zoo_renamed *row = bsearch(arch, zoo_deprecated, RENAMED, sizeof *zoo_deprecated, by_old_name);
    return row ? row->now : NULL;
}

bool name_look_up(name_set z, const char *name, model_name *out)
{
    if (look_up_current(z, name, out))
        return true;
    char old[sizeof out->arch], now[2 * sizeof out->arch];
    snprintf(old, sizeof old, "%.*s", (int)arch_length(name), name);
    const char *means = successor(old), *tag = strchr(name, '.');
    if (!means)
        return false;
    snprintf(now, sizeof now, "%.*s%s", (int)(tag ? arch_length(means) : strlen(means)), means, tag ? tag : "");
    out->renamed = look_up_current(z, now, out);
    return out->renamed;
}

/* -- the nearest names --------------------------------------------------------------------------------------------- */

enum { NEAREST = 4, LONGEST = 96 };
typedef struct nearest { const char *name[NEAREST]; int length[NEAREST], cost[NEAREST], count; } nearest;

/* Letters to insert, delete, replace or swap with their neighbour to make b of a. */
static int edit_distance(const char *a, int na, const char *b, int nb)
{
    int row[3][LONGEST + 1];
    for (int j = 0; j <= nb; j++)
        row[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int best = up[j - 1] + (a[i - 1] != b[j - 1]);
            best = up[j] + 1 < best ? up[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[na % 3][nb];
}

static int common_prefix(const char *a, int na, const char *b, int nb)
{
    int n = 0;
    while (n < na && n < nb && a[n] == b[n])
        n++;
    return n;
}

/* Few edits are near; of as many, the longer common beginning.  A name that only goes on counts as 3 at most. */
static void consider(nearest *l, const char *want, int want_length, const char *name, int length)
{
    if (want_length > LONGEST || length > LONGEST)
        return;
    int common = common_prefix(want, want_length, name, length), at = l->count;
    int edits = edit_distance(want, want_length, name, length);
    if (want_length > 2 && common == want_length && edits > 3)
        edits = 3;
    int cost = edits * (LONGEST + 1) - common;
    if (edits > 2 + want_length / 4)
        return;
    while (at > 0 && l->cost[at - 1] > cost)
        at--;
    if (at == NEAREST)
        return;
    l->count += l->count < NEAREST;
    for (int i = l->count - 1; i > at; i--) {
        l->name[i] = l->name[i - 1];
        l->length[i] = l->length[i - 1];
        l->cost[i] = l->cost[i - 1];
    }
    l->name[at] = name;
    l->length[at] = length;
    l->cost[at] = cost;
}

static void unknown_model(name_set z, const char *name, status *st)
{
    nearest l = { 0 };
    model_name known;
    int want = (int)arch_length(name);
    for (size_t f = 0; f < z.count; f++)
        for (size_t i = 0; i < z.family[f]->tag_count; i++)
            if (is_default(z.family[f], i))
                consider(&l, name, want, z.family[f]->tags[i].name, (int)arch_length(z.family[f]->tags[i].name));
    for (size_t i = 0; i < RENAMED; i++)
        if (name_look_up(z, zoo_deprecated[i].old, &known))
            consider(&l, name, want, zoo_deprecated[i].old, (int)strlen(zoo_deprecated[i].old));
    char text[NEAREST * (LONGEST + 4)] = "";
    for (int i = 0, at = 0; i < l.count; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%.*s", !i ? "" : i + 1 < l.count ? ", " : " or ",
                       l.length[i], l.name[i]);
    if (l.count)
        status_fail(st, TIMM_NOT_FOUND, "Unknown model (%s); did you mean %s?", name, text);
    else
        status_fail(st, TIMM_NOT_FOUND, "Unknown model (%s)", name);
}

static void unknown_tag(const timm_family *f, const struct zoo_tag *row, const char *name, status *st)
{
    char text[1024] = "";
    size_t n = arch_length(row->name), at = 0;
    for (; row < rows_end(f) && same_arch(row->name, name, n) && at < sizeof text; row++)
        if (row->name[n])
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? ", " : "", row->name + n + 1);
    status_fail(st, TIMM_NOT_FOUND, "Invalid pretrained tag (%s) for %.*s; it has %s", name + n + 1, (int)n, name,
                at ? text : "none");
}

bool name_resolve(name_set z, const char *name, model_name *out, status *st)
{
    if (name_look_up(z, name, out))
        return true;
    const timm_family *family;
    const struct zoo_tag *row = default_row(z, name, arch_length(name), &family);
    if (row && arch_length(name))
        unknown_tag(family, row, name, st);
    else
        unknown_model(z, name, st);
    return false;
}

/* -- questions ----------------------------------------------------------------------------------------------------- */

bool name_is_model(name_set z, const char *name)
{
    model_name n;
    char arch[sizeof n.arch];
    snprintf(arch, sizeof arch, "%.*s", (int)arch_length(name), name);
    return arch_length(name) < sizeof arch && name_look_up(z, arch, &n);
}

bool tag_has_weights(const struct zoo_tag *t) { return !t->no_hub || t->url; }

bool name_is_pretrained(name_set z, const char *name)
{
    model_name n;
    return look_up_current(z, name, &n) && tag_has_weights(n.tag);
}

/* -- configs ------------------------------------------------------------------------------------------------------- */

static const char *const filters[] = { [ZOO_BICUBIC] = "bicubic", [ZOO_BILINEAR] = "bilinear" };
static const char *const crops[] = { [ZOO_CENTER] = "center", [ZOO_SQUASH] = "squash", [ZOO_BORDER] = "border" };
static const struct { double mean[3], std[3]; } norms[] = {
    [ZOO_IMAGENET] = { { 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 } },
    [ZOO_HALF] = { { 0.5, 0.5, 0.5 }, { 0.5, 0.5, 0.5 } },
    [ZOO_CLIP] = { { 0.48145466, 0.4578275, 0.40821073 }, { 0.26862954, 0.26130258, 0.27577711 } },
    [ZOO_ZERO_ONE] = { { 0, 0, 0 }, { 1, 1, 1 } },
    [ZOO_DPN] = { { 124 / 255., 117 / 255., 104 / 255. }, { 1 / (.0167 * 255), 1 / (.0167 * 255), 1 / (.0167 * 255) } },
    [ZOO_SAT493M] = { { 0.43, 0.411, 0.296 }, { 0.213, 0.156, 0.143 } },
};

static void copy_size(int64_t out[3], const uint16_t in[3])
{
    for (int i = 0; i < 3; i++)
        out[i] = in[i];
}

bool name_fill_cfg(const model_name *n, timm_cfg *out, arena *mem, status *st)
{
    const struct zoo_tag *t = n->tag;
    const char *dot = strchr(t->name, '.');
    *out = (timm_cfg){
        .architecture = arena_strdup(mem, n->arch), .tag = dot ? dot + 1 : "", .module = n->family->name,
        .input_size = { 3, 224, 224 }, .fixed_input_size = t->fixed, .interpolation = filters[t->filter],
        .crop_pct = t->crop_pct > 0 ? t->crop_pct : .875, .test_crop_pct = t->test_crop_pct,
        .crop_mode = crops[t->crop],
        .num_classes = !t->classes ? 1000 : t->classes == ZOO_NO_HEAD ? 0 : t->classes,
        .pool_size = { t->pool[0], t->pool[1] }, .first_conv = t->first_conv, .classifier = t->classifier,
        .hf_hub_id = t->hub || t->no_hub ? t->hub : arena_printf(mem, "timm/%s", t->name), .url = t->url,
        .license = t->license, .origin_url = t->origin, .paper_ids = t->papers, .notes = t->notes,
    };
    if (t->input[0])
        copy_size(out->input_size, t->input);
    copy_size(out->test_input_size, t->test);
    copy_size(out->min_input_size, t->min);
    memcpy(out->mean, norms[t->norm].mean, sizeof out->mean);
    memcpy(out->std, norms[t->norm].std, sizeof out->std);
    out->labels = out->num_classes == 1000 ? "imagenet-1k" : NULL;        /* timm, too, concludes it from the number */
    if (!out->architecture || (!out->hf_hub_id && !t->no_hub))
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for the config of %s", t->name);
    return true;
}

/* -- lists --------------------------------------------------------------------------------------------------------- */

static bool in_modules(const char *module, const char *const *wanted)
{
    for (size_t i = 0; wanted && wanted[i]; i++)
        if (!strcmp(module, wanted[i]))
            return true;
    return !wanted || !wanted[0];
}

/* With tags, a pattern that has none also stands for the name with any tag. */
static bool matches(const char *name, const char *pattern, bool tags)
{
    char any[512];
    size_t n = arch_length(pattern);
    bool widen = tags && n + 3 < sizeof any && (!pattern[n] || !pattern[n + 1]);
    if (widen)
        snprintf(any, sizeof any, "%.*s.*", (int)n, pattern);
    return name_glob(pattern, name) || (widen && name_glob(any, name));
}

static bool matches_any(const char *name, const char *const *patterns, bool tags)
{
    for (size_t i = 0; patterns[i]; i++)
        if (matches(name, patterns[i], tags))
            return true;
    return false;
}

static bool some(const char *const *patterns)
{
    return patterns && patterns[0] && (patterns[0][0] || patterns[1]);    /* timm: filter='' is no filter */
}

static bool listed(const char *name, const timm_list_opts *o, bool tags)
{
    return (!some(o->filters) || matches_any(name, o->filters, tags)) &&
           (!some(o->exclude) || !matches_any(name, o->exclude, tags));
}

static int by_natural_order(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int d = name_order(x, y);
    return d ? d : strcmp(x, y);
}

/* The names of one family behind list[n]; the new n. */
static size_t list_family(const timm_family *f, const timm_list_opts *o, const char **list, size_t n, arena *mem,
                          status *st)
{
    bool tags = o->include_tags ? o->include_tags > 0 : o->pretrained;
    for (size_t i = 0; i < f->tag_count; i++) {
        const char *name = f->tags[i].name;
        if ((!tags && !is_default(f, i)) || (o->pretrained && !tag_has_weights(&f->tags[i])))
            continue;
        if (!tags && name[arch_length(name)])
            name = arena_printf(mem, "%.*s", (int)arch_length(name), name);
        if (!name)
            status_fail(st, TIMM_NO_MEMORY, "out of memory for a list of models");
        else if (listed(name, o, tags))
            list[n++] = name;
    }
    return n;
}

/* name_matches_cfg changes nothing: every name here comes from a config. */
const char *const *name_list(name_set z, const timm_list_opts *o, size_t *count, arena *mem, status *st)
{
    static const timm_list_opts none;
    o = o ? o : &none;
    size_t rows = 0, n = 0;
    for (size_t f = 0; f < z.count; f++)
        rows += z.family[f]->tag_count;
    const char **list = arena_alloc(mem, (rows + 1) * sizeof *list);
    *count = 0;
    if (!list) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a list of %zu models", rows);
        return NULL;
    }
    for (size_t f = 0; f < z.count; f++)
        if (in_modules(z.family[f]->name, o->modules))
            n = list_family(z.family[f], o, list, n, mem, st);
    qsort(list, n, sizeof *list, by_natural_order);
    *count = n;
    return list;
}
