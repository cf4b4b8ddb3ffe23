/* cmd_fingerprint.c - timm fingerprint: what a network computes on parameters and an image made from their names.
 *
 * Number i of a tensor called NAME is lo + (hi - lo) u, u from the SplitMix64 stream of FNV-1a(NAME), in a range by name and
 * shape; so two machines, builds or backends, and PyTorch, can be compared without any file.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli.h"
#include "fingerprint.h"

static struct {
    int64_t size, in_chans, classes, threads;
    const char *checkpoint, *precision, *backend;
    text_list kwargs;
    bool train;
} o;

static const option options[] = {
    { "--input-size", 0, OPT_INT, &o.size, "N", "height and width of the image (the model's own)", 1, 1 << 14 },
    { "--in-chans", 0, OPT_INT, &o.in_chans, "N", "channels of the image (the model's own)", 1, 4096 },
    { "--num-classes", 0, OPT_INT, &o.classes, "N", "classes of the head; 0 takes it off (the model's own)", 0, 1000000 },
    { "--model-kwargs", 0, OPT_WORDS, &o.kwargs, "K=V...", "arguments of its constructor: layers=[1,1,1,1] depth=6", 0, 0 },
    { "--checkpoint", 0, OPT_TEXT, &o.checkpoint, "FILE", "real weights in place of the filled ones", 0, 0 },
    { "--precision", 0, OPT_TEXT, &o.precision, "P", CLI_PRECISIONS, 0, 0 },
    { "--backend", 0, OPT_TEXT, &o.backend, "B", "auto, onednn, cpu, ref (auto)", 0, 0 },
    { "--threads", 0, OPT_INT, &o.threads, "N", "compute threads (one per core)", 0, 1024 },
    { "--train", 0, OPT_FLAG, &o.train, NULL, "one training pass on two images: loss, gradients, running statistics", 0, 0 },
    { 0 }
};

/* -- the fill ---------------------------------------------------------------------------------------------------------------- */

static uint64_t fnv1a64(const char *name)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3u;
    return h;
}

void fingerprint_fill(const char *name, int64_t n, double lo, double hi, float *out)
{
    uint64_t seed = fnv1a64(name);
    for (int64_t i = 0; i < n; i++) {
        uint64_t z = seed + (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        out[i] = (float)(lo + (hi - lo) * ((double)(z >> 11) * 0x1p-53));
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static void fill(void *user, const char *name, int rank, const int64_t *dim, float *out)
{
    (void)user;
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    int64_t n = 1;
    double lo = -.1, hi = .1;
    for (int i = 0; i < rank; i++)
        n *= dim[i];
    if (!strcmp(last, "num_batches_tracked")) {
        lo = hi = 0;
    } else if (!strcmp(last, "running_var")) {
        lo = .5, hi = 1.5;
    } else if (!strcmp(last, "running_mean")) {
        lo = -.2, hi = .2;
    } else if (rank >= 2 && dim[0] > 1) {
        hi = sqrt(3. / ((double)n / (double)dim[0]));
        lo = -hi;
    } else if (rank >= 2) {
        lo = -.5, hi = .5;
    } else if (rank == 1 && (ends_with(last, "weight") || !strncmp(last, "gamma", 5) || ends_with(last, "scale"))) {
        lo = .5, hi = 1;
    }
    fingerprint_fill(name, n, lo, hi, out);
}

/* -- the figures ------------------------------------------------------------------------------------------------------------- */

json_t *fingerprint_shape(const timm_tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer(t->dim[i]));
    return shape;
}

json_t *fingerprint(const timm_tensor *t)
{
    json_t *r = json_pack("{s:o}", "shape", fingerprint_shape(t));
    int64_t n = timm_numel(t);
    if (!n)
        return r;
    double sum = 0, squares = 0, most = 0, spread = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = t->data[i];
        sum += v;
        squares += v * v;
        most = fmax(most, fabs(v));
    }
    for (int64_t i = 0; i < n; i++)
        spread += (t->data[i] - sum / (double)n) * (t->data[i] - sum / (double)n);
    json_object_set_new(r, "mean", cli_real(sum / (double)n));
    json_object_set_new(r, "std", cli_real(sqrt(spread / (double)n)));
    json_object_set_new(r, "amax", cli_real(most));
    json_object_set_new(r, "l2", cli_real(sqrt(squares)));
    json_t *at = json_array();
    for (int64_t k = 0; k < 8; k++)
        json_array_append_new(at, cli_real(t->data[k * (n - 1) / 7]));
    json_object_set_new(r, "at", at);
    return r;
}

static bool all_numbers(json_t *v)
{
    bool ok = !json_is_null(v);
    const char *key;
    json_t *part;
    size_t i;
    json_array_foreach(v, i, part)
        ok = ok && all_numbers(part);
    json_object_foreach(v, key, part)
        ok = ok && all_numbers(part);
    return ok;
}

static json_t *list_of(const timm_tensor *t) { return json_pack("[o]", fingerprint(t)); }

static void add_features(json_t *r, timm_ctx *ctx, timm_model *model, const timm_tensor *image)
{
    timm_model *taps = timm_features(model, NULL);
    if (!taps) {
        json_object_set_new(r, "features_only_error", json_string(timm_message(ctx)));
        timm_clear(ctx);
        return;
    }
    int n = timm_feature_count(taps);
    json_t *info = json_array(), *maps = json_array();
    timm_tensor *map = calloc((size_t)n + 1, sizeof *map);
    if (map && timm_forward_intermediates(taps, image, map) == TIMM_OK)
        for (int i = 0; i < n; i++) {
            timm_feature_info f = timm_get_feature_info(taps, i);
            json_array_append_new(info, json_pack("{s:I,s:i,s:s}", "num_chs", (json_int_t)f.channels, "reduction", f.reduction,
                                                  "module", f.module));
            json_array_append_new(maps, fingerprint(&map[i]));
        }
    free(map);
    json_object_set_new(r, "feature_info", info);
    json_object_set_new(r, "features_only", maps);
    timm_free(taps);
}

/* Prints and frees.  Figures that are no numbers are null: damaged weights, or numbers too large for floats. */
static int print(json_t *figures, const char *name)
{
    bool finite = all_numbers(figures);
    cli_json(figures);
    fflush(stdout);
    if (!finite)
        fprintf(stderr, "timm fingerprint: what %s computes is not finite: NaN or infinities, null in its figures\n",
                name);
    return finite ? EXIT_OK : EXIT_FAILED;
}

static int one_model(timm_ctx *ctx, const char *name)
{
    int code = EXIT_OK;
    const timm_model_opts opts = {
        .weights = o.checkpoint, .in_chans = (int)o.in_chans, .img_size = { o.size, o.size }, .precision = o.precision,
        .kwargs = cli_joined(&o.kwargs),
        .drop_path = -1,                /* figures to compare: nothing at random */
        .classes = o.classes < 0 ? 0 : o.classes ? (int)o.classes : -1, .fill = fill };
    timm_model *model = timm_create(ctx, name, &opts);
    if (!model)
        return code;
    timm_transform t = timm_model_transform(model, false);
    if (o.train) {
        json_t *pass = fingerprint_train(model, name);
        if (pass)
            code = print(pass, name);
        timm_free(model);
        return code;
    }
    timm_tensor image = { .rank = 4, .dim = { 1, t.input_size[0], t.input_size[1], t.input_size[2] } };
    int64_t n = timm_numel(&image);
    char hash[65] = "";
    image.data = malloc((size_t)n * sizeof *image.data);
    if (!image.data) {
        fprintf(stderr, "timm fingerprint: out of memory for an image of %lld numbers\n", (long long)n);
        exit(EXIT_FAILED);
    }
    fingerprint_fill("input", n, -2, 2, image.data);
    timm_state_hash(model, hash);
    json_t *r = json_pack("{s:s,s:o,s:I,s:s,s:I}", "model", name, "input", fingerprint_shape(&image), "tensors",
                          (json_int_t)timm_param_count(model), "names", hash, "params", (json_int_t)timm_num_params(model));
    timm_tensor f = timm_forward_features(model, &image);
    int64_t numbers = timm_numel(&f);
    float *kept = malloc((size_t)numbers * sizeof *kept);            /* the next run overwrites what this one returned */
    if (timm_ctx_status(ctx) == TIMM_OK && kept) {
        memcpy(kept, f.data, (size_t)numbers * sizeof *kept);
        f.data = kept;
        json_object_set_new(r, "features", list_of(&f));
        timm_tensor y = timm_forward_head(model, &f, false);
        json_object_set_new(r, "logits", list_of(&y));
        if (cli_rounds(o.precision))
            json_object_set_new(r, "off_fp32", cli_real(cli_off_fp32(ctx, name, &opts, &image, &y)));
        y = timm_forward_head(model, &f, true);
        json_object_set_new(r, "pre_logits", list_of(&y));
        if (timm_ctx_status(ctx) == TIMM_OK)
            add_features(r, ctx, model, &image);
    }
    if (timm_ctx_status(ctx) == TIMM_OK)
        code = print(r, name);
    else
        json_decref(r);
    free(kept);
    free(image.data);
    timm_free(model);
    return code;
}

static int run(int argc, char **argv)
{
    text_list models = { 0 };
    int code;
    o.classes = -1;
    if (!cli_options(&cmd_fingerprint, options, argc, argv, &models, &code))
        return cli_finish(&cmd_fingerprint, code);
    if (!models.count)
        return cli_usage(&cmd_fingerprint, "which model?");
    int worst = EXIT_OK;
    for (size_t i = 0; i < models.count; i++) {
        timm_ctx *ctx = cli_open(o.threads, o.backend, 1, TIMM_TUNE_NEVER);
        int odd = one_model(ctx, models.text[i]);
        code = cli_close(&cmd_fingerprint, ctx, NULL);
        code = code > odd ? code : odd;
        worst = code > worst ? code : worst;
    }
    return worst;
}

const command cmd_fingerprint = {
    "fingerprint", "what a network computes, in figures to compare", "MODEL... [options]",
    "Fills the parameters and an image from their names and prints one line of JSON a model: names, features, logits and\n"
    "feature maps as shape, mean, deviation, largest value, norm and eight samples.  Two machines, builds or backends agree\n"
    "when these agree.  With another --precision than fp32, \"off_fp32\" is how far the logits of inference are from those in\n"
    "fp32, of the largest of them.  With --train bf16x6 is the default, as in timm train.",
    "  $ timm fingerprint resnet18\n"
    "  $ timm fingerprint vit_tiny_patch16_224 --input-size 384 --backend ref\n",
    run,
};
