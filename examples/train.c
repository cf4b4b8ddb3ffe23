/* train MODEL [CHECKPOINT] - a training loop of one's own: a network learns to tell upright stripes from level ones. */
#include <stdio.h>
#include <stdlib.h>
#include "timm/train.h"

enum { IMAGES = 16, SIZE = 32, STEPS = 40 };
static float pixels[IMAGES * SIZE * SIZE], truth[IMAGES * 2];
static const timm_tensor image = { .rank = 4, .dim = { IMAGES, 1, SIZE, SIZE }, .data = pixels };
static const timm_tensor target = { .rank = 2, .dim = { IMAGES, 2 }, .data = truth };

/* Image i is of class i % 2: stripes under noise. */
static void draw_batch(void)
{
    for (int i = 0; i < IMAGES; i++) {
        truth[2 * i] = (float)(i % 2 == 0);
        truth[2 * i + 1] = (float)(i % 2 == 1);
        for (int k = 0; k < SIZE * SIZE; k++)
            pixels[i * SIZE * SIZE + k] = (float)((i % 2 ? k / SIZE : k % SIZE) / 4 % 2) + (float)(rand() % 100) / 50 - 1;
    }
}

int main(int argc, char **argv)
{
    timm_ctx *ctx = timm_open(NULL);
    timm_model *model = timm_create(ctx, argc > 1 ? argv[1] : "test_vit",
                                    &(timm_model_opts){ .classes = 2, .in_chans = 1, .img_size = { SIZE, SIZE } });
    timm_trainer *trainer = timm_trainer_open(model);
    double loss = 0;
    int right = 0;

    timm_trainer_set(trainer, "opt", "adamw");
    timm_trainer_set(trainer, "sched", "constant");
    timm_trainer_set(trainer, "warmup-epochs", "0");
    timm_trainer_set(trainer, "lr", "0.001");
    for (int step = 0; step < STEPS && timm_ctx_status(ctx) == TIMM_OK; step++) {
        draw_batch();
        timm_train_forward(trainer, &image);
        timm_train_loss(trainer, &target, &loss);
        timm_train_backward(trainer);
        timm_optimizer_step(trainer);
        if (step % 10 == 9)
            printf("step %2d: loss %.3f\n", step, loss);
    }
    draw_batch();                                        /* images it has not seen */
    timm_tensor logits = timm_forward(model, &image);
    for (int i = 0; logits.data && i < IMAGES; i++)
        right += (logits.data[2 * i + 1] > logits.data[2 * i]) == (i % 2 == 1);
    if (argc > 2)
        timm_trainer_save(trainer, argv[2]);
    if (timm_ctx_status(ctx) == TIMM_OK)
        printf("%d of %d right\n", right, IMAGES);
    else
        fprintf(stderr, "train: %s\n", timm_message(ctx));
    timm_trainer_close(trainer);
    return timm_close(ctx);
}
