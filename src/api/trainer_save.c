/* trainer_save.c - a training run as one safetensors file.
 *
 * Parameters and buffers have their own names.  Everything else has a '/' in its name, which no parameter has, so that
 * readers of weights can tell: "ema/NAME", "optimizer/NAME", "schedule/state", "trainer/position" (updates, epoch, batches
 * done in it, losses summed, passes) as float64 or int64.  Options are metadata: "timm.option.NAME"; so are the names of the classes,
 * "timm.labels", how many images there were to train on, "timm.train_images", and a checksum of all tensors, "timm.crc32": whoever
 * changes tensors and keeps metadata leaves that out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/trainer.h"
#include "io/json.h"
#include "io/safetensors.h"

enum { POSITION = 5, MAX_PAIRS = TRAIN_OPTIONS + WEIGHTS_PAIRS + 4 };

typedef struct listing {
    safetensors_tensor *t;
    char (*name)[320];
    int n, room;
} listing;

static void list(listing *l, const char *prefix, const char *name, safetensors_dtype dtype, int64_t count, const void *data)
{
    snprintf(l->name[l->n], sizeof *l->name, "%s%s", prefix, name);
    l->t[l->n] = (safetensors_tensor){ .name = l->name[l->n], .dtype = dtype, .rank = 1, .dim = { count }, .data = data };
    l->n++;
}

static bool put_integers(void *user, const safetensors_tensor *t, safetensors_sink *to, status *st)
{
    return safetensors_put_floats(to, user, (size_t)(t->rank ? t->dim[0] : 1), st);
}

static void list_values(listing *l, const char *prefix, const nn_entry *e, float *value)
{
    list(l, prefix, e->name, e->par.integer ? ST_I64 : ST_F32, 0, value);
    safetensors_tensor *t = &l->t[l->n - 1];
    t->rank = e->shape.rank;
    memcpy(t->dim, e->shape.dim, sizeof e->shape.dim);
    if (e->par.integer) {
        t->data = NULL;
        t->put = put_integers;
        t->user = value;
    }
}

static const safetensors_dtype state_dtype[] = { [OPTIM_F32] = ST_F32, [OPTIM_F64] = ST_F64, [OPTIM_I64] = ST_I64 };

static char *class_names(const timm_trainer *t)
{
    json_writer w = { .compact = true };
    jw_begin_array(&w);
    for (int i = 0; i < t->n_labels; i++)
        jw_string(&w, t->labels[i]);
    jw_end_array(&w);
    return jw_finish(&w, NULL);
}

static bool write_file(timm_trainer *t, const char *path, listing *l, const optim_state *state, int states)
{
    timm_model *m = t->m;
    status *st = &m->ctx->st;
    double *schedule_numbers = NULL, position[POSITION] = { (double)t->updates, (double)t->epoch, (double)t->batch, (double)t->loss_count,
                                                           (double)t->passes };
    for (size_t i = 0; i < m->entries; i++) {
        float *value = nn_own(m->entry[i]);
        if (!value)
            return false;
        list_values(l, "", m->entry[i], value);
        if (t->ema)
            list_values(l, "ema/", m->entry[i], t->ema[i]);
    }
    for (int i = 0; i < states; i++)
        list(l, "optimizer/", state[i].name, state_dtype[state[i].dtype], state[i].count, state[i].data);
    int numbers = schedule_state(t->schedule, &schedule_numbers);
    if (numbers)
        list(l, "schedule/", "state", ST_F64, numbers, schedule_numbers);
    list(l, "trainer/", "position", ST_F64, POSITION, position);
    list(l, "trainer/", "loss", ST_F64, 1, &t->loss_sum);
    if (t->n_best)
        list(l, "trainer/", "best", ST_F64, 2 * t->n_best, t->best);

    safetensors_pair pair[MAX_PAIRS];
    char key[TRAIN_OPTIONS][64], images[32], sum[16];
    uint32_t crc;
    weights_metadata made;
    weights_describe_model(m, &made);
    size_t pairs = made.count;
    char *names = class_names(t);
    memcpy(pair, made.pair, pairs * sizeof *pair);
    pair[pairs++] = (safetensors_pair){ "timm.build", timm_version() };
    if (names && t->n_labels)
        pair[pairs++] = (safetensors_pair){ "timm.labels", names };
    if (t->train_data) {
        snprintf(images, sizeof images, "%" PRId64, dataset_count(t->train_data));
        pair[pairs++] = (safetensors_pair){ "timm.train_images", images };
    }
    const timm_train_option *o = timm_train_options();
    for (int i = 0; o[i].help; i++)
        if (t->opts.value[i]) {
            snprintf(key[i], sizeof key[i], "timm.option.%s", o[i].name);
            pair[pairs++] = (safetensors_pair){ key[i], t->opts.value[i] };
        }
    bool ok = safetensors_crc32_of(l->t, (size_t)l->n, &crc, st);
    snprintf(sum, sizeof sum, "%08" PRIx32, crc);
    pair[pairs++] = (safetensors_pair){ "timm.crc32", sum };
    ok = ok && safetensors_write(path, l->t, (size_t)l->n, pair, pairs, st);
    free(names);
    return ok;
}

timm_status timm_trainer_save(timm_trainer *t, const char *path)
{
    if (!t || !path)
        return TIMM_BAD_ARG;
    status *st = &t->m->ctx->st;
    if (!status_ok(st) || !trainer_start(t))
        return st->code;
    optim_state *state;
    int states = optimizer_state(t->optimizer, &state);
    listing l = { .room = states + 2 * (int)t->m->entries + 8 };
    l.t = calloc((size_t)l.room, sizeof *l.t);
    l.name = calloc((size_t)l.room, sizeof *l.name);
    if (!l.t || !l.name)
        status_fail(st, TIMM_NO_MEMORY, "out of memory saving %s", path);
    else
        write_file(t, path, &l, state, states);
    free(l.t);
    free(l.name);
    return st->code;
}

/* -- and back -------------------------------------------------------------------------------------------------------------- */

/* What can begin anew at a resume, for the sentence about a file that does not have it as this run does; "": nothing else. */
static const char *way_out(const char *prefix)
{
    static const struct { const char *prefix, *text; } parts[] = {
        { "optimizer/", ", as runs with another --opt; --no-resume-opt begins the optimizer anew" },
        { "schedule/", ", as runs with another --sched; --no-resume-opt begins the schedule anew" },
        { "ema/", ", as runs without --model-ema; --no-resume-opt begins the average anew" },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strcmp(parts[i].prefix, prefix))
            return parts[i].text;
    return "";
}

/* Where a tensor of that name goes: bytes of `size` each. */
static bool fetch(const safetensors *f, const char *path, const char *prefix, const char *name, safetensors_dtype dtype, int64_t count,
                  void *out, status *st)
{
    char full[320];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    size_t i = safetensors_find(f, full);
    const char *out_of_it = way_out(prefix);
    if (i == safetensors_count(f))
        return status_fail(st, TIMM_MISMATCH, "%s has no '%s'%s", path, full, *out_of_it ? out_of_it : ": it is no checkpoint of such a run");
    const safetensors_entry *e = safetensors_get(f, i);
    if (e->count != count || (dtype != ST_DTYPES && e->dtype != dtype))
        return status_fail(st, TIMM_MISMATCH, "%s: '%s' holds %" PRId64 " numbers of %s, not %" PRId64 " of %s%s", path, full, e->count,
                           safetensors_dtype_name(e->dtype), count, dtype == ST_DTYPES ? "F32" : safetensors_dtype_name(dtype), out_of_it);
    if (dtype == ST_DTYPES)
        return safetensors_read_floats(f, i, out, st);
    memcpy(out, e->data, e->bytes);
    return true;
}

static bool read_average(timm_trainer *t, const safetensors *f, const char *path)
{
    bool ok = true;
    for (size_t i = 0; ok && t->ema && i < t->m->entries; i++)
        ok = fetch(f, path, "ema/", t->m->entry[i]->name, ST_DTYPES, tg_numel(t->m->entry[i]->shape), t->ema[i], &t->m->ctx->st);
    return ok;
}

static bool read_optimizer(timm_trainer *t, const safetensors *f, const char *path)
{
    status *st = &t->m->ctx->st;
    optim_state *state;
    double *numbers;
    int states = optimizer_state(t->optimizer, &state), n = schedule_state(t->schedule, &numbers);
    bool ok = true;
    for (int i = 0; ok && i < states; i++)
        ok = fetch(f, path, "optimizer/", state[i].name, state_dtype[state[i].dtype], state[i].count, state[i].data, st);
    ok = ok && (!n || fetch(f, path, "schedule/", "state", ST_F64, n, numbers, st));
    return ok && (schedule_state_is_sound(t->schedule) || status_fail(st, TIMM_BAD_FILE, "%s: 'schedule/state' is none of a schedule", path));
}

/* The average begins anew from the weights. */
static void restart_average(timm_trainer *t)
{
    for (size_t i = 0; t->ema && i < t->m->entries; i++)
        memcpy(t->ema[i], t->m->entry[i]->owned, (size_t)tg_numel(t->m->entry[i]->shape) * sizeof(float));
}

/* The best epochs and their metrics, or none: nothing stays of what was read before. */
static bool read_best(timm_trainer *t, const safetensors *f, const char *path)
{
    size_t at = safetensors_find(f, "trainer/best");
    const safetensors_entry *e = at < safetensors_count(f) ? safetensors_get(f, at) : NULL;
    int n = e && e->dtype == ST_F64 && e->count <= 2 * TRAIN_HISTORY ? (int)(e->count / 2) : 0;
    t->n_best = 0;
    if (n)
        memcpy(t->best, e->data, (size_t)n * 2 * sizeof *t->best);
    for (int i = 0; i < n; i++)
        if (!(t->best[2 * i + 1] >= 0 && t->best[2 * i + 1] < 9e15))
            return status_fail(&t->m->ctx->st, TIMM_BAD_FILE, "%s: no epoch is %g, of the best", path, t->best[2 * i + 1]);
    t->n_best = n;
    return true;
}

/* All but the weights; with --no-resume-opt, as timm's, optimizer and schedule begin anew where the run stands, and they and the
 * average may be others than they were. */
static bool read_state(timm_trainer *t, const safetensors *f, const char *path)
{
    status *st = &t->m->ctx->st;
    double position[POSITION];
    bool anew = train_flag(&t->opts, "no-resume-opt");
    bool ok = fetch(f, path, "trainer/", "position", ST_F64, POSITION, position, st)
              && fetch(f, path, "trainer/", "loss", ST_F64, 1, &t->loss_sum, st);
    for (int i = 0; ok && i < POSITION; i++)
        ok = (position[i] >= 0 && position[i] < 9e15) || status_fail(st, TIMM_BAD_FILE, "%s: no place in a run is %g", path, position[i]);
    bool averaged = weights_have_average(f);
    if (ok && averaged && !t->ema && !anew)
        ok = status_fail(st, TIMM_MISMATCH, "%s keeps an average of the weights, which is lost without --model-ema; --no-resume-opt does without "
                         "it", path);
    if (ok && anew && !averaged)
        restart_average(t);
    else
        ok = ok && read_average(t, f, path);
    if (!ok)
        return false;
    t->updates = (int64_t)position[0];
    t->epoch = (int64_t)position[1];
    t->batch = (int64_t)position[2];
    t->loss_count = (int64_t)position[3];
    t->passes = (int64_t)position[4];
    /* Schedules are functions of the position, but for plateau's memory. */
    schedule_epoch(t->schedule, t->epoch, 0);
    schedule_update(t->schedule, t->updates);
    ok = anew || read_optimizer(t, f, path);
    return ok && read_best(t, f, path);
}

/* Damage that leaves the sizes right; files of elsewhere, and older ones, have no checksum. */
static bool undamaged(timm_trainer *t, const safetensors *f, const char *path)
{
    const char *then = safetensors_metadata(f, "timm.crc32");
    char now[16];
    snprintf(now, sizeof now, "%08" PRIx32, then ? safetensors_crc32(f) : 0);
    return !then || !strcmp(then, now)
           || status_fail(&t->m->ctx->st, TIMM_BAD_FILE, "%s is damaged: its tensors have the checksum %s, and were saved with %.16s", path, now, then);
}

/* A place within an epoch means the same only in the same batches. */
static bool same_batches(timm_trainer *t, const safetensors *f, const char *path)
{
    static const char *const names[] = { "batch-size", "grad-accum-steps", "seed" };
    for (size_t i = 0; t->batch && i < sizeof names / sizeof *names; i++) {
        char key[64];
        snprintf(key, sizeof key, "timm.option.%s", names[i]);
        const char *then = safetensors_metadata(f, key), *now = train_text(&t->opts, names[i]);
        train_options none = { { NULL } };
        then = then ? then : train_text(&none, names[i]);
        if (strtoll(then, NULL, 10) != strtoll(now, NULL, 10))
            return status_fail(&t->m->ctx->st, TIMM_MISMATCH, "%s was saved within an epoch, with --%s %s: it can go on with that alone, not "
                               "with %s", path, names[i], then, now);
    }
    return true;
}

/* Other images make other batches; from an epoch's beginning they may. */
static bool same_images(timm_trainer *t, const safetensors *f, const char *path)
{
    const char *then = safetensors_metadata(f, "timm.train_images");
    int64_t was = then ? strtoll(then, NULL, 10) : 0, now = t->train_data ? dataset_count(t->train_data) : 0;
    if (!was || !now || was == now)
        return true;
    if (t->batch)
        return status_fail(&t->m->ctx->st, TIMM_MISMATCH, "%s was saved within an epoch over %" PRId64 " images: it can go on with those alone, not "
                           "with %" PRId64 "; checkpoints of whole epochs can", path, was, now);
    ctx_note(t->m->ctx, "%s was trained on %" PRId64 " images so far, and from here on there are %" PRId64, path, was, now);
    return true;
}

/* Output k of the network means the same class. */
static bool same_labels(timm_trainer *t, const safetensors *f, const char *path)
{
    const char *then = safetensors_metadata(f, "timm.labels");
    char *now = then && t->n_labels ? class_names(t) : NULL;
    bool same = !now || !strcmp(then, now);
    if (!same)
        status_fail(&t->m->ctx->st, TIMM_MISMATCH, "%s was trained on the classes %.300s, and the data has %.300s; see --class-map", path, then, now);
    free(now);
    return same;
}

timm_status timm_trainer_load(timm_trainer *t, const char *path)
{
    if (!t || !path)
        return TIMM_BAD_ARG;
    timm_model *m = t->m;
    status *st = &m->ctx->st;
    if (!status_ok(st) || !trainer_start(t))
        return st->code;
    safetensors *f = safetensors_open(path, st);
    if (!f)
        return st->code;
    const char *of = safetensors_metadata(f, "architecture");
    if (of && strcmp(of, m->cfg.architecture))
        status_fail(st, TIMM_MISMATCH, "%s is a checkpoint of %s, not of %s", path, of, m->cfg.architecture);
    bool ok = status_ok(st) && undamaged(t, f, path);
    for (size_t i = 0; ok && i < m->entries; i++) {
        float *value = nn_own(m->entry[i]);
        ok = value && fetch(f, path, "", m->entry[i]->name, ST_DTYPES, tg_numel(m->entry[i]->shape), value, st);
    }
    if (ok)
        (void)(same_labels(t, f, path) && read_state(t, f, path) && same_batches(t, f, path) && same_images(t, f, path));
    safetensors_close(f);
    model_drop_plans(m);
    return st->code;
}
