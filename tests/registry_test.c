/* registry_test.c - names, lists and configs against real timm: data/lists.jsonl.xz, by tools/golden.py. */
#include <stdlib.h>
#include <string.h>
#include "api/names.h"
#include "jsonl.h"
#include "test.h"
#include "zoo/convnext.tags.h"
#include "zoo/efficientnet.tags.h"
#include "zoo/mobilenetv3.tags.h"
#include "zoo/resnet.tags.h"
#include "zoo/swin_transformer.tags.h"
#include "zoo/vision_transformer.tags.h"
#include "zoo/zoo.h"

/* The tables alone: names need no networks. */
static const timm_family resnet = { .name = "resnet", ZOO_TAGS(resnet_tags) };
static const timm_family efficientnet = { .name = "efficientnet", ZOO_TAGS(efficientnet_tags) };
static const timm_family mobilenetv3 = { .name = "mobilenetv3", ZOO_TAGS(mobilenetv3_tags) };
static const timm_family vision_transformer = { .name = "vision_transformer", ZOO_TAGS(vision_transformer_tags) };
static const timm_family convnext = { .name = "convnext", ZOO_TAGS(convnext_tags) };
static const timm_family swin_transformer = { .name = "swin_transformer", ZOO_TAGS(swin_transformer_tags) };
static const timm_family *const families[] = { &resnet, &efficientnet, &mobilenetv3, &vision_transformer, &convnext,
                                               &swin_transformer };
static const name_set six = { families, sizeof families / sizeof *families };

/* A string, a list of strings or nothing, NULL-ended. */
static const char **strings(const json_t *value, const char *room[16])
{
    size_t n = json_is_array(value) ? json_array_size(value) : json_is_string(value);
    for (size_t i = 0; i < n && i < 15; i++)
        room[i] = json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
    room[n] = NULL;
    return n ? room : NULL;
}

static void check_query(const json_t *record)
{
    const char *room[3][16];
    const json_t *q = json_object_get(record, "query"), *gives = json_object_get(record, "gives");
    const json_t *tags = json_object_get(q, "include_tags");
    timm_list_opts o = {
        .filters = strings(json_object_get(q, "filter"), room[0]),
        .exclude = strings(json_object_get(q, "exclude_filters"), room[1]),
        .modules = strings(json_object_get(q, "module"), room[2]),
        .pretrained = json_is_true(json_object_get(q, "pretrained")),
        .name_matches_cfg = json_is_true(json_object_get(q, "name_matches_cfg")),
        .include_tags = json_is_true(tags) ? 1 : json_is_false(tags) ? -1 : 0,
    };
    arena mem = { 0 };
    status st = { 0 };
    size_t n = 0, expected = json_array_size(gives);
    const char *const *list = name_list(six, &o, &n, &mem, &st);
    char *asked = json_dumps(q, 0);
    CHECK(list && n == expected && !list[n], "%s: %zu names, timm has %zu", asked, n, expected);
    for (size_t i = 0; list && i < n && i < expected; i++) {
        const char *want = json_string_value(json_array_get(gives, i));
        CHECK(!strcmp(list[i], want), "%s: name %zu is %s, timm's %s", asked, i, list[i], want);
    }
    free(asked);
    arena_free(&mem);
}

static bool same_text(const char *have, const json_t *value)
{
    const char *want = json_is_array(value) ? json_string_value(json_array_get(value, 0)) : json_string_value(value);
    return !have || !want ? !have && !want : !strcmp(have, want);
}

static bool same_sizes(const int64_t *have, const json_t *value, size_t n)
{
    bool same = true;
    for (size_t i = 0; i < n; i++)
        same &= have[i] == json_integer_value(json_array_get(value, i));
    return same;
}

static bool same_numbers(const double *have, const json_t *value)
{
    bool same = true;
    for (size_t i = 0; i < 3; i++)
        same &= have[i] == json_number_value(json_array_get(value, i));
    return same;
}

static void check_transform(const char *name, const timm_transform *t, const json_t *want)
{
    CHECK(same_sizes(t->input_size, json_object_get(want, "input_size"), 3), "%s: input_size", name);
    CHECK(same_text(t->interpolation, json_object_get(want, "interpolation")), "%s: %s", name, t->interpolation);
    CHECK(same_text(t->crop_mode, json_object_get(want, "crop_mode")), "%s: %s", name, t->crop_mode);
    CHECK(t->crop_pct == jsonl_number(want, "crop_pct"), "%s: crop_pct %g", name, t->crop_pct);
    CHECK(same_numbers(t->mean, json_object_get(want, "mean")), "%s: mean", name);
    CHECK(same_numbers(t->std, json_object_get(want, "std")), "%s: std", name);
}

static void check_config(const json_t *record)
{
    const char *name = jsonl_text(record, "config");
    const json_t *w = json_object_get(record, "cfg");
    arena mem = { 0 };
    status st = { 0 };
    model_name n, of_arch;
    timm_cfg c;
    REQUIRE(name_resolve(six, name, &n, &st) && name_fill_cfg(&n, &c, &mem, &st), "%s: %s", name, st.text);
    bool is_default = name_look_up(six, n.arch, &of_arch) && of_arch.tag == n.tag;
    CHECK(is_default == json_is_true(json_object_get(record, "default")), "%s: default %d", name, is_default);
    CHECK(!strcmp(c.module, jsonl_text(record, "module")), "%s: %s", name, c.module);
    const struct { const char *key, *have; } texts[] = {
        { "architecture", c.architecture }, { "tag", *c.tag ? c.tag : NULL }, { "interpolation", c.interpolation },
        { "crop_mode", c.crop_mode }, { "first_conv", c.first_conv }, { "classifier", c.classifier },
        { "hf_hub_id", c.hf_hub_id }, { "hf_hub_filename", c.hf_hub_filename }, { "url", c.url },
        { "license", c.license }, { "origin_url", c.origin_url }, { "paper_ids", c.paper_ids }, { "notes", c.notes },
        { "description", c.description },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK(same_text(texts[i].have, json_object_get(w, texts[i].key)), "%s: %s is %s", name, texts[i].key,
              texts[i].have ? texts[i].have : "(none)");
    const struct { const char *key; const int64_t *have; size_t n; } sizes[] = {
        { "input_size", c.input_size, 3 }, { "test_input_size", c.test_input_size, 3 },
        { "min_input_size", c.min_input_size, 3 }, { "pool_size", c.pool_size, 2 },
        { "test_pool_size", c.test_pool_size, 2 },
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(same_sizes(sizes[i].have, json_object_get(w, sizes[i].key), sizes[i].n), "%s: %s", name, sizes[i].key);
    CHECK(c.fixed_input_size == json_is_true(json_object_get(w, "fixed_input_size")), "%s: fixed_input_size", name);
    CHECK(c.crop_pct == jsonl_number(w, "crop_pct"), "%s: crop_pct %g", name, c.crop_pct);
    CHECK(c.test_crop_pct == jsonl_number(w, "test_crop_pct"), "%s: test_crop_pct %g", name, c.test_crop_pct);
    CHECK(same_numbers(c.mean, json_object_get(w, "mean")), "%s: mean", name);
    CHECK(same_numbers(c.std, json_object_get(w, "std")), "%s: std", name);
    CHECK((double)c.num_classes == jsonl_number(w, "num_classes"), "%s: %d classes", name, (int)c.num_classes);
    timm_transform train = timm_cfg_transform(&c, false), test = timm_cfg_transform(&c, true);
    check_transform(name, &train, json_object_get(record, "train"));
    check_transform(name, &test, json_object_get(record, "test"));
    arena_free(&mem);
}

static void check_name(const json_t *record)
{
    const char *name = jsonl_text(record, "name");
    bool model = json_is_true(json_object_get(record, "is_model"));
    bool pretrained = json_is_true(json_object_get(record, "is_pretrained"));
    CHECK(name_is_model(six, name) == model, "is_model(%s) is not %d", name, model);
    CHECK(name_is_pretrained(six, name) == pretrained, "is_pretrained(%s) is not %d", name, pretrained);
}

/* Runs check on the records that have the key; how many those were. */
static int each(const char *key, void (*check)(const json_t *record))
{
    jsonl lines;
    int n = 0;
    if (!jsonl_open(&lines, test_data("data/lists.jsonl.xz")))
        return 0;
    for (json_t *record; (record = jsonl_next(&lines)); json_decref(record))
        if (json_object_get(record, key)) {
            check(record);
            n++;
        }
    jsonl_close(&lines);
    return n;
}

TEST(registry_lists_as_timm)
{
    int n = each("query", check_query);
    CHECK(n == 69, "%d queries", n);
}

TEST(registry_configs_as_timm)
{
    int n = each("config", check_config);
    CHECK(n == 826, "%d configs", n);
}

TEST(registry_knows_names_as_timm)
{
    int n = each("is_model", check_name);
    CHECK(n == 1265, "%d names", n);
}

/* Old names mean what timm says where their successor is a row of the six tables; "sam" is the tag that timm lost. */
static void check_old(const json_t *record)
{
    const char *old = jsonl_text(record, "old"), *now = jsonl_text(record, "new");
    model_name a, b;
    bool have = name_look_up(six, old, &a), want = name_look_up(six, now, &b);
    bool lost = !strcmp(now + strcspn(now, "."), ".sam");
    CHECK(have == (want || lost) && (!have || a.renamed), "%s: %d", old, have);
    bool same = have && (lost ? !strncmp(a.tag->name, now, strlen(now)) : a.tag == b.tag);
    CHECK(!have || same, "%s: %s, not %s", old, a.tag->name, now);
}

TEST(registry_maps_deprecated_names_as_timm)
{
    int n = each("old", check_old);
    CHECK(n == 209, "%d names", n);
}

TEST(registry_maps_names_that_timm_dropped)
{
    model_name n;
    const char *const old[][2] = {
        { "vit_deit_tiny_patch16_224", "deit_tiny_patch16_224.fb_in1k" },       /* deit.py: not among the six */
        { "vit_base_patch16_sam_224", "vit_base_patch16_224.sam_in1k" },
        { "vit_base_patch16_224_sam", "vit_base_patch16_224.sam_in1k" },
        { "tf_efficientnet_b0_ns.aa_in1k", "tf_efficientnet_b0.aa_in1k" },      /* the tag given counts */
        { "tf_efficientnet_b0_ns.nope", "" }, { "tf_efficientnet_b0_ns.", "" }, { "vit_base_r20_s16_224", "" },
    };
    CHECK(!name_look_up(six, old[0][0], &n), "%s exists", old[0][0]);
    for (size_t i = 1; i < sizeof old / sizeof *old; i++) {
        bool found = name_look_up(six, old[i][0], &n);
        CHECK(found == !!*old[i][1], "%s: %d", old[i][0], found);
        CHECK(!found || !strcmp(n.tag->name, old[i][1]), "%s: %s", old[i][0], n.tag->name);
    }
}

TEST(registry_names_the_nearest)
{
    const char *const says[][2] = {
        { "resnet5x", "Unknown model (resnet5x); did you mean resnet50, resnet50d, resnet50t or resnet50c?" },
        { "efficientnet_bo", "Unknown model (efficientnet_bo); did you mean efficientnet_b0, efficientnet_b1, "
                             "efficientnet_b2 or efficientnet_b3?" },
        { "vit_tiny_patch16", "Unknown model (vit_tiny_patch16); did you mean vit_tiny_patch16_224, "
                              "vit_tiny_patch16_384 or vit_tiny_patch16_224_in21k?" },
        { "qqqqqqqqqqqqqqqq", "Unknown model (qqqqqqqqqqqqqqqq)" },
        { "", "Unknown model ()" }, { ".a1_in1k", "Unknown model (.a1_in1k)" },
        { "resnet34.nope", "Invalid pretrained tag (nope) for resnet34; it has a1_in1k, a2_in1k, a3_in1k, bt_in1k, "
                           "ra4_e3600_r224_in1k, tv_in1k, gluon_in1k" },
    };
    for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
        status st = { 0 };
        model_name n;
        CHECK(!name_resolve(six, says[i][0], &n, &st) && st.code == TIMM_NOT_FOUND, "%s: found", says[i][0]);
        CHECK(!strcmp(st.text, says[i][1]), "%s", st.text);
    }
}

static void check_labels(const json_t *record)
{
    const json_t *labels = json_object_get(record, "labels");
    for (int64_t i = 0; i < 1000; i++)
        CHECK(same_text(timm_label("imagenet-1k", i), json_array_get(labels, (size_t)i)), "label %d", (int)i);
}

TEST(registry_labels_as_timm)
{
    CHECK(each("labels", check_labels) == 1, "no labels");
    CHECK(!timm_label("imagenet-1k", -1) && !timm_label("imagenet-1k", 1000), "a label out of range");
    CHECK(!timm_label("cats", 0) && !timm_label(NULL, 0), "a label of an unknown set");
}

/* -- the families of this build ---------------------------------------------------------------------------------- */

static bool has_row(const timm_family *f, const char *arch)
{
    size_t n = strlen(arch);
    for (size_t i = 0; i < f->tag_count; i++)
        if (!strncmp(f->tags[i].name, arch, n) && (!f->tags[i].name[n] || f->tags[i].name[n] == '.'))
            return true;
    return false;
}

TEST(registry_every_name_has_a_network_and_a_config)
{
    size_t count;
    const timm_family *const *family = zoo_families(&count);
    for (size_t f = 0; f < count; f++) {
        for (size_t i = 0; i < family[f]->count; i++) {
            const char *arch = zoo_variant_name(family[f], i);
            CHECK(has_row(family[f], arch), "%s of %s has no row in its tags", arch, family[f]->name);
        }
        for (size_t i = 0; i < family[f]->tag_count; i++) {
            const void *variant;
            char arch[128];
            snprintf(arch, sizeof arch, "%.*s", (int)strcspn(family[f]->tags[i].name, "."), family[f]->tags[i].name);
            CHECK(zoo_find(arch, &variant) == family[f], "%s has no network", family[f]->tags[i].name);
        }
    }
}

static void keep(void *user, const char *text) { snprintf(user, 256, "%s", text); }

TEST(registry_notes_a_deprecated_name)
{
    char note[256] = "";
    timm_cfg cfg;
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .note = keep, .user = note });
    REQUIRE(ctx, "no context");
    CHECK(timm_get_cfg(ctx, "tv_resnet50", &cfg) == TIMM_OK, "%s", timm_message(ctx));
    CHECK(!strcmp(note, "Mapping deprecated model name tv_resnet50 to current resnet50.tv_in1k."), "%s", note);
    CHECK(!strcmp(cfg.architecture, "resnet50") && !strcmp(cfg.tag, "tv_in1k"), "%s.%s", cfg.architecture, cfg.tag);
    CHECK(timm_is_model("tv_resnet50") && !timm_is_pretrained("tv_resnet50"), "tv_resnet50");
    CHECK(timm_get_cfg(ctx, "resnet5", &cfg) == TIMM_NOT_FOUND && timm_ctx_status(ctx) == TIMM_NOT_FOUND, "found");
    timm_close(ctx);
}

TEST(registry_survives_nothing)
{
    size_t n = 1;
    CHECK(!timm_list_models(NULL, NULL, &n) && n == 0, "%zu", n);
    CHECK(!timm_list_modules(NULL, NULL) && !timm_is_model(NULL) && !timm_is_pretrained(NULL), "NULL");
    CHECK(timm_get_cfg(NULL, "resnet50", NULL) == TIMM_BAD_ARG, "NULL");
}
