/* segments_test.c - gradient checkpointing: less memory, the same bytes. */
#include <stdlib.h>
#include <string.h>
#include "api/trainer.h"
#include "base/random.h"
#include "plan/plan.h"
#include "test.h"

typedef struct subject { const char *model; int64_t size, batch; float drop, path, attn; double most; bool parts; } subject;    /* parts: in bf16x6 too */

/* What two passes leave: loss, logits, gradients, running statistics, one after the other; and what a pass holds but gradients. */
typedef struct outcome { float *all; int64_t n; size_t held; } outcome;

static void append(outcome *o, const float *v, int64_t n)
{
    float *more = realloc(o->all, (size_t)(o->n + n + 1) * sizeof *more);
    REQUIRE(more, "out of memory");
    o->all = more;
    memcpy(o->all + o->n, v, (size_t)n * sizeof *v);
    o->n += n;
}

static void run(const subject *s, const char *precision, const char *on, outcome *o)
{
    timm_ctx *ctx = timm_open(NULL);
    timm_model *m = timm_create(ctx, s->model, &(timm_model_opts){ .drop_rate = s->drop, .drop_path = s->path, .attn_drop = s->attn,
                                .proj_drop = s->attn, .classes = 10, .precision = precision, .img_size = { s->size, s->size } });
    timm_trainer *t = timm_trainer_open(m);
    int64_t n = s->batch * 3 * s->size * s->size;
    float *pixels = malloc((size_t)n * sizeof *pixels), *target = calloc((size_t)s->batch * 10, sizeof *target);
    double loss = 0;
    for (int64_t i = 0; i < n; i++)
        pixels[i] = (float)(random_uniform(11, (uint64_t)i + 1) * 4 - 2);
    for (int64_t i = 0; i < s->batch; i++)
        target[i * 10 + i % 10] = 1;
    timm_trainer_set(t, "grad-checkpointing", on);
    timm_tensor x = { .rank = 4, .dim = { s->batch, 3, s->size, s->size }, .data = pixels };
    timm_tensor y = { .rank = 2, .dim = { s->batch, 10 }, .data = target };
    for (int pass = 0; pass < 2; pass++) {               /* masks of the second differ, and it is from other statistics */
        timm_backward(t, &x, &y, &loss);
        REQUIRE(timm_ctx_status(ctx) == TIMM_OK, "%s: %s", s->model, timm_message(ctx));
        timm_tensor logits = timm_trainer_logits(t);
        append(o, &(float){ (float)loss }, 1);
        append(o, logits.data, timm_numel(&logits));
        for (int i = 0; i < t->params; i++)
            if (t->gradient[i])
                append(o, trainer_gradient(t, i), tg_numel(t->param[i]->shape));
        for (int i = 0; i < t->buffers; i++)
            append(o, t->buffer[i]->owned, tg_numel(t->buffer[i]->shape));
    }
    o->held = plan_arena_bytes(t->plan);
    for (int i = 0; i < t->params; i++)
        o->held -= t->gradient[i] ? (size_t)tg_numel(t->param[i]->shape) * sizeof(float) : 0;
    free(pixels);
    free(target);
    timm_trainer_close(t);
    timm_close(ctx);
}

static void compare(subject s)
{
    static const char *const precisions[] = { "fp32", "bf16x6" };
    for (int i = 0; i < (s.parts ? 2 : 1); i++) {
        outcome plain = { 0 }, again = { 0 };
        run(&s, precisions[i], "false", &plain);
        run(&s, precisions[i], "true", &again);
        CHECK(plain.n == again.n && !memcmp(plain.all, again.all, (size_t)plain.n * sizeof *plain.all), "%s, %s: other numbers", s.model,
              precisions[i]);
        /* In bf16x6 there is more scratch to pack in, which stays. */
        CHECK((double)again.held <= (i ? (1 + s.most) / 2 : s.most) * (double)plain.held, "%s, %s: %zu bytes, of %zu without", s.model, precisions[i],
              again.held, plain.held);
        free(plain.all);
        free(again.all);
    }
}

/* Less memory, and the same bytes. */
TEST(checkpointing_of_resnet) { compare((subject){ "resnet26d", 64, 8, .2f, .2f, 0, .85, false }); }
TEST(checkpointing_of_vision_transformer) { compare((subject){ "vit_tiny_patch16_224", 96, 8, .1f, .2f, .1f, .25, true }); }
TEST(checkpointing_of_efficientnet)              /* without, its normed maps are not kept either */
{
    compare((subject){ "efficientnet_lite0", 64, 16, .2f, .2f, 0, .75, false });
}
TEST(checkpointing_of_mobilenetv3) { compare((subject){ "mobilenetv3_small_050", 64, 16, .2f, .2f, 0, .8, true }); }
TEST(checkpointing_of_convnext) { compare((subject){ "convnextv2_atto", 64, 8, .1f, .3f, 0, .65, true }); }
TEST(checkpointing_of_swin_transformer) { compare((subject){ "swin_tiny_patch4_window7_224", 112, 3, .1f, .2f, .1f, .55, false }); }
