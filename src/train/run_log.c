/* run_log.c - args.yaml and summary.csv. */
#include "train/run_log.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/atomic_file.h"
#include "train/task.h"

/* -- args.yaml --------------------------------------------------------------------------------------------------------------- */

/* Plain where YAML reads it back as the same text, else in single quotes. */
static void yaml_text(FILE *f, const char *s)
{
    static const char *const words[] = { "", "null", "true", "false", "yes", "no", "on", "off", "~" };
    bool plain = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-") == strlen(s) && s[0] != '-';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        plain = plain && strcmp(s, words[i]);
    if (plain) {
        fputs(s, f);
        return;
    }
    fputc('\'', f);
    for (; *s; s++)
        fputs(*s == '\'' ? "''" : (char[]){ *s, 0 }, f);
    fputc('\'', f);
}

/* A number as YAML 1.1 takes it for one: 1e-7 is a string there, 1.0e-7 is none, and 010 is eight.  False: s is no number. */
static bool yaml_number(FILE *f, const char *s)
{
    char *end, text[40];
    double v = strtod(s, &end);
    if (end == s || *end || !isfinite(v))
        return false;
    const char *whole = s + (*s == '-'), *rest = whole + strspn(whole, "0123456789");
    if (rest > whole && (*whole != '0' || rest == whole + 1) && (!*rest || (*rest == '.' && !rest[1 + strspn(rest + 1, "0123456789")]))) {
        fputs(s, f);
        return true;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v && (!strchr(text, 'e') || fabs(v) < 1e-4 || fabs(v) >= 1e15))
            break;
    }
    size_t mantissa = strcspn(text, "e");
    fprintf(f, "%.*s%s%s", (int)mantissa, text, text[mantissa] && !memchr(text, '.', mantissa) ? ".0" : "", text + mantissa);
    return true;
}

static bool yaml_item(void *user, const char *word)
{
    fputs("\n- ", user);
    if (!yaml_number(user, word))
        yaml_text(user, word);
    return true;
}

/* A value of the command line, in Python's words or in YAML's. */
static void yaml_value(FILE *f, const char *s)
{
    static const char *const words[][2] = { { "True", "true" }, { "False", "false" }, { "None", "null" } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(s, words[i][0]) || !strcmp(s, words[i][1])) {
            fputs(words[i][1], f);
            return;
        }
    if (!yaml_number(f, s))
        yaml_text(f, s);
}

/* "lr=1" and "betas=[0.9, 0.99]" as entries of a mapping. */
static bool yaml_entry(void *user, const char *word)
{
    static const char between[] = " ,[]()";
    char value[256];
    size_t n = strcspn(word, "=");
    const char *p = word + n + (word[n] == '=');
    bool many = *p && strchr("[(", *p);
    fprintf(user, "\n  %.*s:", (int)n, word);
    for (p += strspn(p, between); *p; p += strspn(p, between)) {
        size_t size = many ? strcspn(p, between) : strlen(p);
        snprintf(value, sizeof value, "%.*s", (int)size, p);
        fputs(many ? "\n  - " : " ", user);
        yaml_value(user, value);
        p += size;
    }
    return true;
}

static void yaml_pair(FILE *f, const char *name, const char *value)
{
    fprintf(f, "%s: ", name);
    yaml_text(f, value);
    fputc('\n', f);
}

char *args_line(const char *name, const char *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    if (!strcmp(value, "true") || !strcmp(value, "false"))
        fprintf(f, "%s: %s\n", name, value);
    else
        yaml_pair(f, name, value);
    if (!fclose(f))
        return text;
    free(text);
    return NULL;
}

bool write_args(const char *path, const char *model, const char *made, const train_options *o, status *st)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return status_errno(st, path, "write");
    yaml_pair(f, "model", model);
    fputs(made ? made : "", f);
    for (const timm_train_option *t = timm_train_options(); t->help; t++) {
        if (!t->name)
            continue;
        const char *value = train_text(o, t->name);
        for (const char *p = t->name; *p; p++)
            fputc(*p == '-' ? '_' : *p, f);
        fputc(':', f);
        bool pairs = t->argument && !strcmp(t->argument, "K=V...");
        if (!*value && (t->kind != TIMM_TEXT || !t->fallback)) {
            fputs(pairs ? " {}" : " null", f);
        } else if (t->kind == TIMM_LIST) {
            train_words(o, t->name, pairs ? yaml_entry : yaml_item, f);
        } else {
            fputc(' ', f);
            if (t->kind == TIMM_TEXT)
                yaml_text(f, value);
            else if (t->kind == TIMM_FLAG || !yaml_number(f, value))
                fputs(value, f);
        }
        fputc('\n', f);
    }
    bool ok = !fclose(f) && text ? atomic_write_file(path, text, size, st) : status_errno(st, path, "write");
    free(text);
    return ok;
}

/* -- summary.csv ------------------------------------------------------------------------------------------------------------- */

static double next_number(const char **line)
{
    double v = **line == ',' || **line == '\n' || !**line ? NAN : strtod(*line, NULL);
    *line += strcspn(*line, ",\n");
    *line += **line == ',';
    return v;
}

static int by_epoch_row(const char *line, timm_task task, timm_epoch *e)
{
    double epoch = next_number(&line);
    if (!(epoch >= 0 && epoch < 9e15))
        return 0;
    *e = (timm_epoch){ .epoch = (int64_t)epoch, .train_loss = next_number(&line), .eval = { .task = task } };
    e->validated = *line && *line != ',';
    for (const timm_metric *m = timm_metrics_of(task); m->name; m++)
        task_metric_set(m, &e->eval, next_number(&line));
    e->lr = next_number(&line);
    return 1;
}

int summary_read(const char *path, timm_task task, timm_epoch **rows, status *st)
{
    char line[512];
    int n = 0;
    *rows = NULL;
    FILE *f = fopen(path, "r");
    if (!f)
        return errno == ENOENT ? 0 : (status_errno(st, path, "read"), 0);
    while (fgets(line, sizeof line, f)) {
        timm_epoch e;
        if (!strncmp(line, "epoch", 5) || !by_epoch_row(line, task, &e))
            continue;
        timm_epoch *more = realloc(*rows, ((size_t)n + 1) * sizeof *more);
        if (!more) {
            status_fail(st, TIMM_NO_MEMORY, "out of memory reading %s", path);
            break;
        }
        *rows = more;
        more[n++] = e;
    }
    fclose(f);
    return n;
}

static void print_row(FILE *f, timm_task task, const timm_epoch *e)
{
    fprintf(f, "%" PRId64 ",%.9g", e->epoch, e->train_loss);
    for (const timm_metric *m = timm_metrics_of(task); m->name; m++)
        if (e->validated)
            fprintf(f, ",%.9g", task_metric_value(m, &e->eval));
        else
            fputc(',', f);
    fprintf(f, ",%.9g\n", e->lr);
}

static bool write_rows(const char *path, timm_task task, const timm_epoch *rows, int n, status *st)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return status_errno(st, path, "write");
    fputs("epoch,train_loss", f);
    for (const timm_metric *m = timm_metrics_of(task); m->name; m++)
        fprintf(f, ",eval_%s", m->name);
    fputs(",lr\n", f);
    for (int i = 0; i < n; i++)
        print_row(f, task, &rows[i]);
    bool ok = !fclose(f) && text ? atomic_write_file(path, text, size, st) : status_errno(st, path, "write");
    free(text);
    return ok;
}

bool summary_trim(const char *path, timm_task task, int64_t epoch, status *st)
{
    timm_epoch *rows;
    int n = summary_read(path, task, &rows, st), kept = 0;
    for (int i = 0; i < n; i++)
        if (rows[i].epoch < epoch)
            rows[kept++] = rows[i];
    bool ok = status_ok(st) && (!n || write_rows(path, task, rows, kept, st));
    free(rows);
    return ok;
}

bool summary_add(const char *path, timm_task task, const timm_epoch *e, status *st)
{
    timm_epoch *rows;
    int n = summary_read(path, task, &rows, st);
    timm_epoch *more = realloc(rows, ((size_t)n + 1) * sizeof *more);
    if (!more) {
        free(rows);
        return status_fail(st, TIMM_NO_MEMORY, "out of memory writing %s", path);
    }
    more[n] = *e;
    bool ok = status_ok(st) && write_rows(path, task, more, n + 1, st);
    free(more);
    return ok;
}
