/* conv2d_grad_weight_cpu.c - dw of a convolution: for each tap the sum of outer products of dy's pixels and x's.
 *
 * Rows of dy are taken in lots whose size depends on the shapes alone.  Of a lot, dy is packed in strips as wide as a tile
 * has rows, and what it meets of x in panels of channels, padded with zeros, so that a tap is a fixed distance into a panel;
 * with a stride of s, columns lie in s phases, so that neighbours of dy meet neighbours.  Where channels are few, or the
 * kernel is one column wide, a panel holds what all taps of a kernel row see of a pixel, and only kernel rows are taps.
 * Threads share tiles of the result, never a sum.
 */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"

enum { FEW_CHANNELS = 12, PIXELS = 768, ROOM = 1 << 21, BLOCK_PIXELS = 16 };

typedef struct state {
    const outer_vec *v;
    const conv2d_attr *a;
    int64_t n, h, w, oh, ow, kh, kw, groups, in, out;       /* in, out: channels of a group */
    bool unfold;                            /* taps of a kernel row are joined */
    int64_t columns, padded, taps;          /* of the right operand: of a group, in whole vectors; taps */
    int64_t images, band;                   /* of a lot: images, rows of dy of each */
    int64_t rows, phases, across;           /* packed rows of an image; columns of them: phases * across */
    int vecs, tiles;                        /* vectors of a panel; tiles down a group's channels of dy */
    int64_t right;                          /* pixels of a packed panel */
    int64_t *place;                         /* of each row of dy in a panel, in pixels */
    size_t left_bytes, right_bytes;         /* of scratch, in this order; then the sums */
    bool direct;                            /* sums lie as the result does */
} state;

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = &((const conv2d_grad_attr *)c->attr)->conv;
    if (!all_f32(c))
        return "not float";
    if (a->groups > 1 && c->out.shape.dim[1] == 1)
        return "depthwise";
    for (int i = 0; i < 2; i++)
        if (!tg_is_channels_last(&c->in[i]))
            return "not channels-last";
    return NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c, (void)out;
    tg_channels_last(&in[0]);
    tg_channels_last(&in[1]);
}

static size_t lines(int64_t numbers) { return ((size_t)numbers * sizeof(float) + 63) / 64 * 64; }

static void plan_lots(state *s)
{
    const conv2d_attr *a = s->a;
    const int64_t step = s->kh == 1 ? 1 : a->stride[0], copies = step * (s->unfold ? 1 : a->stride[1]);
    int64_t pixels = ROOM / (s->groups * (s->out + s->padded * copies));
    pixels = pixels < PIXELS ? pixels : PIXELS;
    s->band = pixels / s->ow < 1 ? 1 : pixels / s->ow < s->oh ? pixels / s->ow : s->oh;
    s->images = s->band < s->oh ? 1 : pixels / (s->oh * s->ow);
    s->images = s->images < 1 ? 1 : s->images < s->n ? s->images : s->n;
    int64_t bands = (s->oh + s->band - 1) / s->band, lots = (s->n + s->images - 1) / s->images;
    s->band = (s->oh + bands - 1) / bands;
    s->images = (s->n + lots - 1) / lots;
    s->rows = (s->band - 1) * step + (s->kh - 1) * a->dilation[0] + 1;
    s->phases = s->unfold ? 1 : a->stride[1];
    s->across = s->unfold ? s->ow : ((s->ow - 1) * a->stride[1] + (s->kw - 1) * a->dilation[1]) / a->stride[1] + 1;
    s->right = s->images * s->rows * s->phases * s->across;
}

static void release(void *p)
{
    state *s = p;
    if (s)
        free(s->place);
    free(s);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const conv2d_attr *a = &((const conv2d_grad_attr *)c->attr)->conv;
    const tg_shape dy = c->in[0].shape, x = c->in[1].shape, w = c->out.shape;
    state *s = malloc(sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution's gradient");
    *s = (state){ .v = VEC_PICK(outer_vec), .a = a, .n = x.dim[0], .h = x.dim[2], .w = x.dim[3], .oh = dy.dim[2],
                  .ow = dy.dim[3], .kh = w.dim[2], .kw = w.dim[3], .groups = a->groups, .in = w.dim[1],
                  .out = w.dim[0] / a->groups };
    s->unfold = s->kw == 1 || (s->in <= FEW_CHANNELS && a->dilation[1] == 1);
    s->columns = s->unfold ? s->kw * s->in : s->in;
    s->padded = (s->columns + s->v->width - 1) / s->v->width * s->v->width;
    s->taps = s->unfold ? s->kh : s->kh * s->kw;
    s->vecs = gemm_panel(VEC_PICK(gemm_vec), s->out > 1 ? s->out : 2, s->columns);
    s->tiles = (int)((s->out + s->v->rows[s->vecs] - 1) / s->v->rows[s->vecs]);
    plan_lots(s);
    s->place = malloc((size_t)(s->images * s->band) * sizeof *s->place);
    if (!s->place)
        return release(s), status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution's gradient");
    for (int64_t i = 0; i < s->images * s->band; i++)
        s->place[i] = (i / s->band * s->rows + i % s->band * (s->kh == 1 ? 1 : a->stride[0])) * s->phases * s->across;
    s->direct = s->taps == 1 && s->kw == 1 && s->padded == s->columns && tg_is_dense(&c->out);
    s->left_bytes = lines(s->images * s->band * s->ow * s->groups * s->out);
    s->right_bytes = lines(s->right * s->groups * s->padded);
    prep->scratch = s->left_bytes + s->right_bytes + (s->direct ? 0 : lines(s->groups * s->taps * s->out * s->padded));
    prep->state = s;
    return true;
}

/* -- a lot --------------------------------------------------------------------------------------------------------- */

typedef struct lot {
    const tg_call *c;
    const state *s;
    int64_t image, images, row, band;       /* rows [row, row + band) of dy of these images */
    float *left, *right, *sums;
    int64_t parts;                          /* pieces a panel's tiles are dealt out in */
} lot;

/* Strips of pixels [from, to) of the lot. */
static void pack_left(void *arg, int64_t from, int64_t to)
{
    const lot *l = arg;
    const state *s = l->s;
    const int64_t pixels = l->images * l->band * s->ow, all = s->groups * s->out, per = l->band * s->ow;
    for (int64_t p = from, n; p < to; p += n) {
        n = to - p < BLOCK_PIXELS ? to - p : BLOCK_PIXELS;
        n = n < per - p % per ? n : per - p % per;
        const float *dy = (const float *)l->c->in[0].data + ((l->image + p / per) * s->oh * s->ow + l->row * s->ow + p % per) * all;
        for (int64_t g = 0; g < s->groups; g++)
            for (int t = 0; t < s->tiles; t++) {
                int64_t a = g * s->out + s->out * t / s->tiles, rows = g * s->out + s->out * (t + 1) / s->tiles - a;
                s->v->left(dy + a, all, n, (int)rows, l->left + a * pixels + p * rows);
            }
    }
}

/* One packed column of a panel: columns [first, first + n) of the taps that begin at x's column `at`. */
static void edge(const state *s, const float *row, int64_t step, int64_t at, int64_t first, int64_t n, float *to)
{
    for (int64_t j = 0; j < n; j++) {
        int64_t q = at + (first + j) / s->in;
        to[j] = q >= 0 && q < s->w ? row[q * step + (first + j) % s->in] : 0;
    }
}

/* A packed row of one phase and panel; x's columns are q = phase - pad + i * stride. */
static void pack_row(const state *s, const float *row, int64_t step, int64_t phase, int64_t first, int width, float *to)
{
    const int64_t d = s->a->stride[1], start = phase - s->a->pad[1], reach = s->unfold ? s->kw : 1;
    const int64_t left = s->columns - first;
    const int columns = left < width ? (int)left : width;
    int64_t low = start < 0 ? (-start + d - 1) / d : 0, high = s->w - reach - start < 0 ? 0 : (s->w - reach - start) / d + 1;
    low = low < s->across ? low : s->across;
    high = high < low ? low : high < s->across ? high : s->across;
    memset(to, 0, (size_t)(low * width) * sizeof *to);
    memset(to + high * width, 0, (size_t)((s->across - high) * width) * sizeof *to);
    for (int64_t i = 0; reach > 1 && i < low; i++)
        edge(s, row, step, start + i * d, first, columns, to + i * width);
    for (int64_t i = high; reach > 1 && i < s->across; i++)
        edge(s, row, step, start + i * d, first, columns, to + i * width);
    s->v->right(row + (start + low * d) * step + first, d * step, high - low, columns, width, to + low * width);
}

/* Packed rows [from, to) of all images of the lot. */
static void pack_right(void *arg, int64_t from, int64_t to)
{
    const lot *l = arg;
    const state *s = l->s;
    const int panel = s->vecs * s->v->width;
    const int64_t channels = s->groups * s->in;
    for (int64_t r = from; r < to; r++) {
        int64_t n = l->image + r / s->rows, y = r % s->rows * (s->kh == 1 ? s->a->stride[0] : 1) + l->row * s->a->stride[0] - s->a->pad[0];
        const float *row = (const float *)l->c->in[1].data + (n * s->h + y) * s->w * channels;
        for (int64_t g = 0; g < s->groups; g++)
            for (int64_t first = 0; first < s->columns; first += panel) {
                int width = (int)(s->padded - first < panel ? s->padded - first : panel);
                float *at = l->right + (g * s->padded + first) * s->right + r * s->phases * s->across * width;
                if (y < 0 || y >= s->h)
                    memset(at, 0, (size_t)(s->phases * s->across * width) * sizeof *at);
                for (int64_t phase = 0; y >= 0 && y < s->h && phase < s->phases; phase++)
                    pack_row(s, row + g * s->in, channels, phase, first, width, at + phase * s->across * width);
            }
    }
}

static void multiply(void *arg, int64_t from, int64_t to)
{
    const lot *l = arg;
    const state *s = l->s;
    const conv2d_attr *a = s->a;
    const int64_t panel = s->vecs * s->v->width, panels = (s->columns + panel - 1) / panel, runs = l->images * l->band;
    for (int64_t i = from; i < to; i++) {
        int64_t part = i % l->parts, first = i / l->parts % panels * panel, g = i / l->parts / panels;
        int64_t width = s->padded - first < panel ? s->padded - first : panel, vecs = width / s->v->width;
        for (int64_t t = s->tiles * part / l->parts; t < s->tiles * (part + 1) / l->parts; t++)
            for (int64_t tap = 0; tap < s->taps; tap++) {
                int64_t o = s->out * t / s->tiles, rows = s->out * (t + 1) / s->tiles - o, k = tap, phase = 0, column = 0;
                if (!s->unfold) {
                    k = tap / s->kw;
                    phase = tap % s->kw * a->dilation[1] % s->phases;
                    column = tap % s->kw * a->dilation[1] / s->phases;
                }
                int64_t shift = (k * a->dilation[0] * s->phases + phase) * s->across + column;
                outer_tile tile = { .left = l->left + (g * s->out + o) * runs * s->ow, .place = s->place, .runs = runs,
                                    .run = s->ow, .step = s->padded, .add = l->image || l->row };
                tile.right = l->right + (g * s->padded + first) * s->right + shift * width;
                tile.out = l->sums + ((g * s->taps + tap) * s->out + o) * s->padded + first;
                s->v->tile[vecs][rows](&tile);
            }
    }
}

/* Sums (group, tap, o, column) to where the result has them. */
static void place_sums(void *arg, int64_t from, int64_t to)
{
    const lot *l = arg;
    const state *s = l->s;
    const tg_tensor *dw = &l->c->out;
    for (int64_t o = from; o < to; o++)
        for (int64_t k = 0; k < s->kh * s->kw; k++) {
            int64_t tap = s->unfold ? k / s->kw : k, column = s->unfold ? k % s->kw * s->in : 0;
            const float *sum = l->sums + ((o / s->out * s->taps + tap) * s->out + o % s->out) * s->padded + column;
            float *at = (float *)dw->data + o * dw->stride[0] + k / s->kw * dw->stride[2] + k % s->kw * dw->stride[3];
            for (int64_t i = 0; i < s->in; i++)
                at[i * dw->stride[1]] = sum[i];
        }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    const int64_t panel = s->vecs * s->v->width, panels = s->groups * ((s->columns + panel - 1) / panel);
    char *room = c->scratch;
    lot l = { .c = c, .s = s, .left = c->scratch, .right = (float *)(void *)(room + s->left_bytes),
              .sums = s->direct ? c->out.data : (float *)(void *)(room + s->left_bytes + s->right_bytes) };
    l.parts = (16 * (int64_t)pool_threads(c->pool) + panels - 1) / panels;
    l.parts = l.parts < s->tiles ? l.parts : s->tiles;
    for (l.image = 0; l.image < s->n; l.image += s->images)
        for (l.row = 0; l.row < s->oh; l.row += s->band) {
            l.images = s->n - l.image < s->images ? s->n - l.image : s->images;
            l.band = s->oh - l.row < s->band ? s->oh - l.row : s->band;
            pool_run(c->pool, l.images * l.band * s->ow, BLOCK_PIXELS, pack_left, &l);
            pool_run(c->pool, l.images * s->rows, 1, pack_right, &l);
            pool_run(c->pool, panels * l.parts, 1, multiply, &l);
        }
    if (!s->direct)
        pool_run(c->pool, s->groups * s->out, 1, place_sums, &l);
}

const tg_kernel kernel_conv2d_grad_weight = {
    .op = "conv2d_grad_weight", .name = "cpu.conv2d_grad_weight", .declines = declines, .prefers = prefers,
    .prepare = prepare, .run = run, .release = release,
};
