/* cmd_validate.c - timm validate: how often a network is right. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli.h"
#include "timm/train.h"

static struct {
    const char *model, *checkpoint, *backend, *precision, *dir, *dataset, *split, *class_map, *results, *format, *confusion, *interpolation, *crop_pct, *task;
    text_list kwargs, input;
    int64_t classes, chans, side, size[3], threads, batch, workers;
    bool ema, retry, json, per_class, tune, no_tune;
} o = { .batch = 256, .workers = 2 };

static const option options[] = {
    { "--model", 'm', OPT_TEXT, &o.model, "M", "the network; several with commas between (resnet50)", 0, 0 },
    { "--checkpoint", 0, OPT_TEXT, &o.checkpoint, "FILE", "its weights (.safetensors), of a run too; without: the Hugging Face cache", 0, 0 },
    { "--use-ema", 0, OPT_FLAG, &o.ema, NULL, "the averaged weights of a run's checkpoint", 0, 0 },
    { "--num-classes", 0, OPT_INT, &o.classes, "N", "classes of the head (those of the weights)", 1, 1000000 },
    { "--in-chans", 0, OPT_INT, &o.chans, "N", "1 for grey images, 3 (the model's own)", 1, 3 },
    { "--img-size", 0, OPT_INT, &o.side, "N", "height and width (the model's own)", 1, 65535 },
    { "--input-size", 0, OPT_WORDS, &o.input, "C H W", "channels, height and width, in place of the two", 0, 3 },
    { "--model-kwargs", 0, OPT_WORDS, &o.kwargs, "K=V...", "arguments of its constructor (those of the checkpoint)", 0, 0 },
    { "--data-dir", 0, OPT_TEXT, &o.dir, "DIR", "the images, as DIR", 0, 0 },
    { "--dataset", 0, OPT_TEXT, &o.dataset, "KIND", "folder, fashion-mnist, idx, cifar10, cifar100 (folder)", 0, 0 },
    { "--task", 0, OPT_TEXT, &o.task, "TASK", "classification, multilabel, regression: see timm train (classification)", 0, 0 },
    { "--split", 0, OPT_TEXT, &o.split, "NAME", "which part (validation)", 0, 0 },
    { "--class-map", 0, OPT_TEXT, &o.class_map, "FILE", "class names, a line each, in the order of their numbers", 0, 0 },
    { "--interpolation", 0, OPT_TEXT, &o.interpolation, "I", "of the resize (the model's own)", 0, 0 },
    { "--crop-pct", 0, OPT_TEXT, &o.crop_pct, "X", "of the crop (the model's own)", 0, 0 },
    { "--batch-size", 'b', OPT_INT, &o.batch, "N", "images in a batch (256)", 1, 100000 },
    { "--retry", 0, OPT_FLAG, &o.retry, NULL, "when memory is short, try again with half the batch", 0, 0 },
    { "--workers", 'j', OPT_INT, &o.workers, "N", "threads that read images (2)", 0, 256 },
    { "--threads", 0, OPT_INT, &o.threads, "N", "compute threads (one per core)", 0, 1024 },
    { "--precision", 0, OPT_TEXT, &o.precision, "P", CLI_PRECISIONS, 0, 0 },
    { "--backend", 0, OPT_TEXT, &o.backend, "B", "auto, onednn, cpu, ref (auto)", 0, 0 },
    { "--tune", 0, OPT_FLAG, &o.tune, NULL, "measure which kernels are the fastest, and keep that for later commands", 0, 0 },
    { "--no-tune", 0, OPT_FLAG, &o.no_tune, NULL, "kernels by rule, not as they were measured", 0, 0 },
    { "--per-class", 0, OPT_FLAG, &o.per_class, NULL, "a table of the classes", 0, 0 },
    { "--confusion", 0, OPT_TEXT, &o.confusion, "FILE", "the confusion matrix of one model, .csv or .png", 0, 0 },
    { "--results-file", 0, OPT_TEXT, &o.results, "FILE", "the figures of all models, as timm's validate.py writes them", 0, 0 },
    { "--results-format", 0, OPT_TEXT, &o.format, "F", "csv, json (csv)", 0, 0 },
    { "--json", 0, OPT_FLAG, &o.json, NULL, "one JSON object a model", 0, 0 },
    { 0 }
};

/* -- results --------------------------------------------------------------------------------------------------------------- */

static json_t *rounded(double v, int digits)
{
    char text[64];
    snprintf(text, sizeof text, "%.*f", digits, v);
    return json_real(strtod(text, NULL));
}

/* What models are ordered by, larger before smaller. */
static double rank_of(const json_t *row)
{
    const json_t *error = json_object_get(row, "rmse"), *map = json_object_get(row, "map");
    return error ? -json_number_value(error) : json_number_value(map ? map : json_object_get(row, "top1"));
}

static json_t *result_of(const timm_model *m, const char *name, const timm_metrics *r)
{
    timm_transform t = timm_model_transform(m, false);
    const char *how = o.interpolation ? o.interpolation : t.interpolation;
    if (r->task != TIMM_CLASSIFICATION) {
        json_t *row = json_pack("{s:s}", "model", name);
        for (const timm_metric *k = timm_metrics_of(r->task); k->name; k++)
            json_object_set_new(row, k->name, rounded(timm_metric_value(k, r), *k->unit ? 4 : 6));
        json_object_set_new(row, "param_count", rounded((double)timm_num_params(m) / 1e6, 2));
        json_object_set_new(row, "img_size", json_integer((json_int_t)t.input_size[2]));
        return row;
    }
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:s}", "model", name, "top1", rounded(r->top1, 4), "top1_err",
                     rounded(100 - r->top1, 4), "top5", rounded(r->top5, 4), "top5_err", rounded(100 - r->top5, 4), "param_count",
                     rounded((double)timm_num_params(m) / 1e6, 2), "img_size", (json_int_t)t.input_size[2], "crop_pct",
                     cli_real(o.crop_pct ? strtod(o.crop_pct, NULL) : t.crop_pct), "interpolation", how ? how : "");
}

/* The best first, as timm orders several. */
static json_t *by_rank(json_t *all)
{
    json_t *sorted = json_array();
    while (json_array_size(all)) {
        size_t best = 0;
        for (size_t i = 1; i < json_array_size(all); i++)
            if (rank_of(json_array_get(all, i)) > rank_of(json_array_get(all, best)))
                best = i;
        json_array_append(sorted, json_array_get(all, best));
        json_array_remove(all, best);
    }
    json_decref(all);
    return sorted;
}

/* A field of a CSV file: in quotes where it must be. */
static void csv_text(FILE *f, const char *s)
{
    bool plain = s[strcspn(s, ",\"\r\n")] == 0;
    for (fputs(plain ? "" : "\"", f); *s; s++)
        fputs(*s == '"' ? "\"\"" : (char[]){ *s, 0 }, f);
    fputs(plain ? "" : "\"", f);
}

static void print_csv(FILE *f, json_t *all)
{
    size_t i;
    json_t *row, *v;
    const char *key, *comma = "";
    json_object_foreach(json_array_get(all, 0), key, v) {
        fprintf(f, "%s%s", comma, key);
        comma = ",";
    }
    json_array_foreach(all, i, row) {
        comma = "\n";
        json_object_foreach(row, key, v) {
            fputs(comma, f);
            if (json_is_string(v))
                csv_text(f, json_string_value(v));
            else
                fprintf(f, "%.9g", json_number_value(v));
            comma = ",";
        }
    }
    fputc('\n', f);
}

/* Text on its way to a file, which appears whole or not at all. */
typedef struct output { FILE *f; char *text; size_t size; } output;

static FILE *begin(output *to)
{
    *to = (output){ NULL, NULL, 0 };
    to->f = open_memstream(&to->text, &to->size);
    if (!to->f)
        fputs("timm validate: out of memory\n", stderr);
    return to->f;
}

static bool end(timm_ctx *ctx, output *to, const char *path)
{
    bool ok = !fclose(to->f) && timm_write_file(ctx, path, to->text, to->size) == TIMM_OK;
    free(to->text);
    return ok;
}

static bool write_results(timm_ctx *ctx, const char *path, json_t *all)
{
    output to;
    if (!begin(&to))
        return false;
    if (o.format && !strcmp(o.format, "json")) {
        json_dumpf(json_array_size(all) == 1 ? json_array_get(all, 0) : all, to.f, JSON_INDENT(4) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
        fputc('\n', to.f);
    } else {
        print_csv(to.f, all);
    }
    return end(ctx, &to, path);
}

static bool ends_in(const char *path, const char *kind)
{
    size_t n = strlen(path), k = strlen(kind);
    return n > k && !strcmp(path + n - k, kind);
}

/* Said now, and not after an hour of validation: a folder that is not there, or takes no files. */
static bool can_write(const char *path)
{
    struct stat s;
    char folder[4096] = ".";
    const char *slash = strrchr(path, '/');
    bool there = !stat(path, &s);
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    if (there && S_ISDIR(s.st_mode))
        errno = EISDIR;
    else if (!access(there && !S_ISREG(s.st_mode) ? path : folder, W_OK))
        return true;
    fprintf(stderr, "timm validate: %s: cannot write: %s\n", path, strerror(errno));
    return false;
}

static const char *class_of(const timm_trainer *t, int i) { return i < timm_trainer_classes(t) ? timm_trainer_class(t, i) : ""; }

static bool draw_confusion(timm_ctx *ctx, const char *path, const timm_metrics *r)
{
    int n = r->classes, cell = n < 64 ? 512 / n : 8;
    cell = n > 512 ? 1 : cell;
    timm_image m = { n * cell, n * cell, 3, malloc((size_t)(n * cell) * (size_t)(n * cell) * 3) };
    for (int y = 0; m.pixels && y < n * cell; y++)
        for (int x = 0; x < n * cell; x++) {
            int64_t row = 0, v = r->confusion[(y / cell) * n + x / cell];
            for (int c = 0; c < n; c++)
                row += r->confusion[(y / cell) * n + c];
            double part = row ? (double)v / (double)row : 0;
            uint8_t *p = m.pixels + ((size_t)y * (size_t)m.width + (size_t)x) * 3;
            p[0] = (uint8_t)(255 - 220 * part);
            p[1] = (uint8_t)(255 - 150 * part);
            p[2] = (uint8_t)(255 - 90 * part);
        }
    bool ok = m.pixels && timm_image_save(ctx, path, &m, false) == TIMM_OK;
    free(m.pixels);
    return ok;
}

static bool write_confusion(timm_ctx *ctx, const char *path, const timm_trainer *t, const timm_metrics *r)
{
    output to;
    if (ends_in(path, ".png"))
        return draw_confusion(ctx, path, r);
    if (!begin(&to))
        return false;
    for (int i = 0; i < r->classes; i++) {
        fputc(',', to.f);
        csv_text(to.f, class_of(t, i));
    }
    for (int i = 0; i < r->classes; i++) {
        fputc('\n', to.f);
        csv_text(to.f, class_of(t, i));
        for (int k = 0; k < r->classes; k++)
            fprintf(to.f, ",%lld", (long long)r->confusion[i * r->classes + k]);
    }
    fputc('\n', to.f);
    return end(ctx, &to, path);
}

static void print_classes(const timm_trainer *t, const timm_metrics *r)
{
    printf("%-24s %8s %8s %10s %10s\n", "class", "images", "right", "recall %", "precision %");
    for (int i = 0; i < timm_trainer_classes(t) && i < r->classes; i++) {
        int64_t row = 0, column = 0, right = r->confusion[i * r->classes + i];
        for (int k = 0; k < r->classes; k++) {
            row += r->confusion[i * r->classes + k];
            column += r->confusion[k * r->classes + i];
        }
        printf("%-24s %8lld %8lld %10.2f %10.2f\n", timm_trainer_class(t, i), (long long)row, (long long)right,
               row ? 100. * (double)right / (double)row : 0, column ? 100. * (double)right / (double)column : 0);
    }
}

/* -- one model ------------------------------------------------------------------------------------------------------------- */

static void progress(void *user, const timm_progress *p)
{
    (void)user;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%lld/%lld  %.0f img/s\033[K", (long long)p->batch, (long long)p->batches, p->images_per_second);
}

static void print_figures(const char *name, const timm_metrics *r)
{
    printf("%s: ", name);
    if (r->task == TIMM_CLASSIFICATION)
        printf("top-1 %.3f %% (%.3f), top-5 %.3f %% (%.3f), ", r->top1, 100 - r->top1, r->top5, 100 - r->top5);
    else
        for (const timm_metric *m = timm_metrics_of(r->task) + 1; m->name; m++)
            printf(*m->unit ? "%s %.3f%s, " : "%s %.6g%s, ", m->label, timm_metric_value(m, r), m->unit);
    printf("loss %.5f, %lld images, %.0f img/s\n", r->loss, (long long)r->images, (double)r->images / r->seconds);
}

/* A model with its weights, run over the split; *m and *t are to be closed, whatever comes. */
static bool validate(timm_ctx *ctx, const char *name, int64_t batch, const char *precision, timm_model **m, timm_trainer **t, timm_metrics *r)
{
    char text[32];
    const char *weights = o.checkpoint ? o.checkpoint : timm_find_weights(ctx, name);
    int classes = o.classes ? (int)o.classes : TIMM_CLASSES_OF_WEIGHTS;
    *m = timm_ctx_status(ctx) == TIMM_OK
        ? timm_create(ctx, name, &(timm_model_opts){ .weights = weights, .classes = classes, .in_chans = (int)o.size[0],
                                                     .img_size = { o.size[1], o.size[2] }, .strict = true, .use_ema = o.ema,
                                                     .kwargs = cli_joined(&o.kwargs), .precision = precision }) : NULL;
    *t = *m ? timm_trainer_open(*m) : NULL;
    *r = (timm_metrics){ 0 };
    if (!*t)
        return false;
    const struct { const char *name, *value; } set[] = {
        { "data-dir", o.dir }, { "dataset", o.dataset }, { "train-split", "" }, { "val-split", o.split ? o.split : "validation" },
        { "class-map", o.class_map }, { "task", o.task }, { "interpolation", o.interpolation }, { "crop-pct", o.crop_pct },
    };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        if (set[i].value)
            timm_trainer_set(*t, set[i].name, set[i].value);
    snprintf(text, sizeof text, "%lld", (long long)batch);
    timm_trainer_set(*t, "batch-size", text);
    snprintf(text, sizeof text, "%lld", (long long)o.workers);
    timm_trainer_set(*t, "workers", text);
    timm_trainer_progress(*t, progress, NULL);
    bool ok = timm_trainer_validate(*t, false, r) == TIMM_OK;
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    return ok;
}

/* The same in fp32, beside the figures of another precision: "top1_fp32", ... */
static bool add_fp32(timm_ctx *ctx, const char *name, int64_t batch, json_t *row)
{
    char key[64];
    timm_model *m;
    timm_trainer *t;
    timm_metrics r;
    bool ok = validate(ctx, name, batch, "fp32", &m, &t, &r);
    for (const timm_metric *k = timm_metrics_of(r.task); ok && k->name; k++) {
        snprintf(key, sizeof key, "%s_fp32", k->name);
        if (json_object_get(row, k->name))
            json_object_set_new(row, key, rounded(timm_metric_value(k, &r), *k->unit ? 4 : 6));
    }
    if (ok && !o.json) {
        fputs("in fp32: ", stdout);
        print_figures(name, &r);
    }
    timm_trainer_close(t);
    timm_free(m);
    return ok;
}

static bool evaluate(timm_ctx *ctx, const char *name, int64_t batch, json_t *all)
{
    timm_model *m;
    timm_trainer *t;
    timm_metrics r;
    bool ok = validate(ctx, name, batch, o.precision, &m, &t, &r);
    if (ok) {
        json_t *row = result_of(m, name, &r);
        if (!o.json)
            print_figures(name, &r);
        if (cli_rounds(o.precision))
            ok = add_fp32(ctx, name, batch, row);
        if (o.json)
            cli_json(json_incref(row));
        json_array_append_new(all, row);
        if (o.per_class && r.confusion)
            print_classes(t, &r);
        ok = (!o.confusion || !r.confusion || write_confusion(ctx, o.confusion, t, &r)) && ok;
    }
    timm_trainer_close(t);
    timm_free(m);
    return ok;
}

static int run(int argc, char **argv)
{
    int code, worst = EXIT_OK;
    text_list operands = { 0 };
    if (!cli_options(&cmd_validate, options, argc, argv, &operands, &code))
        return code;
    if (operands.count > 1)
        return cli_usage(&cmd_validate, "one folder of images, not %zu", operands.count);
    if (o.split && !*o.split)
        return cli_usage(&cmd_validate, "--split '' names no part of the images; without --split it is validation");
    if (o.format && strcmp(o.format, "csv") && strcmp(o.format, "json"))
        return cli_usage(&cmd_validate, "--results-format is csv or json, not '%s'", o.format);
    if (o.task && strcmp(o.task, "classification") && (o.per_class || o.confusion))
        return cli_usage(&cmd_validate, "--per-class and --confusion are of classification, not of --task %s", o.task);
    if (o.confusion && !ends_in(o.confusion, ".csv") && !ends_in(o.confusion, ".png"))
        return cli_usage(&cmd_validate, "--confusion writes a .csv or a .png, not '%s'", o.confusion);
    if (o.confusion && o.model && strchr(o.model, ','))
        return cli_usage(&cmd_validate, "--confusion is a file of one model, and --model names several: '%s'", o.model);
    if ((code = cli_input_size(&cmd_validate, &o.input, o.chans, o.side, o.size)))
        return code;
    if ((o.confusion && !can_write(o.confusion)) || (o.results && !can_write(o.results)))
        return EXIT_FAILED;
    o.dir = operands.count ? operands.text[0] : o.dir;
    timm_ctx *ctx = cli_open(o.threads, o.backend, 0, cli_tuning(o.tune, o.no_tune));
    json_t *all = json_array();
    char *names = strdup(o.model ? o.model : "resnet50"), *rest = names;
    for (char *name; rest && (name = strsep(&rest, ","));) {
        int64_t batch = o.batch;
        while (!evaluate(ctx, name, batch, all)) {
            bool again = o.retry && timm_ctx_status(ctx) == TIMM_NO_MEMORY && batch > 1;
            if (!again) {
                cli_tell(&cmd_validate, ctx, NULL);
                worst = timm_ctx_status(ctx) == TIMM_BAD_ARG ? EXIT_USAGE : EXIT_FAILED;
                timm_clear(ctx);
                break;
            }
            timm_clear(ctx);
            batch /= 2;
            fprintf(stderr, "timm validate: out of memory; trying again with batches of %lld\n", (long long)batch);
        }
    }
    free(names);
    all = by_rank(all);
    if (o.results && json_array_size(all) && !write_results(ctx, o.results, all))
        worst = EXIT_FAILED;
    json_decref(all);
    code = cli_close(&cmd_validate, ctx, NULL);
    return code > worst ? code : worst;
}

const command cmd_validate = {
    "validate", "how often a network is right, on labelled images", "[DIR] --model M [options]",
    "Runs the images of a split through the network, prepared as its weights were trained for, and prints top-1 and\n"
    "top-5 in per cent, the errors in brackets.  With another --precision than fp32 the same in fp32, too.",
    "  $ timm validate imagenet --model resnet50.a1_in1k --results-file results.csv\n"
    "  $ timm validate photos --model resnet18 --checkpoint output/train/mine/model_best.safetensors --per-class\n"
    "  $ timm validate --dataset fashion-mnist --split test -m resnet18 --in-chans 1 --img-size 28 --checkpoint last.safetensors\n",
    run,
};
