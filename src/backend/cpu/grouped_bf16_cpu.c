/* grouped_bf16_cpu.c - convolution in narrow groups and, of stride 1, its gradient in the input, by dot products of pairs (grouped_bf16.c);
 * channels-last. */
#include <stdlib.h>
#include "base/half.h"
#include "base/pages.h"
#include "kernels.h"
#include "lanes.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"

typedef struct state { void *weights; size_t bytes, copies; } state;     /* weights: NULL: packed when it runs; copies: a thread's */

static bool backwards(const tg_call *c) { return c->op == &op_conv2d_grad_input; }

static const conv2d_attr *conv_of(const tg_call *c)
{
    return backwards(c) ? &((const conv2d_grad_attr *)c->attr)->conv : c->attr;
}

/* Of a gradient that of a convolution of dy, by weights turned by half a turn. */
static int64_t pad_of(const tg_call *c, int axis)
{
    const conv2d_attr *a = conv_of(c);
    return backwards(c) ? (c->in[1].shape.dim[2 + axis] - 1) * a->dilation[axis] - a->pad[axis] : a->pad[axis];
}

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = conv_of(c);
    const tg_shape w = c->in[1].shape;
    const int64_t width = w.dim[1];
    if (!gemm_narrow(c->precision) || !gemm_for(c->precision)->grouped)
        return "no instructions for it, or exact";
    if (a->groups == 1 || w.dim[0] != a->groups * width || width < 2 || width > GROUPED_WIDEST || (width & (width - 1)))
        return "not narrow groups of as many channels in as out, a power of two";
    if (w.dim[2] > GROUPED_ROWS)
        return "a tall kernel";
    if (c->in[0].stride[1] != 1 || c->out.stride[1] != 1)
        return "not channels-last";
    if (backwards(c))
        return a->stride[0] > 1 || a->stride[1] > 1 ? "strides" : pad_of(c, 0) < 0 || pad_of(c, 1) < 0 ? "wide padding" : NULL;
    return a->e.residual ? "a residual" : epilogue_declines(c, &a->e, 1);
}

/* Tiles multiply zeros, too, up to a slab of channels, but make 8 products in the time of one here. */
static const char *doubts(const tg_call *c)
{
    return gemm_packs(TG_BF16X3) || c->in[1].shape.dim[1] > GROUPED_WIDEST / 2 ? "others may be faster" : NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    if (in[0].stride[1] != 1)
        tg_channels_last(&in[0]);
    tg_channels_last(out);
}

static int64_t blocks_of(const tg_call *c) { return (c->in[1].shape.dim[0] + GROUPED_BLOCK - 1) / GROUPED_BLOCK; }

static size_t weight_bytes(const tg_call *c)
{
    const int64_t *w = c->in[1].shape.dim;
    return (size_t)(blocks_of(c) * GROUPED_BLOCK * w[1] * w[2] * w[3]) * sizeof(uint16_t);
}

/* As grouped.weights has them, the bias after them. */
static void order(const tg_call *c, void *to)
{
    const tg_tensor *w = &c->in[1];
    const int64_t channels = w->shape.dim[0], width = w->shape.dim[1], rows = w->shape.dim[2], columns = w->shape.dim[3];
    uint16_t *at = to;
    for (int64_t block = 0; block < blocks_of(c); block++)
        for (int64_t r = 0; r < rows * (width / 2) * columns; r++)
            for (int64_t i = 0; i < 2 * GROUPED_BLOCK; i++) {
                const int64_t ch = block * GROUPED_BLOCK + i / 2, other = r / columns % (width / 2) * 2 + i % 2;
                int64_t y = r / columns / (width / 2), x = r % columns, o = ch, in = other;
                if (backwards(c))
                    y = rows - 1 - y, x = columns - 1 - x, o = ch / width * width + other, in = ch % width;
                const int64_t from = o * w->stride[0] + in * w->stride[1] + y * w->stride[2] + x * w->stride[3];
                *at++ = ch < channels ? float_to_bfloat(((const float *)w->data)[from]) : 0;
            }
    const lanes l = { .room = blocks_of(c) * GROUPED_BLOCK };
    lanes_bias(&l, backwards(c) ? NULL : epilogue_bias(c, &conv_of(c)->e), (float *)(void *)at);
}

static void release(void *p)
{
    state *s = p;
    if (s)
        pages_free(s->weights);
    free(s);
}

/* Pixels of a copied row: all that taps may read. */
static int64_t copied_pixels(const tg_call *c)
{
    const int64_t stride = backwards(c) ? 1 : conv_of(c)->stride[1], w = c->in[0].shape.dim[3];
    const int64_t reach = (c->out.shape.dim[3] - 1) * stride + (c->in[1].shape.dim[3] - 1) * conv_of(c)->dilation[1] + 1;
    return reach > pad_of(c, 1) + w ? reach : pad_of(c, 1) + w;
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const tg_tensor *w = &c->in[1];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    s->bytes = lines((int64_t)(weight_bytes(c) / sizeof(float)) + blocks_of(c) * GROUPED_BLOCK);
    s->copies = (size_t)(((w->shape.dim[2] - 1) * conv_of(c)->dilation[0] + 2) * copied_pixels(c) * GROUPED_BLOCK) * sizeof(uint16_t);
    if (w->constant && !prep->sketch) {
        s->weights = pages_alloc(s->bytes);
        if (!s->weights)
            return release(s), status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
        order(c, s->weights);
        prep->consumed = !backwards(c) && conv_of(c)->e.bias ? 6 : 2;
        prep->state_bytes = s->bytes;
    }
    prep->scratch = (w->constant ? 0 : s->bytes) + s->copies * (size_t)pool_threads(c->pool);
    prep->state = s;
    return true;
}

/* Blocks of channels, and where these are few, bands of rows. */
struct deal {
    const tg_call *c;
    grouped g;
    char *copies;
    int64_t blocks, bands;
};

static void work(void *arg, int64_t from, int64_t to)
{
    const struct deal *k = arg;
    const tg_call *c = k->c;
    const state *s = c->state;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    grouped g = k->g;
    g.copies = (uint16_t *)(void *)(k->copies + s->copies * (size_t)pool_worker());
    for (int64_t i = from; i < to; i++) {
        const int64_t n = i / k->bands / k->blocks, block = i / k->bands % k->blocks, band = i % k->bands, rows = y->shape.dim[2];
        const int64_t end = (block + 1) * GROUPED_BLOCK;
        g.x = tg_at(x->data, x->dtype, n * x->stride[0]);
        g.y = tg_at(y->data, y->dtype, n * y->stride[0]);
        gemm_for(c->precision)->grouped(&g, rows * band / k->bands, rows * (band + 1) / k->bands, block * GROUPED_BLOCK,
                                        end < y->shape.dim[1] ? end : y->shape.dim[1]);
    }
}

static void run(const tg_call *c)
{
    const conv2d_attr *a = conv_of(c);
    const state *s = c->state;
    const tg_tensor *x = &c->in[0], *w = &c->in[1], *y = &c->out;
    struct deal k = { .c = c, .copies = c->scratch, .blocks = blocks_of(c) };
    const void *weights = s->weights;
    if (!weights) {
        order(c, c->scratch);
        weights = c->scratch;
        k.copies += s->bytes;
    }
    k.g = (grouped){
        .h = x->shape.dim[2], .w = x->shape.dim[3], .ow = y->shape.dim[3], .kh = w->shape.dim[2], .kw = w->shape.dim[3], .width = w->shape.dim[1],
        .stride = { backwards(c) ? 1 : a->stride[0], backwards(c) ? 1 : a->stride[1] }, .pad = { pad_of(c, 0), pad_of(c, 1) },
        .dilation = { a->dilation[0], a->dilation[1] }, .xy = x->stride[2], .xx = x->stride[3], .yy = y->stride[2], .yx = y->stride[3],
        .weights = weights, .bias = (const float *)(const void *)((const char *)weights + weight_bytes(c)), .pixels = copied_pixels(c),
        .of_floats = x->dtype == TG_F32, .to_floats = y->dtype == TG_F32,
    };
    if (!backwards(c))
        act_of(a->e.act, a->e.act_attr, &k.g.f);
    const int64_t wanted = 8 * (int64_t)pool_threads(c->pool), blocks = x->shape.dim[0] * k.blocks;
    k.bands = blocks >= wanted ? 1 : (wanted + blocks - 1) / blocks;
    k.bands = k.bands > y->shape.dim[2] ? y->shape.dim[2] : k.bands;
    pool_run(c->pool, blocks * k.bands, 1, work, &k);
}

static unsigned narrow(const tg_call *c) { return (void)c, NARROW_RESULT | 1; }

const tg_kernel kernel_grouped_bf16 = { .op = "conv2d", .name = "cpu.grouped_bf16", .declines = declines, .doubts = doubts, .prefers = prefers,
                                        .prepare = prepare, .run = run, .release = release, .repack = true, .narrow = narrow };

const tg_kernel kernel_grouped_grad_input_bf16 = { .op = "conv2d_grad_input", .name = "cpu.grouped_grad_input_bf16", .declines = declines,
                                                   .doubts = doubts, .prefers = prefers, .prepare = prepare, .run = run, .release = release,
                                                   .narrow = narrow };
