/* expand_depthwise_cpu.c - a 1x1 convolution and the depthwise one after it, some channels and rows at a time.
 *
 * A piece is a group of channels of a band of the result's rows: the first convolution's numbers for it, in which the borders of
 * neighbouring bands are computed twice, stay in L2 until the second has read them.
 */
#include <stdlib.h>
#include "base/pages.h"
#include "kernels.h"
#include "lanes.h"
#include "packed_product.h"

enum { PANEL_VECS = 2, PANELS = 3 };            /* of a group of channels */

typedef struct state {
    const gemm_vec *v;
    lanes second;
    float *b, *bias, *weights;                  /* one block: packed, padded to whole vectors, [tap][room] and bias */
    int64_t group, groups, band, bands;         /* channels, rows */
    size_t place_bytes, piece_bytes;            /* of scratch, for each thread */
    act f, second_f;
} state;

static const expand_depthwise_attr *attr_of(const tg_call *c) { return c->attr; }
static const tg_tensor *first_bias(const tg_call *c) { return attr_of(c)->expand.e.bias ? &c->in[2] : NULL; }
static const tg_tensor *second_weights(const tg_call *c) { return &c->in[2 + attr_of(c)->expand.e.bias]; }
static const tg_tensor *second_bias(const tg_call *c) { return attr_of(c)->depthwise.e.bias ? second_weights(c) + 1 : NULL; }

static const char *declines(const tg_call *c)
{
    const tg_tensor *x = &c->in[0];
    act f;
    for (int k = 1; k < c->n_in; k++)
        if (!c->in[k].constant)
            return "weights change";
    if (!all_f32(c))
        return "not float";
    if ((x->shape.dim[1] > 1 && x->stride[1] != 1) || x->stride[2] != x->shape.dim[3] * x->stride[3])
        return "not channels-last";
    if (c->out.shape.dim[1] > 1 && c->out.stride[1] != 1)
        return "result not channels-last";
    if (!act_of(attr_of(c)->expand.e.act, attr_of(c)->expand.e.act_attr, &f)
        || !act_of(attr_of(c)->depthwise.e.act, attr_of(c)->depthwise.e.act_attr, &f))
        return "unknown activation";
    return NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    tg_channels_last(&in[0]);
    tg_channels_last(out);
}

/* Rows of the first convolution that so many of the second read. */
static int64_t read_rows(const tg_call *c, int64_t rows)
{
    const conv2d_attr *d = &attr_of(c)->depthwise;
    return (rows - 1) * d->stride[0] + (second_weights(c)->shape.dim[2] - 1) * d->dilation[0] + 1;
}

/* Bands as high as three quarters of L2 hold, or lower, if that makes too few pieces for the threads. */
static void divide(state *s, const tg_call *c)
{
    const int64_t channels = c->out.shape.dim[1], oh = c->out.shape.dim[2], w = c->in[0].shape.dim[3], n = c->out.shape.dim[0];
    const int64_t wanted = 4 * (int64_t)pool_threads(c->pool), least = second_weights(c)->shape.dim[2];
    s->group = PANELS * PANEL_VECS * s->v->width;
    s->groups = (channels + s->group - 1) / s->group;
    s->band = oh;
    while (s->band > least && (size_t)(read_rows(c, s->band) * w * s->group) * sizeof(float) > cpu()->l2 * 3 / 4)
        s->band--;
    s->bands = (oh + s->band - 1) / s->band;
    if (n * s->groups * s->bands < wanted)
        s->bands = (wanted + n * s->groups - 1) / (n * s->groups);
    s->band = (oh + s->bands - 1) / s->bands;
    s->band = s->band < least ? least : s->band;
    s->bands = (oh + s->band - 1) / s->band;
    s->piece_bytes = lines(read_rows(c, s->band) * w * s->group);
}

static void release(void *p)
{
    state *s = p;
    if (s)
        pages_free(s->b);
    free(s);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const expand_depthwise_attr *a = c->attr;
    const tg_tensor *w = &c->in[1], *second = second_weights(c), *bias = first_bias(c);
    const int64_t k = w->shape.dim[1], n = w->shape.dim[0], taps = second->shape.dim[2] * second->shape.dim[3];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    s->v = gemm_for(c->precision);
    s->second = lanes_of(n, 1);
    act_of(a->expand.e.act, a->expand.e.act_attr, &s->f);
    act_of(a->depthwise.e.act, a->depthwise.e.act_attr, &s->second_f);
    divide(s, c);
    s->place_bytes = (gemm_scratch(s->v, PANEL_VECS, 1, k, 1) + 63) / 64 * 64;
    prep->scratch = (size_t)pool_threads(c->pool) * (s->place_bytes + s->piece_bytes);
    prep->state = s;
    if (prep->sketch)
        return true;
    const int64_t right = gemm_packed(s->v, k, n), filled = gemm_filled(s->v, n);
    prep->state_bytes = (size_t)(right + filled + (taps + 1) * s->second.room) * sizeof(float);
    s->b = pages_alloc(prep->state_bytes);
    if (!s->b)
        return release(s), status_fail(prep->st, TIMM_NO_MEMORY, "out of memory packing the weights of a convolution");
    s->bias = s->b + right;
    s->weights = s->bias + filled;
    s->v->pack(w->data, k, n, w->stride[1], w->stride[0], PANEL_VECS * s->v->width, s->b);
    for (int64_t j = 0; j < filled; j++)
        s->bias[j] = bias && j < n ? ((const float *)bias->data)[j * bias->stride[0]] : 0;
    lanes_order(&s->second, second, &(lane_taps){ { second->shape.dim[2], second->shape.dim[3] }, { 0, 0 }, { 1, 1 } }, false, s->weights);
    lanes_bias(&s->second, second_bias(c), s->weights + taps * s->second.room);
    prep->consumed = (1u << c->n_in) - 2;
    return true;
}

/* Image n; rows [from, to) of the result, channels [begin, end). */
static void piece(const tg_call *c, int64_t n, int64_t from, int64_t to, int64_t begin, int64_t end, char *scratch)
{
    const state *s = c->state;
    const conv2d_attr *a = &attr_of(c)->depthwise;
    const tg_tensor *x = &c->in[0], *w = second_weights(c), *y = &c->out;
    const int64_t h = x->shape.dim[2], width = x->shape.dim[3], k = x->shape.dim[1], channels = end - begin;
    const int64_t above = from * a->stride[0] - a->pad[0], below = above + read_rows(c, to - from);
    const int64_t top = above < 0 ? 0 : above, bottom = below > h ? h : below;
    float *middle = (float *)(void *)(scratch + s->place_bytes);

    if (bottom > top) {
        struct gemm_rows pixels = { (const float *)x->data + n * x->stride[0] + top * x->stride[2], x->stride[3], TG_F32 };
        gemm g = { .v = s->v, .m = (bottom - top) * width, .n = channels, .taps = 1, .run = k, .vecs = PANEL_VECS,
                   .b = s->b + gemm_packed(s->v, k, begin), .bias = s->bias + begin, .rows = gemm_rows, .ctx = &pixels, .out = middle,
                   .out_rows = { .rank = 1, .dim = { (bottom - top) * width }, .stride = { channels } }, .f = s->f };
        const int panel = PANEL_VECS * s->v->width;
        gemm_part(&g, 0, g.m, 0, (channels + panel - 1) / panel, scratch);
    }
    depthwise d = { .h = bottom > top ? bottom - top : 0, .w = width, .oh = to - from, .ow = y->shape.dim[3], .kh = w->shape.dim[2],
                    .kw = w->shape.dim[3], .stride = { a->stride[0], a->stride[1] }, .pad = { top - above, a->pad[1] },
                    .dilation = { a->dilation[0], a->dilation[1] }, .xy = width * channels, .xx = channels, .yy = y->stride[2],
                    .yx = y->stride[3], .room = s->second.room, .weights = s->weights + begin,
                    .bias = s->weights + w->shape.dim[2] * w->shape.dim[3] * s->second.room + begin, .x = middle,
                    .y = (float *)y->data + n * y->stride[0] + from * y->stride[2] + begin, .f = s->second_f };
    s->second.rows(&d, 0, to - from, 0, channels);
}

static void work(void *arg, int64_t from, int64_t to)
{
    const tg_call *c = arg;
    const state *s = c->state;
    char *scratch = (char *)c->scratch + (size_t)pool_worker() * (s->place_bytes + s->piece_bytes);
    for (int64_t i = from; i < to; i++) {
        int64_t begin = i % s->groups * s->group, row = i / s->groups % s->bands * s->band;
        int64_t end = begin + s->group, last = row + s->band;
        end = end > c->out.shape.dim[1] ? c->out.shape.dim[1] : end;
        last = last > c->out.shape.dim[2] ? c->out.shape.dim[2] : last;
        piece(c, i / s->groups / s->bands, row, last, begin, end, scratch);
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    pool_run(c->pool, c->out.shape.dim[0] * s->bands * s->groups, 1, work, (void *)(uintptr_t)c);
}

const tg_kernel kernel_expand_depthwise = {
    .op = "expand_depthwise", .name = "cpu.expand_depthwise", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .apart = gemm_packs, .release = release, .repack = true
};
