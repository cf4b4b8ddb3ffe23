/* classify PHOTO WEIGHTS - the likeliest ImageNet class of a photograph by tf_efficientnet_lite0. */
#include <stdio.h>
#include "timm/timm.h"

int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: classify PHOTO WEIGHTS\n"), 2;
    timm_ctx *ctx = timm_open(NULL);
    timm_model *model = timm_create(ctx, "tf_efficientnet_lite0", &(timm_model_opts){ .weights = argv[2] });
    timm_transform how = timm_model_transform(model, false);
    static float pixels[3 * 224 * 224];
    timm_tensor batch = { .rank = 4, .dim = { 1, 3, 224, 224 }, .data = pixels };
    timm_image photo = { 0 }, seen = { 0 };

    timm_image_load(ctx, argv[1], 3, &photo);
    timm_preprocess(ctx, &photo, &how, &seen);
    timm_normalize(ctx, &seen, &how, &batch, 0);
    timm_tensor logits = timm_forward(model, &batch);
    int64_t best = 0, classes = logits.data ? timm_numel(&logits) : 0;
    for (int64_t i = 1; i < classes; i++)
        best = logits.data[i] > logits.data[best] ? i : best;
    if (timm_ctx_status(ctx) == TIMM_OK)
        puts(timm_label("imagenet-1k", best));
    else
        fprintf(stderr, "classify: %s\n", timm_message(ctx));
    timm_image_free(&photo);
    timm_image_free(&seen);
    return timm_close(ctx);
}
