/* resnet.c - ResNet and its relatives: -c/-d/-s/-t stems, Wide, ResNeXt, SE, ECA, anti-aliased, ResNet-RS, pruned.
 *
 * He 2015 (1512.03385), Zagoruyko 2016 (1605.07146), Xie 2016 (1611.05431), Hu 2017 (1709.01507), Wu 2018 (1803.08494),
 * He 2018 (1812.01187: -c, -d), Zhang 2019 (1904.11486: blur), Wang 2019 (1910.03151: ECA), Aflalo 2020 (2002.08258:
 * pruned), Bello 2021 (2103.07579: -RS).  Counterpart: timm/models/resnet.py.
 */
#include "zoo/zoo.h"
#include "zoo/resnet.tags.h"

enum stem { PLAIN, DEEP, TIERED };            /* one 7x7; three 3x3 of w, w, 2 w; of 3/4 w, w, 2 w channels */
enum smooth { NO_AA, BLUR, MEAN };            /* what replaces striding: a blur or a mean */
enum { ALL = 15 };                            /* every stage */

/* Channels that pruning left; the shortcuts tie together the last convolutions of a stage. */
struct pruned { int out[4], width[33][2]; };

struct resnet {
    const char *name;
    int layers[4];
    int channels[4];                          /* of the 3x3s; 0: 64, 128, 256, 512 */
    unsigned bottleneck;                      /* a bit a stage: 1x1-3x3-1x1 that ends 4 times as wide, else 3x3-3x3 */
    enum stem stem;
    int stem_width;                           /* w above; 0: 64 */
    bool avg_down;                            /* pool before the shortcut's 1x1 */
    int groups, base_width;                   /* of bottlenecks; 0: 1 and 64 */
    int se;                                   /* squeeze-and-excite after the last norm, by this reduction; 0: none */
    bool eca;                                 /* or a convolution over the channels' means */
    enum smooth aa;
    bool conv_pool;                           /* the stem's pool is a strided 3x3 */
    bool group_norm;                          /* of 32 groups; else batch norm */
    int reduce_first;                         /* a block's first convolution is narrower by; 0: 1 */
    int down_kernel;                          /* of the shortcut's convolution; 0: 1 */
    const struct pruned *pruned;
};

#include "zoo/resnet_variants.h"

/* How a stage strides: beyond nn_options.output_stride, strides become dilations. */
struct pace { int stride, first_dilation, dilation; };

static tg *norm(nn_scope s, tg *x, const struct resnet *r, bool last)
{
    nn_norm o = { .eps = 1e-5f, .zero_init = last };
    return r->group_norm ? nn_group_norm(s, x, 32, o) : nn_batch_norm(s, x, o);
}

static tg *conv(nn_scope s, tg *x, int out, int k, int stride, int dilation, int groups)
{
    return nn_conv2d(s, x, out, (nn_conv){ .k = k, .stride = stride, .dilation = dilation, .groups = groups,
                                           .pad = (stride - 1 + dilation * (k - 1)) / 2 });
}

/* The 3x3 that may stride: with anti-aliasing at stride 1, and the smoothing does the rest. */
static bool smooths(const struct resnet *r, struct pace p)
{
    return r->aa && (p.stride > 1 || p.first_dilation != p.dilation);
}

static tg *striding(nn_scope s, tg *x, const struct resnet *r, int out, struct pace p, int groups)
{
    return nn_conv2d(s, x, out, (nn_conv){ .k = 3, .stride = smooths(r, p) ? 1 : p.stride, .pad = p.first_dilation,
                                           .dilation = p.first_dilation, .groups = groups });
}

static tg *smooth(tg *x, const struct resnet *r, int stride)
{
    return r->aa == BLUR ? nn_blur_pool(x, 3, stride) : tg_avg_pool(x, (tg_pool){ .k = stride, .stride = stride });
}

/* In the third stage squares of 5, in the fourth of 3. */
static tg *drop_block(nn_scope s, tg *x, int stage)
{
    return stage < 2 ? x : nn_drop_block(at(s, "drop_block"), x, nn_opts(s)->drop_block, stage == 2 ? 5 : 3, stage == 2 ? .25 : 1);
}

static tg *basic(nn_scope s, tg *x, const struct resnet *r, int out, int stage, struct pace p)
{
    x = striding(at(s, "conv1"), x, r, out / (r->reduce_first ? r->reduce_first : 1), p, 1);
    x = tg_relu(drop_block(s, norm(at(s, "bn1"), x, r, false), stage));
    x = smooths(r, p) ? smooth(x, r, p.stride) : x;
    x = conv(at(s, "conv2"), x, out, 3, 1, p.dilation, 1);
    return norm(at(s, "bn2"), x, r, true);
}

static tg *bottleneck(nn_scope s, tg *x, const struct resnet *r, const int width[2], int out, int stage, struct pace p)
{
    x = conv(at(s, "conv1"), x, width[0], 1, 1, 1, 1);
    x = tg_relu(norm(at(s, "bn1"), x, r, false));
    x = striding(at(s, "conv2"), x, r, width[1], p, r->groups ? r->groups : 1);
    x = tg_relu(drop_block(s, norm(at(s, "bn2"), x, r, false), stage));
    x = smooths(r, p) ? smooth(x, r, p.stride) : x;
    x = conv(at(s, "conv3"), x, out, 1, 1, 1, 1);
    return norm(at(s, "bn3"), x, r, true);
}

/* With avg_down the convolution is "downsample.1": timm's Sequential counts the pool, also where there is none to do.
 * A dilated stage pools at stride 1, padded as TensorFlow does, and counts the padding. */
static tg *shortcut(nn_scope s, tg *x, const struct resnet *r, int out, struct pace p)
{
    if (p.stride == 1 && tg_dim(x, 1) == out)
        return x;
    if (!r->avg_down) {
        bool one = !r->down_kernel || (p.stride == 1 && p.dilation == 1);
        x = conv(at(s, "0"), x, out, one ? 1 : r->down_kernel, p.stride, one ? 1 : p.first_dilation, 1);
        return norm(at(s, "1"), x, r, false);
    }
    if (p.dilation > 1)
        x = tg_avg_pool(x, (tg_pool){ .k = 2, .stride = 1, .pad = { 0, 0, 1, 1 } });
    else if (p.stride > 1)
        x = tg_avg_pool(x, (tg_pool){ .k = 2, .stride = p.stride, .ceil = true, .exclude_pad = true });
    return norm(at(s, "2"), conv(at(s, "1"), x, out, 1, 1, 1, 1), r, false);
}

static tg *block(nn_scope s, tg *x, const struct resnet *r, int stage, int number, struct pace p)
{
    int planes = r->channels[stage] ? r->channels[stage] : 64 << stage, groups = r->groups ? r->groups : 1;
    bool neck = r->bottleneck >> stage & 1;
    int full = neck ? planes * 4 : planes, out = r->pruned ? r->pruned->out[stage] : full;
    int wide = planes * (r->base_width ? r->base_width : 64) / 64 * groups;
    int width[2] = { wide / (r->reduce_first ? r->reduce_first : 1), wide };

    tg *y = neck ? bottleneck(s, x, r, r->pruned ? r->pruned->width[number] : width, out, stage, p)
                 : basic(s, x, r, out, stage, p);
    if (r->se)
        y = nn_squeeze_excite(at(s, "se"), y, nn_divisible((double)out / r->se, 8, 0), (nn_se){ 0 });
    if (r->eca)
        y = nn_channel_conv(at(s, "se"), y, full);
    int blocks = r->layers[0] + r->layers[1] + r->layers[2] + r->layers[3];
    y = nn_drop_path(at(s, "drop_path"), y, nn_drop_path_rate(s, number, blocks));
    return tg_relu(tg_add(y, shortcut(at(s, "downsample"), x, r, out, p)));
}

static tg *stem(nn_scope s, tg *x, const struct resnet *r)
{
    int w = r->stem_width ? r->stem_width : 64;
    if (r->stem == PLAIN)
        return conv(s, x, 64, 7, 2, 1, 1);
    x = conv(at(s, "0"), x, r->stem == TIERED ? w / 4 * 3 : w, 3, 2, 1, 1);
    x = conv(at(s, "3"), tg_relu(norm(at(s, "1"), x, r, false)), w, 3, 1, 1, 1);
    return conv(at(s, "6"), tg_relu(norm(at(s, "4"), x, r, false)), 2 * w, 3, 1, 1, 1);
}

static tg *stem_pool(nn_scope s, tg *x, const struct resnet *r)
{
    if (r->conv_pool)
        return tg_relu(norm(at(s, "1"), conv(at(s, "0"), x, (int)tg_dim(x, 1), 3, 2, 1, 1), r, false));
    if (r->aa == MEAN)
        return smooth(x, r, 2);
    x = tg_max_pool(x, (tg_pool){ .k = 3, .stride = r->aa ? 1 : 2, .pad = { 1, 1, 1, 1 } });
    return r->aa ? smooth(x, r, 2) : x;
}

/* Pruning fixed the blocks. */
static bool prunes_as_built(const struct resnet *r)
{
    int blocks = r->layers[0] + r->layers[1] + r->layers[2] + r->layers[3], known = 0;
    while (known < 33 && r->pruned->width[known][0])
        known++;
    return blocks == known;
}

static tg *body(nn_scope s, tg *x, const void *variant)
{
    const struct resnet *r = variant;
    struct pace p = { .stride = 1, .first_dilation = 1, .dilation = 1 };
    int reached = 4, number = 0, limit = nn_opts(s)->output_stride ? nn_opts(s)->output_stride : 32;

    if (r->pruned && !prunes_as_built(r))
        return nn_fail(s, "layers of %s, which is pruned, are not to be chosen", r->name), x;
    x = tg_relu(norm(at(s, "bn1"), stem(at(s, "conv1"), x, r), r, false));
    nn_feature(at(s, "act1"), x);
    x = stem_pool(at(s, "maxpool"), x, r);
    for (int i = 0; i < 4; i++) {
        p.stride = i > 0 && reached < limit ? 2 : 1;
        p.dilation *= i > 0 && reached >= limit ? 2 : 1;
        reached *= p.stride;
        for (int j = 0; j < r->layers[i]; j++) {
            x = block(at(s, "layer%d.%d", i + 1, j), x, r, i, number++, p);
            p = (struct pace){ .stride = 1, .first_dilation = p.dilation, .dilation = p.dilation };
        }
        nn_feature(at(s, "layer%d", i + 1), x);
    }
    return x;
}

static tg *head(nn_scope s, tg *x, const void *variant, timm_head h)
{
    const struct resnet *r = variant;
    if (h.pool == NN_POOL_NONE && h.classes)
        nn_fail(s, "global_pool '' leaves a map; %s takes it with 0 classes only", r->name);
    x = nn_dropout(at(s, "drop"), nn_global_pool(x, h.pool), h.drop_rate);
    return h.classes && !h.pre_logits ? nn_linear(at(s, "fc"), x, h.classes, (nn_lin){ .bias = true }) : x;
}

#define AT(field) offsetof(struct resnet, field)
static const timm_kwarg kwargs[] = {
    { .name = "layers", .kind = TIMM_KW_INTS, .at = AT(layers), .count = 4 },
    { .name = "channels", .kind = TIMM_KW_INTS, .at = AT(channels), .count = 4 },
    { .name = "stem_type", .kind = TIMM_KW_WORD, .at = AT(stem), .words = "|deep|deep_tiered" },
    { .name = "stem_width", .kind = TIMM_KW_INTS, .at = AT(stem_width), .count = 1 },
    { .name = "replace_stem_pool", .kind = TIMM_KW_BOOL, .at = AT(conv_pool) },
    { .name = "avg_down", .kind = TIMM_KW_BOOL, .at = AT(avg_down) },
    { .name = "block_reduce_first", .kind = TIMM_KW_INTS, .at = AT(reduce_first), .count = 1 },
    { .name = "down_kernel_size", .kind = TIMM_KW_INTS, .at = AT(down_kernel), .count = 1 },
    { 0 }
};

const timm_family timm_resnet = {
    .name = "resnet", ZOO_TABLE(variants), ZOO_TAGS(resnet_tags), .body = body, .head = head,
    .stem = "conv1 bn1 maxpool", .blocks = "layer%d.%d", .conv_init = NN_KAIMING_NORMAL_OUT, .kwargs = kwargs,
};
