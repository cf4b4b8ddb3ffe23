/* narrow_train_test.c - training with maps and their gradients in memory as bfloat16, by emulated instructions for it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "api/trainer.h"
#include "backend/cpu/gemm.h"
#include "figures.h"
#include "test.h"
#include "timm/timm.h"
#include "timm/train.h"

extern const gemm_vec gemm_bf16_emulated_dot;
enum { SIZE = 96, BATCH = 4, CLASSES = 10, STEPS = 4 };

typedef struct trained {
    float *gradient;                /* of the first step, all parameters' */
    int64_t n;
    double loss[STEPS];
    int narrow;
    size_t arena;
} trained;

static void draw(int k, float *pixels, float *truth)
{
    for (int i = 0; i < BATCH * 3 * SIZE * SIZE; i++)
        pixels[i] = (float)sin((double)i * (.11 + .013 * (i / (SIZE * SIZE))) + k);
    for (int i = 0; i < BATCH * CLASSES; i++)
        truth[i] = i % CLASSES == (i / CLASSES * 3 + k) % CLASSES;
}

static void keep_gradients(const timm_trainer *t, trained *o)
{
    for (int i = 0; i < t->params; i++)
        o->n += t->gradient[i] ? tg_numel(plan_output(t->plan, t->gradient[i])->shape) : 0;
    float *to = o->gradient = malloc((size_t)o->n * sizeof *o->gradient);
    for (int i = 0; i < t->params && to; i++)
        if (t->gradient[i]) {
            const tg_tensor *from = plan_output(t->plan, t->gradient[i]);
            memcpy(to, from->data, (size_t)tg_numel(from->shape) * sizeof *to);
            to += tg_numel(from->shape);
        }
}

static trained train(const char *name, const char *precision, const char *without, int threads)
{
    static float pixels[BATCH * 3 * SIZE * SIZE], truth[BATCH * CLASSES];
    trained o = { 0 };
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = threads, .without = without });
    timm_model *m = timm_create(ctx, name, &(timm_model_opts){ .img_size = { SIZE, SIZE }, .classes = CLASSES, .precision = precision,
                                                               .fill = figures_fill });
    timm_trainer *t = timm_trainer_open(m);
    timm_trainer_set(t, "opt", "momentum");
    timm_trainer_set(t, "lr", "0.02");
    timm_tensor x = { .rank = 4, .dim = { BATCH, 3, SIZE, SIZE }, .data = pixels }, y = { .rank = 2, .dim = { BATCH, CLASSES }, .data = truth };
    for (int k = 0; k < STEPS; k++) {
        draw(k, pixels, truth);
        timm_backward(t, &x, &y, &o.loss[k]);
        if (!k && timm_ctx_status(ctx) == TIMM_OK)
            keep_gradients(t, &o);
        timm_optimizer_step(t);
    }
    CHECK(timm_ctx_status(ctx) == TIMM_OK && o.gradient, "%s: %s", name, timm_message(ctx));
    if (o.gradient) {
        const plan_step *step;
        o.arena = plan_arena_bytes(t->plan);
        for (int i = plan_steps(t->plan, &step); i-- > 0;)
            o.narrow += step[i].call.out.dtype == TG_BFLOAT;
    }
    timm_trainer_close(t);
    timm_close(ctx);
    return o;
}

static double off(const trained *a, const trained *b)
{
    double sum = 0, size = 0;
    for (int64_t i = 0; i < a->n && i < b->n; i++) {
        sum += (double)(a->gradient[i] - b->gradient[i]) * (double)(a->gradient[i] - b->gradient[i]);
        size += (double)b->gradient[i] * (double)b->gradient[i];
    }
    return sqrt(sum / size);
}

/* Maps are rounded once more on their way through memory: gradients are hardly further off fp32 than for what products round. */
TEST(narrow_maps_in_training)
{
    static const struct { const char *name; int least; double arena; } models[] = {
        { "test_resnet", 40, .75 }, { "test_efficientnet", 40, .75 }, { "test_convnext", 20, .9 }, { "test_vit", 20, .95 },
    };
    const gemm_vec *was = gemm_exchange(TG_BF16, &gemm_bf16_emulated_dot);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const char *name = models[i].name;
        trained exact = train(name, "fp32", NULL, 1), wide = train(name, "bf16", "narrow", 1), narrow = train(name, "bf16", NULL, 1);
        trained again = train(name, "bf16", NULL, 2);
        REQUIRE(exact.gradient && wide.gradient && narrow.gradient && again.gradient, "%s", name);
        CHECK(again.n == narrow.n && !memcmp(again.gradient, narrow.gradient, (size_t)narrow.n * sizeof *narrow.gradient)
              && !memcmp(again.loss, narrow.loss, sizeof again.loss), "%s: other numbers on two threads", name);
        CHECK(narrow.narrow >= models[i].least && !wide.narrow && !exact.narrow, "%s: %d results are narrow, %d and %d", name, narrow.narrow,
              wide.narrow, exact.narrow);
        CHECK((double)narrow.arena < models[i].arena * (double)wide.arena, "%s: %zu bytes, of %zu", name, narrow.arena, wide.arena);
        const double rounding = off(&wide, &exact), both = off(&narrow, &exact);
        CHECK(rounding > 0 && both > 0 && both <= 1.5 * rounding, "%s: gradients are %.3g off, %.3g with wide maps", name, both, rounding);
        for (int k = 0; k < STEPS; k++) {
            const double by = fabs(narrow.loss[k] - exact.loss[k]), usual = fabs(wide.loss[k] - exact.loss[k]);
            CHECK(by <= .01 * fabs(exact.loss[k]), "%s, step %d: a loss of %.5f, not %.5f; %.2g off with wide maps", name, k, narrow.loss[k],
                  exact.loss[k], usual);
        }
        free(exact.gradient);
        free(wide.gradient);
        free(narrow.gradient);
        free(again.gradient);
    }
    gemm_exchange(TG_BF16, was);
}

/* Where products do not round, nothing does. */
TEST(bf16_without_instructions_for_it_trains_as_fp32)
{
    static const char *const names[] = { "test_resnet", "test_efficientnet", "test_convnext", "test_vit" };
    const gemm_vec *was = gemm_exchange(TG_BF16, gemm_for(TG_FP32));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        trained exact = train(names[i], "fp32", NULL, 1), same = train(names[i], "bf16", NULL, 1);
        REQUIRE(exact.gradient && same.gradient, "%s: no gradients", names[i]);
        CHECK(!same.narrow && !memcmp(same.loss, exact.loss, sizeof same.loss), "%s: %d results are narrow", names[i], same.narrow);
        CHECK(!memcmp(same.gradient, exact.gradient, (size_t)same.n * sizeof *same.gradient), "%s: other gradients", names[i]);
        free(exact.gradient);
        free(same.gradient);
    }
    gemm_exchange(TG_BF16, was);
}
