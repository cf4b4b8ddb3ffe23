/* random_erasing_test.c - erased rectangles: how many, where, how large, as timm draws them; and what is in them. */
#include <math.h>
#include <string.h>
#include "base/random.h"
#include "command.h"
#include "data/random_erasing.h"
#include "made_run.h"
#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { C = 3, H = 32, W = 48, PLANE = H * W };
static const float kept = 99;           /* no normal number is as large */

/* Image n, erased; how many of its pixels were. */
static int erased(const erasing *e, uint64_t n, float image[C * PLANE])
{
    int pixels = 0;
    for (int i = 0; i < C * PLANE; i++)
        image[i] = kept;
    random_erasing(e, random_bits(7, n + 1), C, H, W, image);
    for (int i = 0; i < PLANE; i++) {
        bool gone = image[i] != kept;
        pixels += gone;
        for (int c = 1; c < C; c++)
            CHECK((image[c * PLANE + i] != kept) == gone, "pixel %d is erased in some channels", i);
    }
    return pixels;
}

/* timm 1.0.31's RandomErasing(0.6, max_count=N) on 100,000 images of this size. */
TEST(erasing_draws_as_timm)
{
    enum { N = 20000 };
    static const struct { int count; double hit, area, deviation, corner, centre; } timm[] = {
        { 1, .60169, .102727, .108397, .00151, .23638 }, { 3, .60083, .100015, .096863, .00177, .20239 },
    };
    float image[C * PLANE];
    const double error = 5 * sqrt(1. / N + 1e-5);
    for (size_t k = 0; k < COUNT(timm); k++) {
        erasing e = { .prob = .6, .fill = ERASE_CONST, .count = timm[k].count };
        double hit = 0, area = 0, square = 0, corner = 0, centre = 0;
        for (uint64_t n = 0; n < N; n++) {
            double part = (double)erased(&e, n, image) / PLANE;
            hit += part > 0;
            area += part;
            square += part * part;
            corner += image[0] != kept;
            centre += image[H / 2 * W + W / 2] != kept;
        }
        const struct { const char *what; double is, as_timm, deviation; } all[] = {
            { "images", hit / N, timm[k].hit, .5 }, { "area", area / N, timm[k].area, timm[k].deviation },
            { "deviation of the area", sqrt(square / N - area / N * (area / N)), timm[k].deviation, timm[k].deviation },
            { "corner", corner / N, timm[k].corner, .05 }, { "centre", centre / N, timm[k].centre, .43 },
        };
        for (size_t i = 0; i < COUNT(all); i++)
            CHECK(fabs(all[i].is - all[i].as_timm) < error * all[i].deviation, "up to %d: %s: %g, timm's %g", timm[k].count, all[i].what, all[i].is,
                  all[i].as_timm);
    }
}

/* Zeros; N(0, 1) for each pixel and channel; one for each rectangle and channel. */
TEST(erasing_fills_as_timm)
{
    enum { N = 200 };
    static const char *const fills[] = { "pixel", "rand", "const" };
    float image[C * PLANE];
    for (int fill = ERASE_PIXEL; fill <= ERASE_CONST; fill++) {
        erasing e = { .prob = 1, .fill = (erase_fill)fill, .count = 1 };
        double sum = 0, square = 0, numbers = 0, changes = 0, pairs = 0, alike = 0;
        for (uint64_t n = 0; n < N; n++) {
            erased(&e, n, image);
            for (int i = 0; i < C * PLANE; i++) {
                bool one = image[i] != kept, beside = one && i + 1 < C * PLANE && image[i + 1] != kept, channel = one && i < PLANE;
                sum += one ? image[i] : 0;
                square += one ? (double)image[i] * image[i] : 0;
                numbers += one;
                pairs += beside;
                changes += beside && image[i] != image[i + 1];
                alike += channel && image[i] == image[i + PLANE];
            }
        }
        double free_numbers = fill == ERASE_PIXEL ? numbers : N * C, mean = sum / numbers, variance = square / numbers - mean * mean;
        CHECK(fill == ERASE_CONST ? square == 0 : alike == 0, "%s: %g channels alike, squares %g", fills[fill], alike, square);
        CHECK(fill == ERASE_PIXEL ? changes > .999 * pairs : changes == 0, "%s: %g of %g neighbours differ", fills[fill], changes, pairs);
        CHECK(fill == ERASE_CONST || (fabs(mean) < 8 / sqrt(free_numbers) && fabs(variance - 1) < 8 * sqrt(2 / free_numbers)),
              "%s: mean %g, variance %g", fills[fill], mean, variance);
    }
}

/* Each of several rectangles has a colour of its own, and up to as many as asked for are there. */
TEST(erasing_takes_up_to_so_many_rectangles)
{
    enum { N = 300, MOST = 3 };
    erasing e = { .prob = 1, .fill = ERASE_RAND, .count = MOST };
    int of[MOST + 2] = { 0 };
    float image[C * PLANE];
    for (uint64_t n = 0; n < N; n++) {
        float colour[MOST + 1];
        int colours = 0;
        erased(&e, n, image);
        for (int i = 0; i < PLANE && colours <= MOST; i++) {
            bool known = image[i] == kept;
            for (int k = 0; k < colours && !known; k++)
                known = colour[k] == image[i];
            if (!known)
                colour[colours++] = image[i];
        }
        of[colours]++;
    }
    CHECK(!of[0] && of[1] > N / 5 && of[2] > N / 5 && of[3] > N / 8 && !of[MOST + 1], "%d, %d, %d, %d, %d images of 0 to 4 colours", of[0], of[1],
          of[2], of[3], of[4]);
}

/* Workers and threads change nothing; what is asked for does, and --no-aug asks for none. */
TEST(erased_runs_depend_on_the_seed_alone)
{
    static const struct { const char *options; int like; } all[] = {
        { "--reprob .5", -1 }, { "--reprob .5 --remode pixel --recount 1 --workers 0 --threads 1", 0 }, { "--reprob .5 --workers 3 --threads 3", 0 },
        { "--reprob .5 --remode rand", -1 }, { "--reprob .5 --remode const", -1 }, { "--reprob .5 --recount 2", -1 }, { "", -1 },
        { "--no-aug", -1 }, { "--no-aug --reprob .5", 7 },
    };
    char end[COUNT(all)][1200], why[2048];
    for (size_t i = 0; i < COUNT(all); i++) {
        const char *output = test_temp((char[]){ 'e', (char)('0' + i), 0 });
        command_result r = command_run("timm train --dataset idx --data-dir %s -m test_resnet --in-chans 1 --img-size 32 --batch-size 8 --epochs 2 "
                                       "--warmup-epochs 0 --lr 0.05 --experiment r --output %s %s", made_idx(44, 20, 4), output, all[i].options);
        CHECK(!r.code, "%s: %s", all[i].options, r.err);
        command_free(&r);
        snprintf(end[i], sizeof end[i], "%s/r/last.safetensors", output);
        for (size_t k = 0; k < i; k++) {
            bool want = (int)k == all[i].like || (all[i].like >= 0 && all[k].like == all[i].like);
            CHECK(same_tensors(end[k], end[i], why, sizeof why) == want, "'%s' and '%s': %s", all[k].options, all[i].options, want ? why : "the same");
        }
    }
}
