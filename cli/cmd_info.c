/* cmd_info.c - timm info: what a model is, or what a weights file holds. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cli.h"

static struct { bool tensors, json; int64_t size, in_chans, classes; } o;

static const option options[] = {
    { "--tensors", 0, OPT_FLAG, &o.tensors, NULL, "only the state_dict: name, shape, type; sorted by name", 0, 0 },
    { "--input-size", 0, OPT_INT, &o.size, "N", "height and width of the image (the model's own)", 1, 1 << 14 },
    { "--in-chans", 0, OPT_INT, &o.in_chans, "N", "channels of the image (the model's own)", 1, 4096 },
    { "--num-classes", 0, OPT_INT, &o.classes, "N", "classes of the head; 0 takes it off (the model's own)", 0, 1000000 },
    { "--json", 0, OPT_FLAG, &o.json, NULL, "as JSON", 0, 0 },
    { 0 }
};

static json_t *sizes(const int64_t *v, int n)
{
    json_t *a = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(a, json_integer(v[i]));
    return a;
}

static json_t *reals(const double *v, int n)
{
    json_t *a = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(a, cli_real(v[i]));
    return a;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, cli_text(text));
}

static json_t *config(const timm_cfg *c)
{
    json_t *r = json_object();
    set_text(r, "architecture", c->architecture);
    set_text(r, "tag", c->tag);
    set_text(r, "module", c->module);
    json_object_set_new(r, "num_classes", json_integer(c->num_classes));
    json_object_set_new(r, "input_size", sizes(c->input_size, 3));
    if (c->test_input_size[0])
        json_object_set_new(r, "test_input_size", sizes(c->test_input_size, 3));
    json_object_set_new(r, "fixed_input_size", json_boolean(c->fixed_input_size));
    set_text(r, "interpolation", c->interpolation);
    json_object_set_new(r, "crop_pct", cli_real(c->crop_pct));
    if (c->test_crop_pct > 0)
        json_object_set_new(r, "test_crop_pct", cli_real(c->test_crop_pct));
    set_text(r, "crop_mode", c->crop_mode);
    json_object_set_new(r, "mean", reals(c->mean, 3));
    json_object_set_new(r, "std", reals(c->std, 3));
    if (c->pool_size[0])
        json_object_set_new(r, "pool_size", sizes(c->pool_size, 2));
    set_text(r, "first_conv", c->first_conv);
    set_text(r, "classifier", c->classifier);
    set_text(r, "hf_hub_id", c->hf_hub_id);
    set_text(r, "url", c->url);
    set_text(r, "license", c->license);
    set_text(r, "origin_url", c->origin_url);
    set_text(r, "paper_ids", c->paper_ids);
    set_text(r, "notes", c->notes);
    set_text(r, "labels", c->labels);
    return r;
}

/* Of one line, whatever bytes a file has for a name; how many columns. */
static int print_line(const char *text)
{
    int n = 0;
    for (; *text; text++)
        if (*text == '\\' || *text == '\t' || *text == '\n')
            n += printf("\\%c", *text == '\t' ? 't' : *text == '\n' ? 'n' : '\\');
        else if ((unsigned char)*text < ' ' || *text == 127)
            n += printf("\\x%02x", (unsigned)*text);
        else
            n += printf("%c", *text);
    return n;
}

static void print_tensor(const timm_param_info *p)
{
    print_line(p->name);
    putchar('\t');
    for (int k = 0; k < p->rank; k++)
        printf(k ? "x%lld" : "%lld", (long long)p->dim[k]);
    printf("\t%s\n", p->dtype);
}

static json_t *tensor_json(const timm_param_info *p)
{
    return json_pack("{s:o,s:o,s:s}", "name", cli_text(p->name), "shape", sizes(p->dim, p->rank), "dtype", p->dtype);
}

/* The state_dict: a line a tensor, or a list. */
static void print_tensors(const timm_param_info *p, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        if (o.json)
            json_array_append_new(list, tensor_json(&p[i]));
        else
            print_tensor(&p[i]);
    if (o.json)
        cli_json(list);
    else
        json_decref(list);
}

static void print_text(json_t *r, const char *indent)
{
    enum { COLUMNS = 22 };
    const char *key;
    json_t *v;
    json_object_foreach(r, key, v) {
        fputs(indent, stdout);
        int columns = print_line(key);
        if (json_is_object(v)) {
            putchar('\n');
            print_text(v, "  ");
            continue;
        }
        printf("%*s ", columns < COLUMNS ? COLUMNS - columns : 0, "");
        char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        print_line(text ? text : json_is_string(v) ? json_string_value(v) : "");
        putchar('\n');
        free(text);
    }
}

static json_t *summary(timm_ctx *ctx, timm_model *m)
{
    timm_model_stats s;
    if (timm_get_stats(m, &s) != TIMM_OK)
        return NULL;
    timm_transform t = timm_model_transform(m, false);
    const timm_cfg *c = timm_model_cfg(m);
    json_t *r = json_object(), *info = json_array();
    char name[256];
    snprintf(name, sizeof name, "%s%s%s", c->architecture, c->tag[0] ? "." : "", c->tag);
    set_text(r, "model", name);
    json_object_set_new(r, "params", json_integer(timm_num_params(m)));
    json_object_set_new(r, "tensors", json_integer((json_int_t)timm_param_count(m)));
    json_object_set_new(r, "input", sizes(t.input_size, 3));
    json_object_set_new(r, "num_features", json_integer(timm_num_features(m)));
    json_object_set_new(r, "head_hidden_size", json_integer(timm_head_hidden_size(m)));
    json_object_set_new(r, "num_classes", json_integer(timm_num_classes(m)));
    json_object_set_new(r, "gmacs", cli_real((double)s.macs * 1e-9));
    json_object_set_new(r, "mactivations", cli_real((double)s.activations * 1e-6));
    json_object_set_new(r, "weight_bytes", json_integer((json_int_t)s.weight_bytes));
    json_object_set_new(r, "arena_bytes", json_integer((json_int_t)s.arena_bytes));
    json_object_set_new(r, "steps", json_integer(s.steps));
    timm_model *taps = timm_features(m, NULL);
    for (int i = 0; i < timm_feature_count(taps); i++) {
        timm_feature_info f = timm_get_feature_info(taps, i);
        json_array_append_new(info, json_pack("{s:s,s:I,s:i}", "module", f.module, "num_chs", (json_int_t)f.channels,
                                              "reduction", f.reduction));
    }
    if (!taps)
        timm_clear(ctx);
    json_object_set_new(r, "feature_info", info);
    json_object_set_new(r, "config", config(c));
    return r;
}

static json_t *metadata(const timm_file_pair *pair, size_t n)
{
    json_t *r = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(r, pair[i].key, cli_text(pair[i].value));
    return r;
}

static void model_tensors(timm_model *m)
{
    size_t n = timm_param_count(m);
    timm_param_info *p = malloc((n + 1) * sizeof *p);
    if (!p) {
        fputs("timm info: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    for (size_t i = 0; i < n; i++)
        p[i] = timm_get_param_info(m, i);
    print_tensors(p, n);
    free(p);
}

static void file_info(timm_ctx *ctx, const char *path)
{
    size_t n = 0, pairs = 0;
    const timm_param_info *p = timm_file_tensors(ctx, path, &n);
    const timm_file_pair *pair = timm_file_metadata(ctx, path, &pairs);
    if (!p || !pair)
        return;
    if (o.tensors) {
        print_tensors(p, n);
        return;
    }
    json_t *r = json_object(), *list = json_array();
    int64_t numbers = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t count = 1;
        for (int k = 0; k < p[i].rank; k++)
            count *= p[i].dim[k];
        numbers += count;
        if (o.json)
            json_array_append_new(list, tensor_json(&p[i]));
    }
    set_text(r, "file", path);
    json_object_set_new(r, "tensors", json_integer((json_int_t)n));
    json_object_set_new(r, "numbers", json_integer(numbers));
    if (pairs || o.json)
        json_object_set_new(r, "metadata", metadata(pair, pairs));
    if (o.json) {
        json_object_set_new(r, "list", list);
        cli_json(r);
        return;
    }
    json_decref(list);
    print_text(r, "");
    json_decref(r);
}

static bool is_file(const char *what)
{
    static const char ending[] = ".safetensors";
    struct stat st;
    size_t n = strlen(what), m = sizeof ending - 1;
    return strchr(what, '/') || !stat(what, &st) || (n > m && !strcmp(what + n - m, ending));
}

static int run(int argc, char **argv)
{
    text_list what = { 0 };
    int code;
    o.classes = -1;
    if (!cli_options(&cmd_info, options, argc, argv, &what, &code))
        return cli_finish(&cmd_info, code);
    if (what.count != 1)
        return cli_usage(&cmd_info, what.count ? "one model or file at a time" : "which model or file?");
    const char *changes = o.size ? "--input-size" : o.in_chans ? "--in-chans" : o.classes >= 0 ? "--num-classes" : NULL;
    if (changes && is_file(what.text[0]))
        return cli_usage(&cmd_info, "%s needs a model, and %s is a file", changes, what.text[0]);
    timm_ctx *ctx = cli_open(0, NULL, 1, TIMM_TUNE_NEVER);
    if (is_file(what.text[0])) {
        file_info(ctx, what.text[0]);
    } else {
        timm_model *m = timm_create(ctx, what.text[0], &(timm_model_opts){
            .in_chans = (int)o.in_chans, .img_size = { o.size, o.size },
            .classes = o.classes < 0 ? 0 : o.classes ? (int)o.classes : -1 });
        if (m && o.tensors) {
            model_tensors(m);
        } else if (m) {
            json_t *r = summary(ctx, m);
            if (r && o.json)
                cli_json(json_incref(r));
            else if (r)
                print_text(r, "");
            json_decref(r);
        }
    }
    return cli_close(&cmd_info, ctx, NULL);
}

const command cmd_info = {
    "info", "what a model or a weights file is", "MODEL|FILE [options]",
    "Tells a model's parameters, multiply-adds, activations, memory plan, feature maps and config, or a .safetensors\n"
    "file's tensors and metadata.",
    "  $ timm info resnet50\n"
    "  $ timm info vit_base_patch16_224.augreg2_in21k_ft_in1k --json\n"
    "  $ timm info resnet18 --tensors\n"
    "  $ timm info weights.safetensors --tensors\n",
    run,
};
