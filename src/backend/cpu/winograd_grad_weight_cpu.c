/* winograd_grad_weight_cpu.c - dw of 3x3 convolutions of stride 1, through the points of F(4x4, 3x3).
 *
 * y = A' ((G g G') . (B' x B)) A of a tile, so dg = G' (sum over tiles of (A dy A') . (B' x B)) G: 36 sums of outer products over
 * tiles instead of 9 over pixels, a quarter of the multiplications.  Tiles are taken in lots whose size depends on the shapes
 * alone; of a lot both sides are transformed, then each point's sum grows by it.  In bf16x6 by its instructions.
 *
 * In single precision there are two sets of sums, if they are small, of every other lot, so that each of two threads has its own, whose tiles nobody
 * else reads; more threads share lot after lot.
 */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"
#include "slabs.h"

enum { FEW_CHANNELS = 32, APART = 16, LOT_NUMBERS = 400000, MANY_NUMBERS = 8 * LOT_NUMBERS, LEAST = 32, READ = 40 };
enum { SETS = 2, SMALL = 128 * 128 };

typedef struct state {
    const gemm_vec *g;                      /* of bf16x6, or NULL: sums are o's */
    const outer_vec *o;
    const winograd_vec *v;
    int64_t in, out, padded, rows, tiles, down, across, lot, lots, pad[2];        /* padded, rows: of a point's sums, in and out filled up */
    int vecs, sets;
    bool apart;                             /* each set by one thread */
    size_t left, right, sums, pack;         /* bytes of scratch, in this order: of a lot, of a set, of each thread */
} state;

static int64_t tiles_along(int64_t pixels) { return (pixels + WINO_OUT - 1) / WINO_OUT; }

static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* As for the convolution itself: sums of 36 are written and read where those of 9 were. */
static bool pays(const tg_call *c)
{
    const int64_t *dy = c->in[0].shape.dim;
    double pixels = (double)(dy[0] * dy[2] * dy[3]), tiles = (double)(dy[0] * tiles_along(dy[2]) * tiles_along(dy[3]));
    double channels = 1. / (double)dy[1] + 1. / (double)c->in[1].shape.dim[1];
    const double gain = gemm_whole(c->precision) ? 1 : gemm_for(c->precision)->gain;
    return 9 * pixels / gain > 36 * tiles * 1.2 + 27 * READ + 36 * tiles * 8 * channels;
}

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = &((const conv2d_grad_attr *)c->attr)->conv;
    const tg_shape w = c->out.shape;
    if (!all_f32(c))
        return "not float";
    if (w.dim[2] != 3 || w.dim[3] != 3 || a->stride[0] != 1 || a->stride[1] != 1 || a->dilation[0] != 1 || a->dilation[1] != 1 || a->groups != 1)
        return "not 3x3 of stride 1";
    if (w.dim[0] < FEW_CHANNELS || w.dim[1] < FEW_CHANNELS || !pays(c))
        return "too small to pay, or slower than the processor's own products";
    return c->in[0].stride[1] != 1 || c->in[1].stride[1] != 1 ? "not channels-last" : NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c, (void)out;
    for (int i = 0; i < 2; i++)
        if (in[i].stride[1] != 1)
            tg_channels_last(&in[i]);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const conv2d_attr *a = &((const conv2d_grad_attr *)c->attr)->conv;
    const tg_shape dy = c->in[0].shape;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution's gradient");
    s->o = VEC_PICK(outer_vec);
    s->v = VEC_PICK(winograd_vec);
    s->out = dy.dim[1];
    s->in = c->in[1].shape.dim[1];
    s->g = gemm_whole(c->precision) ? gemm_for(c->precision) : NULL;
    s->padded = up(s->in, s->g ? SLAB : s->o->width);
    s->rows = s->g ? up(s->out, SLAB / 2) : s->out;
    s->down = tiles_along(dy.dim[2]);
    s->across = tiles_along(dy.dim[3]);
    s->tiles = dy.dim[0] * s->down * s->across;
    s->pad[0] = a->pad[0];
    s->pad[1] = a->pad[1];
    s->lot = (s->g ? MANY_NUMBERS : LOT_NUMBERS) / (WINO_SIZE * (s->in + s->out));
    s->lot = s->lot < LEAST ? LEAST : s->lot;
    s->lots = (s->tiles + s->lot - 1) / s->lot;
    s->sets = s->g || s->lots == 1 || s->in * s->out > SMALL ? 1 : SETS;
    s->lots = up(s->lots, s->sets);
    s->lot = (s->tiles + s->lots - 1) / s->lots;
    s->lots = (s->tiles + s->lot - 1) / s->lot;
    s->apart = s->sets > 1 && pool_threads(c->pool) <= s->sets;
    s->vecs = gemm_panel(VEC_PICK(gemm_vec), s->out, s->in, 1, s->lot);
    s->left = lines(WINO_SIZE * (s->lot * s->out + APART));
    s->right = lines(WINO_SIZE * (s->lot * s->in + APART));
    s->sums = lines(WINO_SIZE * (s->rows * s->padded + APART));
    s->pack = s->g ? slabs_left(s->g, s->lot) * (size_t)((s->out + SLAB - 1) / SLAB) + slabs_right(s->g, s->lot, s->padded) + lines(s->in + s->out)
                   : lines(s->lot * s->padded) + lines(s->lot * TILE_ROWS);
    prep->scratch = (s->left + s->right) * (s->apart ? SETS : 1) + s->sums * (size_t)s->sets + s->pack * (size_t)pool_threads(c->pool);
    prep->state = s;
    return true;
}

typedef struct lot { const tg_call *c; const state *s; int64_t first, tiles; float *left, *right, *sums; char *pack; bool add; } lot;

static void transform(void *arg, int64_t from, int64_t to)
{
    const lot *l = arg;
    const state *s = l->s;
    const tg_tensor *dy = &l->c->in[0], *x = &l->c->in[1];
    winograd back = { .oh = dy->shape.dim[2], .ow = dy->shape.dim[3], .channels = s->out, .xy = dy->stride[2], .xx = dy->stride[3],
                      .point = l->tiles * s->out + APART, .narrow = dy->dtype == TG_BFLOAT };
    winograd there = { .h = x->shape.dim[2], .w = x->shape.dim[3], .channels = s->in, .xy = x->stride[2], .xx = x->stride[3],
                       .point = l->tiles * s->in + APART, .narrow = x->dtype == TG_BFLOAT };
    for (int64_t i = from; i < to; i++) {
        int64_t tile = l->first + i, col = tile % s->across * WINO_OUT, row = tile / s->across % s->down * WINO_OUT;
        int64_t n = tile / s->across / s->down;
        s->v->spread(&back, tg_at(dy->data, dy->dtype, n * dy->stride[0]), row, col, l->left + i * s->out);
        s->v->input(&there, tg_at(x->data, x->dtype, n * x->stride[0]), row - s->pad[0], col - s->pad[1], l->right + i * s->in);
    }
}

/* Points [from, to): sums (out x in) of each, by slabs of 32 tiles. */
static void multiply_slabs(void *arg, int64_t from, int64_t to)
{
    const lot *l = arg;
    const state *s = l->s;
    const int64_t slabs = slabs_of(l->tiles), size = SLAB * SLAB * (int64_t)sizeof(uint16_t), block = slabs * SLAB * SLAB * s->g->bytes;
    char *left = l->pack + (size_t)pool_worker() * s->pack, *right = left + up(s->out, SLAB) / SLAB * block;
    float *zeros = (float *)(void *)(right + s->padded / SLAB * block);
    memset(zeros, 0, (size_t)(s->in + s->out) * sizeof *zeros);
    for (int64_t p = from; p < to; p++) {
        const float *dy = l->left + p * (l->tiles * s->out + APART), *x = l->right + p * (l->tiles * s->in + APART);
        float *sums = l->sums + p * (s->rows * s->padded + APART);
        for (int64_t t = 0; t < slabs; t++) {
            const float *of_dy[SLAB], *of_x[SLAB];
            for (int64_t i = 0; i < SLAB; i++) {
                const bool there = t * SLAB + i < l->tiles;
                of_dy[i] = there ? dy + (t * SLAB + i) * s->out : zeros;
                of_x[i] = there ? x + (t * SLAB + i) * s->in : zeros;
            }
            for (int64_t j = 0; j < s->out; j += SLAB)
                s->g->turn(of_dy, j, (int)(s->out - j < SLAB ? s->out - j : SLAB), left + j / SLAB * block + t * size, slabs * size);
            for (int64_t j = 0; j < up(s->in, SLAB); j += SLAB / 2)           /* a vector */
                s->g->pairs(of_x, j, (int)(s->in - j < SLAB / 2 ? s->in - j : SLAB / 2), right + j / SLAB * block + t * size + j % SLAB * size / SLAB,
                            slabs * size);
        }
        s->g->enter();
        for (int64_t j = 0; j < s->out; j += SLAB) {
            const int rows = (int)(s->out - j < SLAB ? s->out - j : SLAB);
            slabs_multiply(s->g, left + j / SLAB * block, slabs, rows, right, slabs, 0, s->padded, l->add, sums + j * s->padded, s->padded);
        }
        s->g->leave();
    }
}

/* Likewise, in single precision. */
static void multiply(void *arg, int64_t from, int64_t to)
{
    static const int64_t start = 0;
    const lot *l = arg;
    const state *s = l->s;
    const int64_t panel = s->vecs * s->o->width, most = s->o->rows[s->vecs], tiles = (s->out + most - 1) / most;
    float *right = (float *)(void *)(l->pack + (size_t)pool_worker() * s->pack), *left = right + lines(s->lot * s->padded) / sizeof(float);
    for (int64_t p = from; p < to; p++) {
        const float *dy = l->left + p * (l->tiles * s->out + APART), *x = l->right + p * (l->tiles * s->in + APART);
        float *sums = l->sums + p * (s->rows * s->padded + APART);
        for (int64_t j = 0; j < s->padded; j += panel) {
            int64_t width = s->padded - j < panel ? s->padded - j : panel, columns = s->in - j < width ? s->in - j : width;
            s->o->right(x + j, s->in, l->tiles, (int)columns, (int)width, right + j * l->tiles);
        }
        for (int64_t t = 0; t < tiles; t++) {
            int64_t o = s->out * t / tiles, rows = s->out * (t + 1) / tiles - o;
            s->o->left(dy + o, s->out, l->tiles, (int)rows, left);
            for (int64_t j = 0; j < s->padded; j += panel) {
                int64_t width = s->padded - j < panel ? s->padded - j : panel;
                outer_tile tile = { .left = left, .left_step = rows, .right = right + j * l->tiles, .right_step = width, .place = &start, .runs = 1, .run = l->tiles,
                                    .out = sums + o * s->padded + j, .step = s->padded, .add = l->add };
                s->o->tile[width / s->o->width][rows](&tile);
            }
        }
    }
}

static void finish(void *arg, int64_t from, int64_t to)
{
    const lot *l = arg;
    const state *s = l->s;
    const int64_t *step = l->c->out.stride;
    for (int64_t o = from; o < to; o++) {
        for (int p = 0; p < WINO_SIZE && s->sets > 1; p++) {
            float *one = l->sums + p * (s->rows * s->padded + APART) + o * s->padded;
            VEC_PICK(elementwise_vec)->binary[BIN_ADD](one, 1, one + s->sums / sizeof *one, 1, one, s->in);
        }
        s->v->weights_back(l->sums + o * s->padded, s->rows * s->padded + APART, s->in, (float *)l->c->out.data + o * step[0], step[1],
                           step[2], step[3]);
    }
}

/* The i-th lot, of the sums of its set. */
static lot lot_of(const lot *all, int64_t i)
{
    const state *s = all->s;
    lot l = *all;
    l.first = i * s->lot;
    l.tiles = s->tiles - l.first < s->lot ? s->tiles - l.first : s->lot;
    l.sums += i % s->sets * (int64_t)(s->sums / sizeof *l.sums);
    l.add = i >= s->sets;
    return l;
}

static void work_set(void *arg, int64_t from, int64_t to)
{
    const lot *all = arg;
    const state *s = all->s;
    for (int64_t set = from; set < to; set++)
        for (int64_t i = set; i < s->lots; i += s->sets) {
            lot l = lot_of(all, i);
            l.left += set * (int64_t)((s->left + s->right) / sizeof *l.left);
            l.right += set * (int64_t)((s->left + s->right) / sizeof *l.right);
            transform(&l, 0, l.tiles);
            multiply(&l, 0, WINO_SIZE);
        }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    char *sums = (char *)c->scratch + (s->left + s->right) * (s->apart ? SETS : 1);
    lot all = { .c = c, .s = s, .left = c->scratch, .right = (float *)(void *)((char *)c->scratch + s->left), .sums = (float *)(void *)sums,
                .pack = sums + s->sums * (size_t)s->sets };
    if (s->apart)
        pool_run(c->pool, s->sets, 1, work_set, &all);
    for (int64_t i = 0; i < s->lots && !s->apart; i++) {
        lot l = lot_of(&all, i);
        pool_run(c->pool, l.tiles, 1, transform, &l);
        pool_run(c->pool, WINO_SIZE, 1, s->g ? multiply_slabs : multiply, &l);
    }
    pool_run(c->pool, s->out, 1, finish, &all);
}

static void release(void *s) { free(s); }

static unsigned narrow(const tg_call *c) { return gemm_narrow(c->precision) ? 3 : 0; }

const tg_kernel kernel_winograd_grad_weight = { .op = "conv2d_grad_weight", .name = "cpu.winograd_grad_weight", .declines = declines,
                                                .prefers = prefers, .prepare = prepare, .run = run, .release = release, .fewer = true,
                                                .narrow = narrow };
