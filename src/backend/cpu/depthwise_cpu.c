/* depthwise_cpu.c - convolution in as many groups as channels, and in narrow groups, channels-last. */
#include <stdlib.h>
#include <string.h>
#include "base/pages.h"
#include "kernels.h"
#include "lanes.h"
#include "packed_product.h"

typedef struct state {
    lanes l;
    float *weights;
    act f;
    size_t bytes, turned_bytes, piece;      /* of weights; of a thread's piece of image and result, where one of these may be bfloat16 */
    int64_t turned_room;        /* where both may be: turned_bytes of weights follow for that, channels filled up to so many; else 0 */
} state;

enum { GROUP = 256, PIECE = 192 << 10 };    /* most channels, and bytes, of such a piece, which stays in the cache */

lanes lanes_of(int64_t channels, int64_t width)
{
    const depthwise_vec *v = VEC_PICK(depthwise_vec);
    const grouped_vec *g = VEC_PICK(grouped_vec);
    const int64_t room = (channels + v->width - 1) / v->width * v->width, block = width > g->width ? width : g->width;
    if (width == 1)
        return (lanes){ v->rows, 1, 2 * v->width, room, room };
    return (lanes){ width < GROUP_WIDTHS && channels % block == 0 ? g->rows[width] : NULL, width, block, block, channels };
}

const char *lanes_narrow(const tg_shape *w, int64_t groups)
{
    if (groups == 1 || w->dim[1] == 1 || w->dim[0] != groups * w->dim[1] || !lanes_of(w->dim[0], w->dim[1]).rows)
        return "not narrow groups of as many channels in as out";
    return NULL;
}

static const char *lies_badly(const tg_call *c)
{
    if (c->in[0].shape.dim[1] > 1 && (c->in[0].stride[1] != 1 || c->out.stride[1] != 1))
        return "not channels-last";
    return epilogue_declines(c, &((const conv2d_attr *)c->attr)->e, 1);
}

static const char *declines(const tg_call *c)
{
    const int64_t groups = ((const conv2d_attr *)c->attr)->groups;
    if (c->in[1].shape.dim[1] != 1 || c->in[0].shape.dim[1] != groups || c->in[1].shape.dim[0] != groups)
        return "not depthwise";
    return lies_badly(c);
}

static const char *grouped_declines(const tg_call *c)
{
    const char *why = lanes_narrow(&c->in[1].shape, ((const conv2d_attr *)c->attr)->groups);
    return why ? why : lies_badly(c);
}

/* Instructions for bfloat16 multiply zeros, too, up to a slab of channels, once for each product of parts; tiles, which alone are for more
 * than one part, make 16 such products in the time of one here, dot products 2. */
static const char *grouped_doubts(const tg_call *c)
{
    const gemm_vec *v = gemm_for(c->precision);
    const int64_t parts = v->bytes / (int)sizeof(uint16_t), zeros = v->deep / c->in[1].shape.dim[1];
    return conv2d_shares(c) && parts * (parts + 1) / 2 * zeros <= (gemm_packs(TG_BF16X3) ? 16 : 2) ? "instructions for bfloat16 are faster" : NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    const conv2d_attr *a = c->attr;
    if (in[0].stride[1] != 1)
        tg_channels_last(&in[0]);
    if (a->e.residual && in[2 + a->e.bias].stride[1] != 1)
        tg_channels_last(&in[2 + a->e.bias]);
    tg_channels_last(out);
}

void lanes_order(const lanes *l, const tg_tensor *w, const lane_taps *k, bool turned, float *to)
{
    const int64_t taps = k->count[0] * k->count[1];
    for (int64_t c = 0; c < l->room; c++)
        for (int64_t t = 0; t < taps; t++) {
            const int64_t y = k->first[0] + t / k->count[1] * k->step[0], x = k->first[1] + t % k->count[1] * k->step[1];
            const float *tap = (const float *)w->data + y * w->stride[2] + x * w->stride[3];
            float *lane = to + (c / l->block * taps + t) * l->width * l->block + c % l->block;
            for (int64_t i = 0; i < l->width; i++) {
                int64_t o = turned ? c / l->width * l->width + i : c, in = turned ? c % l->width : i;
                lane[i * l->block] = c < w->shape.dim[0] ? tap[o * w->stride[0] + in * w->stride[1]] : 0;
            }
        }
}

void lanes_bias(const lanes *l, const tg_tensor *bias, float *to)
{
    for (int64_t i = 0; i < l->room; i++)
        to[i] = bias && i < bias->shape.dim[0] ? ((const float *)bias->data)[i * bias->stride[0]] : 0;
}

static void order(const state *s, const tg_call *c, float *to)
{
    const int64_t *k = &c->in[1].shape.dim[2];
    lanes_order(&s->l, &c->in[1], &(lane_taps){ { k[0], k[1] }, { 0, 0 }, { 1, 1 } }, false, to);
    lanes_bias(&s->l, epilogue_bias(c, &((const conv2d_attr *)c->attr)->e), to + lanes_weights(&s->l, k[0] * k[1]));
}

/* And once more for channels in turn, 16 of even number and 16 of odd (depthwise_bf16.c). */
static void order_turned(const state *s, const tg_call *c, float *to)
{
    const tg_tensor *w = &c->in[1], *bias = epilogue_bias(c, &((const conv2d_attr *)c->attr)->e);
    const int64_t kw = w->shape.dim[3], taps = w->shape.dim[2] * kw, channels = w->shape.dim[0];
    for (int64_t i = 0; i < s->turned_room; i++) {
        const int64_t ch = lanes_turned(i);
        for (int64_t t = 0; t < taps; t++)
            to[t * s->turned_room + i] = ch < channels ? ((const float *)w->data)[ch * w->stride[0] + t / kw * w->stride[2] + t % kw * w->stride[3]] : 0;
        to[taps * s->turned_room + i] = bias && ch < channels ? ((const float *)bias->data)[ch * bias->stride[0]] : 0;
    }
}

static void release(void *p)
{
    state *s = p;
    if (s)
        pages_free(s->weights);
    free(s);
}

/* Rows of the image that so many of the result read. */
static int64_t read_rows(const tg_call *c, int64_t rows)
{
    const conv2d_attr *a = c->attr;
    return (rows - 1) * a->stride[0] + (c->in[1].shape.dim[2] - 1) * a->dilation[0] + 1;
}

static int64_t piece_channels(const tg_call *c) { return c->out.shape.dim[1] < GROUP ? c->out.shape.dim[1] : GROUP; }

static int64_t row_numbers(const tg_call *c, int64_t rows)         /* of a piece: image, then result */
{
    return (read_rows(c, rows) * c->in[0].shape.dim[3] + rows * c->out.shape.dim[3]) * piece_channels(c);
}

static int64_t piece_rows(const tg_call *c)
{
    int64_t rows = 1;
    while (rows < c->out.shape.dim[2] && row_numbers(c, rows + 1) * (int64_t)sizeof(float) <= PIECE)
        rows++;
    return rows;
}

static bool may_narrow(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    return gemm_narrow(c->precision) && c->in[1].shape.dim[1] == 1 && !a->e.residual;
}

static unsigned narrow(const tg_call *c) { return may_narrow(c) ? NARROW_RESULT | 1 : 0; }

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    s->l = lanes_of(w->shape.dim[0], w->shape.dim[1]);
    s->bytes = lines(lanes_weights(&s->l, w->shape.dim[2] * w->shape.dim[3]) + s->l.room);
    act_of(a->e.act, a->e.act_attr, &s->f);
    if (may_narrow(c))
        s->turned_room = (w->shape.dim[0] + 31) / 32 * 32;
    s->turned_bytes = lines((w->shape.dim[2] * w->shape.dim[3] + 1) * s->turned_room);
    if (w->constant && !prep->sketch) {
        s->weights = pages_alloc(s->bytes + s->turned_bytes);
        if (!s->weights)
            return release(s), status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
        order(s, c, s->weights);
        order_turned(s, c, s->weights + s->bytes / sizeof(float));
        prep->consumed = a->e.bias ? 6 : 2;
        prep->state_bytes = s->bytes + s->turned_bytes;
    } else if (!w->constant)
        prep->scratch = s->bytes + s->turned_bytes;
    s->piece = may_narrow(c) ? lines(row_numbers(c, piece_rows(c))) : 0;
    prep->scratch += s->piece * (size_t)pool_threads(c->pool);
    prep->state = s;
    return true;
}

/* Bands of rows, and where these are few, groups of channels. */
struct deal {
    const lanes *l;
    void (*rows)(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end);     /* NULL: in pieces */
    const tg_call *c;
    const tg_tensor *residual;
    depthwise d;
    int64_t bands, groups, per_band, per_group;
};

/* A row of `count` pixels, `group` channels of each, between memory and a piece of floats. */
static void bring(const tg_tensor *t, int64_t at, int64_t count, int64_t group, float *to)
{
    const bool whole = t->stride[3] == group;
    const int64_t pieces = whole ? 1 : count, n = whole ? count * group : group;
    for (int64_t j = 0; j < pieces; j++)
        if (t->dtype == TG_BFLOAT)
            VEC_PICK(narrow_vec)->widen(tg_at(t->data, TG_BFLOAT, at + j * t->stride[3]), to + j * group, n);
        else
            memcpy(to + j * group, tg_at(t->data, t->dtype, at + j * t->stride[3]), (size_t)n * sizeof *to);
}

static void leave(act f, const float *from, int64_t count, int64_t group, const tg_tensor *t, int64_t at)
{
    const bool whole = t->stride[3] == group;
    const int64_t pieces = whole ? 1 : count, n = whole ? count * group : group;
    for (int64_t j = 0; j < pieces; j++)
        if (t->dtype == TG_BFLOAT)
            gemm_for(TG_BF16)->settle(f, from + j * group, tg_at(t->data, TG_BFLOAT, at + j * t->stride[3]), n);
        else
            VEC_PICK(elementwise_vec)->unary(f, from + j * group, tg_at(t->data, t->dtype, at + j * t->stride[3]), n);
}

/* Image n, rows [from, to) and channels [c, end) of the result, piece by piece through floats. */
static void in_pieces(const struct deal *k, int64_t n, int64_t from, int64_t to, int64_t c, int64_t end)
{
    const tg_tensor *x = &k->c->in[0], *y = &k->c->out;
    const state *s = k->c->state;
    const int64_t most = piece_rows(k->c), widest = piece_channels(k->c), w = x->shape.dim[3], ow = y->shape.dim[3];
    float *image = (float *)(void *)((char *)k->c->scratch + (s->weights ? 0 : s->bytes + s->turned_bytes) + s->piece * (size_t)pool_worker());
    for (; c < end; c += widest) {
        const int64_t group = end - c < widest ? end - c : widest;
        for (int64_t row = from; row < to; row += most) {
            const int64_t rows = to - row < most ? to - row : most, above = row * k->d.stride[0] - k->d.pad[0], below = above + read_rows(k->c, rows);
            const int64_t top = above < 0 ? 0 : above, bottom = below > k->d.h ? k->d.h : below;
            float *result = image + read_rows(k->c, most) * w * group;
            for (int64_t i = top; i < bottom; i++)
                bring(x, n * x->stride[0] + i * x->stride[2] + c, w, group, image + (i - top) * w * group);
            depthwise d = k->d;
            d.h = bottom > top ? bottom - top : 0;
            d.oh = rows;
            d.pad[0] = top - above;
            d.xy = w * group, d.xx = group, d.yy = ow * group, d.yx = group;
            d.f = (act){ 0 };
            d.weights += c;
            d.bias = d.bias ? d.bias + c : NULL;
            d.x = image, d.y = result;
            k->l->rows(&d, 0, rows, 0, group);
            for (int64_t i = 0; i < rows; i++)
                leave(k->d.f, result + i * ow * group, ow, group, y, n * y->stride[0] + (row + i) * y->stride[2] + c);
        }
    }
}

static void work(void *arg, int64_t from, int64_t to)
{
    const struct deal *k = arg;
    const tg_call *c = k->c;
    int64_t channels = c->out.shape.dim[1];

    for (int64_t i = from; i < to; i++) {
        int64_t n = i / k->groups / k->bands, row = i / k->groups % k->bands * k->per_band,
                first = i % k->groups * k->per_group;
        int64_t end = row + k->per_band < k->d.oh ? row + k->per_band : k->d.oh;
        int64_t last = first + k->per_group < channels ? first + k->per_group : channels;
        if (!k->rows) {
            in_pieces(k, n, row, end, first, last);
            continue;
        }
        depthwise d = k->d;
        d.x = tg_at(d.x, c->in[0].dtype, n * c->in[0].stride[0]);
        d.y = tg_at(d.y, c->out.dtype, n * c->out.stride[0]);
        if (d.residual)
            d.residual += n * k->residual->stride[0];
        k->rows(&d, row, end, first, last);
    }
}

static void run(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const state *s = c->state;
    const tg_tensor *x = &c->in[0], *w = &c->in[1], *y = &c->out, *r = epilogue_residual(c, &a->e);
    const int64_t wanted = 8 * (int64_t)pool_threads(c->pool);
    int64_t unit = s->l.unit;
    float *weights = s->weights ? s->weights : c->scratch;

    if (!s->weights)
        order(s, c, weights);
    struct deal k = { .l = &s->l, .c = c, .residual = r, .d = {
        .h = x->shape.dim[2], .w = x->shape.dim[3], .oh = y->shape.dim[2], .ow = y->shape.dim[3],
        .kh = w->shape.dim[2], .kw = w->shape.dim[3], .stride = { a->stride[0], a->stride[1] },
        .pad = { a->pad[0], a->pad[1] }, .dilation = { a->dilation[0], a->dilation[1] },
        .xy = x->stride[2], .xx = x->stride[3], .yy = y->stride[2], .yx = y->stride[3],
        .ry = r ? r->stride[2] : 0, .rx = r ? r->stride[3] : 0, .room = s->l.room, .weights = weights,
        .bias = a->e.bias ? weights + lanes_weights(&s->l, w->shape.dim[2] * w->shape.dim[3]) : NULL,
        .x = x->data, .residual = r ? r->data : NULL, .y = y->data, .act_first = a->e.act_first, .f = s->f,
    } };
    k.rows = x->dtype == TG_BFLOAT || y->dtype == TG_BFLOAT ? NULL : s->l.rows;
    const depthwise_vec *v = gemm_for(c->precision)->depthwise;
    k.d.of_floats = x->dtype == TG_F32;
    if (y->dtype == TG_BFLOAT && v->knows(&k.d)) {
        unit = 32;
        k.rows = v->rows;
        if (!k.d.of_floats) {
            if (!s->weights)
                order_turned(s, c, weights + s->bytes / sizeof(float));
            k.d.room = s->turned_room;
            k.d.weights = weights + s->bytes / sizeof(float);
            k.d.bias = a->e.bias ? k.d.weights + k.d.kh * k.d.kw * k.d.room : NULL;
        }
    }
    int64_t units = (y->shape.dim[1] + unit - 1) / unit;
    /* Bands of rows where products are dealt out by rows, too, so that threads read what they wrote, or channels are too few to share; else channels. */
    const bool by_rows = k.d.oh * y->shape.dim[3] > GEMM_ROWS || units < wanted / 2;
    const int64_t bands = k.d.oh >= 2 * wanted ? wanted : by_rows && y->shape.dim[0] < wanted / 4 ? wanted / 4 : 1;
    k.per_band = (k.d.oh + bands - 1) / bands;
    k.bands = (k.d.oh + k.per_band - 1) / k.per_band;
    k.groups = k.bands > 1 ? 1 : units < wanted ? units : wanted;
    k.per_group = (units + k.groups - 1) / k.groups * unit;
    k.groups = (y->shape.dim[1] + k.per_group - 1) / k.per_group;
    pool_run(c->pool, y->shape.dim[0] * k.bands * k.groups, 1, work, &k);
}

const tg_kernel kernel_depthwise = {
    .op = "conv2d", .name = "cpu.depthwise", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .release = release, .repack = true, .narrow = narrow
};

const tg_kernel kernel_grouped = {
    .op = "conv2d", .name = "cpu.grouped", .declines = grouped_declines, .doubts = grouped_doubts, .prefers = prefers, .prepare = prepare, .run = run,
    .release = release, .repack = true
};
