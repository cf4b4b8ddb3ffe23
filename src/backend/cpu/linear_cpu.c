/* linear_cpu.c - y = act(x w' + bias + residual): rows of x by packed weights. */
#include <stdlib.h>
#include "kernels.h"
#include "packed_product.h"

typedef struct linear_state { product p; rowmap x; } linear_state;

static const char *declines(const tg_call *c)
{
    const linear_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    int last = x->shape.rank - 1;
    if (x->stride[last] != 1 && x->shape.dim[last] > 1)
        return "strided rows";
    if (c->out.stride[last] != 1 && c->out.shape.dim[last] > 1)
        return "strided result";
    if (!w->constant && (w->stride[0] < 0 || w->stride[1] < 0))
        return "weights backwards";
    return epilogue_declines(c, &a->e, last);
}

static bool prepare_of(const tg_call *c, int64_t image, tg_prep *prep)
{
    const linear_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    int last = x->shape.rank - 1;
    linear_state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a linear layer");
    s->p.image = image;
    s->p.m = tg_span(x->shape, 0, last);
    s->p.n = w->shape.dim[0];
    s->p.k = w->shape.dim[1];
    s->x = rowmap_of(x, 0, last);
    if (!product_prepare(&s->p, c, &a->e, 1, w->constant ? w->data : NULL, w->stride[1], w->stride[0], prep))
        return product_release(s), false;
    prep->state = s;
    return true;
}

static int64_t rows_of_image(const tg_call *c) { return tg_span(c->in[0].shape, 1, c->in[0].shape.rank - 1); }
static bool prepare(const tg_call *c, tg_prep *prep) { return prepare_of(c, 0, prep); }
static bool prepare_halves(const tg_call *c, tg_prep *prep) { return prepare_of(c, rows_of_image(c), prep); }

static const char *strassen_why_not(const tg_call *c)
{
    const int64_t *w = c->in[1].shape.dim;
    const char *why = declines(c);
    if (!why && c->in[0].shape.rank < 3)
        why = "images of one row";
    return why ? why : halves_declines(c, &((const linear_attr *)c->attr)->e, rows_of_image(c), w[0], w[1]);
}

static const char *doubts(const tg_call *c)
{
    return strassen_doubts(halves_rows(c, rows_of_image(c)), c->in[1].shape.dim[0], c->in[1].shape.dim[1]);
}

struct rows { const tg_tensor *x; const rowmap *map; };

static void rows(const void *ctx, int64_t from, int count, const void **row)
{
    const struct rows *r = ctx;
    int64_t offset[TILE_ROWS];
    rowmap_offsets(r->map, from, count, offset);
    for (int i = 0; i < count; i++)
        row[i] = tg_at(r->x->data, r->x->dtype, offset[i]);
}

static void run(const tg_call *c)
{
    const linear_attr *a = c->attr;
    const linear_state *s = c->state;
    const tg_tensor *w = &c->in[1], *residual = epilogue_residual(c, &a->e);
    int last = c->out.shape.rank - 1;
    struct rows from = { &c->in[0], &s->x };
    gemm g = { .taps = 1, .run = s->p.k, .rows = rows, .ctx = &from, .out_rows = rowmap_of(&c->out, 0, last) };

    if (residual)
        g.residual_rows = rowmap_of(residual, 0, last);
    product_begin(&s->p, c, &a->e, w->data, w->stride[1], w->stride[0], &g);
    if (s->x.rank <= 1)
        product_direct(&g, c->in[0].data, s->x.rank ? s->x.stride[0] : 0);
    gemm_run(&g, c->pool);
}

/* A residual, and what it is added to, stay in single precision: of many layers' sums each would be rounded again. */
static unsigned narrow(const tg_call *c)
{
    const epilogue *e = &((const linear_attr *)c->attr)->e;
    const unsigned can = product_narrow(c, e);
    return e->residual && can ? (can & ~NARROW_RESULT) | NARROW_SUM : can;
}

const tg_kernel kernel_linear = { .op = "linear",
                                  .name = "cpu.linear",
                                  .declines = declines,
                                  .prepare = prepare,
                                  .run = run,
                                  .apart = gemm_packs,
                                  .release = product_release,
                                  .repack = true,
                                  .narrow = narrow };

const tg_kernel kernel_linear_strassen = { .op = "linear",
                                           .name = "cpu.strassen",
                                           .declines = strassen_why_not,
                                           .doubts = doubts,
                                           .prepare = prepare_halves,
                                           .run = run,
                                           .release = product_release,
                                           .fewer = true,
                                           .repack = true };
