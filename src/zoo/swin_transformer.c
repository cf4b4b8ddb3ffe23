/* swin_transformer.c - Swin Transformer (2103.14030) and the searched Swin-S3 (2111.14725).
 * Counterpart: timm/models/swin_transformer.py.
 *
 * Attention within windows, in every second block within windows shifted by half.  Maps are (batch, height, width,
 * channels) from the patches to the pool.  In the rearrange strings: g windows, t tokens of a window.  The bias and the
 * mask of a block depend on parameters and sizes only, so a plan holds them ready made.
 */
#include "zoo/zoo.h"
#include "zoo/swin_transformer.tags.h"

enum { PATCH = 4, WIDEST = 14 };                 /* of the windows below */

struct swin {
    const char *name;
    int dim, depths[4], heads[4];
    int windows[4];            /* a side; 0: 7 */
};

static const struct swin variants[] = {
    { "swin_tiny_patch4_window7_224", .dim = 96, .depths = { 2, 2, 6, 2 }, .heads = { 3, 6, 12, 24 } },
    { "swin_small_patch4_window7_224", .dim = 96, .depths = { 2, 2, 18, 2 }, .heads = { 3, 6, 12, 24 } },
    { "swin_base_patch4_window7_224", .dim = 128, .depths = { 2, 2, 18, 2 }, .heads = { 4, 8, 16, 32 } },
    { "swin_base_patch4_window12_384", .dim = 128, .depths = { 2, 2, 18, 2 }, .heads = { 4, 8, 16, 32 },
      .windows = { 12, 12, 12, 12 } },
    { "swin_large_patch4_window7_224", .dim = 192, .depths = { 2, 2, 18, 2 }, .heads = { 6, 12, 24, 48 } },
    { "swin_large_patch4_window12_384", .dim = 192, .depths = { 2, 2, 18, 2 }, .heads = { 6, 12, 24, 48 },
      .windows = { 12, 12, 12, 12 } },
    { "swin_s3_tiny_224", .dim = 96, .depths = { 2, 2, 6, 2 }, .heads = { 3, 6, 12, 24 }, .windows = { 7, 7, 14, 7 } },
    { "swin_s3_small_224", .dim = 96, .depths = { 2, 2, 18, 2 }, .heads = { 3, 6, 12, 24 },
      .windows = { 14, 14, 14, 7 } },
    { "swin_s3_base_224", .dim = 96, .depths = { 2, 2, 30, 2 }, .heads = { 3, 6, 12, 24 }, .windows = { 7, 7, 14, 7 } },
};

/* A block's windows and how far they are shifted, both by height and width. */
struct window { int64_t size[2], shift[2]; };

static tg *norm(nn_scope s, tg *x)           { return nn_layer_norm(s, x, (nn_norm){ .eps = 1e-5f }); }
static tg *dense(nn_scope s, tg *x, int out) { return nn_linear(s, x, out, (nn_lin){ .bias = true }); }

/* Row t * n + u of pairs (t, u) of window tokens: how far apart they are along one axis, from 0 up. */
static tg *distance(tg *x, const int64_t size[2], int axis)
{
    float ramp[WIDEST];
    for (int i = 0; i < WIDEST; i++)
        ramp[i] = (float)i;
    int64_t n = size[0] * size[1];
    tg *where = tg_const(x, axis ? SHAPE(1, size[1]) : SHAPE(size[0], 1), ramp);
    where = tg_expand(where, SHAPE(size[0], size[1]));
    tg *apart = tg_sub(tg_reshape(where, SHAPE(n, 1)), tg_reshape(where, SHAPE(1, n)));
    return tg_affine(apart, 1, (double)size[axis] - 1);
}

/* (1, heads, n, n): a learned number a head for every distance between two tokens. */
static tg *position_bias(nn_scope s, tg *x, int heads, const int64_t size[2])
{
    int64_t n = size[0] * size[1];
    tg *table = nn_param(at(s, "relative_position_bias_table"), SHAPE((2 * size[0] - 1) * (2 * size[1] - 1), heads),
                         (nn_par){ .init = NN_TRUNC_NORMAL, .value = .02f, .refit = NN_RESAMPLE_REL_POS,
                                   .grid = { size[0], size[1] }, .no_decay = true });
    tg *index = tg_add(tg_affine(distance(x, size, 0), 2 * (double)size[1] - 1, 0), distance(x, size, 1));
    return tg_reshape(tg_rearrange(tg_gather(table, index), "t u h -> h t u", NULL, 0), SHAPE(1, heads, n, n));
}

/* (b, H, W, c) -> (b windows, tokens, c) and back. */
static tg *partition(tg *x, const int64_t size[2])
{
    return tg_rearrange2(x, "b (gh h) (gw w) c -> (b gh gw) (h w) c", "h", size[0], "w", size[1]);
}

static tg *merge(tg *x, const int64_t size[2], int64_t height, int64_t width)
{
    int64_t c = tg_dim(x, 2), across = width / size[1];
    x = tg_rearrange(tg_reshape(x, SHAPE(-1, across, size[0], size[1] * c)), "r g h k -> r h g k", NULL, 0);
    return tg_reshape(x, SHAPE(-1, height, width, c));
}

/* After a shift three bands meet along an axis of n: what stays apart gets another number. */
static tg *bands(tg *x, int64_t n, int64_t size, int64_t shift, int axis)
{
    int64_t length[3] = { shift ? n - size : n, shift ? size - shift : 0, shift };
    tg *band[3];
    int count = 0;
    for (int i = 0; i < 3; i++)
        if (length[i])
            band[count++] = tg_full(x, axis == 1 ? SHAPE(1, length[i], 1, 1) : SHAPE(1, 1, length[i], 1), i);
    return tg_concat_all(axis, band, count);
}

/* (windows, 1, n, n): -100 between tokens that only the shift brought into one window. */
static tg *mask(tg *x, const struct window *w)
{
    int64_t n = w->size[0] * w->size[1];
    tg *region = tg_add(tg_affine(bands(x, tg_dim(x, 1), w->size[0], w->shift[0], 1), 3, 0),
                        bands(x, tg_dim(x, 2), w->size[1], w->shift[1], 2));
    region = partition(region, w->size);
    tg *apart = tg_abs(tg_sub(region, tg_reshape(region, SHAPE(-1, 1, n))));
    return tg_reshape(tg_affine(tg_greater(apart, tg_full(x, SHAPE(1, 1, 1), .5)), -100, 0), SHAPE(-1, 1, n, n));
}

/* Windows are images; where they have masks, there is a bias for each of an image's windows. */
static tg *attention(nn_scope s, tg *x, int heads, const struct window *w)
{
    int64_t height = tg_dim(x, 1), width = tg_dim(x, 2);
    int dim = (int)tg_dim(x, 3);
    tg *bias = position_bias(s, x, heads, w->size), *t[3];

    if (w->shift[0] || w->shift[1])
        bias = tg_add(mask(x, w), bias);
    tg *qkv = dense(at(s, "qkv"), partition(x, w->size), 3 * dim);
    for (int i = 0; i < 3; i++)
        t[i] = tg_rearrange(tg_slice(qkv, 2, i * dim, (i + 1) * dim), "b t (h d) -> b h t d", "h", heads);
    x = nn_attention(at(s, "attn_drop"), t[0], t[1], t[2], bias, 0, nn_opts(s)->attn_drop);
    x = dense(at(s, "proj"), tg_rearrange(x, "b h t d -> b t (h d)", NULL, 0), dim);
    return merge(nn_dropout(at(s, "proj_drop"), x, nn_opts(s)->proj_drop), w->size, height, width);
}

/* Grows the map at the bottom and on the right to multiples of (h, w). */
static tg *pad_to_multiple(tg *x, int64_t h, int64_t w)
{
    tg_pads p = { .after = { 0, (h - tg_dim(x, 1) % h) % h, (w - tg_dim(x, 2) % w) % w } };
    return p.after[1] || p.after[2] ? tg_pad(x, p) : x;
}

static tg *roll(tg *x, int64_t down, int64_t right)
{
    x = down ? tg_roll(x, 1, down) : x;
    return right ? tg_roll(x, 2, right) : x;
}

/* Shifts, then pads to whole windows; the padding takes part in the attention, as in timm. */
static tg *window_attention(nn_scope s, tg *x, int heads, const struct window *w)
{
    int64_t height = tg_dim(x, 1), width = tg_dim(x, 2);
    x = pad_to_multiple(roll(x, -w->shift[0], -w->shift[1]), w->size[0], w->size[1]);
    x = attention(s, x, heads, w);
    if (tg_dim(x, 1) != height || tg_dim(x, 2) != width)
        x = tg_slice(tg_slice(x, 1, 0, height), 2, 0, width);
    return roll(x, w->shift[0], w->shift[1]);
}

static tg *block(nn_scope s, tg *x, int heads, const struct window *w, double drop)
{
    int dim = (int)tg_dim(x, 3);
    double proj = nn_opts(s)->proj_drop;
    tg *y = window_attention(at(s, "attn"), norm(at(s, "norm1"), x), heads, w);
    x = tg_add(x, nn_drop_path(at(s, "drop_path1"), y, drop));
    y = tg_gelu(dense(at(s, "mlp.fc1"), norm(at(s, "norm2"), x), 4 * dim));
    y = dense(at(s, "mlp.fc2"), nn_dropout(at(s, "mlp.drop1"), y, proj), dim);
    return tg_add(x, nn_drop_path(at(s, "drop_path2"), nn_dropout(at(s, "mlp.drop2"), y, proj), drop));
}

static tg *patch_merging(nn_scope s, tg *x)
{
    int dim = (int)tg_dim(x, 3);
    x = tg_rearrange2(pad_to_multiple(x, 2, 2), "b (h p) (w q) c -> b h w (q p c)", "p", 2, "q", 2);
    return nn_linear(at(s, "reduction"), norm(at(s, "norm"), x), 2 * dim, (nn_lin){ 0 });
}

static tg *patch_embed(nn_scope s, tg *x, int dim)
{
    static const char *const side[2] = { "height", "width" };
    for (int i = 0; i < 2; i++) {
        long long is = tg_dim(x, 2 + i), made = nn_opts(s)->img_size[i];
        if (nn_opts(s)->dynamic_img_size && is % PATCH)
            nn_fail(s, "Input %s (%lld) should be divisible by patch size (%d).", side[i], is, PATCH);
        else if (!nn_opts(s)->dynamic_img_size && is != made)
            nn_fail(s, "Input %s (%lld) doesn't match model (%lld).", side[i], is, made);
    }
    x = nn_conv2d(at(s, "proj"), x, dim, (nn_conv){ .k = PATCH, .stride = PATCH, .bias = true, .refit = NN_RESAMPLE_PATCH });
    return norm(at(s, "norm"), tg_rearrange(x, "b c h w -> b h w c", NULL, 0));
}

/* A window no smaller than the map it was made for is the whole map, and does not shift. */
static struct window window_of(const int64_t map[2], int side, bool shifted)
{
    struct window w;
    for (int i = 0; i < 2; i++) {
        w.size[i] = map[i] > side ? side : map[i] ? map[i] : 1;      /* no map: the image is refused, but not for this */
        w.shift[i] = shifted && map[i] > side ? side / 2 : 0;
    }
    return w;
}

static tg *body(nn_scope s, tg *x, const void *variant)
{
    const struct swin *v = variant;
    int64_t map[2] = { nn_opts(s)->img_size[0] / PATCH, nn_opts(s)->img_size[1] / PATCH };

    int blocks = v->depths[0] + v->depths[1] + v->depths[2] + v->depths[3], number = 0;

    if (nn_opts(s)->output_stride != 32)
        nn_fail(s, "%s has no output_stride", v->name);
    x = patch_embed(at(s, "patch_embed"), x, v->dim);
    for (int i = 0; i < 4; i++) {
        nn_scope stage = at(s, "layers.%d", i);
        if (i > 0) {
            x = patch_merging(at(stage, "downsample"), x);
            map[0] = (map[0] + 1) / 2;
            map[1] = (map[1] + 1) / 2;
        }
        for (int j = 0; j < v->depths[i]; j++) {
            struct window w = window_of(map, v->windows[i] ? v->windows[i] : 7, j % 2);
            x = block(at(stage, "blocks.%d", j), x, v->heads[i], &w, nn_drop_path_rate(s, number++, blocks));
        }
        tg *last = i == 3 ? norm(at(s, "norm"), x) : x;
        nn_feature_nhwc(stage, nn_opts(s)->norm_taps ? last : x);
        x = last;
    }
    return x;
}

static tg *head(nn_scope s, tg *x, const void *variant, timm_head h)
{
    (void)variant;
    if (h.pool != NN_POOL_NONE)
        x = nn_global_pool(tg_rearrange(x, "b h w c -> b c h w", NULL, 0), h.pool);
    x = nn_dropout(at(s, "head.drop"), x, h.drop_rate);
    return h.classes && !h.pre_logits ? dense(at(s, "head.fc"), x, h.classes) : x;
}

const timm_family timm_swin_transformer = {
    .name = "swin_transformer", ZOO_TABLE(variants), ZOO_TAGS(swin_transformer_tags), .body = body, .head = head,
    .drop_path = .1f,
    .stem = "patch_embed", .blocks = "layers.%d.downsample=0 layers.%d.blocks.%d norm=last", .linear_init = NN_TRUNC_NORMAL,
};
