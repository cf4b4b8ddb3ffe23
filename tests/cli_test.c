/* cli_test.c - every command of timm as its user sees it: data on stdout, the rest on stderr, exit codes. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "backend/cpu/gemm.h"
#include "command.h"
#include "io/safetensors.h"
#include "jsonl.h"
#include "made_run.h"
#include "test.h"
#include "timm/timm.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define LITE0 "--model tf_efficientnet_lite0 --checkpoint " TEST_DATA "/../share/tf_efficientnet_lite0.in1k.safetensors"
#define CAT TEST_DATA "/../share/chelsea.jpg"

/* Runs a command that must go well and say nothing on stderr; its stdout is to be freed. */
static char *good(const char *command)
{
    command_result r = command_run("%s", command);
    char *out = r.out;
    CHECK(r.code == 0 && !*r.err, "%s: exit %d: %s", command, r.code, r.err);
    r.out = NULL;
    command_free(&r);
    return out;
}

static json_t *good_json(const char *command)
{
    char *out = good(command);
    json_error_t e;
    json_t *v = json_loads(out, JSON_REJECT_DUPLICATES, &e);
    CHECK(v, "%s: not JSON: %s: %.200s", command, e.text, out);
    free(out);
    return v;
}

static int lines_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* The keys of an object are these, in this order. */
static void check_keys(const char *what, const json_t *v, const char *const *keys, size_t n)
{
    size_t i = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)v, key, value) {
        CHECK(i < n && !strcmp(key, keys[i]), "%s: key %zu is %s, not %s", what, i, key, i < n ? keys[i] : "(none)");
        i++;
    }
    CHECK(i == n, "%s: %zu keys, not %zu", what, i, n);
}

TEST(cli_help_everywhere)
{
    static const char *const commands[] = { "list", "info", "infer", "fingerprint", "image", "benchmark", "graph", "doctor" };
    char line[64], *all = good("timm --help");
    for (size_t i = 0; i < COUNT(commands); i++) {
        snprintf(line, sizeof line, "timm %s --help", commands[i]);
        char *out = good(line);
        CHECK(command_has(out, "Usage: timm ") && command_has(out, "Options:") && command_has(out, "Examples:\n  $ timm "),
              "%s: %s", line, out);
        for (const char *p = out; *p; p += strcspn(p, "\n") + (p[strcspn(p, "\n")] == '\n'))
            CHECK(strcspn(p, "\n") <= 130, "%s: a line of %zu", line, strcspn(p, "\n"));
        free(out);
        snprintf(line, sizeof line, "  %s ", commands[i]);
        CHECK(command_has(all, line), "timm --help does not tell of %s", commands[i]);
    }
    free(all);
    char *version = good("timm --version");
    CHECK(!strcmp(version, "timm " TIMM_VERSION "\n"), "%s", version);
    free(version);
}

TEST(cli_list)
{
    char *some = good("timm list 'resnet[0-9]*d' --exclude 'resnet1*' --module resnet");
    CHECK(!strcmp(some, "resnet26d\nresnet34d\nresnet50d\nresnet200d\n"), "%s", some);
    free(some);
    some = good("timm list mobilenetv3_large_100 --pretrained");
    CHECK(command_has(some, "mobilenetv3_large_100.ra_in1k\n"), "%s", some);
    free(some);
    json_t *list = good_json("timm list 'convnext_t*' --json");
    CHECK(json_array_size(list) == 2 && !strcmp(json_string_value(json_array_get(list, 0)), "convnext_tiny"), "timm list --json");
    json_decref(list);
    command_result r = command_run("timm list no_such_thing");
    CHECK(r.code == 0 && !*r.out && command_has(r.err, "no name matches"), "exit %d: %s", r.code, r.err);
    command_free(&r);
    static const struct { const char *modules, *says; } cases[] = {
        { "--module resnt", "timm list: no module is called 'resnt'; did you mean 'resnet'?\n" },
        { "--module zzzzzzzzz", "timm list: no module is called 'zzzzzzzzz'\n" },
        { "--module resnet --module vision --json",
          "timm list: no module is called 'vision'; did you mean 'vision_transformer'?\n" },
        { "--module resnet", "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        r = command_run("timm list %s", cases[i].modules);
        CHECK(r.code == (*cases[i].says != 0) && !strcmp(r.err, cases[i].says), "%s: exit %d: %s", cases[i].modules, r.code, r.err);
        command_free(&r);
    }
}

/* Counts and sizes are timm's: sum(p.numel() ...), len(state_dict), profile by multiply-adds. */
TEST(cli_info)
{
    json_t *v = good_json("timm info resnet50 --json");
    CHECK(jsonl_number(v, "params") == 25557032 && jsonl_number(v, "tensors") == 320, "params or tensors of resnet50");
    CHECK(fabs(jsonl_number(v, "gmacs") - 4.1) < .1, "gmacs of resnet50: %g", jsonl_number(v, "gmacs"));
    CHECK(fabs(jsonl_number(v, "mactivations") - 11.1) < .1, "activations of resnet50: %g", jsonl_number(v, "mactivations"));
    CHECK(jsonl_number(v, "arena_bytes") > 1e5 && json_array_size(json_object_get(v, "feature_info")) == 5, "resnet50");
    CHECK(!strcmp(jsonl_text(json_object_get(v, "config"), "hf_hub_id"), "timm/resnet50.a1_in1k"), "config of resnet50");
    json_decref(v);
    v = good_json("timm info resnet18 --json --num-classes 7 --in-chans 1 --input-size 64");
    CHECK(jsonl_number(v, "params") == 11689512 - 2 * 64 * 49 - 993 * 513, "params of a changed resnet18");
    json_decref(v);
    char *out = good("timm info resnet18 --tensors");
    CHECK(lines_of(out) == 122 && command_has(out, "bn1.num_batches_tracked\t\tint64\n")
          && command_has(out, "\nconv1.weight\t64x3x7x7\tfloat32\n"), "%.300s", out);
    free(out);
    out = good("timm info " TEST_DATA "/../share/tf_efficientnet_lite0.in1k.safetensors --tensors");
    CHECK(command_has(out, "conv_stem.weight\t32x3x3x3\tfloat16\n"), "%.300s", out);
    free(out);
    v = good_json("timm info " TEST_DATA "/../share/tf_efficientnet_lite0.in1k.safetensors --json");
    CHECK(jsonl_number(v, "tensors") == (double)json_array_size(json_object_get(v, "list")), "tensors of a file");
    json_t *list = good_json("timm info " TEST_DATA "/../share/tf_efficientnet_lite0.in1k.safetensors --tensors --json");
    CHECK(json_equal(list, json_object_get(v, "list")), "--tensors --json of a file is its list");
    json_decref(list);
    json_decref(v);
    v = good_json("timm info resnet18 --tensors --json");
    const json_t *first = json_array_get(v, 0);
    CHECK(json_array_size(v) == 122 && !strcmp(jsonl_text(first, "name"), "bn1.bias") && !strcmp(jsonl_text(first, "dtype"), "float32")
          && json_integer_value(json_array_get(json_object_get(first, "shape"), 0)) == 64, "--tensors --json of a model");
    json_decref(v);
    out = good("timm info swin_tiny_patch4_window7_224");
    CHECK(command_has(out, "params                 28288354\n"), "%s", out);
    free(out);
}

/* Figures need no weights: those of this model are 3.4 GB. */
TEST(cli_info_without_weights)
{
    if (command_sanitized) {
        test_skip("the address sanitizer needs all addresses");
        return;
    }
    command_result r = command_run("ulimit -v 300000; " TEST_TIMM " info convnext_xxlarge");
    CHECK(r.code == 0 && command_has(r.out, "params                 846471016\n"), "exit %d: %s%s", r.code, r.out, r.err);
    command_free(&r);
    r = command_run("ulimit -v 300000; " TEST_TIMM " graph convnext_xxlarge --plan");
    CHECK(r.code == 0 && command_has(r.out, "stages.3.blocks.2.mlp.fc2"), "exit %d: %s", r.code, r.err);
    command_free(&r);
}

/* What real timm answers with these weights: data/top5.jsonl. */
TEST(cli_infer_top5_as_timm)
{
    jsonl from;
    json_t *want;
    REQUIRE(jsonl_open(&from, test_data("data/top5.jsonl")), "no data");
    while ((want = jsonl_next(&from))) {
        char line[1024];
        snprintf(line, sizeof line, "timm infer %s/data/%s " LITE0 " --json", TEST_DATA, jsonl_text(want, "image"));
        json_t *got = good_json(line), *top = json_object_get(got, "top"), *row;
        size_t i;
        CHECK(json_array_size(top) == 5, "%s: %zu classes", line, json_array_size(top));
        json_array_foreach(json_object_get(want, "top5"), i, row) {
            const json_t *g = json_array_get(top, i);
            CHECK(jsonl_number(g, "index") == json_number_value(json_array_get(row, 0)), "%s: class %zu", line, i);
            CHECK(!strcmp(jsonl_text(g, "label"), json_string_value(json_array_get(row, 1))), "%s: label %zu", line, i);
            CHECK(fabs(jsonl_number(g, "probability") - json_number_value(json_array_get(row, 2))) < 1e-4, "%s: probability %zu",
                  line, i);
        }
        json_decref(got);
        json_decref(want);
    }
    jsonl_close(&from);
}

/* Weights of ten classes, as any program writes them. */
static const char *ten_classes(void)
{
    const char *path = test_temp("ten.safetensors");
    timm_ctx *ctx = timm_open(NULL);
    timm_save(timm_create(ctx, "test_resnet", &(timm_model_opts){ .classes = 10 }), path);
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    timm_close(ctx);
    rename_in_header(path, "timm.num_classes", "timm.not_classes");         /* as files of others: the head alone tells */
    setenv("TEN", path, 1);
    return path;
}

/* timm's load_state_dict refuses another head; classes nobody asked for are those of the file. */
TEST(cli_infer_takes_the_classes_of_the_weights)
{
    ten_classes();
    json_t *v = good_json("timm infer " CAT " -m test_resnet --checkpoint $TEN --json -k 20"), *top = json_object_get(v, "top"), *row;
    size_t i;
    double sum = 0;
    CHECK(json_array_size(top) == 10, "%zu classes", json_array_size(top));
    json_array_foreach(top, i, row) {
        CHECK(jsonl_number(row, "index") < 10 && !json_object_get(row, "label"), "class %zu", i);
        sum += jsonl_number(row, "probability");
    }
    CHECK(fabs(sum - 1) < 1e-6, "probabilities of %g in all", sum);
    json_decref(v);
    free(good("timm infer " CAT " -m test_resnet --checkpoint $TEN --num-classes 10"));
    command_result r = command_run("timm infer " CAT " -m test_resnet --checkpoint $TEN --num-classes 7");
    CHECK(r.code == 1 && !*r.out && command_has(r.err, "ten.safetensors is of 10 classes, not of 7"), "exit %d: %s", r.code, r.err);
    command_free(&r);
}

static void not_a_number(void *user, const char *name, int rank, const int64_t *dim, float *out)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= dim[i];
    for (int64_t i = 0; i < n; i++)
        out[i] = strcmp(name, "norm.weight") ? 0 : NAN;
    (void)user;
}

/* Weights of test_vit of which one tensor is NaN. */
static const char *not_a_number_file(void)
{
    const char *path = test_temp("nan.safetensors");
    timm_ctx *ctx = timm_open(NULL);
    timm_save(timm_create(ctx, "test_vit", &(timm_model_opts){ .fill = not_a_number }), path);
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    timm_close(ctx);
    return path;
}

/* No class is likeliest, and no vector is printed short. */
TEST(cli_infer_tells_of_what_is_no_number)
{
    static const char *const forms[] = { "", "--json", "--features", "--features --json" };
    setenv("NAN", not_a_number_file(), 1);
    for (size_t i = 0; i < COUNT(forms); i++) {
        command_result r = command_run("timm infer " CAT " -m test_vit --checkpoint $NAN %s", forms[i]);
        CHECK(r.code == 1 && !*r.out && command_has(r.err, "chelsea.jpg") && command_has(r.err, "test_vit") && command_has(r.err, "NaN"),
              "%s: exit %d: %s%s", forms[i], r.code, r.out, r.err);
        command_free(&r);
    }
}

/* Its figures are printed all the same: null is what they are. */
TEST(cli_fingerprint_tells_of_what_is_no_number)
{
    static const struct { const char *option, *part; } cases[] = { { "", "features" }, { "--train", "loss" } };
    setenv("NAN", not_a_number_file(), 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        command_result r = command_run("timm fingerprint test_vit --checkpoint $NAN %s", cases[i].option);
        json_t *v = json_loads(r.out, 0, NULL), *part = json_object_get(v, cases[i].part);
        json_t *figure = json_is_array(part) ? json_object_get(json_array_get(part, 0), "mean") : part;
        CHECK(r.code == 1 && json_is_null(figure), "%s: exit %d: %.200s", cases[i].option, r.code, r.out);
        CHECK(!strcmp(r.err, "timm fingerprint: what test_vit computes is not finite: NaN or infinities, null in its "
                             "figures\n"), "%s", r.err);
        json_decref(v);
        command_free(&r);
    }
}

/* A network inside another has "model." before every name, which timm does not take off. */
TEST(cli_misfits_are_counted_and_wrappers_named)
{
    setenv("WRAPPED", test_temp("wrapped.safetensors"), 1);
    REQUIRE(put_before_names(ten_classes(), getenv("WRAPPED"), "model."), "not written");
    command_result r = command_run("timm fingerprint test_resnet --num-classes 10 --checkpoint $WRAPPED");
    int missing = 0, unexpected = 0, more = 0;
    const char *counts = strstr(r.err, "test_resnet: "), *rest = strstr(r.err, "\n  and ");
    REQUIRE(r.code == 1 && counts && rest, "exit %d: %s", r.code, r.err);
    int listed = 0;
    for (const char *p = counts; (p = strstr(p, "\n  ")) && p < rest; p++)
        listed++;
    CHECK(sscanf(counts, "test_resnet: %d missing, %d unexpected", &missing, &unexpected) == 2 && sscanf(rest, "\n  and %d more", &more) == 1
          && more == missing + unexpected - listed, "%s", r.err);
    CHECK(command_has(r.err, "Every unexpected name is 'model.' and a name of the model"), "%s", r.err);
    command_free(&r);
}

TEST(cli_fingerprint_draws_no_head_unasked)
{
    ten_classes();
    command_result r = command_run("timm fingerprint test_resnet --checkpoint $TEN --input-size 64");
    CHECK(r.code == 1 && !*r.out && command_has(r.err, "ten.safetensors does not fit test_resnet")
          && command_has(r.err, "fc.weight is (10, ") && command_has(r.err, "in the file and (1000, "), "exit %d: %s", r.code, r.err);
    command_free(&r);
    static const struct { int classes; const char *note; } cases[] = {
        { 0, NULL }, { 10, NULL },
        { 7, "ten.safetensors has a head of 10 classes; the one of 7 that was asked for stays as drawn\n" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *note = cases[i].note;
        r = command_run("timm fingerprint test_resnet --checkpoint $TEN --input-size 64 --num-classes %d",
                        cases[i].classes);
        json_t *v = json_loads(r.out, 0, NULL), *logits = json_array_get(json_object_get(v, "logits"), 0);
        json_t *shape = json_object_get(logits, "shape");
        CHECK(r.code == 0 && (note ? command_has(r.err, note) : !*r.err), "exit %d: %s", r.code, r.err);
        CHECK(!cases[i].classes || json_integer_value(json_array_get(shape, 1)) == cases[i].classes, "%s", r.out);
        json_decref(v);
        command_free(&r);
    }
}

/* What a file says beside its tensors, as text a line each. */
TEST(cli_info_of_metadata)
{
    status st = { 0 };
    float one = 1;
    const safetensors_tensor t = { .name = "a", .dtype = ST_F32, .rank = 1, .dim = { 1 }, .data = &one };
    const safetensors_pair told[] = { { "format", "pt" }, { "two\nlines", "a\nb\\" } };
    setenv("TOLD", test_temp("told.safetensors"), 1);
    CHECK(safetensors_write(getenv("TOLD"), &t, 1, told, COUNT(told), &st), "%s", st.text);
    char *out = good("timm info $TOLD");
    CHECK(command_has(out, "numbers                1\n"
                           "metadata\n"
                           "  format                 pt\n"
                           "  two\\nlines             a\\nb\\\\\n"), "%s", out);
    free(out);
    json_t *v = good_json("timm info $TOLD --json"), *metadata = json_object_get(v, "metadata");
    CHECK(json_object_size(metadata) == 2 && !strcmp(jsonl_text(metadata, "two\nlines"), "a\nb\\"), "metadata");
    json_decref(v);
    CHECK(safetensors_write(getenv("TOLD"), &t, 1, NULL, 0, &st), "%s", st.text);
    v = good_json("timm info $TOLD --json");
    metadata = json_object_get(v, "metadata");
    CHECK(json_is_object(metadata) && !json_object_size(metadata), "no metadata");
    json_decref(v);
}

/* Names may hold anything, and a file eight axes. */
TEST(cli_info_of_odd_tensors)
{
    status st = { 0 };
    float one = 1;
    safetensors_tensor t = { .name = "a\tb\nc\\", .dtype = ST_F32, .rank = 8, .dim = { 1, 1, 1, 1, 1, 1, 1, 1 }, .data = &one };
    setenv("ODD", test_temp("odd.safetensors"), 1);
    CHECK(safetensors_write(getenv("ODD"), &t, 1, NULL, 0, &st), "%s", st.text);
    char *out = good("timm info $ODD --tensors");
    CHECK(!strcmp(out, "a\\tb\\nc\\\\\t1x1x1x1x1x1x1x1\tfloat32\n"), "%s", out);
    free(out);
}

TEST(cli_help_of_a_command)
{
    char *a = good("timm help list"), *b = good("timm list --help");
    CHECK(!strcmp(a, b), "%s", a);
    free(a);
    free(b);
}

TEST(cli_infer_forms)
{
    char *out = good("timm infer " CAT " " LITE0 " -k 1");
    CHECK(command_has(out, "chelsea.jpg\n") && command_has(out, "38.44") && command_has(out, "  282  tiger cat\n") && lines_of(out) == 2,
          "%s", out);
    free(out);
    json_t *v = good_json("timm infer " CAT " " LITE0 " --features --json");
    CHECK(!strcmp(jsonl_text(v, "model"), "tf_efficientnet_lite0"), "no model");
    CHECK(json_array_size(json_object_get(v, "features")) == 1280, "%zu features", json_array_size(json_object_get(v, "features")));
    json_decref(v);
    out = good("timm infer " CAT " " CAT " " LITE0 " --features");
    CHECK(lines_of(out) == 2, "%d lines", lines_of(out));
    free(out);
}

/* The cache as huggingface_hub lays it out serves for --checkpoint. */
TEST(cli_infer_from_the_hub_cache)
{
    static const char hub[] = "HF_HUB_CACHE=$T/hub2 " TEST_TIMM " ";
    setenv("T", test_temp("."), 1);
    command_result r = command_run("r=$T/hub2/models--timm--tf_efficientnet_lite0.in1k; mkdir -p $r/refs $r/snapshots/abc; "
                                   "printf abc >$r/refs/main; ln -s " TEST_DATA "/../share/tf_efficientnet_lite0.in1k.safetensors "
                                   "$r/snapshots/abc/model.safetensors; %sinfer " CAT " -m tf_efficientnet_lite0.in1k", hub);
    CHECK(r.code == 0 && command_has(r.out, "tiger cat"), "exit %d: %s", r.code, r.err);
    command_free(&r);
    r = command_run("%sdoctor", hub);
    CHECK(r.code == 0 && command_has(r.out, "/hub2\n"), "%s", r.out);
    command_free(&r);
}

TEST(cli_benchmark)
{
    static const char *const keys[] = { "model", "batch", "threads", "precision", "runs", "ms_min", "ms_median", "images_per_second",
                                        "peak_bytes", "gflops", "profile", "peak_gflops", "peak_gb_per_second" };
    static const char *const copies[] = { "model", "batch", "threads", "precision", "copies", "alone_ms_min",
                                          "alone_ms_median", "ms_min", "ms_median", "slowdown_min", "slowdown_median" };
    command_result r = command_run("timm benchmark test_resnet --runs 2");
    CHECK(r.code == 0 && command_has(r.err, " choices of kernels in ") && command_has(r.err, "they are kept in "), "%s", r.err);
    command_free(&r);
    r = command_run("timm benchmark test_resnet --runs 2 --tune");
    CHECK(r.code == 0 && !*r.err, "--tune is what is done anyway: exit %d: %s", r.code, r.err);
    command_free(&r);
    json_t *v = good_json("timm benchmark resnet18 --no-tune --input-size 64 -b 2 --threads 1 --runs 3 --precision fp32 --json");
    check_keys("benchmark --json", v, keys, COUNT(keys) - 3);
    CHECK(!strcmp(jsonl_text(v, "model"), "resnet18") && jsonl_number(v, "batch") == 2 && jsonl_number(v, "threads") == 1, "options");
    CHECK(jsonl_number(v, "ms_min") > 0 && jsonl_number(v, "ms_median") >= jsonl_number(v, "ms_min"), "times");
    CHECK(fabs(jsonl_number(v, "images_per_second") * jsonl_number(v, "ms_median") / 2000 - 1) < 1e-3, "images_per_second");
    CHECK(jsonl_number(v, "peak_bytes") > 46e6, "peak_bytes is less than the weights");
    json_decref(v);
    v = good_json("timm benchmark test_resnet --runs 2 --profile --json");
    check_keys("benchmark --profile --json", v, keys, COUNT(keys));
    const json_t *rows = json_object_get(v, "profile");
    CHECK(json_array_size(rows) > 10 && jsonl_number(json_array_get(rows, 0), "us") >= jsonl_number(json_array_get(rows, 9), "us"),
          "profile");
    CHECK(jsonl_number(v, "peak_gflops") > .1 && jsonl_number(v, "peak_gb_per_second") > .1
          && jsonl_number(json_array_get(rows, 0), "of_peak") > 0, "peaks");
    json_decref(v);
    v = good_json("timm benchmark test_resnet --no-tune --runs 3 --threads 1 --copies 2 --json");
    check_keys("benchmark --copies --json", v, copies, COUNT(copies));
    CHECK(json_array_size(json_object_get(v, "ms_min")) == 2 && jsonl_number(v, "alone_ms_min") > 0
          && json_number_value(json_array_get(json_object_get(v, "ms_min"), 1)) > 0, "copies");
    CHECK(jsonl_number(v, "threads") == 1 && !strcmp(jsonl_text(v, "precision"), "fp32"), "options");
    json_decref(v);
    v = good_json("timm benchmark test_resnet --no-tune --runs 1 --precision bf16 --copies 2 --json");
    CHECK(jsonl_number(v, "threads") >= 1 && !strcmp(jsonl_text(v, "precision"), gemm_packs(TG_BF16) ? "bf16" : "fp32"), "threads by default");
    json_decref(v);
    char *out = good("timm benchmark test_resnet test_vit --no-tune --runs 2 --profile");
    CHECK(command_has(out, "GFLOP/s") && command_has(out, "test_resnet ") && command_has(out, "test_vit "), "%s", out);
    free(out);
}

TEST(cli_graph)
{
    char *out = good("timm graph resnet18");
    CHECK(command_has(out, "%0     input") && command_has(out, "conv2d") && command_has(out, "layer4.1.conv2"), "%.300s", out);
    free(out);
    out = good("timm graph resnet18 --plan -b 2 --input-size 64");
    CHECK(!strncmp(out, "2 images\n   0 ", 14) && command_has(out, "(2, 64, 32, 32)")
          && command_has(out, "bias relu") && !command_has(out, "batch_norm"), "%.300s", out);
    free(out);
}

/* A large batch runs in slices, the plan is that of one. */
TEST(cli_graph_of_slices)
{
    char *out = good("timm graph resnet50 --plan -b 4096"), shape[64];
    int slice = 0;
    REQUIRE(sscanf(out, "4096 images\n%d images at a time:\n", &slice) == 1 && slice >= 1 && slice < 4096, "%.300s", out);
    snprintf(shape, sizeof shape, "(%d, 64, 112, 112)", slice);
    CHECK(command_has(out, shape) && !command_has(out, "(4096, "), "%.500s", out);
    free(out);
    command_result r = command_run("TIMM_WITHOUT=slices " TEST_TIMM " graph resnet50 --plan -b 64");
    CHECK(r.code == 0 && !strncmp(r.out, "64 images\n   0 ", 15), "%.300s", r.out);
    command_free(&r);
}

TEST(cli_doctor)
{
    char *out = good("timm doctor");
    CHECK(command_has(out, "libtimm          " TIMM_VERSION) && command_has(out, "\nbackend          cpu "), "%s", out);
    free(out);
    static const char *const keys[] = { "libtimm", "processor", "instruction_set", "extensions", "bf16_products",
                                        "cache_of_a_core", "threads", "backends", "libraries", "ops", "families",
                                        "architectures", "weights" };
    json_t *v = good_json("timm doctor --json"), *libraries = json_object_get(v, "libraries"), *b;
    json_t *backends = json_object_get(v, "backends"), *cache = json_object_get(v, "cache_of_a_core");
    size_t i;
    check_keys("doctor --json", v, keys, COUNT(keys));
    CHECK(!strcmp(jsonl_text(v, "libtimm"), TIMM_VERSION) && jsonl_number(v, "threads") >= 1
          && jsonl_number(v, "ops") > 50 && jsonl_number(v, "families") > 5
          && jsonl_number(v, "architectures") > 400, "numbers");
    CHECK(json_is_integer(json_object_get(cache, "second_level")), "caches are in bytes");
    CHECK(*jsonl_text(libraries, "libpng") == '1' && *jsonl_text(libraries, "jansson") == '2', "libraries");
    CHECK(json_array_size(backends) > 0, "no backends");
    json_array_foreach(backends, i, b) {
        const char *library = json_string_value(json_object_get(b, "library"));
        CHECK(*jsonl_text(b, "name") && json_is_integer(json_object_get(b, "kernels")), "backend %zu", i);
        CHECK(!library || *jsonl_text(libraries, library), "no version of %s", library);
    }
    json_decref(v);
}

TEST(cli_image)
{
    static const struct { const char *command, *file; long bytes; } cases[] = {
        { "preprocess " CAT " --model resnet50 -o $T/a.npy", "a.npy", 128 + 3 * 224 * 224 },
        { "preprocess " CAT " --input-size 1x32x48 --interpolation bilinear --crop-pct 1 --crop-mode squash -o $T/b.npy", "b.npy",
          128 + 32 * 48 },
        { "resize " CAT " $T/c.npy --size 20x10 --filter lanczos --box 10,10,200.5,150", "c.npy", 128 + 600 },
        { "resize " CAT " $T/d.png --size 20x10", "d.png", 0 },
    };
    setenv("T", test_temp("."), 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        command_result r = command_run("timm image %s", cases[i].command);
        CHECK(r.code == 0 && !*r.out && !*r.err, "%s: exit %d: %s", cases[i].command, r.code, r.err);
        command_free(&r);
        FILE *f = fopen(test_temp(cases[i].file), "rb");
        REQUIRE(f, "%s was not written", cases[i].file);
        fseek(f, 0, SEEK_END);
        CHECK(!cases[i].bytes || ftell(f) == cases[i].bytes, "%s holds %ld bytes", cases[i].file, ftell(f));
        fclose(f);
    }
}

TEST(cli_notes_old_names)
{
    command_result r = command_run("timm info tv_resnet50 --json");
    CHECK(r.code == 0 && command_has(r.out, "resnet50.tv_in1k") && command_has(r.err, "deprecated"), "exit %d: %s", r.code, r.err);
    command_free(&r);
}

/* A name is looked up in constant tables: nothing to start up. */
TEST(cli_list_is_quick)
{
    double best = 1;
    if (command_sanitized) {
        test_skip("times are those of the plain build");
        return;
    }
    for (int i = 0; i < 40; i++) {
        command_result r = command_run("timm list");
        best = r.seconds < best ? r.seconds : best;
        command_free(&r);
    }
    CHECK(best < .010, "timm list takes %.1f ms, shell included", 1e3 * best);
}

/* "VmHWM:  123 kB" of a process, in bytes.  What wait4 tells would hold the peak of the test itself, from before exec. */
static double peak_of(pid_t process)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    char *text = command_slurp(path), *at = text ? strstr(text, "VmHWM:") : NULL;
    double peak = at ? 1024 * strtod(at + 6, NULL) : 0;
    free(text);
    return peak;
}

/* Weights are read mapped and let go as they are packed: the peak is not twice the weights.  The second image is a pipe:
 * timm waits for it while it is looked at. */
TEST(cli_infer_peak_memory)
{
    const char *weights = test_temp("resnet50.safetensors"), *pipe = test_temp("second.jpg");
    timm_model_stats stats = { 0 };
    if (command_sanitized) {
        test_skip("the sanitizer needs memory of its own");
        return;
    }
    timm_ctx *ctx = timm_open(NULL);
    timm_model *m = timm_create(ctx, "resnet50", NULL);
    timm_save(m, weights);
    timm_get_stats(m, &stats);
    CHECK(timm_ctx_status(ctx) == TIMM_OK && !mkfifo(pipe, 0600), "%s", timm_message(ctx));
    timm_close(ctx);
    pid_t child = fork();
    if (!child) {
        if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr))
            execl(TEST_TIMM, "timm", "infer", CAT, pipe, "--model", "resnet50", "--checkpoint", weights, (char *)NULL);
        _exit(127);
    }
    int fd = -1, ended = -1;
    for (int i = 0; i < 6000 && (fd = open(pipe, O_WRONLY | O_NONBLOCK)) < 0 && !waitpid(child, &ended, WNOHANG); i++)
        usleep(10000);
    REQUIRE(child > 0 && fd >= 0, "timm infer did not reach the second image: ended %d", ended);
    double peak = peak_of(child), most = 1.3 * (double)stats.weight_bytes + (double)stats.arena_bytes + 40e6;
    close(fd);
    waitpid(child, &ended, 0);
    CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) == 1, "ended %d: an empty image is refused", ended);
    CHECK(peak > 50e6 && peak <= most, "peak of %.0f MB, more than %.0f", peak * 1e-6, most * 1e-6);
    remove(weights);
}

TEST(cli_precision_is_held_against_fp32)
{
    json_t *v = good_json("timm fingerprint test_resnet --precision bf16");
    const bool rounds = gemm_packs(TG_BF16);               /* without instructions for it, it is fp32 */
    double off = jsonl_number(v, "off_fp32");
    CHECK((off > 1e-4) == rounds && off < .1, "bf16: off by %g", off);
    json_decref(v);
    v = good_json("timm fingerprint test_resnet");
    CHECK(!json_object_get(v, "off_fp32"), "fp32 is held against itself");
    json_decref(v);
    v = good_json("timm benchmark test_vit --precision bf16 --runs 1 --no-tune --json");
    off = jsonl_number(v, "off_fp32");
    CHECK((off > 1e-4) == rounds && off < .1, "benchmark: off by %g", off);
    json_decref(v);
    v = good_json("timm benchmark test_vit --runs 1 --train --json");
    CHECK(!strcmp(jsonl_text(v, "precision"), gemm_packs(TG_BF16X6) ? "bf16x6" : "fp32"), "the default of training: %s", jsonl_text(v, "precision"));
    json_decref(v);
    v = good_json("timm benchmark test_vit --precision fp32 --runs 1 --train --json");
    CHECK(!strcmp(jsonl_text(v, "precision"), "fp32"), "%s, not fp32", jsonl_text(v, "precision"));
    json_decref(v);
    v = good_json("timm benchmark test_vit --precision bf16 --runs 1 --train --json");
    CHECK(!json_object_get(v, "off_fp32"), "steps of training have no logits to hold against others");
    json_decref(v);
    char *out = good("timm benchmark test_vit --precision bf16 --runs 1 --no-tune");
    CHECK(command_has(out, rounds ? "logits off those in fp32 by 0.0" : "logits off those in fp32 by "), "%s", out);
    free(out);
}

/* Weights that fit by chance: told, as they compute something else. */
TEST(cli_infer_as_another_network)
{
    command_result r = command_run("timm infer " CAT " -m efficientnet_lite0 -k 1 --checkpoint " TEST_DATA "/../share/tf_efficientnet_lite0.in1k.safetensors");
    CHECK(r.code == 0 && command_has(r.err, "says that it is of tf_efficientnet_lite0; its tensors fit efficientnet_lite0"), "exit %d: %s",
          r.code, r.err);
    command_free(&r);
}
