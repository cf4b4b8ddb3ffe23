/* depthwise_cpu.c - convolution in as many groups as channels, channels-last. */
#include <stdlib.h>
#include "kernels.h"
#include "packed_product.h"

typedef struct state { const depthwise_vec *v; float *weights; int64_t room; act f; size_t bytes; } state;

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    if (w->shape.dim[1] != 1 || x->shape.dim[1] != a->groups || w->shape.dim[0] != a->groups)
        return "not depthwise";
    if (x->shape.dim[1] > 1 && (x->stride[1] != 1 || c->out.stride[1] != 1))
        return "not channels-last";
    return epilogue_declines(c, &a->e, 1);
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

void depthwise_order(const tg_tensor *w, const tg_tensor *bias, int64_t room, float *to)
{
    int64_t channels = w->shape.dim[0], kw = w->shape.dim[3], taps = w->shape.dim[2] * kw;

    for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < room; i++)
            to[t * room + i] = i >= channels ? 0 : ((const float *)w->data)[i * w->stride[0] + t / kw * w->stride[2]
                                                                           + t % kw * w->stride[3]];
    for (int64_t i = 0; i < room; i++)
        to[taps * room + i] = bias && i < channels ? ((const float *)bias->data)[i * bias->stride[0]] : 0;
}

static void release(void *p)
{
    state *s = p;
    if (s)
        free(s->weights);
    free(s);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    s->v = VEC_PICK(depthwise_vec);
    s->room = (w->shape.dim[0] + s->v->width - 1) / s->v->width * s->v->width;
    s->bytes = (size_t)((w->shape.dim[2] * w->shape.dim[3] + 1) * s->room) * sizeof(float);
    act_of(a->e.act, a->e.act_attr, &s->f);
    if (w->constant && !prep->sketch) {
        s->weights = aligned_bytes(s->bytes);
        if (!s->weights)
            return release(s), status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
        depthwise_order(w, epilogue_bias(c, &a->e), s->room, s->weights);
        prep->consumed = a->e.bias ? 6 : 2;
        prep->state_bytes = s->bytes;
    } else if (!w->constant)
        prep->scratch = s->bytes;
    prep->state = s;
    return true;
}

/* Bands of rows, and where these are few, groups of channels. */
struct deal {
    const depthwise_vec *v;
    const tg_call *c;
    const tg_tensor *residual;
    depthwise d;
    int64_t bands, groups, per_band, per_group;
};

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
        depthwise d = k->d;
        d.x += n * c->in[0].stride[0];
        d.y += n * c->out.stride[0];
        if (d.residual)
            d.residual += n * k->residual->stride[0];
        k->v->rows(&d, row, end, first, last);
    }
}

static void run(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const state *s = c->state;
    const tg_tensor *x = &c->in[0], *w = &c->in[1], *y = &c->out, *r = epilogue_residual(c, &a->e);
    const int64_t wanted = 8 * (int64_t)pool_threads(c->pool), unit = 2 * s->v->width;
    float *weights = s->weights ? s->weights : c->scratch;

    if (!s->weights)
        depthwise_order(w, epilogue_bias(c, &a->e), s->room, weights);
    struct deal k = { .v = s->v, .c = c, .residual = r, .d = {
        .h = x->shape.dim[2], .w = x->shape.dim[3], .oh = y->shape.dim[2], .ow = y->shape.dim[3],
        .kh = w->shape.dim[2], .kw = w->shape.dim[3], .stride = { a->stride[0], a->stride[1] },
        .pad = { a->pad[0], a->pad[1] }, .dilation = { a->dilation[0], a->dilation[1] },
        .xy = x->stride[2], .xx = x->stride[3], .yy = y->stride[2], .yx = y->stride[3],
        .ry = r ? r->stride[2] : 0, .rx = r ? r->stride[3] : 0, .room = s->room, .weights = weights,
        .bias = a->e.bias ? weights + w->shape.dim[2] * w->shape.dim[3] * s->room : NULL,
        .x = x->data, .residual = r ? r->data : NULL, .y = y->data, .act_first = a->e.act_first, .f = s->f,
    } };
    int64_t units = (y->shape.dim[1] + unit - 1) / unit;
    k.per_band = k.d.oh >= 2 * wanted ? (k.d.oh + wanted - 1) / wanted : k.d.oh;
    k.bands = (k.d.oh + k.per_band - 1) / k.per_band;
    k.groups = k.bands > 1 ? 1 : units < wanted ? units : wanted;
    k.per_group = (units + k.groups - 1) / k.groups * unit;
    k.groups = (y->shape.dim[1] + k.per_group - 1) / k.per_group;
    pool_run(c->pool, y->shape.dim[0] * k.bands * k.groups, 1, work, &k);
}

const tg_kernel kernel_depthwise = {
    .op = "conv2d", .name = "cpu.depthwise", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .release = release, .repack = true
};
