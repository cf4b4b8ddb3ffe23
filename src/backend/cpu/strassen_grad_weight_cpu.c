/* strassen_grad_weight_cpu.c - dw of a 1x1 convolution or a linear layer, dy' x over all pixels, by seven products of halves (strassen.c).
 *
 * Halves are of a block of dy's channels, of two neighbouring panels of x's, and of a lot of pixels.  A task is a block and some pairs of panels: it
 * goes through all lots, and of each copies the block's quarters together and adds them up; x is read where it lies, the next pair of panels fetched
 * meanwhile, and its sums are made by the first tile on its way.  Blocks and lots depend on shapes alone.
 */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"
#include "strassen.h"

enum { CHANNELS = 192, LEAST_PIXELS = 128, MOST_PIXELS = 1024, OPERANDS = STRASSEN_SUMS + 3, LINE = 16 };

typedef struct state {
    const outer_vec *v;
    const strassen_vec *s;
    int64_t out, in, pixels;
    int vecs;
    int64_t blocks, pairs, shares, lots;
    size_t left, right, waiting;            /* bytes of a thread's scratch, in this order */
} state;

static const conv2d_attr *conv_of(const tg_call *c) { return &((const conv2d_grad_attr *)c->attr)->conv; }
static int64_t pixels_of(const tg_call *c) { return c->in[0].shape.dim[0] * c->in[0].shape.dim[2] * c->in[0].shape.dim[3]; }

static const char *declines(const tg_call *c)
{
    const char *why = kernel_conv2d_grad_weight.declines(c);
    const conv2d_attr *a = conv_of(c);
    const tg_shape w = c->out.shape, dy = c->in[0].shape, x = c->in[1].shape;
    const outer_vec *v = VEC_PICK(outer_vec);
    if (why)
        return why;
    if (w.dim[2] > 1 || w.dim[3] > 1 || a->groups > 1 || a->stride[0] > 1 || a->stride[1] > 1 || dy.dim[2] != x.dim[2] || dy.dim[3] != x.dim[3]
        || a->pad[0] || a->pad[1])
        return "not 1x1 of stride 1";
    const int vecs = strassen_vecs(v->width, v->rows, w.dim[1]);
    if (!vecs || w.dim[0] % 2 || w.dim[0] < 4 * v->rows[vecs] || pixels_of(c) % 2)
        return "no halves";
    return tg_is_dense(&c->out) ? NULL : "a result with gaps";
}

/* By times of 256 to 50176 pixels: of so few channels what is brought and added up takes as long. */
static const char *doubts(const tg_call *c)
{
    const tg_shape w = c->out.shape;
    return w.dim[0] < 128 || w.dim[1] < 192 || pixels_of(c) < 256 ? "few numbers, whose sums take as long" : NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out) { kernel_conv2d_grad_weight.prefers(c, in, out); }

/* From pixel to pixel of a left operand: an odd number of lines, so that pixels are in different sets of the cache. */
static int64_t pitch(int64_t channels) { return ((channels + LINE - 1) / LINE | 1) * LINE; }

/* The i-th of n parts of `of`, in whole pairs. */
static int64_t even(int64_t of, int64_t i, int64_t n) { return of / 2 * i / n * 2; }

/* So many that a block's operands fill three quarters of L2. */
static int64_t lot_pixels(void)
{
    const int64_t fit = (int64_t)(cpu()->l2 / sizeof(float) * 3 / 4) / (OPERANDS * (CHANNELS / 2 + LINE)) / 16 * 32;
    return fit < LEAST_PIXELS ? LEAST_PIXELS : fit > MOST_PIXELS ? MOST_PIXELS : fit;
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const int threads = pool_threads(c->pool);
    state *s = malloc(sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a gradient");
    *s = (state){ .v = VEC_PICK(outer_vec), .s = VEC_PICK(strassen_vec), .out = c->out.shape.dim[0], .in = c->out.shape.dim[1], .pixels = pixels_of(c) };
    s->vecs = strassen_vecs(s->v->width, s->v->rows, s->in);
    const int64_t panel = s->vecs * s->v->width;
    s->blocks = (s->out + 2 * CHANNELS - 1) / (2 * CHANNELS) * 2;
    s->pairs = s->in / panel / 2;
    s->lots = (s->pixels + lot_pixels() - 1) / lot_pixels();
    s->shares = 1;
    while (s->shares < s->pairs && s->blocks * s->shares < 4 * threads && s->blocks * s->shares % threads)
        s->shares++;
    const int64_t half = (s->pixels / 2 + s->lots - 1) / s->lots, upper = (s->out / 2 + s->blocks - 1) / s->blocks;
    s->left = lines(OPERANDS * half * pitch(upper));
    s->right = lines(2 * half * panel);
    s->waiting = lines(STRASSEN_WAITING * upper * panel);
    prep->scratch = (s->left + s->right + s->waiting) * (size_t)threads;
    prep->state = s;
    return true;
}

/* A task at one lot. */
typedef struct lot {
    const tg_call *c;
    const state *s;
    int64_t pixel, half;                    /* the first of 2 half */
    int64_t channel, upper;                 /* likewise of dy's */
    int strips;                             /* of rows of a tile */
    float *left, *right, *waiting;
} lot;

static int64_t strip_row(const lot *l, int strip)
{
    const int most = l->s->v->rows[l->s->vecs];
    return !strip ? 0 : strip == l->strips ? l->upper : most + (l->upper - most) * (strip - 1) / (l->strips - 1);
}

/* Where a left operand lies: sums, then quarters 11, 12 and 22, by pixels. */
static float *left_at(const lot *l, int operand)
{
    const int place = operand >= S1 ? operand - S1 : STRASSEN_SUMS + (operand == Q22 ? 2 : operand);
    return l->left + place * l->half * pitch(l->upper);
}

static void bring_left(const lot *l)
{
    const state *s = l->s;
    const int64_t step = pitch(l->upper);
    const size_t bytes = (size_t)l->upper * sizeof(float);
    for (int64_t p = 0; p < l->half; p++) {
        const float *one = (const float *)l->c->in[0].data + (l->pixel + p) * s->out + l->channel, *two = one + l->half * s->out;
        s->s->sums((const float *const[]){ one, two, one + l->upper, two + l->upper }, l->upper, left_at(l, S1) + p * step, l->half * step);
        memcpy(left_at(l, Q11) + p * step, one, bytes);
        memcpy(left_at(l, Q12) + p * step, two, bytes);
        memcpy(left_at(l, Q22) + p * step, two + l->upper, bytes);
    }
}

/* Of the pair of panels at x a piece, the i-th of so many.  Always inlined: compilers drop calls of what does nothing but fetch. */
static inline __attribute__((always_inline)) void fetch(const lot *l, const float *x, int64_t i, int64_t pieces)
{
    const int64_t pair = 2 * l->s->vecs * l->s->v->width;
    for (int64_t p = 2 * l->half * i / pieces; p < 2 * l->half * (i + 1) / pieces; p++)
        for (int64_t j = 0; j < pair; j += LINE)
            __builtin_prefetch(x + p * l->s->in + j, 0, 2);
}

/* Channels of x from `first` on; next: where the pair after it lies. */
static void multiply(const lot *l, int64_t first, const float *next)
{
    static const int64_t begin = 0;
    const state *s = l->s;
    const int64_t panel = s->vecs * s->v->width, half = l->half;
    const float *x = (const float *)l->c->in[1].data + l->pixel * s->in + first;
    const float *right[] = { x, x + panel, x + half * s->in, x + half * s->in + panel, l->right, l->right + half * panel };
    for (int i = 0; i < STRASSEN_PRODUCTS; i++) {
        const strassen_step *m = &strassen_steps[i];
        outer_tile tile = { .right = right[m->right], .right_step = m->right < X ? s->in : panel, .place = &begin, .runs = 1, .run = half, .left_step = pitch(l->upper),
                            .step = s->in, .add = l->pixel > 0 };
        float *result = (float *)l->c->out.data + (l->channel + (strassen_below(m) ? l->upper : 0)) * s->in + first + (strassen_beside(m) ? panel : 0);
        for (int t = 0; t < l->strips; t++) {
            const int64_t row = strip_row(l, t), rows = strip_row(l, t + 1) - row;
            float *wait = l->waiting + row * panel;
            tile.left = left_at(l, m->left) + row;
            for (int j = 0; j < 2; j++)
                tile.from[j] = m->from[j] == NONE ? NULL : wait + m->from[j] * l->upper * panel;
            tile.keep = m->keep == NONE ? NULL : wait + m->keep * l->upper * panel;
            tile.plus = m->plus == NONE ? NULL : wait + m->plus * l->upper * panel;
            tile.out = m->result == NONE ? NULL : result + row * s->in;
            fetch(l, next, i * l->strips + t, STRASSEN_PRODUCTS * l->strips);
            if (m->less == NONE || t)
                s->v->tile[s->vecs][rows](&tile);
            else {
                tile.other = right[m->less];
                tile.other_step = m->less < X ? s->in : panel;
                tile.sum = l->right + (m->sum - X) * half * panel;
                s->v->summed[s->vecs](&tile);
                tile.right = tile.sum;
                tile.right_step = panel;
            }
        }
    }
}

static void work(void *arg, int64_t from, int64_t to)
{
    lot l = *(const lot *)arg;
    const state *s = l.s;
    const int64_t pair = 2 * s->vecs * s->v->width;
    const int most = s->v->rows[s->vecs];
    char *mine = (char *)l.c->scratch + (size_t)pool_worker() * (s->left + s->right + s->waiting);
    l.left = (float *)(void *)mine;
    l.right = (float *)(void *)(mine + s->left);
    l.waiting = (float *)(void *)(mine + s->left + s->right);
    for (int64_t i = from; i < to; i++) {
        const int64_t block = i / s->shares, share = i % s->shares;
        const int64_t begin = s->pairs * share / s->shares * pair, end = s->pairs * (share + 1) / s->shares * pair;
        l.channel = even(s->out, block, s->blocks);
        l.upper = (even(s->out, block + 1, s->blocks) - l.channel) / 2;
        l.strips = (int)(1 + (l.upper - most + most - 1) / most);
        for (int64_t k = 0; k < s->lots; k++) {
            l.pixel = even(s->pixels, k, s->lots);
            const int64_t after = even(s->pixels, k + 1, s->lots);
            l.half = (after - l.pixel) / 2;
            bring_left(&l);
            for (int64_t first = begin; first < end; first += pair)
                multiply(&l, first, (const float *)l.c->in[1].data + (first + pair < end ? l.pixel * s->in + first + pair : after % s->pixels * s->in + begin));
        }
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    lot l = { .c = c, .s = s };
    pool_run(c->pool, s->blocks * s->shares, 1, work, &l);
}

static void release(void *s) { free(s); }

const tg_kernel kernel_strassen_grad_weight = {
    .op = "conv2d_grad_weight", .name = "cpu.strassen_grad_weight", .declines = declines, .doubts = doubts,
    .prefers = prefers, .prepare = prepare, .run = run, .release = release, .fewer = true,
};
