/* trainer_run.c - a whole run: epochs, validation, checkpoints, logs.
 *
 * The folder holds last.safetensors, checkpoint-EPOCH.safetensors of the best epochs, model_best.safetensors (both are links to
 * what last.safetensors was then), args.yaml, summary.csv, report.html and TensorBoard's events.  A run may be killed between
 * any two of these: at an epoch's end the logs are written first, and what they tell of later epochs than last.safetensors is
 * taken off when the run goes on; last.safetensors knows the list of the best, and the links follow from it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "api/trainer.h"
#include "train/run_log.h"
#include "train/task.h"

static status *st_of(timm_trainer *t) { return &t->m->ctx->st; }
const char *timm_trainer_folder(const timm_trainer *t) { return t ? t->folder : ""; }

static const char *in_folder(const timm_trainer *t, char path[static 1200], const char *name)
{
    if (snprintf(path, 1200, "%s/%s", t->folder, name) >= 1200)
        path[1199] = 0;
    return path;
}

/* -- the folder ------------------------------------------------------------------------------------------------------------ */

static bool make_folders(const char *path, status *st)
{
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *p = folder + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            if (mkdir(folder, 0777) && errno != EEXIST)
                return status_errno(st, folder, "make the folder");
            *p = '/';
        }
    return !mkdir(folder, 0777) || errno == EEXIST || status_errno(st, folder, "make the folder");
}

/* The epoch of "checkpoint-7.safetensors"; -1: another name. */
static int64_t checkpoint_epoch(const char *name)
{
    int64_t epoch;
    int end = 0;
    return sscanf(name, "checkpoint-%" SCNd64 ".safetensors%n", &epoch, &end) == 1 && end && !name[end] && epoch >= 0 ? epoch : -1;
}

/* Anything that a run left and another one would write over. */
static bool holds_a_run(const timm_trainer *t)
{
    DIR *d = opendir(t->folder);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));)
        found = !strcmp(e->d_name, "last.safetensors") || !strcmp(e->d_name, "model_best.safetensors") || !strcmp(e->d_name, "summary.csv")
                || checkpoint_epoch(e->d_name) >= 0;
    if (d)
        closedir(d);
    return found;
}

/* One run at a time writes to a folder; what a killed one left unfinished goes. */
static bool take_folder(timm_trainer *t)
{
    char path[1200];
    status *st = st_of(t);
    if (t->lock || !make_folders(t->folder, st))
        return status_ok(st);
    int fd = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    t->lock = fd + 1;
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return status_fail(st, TIMM_IO, "%s: another run is writing there", t->folder);
    if (!*train_text(&t->opts, "resume") && holds_a_run(t))
        return status_fail(st, TIMM_BAD_ARG, "%s holds a run; --resume auto goes on with it, another --experiment begins anew", t->folder);
    DIR *d = opendir(t->folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        long pid;
        unsigned nth;
        int end = 0;
        if (sscanf(e->d_name, ".timm-%ld-%u.tmp%n", &pid, &nth, &end) == 2 && end && !e->d_name[end])
            unlink(in_folder(t, path, e->d_name));
    }
    if (d)
        closedir(d);
    return true;
}

static bool name_folder(timm_trainer *t)
{
    const char *name = train_text(&t->opts, "experiment"), *output = train_text(&t->opts, "output");
    output = *output ? output : "output/train";          /* timm's own files of options say '' */
    if (!*name && !strcmp(train_text(&t->opts, "resume"), "auto"))
        return status_fail(st_of(t), TIMM_BAD_ARG, "--resume auto finds a run by its name: --experiment");
    if (*name) {
        snprintf(t->folder, sizeof t->folder, "%s/%s", output, name);
    } else {
        char when[32];
        time_t now = time(NULL);
        struct tm tm;
        strftime(when, sizeof when, "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
        snprintf(t->folder, sizeof t->folder, "%s/%s-%s-%" PRId64, output, when, t->m->cfg.architecture, t->m->opts.img_size[0]);
    }
    return take_folder(t);
}

timm_status timm_trainer_made(timm_trainer *t, const char *name, const char *value)
{
    if (!t || !name || !value)
        return TIMM_BAD_ARG;
    char *line = args_line(name, value);
    size_t n = line ? strlen(line) : 0;
    char *more = line ? realloc(t->made, t->made_size + n + 1) : NULL;
    if (more) {
        memcpy(more + t->made_size, line, n + 1);
        t->made = more;
        t->made_size += n;
    } else {
        status_fail(st_of(t), TIMM_NO_MEMORY, "out of memory for %s", name);
    }
    free(line);
    return st_of(t)->code;
}

void trainer_run_free(timm_trainer *t)
{
    if (t->lock)
        close(t->lock - 1);
    free(t->made);
    free(t->speed);
}

/* -- checkpoints ----------------------------------------------------------------------------------------------------------- */

static bool smaller_is_better(timm_trainer *t) { return task_best_metric(&t->opts, st_of(t))->less_is_better; }

/* What is no number is worse than any. */
static bool better(timm_trainer *t, double a, double b)
{
    return a == a && (b != b || (smaller_is_better(t) ? a < b : a > b));
}

/* The list of the best with this epoch in it, if it belongs there. */
static void rank_epoch(timm_trainer *t, double metric)
{
    int keep = (int)train_int(&t->opts, "checkpoint-hist"), at = t->n_best;
    while (at && better(t, metric, t->best[2 * at - 2]))
        at--;
    if (at >= keep)
        return;
    t->n_best = t->n_best < keep ? t->n_best + 1 : keep;
    memmove(&t->best[2 * at + 2], &t->best[2 * at], (size_t)(t->n_best - 1 - at) * 2 * sizeof *t->best);
    t->best[2 * at] = metric;
    t->best[2 * at + 1] = (double)t->epoch - 1;
}

static bool link_to(const char *from, const char *to, const char *temporary, status *st)
{
    unlink(temporary);
    if (link(from, temporary))
        return status_errno(st, to, "link");
    bool ok = !rename(temporary, to) || status_errno(st, to, "rename to");
    unlink(temporary);                                   /* rename does nothing where `to` is that file already */
    return ok;
}

static bool in_list(const timm_trainer *t, int64_t epoch)
{
    for (int i = 0; i < t->n_best; i++)
        if ((int64_t)t->best[2 * i + 1] == epoch)
            return true;
    return false;
}

static const char *checkpoint_of(const timm_trainer *t, char path[static 1200], int64_t epoch)
{
    char name[64];
    snprintf(name, sizeof name, "checkpoint-%" PRId64 ".safetensors", epoch);
    return in_folder(t, path, name);
}

/* Makes the links what the list says; the epoch that last.safetensors ends is the only one that can be missing, but for what
 * somebody took away. */
static bool settle_links(timm_trainer *t)
{
    char last[1200], best[1200], path[1200], temporary[1200];
    status *st = st_of(t);
    in_folder(t, last, "last.safetensors");
    in_folder(t, temporary, ".link");
    int64_t ended = t->epoch - 1;
    if (!t->batch && t->epoch && in_list(t, ended) && !link_to(last, checkpoint_of(t, path, ended), temporary, st))
        return false;
    if (t->n_best && !access(checkpoint_of(t, best, (int64_t)t->best[1]), F_OK)
        && !link_to(best, in_folder(t, path, "model_best.safetensors"), temporary, st))
        return false;
    DIR *d = opendir(t->folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        int64_t epoch = checkpoint_epoch(e->d_name);
        if (epoch >= 0 && !in_list(t, epoch))
            unlink(in_folder(t, path, e->d_name));
    }
    if (d)
        closedir(d);
    return true;
}

/* Keeps the last good checkpoint: weights that are no numbers, or out of all measure, are not saved. */
static bool sound(timm_trainer *t)
{
    for (size_t i = 0; i < t->m->entries; i++) {
        const nn_entry *e = t->m->entry[i];
        if (e->owned && !trainer_sane(e->owned, tg_numel(e->shape)))
            return status_fail(st_of(t), TIMM_DIVERGED, "%s is out of all measure after update %" PRId64 ", at a rate of %g; a lower --lr, --clip-grad or "
                               "--warmup-epochs may help", e->name, t->updates, timm_trainer_lr(t));
    }
    return true;
}

static bool save_last(timm_trainer *t)
{
    char path[1200];
    return sound(t) && timm_trainer_save(t, in_folder(t, path, "last.safetensors")) == TIMM_OK && settle_links(t);
}

/* -- resuming -------------------------------------------------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* What came after the point from which the run goes on is lost: which epochs. */
static void tell_given_up(timm_trainer *t)
{
    char path[1200];
    timm_epoch *rows;
    int n = summary_read(in_folder(t, path, "summary.csv"), t->task, &rows, st_of(t));
    int64_t last = -1;
    for (int i = 0; i < n; i++)
        last = rows[i].epoch > last ? rows[i].epoch : last;
    if (last > t->epoch)
        ctx_note(t->m->ctx, "epochs %" PRId64 " to %" PRId64 " of %s are given up", t->epoch, last, t->folder);
    else if (last == t->epoch)
        ctx_note(t->m->ctx, "epoch %" PRId64 " of %s is given up", last, t->folder);
    free(rows);
}

/* Of the best epochs that a checkpoint of elsewhere tells of, only those count whose own checkpoints are here, and the one that it
 * ends: else model_best.safetensors would wait for an epoch better than one that nobody has. */
static void forget_missing(timm_trainer *t)
{
    char path[1200];
    int kept = 0;
    for (int i = 0; i < t->n_best; i++) {
        int64_t epoch = (int64_t)t->best[2 * i + 1];
        if ((!t->batch && epoch == t->epoch - 1) || !access(checkpoint_of(t, path, epoch), F_OK))
            memmove(&t->best[2 * kept++], &t->best[2 * i], 2 * sizeof *t->best);
    }
    t->n_best = kept;
}

/* The checkpoints in the folder from which a run can go on, the newest first, model_best.safetensors last: their names. */
static int other_checkpoints(const timm_trainer *t, char name[TRAIN_HISTORY][64])
{
    char path[1200], last[1200];
    int n = 0;
    in_folder(t, last, "last.safetensors");
    DIR *d = opendir(t->folder);
    for (struct dirent *e; d && n < TRAIN_HISTORY && (e = readdir(d));) {
        int64_t epoch = checkpoint_epoch(e->d_name);
        bool best = !strcmp(e->d_name, "model_best.safetensors");
        if ((epoch < 0 && !best) || same_file(in_folder(t, path, e->d_name), last))
            continue;
        int at = n++;
        for (; at && checkpoint_epoch(name[at - 1]) < epoch; at--)
            memcpy(name[at], name[at - 1], sizeof *name);
        snprintf(name[at], sizeof *name, "%.63s", e->d_name);
    }
    if (d)
        closedir(d);
    return n;
}

/* What --resume auto means: last.safetensors, or where somebody took that away the newest checkpoint; false: there is nothing. */
static bool find_last(timm_trainer *t, char from[static 1200])
{
    char name[TRAIN_HISTORY][64];
    if (!access(in_folder(t, from, "last.safetensors"), F_OK))
        return true;
    if (!other_checkpoints(t, name))
        return false;
    ctx_note(t->m->ctx, "%s is not there; the newest checkpoint beside it is %s", from, name[0]);
    in_folder(t, from, name[0]);
    return true;
}

/* The checkpoint of the folder from which it would have gone on, `from`, cannot be read: what else there is. */
static void tell_others(timm_trainer *t, const char *from)
{
    char name[TRAIN_HISTORY][64], path[1200], list[512] = "";
    size_t at = 0;
    int n = other_checkpoints(t, name);
    status was = *st_of(t);
    for (int i = 0; i < n && at + sizeof *name < sizeof list; i++)
        if (!same_file(in_folder(t, path, name[i]), from))
            at += (size_t)snprintf(list + at, sizeof list - at, " %s", name[i]);
    if (!at)
        return;
    *st_of(t) = (status){ 0 };
    status_fail(st_of(t), was.code, "%s; --resume takes another checkpoint of %s, the newest first:%s", was.text, t->folder, list);
}

/* From another file than last.safetensors, that becomes it at once: whatever happens now, the folder goes on from there. */
static bool resume(timm_trainer *t)
{
    char path[1200], last[1200], found[1200];
    const char *from = train_text(&t->opts, "resume");
    if (!*from)
        return true;
    in_folder(t, last, "last.safetensors");
    if (!strcmp(from, "auto")) {
        if (!find_last(t, found)) {                      /* perhaps killed in its first epoch: begun anew */
            tell_given_up(t);
            return summary_trim(in_folder(t, path, "summary.csv"), t->task, 0, st_of(t));
        }
        from = found;
    }
    if (timm_trainer_load(t, from) != TIMM_OK) {
        if (st_of(t)->code == TIMM_BAD_FILE && (from == found || same_file(from, last)))
            tell_others(t, from);
        return false;
    }
    ctx_note(t->m->ctx, "going on from %s: epoch %" PRId64 ", batch %" PRId64, from, t->epoch, t->batch);
    if (!same_file(from, last)) {
        tell_given_up(t);
        forget_missing(t);
        if (!save_last(t))
            return false;
    } else if (!settle_links(t)) {
        return false;
    }
    return summary_trim(in_folder(t, path, "summary.csv"), t->task, t->epoch, st_of(t));
}

/* -- the run --------------------------------------------------------------------------------------------------------------- */

static double metric_of(timm_trainer *t, const timm_epoch *e)
{
    if (!e->validated)
        return smaller_is_better(t) ? e->train_loss : -e->train_loss;
    return task_metric_value(task_best_metric(&t->opts, st_of(t)), &e->eval);
}

static bool log_epoch(timm_trainer *t, events *ev, const timm_epoch *e)
{
    char path[1200];
    status *st = st_of(t);
    timm_epoch *rows;
    const struct { const char *tag; double value; bool have; } scalars[] = {
        { "train/loss", e->train_loss, true }, { "train/lr", e->lr, true }, { "train/images_per_second", e->images_per_second, e->images_per_second > 0 },
    };
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
        if (scalars[i].have && !events_scalar(ev, scalars[i].tag, e->epoch, scalars[i].value, st))
            return false;
    for (const timm_metric *m = timm_metrics_of(t->task); m->name && e->validated; m++) {
        char tag[64];
        snprintf(tag, sizeof tag, "eval/%s", m->name);
        if (!events_scalar(ev, tag, e->epoch, task_metric_value(m, &e->eval), st))
            return false;
    }
    if (!summary_add(in_folder(t, path, "summary.csv"), t->task, e, st))
        return false;
    int n = summary_read(path, t->task, &rows, st);
    for (int i = 0; i < n; i++)
        rows[i].images_per_second = rows[i].epoch < t->n_speed ? t->speed[rows[i].epoch] : 0;
    bool ok = write_report(in_folder(t, path, "report.html"), strrchr(t->folder, '/') + 1, &t->opts, t->m->cfg.architecture, rows, n,
                           e->validated ? &e->eval : NULL, t->labels, t->n_labels, st);
    free(rows);
    return ok;
}

static bool remember_speed(timm_trainer *t, const timm_epoch *e)
{
    double *more = realloc(t->speed, ((size_t)e->epoch + 1) * sizeof *more);
    if (!more)
        return status_fail(st_of(t), TIMM_NO_MEMORY, "out of memory for a run");
    memset(more + t->n_speed, 0, (size_t)(e->epoch + 1 - t->n_speed) * sizeof *more);
    t->speed = more;
    t->n_speed = e->epoch + 1;
    more[e->epoch] = e->images_per_second;
    return true;
}

/* One epoch to its end: trained, validated, ranked, saved, logged. */
static bool one_epoch(timm_trainer *t, events *ev, timm_epoch *e)
{
    int64_t interval = train_int(&t->opts, "val-interval");
    interval = interval < 1 ? 1 : interval;
    if (!timm_trainer_epoch(t, e))
        return false;
    if (t->eval_loader && ((e->epoch + 1) % interval == 0 || e->epoch + 1 == t->epochs)) {
        e->averaged = t->ema != NULL;
        if (timm_trainer_validate(t, e->averaged, &e->eval) != TIMM_OK || t->stop)
            return false;
        e->validated = true;
        if (!isfinite(e->eval.loss))
            return status_fail(st_of(t), TIMM_DIVERGED, "the validation loss is no number (%s) after epoch %" PRId64 ", at a rate of %g: nothing of the "
                               "epoch is saved; a lower --lr, --clip-grad or --warmup-epochs may help",
                               e->eval.loss == e->eval.loss ? "infinite" : "NaN", e->epoch, timm_trainer_lr(t));
    }
    double metric = metric_of(t, e);
    if (timm_trainer_end_epoch(t, metric) != TIMM_OK)
        return false;
    rank_epoch(t, metric);
    return remember_speed(t, e) && log_epoch(t, ev, e) && save_last(t);
}

static bool patience_is_over(const timm_trainer *t)
{
    bool plateau = !strcmp(train_text(&t->opts, "sched"), "plateau");
    return train_given(&t->opts, "patience-epochs") && !plateau && t->n_best
           && t->epoch - 1 - (int64_t)t->best[1] >= train_int(&t->opts, "patience-epochs");
}

/* Why a run that nobody stopped trains no further, where its epochs do not show it. */
static void tell_why_over(timm_trainer *t)
{
    char best[128] = "", path[1200];
    const timm_metric *m = task_best_metric(&t->opts, st_of(t));
    if (t->n_best && t->eval_loader)
        snprintf(best, sizeof best, "; the best was epoch %" PRId64 ", %s %.6g%s", (int64_t)t->best[1], m->label, t->best[0], m->unit);
    else if (t->n_best)
        snprintf(best, sizeof best, "; the best was epoch %" PRId64, (int64_t)t->best[1]);
    if (t->run_epoch >= t->epochs)
        ctx_note(t->m->ctx, "%s has %" PRId64 " epochs, and --epochs asks for no more%s; nothing was trained%s; with more it trains on", t->folder,
                 t->epoch, best, access(in_folder(t, path, "summary.csv"), F_OK) ? ", so there is neither summary.csv nor report.html" : "");
    else if (t->epoch < t->epochs && patience_is_over(t))
        ctx_note(t->m->ctx, "%s ends with epoch %" PRId64 ", as --patience-epochs has it%s", t->folder, t->epoch - 1, best);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* An epoch was cut short: by a wish, or by an image or a file that is none. */
static void keep_what_is_done(timm_trainer *t)
{
    status why = *st_of(t);
    bool begun = t->run_batches > 0 && t->between && t->batch;
    if (why.code == TIMM_OK ? !t->stop : !begun || why.code == TIMM_DIVERGED || why.code == TIMM_NO_MEMORY)
        return;
    *st_of(t) = (status){ 0 };
    save_last(t);
    if (why.code != TIMM_OK)
        *st_of(t) = why;
}

timm_status timm_trainer_run(timm_trainer *t, void (*each)(void *user, const timm_epoch *epoch), void *user)
{
    if (!t)
        return TIMM_BAD_ARG;
    char path[1200];
    status *st = st_of(t);
    if (timm_trainer_open_data(t) != TIMM_OK || !trainer_start(t) || !name_folder(t))
        return st->code;
    if (!resume(t) || !write_args(in_folder(t, path, "args.yaml"), t->m->cfg.architecture, t->made, &t->opts, st)) {
        rmdir(t->folder);                                /* if nothing is in it */
        return st->code;
    }
    t->epochs = schedule_epochs(t->schedule);
    t->save = save_last;
    t->run_epoch = t->epoch;
    t->run_batch = t->batch;
    t->run_batches = 0;
    t->run_began = seconds_now();
    events *ev = events_open(t->folder, t->epoch, st);
    while (ev && t->epoch < t->epochs && !t->stop && !patience_is_over(t)) {
        timm_epoch e;
        if (!one_epoch(t, ev, &e)) {
            keep_what_is_done(t);
            break;
        }
        if (each)
            each(user, &e);
    }
    events_close(ev);
    t->save = NULL;
    if (status_ok(st) && !t->stop)
        tell_why_over(t);
    return st->code;
}
