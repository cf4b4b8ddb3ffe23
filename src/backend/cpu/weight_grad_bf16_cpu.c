/* weight_grad_bf16_cpu.c - dw of a linear layer or a 1x1 convolution, dy' x, by instructions for products of bfloat16 numbers.
 *
 * Pixels are the numbers of k: a lot of them at a time, so that what is packed stays in L2; sums grow from lot to lot in
 * their order.  dy is turned while it is packed.
 */
#include <stdlib.h>
#include "kernels.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"

enum { LOT = 2048 };

typedef struct state { const gemm_vec *v; int vecs; size_t packed; } state;

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = &((const conv2d_grad_attr *)c->attr)->conv;
    const tg_shape w = c->out.shape;
    if (!gemm_packs(c->precision))
        return "no instructions for it, or exact";
    if (!all_f32(c))
        return "not float";
    if (w.dim[2] != 1 || w.dim[3] != 1 || a->stride[0] != 1 || a->stride[1] != 1 || a->groups != 1 || a->pad[0] || a->pad[1] || a->pad[2]
        || a->pad[3])
        return "not 1x1 of stride 1";
    if (!tg_is_channels_last(&c->in[0]) || !tg_is_channels_last(&c->in[1]) || !tg_is_dense(&c->out))
        return "not channels-last, or the result not dense";
    return NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    tg_channels_last(&in[0]);
    tg_channels_last(&in[1]);
    tg_dense(out);
}

static int64_t pixels(const tg_call *c) { return c->in[0].shape.dim[0] * c->in[0].shape.dim[2] * c->in[0].shape.dim[3]; }

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const int64_t o = c->out.shape.dim[0], i = c->out.shape.dim[1], lot = pixels(c) < LOT ? pixels(c) : LOT;
    state *s = malloc(sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution's gradient");
    *s = (state){ .v = gemm_for(c->precision) };
    s->vecs = gemm_panel(s->v, o, i);
    s->packed = ((size_t)gemm_packed(s->v, lot, i) * sizeof(float) + 63) / 64 * 64;
    prep->scratch = s->packed + gemm_scratch(s->v, s->vecs, 1, lot, pool_threads(c->pool));
    prep->state = s;
    return true;
}

typedef struct packing { const state *s; const float *x; int64_t n, lot; float *to; } packing;

static void pack_panels(void *arg, int64_t from, int64_t to)
{
    const packing *p = arg;
    const gemm_vec *v = p->s->v;
    const int64_t panel = p->s->vecs * v->width;
    for (int64_t i = from; i < to; i++) {
        int64_t first = i * panel, columns = p->n - first < panel ? p->n - first : panel;
        v->pack(p->x + first, p->lot, columns, p->n, 1, (int)panel, p->to + gemm_packed(v, p->lot, first));
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    const int64_t o = c->out.shape.dim[0], n = c->out.shape.dim[1], all = pixels(c), panel = s->vecs * s->v->width;
    for (int64_t first = 0; first < all; first += LOT) {
        packing p = { s, (const float *)c->in[1].data + first * n, n, all - first < LOT ? all - first : LOT, c->scratch };
        struct gemm_rows columns = { (const float *)c->in[0].data + first * o, 1, TG_F32 };
        gemm g = { .v = s->v, .m = o, .n = n, .taps = 1, .run = p.lot, .vecs = s->vecs, .b = p.to, .rows = gemm_rows, .ctx = &columns,
                   .step = o, .add = first > 0, .out = c->out.data, .out_rows = { 1, { o }, { n } },
                   .scratch = (char *)c->scratch + s->packed };
        pool_run(c->pool, (n + panel - 1) / panel, 1, pack_panels, &p);
        gemm_run(&g, c->pool);
    }
}

static void release(void *s) { free(s); }

const tg_kernel kernel_weight_grad_bf16 = {
    .op = "conv2d_grad_weight", .name = "cpu.weight_grad_bf16", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .release = release,
};
