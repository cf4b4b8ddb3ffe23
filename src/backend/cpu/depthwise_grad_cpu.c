/* depthwise_grad_cpu.c - the gradients of a convolution in as many groups as channels, and in its input in narrow groups, too;
 * channels-last. */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "lanes.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"

static const conv2d_attr *conv_of(const tg_call *c) { return &((const conv2d_grad_attr *)c->attr)->conv; }

static bool innermost(const tg_tensor *t) { return t->stride[1] == 1 || t->shape.dim[1] == 1; }

static bool is_depthwise(const tg_call *c, const tg_tensor *w) { return w->shape.dim[1] == 1 && w->shape.dim[0] == conv_of(c)->groups; }

static const char *lies_badly(const tg_call *c, const tg_tensor *image, const tg_tensor *dy)
{
    return !all_f32(c) ? "not float" : innermost(image) && innermost(dy) ? NULL : "not channels-last";
}

/* -- of the input: s * s convolutions of stride 1, one for each place of a pixel between strides --------------------- */

/* Along one axis, results s i + phase sum dy[i - pad + j] w[k - s j], j < taps, where k is the last tap that meets them. */
typedef struct phase { int64_t taps, last, pad, size; } phase;

static phase phase_of(const tg_call *c, int axis, int64_t at)
{
    const conv2d_attr *a = conv_of(c);
    const int64_t s = a->stride[axis], k = c->in[1].shape.dim[2 + axis], n = c->out.shape.dim[2 + axis];
    int64_t first = (at + a->pad[axis]) % s, taps = (k - first + s - 1) / s;
    return (phase){ taps, first + (taps - 1) * s, taps - 1 - (at + a->pad[axis] - first) / s, at < n ? (n - at + s - 1) / s : 0 };
}

static const char *phases_decline(const tg_call *c)
{
    const conv2d_attr *a = conv_of(c);
    for (int axis = 0; axis < 2; axis++) {
        if (a->dilation[axis] != 1)
            return "dilated";
        if (c->in[1].shape.dim[2 + axis] < a->stride[axis])
            return "a stride beyond the kernel";
        for (int at = 0; at < a->stride[axis]; at++)
            if (phase_of(c, axis, at).pad < 0)
                return "wide padding";
    }
    return lies_badly(c, &c->out, &c->in[0]);
}

static const char *input_declines(const tg_call *c) { return is_depthwise(c, &c->in[1]) ? phases_decline(c) : "not depthwise"; }

static const char *grouped_input_declines(const tg_call *c)
{
    const char *why = lanes_narrow(&c->in[1].shape, conv_of(c)->groups);
    return why ? why : phases_decline(c);
}

static void input_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    if (!innermost(&in[0]))
        tg_channels_last(&in[0]);
    tg_channels_last(out);
}

static bool input_prepare(const tg_call *c, tg_prep *prep)
{
    const tg_shape w = c->in[1].shape;
    const lanes l = lanes_of(w.dim[0], w.dim[1]);
    prep->scratch = lines(lanes_weights(&l, w.dim[2] * w.dim[3]));
    return true;
}

typedef struct input_deal { const tg_call *c; lanes l; int64_t bands; } input_deal;

/* Weights of the phases one after the other. */
static void order(const input_deal *k)
{
    const int *s = conv_of(k->c)->stride;
    float *to = k->c->scratch;
    for (int at = 0; at < s[0] * s[1]; at++) {
        phase y = phase_of(k->c, 0, at / s[1]), x = phase_of(k->c, 1, at % s[1]);
        lanes_order(&k->l, &k->c->in[1], &(lane_taps){ { y.taps, x.taps }, { y.last, x.last }, { -s[0], -s[1] } }, true, to);
        to += lanes_weights(&k->l, y.taps * x.taps);
    }
}

static void input_band(void *arg, int64_t from, int64_t to)
{
    const input_deal *k = arg;
    const tg_call *c = k->c;
    const tg_tensor *dy = &c->in[0], *dx = &c->out;
    const int *s = conv_of(c)->stride;
    for (int64_t i = from; i < to; i++) {
        int64_t n = i / k->bands, band = i % k->bands;
        const float *weights = c->scratch;
        for (int at = 0; at < s[0] * s[1]; at++) {
            phase y = phase_of(c, 0, at / s[1]), x = phase_of(c, 1, at % s[1]);
            depthwise d = { .h = dy->shape.dim[2], .w = dy->shape.dim[3], .oh = y.size, .ow = x.size, .kh = y.taps,
                            .kw = x.taps, .stride = { 1, 1 }, .pad = { y.pad, x.pad }, .dilation = { 1, 1 },
                            .xy = dy->stride[2], .xx = dy->stride[3], .yy = s[0] * dx->stride[2],
                            .yx = s[1] * dx->stride[3], .room = k->l.room, .weights = weights,
                            .x = (const float *)dy->data + n * dy->stride[0], .f = { .kind = ACT_NONE } };
            d.y = (float *)dx->data + n * dx->stride[0] + at / s[1] * dx->stride[2] + at % s[1] * dx->stride[3];
            k->l.rows(&d, y.size * band / k->bands, y.size * (band + 1) / k->bands, 0, dx->shape.dim[1]);
            weights += lanes_weights(&k->l, y.taps * x.taps);
        }
    }
}

static void input_run(const tg_call *c)
{
    enum { BAND = 8 };
    const tg_shape x = c->out.shape;
    input_deal k = { c, lanes_of(c->in[1].shape.dim[0], c->in[1].shape.dim[1]), (x.dim[2] + BAND - 1) / BAND };
    order(&k);
    pool_run(c->pool, x.dim[0] * k.bands, 1, input_band, &k);
}

const tg_kernel kernel_depthwise_grad_input = {
    .op = "conv2d_grad_input", .name = "cpu.depthwise_grad_input", .declines = input_declines, .prefers = input_prefers,
    .prepare = input_prepare, .run = input_run,
};
const tg_kernel kernel_grouped_grad_input = {
    .op = "conv2d_grad_input", .name = "cpu.grouped_grad_input", .declines = grouped_input_declines, .prefers = input_prefers,
    .prepare = input_prepare, .run = input_run,
};

/* -- of the weights: sums of lots of rows, and these added up; lots depend on the shapes alone ---------------------- */

enum { MOST_LOTS = 16, LOT = 1 << 15, GROUP = 64 };     /* lots; numbers of dy a lot has at least; channels of a part */

static const char *weight_declines(const tg_call *c)
{
    return is_depthwise(c, &c->out) ? lies_badly(c, &c->in[1], &c->in[0]) : "not depthwise";
}

static void weight_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c, (void)out;
    for (int i = 0; i < 2; i++)
        if (!innermost(&in[i]))
            tg_channels_last(&in[i]);
}

static int64_t lots_of(const tg_call *c)
{
    const tg_shape dy = c->in[0].shape;
    int64_t lots = tg_numel(dy) / LOT, rows = dy.dim[0] * dy.dim[2];
    lots = lots < 1 ? 1 : lots < MOST_LOTS ? lots : MOST_LOTS;
    return lots < rows ? lots : rows;
}

static bool weight_prepare(const tg_call *c, tg_prep *prep)
{
    prep->scratch = lines(lots_of(c) * tg_numel(c->out.shape));
    return true;
}

typedef struct weight_deal { const tg_call *c; const depthwise_grad_vec *v; int64_t lots, groups; float *sums; } weight_deal;

/* Sums of a lot [tap][channel], for one group of channels. */
static void weight_lot(void *arg, int64_t from, int64_t to)
{
    const weight_deal *k = arg;
    const tg_tensor *dy = &k->c->in[0], *x = &k->c->in[1];
    const conv2d_attr *a = conv_of(k->c);
    const int64_t channels = a->groups, kh = k->c->out.shape.dim[2], kw = k->c->out.shape.dim[3], oh = dy->shape.dim[2];
    const int64_t rows = dy->shape.dim[0] * oh;
    for (int64_t i = from; i < to; i++) {
        int64_t lot = i / k->groups, c = i % k->groups * GROUP;
        float *sum = k->sums + lot * kh * kw * channels + c;
        depthwise_row r = { .dstep = dy->stride[3], .xstep = x->stride[3], .ow = dy->shape.dim[3], .w = x->shape.dim[3],
                            .stride = a->stride[1], .pad = a->pad[1], .dilation = a->dilation[1], .taps = kw,
                            .room = channels, .channels = channels - c < GROUP ? channels - c : GROUP };
        for (int64_t t = 0; t < kh * kw; t++)
            memset(sum + t * channels, 0, (size_t)r.channels * sizeof *sum);
        for (int64_t row = rows * lot / k->lots; row < rows * (lot + 1) / k->lots; row++)
            for (int64_t t = 0; t < kh; t++) {
                int64_t n = row / oh, oy = row % oh, y = oy * a->stride[0] - a->pad[0] + t * a->dilation[0];
                if (y < 0 || y >= x->shape.dim[2])
                    continue;
                r.dy = (const float *)dy->data + n * dy->stride[0] + oy * dy->stride[2] + c;
                r.x = (const float *)x->data + n * x->stride[0] + y * x->stride[2] + c;
                r.sum = sum + t * kw * channels;
                k->v->weight_row(&r);
            }
    }
}

static void weight_run(const tg_call *c)
{
    const tg_tensor *dw = &c->out;
    const int64_t channels = dw->shape.dim[0], kw = dw->shape.dim[3], taps = dw->shape.dim[2] * kw;
    weight_deal k = { c, VEC_PICK(depthwise_grad_vec), lots_of(c), (channels + GROUP - 1) / GROUP, c->scratch };
    pool_run(c->pool, k.lots * k.groups, 1, weight_lot, &k);
    for (int64_t lot = 1; lot < k.lots; lot++)
        for (int64_t i = 0; i < taps * channels; i++)
            k.sums[i] += k.sums[lot * taps * channels + i];
    for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < channels; i++)
            ((float *)dw->data)[i * dw->stride[0] + t / kw * dw->stride[2] + t % kw * dw->stride[3]] = k.sums[t * channels + i];
}

const tg_kernel kernel_depthwise_grad_weight = {
    .op = "conv2d_grad_weight", .name = "cpu.depthwise_grad_weight", .declines = weight_declines,
    .prefers = weight_prefers, .prepare = weight_prepare, .run = weight_run,
};
