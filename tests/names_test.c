/* names_test.c - every model's state_dict: the names, shapes and types that real timm's model has.
 *
 * data/names.jsonl.xz, by tools/golden.py: which models have which tensors, as "name AxBxC dtype" (scalars: no digits).
 */
#include <inttypes.h>
#include <string.h>
#include "jsonl.h"
#include "test.h"
#include "timm/timm.h"

static void tensor_line(const timm_param_info *p, char *out, size_t room)
{
    size_t n = (size_t)snprintf(out, room, "%s ", p->name);
    for (int i = 0; i < p->rank && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s%" PRId64, i ? "x" : "", p->dim[i]);
    if (n < room)
        snprintf(out + n, room - n, " %s", p->dtype);
}

/* Both are sorted by name, so the first line that differs tells what is missing or too much. */
static void check_state(const char *name, const timm_model *m, const json_t *tensors)
{
    size_t have = timm_param_count(m), want = json_array_size(tensors), i = 0;
    char line[512] = "";
    for (; i < have && i < want; i++) {
        timm_param_info p = timm_get_param_info(m, i);
        tensor_line(&p, line, sizeof line);
        if (strcmp(line, json_string_value(json_array_get(tensors, i))))
            break;
    }
    const char *expected = i < want ? json_string_value(json_array_get(tensors, i)) : "nothing more";
    CHECK(i == have && i == want, "%s: tensor %zu is '%s', timm's '%s' (%zu tensors, timm has %zu)", name, i,
          i < have ? line : "missing", expected, have, want);
}

static void check_module(const char *module, int expected)
{
    jsonl lines;
    int n = 0;
    timm_ctx *ctx = timm_open(NULL);
    REQUIRE(ctx, "no context");
    REQUIRE(jsonl_open(&lines, test_data("data/names.jsonl.xz")), "no manifests");
    for (json_t *record; (record = jsonl_next(&lines)); json_decref(record)) {
        const json_t *models = json_object_get(record, "models");
        for (size_t i = 0; i < json_array_size(models); i++) {
            const char *name = json_string_value(json_array_get(models, i));
            timm_cfg cfg;
            if (timm_get_cfg(ctx, name, &cfg) == TIMM_OK && strcmp(cfg.module, module))
                continue;
            timm_model *m = timm_create(ctx, name, NULL);
            CHECK(m, "%s", timm_message(ctx));
            if (m)
                check_state(name, m, json_object_get(record, "tensors"));
            timm_free(m);
            timm_clear(ctx);
            n++;
        }
    }
    CHECK(n == expected, "%d models, timm has %d", n, expected);
    jsonl_close(&lines);
    timm_close(ctx);
}

TEST(names_of_convnext_as_timm)           { check_module("convnext", 31); }
TEST(names_of_efficientnet_as_timm)       { check_module("efficientnet", 115); }
TEST(names_of_mobilenetv3_as_timm)        { check_module("mobilenetv3", 33); }
TEST(names_of_resnet_as_timm)             { check_module("resnet", 81); }
TEST(names_of_swin_transformer_as_timm)   { check_module("swin_transformer", 9); }
TEST(names_of_vision_transformer_as_timm) { check_module("vision_transformer", 163); }
