/* fuzz_checkpoint.c - the checkpoint of a run, changed anywhere: it is loaded or refused, and what was loaded is a run. */
#include "altered.h"
#include "api/trainer.h"

static timm_trainer *open_trainer(timm_ctx *ctx, const char *const *option)
{
    timm_model *m = timm_create(ctx, "test_convnext", &(timm_model_opts){ .classes = 3 });
    timm_trainer *t = timm_trainer_open(m);
    for (; *option; option += 2)
        timm_trainer_set(t, option[0], option[1]);
    demand(t && timm_ctx_status(ctx) == TIMM_OK);
    return t;
}

/* A plateau schedule and an average have state of their own; --no-resume-opt begins them anew. */
static const char *const whole[] = { "opt", "sgd", "sched", "plateau", "model-ema", "true", NULL };
static const char *const anew[] = { "opt", "adamw", "no-resume-opt", "true", "model-ema", "true", NULL };

/* One byte chooses the trainer, the others are changes. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static timm_ctx *ctx;
    static timm_trainer *trainer[2];
    static altered *good;
    input in = { bytes, size };
    if (!ctx) {
        ctx = timm_open(&(timm_open_opts){ .threads = 1, .backend = "cpu" });
        trainer[0] = open_trainer(ctx, whole);
        trainer[1] = open_trainer(ctx, anew);
        trainer[0]->n_best = 2;
        trainer[0]->best[2] = 1;
        demand(timm_trainer_save(trainer[0], scratch_path("good")) == TIMM_OK);
        good = altered_of(scratch_path("good"));
    }
    timm_trainer *t = trainer[input_byte(&in) & 1];
    if (!altered_write(good, &in, scratch_path("altered")))
        return 0;
    if (timm_trainer_load(t, scratch_path("altered")) == TIMM_OK) {
        demand(t->updates >= 0 && t->epoch >= 0 && t->batch >= 0 && t->passes >= 0 && t->loss_count >= 0);
        demand(t->n_best >= 0 && t->n_best <= TRAIN_HISTORY);
        for (int i = 0; i < t->n_best; i++)
            demand(t->best[2 * i + 1] >= 0 && t->best[2 * i + 1] < 9e15);
        demand(timm_trainer_lr(t) == timm_trainer_lr(t));
    }
    timm_clear(ctx);
    return 0;
}
