/* mobilenetv3.c - MobileNetV3, MobileNetV4, LCNet and FBNetV3: blocks as EfficientNet's, and the last 1x1 after the pool.
 *
 * Howard 2019 (1905.02244), Qin 2024 (2404.10518), Cui 2021 (2109.15099), Dai 2020 (2006.02049).  Counterpart:
 * timm/models/mobilenetv3.py.  The table stands in mobilenetv3_variants.h.
 */
#include "zoo/efficientnet_builder.h"
#include "zoo/mobilenetv3.tags.h"
#include "zoo/mobilenetv3_variants.h"

static tg *body(nn_scope s, tg *x, const void *variant)
{
    const struct effnet *v = variant;
    if (nn_opts(s)->output_stride != 32 && !nn_opts(s)->features_only)
        nn_fail(s, "%s has no output_stride but 32, unless it is built for features alone", v->name);
    return effnet_blocks(s, effnet_stem(s, x, v), v);
}

static bool doubles(nn_pooling p) { return p == NN_POOL_CATAVGMAX || p == NN_POOL_FASTCATAVGMAX; }

/* The pool keeps the map, of one pixel, for the 1x1; without pooling the whole map goes through it. */
static tg *head(nn_scope s, tg *x, const void *variant, timm_head h)
{
    const struct effnet *v = variant;
    nn_pooling pool = h.pool == NN_POOL_DEFAULT ? nn_opts(s)->pool : h.pool;
    if (doubles(pool) != doubles(nn_opts(s)->pool))
        nn_fail(s, "%s: the head conv is sized for the pooled width; pooling cannot change it", v->name);
    if (pool != NN_POOL_NONE) {
        x = nn_global_pool(x, pool);
        x = tg_reshape(x, SHAPE(tg_dim(x, 0), tg_dim(x, 1), 1, 1));
    }
    tg_act *act = v->act ? v->act : tg_relu;
    x = nn_conv2d(at(s, "conv_head"), x, v->features ? v->features : 1280, (nn_conv){ .k = 1, .bias = v->head_bias && !v->head_norm });
    x = v->head_norm ? effnet_norm(at(s, "norm_head"), x, v, act) : act(x);
    if (pool != NN_POOL_NONE)
        x = tg_reshape(x, SHAPE(tg_dim(x, 0), -1));
    x = nn_dropout(at(s, "drop"), x, h.drop_rate);
    if (pool == NN_POOL_NONE && h.classes)
        nn_fail(s, "global_pool '' leaves a map; %s takes it with 0 classes only", v->name);
    return h.classes && !h.pre_logits ? nn_linear(at(s, "classifier"), x, h.classes, (nn_lin){ .bias = true }) : x;
}

const timm_family timm_mobilenetv3 = {
    .name = "mobilenetv3", ZOO_TABLE(variants), ZOO_TAGS(mobilenetv3_tags), .body = body, .head = head,
    .stem = "conv_stem bn1", .blocks = "blocks.%d.%d", .conv_init = NN_EFFICIENTNET_CONV, .linear_init = NN_EFFICIENTNET_LINEAR,
};
