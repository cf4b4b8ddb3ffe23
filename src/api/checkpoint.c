/* checkpoint.c - weights from and to safetensors files, with timm's rules for another head and other input channels.
 *
 * Loading points the store's entries into the mapped file; numbers are read when a plan packs them.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/model.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "nn/refit.h"
#include "train/task.h"

_Static_assert(sizeof ((timm_param_info *)0)->dim == sizeof ((safetensors_entry *)0)->dim, "whatever a file may hold is told");

typedef struct weight_file { safetensors *f; struct weight_file *next; } weight_file;

void weights_release(weights *w)
{
    if (--w->users)
        return;
    nn_store_free(w->store);
    while (w->files) {
        weight_file *next = w->files->next;
        safetensors_close(w->files->f);
        free(w->files);
        w->files = next;
    }
    free(w);
}

static bool read_entry(void *file, size_t index, float *out, status *st)
{
    return safetensors_read_floats(((weight_file *)file)->f, index, out, st);
}

static void drop_entry(void *file, size_t index) { safetensors_release(((weight_file *)file)->f, index); }

/* -- what does not fit, gathered into one message ---------------------------------------------------------------------------- */

enum { LISTED = 12, LIST_BYTES = 1400 };                  /* of each kind; of all, so that the message has room for its end */
typedef struct misfits { char *text; size_t size; FILE *f; int missing, unexpected, misshaped, more; } misfits;

/* One more of a kind: is it listed? */
static bool list(misfits *bad, int *kind)
{
    bool room = ++*kind <= LISTED && ftell(bad->f) < LIST_BYTES;
    bad->more += !room;
    return room;
}

/* How a file's tensors are taken.  Strict: only as they are.  Lenient: another head than the file's was asked for, and so what one
 * of them lacks is no failure, as long as anything is taken. */
typedef struct taking { weight_file *file; bool strict, lenient; int64_t grid[2]; int taken; misfits bad; } taking;

static bool named_by(const char *prefixes, const char *name)           /* "head.fc head_dist": is name head.fc.weight? */
{
    while (prefixes && *prefixes) {
        size_t n = strcspn(prefixes, " ");
        if (!strncmp(name, prefixes, n) && name[n] == '.')
            return true;
        prefixes += n + (prefixes[n] == ' ');
    }
    return false;
}

static tg_shape shape_of(const safetensors_entry *t)
{
    tg_shape s = { .rank = t->rank <= TG_MAX_RANK ? t->rank : TG_MAX_RANK };
    memcpy(s.dim, t->dim, (size_t)s.rank * sizeof *s.dim);
    return s;
}

static int64_t whole(const safetensors *f, const char *key, int64_t least, int64_t most)
{
    const char *text = safetensors_metadata(f, key);
    int64_t v = text ? strtoll(text, NULL, 10) : 0;
    return v >= least && v <= most ? v : 0;
}

static bool is_of(const timm_model *m, const safetensors *f)
{
    const char *of = safetensors_metadata(f, "architecture");
    return of && !strcmp(of, m->cfg.architecture);
}

/* "F does not fit resnet34" and why; where the file names another network, that says all. */
static void misfit(timm_model *m, const char *path, const safetensors *f, const misfits *bad)
{
    const char *of = safetensors_metadata(f, "architecture");
    if (of && !is_of(m, f))
        status_fail(&m->ctx->st, TIMM_MISMATCH, "%s is a checkpoint of %s, not of %s", path, json_show(of).text, m->cfg.architecture);
    else
        status_fail(&m->ctx->st, TIMM_MISMATCH, "%s does not fit %s: %d missing, %d unexpected, %d misshaped tensors%s", path,
                    m->cfg.architecture, bad->missing, bad->unexpected, bad->misshaped, bad->text ? bad->text : "");
}

/* What wrappers of networks put before every name, in the order in which timm's clean_state_dict takes it off. */
static const char *const wrapper[] = { "_orig_mod.", "module.", "_orig_mod." };
enum { WRAPPERS = sizeof wrapper / sizeof *wrapper };

static const char *unwrapped(const char *name)
{
    for (int i = 0; i < WRAPPERS; i++) {
        size_t n = strlen(wrapper[i]);
        name += strncmp(name, wrapper[i], n) ? 0 : n;
    }
    return name;
}

/* The file's tensor of that name, bare or under any of the wrappers; its count: none. */
static size_t find(const timm_model *m, const safetensors *f, const char *name)
{
    size_t none = safetensors_count(f), i = none;
    for (unsigned worn = 0; worn < 1 << WRAPPERS && i == none; worn++) {
        char full[320];
        int at = snprintf(full, sizeof full, "%s", m->use_ema ? "ema/" : "");
        for (int k = 0; k < WRAPPERS; k++)
            at += snprintf(full + at, sizeof full - (size_t)at, "%s", worn >> k & 1 ? wrapper[k] : "");
        snprintf(full + at, sizeof full - (size_t)at, "%s", name);
        i = safetensors_find(f, full);
    }
    return i;
}

/* Rows of the first classifier; 0: the file has none. */
static int classes_of(const timm_model *m, const safetensors *f)
{
    char name[256];
    const char *head = m->cfg.classifier ? m->cfg.classifier : "";
    snprintf(name, sizeof name, "%.*s.weight", (int)strcspn(head, " "), head);
    size_t i = find(m, f, name);
    const safetensors_entry *t = i < safetensors_count(f) ? safetensors_get(f, i) : NULL;
    return t && t->rank && t->dim[0] <= 1 << 24 ? (int)t->dim[0] : 0;
}

/* timm's load_pretrained is strict unless the number of classes is another than that of the weights. */
static bool is_other_head(const timm_model *m, const safetensors *f)
{
    int rows = classes_of(m, f);
    return m->cfg.classifier && m->head.classes != (rows ? rows : m->cfg.num_classes);
}

static void tell_of_drawn_head(timm_model *m, const char *path, const safetensors *f)
{
    char has[48] = "no head";
    if (classes_of(m, f))
        snprintf(has, sizeof has, "a head of %d classes", classes_of(m, f));
    ctx_note(m->ctx, "%s has %s; the one of %d that was asked for stays as drawn", path, has, m->head.classes);
}

/* Rows and columns of the patches of the network that the file is of: its image size over its patch kernel; zeros: not known. */
static void grid_of(const timm_model *m, const safetensors *f, int64_t grid[2])
{
    const char *size = safetensors_metadata(f, "timm.img_size");
    char name[320];
    long long image[2] = { m->cfg.input_size[1], m->cfg.input_size[2] };
    snprintf(name, sizeof name, "%s.weight", m->cfg.first_conv ? m->cfg.first_conv : "");
    size_t i = find(m, f, name);
    const safetensors_entry *kernel = i < safetensors_count(f) ? safetensors_get(f, i) : NULL;
    if (size && is_of(m, f))
        sscanf(size, "%lld %lld", &image[0], &image[1]);
    for (int k = 0; k < 2; k++)
        grid[k] = kernel && kernel->rank == 4 && kernel->dim[2 + k] > 0 ? image[k] / kernel->dim[2 + k] : 0;
}

/* Fits a tensor of another network as timm does: position grids, patch kernels, input channels.  False: it has no such rule, or
 * (with a status) it failed. */
static bool refit(timm_model *m, weight_file *file, size_t index, nn_entry *e, const int64_t grid[2])
{
    status *st = &m->ctx->st;
    const safetensors_entry *t = safetensors_get(file->f, index);
    tg_shape from = shape_of(t);
    bool input = named_by(m->cfg.first_conv, e->name) && from.rank == 4 && e->shape.rank == 4 && from.dim[1] != e->shape.dim[1];
    if (t->rank > TG_MAX_RANK || (e->par.refit == NN_EXACT && !input))
        return false;
    float *raw = malloc((size_t)t->count * sizeof *raw + 1), *out = malloc((size_t)tg_numel(e->shape) * sizeof *out + 1);
    bool ok = raw && out;
    if (!ok)
        status_fail(st, TIMM_NO_MEMORY, "out of memory fitting %s", e->name);
    ok = ok && safetensors_read_floats(file->f, index, raw, st);
    tg_shape middle = from;
    if (ok && input) {
        middle.dim[1] = e->shape.dim[1];
        float *adapted = malloc((size_t)tg_numel(middle) * sizeof *adapted + 1);
        ok = adapted ? adapt_input_conv(raw, from, adapted, middle)
                     : status_fail(st, TIMM_NO_MEMORY, "out of memory fitting %s", e->name);
        free(raw);
        raw = adapted;
    }
    if (ok && !refit_needed(&e->par, grid, middle, e->shape))
        memcpy(out, raw, (size_t)tg_numel(middle) * sizeof *out);
    else
        ok = ok && refit_tensor(&e->par, grid, raw, middle, out, e->shape, st);
    free(raw);
    if (!ok) {
        free(out);
        return false;
    }
    free(e->owned);
    e->owned = out;
    e->source = NN_OWNED;
    return true;
}

static void point_at(nn_entry *e, weight_file *file, size_t index)
{
    const safetensors_entry *t = safetensors_get(file->f, index);
    free(e->owned);
    e->owned = NULL;
    e->source = NN_READ;
    e->read = read_entry;
    e->drop = drop_entry;
    e->reader = file;
    e->index = index;
    e->direct = t->dtype == ST_F32 && (uintptr_t)t->data % sizeof(float) == 0 ? t->data : NULL;
}

static void tell(misfits *bad, int *count, const char *what, const char *name, tg_shape shape)
{
    if (list(bad, count))
        fprintf(bad->f, "\n  %-11s %s %s", what, name, tg_str(shape));
}

static void take(timm_model *m, taking *how, nn_entry *e)
{
    const safetensors *f = how->file->f;
    size_t i = find(m, f, e->name);
    bool new_head = how->lenient && named_by(m->cfg.classifier, e->name);       /* stays as drawn */
    bool absent = i == safetensors_count(f);
    if (new_head || (absent && e->par.integer))      /* old files lack the counters of batch norms, as PyTorch allows */
        return;
    if (absent) {
        tell(&how->bad, &how->bad.missing, "missing", e->name, e->shape);
        return;
    }
    tg_shape stored = shape_of(safetensors_get(f, i));
    bool fits = safetensors_get(f, i)->rank == e->shape.rank && tg_same(stored, e->shape)
                && (how->strict || !refit_needed(&e->par, how->grid, stored, e->shape));
    if (fits)
        point_at(e, how->file, i);
    if (fits || (!how->strict && refit(m, how->file, i, e, how->grid)))
        how->taken++;
    else if (list(&how->bad, &how->bad.misshaped))
        fprintf(how->bad.f, "\n  misshaped   %s is %s in the file and %s in the model", e->name, tg_str(stored), tg_str(e->shape));
}

static bool known(const timm_model *m, const char *name)
{
    size_t lo = 0, hi = m->entries;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(m->entry[mid]->name, name);
        if (!c)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/* How many letters stand before the model's own names in every unexpected one: "model." of a network inside another. */
static size_t prefix_of(const timm_model *m, const safetensors *f, const char **first_name)
{
    const char *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const char *name = safetensors_get(f, i)->name, *dot = first ? NULL : strchr(name, '.');
        if (known(m, unwrapped(name)) || strchr(name, '/'))
            continue;
        for (; dot && !n; dot = strchr(dot + 1, '.'))
            n = known(m, dot + 1) ? (size_t)(dot + 1 - name) : 0;
        *first_name = first = first ? first : name;
        if (!n || strncmp(name, first, n) != 0 || !known(m, name + n))
            return 0;
    }
    return n;
}

bool weights_have_average(const safetensors *f)
{
    for (size_t i = 0; i < safetensors_count(f); i++)
        if (!strncmp(safetensors_get(f, i)->name, "ema/", 4))
            return true;
    return false;
}

/* -- what a run's checkpoint says beside its tensors ---------------------------------------------------------------------------- */

static bool read_labels(timm_model *m, const char *text)
{
    status none = { 0 };                                 /* names are no condition */
    json_t *names = json_parse(text, strlen(text), "labels", &none);
    size_t n = json_array_size(names);
    m->label = n ? arena_alloc(&m->mem, (n + 1) * sizeof *m->label) : NULL;
    for (size_t i = 0; m->label && i < n; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        m->label[i] = arena_strdup(&m->mem, name ? name : "");
    }
    m->labels = m->label ? (int)n : 0;
    json_decref(names);
    return true;
}

/* Three numbers, or one for all; what is not there stays. */
static void read_numbers(const safetensors *f, const char *key, double out[3])
{
    const char *text = safetensors_metadata(f, key);
    double v[3];
    int n = text ? sscanf(text, "%lf%*[ ,]%lf%*[ ,]%lf", &v[0], &v[1], &v[2]) : 0;
    for (int i = 0; i < 3 && n > 0; i++)
        out[i] = v[i < n ? i : 0];
}

static void read_number(const safetensors *f, const char *key, double least, double *out)
{
    const char *text = safetensors_metadata(f, key);
    double v = text ? strtod(text, NULL) : NAN;
    *out = v >= least ? v : *out;
}

static void read_word(timm_model *m, const safetensors *f, const char *key, const char **out)
{
    const char *text = safetensors_metadata(f, key);
    const char *word = text && *text ? arena_strdup(&m->mem, text) : NULL;
    *out = word ? word : *out;
}

static void read_size(const safetensors *f, const char *key, int64_t least, int64_t out[3])
{
    const char *text = safetensors_metadata(f, key);
    long long v[3];
    bool ok = text && sscanf(text, "%lld %lld %lld", &v[0], &v[1], &v[2]) == 3;
    for (int i = 0; i < 3; i++)
        ok = ok && v[i] >= least && v[i] < 65536;
    for (int i = 0; i < 3 && ok; i++)
        out[i] = v[i];
}

/* The config of the tag that the network was made from; over it, what validation saw in the run that trained it. */
static void read_transform(timm_model *m, const safetensors *f)
{
    timm_cfg *c = &m->cfg;
    read_size(f, "timm.input_size", 1, c->input_size);
    read_size(f, "timm.test_input_size", 0, c->test_input_size);
    read_number(f, "timm.test_crop_pct", 0, &c->test_crop_pct);
    read_word(m, f, "timm.crop_mode", &c->crop_mode);
    static const char *const told[][4] = {
        { "timm.mean", "timm.std", "timm.interpolation", "timm.crop_pct" },
        { "timm.option.mean", "timm.option.std", "timm.option.interpolation", "timm.option.crop-pct" },
    };
    for (int i = 0; i < 2; i++) {
        read_numbers(f, told[i][0], c->mean);
        read_numbers(f, told[i][1], c->std);
        read_word(m, f, told[i][2], &c->interpolation);
        read_number(f, told[i][3], 1e-3, &c->crop_pct);
    }
}

bool weights_describe(timm_model *m, timm_model_opts *o)
{
    safetensors *f = safetensors_open(o->weights, &m->ctx->st);
    if (!f)
        return false;
    if (m->use_ema && !weights_have_average(f)) {
        status_fail(&m->ctx->st, TIMM_MISMATCH, "%s holds no averaged weights; checkpoints of runs with --model-ema do", o->weights);
        safetensors_close(f);
        return false;
    }
    const char *size = safetensors_metadata(f, "timm.img_size");
    const char *labels = safetensors_metadata(f, "timm.labels"), *kwargs = safetensors_metadata(f, "timm.model_kwargs");
    long long h, w;
    bool of_weights = o->classes == TIMM_CLASSES_OF_WEIGHTS;
    o->classes = of_weights ? 0 : o->classes;
    if (is_of(m, f)) {
        const char *told = safetensors_metadata(f, "timm.num_classes"), *pooled = safetensors_metadata(f, "timm.global_pool");
        int classes = told && !strcmp(told, "0") && !of_weights ? -1 : (int)whole(f, "timm.num_classes", 1, 1 << 24);
        bool own_head = !o->classes || o->classes == classes;
        o->classes = o->classes ? o->classes : classes;
        o->in_chans = o->in_chans ? o->in_chans : (int)whole(f, "timm.in_chans", 1, 1024);
        if (!o->img_size[0] && !o->img_size[1] && size && sscanf(size, "%lld %lld", &h, &w) == 2 && h > 0 && w > 0 && h < 65536 && w < 65536) {
            o->img_size[0] = h;
            o->img_size[1] = w;
        }
        o->output_stride = o->output_stride ? o->output_stride : (int)whole(f, "timm.output_stride", 1, 32);
        if (!o->global_pool && pooled)
            o->global_pool = arena_strdup(&m->mem, pooled);
        read_transform(m, f);
        if (!o->kwargs && kwargs)
            o->kwargs = arena_strdup(&m->mem, kwargs);
        if (own_head && labels)
            read_labels(m, labels);
        if (own_head)
            read_word(m, f, "timm.option.task", &m->task);
    }
    if (of_weights && !o->classes)
        o->classes = classes_of(m, f);
    safetensors_close(f);
    return true;
}

const char *timm_model_label(const timm_model *m, int64_t i)
{
    if (!m || i < 0)
        return NULL;
    if (m->labels)
        return i < m->labels ? m->label[i] : NULL;
    return m->cfg.labels && m->head.classes == 1000 ? timm_label(m->cfg.labels, i) : NULL;
}

const char *timm_model_task(const timm_model *m)
{
    return m && m->task && task_named(m->task) != TIMM_CLASSIFICATION ? m->task : "classification";
}

bool weights_load(timm_model *m, const char *path, bool strict, bool asked)
{
    status *st = &m->ctx->st;
    weight_file *file = calloc(1, sizeof *file);
    if (!file)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for %s", path);
    file->f = safetensors_open(path, st);
    if (!file->f) {
        free(file);
        return false;
    }
    file->next = m->w->files;
    m->w->files = file;
    taking how = { .file = file, .strict = strict, .lenient = !strict && asked && is_other_head(m, file->f) };
    misfits *bad = &how.bad;
    grid_of(m, file->f, how.grid);
    bad->f = open_memstream(&bad->text, &bad->size);
    if (!bad->f)
        return status_errno(st, "memory stream", "open");
    for (size_t i = 0; i < m->entries && status_ok(st); i++)
        take(m, &how, m->entry[i]);
    for (size_t i = 0; i < safetensors_count(file->f); i++) {
        const safetensors_entry *t = safetensors_get(file->f, i);
        const char *name = unwrapped(t->name);
        bool no_head = !m->head.classes && named_by(m->cfg.classifier, name);
        bool training = strchr(name, '/') != NULL;                          /* state of a trainer, see trainer_save.c */
        if (!known(m, name) && !no_head && !training)
            tell(bad, &bad->unexpected, "unexpected", t->name, shape_of(t));
    }
    const char *wrapped = "";
    int prefix = bad->unexpected ? (int)prefix_of(m, file->f, &wrapped) : 0;
    if (bad->more)
        fprintf(bad->f, "\n  and %d more", bad->more);
    if (prefix)
        fprintf(bad->f, "\nEvery unexpected name is '%.*s' and a name of the model: without it they would fit better", prefix, wrapped);
    fclose(bad->f);
    bool fits = !bad->misshaped && ((how.lenient && how.taken) || !(bad->missing + bad->unexpected));
    if (status_ok(st) && !fits)
        misfit(m, path, file->f, bad);
    const char *of = safetensors_metadata(file->f, "architecture");
    if (status_ok(st) && of && !is_of(m, file->f))
        ctx_note(m->ctx, "%s says that it is of %s; its tensors fit %s, which may compute something else of them", path,
                 json_show(of).text, m->cfg.architecture);
    if (status_ok(st) && how.lenient && m->head.classes)
        tell_of_drawn_head(m, path, file->f);
    if (status_ok(st) && bad->missing + bad->unexpected)
        ctx_note(m->ctx, "%s is loaded, but not all of it is for %s with another head: %d missing tensors, which stay as drawn, and "
                 "%d unexpected%s", path, m->cfg.architecture, bad->missing, bad->unexpected, bad->text ? bad->text : "");
    free(bad->text);
    model_drop_plans(m);
    return status_ok(st);
}

timm_status timm_load(timm_model *m, const char *path)
{
    if (!m)
        return TIMM_BAD_ARG;
    if (status_ok(&m->ctx->st))
        weights_load(m, path, true, false);
    return m->ctx->st.code;
}

/* -- saving ---------------------------------------------------------------------------------------------------------------- */

static bool put_entry(void *user, const safetensors_tensor *t, safetensors_sink *to, status *st)
{
    nn_entry *e = user;
    bool temporary;
    const float *v = nn_fetch(e, &temporary);
    if (!v)
        return false;
    bool ok = safetensors_put_floats(to, v, (size_t)tg_numel(e->shape), st);
    (void)t;
    nn_done(e, v, temporary);
    return ok;
}

static void say(weights_metadata *w, const char *key, const char *text)
{
    w->pair[w->count++] = (safetensors_pair){ key, text };
}

static void say_numbers(weights_metadata *w, const char *key, const double *v, int n)
{
    char *text = w->text[w->count];
    for (int i = 0, at = 0; i < n; i++)
        at += snprintf(text + at, sizeof *w->text - (size_t)at, "%s%.17g", i ? " " : "", v[i]);
    say(w, key, text);
}

static void say_sizes(weights_metadata *w, const char *key, const int64_t *v, int n)
{
    char *text = w->text[w->count];
    for (int i = 0, at = 0; i < n; i++)
        at += snprintf(text + at, sizeof *w->text - (size_t)at, "%s%" PRId64, i ? " " : "", v[i]);
    say(w, key, text);
}

void weights_describe_model(const timm_model *m, weights_metadata *w)
{
    const timm_cfg *c = &m->cfg;
    const int64_t classes = m->head.classes, chans = m->opts.in_chans, stride = m->opts.output_stride;
    w->count = 0;
    say(w, "format", "pt");
    say(w, "architecture", c->architecture);
    say_sizes(w, "timm.num_classes", &classes, 1);
    say_sizes(w, "timm.in_chans", &chans, 1);
    say_sizes(w, "timm.img_size", m->opts.img_size, 2);
    if (stride != 32)
        say_sizes(w, "timm.output_stride", &stride, 1);
    if (m->head.pool != NN_POOL_DEFAULT)
        say(w, "timm.global_pool", pooling_name(m->head.pool));
    if (m->kwargs)
        say(w, "timm.model_kwargs", m->kwargs);
    say_numbers(w, "timm.mean", c->mean, 3);
    say_numbers(w, "timm.std", c->std, 3);
    say(w, "timm.interpolation", c->interpolation);
    say(w, "timm.crop_mode", c->crop_mode);
    say_numbers(w, "timm.crop_pct", &c->crop_pct, 1);
    say_numbers(w, "timm.test_crop_pct", &c->test_crop_pct, 1);
    say_sizes(w, "timm.input_size", c->input_size, 3);
    say_sizes(w, "timm.test_input_size", c->test_input_size, 3);
}

timm_status timm_save(timm_model *m, const char *path)
{
    if (!m)
        return TIMM_BAD_ARG;
    status *st = &m->ctx->st;
    safetensors_tensor *t = calloc(m->entries + 1, sizeof *t);
    if (!t)
        status_fail(st, TIMM_NO_MEMORY, "out of memory saving %s", path);
    for (size_t i = 0; t && i < m->entries; i++) {
        nn_entry *e = m->entry[i];
        t[i] = (safetensors_tensor){ .name = e->name, .dtype = e->par.integer ? ST_I64 : ST_F32, .rank = e->shape.rank,
                                     .put = put_entry, .user = e };
        memcpy(t[i].dim, e->shape.dim, sizeof e->shape.dim);
    }
    weights_metadata meta;
    weights_describe_model(m, &meta);
    if (t && status_ok(st))
        safetensors_write(path, t, m->entries, meta.pair, meta.count, st);
    free(t);
    return st->code;
}

/* -- what a file holds ----------------------------------------------------------------------------------------------------- */

/* torch's names of types, as `timm info --tensors` prints them. */
static const char *torch_name(safetensors_dtype d)
{
    static const struct { safetensors_dtype d; const char *name; } table[] = {
        { ST_BOOL, "bool" }, { ST_U8, "uint8" }, { ST_I8, "int8" }, { ST_I16, "int16" }, { ST_U16, "uint16" }, { ST_F16, "float16" },
        { ST_BF16, "bfloat16" }, { ST_I32, "int32" }, { ST_U32, "uint32" }, { ST_F32, "float32" }, { ST_F64, "float64" },
        { ST_I64, "int64" }, { ST_U64, "uint64" }, { ST_C64, "complex64" },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].d == d)
            return table[i].name;
    return safetensors_dtype_name(d);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const timm_param_info *)a)->name, ((const timm_param_info *)b)->name);
}

const timm_param_info *timm_file_tensors(timm_ctx *ctx, const char *path, size_t *count)
{
    *count = 0;
    if (!ctx || !status_ok(&ctx->st))
        return NULL;
    safetensors *f = safetensors_open(path, &ctx->st);
    if (!f)
        return NULL;
    size_t n = safetensors_count(f);
    timm_param_info *list = arena_alloc(&ctx->mem, (n + 1) * sizeof *list);
    for (size_t i = 0; list && i < n; i++) {
        const safetensors_entry *t = safetensors_get(f, i);
        list[i] = (timm_param_info){ .name = arena_strdup(&ctx->mem, t->name), .dtype = torch_name(t->dtype), .rank = t->rank };
        memcpy(list[i].dim, t->dim, sizeof t->dim);
        if (!list[i].name)
            list = NULL;
    }
    safetensors_close(f);
    if (!list)
        status_fail(&ctx->st, TIMM_NO_MEMORY, "out of memory listing %s", path);
    if (!status_ok(&ctx->st))
        return NULL;
    qsort(list, n, sizeof *list, by_name);
    *count = n;
    return list;
}

const timm_file_pair *timm_file_metadata(timm_ctx *ctx, const char *path, size_t *count)
{
    *count = 0;
    if (!ctx || !status_ok(&ctx->st))
        return NULL;
    safetensors *f = safetensors_open(path, &ctx->st);
    if (!f)
        return NULL;
    size_t n;
    const safetensors_pair *pair = safetensors_pairs(f, &n);
    timm_file_pair *list = arena_alloc(&ctx->mem, (n + 1) * sizeof *list);
    for (size_t i = 0; list && i < n; i++) {
        list[i] = (timm_file_pair){ arena_strdup(&ctx->mem, pair[i].key), arena_strdup(&ctx->mem, pair[i].value) };
        if (!list[i].key || !list[i].value)
            list = NULL;
    }
    safetensors_close(f);
    if (!list)
        status_fail(&ctx->st, TIMM_NO_MEMORY, "out of memory for the metadata of %s", path);
    *count = list ? n : 0;
    return list;
}
