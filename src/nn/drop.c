/* drop.c - what training leaves out at random: elements, branches, squares of a map, tokens.  Counterparts: timm.layers.drop,
 * timm.layers.patch_dropout.  A mask is a function of (key of the update, path of the layer, index): the same on any number of
 * threads, and another one in the next update.
 */
#include "nn.h"
#include "base/random.h"

double nn_drop_path_rate(nn_scope s, int i, int n)
{
    float asked = nn_opts(s)->drop_path, last = asked > 0 ? asked : asked < 0 ? 0 : s.b->family->drop_path;
    return n > 1 ? (double)last * i / (n - 1) : 0;
}

void nn_key_of(uint64_t seed, uint64_t update, float key[NN_KEY_SIZE])
{
    uint64_t bits = random_bits(random_bits(seed, 1) ^ hash_name("dropout"), update + 1);
    for (int i = 0; i < NN_KEY_SIZE; i++)
        key[i] = (float)(bits >> (16 * i) & 0xFFFF);
}

static bool drops(nn_scope s, double rate) { return s.b->training && rate > 0; }

tg *nn_key(nn_scope s)
{
    if (!s.b->key)
        s.b->key = tg_input(s.b->graph, NN_KEY, SHAPE(NN_KEY_SIZE));
    tg_where(s.b->graph, s.path);
    return s.b->key;
}

/* 1 / keep where it stays, so that the mean stays. */
static tg *kept(nn_scope s, tg_shape shape, double rate)
{
    return tg_bernoulli(nn_key(s), shape, 1 - rate, 1 / (1 - rate), hash_name(s.path));
}

tg *nn_dropout(nn_scope s, tg *x, double rate) { return drops(s, rate) ? tg_mul(x, kept(s, tg_shape_of(x), rate)) : x; }

tg *nn_drop_path(nn_scope s, tg *branch, double rate)
{
    tg_shape image = tg_shape_of(branch);
    for (int i = 1; i < image.rank; i++)
        image.dim[i] = 1;
    return drops(s, rate) ? tg_mul(branch, kept(s, image, rate)) : branch;
}

/* The largest of `size` neighbours along an axis, `before` of them in front; zeros lie outside. */
static tg *spread(tg *x, int axis, int64_t size, int64_t before)
{
    int64_t n = tg_dim(x, axis);
    tg_pads p = { 0 };
    p.before[axis] = before;
    p.after[axis] = size - 1 - before;
    tg *wide = tg_pad(x, p), *most = tg_slice(wide, axis, 0, n);
    for (int64_t i = 1; i < size; i++)
        most = tg_maximum(most, tg_slice(wide, axis, i, i + n));
    return most;
}

/* Centres of squares are drawn everywhere, so often that about `rate` of a map goes were they not to overlap; what stays is scaled
 * by how much of the batch went. */
tg *nn_drop_block(nn_scope s, tg *x, double rate, int size, double gamma_scale)
{
    int64_t n = tg_dim(x, 0), h = tg_dim(x, 2), w = tg_dim(x, 3), kh = size < h ? size : h, kw = size < w ? size : w;
    if (!drops(s, rate))
        return x;
    double gamma = gamma_scale * rate * (double)(h * w) / (double)(kh * kw) / (double)((h - kh + 1) * (w - kw + 1));
    tg *gone = tg_bernoulli(nn_key(s), SHAPE(n, 1, h, w), gamma, 1, hash_name(s.path));
    gone = spread(spread(gone, 2, kh, (kh - 1) / 2), 3, kw, (kw - 1) / 2);
    tg *keep = tg_affine(gone, -1, 1), *sum = tg_sum(keep, AXIS(0) | AXIS(1) | AXIS(2) | AXIS(3));
    tg *scale = tg_div(tg_full(x, SHAPE(1, 1, 1, 1), (double)(n * h * w)), tg_affine(sum, 1, 1e-7));
    return tg_mul(x, tg_mul(keep, scale));
}

tg *nn_patch_dropout(nn_scope s, tg *x, int prefix, double rate)
{
    int64_t b = tg_dim(x, 0), n = tg_dim(x, 1) - prefix, c = tg_dim(x, 2);
    if (!drops(s, rate))
        return x;
    int64_t keep = (int64_t)((double)n * (1 - rate));
    keep = keep < 1 ? 1 : keep;
    tg *rows = tg_reshape(tg_slice(x, 1, prefix, prefix + n), SHAPE(b * n, c));
    tg *y = tg_gather(rows, tg_sample(nn_key(s), b, n, keep, hash_name(s.path)));
    return prefix ? tg_concat(1, tg_slice(x, 1, 0, prefix), y) : y;
}

tg *nn_attention(nn_scope s, tg *q, tg *k, tg *v, tg *bias, double scale, double rate)
{
    if (!drops(s, rate))
        return tg_attention(q, k, v, bias, scale);
    return tg_matmul(nn_dropout(s, tg_softmax(tg_attention_scores(q, k, bias, scale), 3), rate), v);
}
