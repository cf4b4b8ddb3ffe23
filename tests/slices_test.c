/* slices_test.c - a large batch, run some images at a time, gives what its images give one by one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "api/model.h"
#include "figures.h"
#include "test.h"
#include "timm/timm.h"

enum { BATCH = 11, SIZE = 160 };              /* at one thread 4 images of test_resnet fit, and 7 of test_efficientnet */

/* Rows of `all` that are image i's, against the results of that image alone. */
static void same_image(const char *what, const timm_tensor *all, const timm_tensor *one, int64_t i)
{
    int64_t n = timm_numel(one);
    double most = 0, off = 0;
    REQUIRE(all->data && one->data && all->rank == one->rank && all->dim[0] == BATCH && timm_numel(all) == n * BATCH, "%s: shapes", what);
    for (int64_t k = 0; k < n; k++) {
        most = fmax(most, fabs(one->data[k]));
        off = fmax(off, fabs(all->data[i * n + k] - one->data[k]));
    }
    CHECK(most > 0 && off <= 1e-5 * most, "%s, image %lld: %g off, of %g", what, (long long)i, off, most);
}

static void compare(const char *name, bool in_slices)
{
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 1 });
    timm_model *m = timm_create(ctx, name, &(timm_model_opts){ .img_size = { SIZE, SIZE }, .fill = figures_fill });
    timm_model *lone = timm_create(ctx, name, &(timm_model_opts){ .img_size = { SIZE, SIZE }, .fill = figures_fill });
    timm_model *maps = timm_features(m, NULL), *lone_maps = timm_features(lone, NULL);
    timm_tensor x = { .rank = 4, .dim = { BATCH, 3, SIZE, SIZE } }, y = { .rank = 4, .dim = { 1, 3, SIZE, SIZE } }, all[16], one[16];
    int64_t image = timm_numel(&y);
    x.data = malloc((size_t)timm_numel(&x) * sizeof *x.data);
    REQUIRE(x.data && maps && lone_maps && timm_feature_count(maps) <= 16, "%s: %s", name, timm_message(ctx));
    for (int64_t i = 0; i < timm_numel(&x); i++)
        x.data[i] = (float)sin((double)i * .37 + (double)(i / image));
    timm_tensor logits = timm_forward(m, &x);
    planned *p = model_plan(m, PART_FORWARD, SHAPE(BATCH, 3, SIZE, SIZE));
    REQUIRE(p, "%s", timm_message(ctx));
    const int64_t images = plan_stretch_tell(p->plan, 0).images;
    CHECK((images > 0) == in_slices, "%s: %lld images at a time", name, (long long)images);
    timm_forward_intermediates(maps, &x, all);
    for (int64_t i = 0; i < BATCH; i++) {
        y.data = x.data + i * image;
        timm_tensor alone = timm_forward(lone, &y);
        same_image("logits", &logits, &alone, i);
        timm_forward_intermediates(lone_maps, &y, one);
        for (int k = 0; k < timm_feature_count(maps); k++)
            same_image("a map", &all[k], &one[k], i);
    }
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    free(x.data);
    timm_close(ctx);
}

TEST(slices_give_what_images_give)
{
    compare("test_vit", false);
    compare("test_resnet", true);
    compare("test_efficientnet", true);
}

TEST(slices_of_a_size_that_fits)
{
    CHECK(slice_of(16, 1 << 20, 0, 2) == 16 && slice_of(16, 100 << 20, 0, 2) == 1 && slice_of(1, 1 << 30, 1 << 30, 1) == 1, "the ends");
    CHECK(slice_of(16, 6 << 20, 0, 2) == 2, "3 fit, and 2 divide 16: %lld", (long long)slice_of(16, 6 << 20, 0, 2));
    CHECK(slice_of(16, 6 << 20, 50 << 20, 2) == 8 && slice_of(16, 6 << 20, 100 << 20, 2) == 16, "many weights");
    for (int64_t batch = 1; batch < 70; batch++)
        for (size_t mb = 1; mb < 20; mb++) {
            int64_t s = slice_of(batch, mb << 20, 3 << 20, 2), fit = 20 / (int64_t)mb ? 20 / (int64_t)mb : 1;
            CHECK(s >= 1 && s <= batch && s <= fit, "%lld of %lld images of %zu MB", (long long)s, (long long)batch, mb);
        }
}

/* Threads change how many images make a slice; which kernels compute them is decided for the batch. */
TEST(slices_of_any_size_give_the_same_bytes)
{
    enum { MOST = 9, SIDE = 64, CLASSES = 3 };
    static float x[MOST * 3 * SIDE * SIDE];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)sin((double)i * .37);
    for (int64_t n = 3; n <= MOST; n += 3) {
        float logits[2][MOST * CLASSES];
        for (int t = 0; t < 2; t++) {
            timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = t + 1, .tuning = TIMM_TUNE_NEVER, .backend = "cpu" });
            timm_model *m = timm_create(ctx, "resnet10t", &(timm_model_opts){ .classes = CLASSES, .img_size = { SIDE }, .fill = figures_fill, .precision = "bf16x6" });
            timm_tensor y = timm_forward(m, &(timm_tensor){ .rank = 4, .dim = { n, 3, SIDE, SIDE }, .data = x });
            REQUIRE(y.data && timm_numel(&y) == n * CLASSES, "%s", timm_message(ctx));
            memcpy(logits[t], y.data, (size_t)(n * CLASSES) * sizeof *y.data);
            timm_close(ctx);
        }
        CHECK(!memcmp(logits[0], logits[1], (size_t)(n * CLASSES) * sizeof(float)), "%lld images by one thread and by two", (long long)n);
    }
}
