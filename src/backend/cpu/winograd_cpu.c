/* winograd_cpu.c - 3x3 convolutions of stride 1 by F(4x4, 3x3): 36 products over tiles instead of 9 over pixels
 * times 16.  Their gradient in the input is one too, of dy by turned weights.
 *
 * Tiles are taken in lots whose transformed images and products stay in or near L2: a lot is transformed, multiplied and
 * transformed back before the next. Worth it where the image has tiles enough to pay for reading the larger weights.
 */
#include <stdlib.h>
#include <string.h>
#include "base/pages.h"
#include "kernels.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"

typedef struct state {
    const gemm_vec *g;
    const winograd_vec *v;
    float *weights;             /* 36 packed matrices of `matrix` numbers each, then the bias; NULL: made in each run */
    int64_t matrix, lot, down, across;      /* tiles: in a lot, rows and columns of an image */
    int64_t in, out;                        /* channels */
    bool own;                               /* lots are of one thread */
    int vecs;
    act f;
    size_t inputs, products, place, packed, bench;  /* bytes of scratch, in this order; bench: a thread's, where a panel waits to be packed */
} state;

enum { FEW_CHANNELS = 32, APART = 16, DEPTH = 32, LEAST = 24 };     /* APART: keeps the 36 from falling into one set of a cache; LEAST: tiles of a lot */

/* In training a value that rounding carries over zero sends the gradient of its place elsewhere; errors of transforms do not average
 * out over few channels.
 *
 * The call as a convolution of x with w, in the gradient turned by half a turn and with its channels exchanged. */
typedef struct view { const tg_tensor *x, *w, *y; int64_t pad[2]; bool turned; const epilogue *e; } view;

static view view_of(const tg_call *c)
{
    static const epilogue none = { 0 };
    const conv2d_attr *a = c->op == &op_conv2d ? c->attr : &((const conv2d_grad_attr *)c->attr)->conv;
    if (c->op == &op_conv2d)
        return (view){ &c->in[0], &c->in[1], &c->out, { a->pad[0], a->pad[1] }, false, &a->e };
    return (view){ &c->in[0], &c->in[1], &c->out, { 2 - a->pad[0], 2 - a->pad[1] }, true, &none };
}

static int64_t tiles_of(const tg_call *c)
{
    const tg_shape y = c->out.shape;
    return y.dim[0] * ((y.dim[2] + WINO_OUT - 1) / WINO_OUT) * ((y.dim[3] + WINO_OUT - 1) / WINO_OUT);
}

/* How products of points are made: of bf16x3 and bf16 in single precision, as transforms would show what rounding leaves. */
static const gemm_vec *of_points(tg_precision p) { return gemm_for(gemm_whole(p) ? p : TG_FP32); }

/* Times in units of one multiplication of a point: weights come from beyond L2 at about one number in `READ`;
 * those that change are transformed first.  Of all the batch, for slices, whose size depends on threads, are not to change results. */
static bool pays(const tg_call *c)
{
    const int READ = c->in[1].constant ? 20 : 30;
    const double gain = gemm_for(c->precision)->gain / of_points(c->precision)->gain;
    const double whole = c->slice ? (double)c->batch / (double)c->slice : 1;
    double pixels = whole * (double)(c->out.shape.dim[0] * c->out.shape.dim[2] * c->out.shape.dim[3]), tiles = whole * (double)tiles_of(c);
    double channels = 1. / (double)c->in[0].shape.dim[1] + 1. / (double)c->out.shape.dim[1];
    return (9 * pixels + 9 * READ) / gain > 36 * tiles * 1.2 + 36 * READ + 36 * tiles * 6 * channels;
}

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = c->op == &op_conv2d ? c->attr : &((const conv2d_grad_attr *)c->attr)->conv;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    if (w->shape.dim[2] != 3 || w->shape.dim[3] != 3 || a->stride[0] != 1 || a->stride[1] != 1 || a->dilation[0] != 1
        || a->dilation[1] != 1 || a->groups != 1)
        return "not 3x3 of stride 1";
    if (c->op != &op_conv2d && (a->pad[0] > 2 || a->pad[1] > 2))
        return "wide padding";
    if (x->shape.dim[1] < FEW_CHANNELS || w->shape.dim[0] < FEW_CHANNELS)
        return "few channels";
    if (c->op == &op_conv2d && !w->constant && x->shape.dim[1] <= FEW_CHANNELS)
        return "rounds more than a direct sum of few channels";
    if (x->stride[1] != 1 || c->out.stride[1] != 1)
        return "not channels-last";
    return epilogue_declines(c, view_of(c).e, 1);
}

static const char *doubts(const tg_call *c) { return pays(c) ? NULL : "too small to pay, or slower than the processor's own products"; }

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    const epilogue *e = view_of(c).e;
    if (in[0].stride[1] != 1)
        tg_channels_last(&in[0]);
    if (e->residual && in[2 + e->bias].stride[1] != 1)
        tg_channels_last(&in[2 + e->bias]);
    tg_channels_last(out);
}

struct packing { const state *s; view v; float *to; int64_t parts; char *benches; };

/* U = G g G' of pairs of channels, those of rows [k, end) and of `columns` from the `first`: a point's are `width` to a row, and the points
 * `apart`. */
static void transform_weights(const struct packing *p, int64_t k, int64_t end, int64_t first, int columns, float *to, int64_t width, int64_t apart)
{
    const int64_t *stride = p->v.w->stride;
    const int64_t down = p->v.turned ? -stride[2] : stride[2], right = p->v.turned ? -stride[3] : stride[3];
    const int64_t row = stride[!p->v.turned], lane = stride[p->v.turned];
    const float *w = (const float *)p->v.w->data + (p->v.turned ? 2 * (stride[2] + stride[3]) : 0);
    for (; k < end; k++)
        p->s->v->weights(w + k * row + first * lane, lane, down, right, columns, to + k * width, apart);
}

/* 36 matrices, packed like any right operand; a panel's parts of DEPTH rows. */
static void pack_part(void *arg, int64_t from, int64_t to)
{
    const struct packing *p = arg;
    const state *s = p->s;
    const int64_t panel = s->vecs * s->g->width, padded = gemm_filled(s->g, s->out);
    for (int64_t i = from; i < to; i++) {
        int64_t first = i / p->parts * panel, k = i % p->parts * DEPTH, end = k + DEPTH < s->in ? k + DEPTH : s->in;
        int64_t width = padded - first < panel ? padded - first : panel;
        int columns = (int)(s->out - first < width ? s->out - first : width);
        transform_weights(p, k, end, first, columns, p->to + first * s->in, width, s->matrix);
    }
}

/* A panel, for instructions that want parts of numbers: transformed, then packed. */
static void pack_panel(void *arg, int64_t from, int64_t to)
{
    const struct packing *p = arg;
    const state *s = p->s;
    const int64_t panel = s->vecs * s->g->width;
    float *bench = (float *)(void *)(p->benches + (size_t)pool_worker() * s->bench);
    for (int64_t i = from; i < to; i++) {
        const int64_t first = i * panel, columns = s->out - first < panel ? s->out - first : panel;
        transform_weights(p, 0, s->in, first, (int)columns, bench, panel, s->in * panel);
        for (int64_t point = 0; point < WINO_SIZE; point++)
            s->g->pack(bench + point * s->in * panel, s->in, columns, panel, 1, (int)panel,
                       p->to + point * s->matrix + gemm_packed(s->g, s->in, first));
    }
}

static void pack_weights(const tg_call *c, const state *s, float *to, char *benches)
{
    const view v = view_of(c);
    const tg_tensor *bias = epilogue_bias(c, v.e);
    const int64_t panel = s->vecs * s->g->width, padded = gemm_filled(s->g, s->out), panels = (s->out + panel - 1) / panel;
    struct packing p = { s, v, to, (s->in + DEPTH - 1) / DEPTH, benches };
    if (s->bench)
        pool_run(c->pool, panels, 1, pack_panel, &p);
    else
        pool_run(c->pool, p.parts * panels, 1, pack_part, &p);
    to += WINO_SIZE * s->matrix;
    for (int64_t i = 0; bias && i < padded; i++)
        to[i] = i < s->out ? ((const float *)bias->data)[i * bias->stride[0]] : 0;
}

static void release(void *p)
{
    state *s = p;
    if (s)
        pages_free(s->weights);
    free(s);
}

/* Lots are a thread's own where weights stay in its L2, and its transformed images and products with them; else all threads' together, each of
 * which multiplies some of the points and so reads the others' weights never. */
static void divide(state *s, int64_t tiles, int threads)
{
    const size_t weights = (size_t)(WINO_SIZE * s->in * s->out) * sizeof(float), tile = (size_t)(WINO_SIZE * (s->in + s->out)) * sizeof(float);
    s->own = !s->g->left && weights <= cpu()->l2 * 5 / 8;
    s->lot = (int64_t)((s->own ? cpu()->l2 / 2 : 2 * cpu()->l2 * (size_t)threads) / tile);
    s->lot = s->lot < LEAST ? LEAST : s->lot;
    int64_t lots = (tiles + s->lot - 1) / s->lot;
    lots = s->own ? (lots + threads - 1) / threads * threads : lots;
    s->lot = (tiles + lots - 1) / lots;
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const view v = view_of(c);
    int64_t out = c->out.shape.dim[1], in = c->in[0].shape.dim[1], tiles = tiles_of(c);
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    s->g = of_points(c->precision);
    s->v = VEC_PICK(winograd_vec);
    s->in = in;
    s->out = out;
    s->down = (c->out.shape.dim[2] + WINO_OUT - 1) / WINO_OUT;
    s->across = (c->out.shape.dim[3] + WINO_OUT - 1) / WINO_OUT;
    act_of(v.e->act, v.e->act_attr, &s->f);
    divide(s, tiles, pool_threads(c->pool));
    s->vecs = gemm_panel(s->g, s->lot, out, 1, in);
    s->matrix = gemm_packed(s->g, in, out) + APART;
    s->inputs = ((size_t)(WINO_SIZE * (s->lot * in + APART)) * sizeof(float) + 63) / 64 * 64;
    s->products = ((size_t)(WINO_SIZE * (s->lot * out + APART)) * sizeof(float) + 63) / 64 * 64;
    s->place = gemm_scratch(s->g, s->vecs, 1, in, pool_threads(c->pool));
    s->packed = lines(WINO_SIZE * s->matrix + gemm_filled(s->g, out));
    s->bench = s->g->left ? lines(WINO_SIZE * in * s->vecs * s->g->width) : 0;
    const size_t benches = s->bench * (size_t)pool_threads(c->pool);
    prep->scratch = (s->inputs + s->products) * (s->own ? (size_t)pool_threads(c->pool) : 1) + s->place;
    prep->state = s;
    if (!v.w->constant) {
        prep->scratch += s->packed + benches;
        return true;
    }
    if (prep->sketch)
        return true;
    s->weights = pages_alloc(s->packed);
    char *made = s->weights && benches ? pages_alloc(benches) : NULL;
    if (!s->weights || (benches && !made))
        return release(s), status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    pack_weights(c, s, s->weights, made);
    pages_free(made);
    prep->consumed = v.e->bias ? 6 : 2;
    prep->state_bytes = s->packed;
    return true;
}

/* -- a lot of tiles ------------------------------------------------------------------------------------------------ */

struct lot {
    const tg_call *c;
    const state *s;
    view v;
    int64_t first, tiles;
    float *inputs, *products;
    const float *weights;
    char *place;
};

static void tile_at(const struct lot *l, int64_t i, int64_t *n, int64_t *y, int64_t *x)
{
    i += l->first;
    *x = i % l->s->across * WINO_OUT;
    *y = i / l->s->across % l->s->down * WINO_OUT;
    *n = i / l->s->across / l->s->down;
}

static void transform_inputs(void *arg, int64_t from, int64_t to)
{
    const struct lot *l = arg;
    const tg_tensor *t = l->v.x;
    winograd w = { .h = t->shape.dim[2], .w = t->shape.dim[3], .channels = t->shape.dim[1], .xy = t->stride[2],
                   .xx = t->stride[3], .point = l->tiles * t->shape.dim[1] + APART, .narrow = t->dtype == TG_BFLOAT };
    for (int64_t i = from; i < to; i++) {
        int64_t n, y, x;
        tile_at(l, i, &n, &y, &x);
        l->s->v->input(&w, tg_at(t->data, t->dtype, n * t->stride[0]), y - l->v.pad[0], x - l->v.pad[1], l->inputs + i * w.channels);
    }
}

static void multiply(void *arg, int64_t from, int64_t to)
{
    const struct lot *l = arg;
    const state *s = l->s;
    int64_t in = s->in, out = s->out, panel = s->vecs * s->g->width;
    char *mine = l->place + (size_t)pool_worker() * gemm_scratch(s->g, s->vecs, 1, in, 1);
    for (int64_t p = from; p < to; p++) {
        struct gemm_rows rows = { l->inputs + p * (l->tiles * in + APART), in, TG_F32 };
        gemm g = { .v = s->g,
                   .m = l->tiles,
                   .n = out,
                   .taps = 1,
                   .run = in,
                   .vecs = s->vecs,
                   .b = l->weights + p * s->matrix,
                   .rows = gemm_rows,
                   .ctx = &rows,
                   .out = l->products + p * (l->tiles * out + APART),
                   .out_rows = { 1, { l->tiles }, { out } } };
        gemm_part(&g, 0, l->tiles, 0, (out + panel - 1) / panel, mine);
    }
}

static void transform_outputs(void *arg, int64_t from, int64_t to)
{
    const struct lot *l = arg;
    const tg_call *c = l->c;
    const epilogue *e = l->v.e;
    const tg_tensor *t = &c->out, *r = epilogue_residual(c, e);
    winograd w = { .oh = t->shape.dim[2], .ow = t->shape.dim[3], .channels = t->shape.dim[1], .xy = t->stride[2],
                   .xx = t->stride[3], .ry = r ? r->stride[2] : 0, .rx = r ? r->stride[3] : 0,
                   .point = l->tiles * t->shape.dim[1] + APART, .narrow = t->dtype == TG_BFLOAT,
                   .narrow_residual = r && r->dtype == TG_BFLOAT, .act_first = e->act_first, .f = l->s->f,
                   .bias = e->bias ? l->weights + WINO_SIZE * l->s->matrix : NULL };
    for (int64_t i = from; i < to; i++) {
        int64_t n, y, x;
        tile_at(l, i, &n, &y, &x);
        l->s->v->output(&w, l->products + i * w.channels, r ? tg_at(r->data, r->dtype, n * r->stride[0]) : NULL,
                        tg_at(t->data, t->dtype, n * t->stride[0]), y, x);
    }
}

/* Lots [from, to), each by one thread, in a place of its own. */
static void whole_lots(void *arg, int64_t from, int64_t to)
{
    const struct lot *all = arg;
    const state *s = all->s;
    char *mine = (char *)all->inputs + (size_t)pool_worker() * (s->inputs + s->products);
    for (int64_t i = from; i < to; i++) {
        struct lot l = *all;
        l.first = i * s->lot;
        l.tiles = all->tiles - l.first < s->lot ? all->tiles - l.first : s->lot;
        l.inputs = (float *)(void *)mine;
        l.products = (float *)(void *)(mine + s->inputs);
        transform_inputs(&l, 0, l.tiles);
        multiply(&l, 0, WINO_SIZE);
        transform_outputs(&l, 0, l.tiles);
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    char *scratch = c->scratch;
    const size_t lots = (s->inputs + s->products) * (s->own ? (size_t)pool_threads(c->pool) : 1);
    struct lot l = { .c = c, .s = s, .v = view_of(c), .weights = s->weights, .inputs = c->scratch, .products = (float *)(void *)(scratch + s->inputs),
                     .place = scratch + lots };
    int64_t tiles = tiles_of(c);
    if (!s->weights) {
        float *weights = (float *)(void *)(scratch + lots + s->place);
        pack_weights(c, s, weights, scratch + lots + s->place + s->packed);
        l.weights = weights;
    }
    if (s->own) {
        l.tiles = tiles;
        pool_run(c->pool, (tiles + s->lot - 1) / s->lot, 1, whole_lots, &l);
        return;
    }
    for (l.first = 0; l.first < tiles; l.first += s->lot) {
        l.tiles = tiles - l.first < s->lot ? tiles - l.first : s->lot;
        pool_run(c->pool, l.tiles, 1, transform_inputs, &l);
        pool_run(c->pool, WINO_SIZE, 1, multiply, &l);
        pool_run(c->pool, l.tiles, 1, transform_outputs, &l);
    }
}

static unsigned narrow(const tg_call *c) { return product_narrow(c, view_of(c).e); }

const tg_kernel kernel_winograd = {
    .op = "conv2d", .name = "cpu.winograd", .declines = declines, .doubts = doubts, .prefers = prefers, .prepare = prepare, .run = run,
    .apart = gemm_whole, .release = release, .fewer = true, .repack = true, .narrow = narrow
};

const tg_kernel kernel_winograd_grad_input = {
    .op = "conv2d_grad_input", .name = "cpu.winograd_grad_input", .declines = declines, .doubts = doubts, .prefers = prefers,
    .prepare = prepare, .run = run, .apart = gemm_whole, .release = release, .fewer = true, .repack = true, .narrow = narrow
};
