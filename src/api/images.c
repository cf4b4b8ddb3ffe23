/* images.c - photographs in, pixels and numbers out: timm.h's image functions over io/ and data/. */
#include <stdlib.h>
#include <string.h>
#include "api/context.h"
#include "data/resize_image.h"
#include "data/transform.h"
#include "io/image.h"

timm_status timm_image_load(timm_ctx *ctx, const char *path, int channels, timm_image *out)
{
    if (!ctx)
        return TIMM_BAD_ARG;
    *out = (timm_image){ 0 };
    if (status_ok(&ctx->st))
        image_load(path, channels, out, &ctx->st);
    return ctx->st.code;
}

timm_status timm_image_decode(timm_ctx *ctx, const void *bytes, size_t size, int channels, timm_image *out)
{
    if (!ctx)
        return TIMM_BAD_ARG;
    *out = (timm_image){ 0 };
    if (status_ok(&ctx->st))
        image_decode(&(image_source){ .bytes = bytes, .size = size, .name = "image", .channels = channels }, out, &ctx->st);
    return ctx->st.code;
}

timm_status timm_image_save(timm_ctx *ctx, const char *path, const timm_image *image, bool chw)
{
    if (!ctx)
        return TIMM_BAD_ARG;
    if (status_ok(&ctx->st))
        image_save(path, image, chw, &ctx->st);
    return ctx->st.code;
}

timm_status timm_image_resize(timm_ctx *ctx, const timm_image *in, int width, int height, const char *filter, const double box[4],
                              timm_image *out)
{
    resize_how how = { .width = width, .height = height, .box = box };
    if (!ctx)
        return TIMM_BAD_ARG;
    *out = (timm_image){ 0 };
    if (status_ok(&ctx->st) && resize_filter_named(filter, &how.filter, &ctx->st))
        resize_image(in, &how, out, &ctx->st);
    return ctx->st.code;
}

void timm_image_free(timm_image *image) { image_free(image); }

timm_status timm_preprocess(timm_ctx *ctx, const timm_image *in, const timm_transform *how, timm_image *out)
{
    if (!ctx)
        return TIMM_BAD_ARG;
    *out = (timm_image){ 0 };
    if (status_ok(&ctx->st))
        transform_eval(in, how, out, &ctx->st);
    return ctx->st.code;
}

timm_status timm_normalize(timm_ctx *ctx, const timm_image *in, const timm_transform *how, timm_tensor *batch, int64_t n)
{
    if (!ctx)
        return TIMM_BAD_ARG;
    if (!status_ok(&ctx->st))
        return ctx->st.code;
    if (batch->rank != 4 || !batch->data || n < 0 || n >= batch->dim[0] || batch->dim[1] != in->channels
        || batch->dim[2] != in->height || batch->dim[3] != in->width)
        status_fail(&ctx->st, TIMM_SHAPE, "image %lld of %d x %d x %d does not fit the batch (%lld, %lld, %lld, %lld)", (long long)n,
                    in->channels, in->height, in->width, (long long)batch->dim[0], (long long)batch->dim[1],
                    (long long)batch->dim[2], (long long)batch->dim[3]);
    else
        transform_normalize(in, how->mean, how->std, batch->data + n * batch->dim[1] * batch->dim[2] * batch->dim[3], &ctx->st);
    return ctx->st.code;
}
