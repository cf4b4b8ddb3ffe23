/* load_test.c - weights of a whole model in networks of other sizes, heads and patches, against real timm: data/golden-loads.jsonl.xz. */
#include <stdlib.h>
#include <string.h>
#include "figures.h"
#include "jsonl.h"
#include "made_run.h"
#include "test.h"
#include "timm/timm.h"

/* Every tensor: refitted as timm's, or to the bit what the file has (or, when it lacks it, what was drawn). */
static void check_params(const char *what, timm_model *m, const json_t *gives)
{
    const json_t *refit = json_object_get(gives, "refit");
    size_t fitted = 0;
    for (size_t i = 0; i < timm_param_count(m); i++) {
        timm_param_info p = timm_get_param_info(m, i);
        timm_tensor t = { .rank = p.rank };
        char name[320];
        memcpy(t.dim, p.dim, sizeof t.dim);
        size_t n = (size_t)timm_numel(&t);
        float *have = malloc(n * sizeof *have), *drawn = malloc(n * sizeof *drawn);
        snprintf(name, sizeof name, "%s %s", what, p.name);
        if (have && drawn && timm_param_read(m, p.name, have, n) == TIMM_OK) {
            const json_t *want = json_object_get(refit, p.name);
            figures_fill(NULL, p.name, p.rank, p.dim, drawn);
            if (want)
                figures_check(name, want, p.rank, p.dim, have, 1e-5);
            else
                CHECK(!memcmp(have, drawn, n * sizeof *have), "%s has other values", name);
            fitted += want != NULL;
        } else {
            CHECK(false, "%s is not to be had", name);
        }
        free(have);
        free(drawn);
    }
    CHECK(fitted == json_object_size(refit), "%s: %zu tensors fitted, not %zu", what, fitted, json_object_size(refit));
}

static void check_logits(const char *what, timm_model *m, const json_t *gives)
{
    timm_tensor x = { .rank = 4 }, y;
    const json_t *want = json_object_get(gives, "logits");
    for (int i = 0; i < 4; i++)
        x.dim[i] = json_integer_value(json_array_get(json_object_get(gives, "input"), (size_t)i));
    x.data = malloc((size_t)timm_numel(&x) * sizeof *x.data);
    REQUIRE(x.data, "out of memory");
    figures_draw("input", timm_numel(&x), -2, 2, x.data);
    y = timm_forward(m, &x);
    CHECK(y.data, "%s does not run", what);
    if (y.data)
        figures_check(what, want, y.rank, y.dim, y.data, 1e-4 * jsonl_number(want, "amax"));
    free(x.data);
}

/* The notes name every tensor that timm found missing or unexpected; of the head's, one says that it stays as drawn. */
static void check_notes(const char *what, const json_t *record, const char *note)
{
    static const char *const keys[] = { "missing", "unexpected" };
    int told = 0;
    for (size_t k = 0; k < 2; k++) {
        size_t i;
        json_t *name;
        json_array_foreach(json_object_get(json_object_get(record, "gives"), keys[k]), i, name) {
            char line[320];
            if (!strncmp(json_string_value(name), "head.", 5))
                snprintf(line, sizeof line, "the one of %g that was asked for stays as drawn",
                         jsonl_number(record, "num_classes"));
            else
                snprintf(line, sizeof line, "\n  %-11s %s (", keys[k], json_string_value(name));
            CHECK(strstr(note, line), "%s: no word of %s %s in '%s'", what, keys[k], json_string_value(name), note);
            told++;
        }
    }
    CHECK(told || !*note, "%s: '%s'", what, note);
}

static void keep_note(void *user, const char *text)
{
    char *notes = user;
    snprintf(notes + strlen(notes), 1024 - strlen(notes), "%s", text);
}

static void check_load(const json_t *record, const char *file)
{
    const char *name = jsonl_text(record, "model"), *kwargs = jsonl_text(record, "model_kwargs");
    const json_t *gives = json_object_get(record, "gives"), *size = json_object_get(record, "img_size");
    const json_t *classes = json_object_get(record, "num_classes"), *error = json_object_get(gives, "error");
    char what[256], note[1024] = "";
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 1, .note = keep_note, .user = note });
    timm_model_opts o = { .weights = file, .fill = figures_fill, .in_chans = (int)jsonl_number(record, "in_chans"),
                          .kwargs = *kwargs ? kwargs : NULL,
                          .global_pool = json_string_value(json_object_get(record, "global_pool")) };
    for (size_t i = 0; i < 2; i++)
        o.img_size[i] = json_integer_value(json_array_get(size, i));
    o.classes = !classes ? 0 : json_integer_value(classes) ? (int)json_integer_value(classes) : -1;
    snprintf(what, sizeof what, "%s, %lld x %lld, %d classes, %s", name, (long long)o.img_size[0], (long long)o.img_size[1], o.classes,
             o.global_pool ? o.global_pool : kwargs);
    timm_model *m = timm_create(ctx, name, &o);
    CHECK(!m == !!error, "%s: %s", what, m ? "timm refuses it" : timm_message(ctx));
    if (m && !error) {
        check_params(what, m, gives);
        check_logits(what, m, gives);
        check_notes(what, record, note);
    } else if (!m) {
        CHECK(strstr(timm_message(ctx), file), "%s: %s", what, timm_message(ctx));
    }
    timm_close(ctx);
}

/* Records of one model stand together: its file is written once. */
TEST(weights_load_as_in_timm)
{
    jsonl lines;
    char saved[128] = "";
    const char *file = test_temp("whole.safetensors");
    int n = 0;
    REQUIRE(jsonl_open(&lines, test_data("data/golden-loads.jsonl.xz")), "no records");
    for (json_t *record; (record = jsonl_next(&lines)); json_decref(record), n++) {
        const char *name = jsonl_text(record, "model");
        if (strcmp(saved, name)) {
            timm_ctx *ctx = timm_open(NULL);
            timm_save(timm_create(ctx, name, &(timm_model_opts){ .fill = figures_fill }), file);
            CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
            timm_close(ctx);
            snprintf(saved, sizeof saved, "%s", name);
        }
        check_load(record, file);
    }
    CHECK(n > 10, "%d records", n);
    jsonl_close(&lines);
}

/* A file says what its network was made with: it comes back as it was, though its patches are as many as a square's. */
TEST(weights_come_back_at_their_size)
{
    const char *file = test_temp("flat.safetensors");
    timm_ctx *ctx = timm_open(NULL);
    const timm_model_opts flat = { .img_size = { 80, 320 }, .classes = 3, .in_chans = 1, .kwargs = "depth=2", .fill = figures_fill };
    timm_model *m = timm_create(ctx, "test_vit", &flat), *again[2];
    timm_save(m, file);
    again[0] = timm_create(ctx, "test_vit", &(timm_model_opts){ .weights = file });
    again[1] = timm_create(ctx, "test_vit", &(timm_model_opts){ .weights = file, .img_size = { 80, 320 } });
    REQUIRE(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    enum { NUMBERS = 101 * 64 };
    static float had[NUMBERS], has[NUMBERS];
    timm_param_read(m, "pos_embed", had, NUMBERS);
    for (int i = 0; i < 2; i++) {
        timm_param_read(again[i], "pos_embed", has, NUMBERS);
        CHECK(timm_ctx_status(ctx) == TIMM_OK && !memcmp(had, has, sizeof has), "pos_embed is another %s", timm_message(ctx));
        CHECK(timm_param_count(again[i]) == timm_param_count(m), "another network");
    }
    timm_close(ctx);
}

/* Pooling, stride and a head that is not there come back too: the same logits, or features. */
TEST(weights_come_back_as_they_were_made)
{
    static const struct { const char *name; timm_model_opts made; } cases[] = {
        { "test_resnet", { .output_stride = 16, .fill = figures_fill } }, { "test_resnet", { .global_pool = "catavgmax", .fill = figures_fill } },
        { "test_vit", { .global_pool = "avg", .fill = figures_fill } }, { "test_resnet", { .classes = -1, .fill = figures_fill } },
        { "test_convnext", { .global_pool = "", .classes = -1, .fill = figures_fill } },
    };
    const char *file = test_temp("made.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        timm_ctx *ctx = timm_open(NULL);
        timm_model *m = timm_create(ctx, cases[i].name, &cases[i].made), *again;
        timm_save(m, file);
        again = timm_create(ctx, cases[i].name, &(timm_model_opts){ .weights = file });
        REQUIRE(timm_ctx_status(ctx) == TIMM_OK, "case %zu: %s", i, timm_message(ctx));
        static float pixels[3 * 160 * 160];
        timm_tensor x = { .rank = 4, .dim = { 1, 3, 160, 160 }, .data = pixels };
        for (int k = 0; k < 3 * 160 * 160; k++)
            pixels[k] = (float)(k * 7919 % 2001 - 1000) * 1e-3f;
        timm_tensor one = timm_forward(m, &x), other = timm_forward(again, &x);
        CHECK(one.rank == other.rank && timm_numel(&one) == timm_numel(&other)
              && !memcmp(one.data, other.data, (size_t)timm_numel(&one) * sizeof(float)), "case %zu: other results", i);
        timm_close(ctx);
    }
}

/* A head that is given features of another width must not be another head. */
TEST(weights_of_a_head_stay)
{
    static float features[2 * 97 * 25];
    timm_ctx *ctx = timm_open(NULL);
    timm_model *m = timm_create(ctx, "test_resnet", &(timm_model_opts){ .fill = figures_fill });
    const timm_tensor wrong[] = { { .rank = 4, .dim = { 2, 97, 5, 5 }, .data = features }, { .rank = 4, .dim = { 2, 95, 5, 5 }, .data = features },
                                  { .rank = 2, .dim = { 2, 96 }, .data = features } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(!timm_forward_head(m, &wrong[i], false).data && timm_ctx_status(ctx) == TIMM_SHAPE
              && strstr(timm_message(ctx), "the head of test_resnet takes features as (1, 96, 5, 5), 96 of them in axis 1"), "case %zu: %s", i, timm_message(ctx));
        timm_clear(ctx);
    }
    timm_tensor right = { .rank = 4, .dim = { 2, 96, 5, 5 }, .data = features };
    CHECK(timm_forward_head(m, &right, false).rank == 2, "%s", timm_message(ctx));
    timm_close(ctx);
}

/* What a grid of 78 patches was, nothing tells: file and tensor are named. */
TEST(weights_that_cannot_be_fitted_are_named)
{
    const char *file = test_temp("wide.safetensors");
    char want[512];
    timm_ctx *ctx = timm_open(NULL);
    timm_save(timm_create(ctx, "test_vit", &(timm_model_opts){ .img_size = { 96, 208 } }), file);
    rename_in_header(file, "timm.img_size", "timm.not_size");
    CHECK(!timm_create(ctx, "test_vit", &(timm_model_opts){ .weights = file }), "loaded");
    snprintf(want, sizeof want, "%s does not fit test_vit: 0 missing, 0 unexpected, 1 misshaped tensors\n"
             "  misshaped   pos_embed is (1, 79, 64) in the file and (1, 101, 64) in the model", file);
    CHECK(timm_ctx_status(ctx) == TIMM_MISMATCH && !strcmp(timm_message(ctx), want), "%s", timm_message(ctx));
    timm_close(ctx);
}

/* timm's clean_state_dict: the wrappers' prefixes are taken off in this order, each once, and no other is. */
TEST(weights_of_wrapped_networks_load)
{
    static const struct { const char *prefix; bool loads; } cases[] = {
        { "module.", true }, { "_orig_mod.", true }, { "_orig_mod.module.", true }, { "module._orig_mod.", true },
        { "_orig_mod.module._orig_mod.", true }, { "module.module.", false }, { "model.", false },
    };
    const char *bare = test_temp("bare.safetensors"), *wrapped = test_temp("wrapped.safetensors");
    char text[256];
    timm_ctx *ctx = timm_open(NULL);
    const timm_model_opts made = { .classes = 7, .img_size = { 96, 96 }, .fill = figures_fill };
    timm_save(timm_create(ctx, "test_vit", &made), bare);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        REQUIRE(put_before_names(bare, wrapped, cases[i].prefix), "not written");
        timm_model *again = timm_create(ctx, "test_vit", &(timm_model_opts){ .weights = wrapped, .img_size = { 96, 96 },
                                                                             .classes = TIMM_CLASSES_OF_WEIGHTS });
        CHECK(!!again == cases[i].loads, "%s: %s", cases[i].prefix, timm_message(ctx));
        if (again) {
            timm_save(again, wrapped);
            CHECK(same_tensors(bare, wrapped, text, sizeof text), "%s: %s", cases[i].prefix, text);
        }
        timm_clear(ctx);
    }
    timm_close(ctx);
}

/* A file taken for another network's: whose it is says all. */
TEST(weights_of_another_network_say_so)
{
    const char *file = test_temp("other.safetensors");
    char want[512];
    timm_ctx *ctx = timm_open(NULL);
    timm_save(timm_create(ctx, "test_vit", NULL), file);
    CHECK(!timm_create(ctx, "test_vit2", &(timm_model_opts){ .weights = file }), "loaded");
    snprintf(want, sizeof want, "%s is a checkpoint of test_vit, not of test_vit2", file);
    CHECK(timm_ctx_status(ctx) == TIMM_MISMATCH && !strcmp(timm_message(ctx), want), "%s", timm_message(ctx));
    timm_close(ctx);
}

static bool same_transform(const timm_transform *a, const timm_transform *b)
{
    bool same = !strcmp(a->interpolation, b->interpolation) && !strcmp(a->crop_mode, b->crop_mode);
    same = same && a->crop_pct == b->crop_pct;
    for (int i = 0; i < 3; i++)
        same = same && a->input_size[i] == b->input_size[i] && a->mean[i] == b->mean[i] && a->std[i] == b->std[i];
    return same;
}

/* Pixels are prepared as the tag says that the weights came under, though the file is loaded under the bare name. */
TEST(weights_keep_the_transform_of_their_tag)
{
    static const char *const names[][2] = {
        { "mobilenetv3_large_100.miil_in21k_ft_in1k", "mobilenetv3_large_100" },
        { "mobilenetv3_large_100.ra4_e3600_r224_in1k", "mobilenetv3_large_100" },
        { "efficientnet_b1.ft_in1k", "efficientnet_b1" }, { "tf_efficientnet_b0.ap_in1k", "tf_efficientnet_b0" },
    };
    const char *file = test_temp("tagged.safetensors");
    int others = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        timm_ctx *ctx = timm_open(NULL);
        timm_model *m = timm_create(ctx, names[i][0], &(timm_model_opts){ .fill = figures_fill }), *bare, *again;
        timm_save(m, file);
        bare = timm_create(ctx, names[i][1], &(timm_model_opts){ .fill = figures_fill });
        again = timm_create(ctx, names[i][1], &(timm_model_opts){ .weights = file });
        REQUIRE(timm_ctx_status(ctx) == TIMM_OK, "%s: %s", names[i][0], timm_message(ctx));
        for (int test = 0; test < 2; test++) {
            timm_transform a = timm_model_transform(m, test), b = timm_model_transform(again, test);
            timm_transform c = timm_model_transform(bare, test);
            CHECK(same_transform(&a, &b), "%s: another transform", names[i][0]);
            others += !same_transform(&a, &c);
        }
        timm_close(ctx);
    }
    CHECK(others == 8, "%d of 8 transforms are not that of the bare name", others);
}
