/* conv2d_grad_weight_cpu.c - dw of a convolution: for each tap the sum of outer products of dy's pixels and x's.
 *
 * Rows of dy are taken in lots whose size depends on the shapes alone.  Of a lot, dy is packed in strips as wide as a tile
 * has rows, and what it meets of x in panels of channels, padded with zeros, so that a tap is a fixed distance into a panel;
 * with a stride of s, columns lie in s phases, so that neighbours of dy meet neighbours.  Where all channels are few, or
 * the kernel is one column wide, a panel holds what all taps of a kernel row see of a pixel, and only kernel rows are taps.
 * A task is a part of the result, strips by panels: it goes through all lots on its own and packs what it needs of each, the
 * strips and a few panels at a time, which stay in L2 while they are used.  So no sum is shared, and nobody waits.  Where pixels
 * of dy meet pixels of x (1 x 1, linear layers), x is read where it lies, and the next panel of it fetched.
 */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"

enum { FEW_CHANNELS = 12, PIXELS = 256, ROOM = 1 << 19, STRIP_ROWS = 384, FEW_PIXELS = 16, LINE = 16 };

typedef struct state {
    const outer_vec *v;
    const conv2d_attr *a;
    int64_t n, h, w, oh, ow, kh, kw, groups, in, out;       /* in, out: channels of a group */
    bool unfold;                            /* taps of a kernel row are joined */
    int64_t columns, padded, taps;          /* of the right operand: of a group, in whole vectors; taps */
    int64_t images, band;                   /* of a lot: images, rows of dy of each */
    int64_t rows, phases, across;           /* packed rows of an image; columns of them: phases * across */
    int vecs, tiles;                        /* vectors of a panel; tiles down a group's channels of dy */
    int64_t panels, parts, shares;          /* of a group: panels; parts of the tiles and of the panels that make tasks */
    int64_t right, few;                     /* pixels of a packed panel; panels packed at a time */
    int64_t *place;                         /* of each row of dy in a panel, in pixels */
    size_t left_bytes, right_bytes;         /* of a thread's scratch, in this order; the sums come after all threads' */
    bool direct;                            /* sums lie as the result does */
    bool as_it_lies;                        /* x is read where it lies: pixels meet pixels, in whole vectors; of one line a pixel, packing is the faster */
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

static void plan_lots(state *s)
{
    const conv2d_attr *a = s->a;
    const int64_t step = s->kh == 1 ? 1 : a->stride[0], copies = step * (s->unfold ? 1 : a->stride[1]);
    int64_t pixels = ROOM / (s->out + s->padded * copies);
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

/* Strips few enough for L2; else the split that gives the busiest thread least to multiply and pack, and to wait for another's
 * last task: a quarter of one.  In units of one multiplication of vectors; a vector of x, from memory, costs what PACK of them do. */
enum { PACK = 16 };
static void plan_tasks(state *s, int threads)
{
    const int64_t rows = s->v->rows[s->vecs];
    const double met = (double)s->right / (double)(s->images * s->band * s->ow);        /* pixels of x for each of dy */
    const int64_t fewest = (s->out + STRIP_ROWS - 1) / STRIP_ROWS;
    double least = 0;
    for (int64_t parts = fewest; parts < fewest + 8 * threads && parts <= s->tiles; parts++)
        for (int64_t shares = 1; shares <= 4 * threads && shares <= s->panels; shares++) {
            int64_t turns = (s->groups * parts * shares + threads - 1) / threads;
            int64_t tiles = (s->tiles + parts - 1) / parts, panels = (s->panels + shares - 1) / shares;
            double cost = (double)(4 * turns + (threads > 1))
                          * ((double)(tiles * panels * s->taps * rows * s->vecs + tiles * rows * s->v->width / 2) + (double)(panels * s->vecs * PACK) * met);
            if (least == 0 || cost < least) {
                least = cost;
                s->parts = parts;
                s->shares = shares;
            }
        }
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
    s->unfold = s->kw == 1 || (s->groups == 1 && s->in <= FEW_CHANNELS && a->dilation[1] == 1);
    s->columns = s->unfold ? s->kw * s->in : s->in;
    s->padded = (s->columns + s->v->width - 1) / s->v->width * s->v->width;
    s->taps = s->unfold ? s->kh : s->kh * s->kw;
    s->vecs = gemm_panel(VEC_PICK(gemm_vec), s->out > 1 ? s->out : 2, s->columns, 1, s->ow);
    s->tiles = (int)((s->out + s->v->rows[s->vecs] - 1) / s->v->rows[s->vecs]);
    s->panels = (s->padded / s->v->width + s->vecs - 1) / s->vecs;
    s->as_it_lies = s->groups * s->kh * s->kw == 1 && a->stride[0] * a->stride[1] == 1 && s->h == s->oh && s->w == s->ow && s->padded == s->columns
                    && s->vecs * s->v->width >= 2 * LINE;
    plan_lots(s);
    plan_tasks(s, pool_threads(c->pool));
    s->place = malloc((size_t)(s->images * s->band) * sizeof *s->place);
    if (!s->place)
        return release(s), status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution's gradient");
    for (int64_t i = 0; i < s->images * s->band; i++)
        s->place[i] = (i / s->band * s->rows + i % s->band * (s->kh == 1 ? 1 : a->stride[0])) * s->phases * s->across;
    s->direct = s->taps == 1 && s->kw == 1 && s->padded == s->columns && tg_is_dense(&c->out);
    s->left_bytes = lines(s->images * s->band * s->ow * ((s->tiles + s->parts - 1) / s->parts) * s->v->rows[s->vecs]);
    s->few = (int64_t)(cpu()->l2 / 4 / lines(s->right * s->vecs * s->v->width));
    s->few = s->as_it_lies ? s->panels : s->few < 1 ? 1 : s->few < s->panels ? s->few : s->panels;
    s->right_bytes = s->as_it_lies ? 0 : lines(s->right * s->few * s->vecs * s->v->width);
    prep->scratch = (s->left_bytes + s->right_bytes) * (size_t)pool_threads(c->pool)
                    + (s->direct ? 0 : lines(s->groups * s->taps * s->out * s->padded));
    prep->state = s;
    return true;
}

/* -- a lot --------------------------------------------------------------------------------------------------------- */

/* A task at one lot. */
typedef struct lot {
    const tg_call *c;
    const state *s;
    int64_t image, images, row, band;       /* rows [row, row + band) of dy of these images */
    int64_t g, tile, tiles, first, end;     /* group; tiles [tile, tiles) of it; columns [first, end) */
    float *left, *right, *sums;
} lot;

static int64_t tile_row(const state *s, int64_t tile) { return s->out * tile / s->tiles; }

/* One strip after the other. */
static void pack_left(const lot *l)
{
    const state *s = l->s;
    const int64_t per = l->band * s->ow, pixels = l->images * per, all = s->groups * s->out;
    for (int64_t i = 0; i < l->images; i++) {
        const float *dy = (const float *)l->c->in[0].data + ((l->image + i) * s->oh + l->row) * s->ow * all + l->g * s->out;
        for (int64_t p = 0; p < per; p += FEW_PIXELS)
            for (int64_t t = l->tile; t < l->tiles; t++) {
                int64_t o = tile_row(s, t), rows = tile_row(s, t + 1) - o, n = per - p < FEW_PIXELS ? per - p : FEW_PIXELS;
                s->v->left(dy + p * all + o, all, n, (int)rows, l->left + (o - tile_row(s, l->tile)) * pixels + (i * per + p) * rows);
            }
    }
}

/* One packed column of a panel: columns [first, first + columns) of the taps that begin at x's column `at`. */
static void edge(const state *s, const float *row, int64_t step, int64_t at, int64_t first, int columns, int width, float *to)
{
    for (int64_t j = 0; j < columns; j++) {
        int64_t q = at + (first + j) / s->in;
        to[j] = q >= 0 && q < s->w ? row[q * step + (first + j) % s->in] : 0;
    }
    s->v->right(to, 0, 1, columns, width, to);
}

/* Columns [i, end) of a packed row of one phase and panel; x's columns are q = phase - pad + i * stride. */
static void pack_row(const state *s, const float *row, int64_t step, int64_t phase, int64_t i, int64_t end, int64_t first, int width, float *to)
{
    const int64_t d = s->a->stride[1], start = phase - s->a->pad[1], reach = s->unfold ? s->kw : 1;
    const int64_t left = s->columns - first;
    const int columns = left < width ? (int)left : width;
    int64_t low = start < 0 ? (-start + d - 1) / d : 0, high = s->w - reach - start < 0 ? 0 : (s->w - reach - start) / d + 1;
    low = low < i ? i : low < end ? low : end;
    high = high < low ? low : high < end ? high : end;
    memset(to + i * width, 0, (size_t)((low - i) * width) * sizeof *to);
    memset(to + high * width, 0, (size_t)((end - high) * width) * sizeof *to);
    for (int64_t k = i; reach > 1 && k < low; k++)
        edge(s, row, step, start + k * d, first, columns, width, to + k * width);
    for (int64_t k = high; reach > 1 && k < end; k++)
        edge(s, row, step, start + k * d, first, columns, width, to + k * width);
    s->v->right(row + (start + low * d) * step + first, d * step, high - low, columns, width, to + low * width);
}

/* One panel after the other; a few pixels at a time, so that rows of x are read as they lie. */
static void pack_right(const lot *l)
{
    const state *s = l->s;
    const int panel = s->vecs * s->v->width;
    const int64_t channels = s->groups * s->in;
    for (int64_t r = 0; r < l->images * s->rows; r++) {
        int64_t n = l->image + r / s->rows, y = r % s->rows * (s->kh == 1 ? s->a->stride[0] : 1) + l->row * s->a->stride[0] - s->a->pad[0];
        const float *row = (const float *)l->c->in[1].data + (n * s->h + y) * s->w * channels + l->g * s->in;
        for (int64_t phase = 0; phase < s->phases; phase++)
            for (int64_t x = 0; x < s->across; x += FEW_PIXELS) {
                int64_t end = x + FEW_PIXELS < s->across ? x + FEW_PIXELS : s->across;
                for (int64_t first = l->first; first < l->end; first += panel) {
                    int width = (int)(s->padded - first < panel ? s->padded - first : panel);
                    float *at = l->right + (first - l->first) * s->right + (r * s->phases + phase) * s->across * width;
                    if (y < 0 || y >= s->h)
                        memset(at + x * width, 0, (size_t)((end - x) * width) * sizeof *at);
                    else
                        pack_row(s, row, channels, phase, x, end, first, width, at);
                }
            }
    }
}

/* x from a pixel on, where it is read as it lies. */
static const float *x_at(const lot *l, int64_t image, int64_t row)
{
    return (const float *)l->c->in[1].data + (image * l->s->h + row) * l->s->w * l->s->in;
}

/* Of the next panel of such an x, a piece: as many as there are strips.  After the last lot comes the next task's first one.
 * Always inlined: compilers drop calls of what does nothing but fetch. */
static inline __attribute__((always_inline)) void fetch(const lot *l, int64_t t, int64_t first)
{
    const state *s = l->s;
    const int64_t pixels = l->images * l->band * s->ow, pieces = l->tiles - l->tile, panel = s->vecs * s->v->width;
    const bool last = l->image + l->images == s->n && l->row + l->band == s->oh;
    const float *x = first + panel < l->end ? x_at(l, l->image, l->row) + first + panel
                                            : (last ? x_at(l, 0, 0) : x_at(l, l->image, l->row) + pixels * s->in) + l->first;
    for (int64_t p = pixels * (t - l->tile) / pieces; p < pixels * (t + 1 - l->tile) / pieces; p++)
        for (int64_t j = 0; j < panel; j += LINE)
            __builtin_prefetch(x + p * s->in + j, 0, 2);
}

/* All taps of a strip by a panel. */
static void multiply(const lot *l, int64_t t, int64_t first)
{
    const state *s = l->s;
    const conv2d_attr *a = s->a;
    const int64_t panel = s->vecs * s->v->width, width = s->padded - first < panel ? s->padded - first : panel;
    const int64_t o = tile_row(s, t), runs = l->images * l->band;
    for (int64_t tap = 0; tap < s->taps; tap++) {
        int64_t k = tap, phase = 0, column = 0;
        if (!s->unfold) {
            k = tap / s->kw;
            phase = tap % s->kw * a->dilation[1] % s->phases;
            column = tap % s->kw * a->dilation[1] / s->phases;
        }
        int64_t shift = (k * a->dilation[0] * s->phases + phase) * s->across + column;
        outer_tile tile = { .place = s->place, .runs = runs, .run = s->ow, .step = s->padded, .add = l->image || l->row };
        tile.left = l->left + (o - tile_row(s, l->tile)) * runs * s->ow;
        tile.left_step = tile_row(s, t + 1) - o;
        tile.right = s->as_it_lies ? x_at(l, l->image, l->row) + first : l->right + (first - l->first) * s->right + shift * width;
        tile.right_step = s->as_it_lies ? s->in : width;
        tile.out = l->sums + ((l->g * s->taps + tap) * s->out + o) * s->padded + first;
        s->v->tile[width / s->v->width][tile_row(s, t + 1) - o](&tile);
    }
}

static void work(void *arg, int64_t from, int64_t to)
{
    lot l = *(const lot *)arg;
    const state *s = l.s;
    const int64_t panel = s->vecs * s->v->width;
    char *mine = (char *)l.c->scratch + (size_t)pool_worker() * (s->left_bytes + s->right_bytes);
    l.left = (float *)(void *)mine;
    l.right = (float *)(void *)(mine + s->left_bytes);
    for (int64_t i = from; i < to; i++) {
        int64_t share = i % s->shares, part = i / s->shares % s->parts;
        l.g = i / s->shares / s->parts;
        l.tile = s->tiles * part / s->parts;
        l.tiles = s->tiles * (part + 1) / s->parts;
        int64_t begin = s->panels * share / s->shares * panel, end = s->panels * (share + 1) / s->shares * panel;
        end = end < s->columns ? end : s->columns;
        for (l.image = 0; l.image < s->n; l.image += s->images)
            for (l.row = 0; l.row < s->oh; l.row += s->band) {
                l.images = s->n - l.image < s->images ? s->n - l.image : s->images;
                l.band = s->oh - l.row < s->band ? s->oh - l.row : s->band;
                pack_left(&l);
                for (l.first = begin; l.first < end; l.first = l.end) {
                    l.end = l.first + s->few * panel < end ? l.first + s->few * panel : end;
                    if (!s->as_it_lies)
                        pack_right(&l);
                    for (int64_t first = l.first; first < l.end; first += panel)
                        for (int64_t t = l.tile; t < l.tiles; t++) {
                            if (s->as_it_lies)
                                fetch(&l, t, first);
                            multiply(&l, t, first);
                        }
                }
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
    char *after = (char *)c->scratch + (s->left_bytes + s->right_bytes) * (size_t)pool_threads(c->pool);
    lot l = { .c = c, .s = s, .sums = s->direct ? c->out.data : (float *)(void *)after };
    pool_run(c->pool, s->groups * s->parts * s->shares, 1, work, &l);
    if (!s->direct)
        pool_run(c->pool, s->groups * s->out, 1, place_sums, &l);
}

const tg_kernel kernel_conv2d_grad_weight = {
    .op = "conv2d_grad_weight", .name = "cpu.conv2d_grad_weight", .declines = declines, .prefers = prefers,
    .prepare = prepare, .run = run, .release = release,
};
