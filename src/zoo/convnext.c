/* convnext.c - ConvNeXt (2201.03545) and ConvNeXt-V2 (2301.00808).  Counterpart: timm/models/convnext.py.
 *
 * A block is a depthwise convolution, a norm over channels and an MLP; small networks keep the MLP as 1x1 convolutions
 * (weights of rank 4), the others permute to NHWC around linear layers.  The numbers are the same, the tensors are not.
 */
#include "zoo/zoo.h"
#include "zoo/convnext.tags.h"

enum stem { PATCH, OVERLAP, TIERED, OVERLAP_ACT };     /* 4x4; two 3x3; first half as wide; activation between */
enum norm { LAYER, RMS, SIMPLE };

struct convnext {
    const char *name;
    int depths[4], dims[4];
    int kernels[4];            /* of the depthwise convolutions; 0: 7 */
    bool conv_mlp;
    bool grn;                  /* global response norm in the MLP, and no layer scale */
    enum stem stem;
    enum norm norm;
    float eps;                 /* 0: 1e-6 */
    bool norm_first;           /* the last norm stands before the pool, not after it */
    int hidden;                /* of the head's MLP; 0: the head is one layer */
    tg_act *act;               /* NULL: gelu */
};

static const struct convnext variants[] = {
    { "convnext_zepto_rms", .depths = { 2, 2, 4, 2 }, .dims = { 32, 64, 128, 256 }, .conv_mlp = true, .norm = SIMPLE },
    { "convnext_zepto_rms_ols", .depths = { 2, 2, 4, 2 }, .dims = { 32, 64, 128, 256 }, .conv_mlp = true,
      .stem = OVERLAP_ACT, .norm = SIMPLE },
    { "convnext_atto", .depths = { 2, 2, 6, 2 }, .dims = { 40, 80, 160, 320 }, .conv_mlp = true },
    { "convnext_atto_ols", .depths = { 2, 2, 6, 2 }, .dims = { 40, 80, 160, 320 }, .conv_mlp = true, .stem = TIERED },
    { "convnext_atto_rms", .depths = { 2, 2, 6, 2 }, .dims = { 40, 80, 160, 320 }, .conv_mlp = true, .norm = RMS },
    { "convnext_femto", .depths = { 2, 2, 6, 2 }, .dims = { 48, 96, 192, 384 }, .conv_mlp = true },
    { "convnext_femto_ols", .depths = { 2, 2, 6, 2 }, .dims = { 48, 96, 192, 384 }, .conv_mlp = true, .stem = TIERED },
    { "convnext_pico", .depths = { 2, 2, 6, 2 }, .dims = { 64, 128, 256, 512 }, .conv_mlp = true },
    { "convnext_pico_ols", .depths = { 2, 2, 6, 2 }, .dims = { 64, 128, 256, 512 }, .conv_mlp = true, .stem = TIERED },
    { "convnext_nano", .depths = { 2, 2, 8, 2 }, .dims = { 80, 160, 320, 640 }, .conv_mlp = true },
    { "convnext_nano_ols", .depths = { 2, 2, 8, 2 }, .dims = { 80, 160, 320, 640 }, .conv_mlp = true, .stem = OVERLAP },
    { "convnext_tiny_hnf", .depths = { 3, 3, 9, 3 }, .dims = { 96, 192, 384, 768 }, .conv_mlp = true,
      .norm_first = true },
    { "convnext_tiny", .depths = { 3, 3, 9, 3 }, .dims = { 96, 192, 384, 768 } },
    { "convnext_small", .depths = { 3, 3, 27, 3 }, .dims = { 96, 192, 384, 768 } },
    { "convnext_base", .depths = { 3, 3, 27, 3 }, .dims = { 128, 256, 512, 1024 } },
    { "convnext_large", .depths = { 3, 3, 27, 3 }, .dims = { 192, 384, 768, 1536 } },
    { "convnext_large_mlp", .depths = { 3, 3, 27, 3 }, .dims = { 192, 384, 768, 1536 }, .hidden = 1536 },
    { "convnext_xlarge", .depths = { 3, 3, 27, 3 }, .dims = { 256, 512, 1024, 2048 } },
    { "convnext_xxlarge", .depths = { 3, 4, 30, 3 }, .dims = { 384, 768, 1536, 3072 }, .eps = 1e-5f },
    { "convnextv2_atto", .depths = { 2, 2, 6, 2 }, .dims = { 40, 80, 160, 320 }, .conv_mlp = true, .grn = true },
    { "convnextv2_femto", .depths = { 2, 2, 6, 2 }, .dims = { 48, 96, 192, 384 }, .conv_mlp = true, .grn = true },
    { "convnextv2_pico", .depths = { 2, 2, 6, 2 }, .dims = { 64, 128, 256, 512 }, .conv_mlp = true, .grn = true },
    { "convnextv2_nano", .depths = { 2, 2, 8, 2 }, .dims = { 80, 160, 320, 640 }, .conv_mlp = true, .grn = true },
    { "convnextv2_tiny", .depths = { 3, 3, 9, 3 }, .dims = { 96, 192, 384, 768 }, .grn = true },
    { "convnextv2_small", .depths = { 3, 3, 27, 3 }, .dims = { 96, 192, 384, 768 }, .grn = true },
    { "convnextv2_base", .depths = { 3, 3, 27, 3 }, .dims = { 128, 256, 512, 1024 }, .grn = true },
    { "convnextv2_large", .depths = { 3, 3, 27, 3 }, .dims = { 192, 384, 768, 1536 }, .grn = true },
    { "convnextv2_huge", .depths = { 3, 3, 27, 3 }, .dims = { 352, 704, 1408, 2816 }, .grn = true },
    { "test_convnext", .depths = { 1, 2, 4, 2 }, .dims = { 24, 32, 48, 64 }, .eps = 1e-5f, .act = tg_gelu_tanh },
    { "test_convnext2", .depths = { 1, 1, 1, 1 }, .dims = { 32, 64, 96, 128 }, .eps = 1e-5f, .act = tg_gelu_tanh },
    { "test_convnext3", .depths = { 1, 1, 1, 1 }, .dims = { 32, 64, 96, 128 }, .kernels = { 7, 5, 5, 3 }, .eps = 1e-5f,
      .act = tg_silu },
};

/* How a stage strides: beyond nn_options.output_stride, strides become dilations. */
struct pace { int stride, first_dilation, dilation; };

/* x / sqrt(var + eps) with the unbiased variance; the mean stays in. */
static tg *simple_norm(nn_scope s, tg *x, int axis, float eps)
{
    double n = (double)tg_dim(x, axis);
    tg *centred = tg_sub(x, tg_mean(x, AXIS(axis)));
    tg *var = tg_affine(tg_mean(tg_mul(centred, centred), AXIS(axis)), n / (n - 1), eps);
    tg *weight = nn_param(at(s, "weight"), SHAPE(tg_dim(x, axis)), (nn_par){ .value = 1 });
    if (axis < tg_rank(x) - 1)
        weight = tg_reshape(weight, SHAPE(1, -1, 1, 1));
    return tg_mul(tg_mul(x, tg_rsqrt(var)), weight);
}

/* Over axis 1 of (n,c,h,w), or over the last axis. */
static tg *norm(nn_scope s, tg *x, const struct convnext *v, bool nchw)
{
    float eps = v->eps > 0 ? v->eps : 1e-6f;
    int axis = nchw ? 1 : tg_rank(x) - 1;
    if (v->norm == SIMPLE)
        return simple_norm(s, x, axis, eps);
    if (v->norm == RMS) {
        tg *weight = nn_param(at(s, "weight"), SHAPE(tg_dim(x, axis)), (nn_par){ .value = 1 });
        return tg_rms_norm(x, weight, axis, eps);
    }
    return nchw ? nn_layer_norm_2d(s, x, (nn_norm){ .eps = eps }) : nn_layer_norm(s, x, (nn_norm){ .eps = eps });
}

static tg *activate(tg *x, const struct convnext *v) { return v->act ? v->act(x) : tg_gelu(x); }

static tg *dense(nn_scope s, tg *x, int out, bool conv)
{
    return conv ? nn_conv2d(s, x, out, (nn_conv){ .bias = true }) : nn_linear(s, x, out, (nn_lin){ .bias = true });
}

/* g = |x| over the image, a number a channel; x + weight x g / (mean of g over channels) + bias. */
static tg *response_norm(nn_scope s, tg *x, bool nchw)
{
    int channels = nchw ? 1 : 3;
    tg_shape row = nchw ? SHAPE(1, -1, 1, 1) : SHAPE(1, 1, 1, -1), c = SHAPE(tg_dim(x, channels));
    tg *g = tg_sqrt(tg_sum(tg_mul(x, x), nchw ? AXIS(2) | AXIS(3) : AXIS(1) | AXIS(2)));
    tg *share = tg_div(g, tg_affine(tg_mean(g, AXIS(channels)), 1, 1e-6));
    tg *scale = tg_mul(share, tg_reshape(nn_param(at(s, "weight"), c, (nn_par){ 0 }), row));
    return tg_add(x, tg_add(tg_mul(x, scale), tg_reshape(nn_param(at(s, "bias"), c, (nn_par){ 0 }), row)));
}

static tg *mlp(nn_scope s, tg *x, const struct convnext *v, int dim)
{
    x = activate(dense(at(s, "fc1"), x, 4 * dim, v->conv_mlp), v);
    if (v->grn)
        x = response_norm(at(s, "grn"), x, v->conv_mlp);
    return dense(at(s, "fc2"), x, dim, v->conv_mlp);
}

static tg *block(nn_scope s, tg *x, const struct convnext *v, int stage, int dilation, double drop)
{
    int dim = v->dims[stage], k = v->kernels[stage] ? v->kernels[stage] : 7;
    tg *y = nn_conv2d(at(s, "conv_dw"), x, dim,
                      (nn_conv){ .k = k, .dilation = dilation, .groups = dim, .auto_pad = true, .bias = true });
    if (!v->conv_mlp)
        y = tg_rearrange(y, "b c h w -> b h w c", NULL, 0);
    y = mlp(at(s, "mlp"), norm(at(s, "norm"), y, v, v->conv_mlp), v, dim);
    if (!v->conv_mlp)
        y = tg_rearrange(y, "b h w c -> b c h w", NULL, 0);
    if (!v->grn) {
        tg *gamma = nn_param(at(s, "gamma"), SHAPE(dim), (nn_par){ .value = 1e-6f });
        y = tg_mul(y, tg_reshape(gamma, SHAPE(1, dim, 1, 1)));
    }
    return tg_add(x, nn_drop_path(at(s, "drop_path"), y, drop));
}

static tg *downsample(nn_scope s, tg *x, const struct convnext *v, int dim, struct pace p)
{
    bool strides = p.stride > 1 || p.first_dilation != p.dilation;
    if (!strides && tg_dim(x, 1) == dim)
        return x;
    return nn_conv2d(at(s, "1"), norm(at(s, "0"), x, v, true), dim,
                     (nn_conv){ .k = strides ? 2 : 1, .stride = p.stride, .dilation = p.first_dilation,
                                .same = p.dilation > 1, .bias = true });
}

static tg *stem(nn_scope s, tg *x, const struct convnext *v)
{
    int dim = v->dims[0], between = v->stem == OVERLAP_ACT;
    nn_conv half = { .k = 3, .stride = 2, .pad = 1, .bias = true };
    if (v->stem == PATCH)
        return norm(at(s, "1"), nn_conv2d(at(s, "0"), x, dim, (nn_conv){ .k = 4, .stride = 4, .bias = true }), v, true);
    x = nn_conv2d(at(s, "0"), x, v->stem == TIERED ? nn_divisible(dim / 2, 8, .9) : dim, half);
    x = nn_conv2d(at(s, "%d", 1 + between), between ? activate(x, v) : x, dim, half);
    return norm(at(s, "%d", 2 + between), x, v, true);
}

static tg *body(nn_scope s, tg *x, const void *variant)
{
    const struct convnext *v = variant;
    struct pace p = { .stride = 1, .first_dilation = 1, .dilation = 1 };
    int blocks = v->depths[0] + v->depths[1] + v->depths[2] + v->depths[3], number = 0;
    int reached = 4, limit = nn_opts(s)->output_stride ? nn_opts(s)->output_stride : 32;

    x = stem(at(s, "stem"), x, v);
    for (int i = 0; i < 4; i++) {
        nn_scope stage = at(s, "stages.%d", i);
        p.stride = i > 0 && reached < limit ? 2 : 1;
        p.dilation *= i > 0 && reached >= limit ? 2 : 1;
        p.first_dilation = p.dilation > 2 ? 2 : 1;
        reached *= p.stride;
        x = downsample(at(stage, "downsample"), x, v, v->dims[i], p);
        for (int j = 0; j < v->depths[i]; j++)
            x = block(at(stage, "blocks.%d", j), x, v, i, p.dilation, nn_drop_path_rate(s, number++, blocks));
        tg *last = v->norm_first && i == 3 ? norm(at(s, "norm_pre"), x, v, true) : x;
        nn_feature(stage, nn_opts(s)->norm_taps ? last : x);
        x = last;
    }
    return x;
}

/* Without a pool the layers become 1x1 convolutions. */
static tg *head(nn_scope s, tg *x, const void *variant, timm_head h)
{
    const struct convnext *v = variant;
    bool map = h.pool == NN_POOL_NONE && !v->norm_first;
    s = at(s, "head");
    if (!v->norm_first && (h.pool == NN_POOL_CATAVGMAX || h.pool == NN_POOL_FASTCATAVGMAX))
        nn_fail(s, "Pooling that changes the pooled width is not supported.");
    if (v->norm_first && h.pool == NN_POOL_NONE && h.classes)
        nn_fail(s, "global_pool '' leaves a map; %s takes it with 0 classes only", v->name);
    x = nn_global_pool(x, h.pool);
    if (!v->norm_first)
        x = norm(at(s, "norm"), x, v, map);
    if (v->hidden)
        x = tg_gelu(dense(at(s, "pre_logits.fc"), x, v->hidden, map));
    x = nn_dropout(at(s, "drop"), x, h.drop_rate);
    return h.classes && !h.pre_logits ? dense(at(s, "fc"), x, h.classes, map) : x;
}

#define AT(field) offsetof(struct convnext, field)
static const timm_kwarg kwargs[] = {
    { .name = "depths", .kind = TIMM_KW_INTS, .at = AT(depths), .count = 4 },
    { .name = "dims", .kind = TIMM_KW_INTS, .at = AT(dims), .count = 4 },
    { .name = "kernel_sizes", .kind = TIMM_KW_INTS, .at = AT(kernels), .count = 4 },
    { .name = "stem_type", .kind = TIMM_KW_WORD, .at = AT(stem), .words = "patch|overlap|overlap_tiered|overlap_act" },
    { .name = "conv_mlp", .kind = TIMM_KW_BOOL, .at = AT(conv_mlp) },
    { 0 }
};

const timm_family timm_convnext = {
    .name = "convnext", ZOO_TABLE(variants), ZOO_TAGS(convnext_tags), .body = body, .head = head,
    .stem = "stem", .blocks = "stages.%d.downsample=0 stages.%d.blocks.%d norm_pre=last", .conv_init = NN_TRUNC_NORMAL,
    .linear_init = NN_TRUNC_NORMAL, .kwargs = kwargs,
};
