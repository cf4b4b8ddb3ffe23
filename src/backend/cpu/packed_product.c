/* packed_product.c - packing and epilogues of products. */
#include "packed_product.h"
#include <stdlib.h>
#include "base/pages.h"

bool all_f32(const tg_call *c)
{
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype != TG_F32)
            return false;
    return c->out.dtype == TG_F32;
}

const char *gated_declines(const tg_call *c, const epilogue *e, int axis)
{
    act f;
    const tg_tensor *r = epilogue_residual(c, e);
    if (!all_f32(c))
        return "not float";
    if (!act_of(e->act, e->act_attr, &f))
        return "unknown activation";
    if (r && r->stride[axis] != 1 && r->shape.dim[axis] > 1)
        return "strided residual";
    if (e->bias && c->in[1].constant && !c->in[2].constant)      /* packed together, once or in each run */
        return "bias changes";
    return NULL;
}

const char *epilogue_declines(const tg_call *c, const epilogue *e, int axis) { return e->gate ? "a gate" : gated_declines(c, e, axis); }

const char *halves_declines(const tg_call *c, const epilogue *e, int64_t image, int64_t n, int64_t k)
{
    return gemm_for(c->precision)->left ? "rows are packed" : strassen_declines(image, n, k, e->residual && e->act_first);
}

double halves_rows(const tg_call *c, int64_t image)
{
    return (double)(c->in[0].shape.dim[0] * image) * (c->slice ? (double)c->batch / (double)c->slice : 1);
}

bool product_prepare(product *p, const tg_call *c, const epilogue *e, int64_t taps, const float *w, int64_t sk,
                     int64_t sn, tg_prep *prep)
{
    p->v = gemm_for(c->precision);
    p->threads = pool_threads(c->pool);
    act_of(e->act, e->act_attr, &p->f);
    const tg_tensor *bias = epilogue_bias(c, e);
    p->w.vecs = p->image ? strassen_vecs(p->v->width, p->v->rows, p->n) : gemm_panel(p->v, p->m, p->n, taps, p->k / taps);
    if (w) {
        if (!gemm_pack(p->v, p->w.vecs, p->n, p->k, w, sk, sn, bias, &p->w))
            return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory packing weights");
        prep->consumed |= bias ? 6 : 2;
        prep->state_bytes = p->w.bytes;
    } else {
        p->pack_bytes = c->in[1].constant ? 0 : ((size_t)(gemm_packed(p->v, p->k, p->n) + gemm_filled(p->v, p->n)) * sizeof(float) + 63) / 64 * 64;
    }
    p->gemm_bytes = gemm_scratch(p->v, p->w.vecs, taps, p->k / taps, p->threads);
    if (p->image)
        p->gemm_bytes = strassen_scratch(p->v, p->w.vecs, p->k, p->n, p->threads);
    prep->scratch = p->pack_bytes + p->gemm_bytes;
    return true;
}

void product_begin(const product *p, const tg_call *c, const epilogue *e, const float *w, int64_t sk, int64_t sn,
                   gemm *g)
{
    const tg_tensor *bias = epilogue_bias(c, e), *residual = epilogue_residual(c, e);

    g->v = p->v;
    g->m = p->m;
    g->n = p->n;
    g->vecs = p->w.vecs;
    g->f = p->f;
    g->act_first = e->act_first;
    g->b = p->w.b;
    g->far = !p->w.b;
    g->image = p->image;
    g->bias = p->w.bias;
    if (!g->b) {
        float *b = c->scratch;
        int64_t padded = gemm_filled(p->v, p->n);
        gemm_pack_right(p->v, p->k, p->n, w, sk, sn, p->w.vecs, b, c->pool);
        g->b = b;
        if (bias) {
            b += gemm_packed(p->v, p->k, p->n);
            g->bias = b;
            for (int64_t j = 0; j < padded; j++)
                b[j] = j < p->n ? ((const float *)bias->data)[j * bias->stride[0]] : 0;
        }
    }
    g->scratch = (char *)c->scratch + p->pack_bytes;
    g->of = c->in[0].dtype;
    g->out = c->out.data;
    g->out_of = c->out.dtype;
    g->residual = residual ? residual->data : NULL;
    g->residual_of = residual ? residual->dtype : TG_F32;
}

void product_direct(gemm *g, const void *x, int64_t stride)
{
    enum { FEW = 256, PAGE = 4096 };        /* for more results packing is soon paid; rows a page apart crowd the cache's sets */
    static const int64_t none = 0;
    if (g->of != TG_BFLOAT || g->run % g->v->grain || g->taps != 1 || g->n > FEW || stride * tg_size(g->of) % PAGE == 0)
        return;
    g->direct = x;
    g->tap = &none;
    g->pitch = stride * tg_size(g->of);
    g->line_rows = g->m;
}

/* By times of 50 thousand rows of 8 to 128 numbers by 16 to 192: of so few that a slab is mostly filled up, or of so few results, half of the
 * time and more goes into the rows. */
bool product_exact(tg_precision p, int64_t k, int64_t n)
{
    const int64_t free = p == TG_BF16X3 ? 24 : 40;          /* so deep, any number of results is faster in single precision */
    return (p == TG_BF16X3 || p == TG_BF16X6) && gemm_packs(p) && (k - free) * n < free * ((k + 31) / 32 * 32);
}

unsigned product_narrow(const tg_call *c, const epilogue *e)
{
    return gemm_narrow(c->precision) ? NARROW_RESULT | 1u | (e->residual ? 1u << (2 + e->bias) : 0) : 0;
}

void product_release(void *state)
{
    product *p = state;
    if (p)
        pages_free(p->w.b);
    free(p);
}
