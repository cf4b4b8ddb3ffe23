/* layers.c - the layers every family shares.  Counterparts: torch.nn and timm.layers; the names of the parameters are theirs. */
#include "nn.h"
#include "ops/channel_sums.h"

static nn_par or_family(nn_init init, float value, nn_init family, float family_value, float fallback)
{
    if (init != NN_CONST || value != 0)
        return (nn_par){ .init = init, .value = value };
    if (family != NN_CONST)
        return (nn_par){ .init = family, .value = family_value };
    return (nn_par){ .init = NN_KAIMING_UNIFORM, .value = fallback };
}

/* TensorFlow's SAME: the result is ceil(n / stride); what is missing is padded, the odd one at the end. */
static void same_pad(int64_t n, int k, int stride, int dilation, int *before, int *after)
{
    int64_t out = (n + stride - 1) / stride, need = (out - 1) * stride + (int64_t)dilation * (k - 1) + 1 - n;
    if (need < 0)
        need = 0;
    *before = (int)(need / 2);
    *after = (int)(need - need / 2);
}

tg *nn_conv2d(nn_scope s, tg *x, int out, nn_conv o)
{
    int k = o.k ? o.k : 1, kw = o.kw ? o.kw : k, stride = o.stride ? o.stride : 1, dilation = o.dilation ? o.dilation : 1;
    int groups = o.groups ? o.groups : 1, pad = o.pad, pad_w = o.pad_w < 0 ? 0 : o.pad_w ? o.pad_w : o.pad;
    tg_conv c = { .stride = stride, .dilation = dilation, .groups = groups };

    if (o.auto_pad) {
        pad = (stride - 1 + dilation * (k - 1)) / 2;
        pad_w = (stride - 1 + dilation * (kw - 1)) / 2;
    }
    c.pad[0] = c.pad[2] = pad;
    c.pad[1] = c.pad[3] = pad_w;
    if (o.same) {
        same_pad(tg_dim(x, 2), k, stride, dilation, &c.pad[0], &c.pad[2]);
        same_pad(tg_dim(x, 3), kw, stride, dilation, &c.pad[1], &c.pad[3]);
    }
    const timm_family *f = s.b->family;
    nn_par w = or_family(o.init, o.init_value, f->conv_init, f->conv_init == NN_EFFICIENTNET_CONV ? (float)groups : .02f, 0);
    w.refit = o.refit;
    tg *weight = nn_param(at(s, "weight"), SHAPE(out, tg_dim(x, 1) / groups, k, kw), w);
    tg *bias = !o.bias ? NULL : nn_param(at(s, "bias"), SHAPE(out), (nn_par){ 0 });
    tg_where(s.b->graph, s.path);
    return tg_conv2d(x, weight, bias, c);
}

tg *nn_linear(nn_scope s, tg *x, int out, nn_lin o)
{
    const timm_family *f = s.b->family;
    nn_par w = or_family(o.init, o.init_value, f->linear_init, f->linear_std ? f->linear_std : .02f, 0);
    tg *weight = nn_param(at(s, "weight"), SHAPE(out, tg_dim(x, -1)), w);
    tg *bias = !o.bias ? NULL : nn_param(at(s, "bias"), SHAPE(out), (nn_par){ .value = o.bias_value });
    tg_where(s.b->graph, s.path);
    return tg_linear(x, weight, bias);
}

static tg *ones(nn_scope s, int64_t n, nn_norm o)
{
    return o.no_affine ? NULL : nn_param(at(s, "weight"), SHAPE(n), (nn_par){ .value = o.zero_init ? 0.f : 1.f });
}

static tg *zeros(nn_scope s, int64_t n, nn_norm o)
{
    return o.no_affine || o.no_bias ? NULL : nn_param(at(s, "bias"), SHAPE(n), (nn_par){ 0 });
}

/* In training the statistics are the batch's; the running ones move a tenth of the way to them, the variance unbiased, and the batches
 * are counted. */
static tg *train_batch_norm(nn_scope s, tg *x, tg *weight, tg *bias, tg *running_mean, tg *running_var, tg *batches, double eps)
{
    int64_t c = tg_dim(x, 1);
    double n = (double)tg_numel(tg_shape_of(x)) / (double)c, momentum = .1;
    if (n < 2)
        nn_fail(s, "%s: expected more than 1 value per channel when training, got input %s; larger batches or images have more", s.path,
                tg_str(tg_shape_of(x)));
    tg *moments = channel_moments(x);
    tg *mean = tg_reshape(tg_slice(moments, 0, 0, 1), SHAPE(c)), *var = tg_reshape(tg_slice(moments, 0, 1, 2), SHAPE(c));
    nn_updated(s, running_mean, tg_add(tg_affine(running_mean, 1 - momentum, 0), tg_affine(mean, momentum, 0)));
    nn_updated(s, running_var, tg_add(tg_affine(running_var, 1 - momentum, 0), tg_affine(var, momentum * n / (n - 1), 0)));
    nn_updated(s, batches, tg_affine(batches, 1, 1));
    return tg_batch_norm(x, weight, bias, mean, var, eps);
}

static bool is_frozen(const nn_build *b, const tg *p) { return b->frozen && p && p->param && b->frozen(b->user, p->param); }

/* Where weights and biases are frozen the running statistics are as well, as timm.utils.freeze has it: such a norm is that of inference. */
tg *nn_batch_norm(nn_scope s, tg *x, nn_norm o)
{
    int64_t c = tg_dim(x, 1);
    double eps = o.eps > 0 ? o.eps : 1e-5;
    tg *weight = ones(s, c, o), *bias = zeros(s, c, o);
    tg *mean = nn_param(at(s, "running_mean"), SHAPE(c), (nn_par){ .buffer = true });
    tg *var = nn_param(at(s, "running_var"), SHAPE(c), (nn_par){ .value = 1, .buffer = true });
    tg *batches = nn_param(at(s, "num_batches_tracked"), (tg_shape){ 0 }, (nn_par){ .buffer = true, .integer = true });
    tg_where(s.b->graph, s.path);
    bool still = is_frozen(s.b, weight) && (!bias || is_frozen(s.b, bias));
    return s.b->training && !still ? train_batch_norm(s, x, weight, bias, mean, var, batches, eps)
                                   : tg_batch_norm(x, weight, bias, mean, var, eps);
}

static tg *layer_norm(nn_scope s, tg *x, int axis, nn_norm o)
{
    tg *weight = ones(s, tg_dim(x, axis), o), *bias = zeros(s, tg_dim(x, axis), o);
    tg_where(s.b->graph, s.path);
    return tg_layer_norm(x, weight, bias, axis, o.eps > 0 ? o.eps : 1e-6);
}

tg *nn_layer_norm(nn_scope s, tg *x, nn_norm o) { return layer_norm(s, x, tg_rank(x) - 1, o); }
tg *nn_layer_norm_2d(nn_scope s, tg *x, nn_norm o) { return layer_norm(s, x, 1, o); }

tg *nn_rms_norm(nn_scope s, tg *x, nn_norm o)
{
    tg *weight = ones(s, tg_dim(x, -1), o);
    tg_where(s.b->graph, s.path);
    return tg_rms_norm(x, weight, tg_rank(x) - 1, o.eps > 0 ? o.eps : 1e-6);
}

tg *nn_group_norm(nn_scope s, tg *x, int groups, nn_norm o)
{
    tg *weight = ones(s, tg_dim(x, 1), o), *bias = zeros(s, tg_dim(x, 1), o);
    tg_where(s.b->graph, s.path);
    return tg_group_norm(x, weight, bias, groups, o.eps > 0 ? o.eps : 1e-5);
}

tg *nn_layer_scale(nn_scope s, tg *x, float value)
{
    tg *gamma = nn_param(s, SHAPE(tg_dim(x, -1)), (nn_par){ .value = value });
    tg_where(s.b->graph, s.path);
    return tg_mul(x, gamma);
}

tg *nn_global_pool(tg *x, nn_pooling how)
{
    unsigned hw = AXIS(2) | AXIS(3);
    tg_shape flat = SHAPE(tg_dim(x, 0), -1);
    switch (how) {
    case NN_POOL_NONE:
        return x;
    case NN_POOL_MAX:
    case NN_POOL_FASTMAX:
        return tg_reshape(tg_amax(x, hw), flat);
    case NN_POOL_AVGMAX:
    case NN_POOL_FASTAVGMAX:
        return tg_reshape(tg_affine(tg_add(tg_mean(x, hw), tg_amax(x, hw)), .5, 0), flat);
    case NN_POOL_CATAVGMAX:
    case NN_POOL_FASTCATAVGMAX: {
        tg *mean = tg_mean(x, hw), *max = tg_amax(x, hw);
        return tg_reshape(tg_concat(1, mean, max), flat);
    }
    default:
        return tg_reshape(tg_mean(x, hw), flat);
    }
}
