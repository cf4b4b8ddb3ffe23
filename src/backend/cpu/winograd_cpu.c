/* winograd_cpu.c - 3x3 convolutions of stride 1 by F(4x4, 3x3): 36 products over tiles instead of 9 over pixels
 * times 16.
 *
 * Tiles are taken in lots whose transformed images and products stay near L2: a lot is transformed, multiplied and
 * transformed back before the next. Worth it where the image has tiles enough to pay for reading the larger weights.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/room.h"
#include "kernels.h"
#include "packed_product.h"

typedef struct state {
    const gemm_vec *g;
    const winograd_vec *v;
    float *weights, *bias;      /* 36 packed matrices of `matrix` numbers each */
    int64_t matrix, lot, down, across;      /* tiles: in a lot, rows and columns of an image */
    int vecs;
    act f;
    size_t inputs, products;    /* bytes of scratch */
} state;

enum { FEW_CHANNELS = 32 };

static int64_t tiles_of(const tg_call *c)
{
    const tg_shape y = c->out.shape;
    return y.dim[0] * ((y.dim[2] + WINO_OUT - 1) / WINO_OUT) * ((y.dim[3] + WINO_OUT - 1) / WINO_OUT);
}

/* Times in units of one multiplication of the direct way: weights come from beyond L2 at about one number in `READ`. */
static bool pays(const tg_call *c)
{
    enum { READ = 20 };
    double pixels = (double)(c->out.shape.dim[0] * c->out.shape.dim[2] * c->out.shape.dim[3]),
           tiles = (double)tiles_of(c);
    double channels = 1. / (double)c->in[0].shape.dim[1] + 1. / (double)c->out.shape.dim[1];
    return 9 * pixels + 9 * READ > 36 * tiles * 1.2 + 36 * READ + 36 * tiles * 6 * channels;
}

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    if (w->shape.dim[2] != 3 || w->shape.dim[3] != 3 || a->stride[0] != 1 || a->stride[1] != 1 || a->dilation[0] != 1
        || a->dilation[1] != 1 || a->groups != 1)
        return "not 3x3 of stride 1";
    if (!w->constant)
        return "weights change";
    if (x->shape.dim[1] < FEW_CHANNELS || w->shape.dim[0] < FEW_CHANNELS || !pays(c))
        return "too small to pay";
    if (x->stride[1] != 1 || c->out.stride[1] != 1)
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

/* U = G g G' of every pair of channels: u[p][out][in]. */
static void transform_weights(const tg_tensor *w, float *u)
{
    const double a = sqrt(.5), b = sqrt(2.), na = 1 / (2 * .5 * (.5 - 2)), nb = 1 / (2 * 2 * (2 - .5));
    const double g[WINO_IN][3] = { { 1, 0, 0 }, { na, na * a, na * .5 }, { na, -na * a, na * .5 },
                                   { nb, nb * b, nb * 2 }, { nb, -nb * b, nb * 2 }, { 0, 0, 1 } };
    int64_t out = w->shape.dim[0], in = w->shape.dim[1];

    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++) {
            const float *k = (const float *)w->data + o * w->stride[0] + i * w->stride[1];
            double t[WINO_IN][3];
            for (int r = 0; r < WINO_IN; r++)
                for (int x = 0; x < 3; x++) {
                    t[r][x] = 0;
                    for (int y = 0; y < 3; y++)
                        t[r][x] += g[r][y] * (double)k[y * w->stride[2] + x * w->stride[3]];
                }
            for (int r = 0; r < WINO_IN; r++)
                for (int q = 0; q < WINO_IN; q++)
                    u[((r * WINO_IN + q) * out + o) * in + i] =
                        (float)(t[r][0] * g[q][0] + t[r][1] * g[q][1] + t[r][2] * g[q][2]);
        }
}

static void release(void *p)
{
    state *s = p;
    if (s)
        free(s->weights);
    free(s);
}

static bool pack_weights(state *s, const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1], *bias = epilogue_bias(c, &a->e);
    int64_t out = w->shape.dim[0], in = w->shape.dim[1], room = gemm_packed(s->g, 1, out);
    float *u = room_alloc((size_t)(WINO_SIZE * out * in) * sizeof *u);

    s->matrix = gemm_packed(s->g, in, out);
    s->weights = aligned_bytes((size_t)(WINO_SIZE * s->matrix + room) * sizeof *s->weights);
    if (!u || !s->weights) {
        room_free(u);
        return false;
    }
    transform_weights(w, u);
    for (int p = 0; p < WINO_SIZE; p++)
        s->g->pack(u + p * out * in, in, out, 1, in, s->vecs * s->g->width, s->weights + p * s->matrix);
    room_free(u);
    float *to = s->weights + WINO_SIZE * s->matrix;
    for (int64_t i = 0; i < room; i++)
        to[i] = bias && i < out ? ((const float *)bias->data)[i * bias->stride[0]] : 0;
    s->bias = bias ? to : NULL;
    return true;
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const conv2d_attr *a = c->attr;
    int64_t out = c->out.shape.dim[1], in = c->in[0].shape.dim[1], tiles = tiles_of(c), lots;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    gemm g = { .taps = 1 };
    s->g = VEC_PICK(gemm_vec);
    s->v = VEC_PICK(winograd_vec);
    s->down = (c->out.shape.dim[2] + WINO_OUT - 1) / WINO_OUT;
    s->across = (c->out.shape.dim[3] + WINO_OUT - 1) / WINO_OUT;
    act_of(a->e.act, a->e.act_attr, &s->f);
    s->lot = (int64_t)(2 * cpu()->l2 * (size_t)pool_threads(c->pool)) / (WINO_SIZE * (in + out) * 4);
    s->lot = s->lot < 24 ? 24 : s->lot;
    lots = (tiles + s->lot - 1) / s->lot;
    s->lot = (tiles + lots - 1) / lots;
    s->vecs = gemm_panel(s->g, s->lot, out);
    s->inputs = ((size_t)(WINO_SIZE * s->lot * in) * sizeof(float) + 63) / 64 * 64;
    s->products = ((size_t)(WINO_SIZE * s->lot * out) * sizeof(float) + 63) / 64 * 64;
    prep->scratch = s->inputs + s->products + gemm_scratch(&g, pool_threads(c->pool));
    if (!pack_weights(s, c))
        return release(s), status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    prep->consumed = a->e.bias ? 6 : 2;
    prep->state_bytes = (size_t)(WINO_SIZE * s->matrix) * sizeof(float);
    prep->state = s;
    return true;
}

/* -- a lot of tiles ------------------------------------------------------------------------------------------------ */

struct lot { const tg_call *c; const state *s; int64_t first, tiles; float *inputs, *products; char *place; };

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
    const tg_tensor *t = &l->c->in[0];
    const conv2d_attr *a = l->c->attr;
    winograd w = { .h = t->shape.dim[2], .w = t->shape.dim[3], .channels = t->shape.dim[1], .xy = t->stride[2],
                   .xx = t->stride[3], .point = l->tiles * t->shape.dim[1] };
    for (int64_t i = from; i < to; i++) {
        int64_t n, y, x;
        tile_at(l, i, &n, &y, &x);
        l->s->v->input(&w, (const float *)t->data + n * t->stride[0], y - a->pad[0], x - a->pad[1],
                       l->inputs + i * w.channels);
    }
}

static void multiply(void *arg, int64_t from, int64_t to)
{
    const struct lot *l = arg;
    const state *s = l->s;
    int64_t in = l->c->in[0].shape.dim[1], out = l->c->out.shape.dim[1], panel = s->vecs * s->g->width;
    gemm place = { .taps = 1 };
    char *mine = l->place + (size_t)pool_worker() * gemm_scratch(&place, 1);
    for (int64_t p = from; p < to; p++) {
        struct gemm_rows rows = { l->inputs + p * l->tiles * in, in };
        gemm g = { .v = s->g,
                   .m = l->tiles,
                   .n = out,
                   .taps = 1,
                   .run = in,
                   .vecs = s->vecs,
                   .b = s->weights + p * s->matrix,
                   .rows = gemm_rows,
                   .ctx = &rows,
                   .out = l->products + p * l->tiles * out,
                   .out_rows = { 1, { l->tiles }, { out } } };
        gemm_part(&g, 0, l->tiles, 0, (out + panel - 1) / panel, mine);
    }
}

static void transform_outputs(void *arg, int64_t from, int64_t to)
{
    const struct lot *l = arg;
    const tg_call *c = l->c;
    const conv2d_attr *a = c->attr;
    const tg_tensor *t = &c->out, *r = epilogue_residual(c, &a->e);
    winograd w = { .oh = t->shape.dim[2], .ow = t->shape.dim[3], .channels = t->shape.dim[1], .xy = t->stride[2],
                   .xx = t->stride[3], .ry = r ? r->stride[2] : 0, .rx = r ? r->stride[3] : 0,
                   .point = l->tiles * t->shape.dim[1], .bias = l->s->bias, .act_first = a->e.act_first, .f = l->s->f };
    for (int64_t i = from; i < to; i++) {
        int64_t n, y, x;
        tile_at(l, i, &n, &y, &x);
        l->s->v->output(&w, l->products + i * w.channels, r ? (const float *)r->data + n * r->stride[0] : NULL,
                        (float *)t->data + n * t->stride[0], y, x);
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    char *scratch = c->scratch;
    struct lot l = { .c = c, .s = s, .inputs = c->scratch, .products = (float *)(void *)(scratch + s->inputs),
                     .place = scratch + s->inputs + s->products };
    int64_t tiles = tiles_of(c);
    for (l.first = 0; l.first < tiles; l.first += s->lot) {
        l.tiles = tiles - l.first < s->lot ? tiles - l.first : s->lot;
        pool_run(c->pool, l.tiles, 1, transform_inputs, &l);
        pool_run(c->pool, WINO_SIZE, 1, multiply, &l);
        pool_run(c->pool, l.tiles, 1, transform_outputs, &l);
    }
}

const tg_kernel kernel_winograd = {
    .op = "conv2d", .name = "cpu.winograd", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .release = release, .repack = true
};
