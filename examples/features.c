/* features MODEL - the feature maps of a network, as a detector or a segmenter would take them. */
#include <stdio.h>
#include <stdlib.h>
#include "timm/timm.h"

int main(int argc, char **argv)
{
    timm_ctx *ctx = timm_open(NULL);
    timm_model *model = timm_create(ctx, argc > 1 ? argv[1] : "resnet18", NULL), *taps = timm_features(model, NULL);
    timm_transform how = timm_model_transform(model, false);
    timm_tensor image = { .rank = 4, .dim = { 1, how.input_size[0], how.input_size[1], how.input_size[2] } }, maps[64];

    image.data = calloc((size_t)timm_numel(&image) + 1, sizeof *image.data);
    if (taps && image.data && timm_feature_count(taps) <= 64 && timm_forward_intermediates(taps, &image, maps) == TIMM_OK)
        for (int i = 0; i < timm_feature_count(taps); i++) {
            timm_feature_info f = timm_get_feature_info(taps, i);
            printf("%-10s %5lld channels, 1/%d: %lld x %lld\n", f.module, (long long)f.channels, f.reduction,
                   (long long)maps[i].dim[2], (long long)maps[i].dim[3]);
        }
    if (timm_ctx_status(ctx) != TIMM_OK)
        fprintf(stderr, "features: %s\n", timm_message(ctx));
    free(image.data);
    return timm_close(ctx);
}
