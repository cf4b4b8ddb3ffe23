/* efficientnet_builder.c - block strings to blocks.
 * MobileNetV2 (1801.04381), V3 (1905.02244), V4 (2404.10518), EfficientNet (1905.11946), V2 (2104.00298), MixNet (1907.09595),
 * CondConv (1904.04971), EfficientNet-X (2102.05610).  Counterparts: timm/models/_efficientnet_builder.py, _efficientnet_blocks.py.
 */
#include "zoo/efficientnet_builder.h"
#include <stdlib.h>

enum { KERNELS = 5 };
struct kernels { int n, k[KERNELS]; };                         /* one a group of channels */

struct block {
    char kind[4];
    struct kernels k, a, p;                                    /* n 0: not said */
    int repeats, stride, channels, experts, group_size, force_in, heads, dim, kv_stride;
    double expand, se;
    bool noskip, skip, to_depth;
    tg_act *act;
};

/* Where the blocks are: what the strings do not say. */
struct place { int stride, dilation, out, to_depth; double expand, se, drop; const short *pruned; };

/* -- strings ------------------------------------------------------------------------------------------------------------------- */

static struct kernels read_kernels(const char *p)
{
    struct kernels k = { 0 };
    for (char *end; *p >= '0' && *p <= '9' && k.n < KERNELS; p = *end == '.' ? end + 1 : end)
        k.k[k.n++] = (int)strtol(p, &end, 10);
    return k;
}

static tg_act *act_named(const char *name)
{
    static const struct { const char *name; tg_act *act; } table[] = {
        { "re", tg_relu }, { "r6", tg_relu6 }, { "hs", tg_hard_swish }, { "sw", tg_silu },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strncmp(name, table[i].name, 2))
            return table[i].act;
    return NULL;
}

/* One word, such as "k3.5" or "se0.25". */
static void read_word(struct block *b, const char *w, size_t n)
{
    static const struct { const char *key; size_t offset; } ints[] = {
        { "r", offsetof(struct block, repeats) },     { "s", offsetof(struct block, stride) },
        { "c", offsetof(struct block, channels) },    { "cc", offsetof(struct block, experts) },
        { "gs", offsetof(struct block, group_size) }, { "fc", offsetof(struct block, force_in) },
        { "h", offsetof(struct block, heads) },       { "d", offsetof(struct block, dim) },
        { "v", offsetof(struct block, kv_stride) },
    };
    size_t letters = strcspn(w, "0123456789_ ");
    if (n == 6 && !strncmp(w, "noskip", 6))
        b->noskip = true;
    else if (n == 4 && !strncmp(w, "skip", 4))
        b->skip = true;
    else if (w[0] == 'n')
        b->act = act_named(w + 1);
    else if (w[0] == 'e')
        b->expand = strtod(w + 1, NULL);
    else if (letters == 2 && !strncmp(w, "se", 2))
        b->se = strtod(w + 2, NULL);
    else if (w[0] == 'k' || w[0] == 'a' || w[0] == 'p')
        *(w[0] == 'k' ? &b->k : w[0] == 'a' ? &b->a : &b->p) = read_kernels(w + 1);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        if (strlen(ints[i].key) == letters && !strncmp(w, ints[i].key, letters))
            *(int *)(void *)((char *)b + ints[i].offset) = (int)strtol(w + letters, NULL, 10);
}

/* The block at p; returns what follows it. */
static const char *read_block(const char *p, struct block *b)
{
    *b = (struct block){ .stride = 1, .repeats = 1, .expand = 1, .kv_stride = 1, .group_size = -1 };
    size_t n = strcspn(p, "_ ");
    memcpy(b->kind, p, n < 3 ? n : 3);
    for (p += n; *p == '_'; p += n) {
        n = strcspn(++p, "_ ");
        read_word(b, p, n);
    }
    if (b->kind[0] != 'm') {                                   /* only attention has a width; elsewhere d is space to depth */
        b->to_depth = b->dim > 0;
        b->dim = 0;
    }
    return *p == ' ' ? p + 1 : p;
}

enum { STAGE_BLOCKS = 16 };

/* The blocks of a stage and their scaled repeats; later ones take their share first. */
static int read_stage(const struct effnet *v, int stage, struct block *b)
{
    const char *p = v->arch[stage];
    bool fixed = v->depth_rule == DEPTH_FIX_ENDS && (stage == 0 || !v->arch[stage + 1]);
    double depth = fixed ? 1 : v->stage_depth[0] > 0 ? v->stage_depth[stage] : v->depth > 0 ? v->depth : 1;
    int n = 0, left = 0;
    while (*p && n < STAGE_BLOCKS) {
        p = read_block(p, &b[n]);
        left += b[n++].repeats;
    }
    double scaled = v->depth_rule == DEPTH_ROUND ? fmax(1, nearbyint(left * depth)) : ceil(left * depth);
    for (int i = n; i-- > 0;) {
        int repeats = (int)fmax(1, nearbyint(b[i].repeats / (double)left * scaled));
        left -= b[i].repeats;
        scaled -= repeats;
        b[i].repeats = repeats;
    }
    return n;
}

/* -- small pieces ---------------------------------------------------------------------------------------------------------------- */

int effnet_channels(const struct effnet *v, double channels)
{
    double limit = v->round_limit > 0 ? v->round_limit : v->round_limit < 0 ? 0 : .9;
    return nn_divisible(channels * (v->width > 0 ? v->width : 1), v->divisor ? v->divisor : 8, limit);
}

/* EvoNorm-S0 (2004.02967): x sigmoid(v x) / std over a group, then weight and bias; without activation only those. */
static tg *evo_norm(nn_scope s, tg *x, int group, bool act)
{
    int64_t n = tg_dim(x, 0), c = tg_dim(x, 1);
    tg_shape whole = tg_shape_of(x), across = SHAPE(1, c, 1, 1);
    if (act) {
        tg *gate = tg_sigmoid(tg_mul(x, tg_reshape(nn_param(at(s, "v"), SHAPE(c), (nn_par){ .value = 1 }), across)));
        tg *grouped = tg_reshape(x, SHAPE(n, c / group, -1)), *centred = tg_sub(grouped, tg_mean(grouped, AXIS(2)));
        tg *std = tg_sqrt(tg_affine(tg_mean(tg_mul(centred, centred), AXIS(2)), 1, 1e-5));
        tg *scaled = tg_div(tg_reshape(tg_mul(x, gate), SHAPE(n, c / group, -1)), std);
        x = tg_reshape(scaled, whole);
    }
    tg *weight = nn_param(at(s, "weight"), SHAPE(c), (nn_par){ .value = 1 });
    tg *bias = nn_param(at(s, "bias"), SHAPE(c), (nn_par){ 0 });
    return tg_add(tg_mul(x, tg_reshape(weight, across)), tg_reshape(bias, across));
}

tg *effnet_norm(nn_scope s, tg *x, const struct effnet *v, tg_act *act)
{
    switch (v->norm) {
    case EVO_NORM:
        return evo_norm(s, x, v->norm_group, act != NULL);
    case GROUP_NORM:
        x = nn_group_norm(s, x, (int)(tg_dim(x, 1) / v->norm_group), (nn_norm){ .eps = 1e-5f });
        break;
    case LAYER_NORM:
        x = nn_layer_norm_2d(s, x, (nn_norm){ .eps = 1e-5f });
        break;
    default:
        x = nn_batch_norm(s, x, (nn_norm){ .eps = v->eps > 0 ? v->eps : 1e-5f });
    }
    return act ? act(x) : x;
}

static nn_conv conv_of(const struct effnet *v, int k, int stride, int dilation, int groups)
{
    return (nn_conv){ .k = k, .stride = stride, .dilation = dilation, .groups = groups, .same = v->same || k % 2 == 0, .auto_pad = !v->same && k % 2 };
}

/* A convolution a group of channels when there are several kernels: MixNet's. */
static tg *mixed(nn_scope s, tg *x, int out, struct kernels k, nn_conv o, bool depthwise)
{
    tg *part[KERNELS];
    int64_t in = tg_dim(x, 1), at_in = 0;
    if (k.n < 2) {
        o.k = k.n ? k.k[0] : 1;
        o.groups = depthwise ? (int)in : o.groups;
        return nn_conv2d(s, x, out, o);
    }
    for (int i = 0; i < k.n; i++) {
        int64_t n = in / k.n + (i ? 0 : in % k.n), m = out / k.n + (i ? 0 : out % k.n);
        nn_conv own = o;
        own.k = k.k[i];
        own.groups = depthwise ? (int)n : 1;
        part[i] = nn_conv2d(at(s, "%d", i), tg_slice(x, 1, at_in, at_in + n), (int)m, own);
        at_in += n;
    }
    return tg_concat_all(1, part, k.n);
}

/* Pads as nn_conv2d's: TensorFlow's SAME, or the same on both sides. */
static void pads(const struct effnet *v, int64_t n, int k, int stride, int dilation, int *before, int *after)
{
    int64_t need = v->same ? ((n + stride - 1) / stride - 1) * stride + dilation * (k - 1) + 1 - n : stride - 1 + dilation * (k - 1);
    need = need < 0 ? 0 : need;
    *before = (int)(need / 2);
    *after = v->same ? (int)(need - need / 2) : *before;
}

/* CondConv: an image's weights are its own mixture of experts; the batch becomes groups. */
static tg *cond_conv(nn_scope s, tg *x, tg *routing, int out, int k, int stride, int dilation, int groups, const struct effnet *v)
{
    int64_t n = tg_dim(x, 0), c = tg_dim(x, 1), per = c / groups;
    tg_conv o = { .stride = stride, .dilation = dilation, .groups = (int)(groups * n) };
    tg *w = nn_param(at(s, "weight"), SHAPE(tg_dim(routing, 1), out * per * k * k), (nn_par){ .init = NN_KAIMING_UNIFORM });
    pads(v, tg_dim(x, 2), k, stride, dilation, &o.pad[0], &o.pad[2]);
    pads(v, tg_dim(x, 3), k, stride, dilation, &o.pad[1], &o.pad[3]);
    w = tg_reshape(tg_matmul(routing, w), SHAPE(n * out, per, k, k));
    x = tg_conv2d(tg_reshape(x, SHAPE(1, n * c, tg_dim(x, 2), tg_dim(x, 3))), w, NULL, o);
    return tg_reshape(x, SHAPE(n, out, tg_dim(x, 2), tg_dim(x, 3)));
}

/* The binomial filter over zeros outside. */
static tg *anti_alias(tg *x, const struct effnet *v)
{
    static const float filter[9] = { .0625f, .125f, .0625f, .125f, .25f, .125f, .0625f, .125f, .0625f };
    int64_t c = tg_dim(x, 1);
    if (v->aa == AA_AVG)
        return tg_avg_pool(x, (tg_pool){ .k = 2, .stride = 2 });
    tg *w = tg_expand(tg_const(x, SHAPE(1, 1, 3, 3), filter), SHAPE(c, 1, 3, 3));
    return tg_conv2d(x, w, NULL, (tg_conv){ .stride = 2, .pad = { 1, 1, 1, 1 }, .groups = (int)c });
}

static tg *squeeze(nn_scope s, tg *x, const struct effnet *v, const struct place *p, tg_act *act)
{
    int64_t c = tg_dim(x, 1);
    if (!(p->se > 0))
        return x;
    double hidden = (double)c * p->se;
    if (v->se == SE_GLOBAL_CONTEXT)
        return nn_global_context(s, x, nn_divisible(hidden, 1, 0), false, act);
    int n = p->pruned ? p->pruned[1] : v->se_limit > 0 ? nn_divisible(hidden, 8, v->se_limit) : (int)nearbyint(hidden);
    tg *y = nn_conv2d(at(s, "conv_reduce"), tg_mean(x, AXIS(2) | AXIS(3)), n, (nn_conv){ .bias = true });
    y = nn_conv2d(at(s, "conv_expand"), (v->se_relu ? tg_relu : act)(y), (int)c, (nn_conv){ .bias = true });
    return tg_mul(x, v->se == SE_HARD ? tg_hard_sigmoid(y) : tg_sigmoid(y));
}

static int groups_of(int group_size, int64_t channels) { return group_size > 0 ? (int)(channels / group_size) : 1; }
static struct kernels one(struct kernels k) { return k.n ? k : (struct kernels){ 1, { 1 } }; }
static tg *skip(nn_scope s, tg *x, tg *y, const struct place *p, bool may)
{
    return may ? tg_add(nn_drop_path(at(s, "drop_path"), y, p->drop), x) : y;
}

/* -- blocks ---------------------------------------------------------------------------------------------------------------------- */

typedef tg *block_fn(nn_scope s, tg *x, const struct effnet *v, const struct block *b, const struct place *p, tg_act *act);

/* A 2x2 convolution of stride 2 to four times the channels (EfficientNet-X); the depthwise kernel halves with the map. */
static tg *to_depth(nn_scope s, tg *x, const struct effnet *v, struct kernels *k, tg_act *act)
{
    x = nn_conv2d(at(s, "conv_s2d"), x, (int)tg_dim(x, 1) * 4, (nn_conv){ .k = 2, .stride = 2, .same = true });
    k->k[0] = (k->k[0] + 1) / 2;
    return effnet_norm(at(s, "bn_s2d"), x, v, act);
}

static tg *conv_bn(nn_scope s, tg *x, const struct effnet *v, const struct block *b, const struct place *p, tg_act *act)
{
    bool aa = v->aa && p->stride > 1;
    int groups = groups_of(b->group_size, tg_dim(x, 1));
    tg *y = nn_conv2d(at(s, "conv"), x, p->out, conv_of(v, b->k.k[0], aa ? 1 : p->stride, p->dilation, groups));
    y = effnet_norm(at(s, "bn1"), y, v, act);
    y = aa ? anti_alias(y, v) : y;
    return skip(s, x, y, p, b->skip && p->stride == 1 && tg_dim(x, 1) == p->out);
}

static tg *separable(nn_scope s, tg *x, const struct effnet *v, const struct block *b, const struct place *p, tg_act *act)
{
    bool pw_act = b->kind[2] == 'a', aa = v->aa && p->stride > 1 && p->to_depth != 1;
    bool may = p->stride == 1 && tg_dim(x, 1) == p->out && !b->noskip && !pw_act;
    struct kernels k = b->k;
    tg *y = p->to_depth == 1 ? to_depth(s, x, v, &k, act) : x;
    int c = (int)tg_dim(y, 1), size = b->group_size < 0 ? 1 : b->group_size;
    y = mixed(at(s, "conv_dw"), y, c, k, conv_of(v, k.k[0], aa ? 1 : p->stride, p->dilation, groups_of(size, c)), size == 1);
    y = effnet_norm(at(s, "bn1"), y, v, act);
    y = squeeze(at(s, "se"), aa ? anti_alias(y, v) : y, v, p, act);
    y = mixed(at(s, "conv_pw"), y, p->out, one(b->p), conv_of(v, 1, 1, 1, 1), false);
    y = effnet_norm(at(s, "bn2"), y, v, pw_act ? act : NULL);
    return skip(s, x, y, p, may);
}

static tg *inverted(nn_scope s, tg *x, const struct effnet *v, const struct block *b, const struct place *p, tg_act *act)
{
    bool aa = v->aa && p->stride > 1 && p->to_depth != 1, may = p->stride == 1 && tg_dim(x, 1) == p->out && !b->noskip;
    int size = b->group_size < 0 ? 1 : b->group_size;
    struct kernels k = b->k;
    tg *y = p->to_depth == 1 ? to_depth(s, x, v, &k, act) : x, *routing = NULL;
    int mid = p->pruned ? p->pruned[0] : nn_divisible((double)tg_dim(y, 1) * p->expand, 8, .9);
    int stride = aa ? 1 : p->stride, groups = groups_of(size, mid);
    if (b->experts) {
        routing = nn_linear(at(s, "routing_fn"), nn_global_pool(x, NN_POOL_AVG), b->experts * (v->experts ? v->experts : 1),
                            (nn_lin){ .bias = true });
        routing = tg_sigmoid(routing);
    }
    y = routing ? cond_conv(at(s, "conv_pw"), y, routing, mid, 1, 1, 1, 1, v)
                : mixed(at(s, "conv_pw"), y, mid, one(b->a), conv_of(v, 1, 1, 1, 1), false);
    y = effnet_norm(at(s, "bn1"), y, v, act);
    y = routing ? cond_conv(at(s, "conv_dw"), y, routing, mid, k.k[0], stride, p->dilation, groups, v)
                : mixed(at(s, "conv_dw"), y, mid, k, conv_of(v, k.k[0], stride, p->dilation, groups), size == 1);
    y = effnet_norm(at(s, "bn2"), y, v, act);
    y = squeeze(at(s, "se"), aa ? anti_alias(y, v) : y, v, p, act);
    y = routing ? cond_conv(at(s, "conv_pwl"), y, routing, p->out, 1, 1, 1, 1, v)
                : mixed(at(s, "conv_pwl"), y, p->out, one(b->p), conv_of(v, 1, 1, 1, 1), false);
    y = effnet_norm(at(s, "bn3"), y, v, NULL);
    return skip(s, x, y, p, may);
}

static tg *edge(nn_scope s, tg *x, const struct effnet *v, const struct block *b, const struct place *p, tg_act *act)
{
    bool aa = v->aa && p->stride > 1, may = p->stride == 1 && tg_dim(x, 1) == p->out && !b->noskip;
    double from = b->force_in ? effnet_channels(v, b->force_in) : (double)tg_dim(x, 1);
    int mid = nn_divisible(from * p->expand, 8, .9), size = b->group_size < 0 ? 0 : b->group_size;
    tg *y = nn_conv2d(at(s, "conv_exp"), x, mid, conv_of(v, b->k.k[0], aa ? 1 : p->stride, p->dilation, groups_of(size, mid)));
    y = effnet_norm(at(s, "bn1"), y, v, act);
    y = squeeze(at(s, "se"), aa ? anti_alias(y, v) : y, v, p, act);
    y = effnet_norm(at(s, "bn2"), nn_conv2d(at(s, "conv_pwl"), y, p->out, conv_of(v, one(b->p).k[0], 1, 1, 1)), v, NULL);
    return skip(s, x, y, p, may);
}

static tg *conv_norm(nn_scope s, tg *x, int out, const struct effnet *v, nn_conv o, tg_act *act, bool may_aa)
{
    bool aa = v->aa && o.stride > 1 && may_aa;
    if (aa)
        o = conv_of(v, o.k, 1, o.dilation, o.groups);
    x = effnet_norm(at(s, "bn"), nn_conv2d(at(s, "conv"), x, out, o), v, act);
    return aa ? anti_alias(x, v) : x;
}

static tg *scaled(nn_scope s, tg *x, float value)
{
    if (!(value > 0))
        return x;
    return tg_mul(x, tg_reshape(nn_param(at(s, "layer_scale.gamma"), SHAPE(tg_dim(x, 1)), (nn_par){ .value = value }),
                                SHAPE(tg_dim(x, 1), 1, 1)));
}

/* MobileNetV4's: depthwise convolutions before, between and after the two 1x1s, each where its kernel is not 0. */
static tg *universal(nn_scope s, tg *x, const struct effnet *v, const struct block *b, const struct place *p, tg_act *act)
{
    bool may = p->stride == 1 && tg_dim(x, 1) == p->out && !b->noskip;
    int first = b->a.n ? b->a.k[0] : 0, middle = b->k.k[0], last = b->p.n ? b->p.k[0] : 0, c = (int)tg_dim(x, 1), d = p->dilation;
    int size = b->group_size < 0 ? 1 : b->group_size, mid = nn_divisible(c * p->expand, 8, .9);
    tg *y = x;
    if (first)
        y = conv_norm(at(s, "dw_start"), y, c, v, conv_of(v, first, middle ? 1 : p->stride, d, groups_of(size, c)), NULL, true);
    y = conv_norm(at(s, "pw_exp"), y, mid, v, conv_of(v, 1, 1, 1, 1), act, false);
    if (middle)
        y = conv_norm(at(s, "dw_mid"), y, mid, v, conv_of(v, middle, p->stride, d, groups_of(size, mid)), act, true);
    y = squeeze(at(s, "se"), y, v, p, act);
    y = conv_norm(at(s, "pw_proj"), y, p->out, v, conv_of(v, 1, 1, 1, 1), NULL, false);
    if (last)
        y = conv_norm(at(s, "dw_end"), y, p->out, v,
                      conv_of(v, last, first || middle ? 1 : p->stride, d, groups_of(size, p->out)), NULL, false);
    return skip(s, x, scaled(s, y, v->layer_scale), p, may);
}

static tg *tokens(tg *x, int heads) { return tg_rearrange(x, "b (h c) y x -> b h (y x) c", "h", heads); }
static tg *pointwise(nn_scope s, tg *x, int out) { return nn_conv2d(s, x, out, (nn_conv){ .init = NN_XAVIER_UNIFORM }); }

/* Keys or values of one head for all queries, from a smaller map. */
static tg *shared_head(nn_scope s, tg *x, const struct effnet *v, const struct block *b, const struct place *p)
{
    int c = (int)tg_dim(x, 1);
    if (b->kv_stride > 1) {
        x = nn_conv2d(at(s, "down_conv"), x, c, conv_of(v, b->k.k[0], b->kv_stride, p->dilation, c));
        x = effnet_norm(at(s, "norm"), x, v, NULL);
    }
    x = tokens(pointwise(at(s, "proj"), x, b->dim), 1);
    return tg_expand(x, SHAPE(tg_dim(x, 0), b->heads, tg_dim(x, 2), b->dim));
}

static tg *attention(nn_scope s, tg *x, const struct effnet *v, const struct block *b, const struct place *p, tg_act *act)
{
    bool shared = b->kind[1] == 'q', may = p->stride == 1 && tg_dim(x, 1) == p->out && !b->noskip;
    int64_t c = tg_dim(x, 1), h = tg_dim(x, 2);
    nn_scope a = at(s, "attn");
    tg *y = effnet_norm(at(s, "norm"), x, v, NULL), *q, *k, *values;
    (void)act;
    if (shared) {
        q = tokens(pointwise(at(a, "query.proj"), y, b->heads * b->dim), b->heads);
        k = shared_head(at(a, "key"), y, v, b, p);
        values = shared_head(at(a, "value"), y, v, b, p);
    } else {
        tg *qkv = nn_conv2d(at(a, "qkv"), y, (int)c * 3, (nn_conv){ .k = 1 });
        q = tokens(tg_slice(qkv, 1, 0, c), b->heads);
        k = tokens(tg_slice(qkv, 1, c, 2 * c), b->heads);
        values = tokens(tg_slice(qkv, 1, 2 * c, 3 * c), b->heads);
    }
    y = tg_rearrange(tg_attention(q, k, values, NULL, 0), "b h (y x) c -> b (h c) y x", "y", h);
    y = pointwise(at(a, shared ? "output.proj" : "proj"), y, p->out);
    return skip(s, x, scaled(s, y, v->layer_scale), p, may);
}

static block_fn *kind_of(const struct block *b)
{
    static const struct { const char *kind; block_fn *make; } table[] = {
        { "cn", conv_bn }, { "ds", separable }, { "dsa", separable }, { "ir", inverted },
        { "er", edge },    { "uir", universal }, { "mqa", attention }, { "mha", attention },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].kind, b->kind))
            return table[i].make;
    return NULL;
}

/* -- the network ----------------------------------------------------------------------------------------------------------------- */

tg *effnet_stem(nn_scope s, tg *x, const struct effnet *v)
{
    int stem = v->stem ? v->stem : 32, k = v->stem_k ? v->stem_k : 3;
    int out = v->pruned ? v->pruned->stem : v->fix_stem ? stem : effnet_channels(v, stem);
    x = nn_conv2d(at(s, "conv_stem"), x, out, conv_of(v, k, 2, 1, 1));
    return effnet_norm(at(s, "bn1"), x, v, v->act ? v->act : tg_relu);
}

/* Strides, dilation and space to depth as they stand before the next block. */
struct progress { int stride, dilation, to_depth, index; };

static struct place place_of(const struct effnet *v, const struct block *b, int repeat, struct progress *now, int output_stride)
{
    struct place p = { .stride = repeat ? 1 : b->stride, .dilation = now->dilation, .out = effnet_channels(v, b->channels),
                       .expand = b->expand, .se = b->se };
    if (!now->to_depth && b->to_depth && !repeat) {
        now->to_depth = 1;
        now->stride *= 2;
    }
    if (now->to_depth == 2 && p.stride == 2) {                 /* the map is already half as large */
        p.stride = 1;
        p.expand /= 4;
        now->to_depth = 0;
    }
    p.to_depth = now->to_depth;
    if (p.stride > 1 && now->stride * p.stride > output_stride) {
        now->dilation *= p.stride;
        p.stride = 1;
    }
    now->stride *= p.stride;
    if (p.to_depth)
        p.out *= 4;
    if (!v->se_from_mid)
        p.se /= p.expand;
    if (p.to_depth == 1)
        p.se /= 4;
    if (v->pruned) {
        p.pruned = v->pruned->block[now->index];
        p.out = p.pruned[2];
    }
    if (now->to_depth == 1)
        now->to_depth = 2;
    now->index++;
    return p;
}

static int count_blocks(const struct effnet *v)
{
    struct block b[STAGE_BLOCKS];
    int count = 0;
    for (int i = 0; v->arch[i]; i++)
        for (int k = read_stage(v, i, b); k-- > 0;)
            count += b[k].repeats;
    return count;
}

/* The stride with which a stage starts; 1 beyond the last. */
static int first_stride(const char *stage)
{
    struct block b;
    read_block(stage, &b);
    return b.stride;
}

tg *effnet_blocks(nn_scope s, tg *x, const struct effnet *v)
{
    struct progress now = { .stride = 2, .dilation = 1 };
    struct block b[STAGE_BLOCKS];
    int blocks = count_blocks(v);
    read_block(v->arch[0], &b[0]);
    if (b[0].stride > 1 || b[0].to_depth)
        nn_feature(at(s, "bn1"), x);
    for (int i = 0; v->arch[i]; i++) {
        int kinds = read_stage(v, i, b), index = 0;
        for (int k = 0; k < kinds; k++)
            for (int repeat = 0; repeat < b[k].repeats; repeat++, index++) {
                struct block own = b[k];
                if (own.group_size < 0 && v->group_size)
                    own.group_size = v->group_size;
                struct place p = place_of(v, &own, index, &now, nn_opts(s)->output_stride);
                p.drop = nn_drop_path_rate(s, now.index - 1, blocks + 1);
                x = kind_of(&own)(at(s, "blocks.%d.%d", i, index), x, v, &own, &p, own.act ? own.act : v->act ? v->act : tg_relu);
            }
        if (!v->arch[i + 1] || (first_stride(v->arch[i + 1]) > 1 && !now.to_depth))
            nn_feature(at(s, "blocks.%d", i), x);
    }
    return x;
}
