/* cmd_infer.c - timm infer: photographs to classes or features. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli.h"

static struct {
    const char *model, *checkpoint, *precision, *backend;
    int64_t topk, classes, threads;
    bool features, json, test_size, tune, no_tune;
} o;

static const option options[] = {
    { "--model", 'm', OPT_TEXT, &o.model, "M", "the network: resnet50, resnet50.a1_in1k", 0, 0 },
    { "--checkpoint", 0, OPT_TEXT, &o.checkpoint, "FILE", "its weights (.safetensors); without: the Hugging Face cache", 0, 0 },
    { "--num-classes", 0, OPT_INT, &o.classes, "N", "classes of the head (those of the weights)", 1, 1000000 },
    { "--topk", 'k', OPT_INT, &o.topk, "K", "how many classes to print (5)", 1, 1000000 },
    { "--features", 0, OPT_FLAG, &o.features, NULL, "the pooled features instead of classes", 0, 0 },
    { "--test-size", 0, OPT_FLAG, &o.test_size, NULL, "the size and crop of the config for testing, where it has one", 0, 0 },
    { "--threads", 0, OPT_INT, &o.threads, "N", "compute threads (one per core)", 0, 1024 },
    { "--precision", 0, OPT_TEXT, &o.precision, "P", CLI_PRECISIONS, 0, 0 },
    { "--backend", 0, OPT_TEXT, &o.backend, "B", "auto, onednn, cpu, ref (auto)", 0, 0 },
    { "--tune", 0, OPT_FLAG, &o.tune, NULL, "measure which kernels are the fastest, and keep that for later commands", 0, 0 },
    { "--no-tune", 0, OPT_FLAG, &o.no_tune, NULL, "kernels by rule, not as they were measured", 0, 0 },
    { "--json", 0, OPT_FLAG, &o.json, NULL, "one JSON object an image", 0, 0 },
    { 0 }
};

typedef struct guess { int64_t index; double p; } guess;             /* p: a probability, or a number of a regression */

static int likelier(const void *a, const void *b)
{
    const guess *x = a, *y = b;
    return x->p > y->p ? -1 : x->p < y->p ? 1 : x->index < y->index ? -1 : 1;
}

/* Of classes, that exclude each other; of labels, that do not; of a regression's numbers, as they are. */
static void make_guesses(guess *g, const timm_tensor *logits, const char *task)
{
    int64_t n = timm_numel(logits);
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        most = logits->data[i] > most ? logits->data[i] : most;
    for (int64_t i = 0; i < n; i++)
        sum += exp(logits->data[i] - most);
    for (int64_t i = 0; i < n; i++) {
        double x = logits->data[i];
        g[i] = (guess){ i, *task == 'r' ? x : *task == 'm' ? 1 / (1 + exp(-x)) : exp(x - most) / sum };
    }
}

static void print_classes(const char *path, const timm_model *m, const timm_tensor *logits)
{
    const char *task = timm_model_task(m);
    bool numbers = !strcmp(task, "regression");
    int64_t n = timm_numel(logits), k = o.topk < n && !numbers ? o.topk : n;
    guess *g = malloc((size_t)n * sizeof *g);
    if (!g) {
        fputs("timm infer: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    make_guesses(g, logits, task);
    if (!numbers)
        qsort(g, (size_t)n, sizeof *g, likelier);
    json_t *list = json_array();
    if (!o.json)
        printf("%s\n", path);
    for (int64_t i = 0; i < k; i++) {
        const char *label = timm_model_label(m, g[i].index);
        if (o.json) {
            json_t *row = json_pack("{s:I,s:o}", "index", (json_int_t)g[i].index, numbers ? "value" : "probability", cli_real(g[i].p));
            if (label)
                json_object_set_new(row, "label", json_string(label));
            json_array_append_new(list, row);
        } else if (numbers) {
            printf("  %12.6g  %5lld  %s\n", g[i].p, (long long)g[i].index, label ? label : "");
        } else {
            printf("  %8.4f%%  %5lld  %s\n", 100 * g[i].p, (long long)g[i].index, label ? label : "");
        }
    }
    free(g);
    if (o.json)
        cli_json(json_pack("{s:o,s:s,s:o}", "image", cli_text(path), "model", o.model, numbers ? "values" : "top", list));
    else
        json_decref(list);
}

static void print_features(const char *path, const timm_tensor *f)
{
    int64_t n = timm_numel(f);
    if (!o.json) {
        printf("%s", path);
        for (int64_t i = 0; i < n; i++)
            printf("\t%.9g", f->data[i]);
        putchar('\n');
        return;
    }
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(list, cli_real(f->data[i]));
    cli_json(json_pack("{s:o,s:s,s:o}", "image", cli_text(path), "model", o.model, "features", list));
}

/* Damaged weights and numbers too large for floats end so: there is no likeliest class then. */
static bool all_numbers(const timm_tensor *y)
{
    bool ok = true;
    for (int64_t i = 0, n = timm_numel(y); i < n; i++)
        ok = ok && isfinite(y->data[i]);
    return ok;
}

/* False: told. */
static bool one_image(timm_ctx *ctx, timm_model *m, const char *path, timm_tensor *batch)
{
    timm_transform t = timm_model_transform(m, o.test_size);
    timm_image photo = { 0 }, seen = { 0 };
    timm_tensor y = { 0 };
    timm_image_load(ctx, path, t.input_size[0] == 1 ? 1 : 3, &photo);
    timm_preprocess(ctx, &photo, &t, &seen);
    timm_normalize(ctx, &seen, &t, batch, 0);
    timm_image_free(&photo);
    timm_image_free(&seen);
    bool seen_well = timm_ctx_status(ctx) == TIMM_OK;
    if (seen_well)
        y = timm_forward(m, batch);
    if (timm_ctx_status(ctx) != TIMM_OK) {
        cli_tell(&cmd_infer, ctx, seen_well ? o.model : path);
        return false;
    }
    if (!all_numbers(&y)) {
        fprintf(stderr, "timm infer: %s: what %s makes of it is not finite: NaN or infinities among %lld numbers\n", path, o.model,
                (long long)timm_numel(&y));
        return false;
    }
    if (o.features || !timm_num_classes(m))
        print_features(path, &y);
    else
        print_classes(path, m, &y);
    return true;
}

static int run(int argc, char **argv)
{
    text_list images = { 0 };
    int code, worst = EXIT_OK;
    o.topk = 5;
    if (!cli_options(&cmd_infer, options, argc, argv, &images, &code))
        return cli_finish(&cmd_infer, code);
    if (!o.model)
        return cli_usage(&cmd_infer, "which model? --model M");
    if (!images.count)
        return cli_usage(&cmd_infer, "which images?");
    timm_ctx *ctx = cli_open(o.threads, o.backend, 1, cli_tuning(o.tune, o.no_tune));
    const char *weights = o.checkpoint ? o.checkpoint : timm_find_weights(ctx, o.model);
    timm_model *m = timm_create(ctx, o.model, &(timm_model_opts){ .weights = weights, .precision = o.precision,
                                                                  .classes = o.features ? -1 : TIMM_CLASSES_OF_WEIGHTS });
    if (m && !o.features && o.classes && o.classes != timm_num_classes(m)) {
        fprintf(stderr, "timm infer: %s is of %lld classes, not of %lld as --num-classes says\n", weights,
                (long long)timm_num_classes(m), (long long)o.classes);
        worst = EXIT_FAILED;
    } else if (m) {
        timm_transform t = timm_model_transform(m, o.test_size);
        timm_tensor batch = { .rank = 4, .dim = { 1, t.input_size[0], t.input_size[1], t.input_size[2] } };
        batch.data = malloc((size_t)timm_numel(&batch) * sizeof *batch.data);
        if (!batch.data) {
            fputs("timm infer: out of memory for an image\n", stderr);
            worst = EXIT_FAILED;
        }
        for (size_t i = 0; batch.data && i < images.count; i++)
            if (!one_image(ctx, m, images.text[i], &batch)) {
                timm_clear(ctx);                                                 /* and on to the next one */
                worst = EXIT_FAILED;
            }
        free(batch.data);
    }
    code = cli_close(&cmd_infer, ctx, o.model);
    return code > worst ? code : worst;
}

const command cmd_infer = {
    "infer", "classify photographs, or take their features", "IMAGE... --model M [options]",
    "Reads JPEG, PNG or WebP, prepares each as the model's weights were trained for (Pillow's bytes exactly), and prints\n"
    "the likeliest classes with their probabilities.  What timm train made with --task multilabel: labels, of a probability each;\n"
    "with --task regression: its numbers, by the names of their columns.",
    "  $ timm infer cat.jpg --model mobilenetv3_large_100\n"
    "  $ timm infer *.jpg --model resnet50 --checkpoint resnet50.safetensors --topk 1 --json\n"
    "  $ timm infer cat.jpg --model vit_small_patch14_dinov2 --features\n",
    run,
};
