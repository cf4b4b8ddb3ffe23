/* depthwise_grad_cpu.c - the gradients of a convolution in as many groups as channels, and in its input in narrow groups, too;
 * channels-last. */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "lanes.h"
#include "loops.h"
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

enum { BAND = 8, GROUP = 64 };          /* rows of dx that are a task; channels of a part */

/* dy or dx may be bfloat16: then parts of a band go through floats. */
static bool may_narrow(const tg_call *c) { return gemm_narrow(c->precision) && c->in[1].shape.dim[1] == 1; }

/* Rows of dy that count rows of dx from `from` on, a multiple of the stride, are made of, inside the image or not. */
static void rows_of_dy(const tg_call *c, int64_t from, int64_t count, int64_t *top, int64_t *bottom)
{
    const int s = conv_of(c)->stride[0];
    *top = INT64_MAX, *bottom = INT64_MIN;
    for (int at = 0; at < s; at++) {
        const phase y = phase_of(c, 0, at);
        const int64_t first = from / s - y.pad, end = (from + count + s - 1) / s - 1 - y.pad + y.taps;
        *top = first < *top ? first : *top;
        *bottom = end > *bottom ? end : *bottom;
    }
}

static int64_t band_rows(const tg_call *c) { return (BAND + conv_of(c)->stride[0] - 1) / conv_of(c)->stride[0] * conv_of(c)->stride[0]; }

static size_t dy_bytes(const tg_call *c)
{
    int64_t top, bottom;
    rows_of_dy(c, 0, band_rows(c), &top, &bottom);
    return lines((bottom - top) * c->in[0].shape.dim[3] * GROUP);
}

static size_t part_bytes(const tg_call *c) { return dy_bytes(c) + lines(band_rows(c) * c->out.shape.dim[3] * GROUP); }

static size_t weight_bytes(const tg_call *c)
{
    const tg_shape w = c->in[1].shape;
    const lanes l = lanes_of(w.dim[0], w.dim[1]);
    return lines(lanes_weights(&l, w.dim[2] * w.dim[3]));
}

/* Weights for a depthwise convolution of bfloat16 follow them: channels filled up to a multiple of 32, of these 16 of even number, then
 * 16 of odd (depthwise_bf16.c). */
static int64_t turned_room(const tg_call *c) { return (c->in[1].shape.dim[0] + 31) / 32 * 32; }
static size_t turned_bytes(const tg_call *c)
{
    return may_narrow(c) ? lines(turned_room(c) * c->in[1].shape.dim[2] * c->in[1].shape.dim[3]) : 0;
}

static bool input_prepare(const tg_call *c, tg_prep *prep)
{
    prep->scratch = weight_bytes(c) + turned_bytes(c) + (may_narrow(c) ? part_bytes(c) * (size_t)pool_threads(c->pool) : 0);
    return true;
}

typedef struct input_deal { const tg_call *c; lanes l; int64_t bands; depthwise d; } input_deal;      /* d: see strips_of */

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

/* `count` pixels, n channels of each from `from`, `step` apart, as floats GROUP apart or back. */
static void bring(const void *from, tg_dtype of, int64_t step, int64_t count, int64_t n, float *to)
{
    if (of == TG_BFLOAT)
        VEC_PICK(narrow_vec)->widen_runs(from, step, n, count, to, GROUP);
    for (int64_t i = 0; i < count && of == TG_F32; i++)
        memcpy(to + i * GROUP, tg_at(from, of, i * step), (size_t)n * sizeof *to);
}

static void leave(const float *from, int64_t count, int64_t n, void *to, tg_dtype of, int64_t step)
{
    for (int64_t i = 0; i < count; i++)
        if (of == TG_BFLOAT)
            VEC_PICK(narrow_vec)->narrow(from + i * GROUP, tg_at(to, of, i * step), n);
        else
            memcpy(tg_at(to, of, i * step), from + i * GROUP, (size_t)n * sizeof *from);
}

/* Rows [row, row + rows) of dx of image n, channels [first, first + group). */
static void input_part(const input_deal *k, int64_t n, int64_t row, int64_t rows, int64_t first, int64_t group)
{
    const tg_call *c = k->c;
    const tg_tensor *dy = &c->in[0], *dx = &c->out;
    const int *s = conv_of(c)->stride;
    float *part = (float *)(void *)((char *)c->scratch + weight_bytes(c) + turned_bytes(c) + (size_t)pool_worker() * part_bytes(c));
    float *result = part + dy_bytes(c) / sizeof *part;
    const int64_t w = dy->shape.dim[3], width = dx->shape.dim[3];
    int64_t top, bottom;
    rows_of_dy(c, row, rows, &top, &bottom);
    top = top < 0 ? 0 : top;
    bottom = bottom > dy->shape.dim[2] ? dy->shape.dim[2] : bottom;
    for (int64_t i = top; i < bottom; i++)
        bring(tg_at(dy->data, dy->dtype, n * dy->stride[0] + i * dy->stride[2] + first), dy->dtype, dy->stride[3], w, group,
              part + (i - top) * w * GROUP);
    const float *weights = (const float *)c->scratch + first;
    for (int at = 0; at < s[0] * s[1]; at++) {
        const phase y = phase_of(c, 0, at / s[1]), x = phase_of(c, 1, at % s[1]);
        const int64_t left = rows - at / s[1];
        depthwise d = { .h = bottom > top ? bottom - top : 0, .w = w, .oh = left > 0 ? (left + s[0] - 1) / s[0] : 0, .ow = x.size,
                        .kh = y.taps, .kw = x.taps, .stride = { 1, 1 }, .pad = { y.pad + top - row / s[0], x.pad }, .dilation = { 1, 1 },
                        .xy = w * GROUP, .xx = GROUP, .yy = s[0] * width * GROUP, .yx = (int64_t)s[1] * GROUP, .room = k->l.room,
                        .weights = weights, .x = part, .y = result + (at / s[1] * width + at % s[1]) * GROUP, .f = { .kind = ACT_NONE } };
        k->l.rows(&d, 0, d.oh, 0, group);
        weights += lanes_weights(&k->l, y.taps * x.taps);
    }
    for (int64_t i = 0; i < rows; i++)
        leave(result + i * width * GROUP, width, group, tg_at(dx->data, dx->dtype, n * dx->stride[0] + (row + i) * dx->stride[2] + first),
              dx->dtype, dx->stride[3]);
}

static void input_band_in_parts(void *arg, int64_t from, int64_t to)
{
    const input_deal *k = arg;
    const tg_shape x = k->c->out.shape;
    const int64_t most = band_rows(k->c);
    for (int64_t i = from; i < to; i++) {
        const int64_t row = i % k->bands * most, rows = x.dim[2] - row < most ? x.dim[2] - row : most;
        for (int64_t c = 0; c < x.dim[1]; c += GROUP)
            input_part(k, i / k->bands, row, rows, c, x.dim[1] - c < GROUP ? x.dim[1] - c : GROUP);
    }
}

static void input_band_of_strips(void *arg, int64_t from, int64_t to)
{
    const input_deal *k = arg;
    const tg_tensor *dy = &k->c->in[0], *dx = &k->c->out;
    const int64_t most = band_rows(k->c);
    for (int64_t i = from; i < to; i++) {
        const int64_t n = i / k->bands, row = i % k->bands * most;
        depthwise d = k->d;
        d.x = tg_at(dy->data, dy->dtype, n * dy->stride[0]);
        d.y = tg_at(dx->data, dx->dtype, n * dx->stride[0]);
        gemm_for(k->c->precision)->depthwise->rows(&d, row, d.oh - row < most ? d.oh : row + most, 0, dx->shape.dim[1]);
    }
}

/* Of stride 1 it is a depthwise convolution, and those that leave bfloat16 have kernels for it. */
static bool strips_of(input_deal *k)
{
    const tg_call *c = k->c;
    const tg_tensor *dy = &c->in[0], *dx = &c->out;
    const int *s = conv_of(c)->stride;
    const int64_t taps = c->in[1].shape.dim[2] * c->in[1].shape.dim[3];
    if (dx->dtype != TG_BFLOAT || s[0] != 1 || s[1] != 1)
        return false;
    const phase y = phase_of(c, 0, 0), x = phase_of(c, 1, 0);
    k->d = (depthwise){ .h = dy->shape.dim[2], .w = dy->shape.dim[3], .oh = y.size, .ow = x.size, .kh = y.taps, .kw = x.taps, .stride = { 1, 1 },
                        .pad = { y.pad, x.pad }, .dilation = { 1, 1 }, .xy = dy->stride[2], .xx = dy->stride[3], .yy = dx->stride[2],
                        .yx = dx->stride[3], .room = k->l.room, .weights = c->scratch, .of_floats = dy->dtype == TG_F32,
                        .f = { .kind = ACT_NONE } };
    if (!gemm_for(c->precision)->depthwise->knows(&k->d))
        return false;
    if (k->d.of_floats)
        return true;
    const float *plain = c->scratch;
    float *turned = (float *)(void *)((char *)c->scratch + weight_bytes(c));
    for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < turned_room(c); i++) {
            const int64_t ch = lanes_turned(i);
            turned[t * turned_room(c) + i] = ch < k->l.room ? plain[t * k->l.room + ch] : 0;
        }
    k->d.weights = turned;
    k->d.room = turned_room(c);
    return true;
}

static void input_run(const tg_call *c)
{
    const tg_shape x = c->out.shape;
    const bool floats = c->in[0].dtype == TG_F32 && c->out.dtype == TG_F32;
    const int64_t most = floats ? BAND : band_rows(c);
    input_deal k = { .c = c, .l = lanes_of(c->in[1].shape.dim[0], c->in[1].shape.dim[1]), .bands = (x.dim[2] + most - 1) / most };
    order(&k);
    pool_run(c->pool, x.dim[0] * k.bands, 1, floats ? input_band : strips_of(&k) ? input_band_of_strips : input_band_in_parts, &k);
}

static unsigned input_narrow(const tg_call *c) { return may_narrow(c) ? NARROW_RESULT | 1 : 0; }

const tg_kernel kernel_depthwise_grad_input = {
    .op = "conv2d_grad_input", .name = "cpu.depthwise_grad_input", .declines = input_declines, .prefers = input_prefers,
    .prepare = input_prepare, .run = input_run, .narrow = input_narrow,
};
const tg_kernel kernel_grouped_grad_input = {
    .op = "conv2d_grad_input", .name = "cpu.grouped_grad_input", .declines = grouped_input_declines, .prefers = input_prefers,
    .prepare = input_prepare, .run = input_run,
};

/* -- of the weights: sums of lots of rows, and these added up; lots depend on the shapes alone ---------------------- */

enum { MOST_LOTS = 16, LOT = 1 << 15, MOST_ROWS = 16 }; /* lots; numbers of dy a lot has at least; rows of x as floats */

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

/* Rows of x, which as many rows of dy in turn read. */
static int64_t x_rows(const tg_call *c) { return (c->out.shape.dim[2] - 1) * conv_of(c)->dilation[0] + 1; }

/* A thread's room for a row of dy, and for rows of x, as floats. */
static size_t dy_row(const tg_call *c) { return lines(c->in[0].shape.dim[3] * GROUP); }
static size_t x_row(const tg_call *c) { return lines(c->in[1].shape.dim[3] * GROUP); }
static size_t row_bytes(const tg_call *c) { return dy_row(c) + (size_t)x_rows(c) * x_row(c); }

static unsigned weight_narrow(const tg_call *c) { return gemm_narrow(c->precision) && x_rows(c) <= MOST_ROWS ? 3 : 0; }

static bool weight_prepare(const tg_call *c, tg_prep *prep)
{
    prep->scratch = lines(lots_of(c) * tg_numel(c->out.shape)) + (weight_narrow(c) ? row_bytes(c) * (size_t)pool_threads(c->pool) : 0);
    return true;
}

typedef struct weight_deal { const tg_call *c; const depthwise_grad_vec *v; int64_t lots, groups; float *sums; char *rooms; } weight_deal;

/* n channels of a row of `count` pixels that begins at `from`: where they lie, or in `room` as floats; *step: from pixel to pixel. */
static const float *floats_of(const tg_tensor *t, int64_t from, int64_t n, bool there, void *room, int64_t *step)
{
    *step = t->dtype == TG_F32 ? t->stride[3] : GROUP;
    if (t->dtype == TG_F32)
        return (const float *)t->data + from;
    if (!there)
        bring(tg_at(t->data, t->dtype, from), t->dtype, t->stride[3], t->shape.dim[3], n, room);
    return room;
}

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
        char *room = k->rooms + (size_t)pool_worker() * row_bytes(k->c);
        int64_t held[MOST_ROWS];                        /* the row of x, of all images, in this place of the room */
        memset(held, -1, sizeof held);
        depthwise_row r = { .ow = dy->shape.dim[3], .w = x->shape.dim[3],
                            .stride = a->stride[1], .pad = a->pad[1], .dilation = a->dilation[1], .taps = kw,
                            .room = channels, .channels = channels - c < GROUP ? channels - c : GROUP };
        for (int64_t t = 0; t < kh * kw; t++)
            memset(sum + t * channels, 0, (size_t)r.channels * sizeof *sum);
        for (int64_t row = rows * lot / k->lots; row < rows * (lot + 1) / k->lots; row++) {
            const int64_t n = row / oh, oy = row % oh;
            r.dy = floats_of(dy, n * dy->stride[0] + oy * dy->stride[2] + c, r.channels, false, room, &r.dstep);
            for (int64_t t = 0; t < kh; t++) {
                const int64_t y = oy * a->stride[0] - a->pad[0] + t * a->dilation[0];
                if (y < 0 || y >= x->shape.dim[2])
                    continue;
                const int64_t all = n * x->shape.dim[2] + y, place = all % x_rows(k->c);
                r.x = floats_of(x, n * x->stride[0] + y * x->stride[2] + c, r.channels, place < MOST_ROWS && held[place] == all,
                                room + dy_row(k->c) + (size_t)place * x_row(k->c), &r.xstep);
                if (place < MOST_ROWS)
                    held[place] = all;
                r.sum = sum + t * kw * channels;
                k->v->weight_row(&r);
            }
        }
    }
}

static void weight_run(const tg_call *c)
{
    const tg_tensor *dw = &c->out;
    const int64_t channels = dw->shape.dim[0], kw = dw->shape.dim[3], taps = dw->shape.dim[2] * kw;
    weight_deal k = { c, VEC_PICK(depthwise_grad_vec), lots_of(c), (channels + GROUP - 1) / GROUP, c->scratch,
                      (char *)c->scratch + lines(lots_of(c) * tg_numel(dw->shape)) };
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
    .prefers = weight_prefers, .prepare = weight_prepare, .run = weight_run, .narrow = weight_narrow,
};
