/* conv2d_shortcut_cpu.c - two 1x1 convolutions as one product: a row is a pixel of each image, the second cut into as many taps as it has
 * times the first's channels. */
#include <stdlib.h>
#include <string.h>
#include "base/room.h"
#include "kernels.h"
#include "packed_product.h"

typedef struct state { product p; int64_t taps; } state;

static const conv2d_shortcut_attr *attr_of(const tg_call *c) { return c->attr; }
static const tg_tensor *from_of(const tg_call *c) { return &c->in[2 + attr_of(c)->e.bias]; }       /* its weights follow */
static int64_t channels(const tg_tensor *x) { return x->shape.dim[1]; }

static bool lies_well(const tg_tensor *x) { return x->stride[1] == 1 || x->shape.dim[1] == 1; }

static const char *declines(const tg_call *c)
{
    const tg_tensor *from = from_of(c);
    act f;
    if (!all_f32(c))
        return "not float";
    if (!lies_well(&c->in[0]) || !lies_well(from) || !lies_well(&c->out))
        return "not channels-last";
    if (!c->in[1].constant || !from[1].constant || (attr_of(c)->e.bias && !c->in[2].constant))
        return "weights change";
    if (channels(from) % channels(&c->in[0]))
        return "channels are no multiple of the first's";
    return act_of(attr_of(c)->e.act, attr_of(c)->e.act_attr, &f) ? NULL : "unknown activation";
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    tg_channels_last(&in[0]);
    tg_channels_last(&in[2 + attr_of(c)->e.bias]);
    tg_channels_last(out);
}

/* Weights of both, one row of the result's after the other. */
static void order(const tg_call *c, float *to)
{
    const tg_tensor *of[] = { &c->in[1], from_of(c) + 1 };
    for (int64_t o = 0; o < c->out.shape.dim[1]; o++)
        for (int i = 0; i < 2; i++)
            for (int64_t k = 0; k < channels(of[i]); k++)
                *to++ = ((const float *)of[i]->data)[o * of[i]->stride[0] + k * of[i]->stride[1]];
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const int64_t n = c->out.shape.dim[1], k = channels(&c->in[0]) + channels(from_of(c));
    state *s = calloc(1, sizeof *s);
    float *w = s && !prep->sketch ? room_alloc((size_t)(n * k) * sizeof *w) : NULL;
    if (!s || (!w && !prep->sketch)) {
        free(s);
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    }
    s->p.m = c->out.shape.dim[0] * c->out.shape.dim[2] * c->out.shape.dim[3];
    s->p.n = n;
    s->p.k = k;
    s->taps = k / channels(&c->in[0]);
    if (w)
        order(c, w);
    const bool ok = product_prepare(&s->p, c, &attr_of(c)->e, s->taps, w, 1, k, prep);
    room_free(w);
    if (!ok)
        return product_release(s), false;
    prep->consumed |= w ? 1u << (3 + attr_of(c)->e.bias) : 0;
    prep->state = s;
    return true;
}

typedef struct pixels { const tg_tensor *x, *from; const int *stride; int64_t taps, ow, oh; } pixels;

static void rows(const void *ctx, int64_t at, int count, const void **row)
{
    const pixels *p = ctx;
    const tg_tensor *x = p->x, *from = p->from;
    int64_t i = at % p->ow, j = at / p->ow % p->oh, n = at / p->ow / p->oh;
    for (int r = 0; r < count; r++) {
        row[r] = tg_at(x->data, x->dtype, n * x->stride[0] + j * x->stride[2] + i * x->stride[3]);
        const int64_t there = n * from->stride[0] + j * p->stride[0] * from->stride[2] + i * p->stride[1] * from->stride[3];
        for (int64_t t = 1; t < p->taps; t++)
            row[t * count + r] = tg_at(from->data, from->dtype, there + (t - 1) * channels(x));
        if (++i == p->ow) {
            i = 0;
            if (++j == p->oh)
                j = 0, n++;
        }
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    const pixels p = { &c->in[0], from_of(c), attr_of(c)->stride, s->taps, c->out.shape.dim[3], c->out.shape.dim[2] };
    gemm g = { .taps = s->taps, .run = channels(&c->in[0]), .rows = rows, .ctx = &p, .out_rows = rowmap_nhw(&c->out) };
    product_begin(&s->p, c, &attr_of(c)->e, NULL, 1, s->p.k, &g);
    gemm_run(&g, c->pool);
}

/* Both images of one kind, as rows are of both. */
static unsigned narrow(const tg_call *c)
{
    return gemm_narrow(c->precision) ? NARROW_ALIKE | NARROW_RESULT | 1u | 1u << (2 + attr_of(c)->e.bias) : 0;
}

const tg_kernel kernel_conv2d_shortcut = {
    .op = "conv2d_shortcut", .name = "cpu.conv2d_shortcut", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .apart = gemm_packs, .release = product_release, .repack = true, .narrow = narrow
};
