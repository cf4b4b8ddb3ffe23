/* tour_test.c - the first steps of a timm user, in C, with what timm 1.0.31 answers (counts: of the six families here). */
#include <stdlib.h>
#include <string.h>
#include "test.h"
#include "timm/timm.h"

static timm_tensor image(int channels, int size)
{
    timm_tensor x = { .rank = 4, .dim = { 1, channels, size, size } };
    x.data = calloc((size_t)timm_numel(&x), sizeof *x.data);
    return x;
}

static void has_shape(const char *what, const timm_tensor *t, int rank, const int64_t *dim)
{
    bool same = t->rank == rank && t->data;
    for (int i = 0; i < rank && same; i++)
        same = t->dim[i] == dim[i];
    CHECK(same, "%s: rank %d, (%lld, %lld, %lld, %lld)", what, t->rank, (long long)t->dim[0], (long long)t->dim[1],
          (long long)t->dim[2], (long long)t->dim[3]);
}
#define HAS(what, t, ...) has_shape(what, &(t), sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), (int64_t[]){ __VA_ARGS__ })

static bool listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (!strcmp(*names, name))
            return true;
    return false;
}

TEST(tour_1_names)
{
    timm_ctx *ctx = timm_open(NULL);
    size_t n;
    const char *const *all = timm_list_models(ctx, NULL, &n);
    CHECK(n == 432 && !strcmp(all[0], "aimv2_1b_patch14_224"), "%zu models, first %s", n, all[0]);
    const char *const *weights = timm_list_models(ctx, &(timm_list_opts){ .pretrained = true }, &n);
    CHECK(n == 743 && !strcmp(weights[0], "aimv2_1b_patch14_224.apple_pt"), "%zu with weights, first %s", n, weights[0]);
    CHECK(!listed(weights, "resnet50") && listed(weights, "resnet50.a1_in1k"), "tags of resnet50");
    CHECK(timm_is_pretrained("resnet50") && timm_is_pretrained("resnet101"), "resnet50 and resnet101 have weights");
    const char *filter[] = { "*resnet*", NULL };
    const char *const *resnets = timm_list_models(ctx, &(timm_list_opts){ .filters = filter }, &n);
    CHECK(n == 62 && !strcmp(resnets[0], "ecaresnet26t") && !strcmp(resnets[1], "ecaresnet50d"), "%zu, first %s", n, resnets[0]);
    CHECK(!timm_close(ctx), "failed");
}

TEST(tour_2_classify)
{
    timm_ctx *ctx = timm_open(NULL);
    timm_tensor x = image(3, 224), one = image(1, 224), y;
    y = timm_forward(timm_create(ctx, "mobilenetv3_large_100", NULL), &x);
    HAS("mobilenetv3_large_100", y, 1, 1000);
    y = timm_forward(timm_create(ctx, "resnet50", NULL), &x);
    HAS("resnet50", y, 1, 1000);
    y = timm_forward(timm_create(ctx, "resnet50", &(timm_model_opts){ .classes = 10 }), &x);
    HAS("own classes", y, 1, 10);
    y = timm_forward(timm_create(ctx, "resnet50", &(timm_model_opts){ .in_chans = 1 }), &one);
    HAS("one channel", y, 1, 1000);
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    timm_close(ctx);
    free(x.data);
    free(one.data);
}

TEST(tour_3_features)
{
    timm_ctx *ctx = timm_open(NULL);
    timm_tensor x = image(3, 224), one = image(1, 224), maps[8], f;
    timm_model *gray = timm_create(ctx, "resnet50", &(timm_model_opts){ .in_chans = 1 });
    timm_model *some = timm_features(gray, &(timm_feature_opts){ .out_indices = (int[]){ 1, 3, 4 }, .count = 3 });
    REQUIRE(some && timm_feature_count(some) == 3, "%s", timm_message(ctx));
    timm_forward_intermediates(some, &one, maps);
    HAS("level 1", maps[0], 1, 256, 56, 56);
    HAS("level 3", maps[1], 1, 1024, 14, 14);
    HAS("level 4", maps[2], 1, 2048, 7, 7);
    timm_model *model = timm_create(ctx, "resnet50", NULL), *all = timm_features(model, NULL);
    REQUIRE(all && timm_feature_count(all) == 5, "%s", timm_message(ctx));
    timm_forward_intermediates(all, &x, maps);
    static const int channels[] = { 64, 256, 512, 1024, 2048 }, reduction[] = { 2, 4, 8, 16, 32 };
    static const char *const module[] = { "act1", "layer1", "layer2", "layer3", "layer4" };
    for (int i = 0; i < 5; i++) {
        timm_feature_info info = timm_get_feature_info(all, i);
        HAS(module[i], maps[i], 1, channels[i], 224 / reduction[i], 224 / reduction[i]);
        CHECK(info.channels == channels[i] && info.reduction == reduction[i] && !strcmp(info.module, module[i]), "%s %lld %d",
              info.module, (long long)info.channels, info.reduction);
    }
    f = timm_forward_features(model, &x);
    HAS("last features", f, 1, 2048, 7, 7);
    timm_model *vit = timm_create(ctx, "vit_base_patch16_224", NULL);
    f = timm_forward_features(vit, &x);
    HAS("tokens", f, 1, 197, 768);
    timm_tensor kept = f;
    kept.data = malloc((size_t)timm_numel(&f) * sizeof *f.data);
    memcpy(kept.data, f.data, (size_t)timm_numel(&f) * sizeof *f.data);
    f = timm_forward_head(vit, &kept, true);
    HAS("pre_logits", f, 1, 768);
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    timm_close(ctx);
    free(kept.data);
    free(x.data);
    free(one.data);
}

TEST(tour_4_heads)
{
    timm_ctx *ctx = timm_open(NULL);
    timm_tensor x = image(3, 224), y;
    y = timm_forward(timm_create(ctx, "resnet50", &(timm_model_opts){ .classes = -1, .global_pool = "" }), &x);
    HAS("no pool, no head", y, 1, 2048, 7, 7);
    timm_model *model = timm_create(ctx, "resnet50", &(timm_model_opts){ .classes = -1 });
    y = timm_forward(model, &x);
    HAS("no head", y, 1, 2048);
    timm_reset_classifier(model, 0, "");
    y = timm_forward(model, &x);
    HAS("reset_classifier(0, '')", y, 1, 2048, 7, 7);
    timm_reset_classifier(model, 0, "avg");
    y = timm_forward(model, &x);
    HAS("reset_classifier(0)", y, 1, 2048);
    timm_reset_classifier(model, 10, "avg");
    y = timm_forward(model, &x);
    HAS("reset_classifier(10)", y, 1, 10);
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    timm_close(ctx);
    free(x.data);
}
