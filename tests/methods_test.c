/* methods_test.c - reset_classifier, features, output_stride, in_chans against real timm: data/api.jsonl.xz. */
#include <stdlib.h>
#include <string.h>
#include "figures.h"
#include "jsonl.h"
#include "test.h"
#include "timm/timm.h"

static const json_t *error_of(const json_t *gives) { return json_object_get(gives, "error"); }

/* Is the tensor's shape the one of a list that timm gives, [[1, 512, 7, 7]]? */
static bool same_shape(const timm_tensor *t, const json_t *shapes, size_t i)
{
    const json_t *want = json_array_get(shapes, i);
    bool same = t->rank > 0 && (size_t)t->rank == json_array_size(want);
    for (int k = 0; same && k < t->rank; k++)
        same = t->dim[k] == json_integer_value(json_array_get(want, (size_t)k));
    return same;
}

static timm_tensor zero_image(const json_t *record)
{
    timm_tensor x = { .rank = 4 };
    for (int i = 0; i < 4; i++)
        x.dim[i] = json_integer_value(json_array_get(json_object_get(record, "input"), (size_t)i));
    x.data = calloc((size_t)timm_numel(&x), sizeof *x.data);
    return x;
}

static void check_widths(const char *what, const timm_model *m, const json_t *want)
{
    CHECK((double)timm_num_features(m) == jsonl_number(want, "num_features"), "%s: num_features %d", what,
          (int)timm_num_features(m));
    CHECK((double)timm_head_hidden_size(m) == jsonl_number(want, "head_hidden_size"), "%s: head_hidden_size %d", what,
          (int)timm_head_hidden_size(m));
    CHECK((double)timm_num_classes(m) == jsonl_number(want, "num_classes"), "%s: num_classes %d", what,
          (int)timm_num_classes(m));
}

/* The pictures of a test_* model are small enough to be run; of the others only what needs no run is asked. */
static void check_run(const char *what, timm_model *m, const json_t *record, const json_t *want)
{
    timm_tensor x = zero_image(record), y;
    REQUIRE(x.data, "out of memory");
    y = timm_forward(m, &x);
    CHECK(same_shape(&y, json_object_get(want, "logits"), 0), "%s: shape of the logits", what);
    if (json_object_get(want, "features")) {
        y = timm_forward_features(m, &x);
        CHECK(same_shape(&y, json_object_get(want, "features"), 0), "%s: shape of forward_features", what);
    }
    free(x.data);
}

static void check_resets(timm_ctx *ctx, const json_t *record)
{
    const char *name = jsonl_text(record, "model");
    size_t i;
    json_t *reset;
    json_array_foreach(json_object_get(record, "reset"), i, reset) {
        const json_t *args = json_object_get(reset, "args"), *gives = json_object_get(reset, "gives");
        int classes = (int)json_integer_value(json_array_get(args, 0));
        const char *pool = json_string_value(json_array_get(args, 1));
        char what[128];
        snprintf(what, sizeof what, "%s, reset_classifier(%d, %s)", name, classes, pool ? pool : "as it is");
        timm_model *m = timm_create(ctx, name, NULL);
        timm_status st = timm_reset_classifier(m, classes, pool);
        CHECK((st != TIMM_OK) == !!error_of(gives), "%s: %s", what, st ? timm_message(ctx) : "timm refuses it");
        if (st == TIMM_OK && !error_of(gives)) {
            check_widths(what, m, gives);
            CHECK((double)timm_num_params(m) == jsonl_number(gives, "params"), "%s: %lld parameters", what,
                  (long long)timm_num_params(m));
            if (!strncmp(name, "test_", 5))
                check_run(what, m, record, gives);
        }
        timm_free(m);
        timm_clear(ctx);
    }
}

static void check_info(const char *what, const timm_model *taps, const json_t *info)
{
    CHECK(timm_feature_count(taps) == (int)json_array_size(info), "%s: %d taps", what, timm_feature_count(taps));
    for (int i = 0; i < timm_feature_count(taps) && i < (int)json_array_size(info); i++) {
        timm_feature_info have = timm_get_feature_info(taps, i);
        const json_t *want = json_array_get(info, (size_t)i);
        CHECK(!strcmp(have.module, jsonl_text(want, "module")), "%s: tap %d is %s", what, i, have.module);
        CHECK((double)have.channels == jsonl_number(want, "num_chs"), "%s: %d channels", what, (int)have.channels);
        CHECK(have.reduction == jsonl_number(want, "reduction"), "%s: reduction %d", what, have.reduction);
    }
}

static void check_maps(const char *what, timm_model *taps, const json_t *record, const json_t *shapes)
{
    timm_tensor x = zero_image(record), map[16];
    int n = timm_feature_count(taps);
    REQUIRE(x.data && n <= 16, "%d taps", n);
    CHECK(timm_forward_intermediates(taps, &x, map) == TIMM_OK, "%s: refused", what);
    for (int i = 0; i < n; i++)
        CHECK(same_shape(&map[i], shapes, (size_t)i), "%s: shape of map %d", what, i);
    free(x.data);
}

static void check_taps(timm_ctx *ctx, timm_model *m, const json_t *record)
{
    size_t i;
    json_t *tap;
    json_array_foreach(json_object_get(record, "taps"), i, tap) {
        const json_t *asked = json_object_get(tap, "out_indices"), *gives = json_object_get(tap, "gives");
        int index[16], n = (int)json_array_size(asked);
        for (int k = 0; k < n && k < 16; k++)
            index[k] = (int)json_integer_value(json_array_get(asked, (size_t)k));
        timm_feature_opts o = { .out_indices = n ? index : NULL, .count = n ? n : (int)json_integer_value(asked) };
        char what[128];
        snprintf(what, sizeof what, "%s, taps %zu", jsonl_text(record, "model"), i);
        timm_model *taps = timm_features(m, &o);
        CHECK(!taps == !!error_of(gives), "%s: %s", what, taps ? "timm refuses it" : timm_message(ctx));
        if (taps && !error_of(gives)) {
            check_info(what, taps, json_object_get(gives, "info"));
            if (!strncmp(jsonl_text(record, "model"), "test_", 5))
                check_maps(what, taps, record, json_object_get(gives, "maps"));
        }
        timm_free(taps);
        timm_clear(ctx);
    }
}

/* timm's EfficientNet takes 4, too; here it is 8, 16 or 32. */
static void check_strides(timm_ctx *ctx, const json_t *record)
{
    size_t i;
    json_t *stride;
    json_array_foreach(json_object_get(record, "output_stride"), i, stride) {
        const json_t *gives = json_object_get(stride, "gives");
        int s = (int)jsonl_number(stride, "stride");
        if (s < 8)
            continue;
        char what[128];
        snprintf(what, sizeof what, "%s, output_stride %d", jsonl_text(record, "model"), s);
        timm_model *m = timm_create(ctx, jsonl_text(record, "model"), &(timm_model_opts){ .output_stride = s });
        timm_model *taps = timm_features(m, NULL);
        CHECK(!m == !!error_of(gives), "%s: %s", what, m ? "timm refuses it" : timm_message(ctx));
        if (taps && !error_of(gives)) {
            check_info(what, taps, json_object_get(gives, "info"));
            if (!strncmp(jsonl_text(record, "model"), "test_", 5))
                check_maps(what, taps, record, json_object_get(gives, "maps"));
        }
        timm_free(taps);
        timm_free(m);
        timm_clear(ctx);
    }
}

/* Features of another stride than the model's own: maps of the same parameters, dilated. */
static void check_strided(timm_ctx *ctx, const json_t *record)
{
    const json_t *asked = json_object_get(record, "out_indices"), *gives = json_object_get(record, "gives");
    const json_t *maps = json_object_get(gives, "features_only");
    int index[8], n = (int)json_array_size(asked);
    char what[128];
    timm_tensor x = { 0 }, map[16];
    for (int k = 0; k < n && k < 8; k++)
        index[k] = (int)json_integer_value(json_array_get(asked, (size_t)k));
    timm_feature_opts o = { .out_indices = n ? index : NULL, .count = n, .output_stride = (int)jsonl_number(record, "output_stride") };
    snprintf(what, sizeof what, "%s, features of stride %d", jsonl_text(record, "model"), o.output_stride);
    timm_model *m = timm_create(ctx, jsonl_text(record, "model"), &(timm_model_opts){ .fill = figures_fill });
    timm_model *taps = timm_features(m, &o);
    CHECK(m && !taps == !!error_of(gives), "%s: %s", what, taps ? "timm refuses it" : timm_message(ctx));
    if (taps && !error_of(gives)) {
        check_info(what, taps, json_object_get(gives, "feature_info"));
        x = zero_image(gives);
        REQUIRE(x.data && timm_feature_count(taps) <= 16, "%s: %d taps", what, timm_feature_count(taps));
        figures_draw("input", timm_numel(&x), -2, 2, x.data);
        CHECK(timm_forward_intermediates(taps, &x, map) == TIMM_OK, "%s: %s", what, timm_message(ctx));
        for (size_t i = 0; i < json_array_size(maps); i++) {
            const json_t *want = json_array_get(maps, i);
            figures_check(what, want, map[i].rank, map[i].dim, map[i].data, 1e-4 * jsonl_number(want, "amax"));
        }
        free(x.data);
    }
    timm_free(taps);
    timm_free(m);
    timm_clear(ctx);
}

TEST(features_of_another_stride_as_timm)
{
    jsonl lines;
    int n = 0;
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 1 });
    REQUIRE(jsonl_open(&lines, test_data("data/golden-strides.jsonl.xz")), "no records");
    for (json_t *record; (record = jsonl_next(&lines)); json_decref(record), n++)
        check_strided(ctx, record);
    CHECK(n > 7, "%d records", n);
    jsonl_close(&lines);
    CHECK(!timm_features(timm_create(ctx, "lcnet_050", NULL), &(timm_feature_opts){ .output_stride = 4 })
          && timm_ctx_status(ctx) == TIMM_BAD_ARG, "stride 4: %s", timm_message(ctx));
    timm_close(ctx);
}

static void check_in_chans(timm_ctx *ctx, const json_t *record)
{
    size_t i;
    json_t *chans;
    json_array_foreach(json_object_get(record, "in_chans"), i, chans) {
        const char *name = jsonl_text(record, "model");
        int n = (int)jsonl_number(chans, "in_chans");
        char hash[65] = "";
        timm_model *m = timm_create(ctx, name, &(timm_model_opts){ .in_chans = n });
        CHECK(m && timm_state_hash(m, hash) == TIMM_OK && !strcmp(hash, jsonl_text(chans, "names")),
              "%s with %d channels: %s", name, n, timm_message(ctx));
        timm_free(m);
        timm_clear(ctx);
    }
}

static void check_family(const char *module)
{
    jsonl lines;
    int n = 0;
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 1 });
    REQUIRE(ctx, "no context");
    REQUIRE(jsonl_open(&lines, test_data("data/api.jsonl.xz")), "no records");
    for (json_t *record; (record = jsonl_next(&lines)); json_decref(record)) {
        const char *name = jsonl_text(record, "model");
        timm_cfg cfg;
        if (timm_get_cfg(ctx, name, &cfg) == TIMM_OK && strcmp(cfg.module, module))
            continue;
        timm_model *m = timm_create(ctx, name, NULL);
        CHECK(m, "%s", timm_message(ctx));
        n++;
        if (!m) {
            timm_clear(ctx);
            continue;
        }
        check_widths(name, m, record);
        if (!strncmp(name, "test_", 5))
            check_run(name, m, record, record);
        check_taps(ctx, m, record);
        timm_free(m);
        check_resets(ctx, record);
        check_strides(ctx, record);
        check_in_chans(ctx, record);
    }
    CHECK(n > 1, "%d models of %s", n, module);
    jsonl_close(&lines);
    timm_close(ctx);
}

TEST(methods_of_convnext_as_timm)           { check_family("convnext"); }
TEST(methods_of_efficientnet_as_timm)       { check_family("efficientnet"); }
TEST(methods_of_mobilenetv3_as_timm)        { check_family("mobilenetv3"); }
TEST(methods_of_resnet_as_timm)             { check_family("resnet"); }
TEST(methods_of_swin_transformer_as_timm)   { check_family("swin_transformer"); }
TEST(methods_of_vision_transformer_as_timm) { check_family("vision_transformer"); }
