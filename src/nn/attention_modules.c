/* attention_modules.c - small modules that families put after their convolutions: channel attention, blur pooling.
 * Counterparts: timm/layers/squeeze_excite.py, eca.py, global_context.py, blur_pool.py.
 */
#include <math.h>
#include "nn.h"

enum { HW = AXIS(2) | AXIS(3) };

int nn_divisible(double n, int divisor, double least)
{
    int m = (int)(n + divisor / 2.) / divisor * divisor;
    m = m < divisor ? divisor : m;
    return m < least * n ? m + divisor : m;
}

static tg *squeeze(tg *x, bool add_max)
{
    return add_max ? tg_affine(tg_add(tg_mean(x, HW), tg_amax(x, HW)), .5, 0) : tg_mean(x, HW);
}

static tg *excite(tg *x, tg *y, tg_act *gate) { return tg_mul(x, gate ? gate(y) : tg_sigmoid(y)); }

tg *nn_squeeze_excite(nn_scope s, tg *x, int hidden, nn_se o)
{
    tg *y = nn_conv2d(at(s, "fc1"), squeeze(x, o.add_max), hidden, (nn_conv){ .bias = true });
    if (o.batch_norm)
        y = nn_batch_norm(at(s, "bn"), y, (nn_norm){ 0 });
    y = o.act ? o.act(y) : tg_relu(y);
    return excite(x, nn_conv2d(at(s, "fc2"), y, (int)tg_dim(x, 1), (nn_conv){ .bias = true }), o.gate);
}

tg *nn_effective_squeeze_excite(nn_scope s, tg *x, nn_se o)
{
    tg *y = nn_conv2d(at(s, "fc"), squeeze(x, o.add_max), (int)tg_dim(x, 1), (nn_conv){ .bias = true });
    return excite(x, y, o.gate ? o.gate : tg_hard_sigmoid);
}

/* k = (log2(channels) + 1) / 2, made odd, at least 3; the means stand in a row of one image for the convolution. */
tg *nn_channel_conv(nn_scope s, tg *x, int channels)
{
    int64_t n = tg_dim(x, 0), c = tg_dim(x, 1);
    int t = (int)((log2(channels ? channels : (double)c) + 1) / 2), k = t % 2 ? t : t + 1;
    k = k < 3 ? 3 : k;
    tg *w = nn_param(at(s, "conv.weight"), SHAPE(1, 1, k), (nn_par){ .init = NN_KAIMING_UNIFORM });
    tg *y = tg_conv2d(tg_reshape(tg_mean(x, HW), SHAPE(n, 1, 1, c)), tg_reshape(w, SHAPE(1, 1, 1, k)), NULL,
                      (tg_conv){ .pad = { 0, k / 2, 0, k / 2 } });
    return excite(x, tg_reshape(y, SHAPE(n, c, 1, 1)), NULL);
}

/* A 1x1 bottleneck over the pooled context; the norm stands before the activation. */
static tg *context_mlp(nn_scope s, tg *context, int hidden, tg_act *act)
{
    tg *y = nn_conv2d(at(s, "fc1"), context, hidden, (nn_conv){ .bias = true });
    y = (act ? act : tg_relu)(nn_layer_norm_2d(at(s, "norm"), y, (nn_norm){ .eps = 1e-6f }));
    return nn_conv2d(at(s, "fc2"), y, (int)tg_dim(context, 1), (nn_conv){ .bias = true });
}

tg *nn_global_context(nn_scope s, tg *x, int hidden, bool add, tg_act *act)
{
    int64_t n = tg_dim(x, 0), c = tg_dim(x, 1), hw = tg_dim(x, 2) * tg_dim(x, 3);
    tg *where = nn_conv2d(at(s, "conv_attn"), x, 1, (nn_conv){ .bias = true });
    where = tg_reshape(tg_softmax(tg_reshape(where, SHAPE(n, 1, hw)), 2), SHAPE(n, hw, 1));
    tg *context = tg_reshape(tg_matmul(tg_reshape(x, SHAPE(n, c, hw)), where), SHAPE(n, c, 1, 1));
    if (add)
        return tg_add(x, context_mlp(at(s, "mlp_add"), context, hidden, act));
    return excite(x, context_mlp(at(s, "mlp_scale"), context, hidden, act), NULL);
}

/* The outer product of binomial coefficients C(k - 1, i) / 2^(k - 1) with itself, the same for every channel. */
tg *nn_blur_pool(tg *x, int k, int stride)
{
    int64_t c = tg_dim(x, 1);
    int pad = (stride - 1 + k - 1) / 2;
    float row[8] = { 1 }, filter[64];
    for (int i = 1; i < k && k <= 8; i++)
        row[i] = row[i - 1] * (float)(k - i) / (float)i;
    for (int i = 0; i < k * k && k <= 8; i++)
        filter[i] = row[i / k] * row[i % k] / (float)(1 << (2 * (k - 1)));
    tg *w = tg_expand(tg_const(x, SHAPE(1, 1, k, k), filter), SHAPE(c, 1, k, k));
    x = tg_pad(x, (tg_pads){ .before = { 0, 0, pad, pad }, .after = { 0, 0, pad, pad }, .mode = TG_PAD_REFLECT });
    return tg_conv2d(x, w, NULL, (tg_conv){ .stride = stride, .groups = (int)c });
}
