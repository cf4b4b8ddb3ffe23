/* efficientnet.c - EfficientNet and the networks described the same way: MobileNetV1/V2, MnasNet, MixNet, FBNet, EdgeTPU, TinyNet.
 *
 * Tan 2019 (1905.11946), Tan 2021 (2104.00298); the others are named in efficientnet_builder.c.  Counterpart:
 * timm/models/efficientnet.py.  The table stands in efficientnet_variants.h.
 */
#include "zoo/efficientnet_builder.h"
#include "zoo/efficientnet.tags.h"
#include "zoo/efficientnet_variants.h"

static tg *body(nn_scope s, tg *x, const void *variant)
{
    const struct effnet *v = variant;
    x = effnet_blocks(s, effnet_stem(s, x, v), v);
    if (v->features < 0)
        return x;
    x = nn_conv2d(at(s, "conv_head"), x, v->features ? v->features : 1280, (nn_conv){ .k = 1 });
    return effnet_norm(at(s, "bn2"), x, v, v->act ? v->act : tg_relu);
}

static tg *head(nn_scope s, tg *x, const void *variant, timm_head h)
{
    const struct effnet *v = variant;
    if (h.pool == NN_POOL_NONE && h.classes)
        nn_fail(s, "global_pool '' leaves a map; %s takes it with 0 classes only", v->name);
    x = nn_dropout(at(s, "drop"), nn_global_pool(x, h.pool), h.drop_rate);
    return h.classes && !h.pre_logits ? nn_linear(at(s, "classifier"), x, h.classes, (nn_lin){ .bias = true }) : x;
}

const timm_family timm_efficientnet = {
    .name = "efficientnet", ZOO_TABLE(variants), ZOO_TAGS(efficientnet_tags), .body = body, .head = head,
    .stem = "conv_stem bn1", .blocks = "blocks.%d.%d conv_head=last bn2=last", .conv_init = NN_EFFICIENTNET_CONV, .linear_init = NN_EFFICIENTNET_LINEAR,
};
