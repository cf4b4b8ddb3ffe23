/* vision_transformer.c - plain Vision Transformers: ViT, CLIP, SigLIP, DINOv2, DeiT-3-like, AIMv2, BEiT-3, FlexiViT and others.
 *
 * Dosovitskiy 2020 (2010.11929), Radford 2021 (2103.00020), Zhai 2023 (2303.15343), Oquab 2023 (2304.07193), Darcet 2023
 * (2309.16588: registers), Touvron 2022 (2203.09795: parallel), Dehghani 2023 (2302.05442: parallel scaling), Liu 2021
 * (2111.09883: norms after), Ye 2024 (2410.05258: differential attention), Fini 2024 (2411.14402), Wang 2022 (2208.10442).
 * Counterpart: timm/models/vision_transformer.py.  The table stands in vision_transformer_variants.h.
 *
 * In the rearrange strings: b batch, n tokens, c channels, h heads or rows, w columns.
 */
#include "zoo/zoo.h"
#include "zoo/vision_transformer.tags.h"

enum block { SERIAL, PARALLEL_THINGS, NORM_AFTER, PARALLEL_SCALING, DIFF_PARALLEL };
enum mlp { MLP, SWIGLU, GLU };                /* fc2 act(fc1); fc2 (act(fc1_g) fc1_x); the same with both in one fc1 */

struct vit {
    const char *name;
    int patch, dim, depth, heads;
    double mlp_ratio;          /* hidden channels over dim; 0: 4 */
    nn_pooling pool;           /* DEFAULT: the class token */
    enum block block;
    enum mlp mlp;
    tg_act *act;               /* NULL: gelu */
    bool rms_norm;             /* instead of layer norm */
    float eps;                 /* of the norms; 0: 1e-6 */
    float layer_scale;         /* initial gamma; 0: no LayerScale */
    int registers;             /* tokens after the class token */
    bool no_class_token, no_embed_class;      /* there is none; it joins after the position embedding */
    bool no_qkv_bias, no_proj_bias;
    bool pre_norm;             /* a norm before the blocks; the patches have no bias then */
    bool embed_norm;           /* a norm of the patches */
    bool no_final_norm, no_fc_norm;           /* no norm at all after the blocks; never after the pool */
    bool qk_norm, scale_attn_norm, scale_mlp_norm;
    bool differential;         /* attention is the difference of two */
    bool pool_prefix;          /* the mean is over all tokens */
    bool dynamic_size;         /* any size; the position grid is resampled */
};

#include "zoo/vision_transformer_variants.h"

/* -- small pieces ---------------------------------------------------------------------------------------------------------------- */

static tg *norm(nn_scope s, tg *x, const struct vit *v)
{
    nn_norm o = { .eps = v->eps > 0 ? v->eps : 1e-6f };
    return v->rms_norm ? nn_rms_norm(s, x, o) : nn_layer_norm(s, x, o);
}

static tg *dense(nn_scope s, tg *x, int out, bool bias) { return nn_linear(s, x, out, (nn_lin){ .bias = bias }); }
static tg *heads(tg *x, int n) { return tg_rearrange(x, "b n (h c) -> b h n c", "h", n); }
static tg *joined(tg *x) { return tg_rearrange(x, "b h n c -> b n (h c)", NULL, 0); }
static tg *act(tg *x, const struct vit *v) { return (v->act ? v->act : tg_gelu)(x); }
static int prefix_tokens(const struct vit *v) { return !v->no_class_token + v->registers; }
static int hidden(const struct vit *v) { return (int)(v->dim * (v->mlp_ratio > 0 ? v->mlp_ratio : 4)); }

static tg *proj_drop(nn_scope s, tg *x) { return nn_dropout(s, x, nn_opts(s)->proj_drop); }

static tg *scaled(nn_scope s, tg *x, const struct vit *v)
{
    return v->layer_scale > 0 ? nn_layer_scale(at(s, "gamma"), x, v->layer_scale) : x;
}

/* -- attention ------------------------------------------------------------------------------------------------------------------- */

static double lambda_start(int depth) { return .8 - .6 * exp(-.3 * depth); }

/* exp(q1 k1) - exp(q2 k2) + its start, one number. */
static tg *lambda(nn_scope s, int64_t n, int depth)
{
    tg *e[2];
    for (int i = 0; i < 2; i++) {
        nn_par o = { .init = NN_NORMAL, .value = .1f };
        tg *q = nn_param(at(s, "lambda_q%d", i + 1), SHAPE(n), o), *k = nn_param(at(s, "lambda_k%d", i + 1), SHAPE(n), o);
        e[i] = tg_exp(tg_sum(tg_mul(q, k), AXIS(0)));
    }
    return tg_affine(tg_sub(e[0], e[1]), 1, lambda_start(depth));
}

/* One of the two halves that each head's channels are made of. */
static tg *half(tg *x, int n, int which)
{
    x = tg_slice(tg_rearrange2(x, "b n (h t c) -> b t h n c", "h", n, "t", 2), 1, which, which + 1);
    return tg_rearrange(x, "b t h n c -> (b t) h n c", NULL, 0);
}

/* q, k, v: (b, n, dim); the result likewise. */
static tg *differential(nn_scope s, tg *q, tg *k, tg *values, const struct vit *v, int depth)
{
    tg *y[2], *value = heads(values, v->heads), *weight = lambda(s, v->dim / v->heads / 2, depth);
    for (int i = 0; i < 2; i++)
        y[i] = nn_attention(at(s, "attn_drop%d", i + 1), half(q, v->heads, i), half(k, v->heads, i), value, NULL, 0, nn_opts(s)->attn_drop);
    tg *x = nn_rms_norm(at(s, "sub_norm"), tg_sub(y[0], tg_mul(y[1], weight)), (nn_norm){ .eps = 1e-5f });
    return joined(tg_affine(x, 1 - lambda_start(depth), 0));
}

static tg *attend(nn_scope s, tg *q, tg *k, tg *values, const struct vit *v)
{
    q = heads(q, v->heads);
    k = heads(k, v->heads);
    if (v->qk_norm) {
        q = norm(at(s, "q_norm"), q, v);
        k = norm(at(s, "k_norm"), k, v);
    }
    return joined(nn_attention(at(s, "attn_drop"), q, k, heads(values, v->heads), NULL, 0, nn_opts(s)->attn_drop));
}

static tg *attention(nn_scope s, tg *x, const struct vit *v, int depth)
{
    tg *qkv = dense(at(s, "qkv"), x, 3 * v->dim, !v->no_qkv_bias), *t[3];
    for (int i = 0; i < 3; i++)
        t[i] = tg_slice(qkv, 2, i * v->dim, (i + 1) * v->dim);
    x = v->differential ? differential(s, t[0], t[1], t[2], v, depth) : attend(s, t[0], t[1], t[2], v);
    if (v->scale_attn_norm)
        x = norm(at(s, "norm"), x, v);
    return proj_drop(at(s, "proj_drop"), dense(at(s, "proj"), x, v->dim, !v->no_proj_bias));
}

static tg *mlp(nn_scope s, tg *x, const struct vit *v)
{
    int n = hidden(v);
    bool bias = !v->no_proj_bias;
    if (v->mlp == SWIGLU) {
        tg *gate = dense(at(s, "fc1_g"), x, n, bias);
        x = tg_mul(act(gate, v), dense(at(s, "fc1_x"), x, n, bias));
    } else {
        x = dense(at(s, "fc1"), x, n, bias);
        x = v->mlp == GLU ? tg_mul(act(tg_slice(x, 2, 0, n / 2), v), tg_slice(x, 2, n / 2, n)) : act(x, v);
    }
    x = proj_drop(at(s, "drop1"), x);
    if (v->scale_mlp_norm)
        x = norm(at(s, "norm"), x, v);
    return proj_drop(at(s, "drop2"), dense(at(s, "fc2"), x, v->dim, bias));
}

/* -- blocks ---------------------------------------------------------------------------------------------------------------------- */

static tg *serial(nn_scope s, tg *x, const struct vit *v, int depth)
{
    double drop = nn_drop_path_rate(s, depth, v->depth);
    tg *y = attention(at(s, "attn"), norm(at(s, "norm1"), x, v), v, depth);
    x = tg_add(x, nn_drop_path(at(s, "drop_path1"), scaled(at(s, "ls1"), y, v), drop));
    y = mlp(at(s, "mlp"), norm(at(s, "norm2"), x, v), v);
    return tg_add(x, nn_drop_path(at(s, "drop_path2"), scaled(at(s, "ls2"), y, v), drop));
}

static tg *norm_after(nn_scope s, tg *x, const struct vit *v, int depth)
{
    double drop = nn_drop_path_rate(s, depth, v->depth);
    tg *y = norm(at(s, "norm1"), attention(at(s, "attn"), x, v, depth), v);
    x = tg_add(x, nn_drop_path(at(s, "drop_path1"), y, drop));
    y = norm(at(s, "norm2"), mlp(at(s, "mlp"), x, v), v);
    return tg_add(x, nn_drop_path(at(s, "drop_path2"), y, drop));
}

static tg *parallel_things(nn_scope s, tg *x, const struct vit *v, int depth)
{
    double drop = nn_drop_path_rate(s, depth, v->depth);
    tg *sum = x;
    for (int i = 0; i < 2; i++) {
        nn_scope a = at(s, "attns.%d", i);
        tg *y = attention(at(a, "attn"), norm(at(a, "norm"), x, v), v, depth);
        sum = tg_add(sum, nn_drop_path(at(a, "drop_path"), scaled(at(a, "ls"), y, v), drop));
    }
    x = sum;
    for (int i = 0; i < 2; i++) {
        nn_scope f = at(s, "ffns.%d", i);
        tg *y = mlp(at(f, "mlp"), norm(at(f, "norm"), x, v), v);
        sum = tg_add(sum, nn_drop_path(at(f, "drop_path"), scaled(at(f, "ls"), y, v), drop));
    }
    return sum;
}

/* Attention and MLP side by side from one projection: hidden, q, k, v. */
static tg *parallel(nn_scope s, tg *x, const struct vit *v, int depth)
{
    int n = hidden(v), d = v->dim;
    bool diff = v->block == DIFF_PARALLEL;
    tg *y = dense(at(s, "in_proj"), norm(at(s, "in_norm"), x, v), n + 3 * d, !v->no_qkv_bias), *t[3];
    for (int i = 0; i < 3; i++)
        t[i] = tg_slice(y, 2, n + i * d, n + (i + 1) * d);
    y = tg_slice(y, 2, 0, n);
    if (v->no_qkv_bias)
        y = tg_add(y, nn_param(at(s, "mlp_bias"), SHAPE(n), (nn_par){ 0 }));
    y = proj_drop(at(s, "mlp_drop"), act(y, v));
    tg *a = diff ? differential(s, t[0], t[1], t[2], v, depth) : attend(s, t[0], t[1], t[2], v);
    if (diff)
        y = dense(at(s, "out_proj"), tg_concat(2, a, y), d, !v->no_proj_bias);
    else
        y = tg_add(dense(at(s, "attn_out_proj"), a, d, !v->no_proj_bias), dense(at(s, "mlp_out_proj"), y, d, !v->no_proj_bias));
    return tg_add(x, nn_drop_path(at(s, "drop_path"), scaled(at(s, "ls"), y, v), nn_drop_path_rate(s, depth, v->depth)));
}

static tg *(*const blocks[])(nn_scope s, tg *x, const struct vit *v, int depth) = {
    [SERIAL] = serial, [PARALLEL_THINGS] = parallel_things, [NORM_AFTER] = norm_after, [PARALLEL_SCALING] = parallel,
    [DIFF_PARALLEL] = parallel,
};

/* -- patches and positions ------------------------------------------------------------------------------------------------------- */

static nn_pooling pool_at_creation(nn_scope s, const struct vit *v)
{
    nn_pooling asked = nn_opts(s)->pool, own = v->pool == NN_POOL_DEFAULT ? NN_POOL_TOKEN : v->pool;
    return asked == NN_POOL_DEFAULT ? own : asked;
}

/* timm moves the last norm behind a mean or maximum over tokens. */
static bool norm_is_last(nn_scope s, const struct vit *v)
{
    nn_pooling p = pool_at_creation(s, v);
    return !v->no_fc_norm && (p == NN_POOL_AVG || p == NN_POOL_MAX || p == NN_POOL_AVGMAX);
}

static void check_size(nn_scope s, const tg *x, const struct vit *v, bool dynamic)
{
    static const char *const side[] = { "height", "width" };
    for (int i = 0; i < 2; i++) {
        long long n = tg_dim(x, 2 + i), want = nn_opts(s)->img_size[i];
        if (!dynamic && n != want)
            nn_fail(s, "Input %s (%lld) doesn't match model (%lld).", side[i], n, want);
        else if (dynamic && n % v->patch)
            nn_fail(s, "Input %s (%lld) should be divisible by patch size (%d).", side[i], n, v->patch);
    }
}

static tg *patches(nn_scope s, tg *x, const struct vit *v)
{
    x = nn_conv2d(at(s, "proj"), x, v->dim, (nn_conv){ .k = v->patch, .stride = v->patch, .bias = !v->pre_norm,
                                                       .refit = NN_RESAMPLE_PATCH });
    x = tg_rearrange(x, "b c h w -> b (h w) c", NULL, 0);
    return v->embed_norm ? norm(at(s, "norm"), x, v) : x;
}

/* The learned grid of positions, h x w of them; prefix: tokens that have one before the grid. */
static tg *positions(nn_scope s, const struct vit *v, int64_t h, int64_t w, int prefix)
{
    int64_t rows = nn_opts(s)->img_size[0] / v->patch, cols = nn_opts(s)->img_size[1] / v->patch;
    tg *pos = nn_param(at(s, "pos_embed"), SHAPE(1, prefix + rows * cols, v->dim),
                       (nn_par){ .init = NN_TRUNC_NORMAL, .value = .02f, .no_decay = true, .refit = NN_RESAMPLE_GRID,
                                 .prefix = prefix, .grid = { rows, cols } });
    if (rows == h && cols == w)
        return pos;
    tg *grid = tg_rearrange(tg_slice(pos, 1, prefix, prefix + rows * cols), "b (h w) c -> b c h w", "h", rows);
    grid = tg_rearrange(tg_resize(grid, h, w, TG_BICUBIC, true), "b c h w -> b (h w) c", NULL, 0);
    return prefix ? tg_concat(1, tg_slice(pos, 1, 0, prefix), grid) : grid;
}

static tg *with_tokens(nn_scope s, tg *x, const struct vit *v)
{
    nn_par o = { .init = NN_NORMAL, .value = 1e-6f, .no_decay = true };
    if (v->registers)
        x = tg_concat(1, nn_param(at(s, "reg_token"), SHAPE(1, v->registers, v->dim), o), x);
    return v->no_class_token ? x : tg_concat(1, nn_param(at(s, "cls_token"), SHAPE(1, 1, v->dim), o), x);
}

static tg *body(nn_scope s, tg *x, const void *variant)
{
    const struct vit *v = variant;
    bool dynamic = v->dynamic_size || nn_opts(s)->dynamic_img_size, last = norm_is_last(s, v);
    int64_t h = tg_dim(x, 2) / v->patch, w = tg_dim(x, 3) / v->patch;
    int prefix = prefix_tokens(v);

    if (nn_opts(s)->output_stride != 32)
        nn_fail(s, "%s has no output_stride", v->name);
    check_size(s, x, v, dynamic);
    x = patches(at(s, "patch_embed"), x, v);
    x = v->no_embed_class ? with_tokens(s, tg_add(x, positions(s, v, h, w, 0)), v)
                          : tg_add(with_tokens(s, x, v), positions(s, v, h, w, prefix));
    x = nn_dropout(at(s, "pos_drop"), x, nn_opts(s)->pos_drop);
    x = nn_patch_dropout(at(s, "patch_drop"), x, prefix, nn_opts(s)->patch_drop);
    if (v->pre_norm)
        x = norm(at(s, "norm_pre"), x, v);
    for (int i = 0; i < v->depth; i++) {
        nn_scope b = at(s, "blocks.%d", i);
        x = blocks[v->block](b, x, v, i);
        if (tg_dim(x, 1) != prefix + h * w)          /* some patches are left out: no map */
            continue;
        tg *map = nn_opts(s)->norm_taps && !v->no_final_norm && !last ? norm(at(s, "norm"), x, v) : x;
        nn_feature(b, tg_rearrange(tg_slice(map, 1, prefix, tg_dim(map, 1)), "b (h w) c -> b c h w", "h", h));
    }
    return v->no_final_norm || last ? x : norm(at(s, "norm"), x, v);
}

/* -- head ------------------------------------------------------------------------------------------------------------------------ */

/* One learned query attends to all tokens, and an MLP follows (SigLIP). */
static tg *attention_pool(nn_scope s, tg *x, const struct vit *v)
{
    int d = v->dim;
    tg *latent = nn_param(at(s, "latent"), SHAPE(1, 1, d), (nn_par){ .init = NN_TRUNC_NORMAL, .value = 1 / sqrtf((float)d) });
    tg *q = dense(at(s, "q"), tg_expand(latent, SHAPE(tg_dim(x, 0), 1, d)), d, true), *kv = dense(at(s, "kv"), x, 2 * d, true);
    tg *y = tg_attention(heads(q, v->heads), heads(tg_slice(kv, 2, 0, d), v->heads), heads(tg_slice(kv, 2, d, 2 * d), v->heads),
                         NULL, 0);
    y = dense(at(s, "proj"), joined(y), d, true);
    nn_scope m = at(s, "mlp");
    tg *z = act(dense(at(m, "fc1"), norm(at(s, "norm"), y, v), hidden(v), true), v);
    y = tg_add(y, dense(at(m, "fc2"), z, d, true));
    return tg_rearrange(y, "b n c -> b (n c)", NULL, 0);
}

static tg *pooled(nn_scope s, tg *x, const struct vit *v, nn_pooling pool)
{
    int from = v->pool_prefix ? 0 : prefix_tokens(v);
    tg *all = tg_slice(x, 1, from, tg_dim(x, 1)), *y = NULL;
    switch (pool) {
    case NN_POOL_NONE:
        return x;
    case NN_POOL_TOKEN:
        if (v->no_class_token)
            nn_fail(s, "Token pooling needs the class token.");
        y = tg_slice(x, 1, 0, 1);
        break;
    case NN_POOL_AVG:
        y = tg_mean(all, AXIS(1));
        break;
    case NN_POOL_MAX:
        y = tg_amax(all, AXIS(1));
        break;
    case NN_POOL_AVGMAX:
        y = tg_affine(tg_add(tg_amax(all, AXIS(1)), tg_mean(all, AXIS(1))), .5, 0);
        break;
    case NN_POOL_MAP:
        if (pool_at_creation(s, v) != NN_POOL_MAP)
            nn_fail(s, "Cannot currently add attention pooling in reset_classifier().");
        return attention_pool(at(s, "attn_pool"), all, v);
    default:
        nn_fail(s, "Only avg, avgmax, max, token, map pooling (or none) is supported.");
        return x;
    }
    return tg_rearrange(y, "b n c -> b (n c)", NULL, 0);
}

static tg *head(nn_scope s, tg *x, const void *variant, timm_head h)
{
    const struct vit *v = variant;
    x = pooled(s, x, v, h.pool == NN_POOL_DEFAULT ? pool_at_creation(s, v) : h.pool);
    if (!v->no_final_norm && norm_is_last(s, v))
        x = norm(at(s, "fc_norm"), x, v);
    x = nn_dropout(at(s, "head_drop"), x, h.drop_rate);
    return h.classes && !h.pre_logits ? dense(at(s, "head"), x, h.classes, true) : x;
}

#define AT(field) offsetof(struct vit, field)
static const timm_kwarg kwargs[] = {
    { .name = "patch_size", .kind = TIMM_KW_INTS, .at = AT(patch), .count = 1 },
    { .name = "embed_dim", .kind = TIMM_KW_INTS, .at = AT(dim), .count = 1 },
    { .name = "depth", .kind = TIMM_KW_INTS, .at = AT(depth), .count = 1 },
    { .name = "num_heads", .kind = TIMM_KW_INTS, .at = AT(heads), .count = 1 },
    { 0 }
};

const timm_family timm_vision_transformer = {
    .name = "vision_transformer", ZOO_TABLE(variants), ZOO_TAGS(vision_transformer_tags), .body = body, .head = head,
    .stem = "cls_token reg_token pos_embed patch_embed norm_pre", .blocks = "blocks.%d norm=last", .linear_init = NN_TRUNC_NORMAL, .default_taps = 3,
    .kwargs = kwargs,
};
