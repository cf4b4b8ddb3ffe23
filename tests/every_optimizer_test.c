/* every_optimizer_test.c - all names over a real model; adahessian's estimate against differences of gradients. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "api/trainer.h"
#include "base/random.h"
#include "test.h"

enum { N = 4, SIDE = 32, CLASSES = 10 };

typedef struct loop { timm_ctx *ctx; timm_model *m; timm_trainer *t; timm_tensor x, y; float pixels[N * 3 * SIDE * SIDE], truth[N * CLASSES]; } loop;

static void begin(loop *l, const char *model, const char *opt)
{
    memset(l, 0, sizeof *l);
    l->ctx = timm_open(&(timm_open_opts){ .threads = 1 });
    l->m = timm_create(l->ctx, model, &(timm_model_opts){ .classes = CLASSES, .img_size = { SIDE, SIDE } });
    l->t = timm_trainer_open(l->m);
    timm_trainer_set(l->t, "opt", opt);
    timm_trainer_set(l->t, "lr", "1e-3");
    timm_trainer_set(l->t, "warmup-epochs", "0");
    for (int i = 0; i < N * 3 * SIDE * SIDE; i++)
        l->pixels[i] = (float)(random_uniform(8, (uint64_t)i + 1) * 4 - 2);
    for (int i = 0; i < N; i++)
        l->truth[i * CLASSES + i] = 1;
    l->x = (timm_tensor){ .rank = 4, .dim = { N, 3, SIDE, SIDE }, .data = l->pixels };
    l->y = (timm_tensor){ .rank = 2, .dim = { N, CLASSES }, .data = l->truth };
}

static double pass(loop *l)
{
    double loss = NAN;
    timm_backward(l->t, &l->x, &l->y, &loss);
    return loss;
}

static void end(loop *l)
{
    timm_trainer_close(l->t);
    timm_close(l->ctx);
}

TEST(every_optimizer_moves_a_real_model)
{
    static loop l;
    static const char *const models[] = { "test_resnet", "test_vit" };
    int names = 0;
    for (const char *const *name = timm_list_optimizers(); *name; name++, names++) {
        begin(&l, models[names % 2], *name);
        const char *watched = names % 2 ? "blocks.1.attn.qkv.weight" : "fc.weight";
        double first = pass(&l), last = first;
        timm_tensor g = timm_gradient(l.t, watched);
        int64_t n = timm_numel(&g);
        float *before = malloc((size_t)n * sizeof *before), *after = malloc((size_t)n * sizeof *after);
        timm_param_read(l.m, watched, before, (size_t)n);
        for (int k = 0; k < 2; k++) {
            timm_optimizer_step(l.t);
            last = pass(&l);
        }
        timm_param_read(l.m, watched, after, (size_t)n);
        CHECK(timm_ctx_status(l.ctx) == TIMM_OK && isfinite(last) && fabs(last) < 20 * first, "%s: loss %g, then %g; %s", *name, first,
              last, timm_message(l.ctx));
        CHECK(memcmp(before, after, (size_t)n * sizeof *after) != 0 && trainer_finite(after, n), "%s leaves %s at %g, %g", *name, watched,
              (double)before[0], (double)after[0]);
        free(before);
        free(after);
        end(&l);
    }
    CHECK(names > 80, "%d names", names);
}

/* Adds scale z to all that is trained; z as the trainer draws it in its pass number `update`. */
static void shift(loop *l, uint64_t update, float scale)
{
    float key[NN_KEY_SIZE];
    nn_key_of(42, update, key);
    uint64_t bits = 0;
    for (int i = 0; i < NN_KEY_SIZE; i++)
        bits |= (uint64_t)key[i] << (16 * i);
    for (int i = 0; i < l->t->params; i++) {
        const nn_entry *e = l->t->param[i];
        uint64_t site = hash_name(e->name) ^ hash_name("hessian");
        for (int64_t k = 0; k < tg_numel(e->shape) && l->t->gradient[i]; k++)
            e->owned[k] += random_bits(bits ^ site, (uint64_t)k + 1) >> 63 ? -scale : scale;
    }
}

/* The sum of |h| over a parameter, and of z (g(p + e z) - g(p - e z)) / 2 e, element by element. */
TEST(adahessian_sees_the_hessian)
{
    static loop l;
    const float e = 1e-4f;
    begin(&l, "test_vit", "adahessian");
    pass(&l);
    REQUIRE(timm_ctx_status(l.ctx) == TIMM_OK && l.t->curves == l.t->params, "%s", timm_message(l.ctx));
    int compared = 0, all = l.t->params;
    float **h = calloc((size_t)all, sizeof *h), **g = calloc((size_t)all, sizeof *g);
    double worst = 0, most = 0;
    for (int i = 0; i < all; i++)
        if (l.t->gradient[i]) {
            size_t bytes = (size_t)tg_numel(l.t->param[i]->shape) * sizeof **h;
            h[i] = memcpy(malloc(bytes), trainer_gradient(l.t, all + i), bytes);
            g[i] = malloc(bytes);
        }
    shift(&l, 0, e);
    pass(&l);
    for (int i = 0; i < all; i++)
        if (h[i])
            memcpy(g[i], trainer_gradient(l.t, i), (size_t)tg_numel(l.t->param[i]->shape) * sizeof **g);
    shift(&l, 0, -2 * e);
    pass(&l);
    for (int i = 0; i < all; i++) {
        uint64_t n = h[i] ? (uint64_t)tg_numel(l.t->param[i]->shape) : 0;
        const float *low = h[i] ? trainer_gradient(l.t, i) : NULL;
        for (uint64_t k = 0; k < n; k++, compared++) {
            double slope = fabs((double)g[i][k] - (double)low[k]) / (2 * (double)e);
            worst = fmax(worst, fabs(slope - fabs((double)h[i][k])));
            most = fmax(most, slope);
        }
        free(h[i]);
        free(g[i]);
    }
    CHECK(compared > 100000 && most > 0 && worst < 2e-2 * most, "%d numbers: up to %g, off by up to %g", compared, most, worst);
    free(h);
    free(g);
    end(&l);
}
