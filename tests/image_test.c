/* image_test.c - files of every kind against Pillow's pixels; what is written reads back; damage ends in a sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/file.h"
#include "io/image.h"
#include "jsonl.h"
#include "made_image.h"
#include "test.h"

static const struct mode { const char *name; int channels; } modes[] = { { "L", 1 }, { "RGB", 3 }, { "own", 0 } };

static bool load_odd(const json_t *record, int channels, timm_image *out, status *st)
{
    char path[256];
    snprintf(path, sizeof path, "data/odd/%s", jsonl_text(record, "file"));
    return image_load(test_data(path), channels, out, st);
}

static void compare(const json_t *record, const struct mode *mode)
{
    const char *name = jsonl_text(record, "file");
    const json_t *expected = json_object_get(record, mode->name);
    status st = { 0 };
    timm_image out;
    if (!load_odd(record, mode->channels, &out, &st)) {
        CHECK(false, "%s as %s: %s", name, mode->name, st.text);
        return;
    }
    int w = (int)jsonl_item(expected, "size", 0), h = (int)jsonl_item(expected, "size", 1),
        c = (int)jsonl_number(expected, "channels");
    CHECK(out.width == w && out.height == h && out.channels == c, "%s as %s: %d x %d x %d, Pillow has %d x %d x %d",
          name, mode->name, out.width, out.height, out.channels, w, h, c);
    CHECK(sha_is(expected, "sha", out.pixels, (size_t)out.width * (size_t)out.height * (size_t)out.channels),
          "%s as %s: pixels differ from Pillow's", name, mode->name);
    image_free(&out);
}

TEST(image_odd_files_equal_pillow)
{
    jsonl from;
    int n = 0, failed = 0;
    if (!jsonl_open(&from, test_data("data/odd/odd.jsonl")))
        return;
    for (json_t *record; (record = jsonl_next(&from)); json_decref(record), n++) {
        status st = { 0 };
        timm_image out;
        if (!json_object_get(record, "error")) {
            for (size_t i = 0; i < 3; i++)
                compare(record, &modes[i]);
            continue;
        }
        failed++;
        CHECK(!load_odd(record, 3, &out, &st), "%s: read, but Pillow raises %s", jsonl_text(record, "file"),
              jsonl_text(record, "error"));
        CHECK(!out.pixels && st.code == TIMM_BAD_FILE && strstr(st.text, jsonl_text(record, "file")), "%s", st.text);
    }
    CHECK(n > 80 && failed > 10, "%d files, %d refused", n, failed);
    jsonl_close(&from);
}

/* Whatever is left of a file, reading it ends in pixels or in a sentence (under the sanitizers: in nothing else). */
TEST(image_cut_files_end_in_a_sentence)
{
    jsonl from;
    int refused = 0;
    if (!jsonl_open(&from, test_data("data/odd/odd.jsonl")))
        return;
    for (json_t *record; (record = jsonl_next(&from)); json_decref(record)) {
        char path[256];
        size_t size;
        status st = { 0 };
        snprintf(path, sizeof path, "data/odd/%s", jsonl_text(record, "file"));
        uint8_t *bytes = file_read(test_data(path), &size, &st);
        REQUIRE(bytes, "%s", st.text);
        for (size_t i = 0; i < 24; i++) {
            timm_image out;
            st = (status){ 0 };
            bool ok = image_decode(&(image_source){ .bytes = bytes, .size = size * i / 24, .name = "cut" }, &out, &st);
            CHECK(ok == (out.pixels != NULL) && ok == status_ok(&st), "%s: %zu of %zu bytes: %s", path, size * i / 24,
                  size, st.text);
            CHECK(ok || (st.code == TIMM_BAD_FILE && !strncmp(st.text, "cut: ", 5)), "%s: %s", path, st.text);
            refused += !ok;
            image_free(&out);
        }
        free(bytes);
    }
    CHECK(refused > 1500, "only %d refused", refused);
    jsonl_close(&from);
}

TEST(image_messages)
{
    static const struct { const char *file, *text; } cases[] = {
        { "empty.png", "empty, neither JPEG nor PNG nor WebP" },
        { "text.jpg", "not an image of a known format, neither JPEG nor PNG nor WebP" },
        { "png_cut.png", "not a good PNG: it is truncated" },
        { "png_huge.png", "20000 x 20000 pixels are more than the limit of 178956970" },
        { "jpeg_cut.jpg", "the JPEG is truncated: its 1087 bytes end before the image does" },
        { "webp_cut.webp", "not a good WebP: its frames are damaged or cut short" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[256], expected[2048];
        timm_image out;
        status st = { 0 };
        snprintf(path, sizeof path, "data/odd/%s", cases[i].file);
        snprintf(expected, sizeof expected, "%s: %s", test_data(path), cases[i].text);
        CHECK(!image_load(test_data(path), 3, &out, &st), "%s was read", path);
        CHECK(!strcmp(st.text, expected), "%s", st.text);
    }
    timm_image out;
    status st = { 0 };
    CHECK(!image_load("no/such.png", 3, &out, &st) && st.code == TIMM_NOT_FOUND
          && !strcmp(st.text, "no/such.png: no such file"),
          "%s", st.text);
    st = (status){ 0 };
    CHECK(!image_load(test_data("data/coffee.jpg"), 2, &out, &st) && st.code == TIMM_BAD_ARG
          && strstr(st.text, "2 channels wanted"),
          "%s", st.text);
}

/* The reader, which equals Pillow's, gives back what was written. */
TEST(image_png_keeps_pixels)
{
    for (int c = 1; c <= 4; c += c == 1 ? 2 : 1) {
        uint8_t pixels[7 * 5 * 4];
        for (size_t i = 0; i < sizeof pixels; i++)
            pixels[i] = (uint8_t)(i * 37);
        timm_image in = { 7, 5, c, pixels }, back;
        status st = { 0 };
        const char *path = test_temp("written.png");
        REQUIRE(image_save(path, &in, false, &st) && image_load(path, 0, &back, &st), "%s", st.text);
        CHECK(back.width == 7 && back.height == 5 && back.channels == c
              && !memcmp(back.pixels, pixels, (size_t)(35 * c)),
              "%d channels: other pixels", c);
        image_free(&back);
    }
}

TEST(image_npy_equals_numpy)
{
    uint8_t pixels[24];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)i;
    timm_image in = { 4, 2, 3, pixels };
    for (int chw = 0; chw < 2; chw++) {
        status st = { 0 };
        size_t n = 0, m = 0;
        const char *path = test_temp("written.npy");
        REQUIRE(image_save(path, &in, chw, &st), "%s", st.text);
        uint8_t *got = file_read(path, &n, &st);
        uint8_t *expected = file_read(test_data(chw ? "data/odd/tiny_chw.npy" : "data/odd/tiny_hwc.npy"), &m, &st);
        CHECK(got && expected && n == m && !memcmp(got, expected, n), "%s: %zu bytes, numpy has %zu %s",
              chw ? "CHW" : "HWC", n, m, st.text);
        free(got);
        free(expected);
    }
}

TEST(image_save_refuses)
{
    uint8_t pixels[3] = { 0 };
    timm_image in = { 1, 1, 3, pixels }, none = { 0 };
    status st = { 0 };
    CHECK(!image_save("x.jpg", &in, false, &st) && !strcmp(st.text, "x.jpg: images are saved as .png or .npy"), "%s",
          st.text);
    st = (status){ 0 };
    CHECK(!image_save("x.png", &none, false, &st) && st.code == TIMM_BAD_ARG, "%s", st.text);
    st = (status){ 0 };
    CHECK(!image_save(test_temp("no/folder.png"), &in, false, &st) && st.code == TIMM_IO
          && strstr(st.text, "folder.png: cannot"),
          "%s", st.text);
}

/* Through the API the first failure sticks, and later calls give nothing. */
TEST(image_api_remembers_a_failure)
{
    timm_ctx *ctx = timm_open(NULL);
    timm_image photo, small, out;
    timm_transform how = { .input_size = { 3, 8, 8 }, .interpolation = "bicubic", .std = { 1, 1, 1 } };
    REQUIRE(timm_image_load(ctx, test_data("data/coffee.jpg"), 3, &photo) == TIMM_OK, "%s", timm_message(ctx));
    REQUIRE(timm_preprocess(ctx, &photo, &how, &small) == TIMM_OK, "%s", timm_message(ctx));
    float numbers[2 * 3 * 8 * 8] = { 0 };
    timm_tensor batch = { 4, { 2, 3, 8, 8 }, numbers };
    CHECK(timm_normalize(ctx, &small, &how, &batch, 1) == TIMM_OK, "%s", timm_message(ctx));
    CHECK(numbers[191] == 0 && numbers[192] == (float)small.pixels[0] / 255.f
          && numbers[256] == (float)small.pixels[1] / 255.f,
          "rows of the batch: %g %g %g", numbers[191], numbers[192], numbers[256]);
    CHECK(timm_normalize(ctx, &photo, &how, &batch, 1) == TIMM_SHAPE, "%s", timm_message(ctx));
    CHECK(timm_image_resize(ctx, &photo, 4, 4, "bicubic", NULL, &out) == TIMM_SHAPE && !out.pixels,
          "resized after a failure");
    timm_clear(ctx);
    CHECK(timm_image_resize(ctx, &photo, 4, 4, NULL, NULL, &out) == TIMM_BAD_ARG && !out.pixels, "no filter");
    timm_image_free(&photo);
    timm_image_free(&small);
    timm_close(ctx);
}
