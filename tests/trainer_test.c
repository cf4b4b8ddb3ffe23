/* trainer_test.c - include/timm/train.h as a C program uses it: a loop of one's own, epochs, misuse. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "api/trainer.h"
#include "io/safetensors.h"
#include "made_run.h"
#include "test.h"
#include "timm/train.h"

enum { N = 4, SIDE = 32, CLASSES = 4 };

static const char *const adamw[] = { "opt", "adamw", "lr", "0.003", "warmup-epochs", "0", "model-ema", "true", "sched", "constant", NULL };
static const char *const plain[] = { "opt", "momentum", "momentum", "0", "lr", "0.1", "warmup-epochs", "0", "sched", "constant", "weight-decay", "0",
                                     NULL };

typedef struct loop { timm_ctx *ctx; timm_model *m; timm_trainer *t; } loop;

static loop begin(const char *const *options)
{
    loop l = { .ctx = timm_open(&(timm_open_opts){ .threads = 1 }) };
    l.m = timm_create(l.ctx, "test_vit", &(timm_model_opts){ .classes = CLASSES, .in_chans = 1, .img_size = { SIDE, SIDE }, .drop_rate = options == adamw ? .1f : 0 });
    l.t = timm_trainer_open(l.m);
    for (; options && *options; options += 2)
        CHECK(timm_trainer_set(l.t, options[0], options[1]) == TIMM_OK, "%s", timm_message(l.ctx));
    return l;
}

static void end(loop *l)
{
    timm_trainer_close(l->t);
    timm_close(l->ctx);
}

/* Images and targets of step k, from image `first` on. */
static void draw(int k, int first, int n, float *pixels, float *truth, timm_tensor *x, timm_tensor *y)
{
    *x = (timm_tensor){ .rank = 4, .dim = { n, 1, SIDE, SIDE }, .data = pixels };
    *y = (timm_tensor){ .rank = 2, .dim = { n, CLASSES }, .data = truth };
    for (int i = 0; i < n; i++)
        for (int p = 0; p < SIDE * SIDE; p++)
            pixels[i * SIDE * SIDE + p] = (float)((p * (first + i + 3) + 7 * k) % 23) / 11 - 1;
    for (int i = 0; i < n * CLASSES; i++)
        truth[i] = i % CLASSES == (first + i / CLASSES + k) % CLASSES;
}

static double step(loop *l, int k, int parts)
{
    static float pixels[N * SIDE * SIDE], truth[N * CLASSES];
    timm_tensor x, y;
    double loss = NAN;
    for (int i = 0; i < parts; i++) {
        draw(k, i * N / parts, N / parts, pixels, truth, &x, &y);
        if (i)
            timm_keep_gradients(l->t);
        timm_backward(l->t, &x, &y, &loss);
    }
    timm_optimizer_step(l->t);
    CHECK(timm_ctx_status(l->ctx) == TIMM_OK, "%s", timm_message(l->ctx));
    return loss;
}

TEST(trainer_goes_on_from_a_file)
{
    char middle[1024], one[1024], other[1024], why[4096];
    snprintf(middle, sizeof middle, "%s", test_temp("middle.safetensors"));
    snprintf(one, sizeof one, "%s", test_temp("one.safetensors"));
    snprintf(other, sizeof other, "%s", test_temp("other.safetensors"));
    loop a = begin(adamw), b = begin(adamw);
    for (int k = 0; k < 6; k++) {
        if (k == 3)
            CHECK(timm_trainer_save(a.t, middle) == TIMM_OK, "%s", timm_message(a.ctx));
        step(&a, k, 1);
    }
    CHECK(timm_trainer_load(b.t, middle) == TIMM_OK && timm_trainer_updates(b.t) == 3, "%s", timm_message(b.ctx));
    for (int k = 3; k < 6; k++)
        step(&b, k, 1);
    timm_trainer_save(a.t, one);
    timm_trainer_save(b.t, other);
    CHECK(same_tensors(one, other, why, sizeof why), "%s", why);
    end(&a);
    end(&b);
}

/* Number i of a tensor of a file becomes another. */
static void patch(const char *path, const char *name, int i, double value)
{
    status st = { 0 };
    safetensors *f = safetensors_open(path, &st);
    size_t at = f ? safetensors_find(f, name) : 0;
    REQUIRE(f && at < safetensors_count(f), "no %s in %s", name, path);
    size_t offset = safetensors_get(f, at)->offset + (size_t)i * sizeof value;
    safetensors_close(f);
    FILE *file = fopen(path, "r+b");
    REQUIRE(file && !fseek(file, (long)offset, SEEK_SET) && fwrite(&value, sizeof value, 1, file) == 1 && !fclose(file),
            "cannot change %s", path);
}

TEST(trainer_refuses_impossible_places)
{
    static const struct { const char *name; int i; double value; const char *says; } wrong[] = {
        { "trainer/position", 1, -1, "no place in a run is -1" }, { "trainer/position", 4, NAN, "no place in a run is nan" },
        { "trainer/position", 0, 1e30, "no place in a run is 1e+30" },
        { "trainer/best", 1, NAN, "no epoch is nan, of the best" },
        { "trainer/best", 3, -2, "no epoch is -2, of the best" },
        { "trainer/best", 3, 1e300, "no epoch is 1e+300, of the best" },
    };
    char path[1024];
    snprintf(path, sizeof path, "%s", test_temp("damaged.safetensors"));
    loop a = begin(adamw), b = begin(adamw);
    step(&a, 0, 1);
    a.t->n_best = 2;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        timm_trainer_save(a.t, path);
        patch(path, wrong[i].name, wrong[i].i, wrong[i].value);
        timm_trainer_load(b.t, path);
        CHECK(timm_ctx_status(b.ctx) == TIMM_BAD_FILE && strstr(timm_message(b.ctx), " is damaged: its tensors have the checksum "),
              "%s changed: %s", wrong[i].name, timm_message(b.ctx));
        timm_clear(b.ctx);
        rename_in_header(path, "timm.crc32", "timm.crc00");
        timm_trainer_load(b.t, path);
        CHECK(timm_ctx_status(b.ctx) == TIMM_BAD_FILE && strstr(timm_message(b.ctx), wrong[i].says), "not '%s' but: %s",
              wrong[i].says, timm_message(b.ctx));
        timm_clear(b.ctx);
    }
    end(&a);
    end(&b);
}

/* Gradients of parts, summed and divided by their number, are those of the whole. */
TEST(trainer_accumulates)
{
    const char *names[] = { "head.weight", "blocks.2.mlp.fc1.weight", "patch_embed.proj.weight", "cls_token" };
    loop whole = begin(plain), parts = begin(plain);
    timm_tensor x, y;
    static float pixels[N * SIDE * SIDE], truth[N * CLASSES];
    for (int i = 0; i < N; i++) {
        draw(0, i, 1, pixels, truth, &x, &y);
        if (i)
            timm_keep_gradients(parts.t);
        timm_backward(parts.t, &x, &y, NULL);
    }
    draw(0, 0, N, pixels, truth, &x, &y);
    timm_backward(whole.t, &x, &y, NULL);
    for (int i = 0; i < 4; i++) {
        timm_tensor g = timm_gradient(whole.t, names[i]), s = timm_gradient(parts.t, names[i]);
        CHECK(g.data && s.data && timm_numel(&g) == timm_numel(&s), "no gradient of %s", names[i]);
        double most = 0, off = 0;
        for (int64_t k = 0; g.data && s.data && k < timm_numel(&g); k++) {
            most = fmax(most, fabs(g.data[k]));
            off = fmax(off, fabs(s.data[k] / N - g.data[k]));
        }
        CHECK(most > 0 && off < 2e-5 * most, "%s: %g off, of %g", names[i], off, most);
    }
    CHECK(timm_gradient(whole.t, "no.such").rank == 0, "a gradient of nothing");
    end(&whole);
    end(&parts);
}

/* In three calls, and with a loss of the caller's: (softmax(logits) - target) / N is the gradient of the cross entropy. */
TEST(trainer_in_parts)
{
    static const char *const soft[] = { "smoothing", "0", NULL };
    static const char *const given[] = { "loss", "given", NULL };
    const char *names[] = { "head.weight", "blocks.2.mlp.fc1.weight", "patch_embed.proj.weight", "cls_token" };
    loop whole = begin(soft), parts = begin(soft), own = begin(given);
    timm_tensor x, y;
    static float pixels[N * SIDE * SIDE], truth[N * CLASSES], slope[N * CLASSES];
    double one = 0, other = 1;
    draw(0, 0, N, pixels, truth, &x, &y);
    timm_backward(whole.t, &x, &y, &one);
    timm_train_forward(parts.t, &x);                                    /* given up: the next begins anew */
    timm_tensor logits = timm_train_forward(parts.t, &x), mine = timm_train_forward(own.t, &x);
    REQUIRE(logits.rank == 2 && logits.dim[1] == CLASSES && mine.rank == 2, "%s", timm_message(parts.ctx));
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < CLASSES; k++)
            sum += exp(mine.data[i * CLASSES + k]);
        for (int k = 0; k < CLASSES; k++)
            slope[i * CLASSES + k] = (float)((exp(mine.data[i * CLASSES + k]) / sum - truth[i * CLASSES + k]) / N);
    }
    timm_train_loss(parts.t, &y, &other);
    CHECK(one == other, "loss %.9g, in parts %.9g", one, other);
    y.data = slope;
    CHECK(timm_train_loss(own.t, &y, NULL) == TIMM_OK && timm_train_backward(own.t) == TIMM_OK
          && timm_train_backward(parts.t) == TIMM_OK, "%s%s", timm_message(own.ctx), timm_message(parts.ctx));
    for (int i = 0; i < 4; i++) {
        timm_tensor g = timm_gradient(whole.t, names[i]), s = timm_gradient(parts.t, names[i]), o = timm_gradient(own.t, names[i]);
        double most = 0, off = 0;
        REQUIRE(g.data && s.data && o.data, "no gradient of %s", names[i]);
        CHECK(!memcmp(g.data, s.data, (size_t)timm_numel(&g) * sizeof(float)), "%s differs in parts", names[i]);
        for (int64_t k = 0; k < timm_numel(&g); k++) {
            most = fmax(most, fabs(g.data[k]));
            off = fmax(off, fabs(o.data[k] - g.data[k]));
        }
        CHECK(most > 0 && off < 2e-5 * most, "%s: %g off, of %g", names[i], off, most);
    }
    end(&whole);
    end(&parts);
    end(&own);
}

/* Lookahead goes back at every sixth step, and at no epoch's end, where timm's call for it finds no gradients. */
TEST(trainer_epochs_end_without_lookahead)
{
    static const char *const options[] = { "opt", "lookahead_momentum", "lr", "0.1", "warmup-epochs", "0", "sched", "constant", NULL };
    static float before[8][CLASSES * 64], after[CLASSES * 64];
    loop l = begin(options);
    for (int k = 0; k < 7; k++) {
        timm_param_read(l.m, "head.weight", before[k], CLASSES * 64);
        step(&l, k, 1);
        timm_param_read(l.m, "head.weight", before[k + 1], CLASSES * 64);
        timm_trainer_end_epoch(l.t, 0);
        timm_param_read(l.m, "head.weight", after, CLASSES * 64);
        CHECK(!memcmp(before[k + 1], after, sizeof after), "the end of epoch %d moved the weights", k);
    }
    CHECK(memcmp(before[6], before[7], sizeof after), "nothing was trained: %s", timm_message(l.ctx));
    end(&l);
}

static void says(loop *l, timm_status code, const char *text)
{
    CHECK(timm_ctx_status(l->ctx) == code && strstr(timm_message(l->ctx), text), "not '%s' but: %s", text, timm_message(l->ctx));
    timm_clear(l->ctx);
}

TEST(trainer_misuse)
{
    timm_tensor x = { .rank = 4, .dim = { 1, 1, SIDE, SIDE } }, y = { .rank = 2, .dim = { 1, CLASSES } };
    double loss;
    timm_metrics r;
    CHECK(!timm_trainer_open(NULL) && timm_backward(NULL, &x, &y, &loss) == TIMM_BAD_ARG && timm_optimizer_step(NULL) == TIMM_BAD_ARG
          && timm_trainer_run(NULL, NULL, NULL) == TIMM_BAD_ARG && !timm_trainer_epoch(NULL, NULL) && timm_trainer_updates(NULL) == 0
          && timm_trainer_load(NULL, "x") == TIMM_BAD_ARG && !timm_trainer_stopped(NULL) && timm_trainer_lr(NULL) == 0, "NULL");
    timm_keep_gradients(NULL);
    timm_trainer_stop(NULL);
    timm_trainer_close(NULL);
    loop l = begin(NULL);
    timm_trainer_set(l.t, "wieght-decay", "1");
    says(&l, TIMM_BAD_ARG, "no training option is called 'wieght-decay'; did you mean 'weight-decay'?");
    timm_trainer_set(l.t, "tta", "1");                               /* std is as near as its letters are few */
    CHECK(!strstr(timm_message(l.ctx), "did you mean"), "%s", timm_message(l.ctx));
    timm_clear(l.ctx);
    timm_trainer_set(l.t, "lr", "much");
    says(&l, TIMM_BAD_ARG, "lr takes a number, not 'much'");
    CHECK(!timm_trainer_set(l.t, "weight_decay", "0.5") && !strcmp(timm_trainer_get(l.t, "weight-decay"), "0.5"), "get");
    timm_optimizer_step(l.t);
    says(&l, TIMM_BAD_ARG, "an optimizer step needs gradients: call timm_train_backward first");
    timm_backward(l.t, &x, &y, &loss);
    says(&l, TIMM_SHAPE, "training takes images (N, C, H, W)");
    timm_train_loss(l.t, &y, &loss);
    says(&l, TIMM_BAD_ARG, "timm_train_loss comes after timm_train_forward");
    timm_train_backward(l.t);
    says(&l, TIMM_BAD_ARG, "timm_train_backward comes after timm_train_loss");
    timm_train_forward(l.t, &y);
    says(&l, TIMM_SHAPE, "training takes images (N, C, H, W)");
    static float colours[3 * SIDE * SIDE];
    timm_train_forward(l.t, &(timm_tensor){ .rank = 4, .dim = { 1, 3, SIDE, SIDE }, .data = colours });
    says(&l, TIMM_SHAPE, "test_vit takes images of shape (N, 1, H, W); the input is (1, 3, 32, 32)");
    timm_trainer_validate(l.t, false, &r);
    CHECK(timm_ctx_status(l.ctx) != TIMM_OK, "validated nothing");
    timm_clear(l.ctx);
    step(&l, 0, 1);
    timm_trainer_set(l.t, "lr", "1");
    says(&l, TIMM_BAD_ARG, "option lr comes too late: training has begun");
    CHECK(timm_trainer_updates(l.t) == 1 && isfinite(step(&l, 1, 1)), "it cannot go on after a mistake");
    end(&l);
}

/* One image whose last maps are of one pixel: the statistics of one number are none, as PyTorch says. */
TEST(trainer_batch_norm_of_one_value)
{
    static float pixels[2 * SIDE * SIDE], truth[2 * CLASSES];
    timm_tensor x, y;
    loop l = { .ctx = timm_open(&(timm_open_opts){ .threads = 1 }) };
    l.m = timm_create(l.ctx, "test_resnet", &(timm_model_opts){ .classes = CLASSES, .in_chans = 1, .img_size = { SIDE, SIDE } });
    l.t = timm_trainer_open(l.m);
    draw(0, 0, 1, pixels, truth, &x, &y);
    timm_backward(l.t, &x, &y, NULL);
    says(&l, TIMM_BAD_ARG, ": expected more than 1 value per channel when training, got input (1, ");
    draw(0, 0, 2, pixels, truth, &x, &y);
    CHECK(timm_backward(l.t, &x, &y, NULL) == TIMM_OK, "%s", timm_message(l.ctx));
    end(&l);
}

/* With the head alone to train a network of batch norms computes what it does in inference. */
TEST(trainer_head_alone)
{
    static float pixels[N * SIDE * SIDE], truth[N * CLASSES];
    timm_tensor x, y;
    loop l = { .ctx = timm_open(&(timm_open_opts){ .threads = 1 }) };
    l.m = timm_create(l.ctx, "test_resnet", &(timm_model_opts){ .classes = CLASSES, .in_chans = 1, .img_size = { SIDE, SIDE } });
    l.t = timm_trainer_open(l.m);
    timm_trainer_set(l.t, "head-only", "true");
    draw(0, 0, N, pixels, truth, &x, &y);
    timm_tensor mine = timm_train_forward(l.t, &x), infer = timm_forward(l.m, &x);
    REQUIRE(mine.data && infer.data, "%s", timm_message(l.ctx));
    for (int i = 0; i < N * CLASSES; i++)
        CHECK(fabsf(mine.data[i] - infer.data[i]) < 1e-5f * (1 + fabsf(infer.data[i])), "logit %d: %g in training, %g", i, mine.data[i],
              infer.data[i]);
    end(&l);
}

/* As PyTorch counts them: each forward pass of training is one, also of several to an update; and weights bring their count along. */
TEST(trainer_counts_batches)
{
    static float pixels[N * SIDE * SIDE], truth[N * CLASSES];
    char path[1024];
    float batches = -1;
    timm_tensor x, y;
    loop l = { .ctx = timm_open(&(timm_open_opts){ .threads = 1 }) };
    const timm_model_opts how = { .classes = CLASSES, .in_chans = 1, .img_size = { SIDE, SIDE }, .weights = path };
    snprintf(path, sizeof path, "%s", test_temp("counted.safetensors"));
    for (int run = 0; run < 2; run++) {
        l.m = timm_create(l.ctx, "test_resnet", run ? &how : &(timm_model_opts){ .classes = CLASSES, .in_chans = 1, .img_size = { SIDE, SIDE } });
        l.t = timm_trainer_open(l.m);
        for (int k = 0; k < 3; k++) {
            draw(k, 0, N, pixels, truth, &x, &y);
            timm_backward(l.t, &x, &y, NULL);
            timm_keep_gradients(l.t);
            timm_backward(l.t, &x, &y, NULL);
            timm_optimizer_step(l.t);
        }
        timm_param_read(l.m, "bn1.num_batches_tracked", &batches, 1);
        CHECK(timm_save(l.m, path) == TIMM_OK && batches == 6 * (1 + (float)run), "%g batches: %s", batches, timm_message(l.ctx));
        timm_trainer_close(l.t);
    }
    timm_close(l.ctx);
}

static void count(void *user, const timm_progress *p)
{
    int *seen = user;
    seen[p->phase[0] == 'v']++;
    CHECK(p->batch >= 1 && p->batch <= p->batches && isfinite(p->loss), "%s %lld of %lld", p->phase, (long long)p->batch, (long long)p->batches);
}

TEST(trainer_epochs)
{
    const char *const options[] = { "dataset", "idx", "data-dir", made_idx(44, 20, 4), "batch-size", "8", "epochs", "2", "model-ema", "true", NULL };
    loop l = begin(options);
    timm_epoch e = { 0 };
    timm_metrics now, average;
    int seen[2] = { 0, 0 };
    timm_trainer_progress(l.t, count, seen);
    for (int i = 0; i < 2; i++) {
        CHECK(timm_trainer_epoch(l.t, &e) && e.epoch == i && e.train_loss > 0, "%s", timm_message(l.ctx));
        CHECK(timm_trainer_end_epoch(l.t, 0) == TIMM_OK, "%s", timm_message(l.ctx));
    }
    CHECK(timm_trainer_validate(l.t, false, &now) == TIMM_OK && timm_trainer_validate(l.t, true, &average) == TIMM_OK, "%s", timm_message(l.ctx));
    CHECK(seen[0] == 10 && seen[1] == 6 && timm_trainer_updates(l.t) == 10, "%d batches, %d, %lld updates", seen[0], seen[1],
          (long long)timm_trainer_updates(l.t));
    CHECK(now.images == 20 && average.images == 20 && now.loss != average.loss && timm_trainer_classes(l.t) == 4
          && !strcmp(timm_trainer_class(l.t, 3), "3") && !timm_trainer_class(l.t, 4), "validation");
    CHECK(!*timm_trainer_folder(l.t), "a folder of no run");
    end(&l);
}

/* h = 31 h + byte over the pixels of the one image, as timm's create_transform makes them of chelsea.png: is_training with no_aug (of
 * any shape: squashed), and evaluation, of an image of the input's own size too. */
TEST(trainer_pixels_as_timm)
{
    static const struct { int64_t size[2]; bool train; const char *interpolation; uint32_t hash; } cases[] = {
        { { 32, 48 }, true, "bicubic", 1673782892 }, { { 32, 48 }, true, "bilinear", 803891578 }, { { 300, 451 }, false, "bicubic", 3306112886 },
    };
    char dir[1200], folder[1400], image[1500];
    snprintf(dir, sizeof dir, "%s", test_temp("one-image"));
    for (int i = 0; i < 3; i++) {
        snprintf(folder, sizeof folder, "%s%s", dir, i == 0 ? "" : i == 1 ? "/train" : "/train/cat");
        mkdir(folder, 0777);
    }
    snprintf(image, sizeof image, "%s/1.png", folder);
    CHECK(!symlink(test_data("data/chelsea.png"), image), "%s", image);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loop l = { .ctx = timm_open(&(timm_open_opts){ .threads = 1 }) };
        l.m = timm_create(l.ctx, "test_resnet", &(timm_model_opts){ .classes = 1, .img_size = { cases[i].size[0], cases[i].size[1] } });
        l.t = timm_trainer_open(l.m);
        const char *const set[] = { "data-dir", dir, "batch-size", "1", "no-aug", "true", "workers", "0", "interpolation", cases[i].interpolation,
                                    "crop-pct", "0.875", cases[i].train ? "val-split" : "train-split", "",
                                    cases[i].train ? "train-split" : "val-split", "train", NULL };
        for (const char *const *p = set; *p; p += 2)
            timm_trainer_set(l.t, p[0], p[1]);
        CHECK(timm_trainer_open_data(l.t) == TIMM_OK, "%s", timm_message(l.ctx));
        loader *from = cases[i].train ? l.t->train_loader : l.t->eval_loader;
        status st = { 0 };
        const batch *b = from && loader_seek(from, 0, 0) ? loader_next(from, &st) : NULL;
        REQUIRE(b && b->height == cases[i].size[0] && b->width == cases[i].size[1], "%s %s", timm_message(l.ctx), st.text);
        uint32_t hash = 0;
        for (int64_t k = 0; k < b->height * b->width * 3; k++)
            hash = 31 * hash + b->pixels[k];
        CHECK(hash == cases[i].hash, "case %zu: other pixels", i);
        end(&l);
    }
}
