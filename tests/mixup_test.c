/* mixup_test.c - mixed images and targets as timm's, and what is drawn for them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/random.h"
#include "command.h"
#include "jsonl.h"
#include "made_run.h"
#include "test.h"
#include "train/mixup.h"

enum { MOST = 16 };

static double at(const json_t *list, size_t i) { return json_number_value(json_array_get(list, i)); }
static int64_t whole(const json_t *list, size_t i) { return (int64_t)at(list, i); }

/* Planes in hexadecimal to pixels. */
static uint8_t *pixels_of(const char *hex, int64_t n, int64_t plane)
{
    uint8_t *out = malloc((size_t)(n * 3 * plane));
    for (int64_t i = 0; out && i < n; i++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t k = 0; k < plane; k++) {
                const char *p = hex + 2 * ((i * 3 + c) * plane + k);
                out[(i * plane + k) * 3 + c] = (uint8_t)strtoul((char[]){ p[0], p[1], 0 }, NULL, 16);
            }
    return out;
}

/* The rows of the record; boxes around centres are found anew. */
static void rows_of(const json_t *r, int64_t n, int64_t h, int64_t w, mixup_row *row)
{
    const json_t *cut = json_object_get(r, "cut"), *lam = json_object_get(r, "lam"), *centre = json_object_get(r, "centre"),
                 *boxes = json_object_get(r, "boxes");
    const char *mode = jsonl_text(r, "mode");
    size_t drawn = json_array_size(lam), nth = 0;
    for (size_t i = 0; i < drawn; i++) {
        row[i] = (mixup_row){ .lam = (float)at(lam, i), .cut = json_is_true(json_array_get(cut, i)) };
        if (!row[i].cut || row[i].lam == 1)
            continue;
        const json_t *b = json_array_get(boxes, nth++);
        cutmix_box box = { whole(b, 1), whole(b, 2), whole(b, 3), whole(b, 4) };
        if (json_is_array(centre)) {
            const json_t *c = json_array_get(centre, i);
            row[i].box = cutmix_box_at(h, w, row[i].lam, whole(c, 0), whole(c, 1));
            CHECK(!memcmp(&row[i].box, &box, sizeof box), "row %zu: box %lld-%lld, %lld-%lld", i, (long long)row[i].box.y0,
                  (long long)row[i].box.y1, (long long)row[i].box.x0, (long long)row[i].box.x1);
        }
        row[i].box = box;
        row[i].lam = (float)cutmix_lam(box, h, w);
        CHECK(fabs(row[i].lam - at(b, 5)) < 1e-7, "row %zu: lam %.9g, not %.9g", i, row[i].lam, at(b, 5));
    }
    for (size_t i = drawn; i < (size_t)n; i++)
        row[i] = row[!strcmp(mode, "pair") ? (size_t)n - 1 - i : 0];
}

TEST(batches_mixed_as_timm)
{
    jsonl from;
    int records = 0;
    if (!jsonl_open(&from, test_data("data/train-mixup.jsonl.xz")))
        return;
    for (json_t *r; (r = jsonl_next(&from)); json_decref(r), records++) {
        int64_t n = (int64_t)jsonl_number(r, "n"), h = (int64_t)jsonl_number(r, "h"), w = (int64_t)jsonl_number(r, "w");
        int64_t classes = (int64_t)jsonl_number(r, "classes");
        bool multi = json_is_true(json_object_get(r, "multi"));
        mixup_row row[MOST];
        float lam[MOST], y[MOST * 8] = { 0 }, mixed[MOST * 8];
        rows_of(r, n, h, w, row);
        uint8_t *in = pixels_of(jsonl_text(r, "pixels"), n, h * w), *want = pixels_of(jsonl_text(r, "out"), n, h * w);
        uint8_t *out = malloc((size_t)(n * h * w * 3));
        mixup_pixels(in, n, h, w, 3, row, out);
        for (int64_t k = 0, wrong = 0; k < n * h * w * 3 && !wrong; k++) {
            wrong = out[k] != want[k];
            CHECK(!wrong, "record %d, byte %lld: %d, not %d", records, (long long)k, out[k], want[k]);
        }
        for (int64_t i = 0; i < n; i++) {
            lam[i] = row[i].lam;
            for (int64_t k = 0; k < classes; k++)
                y[i * classes + k] = multi ? (float)at(json_array_get(json_object_get(r, "dense"), (size_t)i), (size_t)k)
                                           : k == whole(json_object_get(r, "labels"), (size_t)i);
        }
        mixup_target(y, n, classes, lam, jsonl_number(r, "smoothing"), multi, mixed);
        for (int64_t k = 0; k < n * classes; k++) {
            double t = at(json_array_get(json_object_get(r, "target"), (size_t)(k / classes)), (size_t)(k % classes));
            CHECK(fabs(mixed[k] - t) < 1e-6, "record %d, target %lld: %.9g, not %.9g", records, (long long)k, mixed[k], t);
        }
        free(in);
        free(want);
        free(out);
    }
    CHECK(records == 8, "%d records", records);
    jsonl_close(&from);
}

/* -- draws ----------------------------------------------------------------------------------------------------------------- */

static double arcsine(double x) { return 2 / acos(-1) * asin(sqrt(x)); }
static double uniform(double x) { return x; }
static double beta_2(double x) { return x * x * (3 - 2 * x); }
static double beta_3(double x) { return x * x * x * (10 - 15 * x + 6 * x * x); }

/* Parts below a value, within four deviations of what the distribution function says; variance 1 / (4 (2 alpha + 1)). */
TEST(lam_is_beta_distributed)
{
    enum { N = 20000 };
    static const struct { double alpha; double (*below)(double); } all[] = { { .5, arcsine }, { 1, uniform }, { 2, beta_2 }, { 3, beta_3 },
                                                                             { .01, NULL }, { .2, NULL }, { 12, NULL } };
    for (size_t a = 0; a < sizeof all / sizeof *all; a++) {
        int below[9] = { 0 };
        double sum = 0, squares = 0;
        for (uint64_t i = 1; i <= N; i++) {
            double v = mixup_beta(all[a].alpha, random_bits(77, i));
            CHECK(v >= 0 && v <= 1, "alpha %g: %g", all[a].alpha, v);
            sum += v;
            squares += (v - .5) * (v - .5);
            for (int q = 0; q < 9; q++)
                below[q] += v < .1 * (q + 1);
        }
        double variance = 1 / (4 * (2 * all[a].alpha + 1));
        CHECK(fabs(sum / N - .5) < 4 * sqrt(variance / N), "alpha %g: mean %g", all[a].alpha, sum / N);
        CHECK(fabs(squares / N / variance - 1) < .05, "alpha %g: variance %g, not %g", all[a].alpha, squares / N, variance);
        for (int q = 0; q < 9 && all[a].below; q++) {
            double p = all[a].below(.1 * (q + 1)), got = (double)below[q] / N;
            CHECK(fabs(got - p) < 4 * sqrt(p * (1 - p) / N), "alpha %g: %g of the draws below %g, not %g", all[a].alpha, got, .1 * (q + 1), p);
        }
    }
}

static bool same_row(const mixup_row *a, const mixup_row *b)
{
    return a->lam == b->lam && a->cut == b->cut && !memcmp(&a->box, &b->box, sizeof a->box);
}

TEST(mixing_draws_as_its_options_say)
{
    enum { N = 8, BATCHES = 2000 };
    static const char *const modes[] = { "batch", "pair", "elem" };
    for (int mode = MIXUP_BATCH; mode <= MIXUP_ELEM; mode++) {
        mixup_opts o = { .mixup = .8, .cutmix = 1, .prob = .6, .switch_prob = .25, .mode = (mixup_mode)mode };
        int mixed = 0, cut = 0, alike = 0, mirrored = 0;
        for (uint64_t b = 1; b <= BATCHES; b++) {
            mixup_row row[N];
            mixup_draw(&o, random_bits(5, b), N, 20, 30, row);
            bool all_alike = true, all_mirrored = true;
            for (int i = 0; i < N; i++) {
                const cutmix_box *x = &row[i].box;
                mixed += row[i].lam < 1;
                cut += row[i].cut;
                all_alike &= same_row(&row[i], &row[0]);
                all_mirrored &= same_row(&row[i], &row[N - 1 - i]);
                CHECK(x->y0 >= 0 && x->y0 <= x->y1 && x->y1 <= 20 && x->x0 >= 0 && x->x0 <= x->x1 && x->x1 <= 30, "a box outside");
                CHECK(!row[i].cut || fabs(row[i].lam - cutmix_lam(*x, 20, 30)) < 1e-7, "lam %g is not what the box leaves", row[i].lam);
            }
            alike += all_alike;
            mirrored += all_mirrored;
        }
        double draws = mode == MIXUP_BATCH ? BATCHES : mode == MIXUP_PAIR ? BATCHES * N / 2. : BATCHES * (double)N;
        double p = (double)mixed / (BATCHES * N), q = (double)cut / (BATCHES * N);
        CHECK(p > .6 - 4 * sqrt(.24 / draws) - .02 && p < .6 + 4 * sqrt(.24 / draws), "%s: %g of the rows are mixed", modes[mode], p);
        CHECK(fabs(q - .15) < 4 * sqrt(.13 / draws), "%s: %g of the rows are cut", modes[mode], q);
        CHECK(mode == MIXUP_BATCH ? alike == BATCHES : alike < BATCHES / 2, "%s: %d batches of one draw", modes[mode], alike);
        CHECK(mode < MIXUP_ELEM ? mirrored == BATCHES : mirrored < BATCHES / 2, "%s: %d batches of pairs", modes[mode], mirrored);
    }
    mixup_opts o = { .minmax = true, .part = { .2, .5 }, .prob = 1, .mode = MIXUP_ELEM };
    mixup_row row[N];
    for (uint64_t b = 1; b <= 200; b++) {
        mixup_draw(&o, random_bits(6, b), N, 20, 30, row);
        for (int i = 0; i < N; i++) {
            int64_t y = row[i].box.y1 - row[i].box.y0, x = row[i].box.x1 - row[i].box.x0;
            CHECK(row[i].cut && y >= 4 && y < 10 && x >= 6 && x < 15, "sides %lld and %lld", (long long)y, (long long)x);
        }
    }
}

/* -- runs ------------------------------------------------------------------------------------------------------------------ */

static command_result run_mixed(const char *output, const char *more)
{
    return command_run("timm train --dataset idx --data-dir %s -m test_resnet --in-chans 1 --img-size 32 --batch-size 8 --epochs 2 "
                       "--warmup-epochs 0 --lr 0.05 --experiment r --output %s --mixup .4 --cutmix 1 %s", made_idx(44, 20, 4), output, more);
}

/* Workers, threads and a break change nothing; the mode and the switch-off do. */
TEST(mixed_runs_depend_on_the_seed_alone)
{
    static const struct { const char *options; bool same; } all[] = {
        { "--workers 0 --threads 1", true }, { "--workers 3 --threads 3", true }, { "--mixup-mode elem", false }, { "--mixup-off-epoch 1", false },
        { "--cutmix-minmax .2 .6", false }, { "--mixup 0 --cutmix 0", false },
    };
    char first[1200], other[1200], why[2048];
    snprintf(first, sizeof first, "%s", made_output());
    command_result r = run_mixed(first, "");
    REQUIRE(!r.code, "%s", r.err);
    command_free(&r);
    strcat(first, "/r/last.safetensors");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(other, sizeof other, "%s", made_output());
        r = run_mixed(other, all[i].options);
        CHECK(!r.code, "%s: %s", all[i].options, r.err);
        strcat(other, "/r/last.safetensors");
        CHECK(same_tensors(first, other, why, sizeof why) == all[i].same, "%s: %s", all[i].options, all[i].same ? why : "the same as without");
        command_free(&r);
    }
}

TEST(mixing_says_what_makes_no_sense)
{
    static const char *const all[][2] = {
        { "--batch-size 7", "--mixup and --cutmix mix pairs: an even --batch-size, not 7" },
        { "--cutmix-minmax .6 .2", "--cutmix-minmax takes the least and the most part of a side, such as 0.2 0.8, not '.6 .2'" },
        { "--mixup-mode half", "mixup-mode is one of batch, pair, elem, not 'half'" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        command_result r = run_mixed(made_output(), all[i][0]);
        CHECK(r.code && command_has(r.err, all[i][1]), "%s: exit %d: %s", all[i][0], r.code, r.err);
        command_free(&r);
    }
}
