/* matmul_cpu.c - (..., m, k) by (..., k, n), leading axes broadcast: the right operand is packed matrix by matrix. */
#include <stdlib.h>
#include "kernels.h"
#include "packed_product.h"

typedef struct state {
    const gemm_vec *v;
    int vecs;
    size_t pack, place;
    bool each;
} state; /* each: threads take whole matrices */

static const char *declines(const tg_call *c)
{
    const tg_tensor *a = &c->in[0];
    int last = a->shape.rank - 1, out = c->out.shape.rank - 1;
    if (!all_f32(c))
        return "not float";
    if (a->shape.rank < 2 || c->in[1].shape.rank < 2)
        return "a vector";
    if ((a->stride[last] != 1 && a->shape.dim[last] > 1) || (c->out.stride[out] != 1 && c->out.shape.dim[out] > 1))
        return "strided rows";
    return NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    if (in[0].stride[in[0].shape.rank - 1] != 1)
        tg_dense(&in[0]);
    if (out->stride[out->shape.rank - 1] != 1)
        tg_dense(out);
}

static int64_t matrices(const tg_call *c) { return tg_span(c->out.shape, 0, c->out.shape.rank - 2); }

static bool prepare(const tg_call *c, tg_prep *prep)
{
    int last = c->out.shape.rank - 1;
    int64_t m = c->out.shape.dim[last - 1], n = c->out.shape.dim[last], k = c->in[0].shape.dim[c->in[0].shape.rank - 1];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a product");
    s->v = gemm_for(c->precision);
    s->vecs = gemm_panel(s->v, m, n, 1, k);
    s->each = matrices(c) >= 4 * pool_threads(c->pool);
    s->pack = ((size_t)gemm_packed(s->v, k, n) * sizeof(float) + 63) / 64 * 64;
    s->place = gemm_scratch(s->v, s->vecs, 1, k, 1);
    size_t threads = (size_t)pool_threads(c->pool);
    prep->scratch = s->each ? (s->pack + s->place) * threads : s->pack + s->place * threads;
    prep->state = s;
    return true;
}

/* Offset of matrix i of the result's leading axes in an operand that may have fewer, or of size 1. */
static int64_t matrix(const tg_tensor *t, const tg_tensor *y, int64_t i)
{
    int64_t offset = 0;
    for (int a = y->shape.rank - 3; a >= 0; a--) {
        int b = a - (y->shape.rank - t->shape.rank);
        if (b >= 0 && t->shape.dim[b] > 1)
            offset += i % y->shape.dim[a] * t->stride[b];
        i /= y->shape.dim[a];
    }
    return offset;
}

/* Packs by the threads of p; NULL: by this one. */
static gemm product_of(const tg_call *c, int64_t i, float *room, struct gemm_rows *from, pool *p)
{
    const state *s = c->state;
    const tg_tensor *a = &c->in[0], *b = &c->in[1], *y = &c->out;
    int la = a->shape.rank - 1, lb = b->shape.rank - 1, ly = y->shape.rank - 1;
    int64_t k = a->shape.dim[la], m = y->shape.dim[ly - 1], n = y->shape.dim[ly];

    *from = (struct gemm_rows){ tg_at(a->data, a->dtype, matrix(a, y, i)), a->stride[la - 1], a->dtype };
    gemm_pack_right(s->v, k, n, (const float *)b->data + matrix(b, y, i), b->stride[lb - 1], b->stride[lb], s->vecs, room, p);
    return (gemm){ .v = s->v,
                   .of = a->dtype,
                   .out_of = y->dtype,
                   .m = m,
                   .n = n,
                   .taps = 1,
                   .run = k,
                   .vecs = s->vecs,
                   .b = room,
                   .far = true,
                   .rows = gemm_rows,
                   .ctx = from,
                   .out = tg_at(y->data, y->dtype, matrix(y, y, i)),
                   .out_rows = { 1, { m }, { y->stride[ly - 1] } } };
}

static void work(void *arg, int64_t from, int64_t to)
{
    const tg_call *c = arg;
    const state *s = c->state;
    char *mine = (char *)c->scratch + (size_t)pool_worker() * (s->pack + s->place);
    for (int64_t i = from; i < to; i++) {
        struct gemm_rows r;
        gemm g = product_of(c, i, (float *)(void *)mine, &r, NULL);
        gemm_part(&g, 0, g.m, 0, (g.n + s->vecs * s->v->width - 1) / (s->vecs * s->v->width), mine + s->pack);
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    if (s->each) {
        tg_call copy = *c;
        pool_run(c->pool, matrices(c), 1, work, &copy);
        return;
    }
    for (int64_t i = 0; i < matrices(c); i++) {
        struct gemm_rows r;
        gemm g = product_of(c, i, c->scratch, &r, c->pool);
        g.scratch = (char *)c->scratch + s->pack;
        gemm_run(&g, c->pool);
    }
}

static void release(void *s) { free(s); }
static unsigned narrow(const tg_call *c) { return gemm_narrow(c->precision) ? NARROW_RESULT | 1 : 0; }

const tg_kernel kernel_matmul = {
    .op = "matmul", .name = "cpu.matmul", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .apart = gemm_packs, .release = release, .narrow = narrow
};
