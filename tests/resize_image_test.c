/* resize_image_test.c - every byte of Pillow's Image.resize: random sizes, filters, boxes and modes. */
#include <string.h>
#include "data/resize_image.h"
#include "io/image.h"
#include "jsonl.h"
#include "made_image.h"
#include "test.h"

static void compare(const json_t *record, const timm_image *in, bool plain)
{
    double box[4];
    for (size_t i = 0; i < 4; i++)
        box[i] = jsonl_item(record, "box", i);
    status st = { 0 };
    resize_how how = { .width = (int)jsonl_item(record, "out", 0), .height = (int)jsonl_item(record, "out", 1),
                       .box = json_is_array(json_object_get(record, "box")) ? box : NULL, .plain = plain };
    timm_image out;
    bool ok = resize_filter_named(jsonl_text(record, "filter"), &how.filter, &st) && resize_image(in, &how, &out, &st);
    CHECK(ok, "%s", st.text);
    if (!ok)
        return;
    size_t n = (size_t)out.width * (size_t)out.height * (size_t)out.channels;
    if (!sha_is(record, "sha", out.pixels, n)) {
        char *text = json_dumps(record, 0);
        CHECK(false, "bytes differ%s: %s", plain ? " (plain)" : "", text);
        free(text);
    }
    image_free(&out);
}

TEST(resize_equals_pillow)
{
    jsonl from;
    int n = 0;
    if (!jsonl_open(&from, test_data("data/data-resize.jsonl.xz")))
        return;
    for (json_t *record; (record = jsonl_next(&from)); json_decref(record), n++) {
        timm_image in;
        CHECK(made_image(json_object_get(record, "image"), &in), "line %d", from.line);
        compare(record, &in, false);
        compare(record, &in, true);
        image_free(&in);
    }
    CHECK(n == 2000, "%d cases", n);
    jsonl_close(&from);
}

/* A part is the same bytes cut out of the whole, on every path: two passes in both orders, one pass, crop, nearest. */
TEST(resize_part_is_part_of_whole)
{
    static const int sizes[][2] = { { 40, 70 }, { 90, 20 }, { 61, 20 }, { 20, 83 }, { 61, 83 }, { 30, 44 } };
    static const double box[4] = { 7, 9, 37, 53 };
    json_t *made = json_pack("[ssiii]", "part", "noise", 61, 83, 3);
    timm_image in;
    REQUIRE(made_image(made, &in), "no image");
    json_decref(made);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int f = 0; f < RESIZE_FILTERS; f++) {
            status st = { 0 };
            resize_how how = { .width = sizes[i][0], .height = sizes[i][1], .filter = (resize_filter)f,
                               .box = i == 5 ? box : NULL };
            resize_part part = { how.width / 3, how.height / 4, how.width / 2, how.height / 2 };
            timm_image whole, cut;
            REQUIRE(resize_image(&in, &how, &whole, &st), "%s", st.text);
            how.part = &part;
            REQUIRE(resize_image(&in, &how, &cut, &st), "%s", st.text);
            for (int y = 0; y < part.height; y++)
                CHECK(!memcmp(cut.pixels + y * part.width * 3, whole.pixels + ((y + part.y) * how.width + part.x) * 3,
                              (size_t)part.width * 3), "size %zu, filter %d, row %d", i, f, y);
            image_free(&whole);
            image_free(&cut);
        }
    image_free(&in);
}

TEST(resize_refuses_nonsense)
{
    uint8_t pixels[12] = { 0 };
    timm_image in = { 2, 2, 3, pixels }, out;
    static const double outside[4] = { 0, 0, 3, 2 }, empty[4] = { 1, 0, 1, 2 };
    static const resize_part beyond = { 1, 0, 4, 4 };
    const struct { resize_how how; const char *text; } cases[] = {
        { { .width = 0, .height = 4 }, "resize: to 0 x 4; both must be at least 1" },
        { { .width = 4, .height = 4, .box = outside },
          "resize: box (0, 0, 3, 2) is empty or not within the image of 2 x 2" },
        { { .width = 4, .height = 4, .box = empty },
          "resize: box (1, 0, 1, 2) is empty or not within the image of 2 x 2" },
        { { .width = 4, .height = 4, .part = &beyond }, "resize: part 4 x 4 at (1, 0) is not within 4 x 4" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        status st = { 0 };
        CHECK(!resize_image(&in, &cases[i].how, &out, &st), "case %zu went through", i);
        CHECK(st.code == TIMM_BAD_ARG && !strcmp(st.text, cases[i].text), "%s", st.text);
        CHECK(!out.pixels, "pixels after a failure");
    }
    status st = { 0 };
    resize_filter f;
    CHECK(!resize_filter_named("cubic", &f, &st) && strstr(st.text, "no filter \"cubic\""), "%s", st.text);
}
