/* trainer_mix.c - what --mixup and --cutmix do to the batches of an epoch: a function of the seed, the epoch and the batch. */
#include <stdlib.h>
#include <string.h>
#include "api/trainer.h"
#include "base/random.h"
#include "train/mixup.h"

static mixup_opts options(const timm_trainer *t)
{
    const train_options *o = &t->opts;
    const char *mode = train_text(o, "mixup-mode");
    mixup_opts m = { .mixup = train_number(o, "mixup"), .cutmix = train_number(o, "cutmix"), .prob = train_number(o, "mixup-prob"),
                     .switch_prob = train_number(o, "mixup-switch-prob"),
                     .mode = !strcmp(mode, "elem") ? MIXUP_ELEM : !strcmp(mode, "pair") ? MIXUP_PAIR : MIXUP_BATCH };
    m.minmax = train_numbers(o, "cutmix-minmax", m.part, 2) > 0;
    return m;
}

bool trainer_mixes(const timm_trainer *t)
{
    mixup_opts m = options(t);
    return m.mixup > 0 || m.cutmix > 0 || m.minmax;
}

bool trainer_can_mix(timm_trainer *t)
{
    mixup_opts m = options(t);
    status *st = &t->m->ctx->st;
    int64_t size = train_int(&t->opts, "batch-size");
    if (!trainer_mixes(t))
        return true;
    if (m.minmax && !(train_numbers(&t->opts, "cutmix-minmax", m.part, 2) == 2 && m.part[0] >= 0 && m.part[0] < m.part[1] && m.part[1] <= 1))
        return status_fail(st, TIMM_BAD_ARG, "--cutmix-minmax takes the least and the most part of a side, such as 0.2 0.8, not '%s'",
                           train_text(&t->opts, "cutmix-minmax"));
    return size % 2 == 0 || status_fail(st, TIMM_BAD_ARG, "--mixup and --cutmix mix pairs: an even --batch-size, not %lld", (long long)size);
}

bool trainer_mix(timm_trainer *t, int64_t nth, batch *b)
{
    int64_t n = b->count, h = b->height, w = b->width, off = train_int(&t->opts, "mixup-off-epoch");
    mixup_opts m = options(t);
    if (n > t->mix_room) {
        free(t->blended);
        free(t->mix);
        t->blended = malloc((size_t)(n * h * w * b->channels));
        t->mix = malloc((size_t)n * sizeof *t->mix);
        t->mix_room = t->blended && t->mix ? n : 0;
        if (!t->mix_room)
            return status_fail(&t->m->ctx->st, TIMM_NO_MEMORY, "out of memory mixing %lld images", (long long)n);
    }
    uint64_t seed = (uint64_t)train_int(&t->opts, "seed");
    m.prob = off && t->epoch >= off ? 0 : m.prob;
    mixup_draw(&m, random_bits(random_bits(random_bits(seed, 4), (uint64_t)t->epoch + 1), (uint64_t)nth + 1), n, h, w, t->mix);
    mixup_pixels(b->pixels, n, h, w, b->channels, t->mix, t->blended);
    b->pixels = t->blended;
    return true;
}

/* Smoothed here, mixed or not. */
bool trainer_mix_targets(timm_trainer *t, int64_t n, int64_t classes, float *target)
{
    float *lam = malloc((size_t)n * sizeof *lam), *plain = malloc((size_t)(n * classes) * sizeof *plain);
    bool ok = lam && plain;
    for (int64_t i = 0; ok && i < n; i++)
        lam[i] = t->mix[i].lam;
    if (ok) {
        memcpy(plain, target, (size_t)(n * classes) * sizeof *plain);
        mixup_target(plain, n, classes, lam, t->task == TIMM_REGRESSION ? 0 : train_number(&t->opts, "smoothing"), t->task != TIMM_CLASSIFICATION,
                     target);
    }
    free(lam);
    free(plain);
    return ok || status_fail(&t->m->ctx->st, TIMM_NO_MEMORY, "out of memory mixing %lld targets", (long long)n);
}
