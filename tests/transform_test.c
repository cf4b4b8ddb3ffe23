/* transform_test.c - timm's evaluation transform over all its configurations, and PyTorch's normalisation. */
#include <stdlib.h>
#include <string.h>
#include "data/transform.h"
#include "io/image.h"
#include "jsonl.h"
#include "made_image.h"
#include "test.h"

static const double IMAGENET[3] = { .485, .456, .406 };

/* HWC to the CHW order of the records. */
static uint8_t *planes(const timm_image *image)
{
    size_t n = (size_t)image->width * (size_t)image->height, step = (size_t)image->channels;
    uint8_t *out = malloc(n * step);
    for (size_t i = 0; out && i < n * step; i++)
        out[i % step * n + i / step] = image->pixels[i];
    return out;
}

static void compare(const json_t *record, const timm_image *in, const char *sha, const char *own_mean)
{
    timm_transform how = { .interpolation = jsonl_text(record, "interpolation"),
                           .crop_mode = jsonl_text(record, "crop_mode"),
                           .crop_pct = jsonl_number(record, "crop_pct") };
    for (size_t i = 0; i < 3; i++) {
        how.input_size[i] = (int64_t)jsonl_item(record, "input_size", i);
        how.mean[i] = own_mean ? jsonl_item(record, own_mean, i) : IMAGENET[i];
    }
    status st = { 0 };
    timm_image out = { 0 };
    int w, h;
    bool ok = transform_resized(in, &how, &w, &h, &st) && transform_eval(in, &how, &out, &st);
    uint8_t *chw = ok ? planes(&out) : NULL;
    bool same = chw && sha_is(record, sha, chw, (size_t)out.width * (size_t)out.height * 3)
             && w == (int)jsonl_item(record, "resized", 0) && h == (int)jsonl_item(record, "resized", 1);
    char *text = same ? NULL : json_dumps(record, 0);
    CHECK(same, "%s %s", st.text, text);
    free(text);
    free(chw);
    image_free(&out);
}

/* The image of a record, kept while the following records are about the same one. */
static bool image_of(const json_t *record, char *last, size_t room, timm_image *image)
{
    const json_t *made = json_object_get(record, "image");
    const char *name = made ? json_string_value(json_array_get(made, 0)) : jsonl_text(record, "photo");
    if (!strcmp(name, last))
        return true;
    snprintf(last, room, "%s", name);
    image_free(image);
    if (made)
        return made_image(made, image);
    char path[256];
    status st = { 0 };
    snprintf(path, sizeof path, "data/%s", name);
    bool ok = image_load(test_data(path), 3, image, &st);
    CHECK(ok, "%s", st.text);
    return ok;
}

TEST(transform_eval_equals_timm)
{
    jsonl from;
    timm_image in = { 0 };
    char last[256] = "";
    int n = 0, decoded = 0;
    if (!jsonl_open(&from, test_data("data/data-eval.jsonl.xz")))
        return;
    for (json_t *record; (record = jsonl_next(&from)); json_decref(record), n++) {
        CHECK(image_of(record, last, sizeof last, &in), "line %d", from.line);
        if (json_object_get(record, "decoded")) {
            CHECK(sha_is(record, "sha", in.pixels, (size_t)in.width * (size_t)in.height * 3), "%s decodes otherwise",
                  last);
            decoded++;
            continue;
        }
        compare(record, &in, "sha", NULL);
        if (json_object_get(record, "own_sha"))
            compare(record, &in, "own_sha", "own_mean");
    }
    CHECK(n == 1033 && decoded == 4, "%d records, %d photographs", n, decoded);
    image_free(&in);
    jsonl_close(&from);
}

/* data/normalize.jsonl: sha of torchvision's ToTensor and Normalize over all 256 values, and some of them. */
TEST(transform_normalize_equals_torchvision)
{
    jsonl from;
    int n = 0;
    if (!jsonl_open(&from, test_data("data/normalize.jsonl")))
        return;
    uint8_t pixels[256 * 3];
    for (int i = 0; i < 256 * 3; i++)
        pixels[i] = (uint8_t)(i / 3);
    for (json_t *record; (record = jsonl_next(&from)); json_decref(record), n++) {
        status st = { 0 };
        double mean[3], std[3];
        float out[3 * 256];
        for (size_t i = 0; i < 3; i++)
            mean[i] = jsonl_item(record, "mean", i), std[i] = jsonl_item(record, "std", i);
        CHECK(transform_normalize(&(timm_image){ 16, 16, 3, pixels }, mean, std, out, &st), "%s", st.text);
        CHECK(sha_is(record, "sha", out, sizeof out), "line %d: first value %.9g, torch has %.9g", from.line,
              out[0], jsonl_item(record, "head", 0));
    }
    CHECK(n > 0, "no records");
    jsonl_close(&from);
}

TEST(transform_refuses_nonsense)
{
    uint8_t pixels[12] = { 0 };
    timm_image in = { 2, 2, 3, pixels }, out;
    status st = { 0 };
    timm_transform how = { .input_size = { 3, 8, 8 }, .crop_mode = "centre" };
    CHECK(!transform_eval(&in, &how, &out, &st), "went through");
    CHECK(!strcmp(st.text, "transform: no crop mode \"centre\"; there are center, squash, border"), "%s", st.text);
    st = (status){ 0 };
    how = (timm_transform){ .input_size = { 3, 0, 8 } };
    CHECK(!transform_eval(&in, &how, &out, &st), "went through");
    CHECK(!strcmp(st.text, "transform: an image of 2 x 2 to 8 x 0 with crop_pct 0.875"), "%s", st.text);
    /* rows that a ratio-keeping resize would leave empty */
    st = (status){ 0 };
    uint8_t line[300] = { 0 };
    how = (timm_transform){ .input_size = { 3, 8, 8 }, .crop_mode = "border" };
    CHECK(!transform_eval(&(timm_image){ 100, 1, 3, line }, &how, &out, &st), "went through");
    CHECK(st.code == TIMM_SHAPE && !strcmp(st.text, "transform: an image of 100 x 1 would be resized to 9 x 0"), "%s",
          st.text);
    /* and rows that no image would have */
    for (int i = 0; i < 2; i++) {
        st = (status){ 0 };
        how = (timm_transform){ .input_size = { 3, 8, 8 }, .crop_pct = i ? 1e-12 : 9 };
        CHECK(!transform_eval(&in, &how, &out, &st) && st.code == TIMM_BAD_ARG, "went through");
        CHECK(strstr(st.text, "to 8 x 8 with crop_pct"), "%s", st.text);
    }
}
