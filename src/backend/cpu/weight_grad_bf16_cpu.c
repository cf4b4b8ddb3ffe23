/* weight_grad_bf16_cpu.c - dw of a convolution or a linear layer by instructions for products of bfloat16 numbers.
 *
 * dw is a product whose numbers of k are the pixels of dy: dy turned by what each tap sees of x.  Of a lot of pixels both are packed,
 * x for each tap on its own, from lists of where pixels begin, so that strides and borders are a matter of those lists; where
 * channels are few a kernel row is one tap.  Of stride 1, taps above one another see the same but for a line or more: pixels are then those of
 * images with borders, where dy has zeros, and x is packed once for them.  Of a 1x1 kernel the narrower of dy and x is the one that is turned, which is dear.
 * A task is a range of rows of the result and a part of the pixels; parts have sums of their own, added in their order at the end,
 * so that results do not depend on threads.
 */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"

enum {
    TILE = 32, HALF = 16, SLAB = 32,            /* rows and columns of a tile, of which halves are written; pixels of a slab */
    FEW_CHANNELS = 8, MOST_JOINED = 64,         /* kernel rows of few channels are taps */
    ROWS = 512, COLUMNS = 256,                  /* packed at a time */
    LOT = 2048, LOT_BYTES = 1 << 20,            /* pixels of a lot, at most; bytes of either operand */
    FEW_PIXELS = 256,                           /* of a part, no fewer */
    TURNED = 256                                /* more rows than so many make up for turning them */
};

typedef struct state {
    const gemm_vec *v;
    conv2d_attr a;
    int64_t n, h, w, oh, ow, kh, kw, in, out;
    bool joined, swapped, direct;               /* a kernel row is a tap; x is the one that is turned; sums lie as the result does */
    int64_t down, across, above;                /* pixels of an image and its borders; taps that share what is packed */
    int64_t taps, rows, columns, padded;        /* of the product, of a tap; columns in whole panels */
    int64_t lot, parts, part, blocks, block;    /* pixels; how many, and pixels of one; ranges of rows, and rows of one */
    size_t left_bytes, right_bytes;             /* of a thread's scratch, in this order; then edges and zeros; sums come after all threads' */
    size_t thread_bytes, sum_bytes;             /* sums of a part */
} state;

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = &((const conv2d_grad_attr *)c->attr)->conv;
    if (!gemm_packs(c->precision))
        return "no instructions for it, or exact";
    if (!all_f32(c))
        return "not float";
    if (a->groups != 1)
        return "groups";
    if (!tg_is_channels_last(&c->in[0]) || !tg_is_channels_last(&c->in[1]))
        return "not channels-last";
    return NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c, (void)out;
    tg_channels_last(&in[0]);
    tg_channels_last(&in[1]);
}

static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t pixels(const state *s) { return s->n * s->down * s->across; }
static int64_t beyond(const state *s) { return up((s->above - 1) * s->across, SLAB); }         /* a lot's pixels that its lowest taps see */

/* Lines one after the other, of an even number of pixels, as numbers are packed in pairs; between images as many as the wider border has.  If
 * that is worth its zeros. */
static void plan_borders(state *s)
{
    enum { PART = 8 };
    const conv2d_attr *a = &s->a;
    const int64_t across = up(s->ow, 2), down = s->h + (a->pad[0] > a->pad[2] ? a->pad[0] : a->pad[2]);
    s->down = s->oh, s->across = s->ow, s->above = 1;
    if (s->joined || s->kh == 1 || a->stride[0] != 1 || a->stride[1] != 1 || a->dilation[0] != 1 || a->pad[0] < 0 || a->pad[2] < 0
        || a->pad[0] + a->pad[2] >= s->kh || across * down - s->ow * s->oh > s->ow * s->oh / PART)
        return;
    s->down = down, s->across = across, s->above = s->kh;
}


/* Parts and lots by the shapes alone.  Packing is repeated in each range of rows, sums in each part: many rows are ranges, few are parts. */
static void plan_tasks(state *s, int threads)
{
    const int64_t all = pixels(s);
    s->sum_bytes = (size_t)(up(s->rows, HALF) * s->taps * s->padded) * sizeof(float);
    s->parts = least(s->rows >= 512 ? 1 : s->rows >= 256 ? 2 : s->rows >= 128 ? 4 : 8, (all + FEW_PIXELS - 1) / FEW_PIXELS);
    s->part = up((all + s->parts - 1) / s->parts, SLAB);
    s->parts = (all + s->part - 1) / s->part;
    const int64_t together = (threads + s->parts - 1) / s->parts, most_rows = (s->rows + ROWS - 1) / ROWS;
    s->blocks = up(most_rows, together);
    s->block = up((s->rows + s->blocks - 1) / s->blocks, TILE);
    s->block = s->block < 2 * TILE ? 2 * TILE : s->block;
    s->blocks = (s->rows + s->block - 1) / s->block;
    const int64_t tall = least(s->rows, ROWS), across = least(s->padded, COLUMNS), pixel = (tall > across ? tall : across) * s->v->bytes;
    const int64_t most = least(LOT, up(LOT_BYTES / pixel, SLAB));
    const int64_t lots = (s->part + most - 1) / most;
    s->lot = up((s->part + lots - 1) / lots, SLAB);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const tg_shape dy = c->in[0].shape, x = c->in[1].shape, w = c->out.shape;
    state *s = malloc(sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution's gradient");
    *s = (state){ .v = gemm_for(c->precision), .a = ((const conv2d_grad_attr *)c->attr)->conv, .n = x.dim[0], .h = x.dim[2], .w = x.dim[3],
                  .oh = dy.dim[2], .ow = dy.dim[3], .kh = w.dim[2], .kw = w.dim[3], .in = w.dim[1], .out = w.dim[0] };
    s->joined = s->kw > 1 && s->in <= FEW_CHANNELS && s->kw * s->in <= MOST_JOINED && s->a.dilation[1] == 1;
    s->taps = s->joined ? s->kh : s->kh * s->kw;
    s->swapped = s->taps == 1 && !s->joined && s->in < s->out && s->in <= TURNED;
    s->rows = s->swapped ? s->in : s->out;
    s->columns = s->swapped ? s->out : s->in * (s->joined ? s->kw : 1);
    s->padded = up(s->columns, TILE);
    plan_borders(s);
    plan_tasks(s, pool_threads(c->pool));
    s->direct = s->taps == 1 && !s->joined && !s->swapped && s->parts == 1 && s->padded == s->columns && s->rows % HALF == 0 && tg_is_dense(&c->out);
    const size_t number = (size_t)s->v->bytes;
    s->left_bytes = (size_t)(up(s->block, TILE) * s->lot) * number;
    s->right_bytes = (size_t)(least(s->padded, COLUMNS) * (s->lot + beyond(s))) * number;
    s->thread_bytes = s->left_bytes + s->right_bytes + lines(2 * SLAB * MOST_JOINED)
                      + lines((s->out > s->in ? s->out : s->in) + MOST_JOINED);
    prep->scratch = s->thread_bytes * (size_t)pool_threads(c->pool) + (s->direct ? 0 : s->sum_bytes * (size_t)s->parts);
    prep->state = s;
    return true;
}

/* What a task works on. */
typedef struct work {
    const state *s;
    const tg_call *c;
    float *sums;
} work;

typedef struct bench { char *left, *right, *edge, *zeros; } bench;

static bench bench_of(const work *k)
{
    const state *s = k->s;
    bench b = { .left = (char *)k->c->scratch + (size_t)pool_worker() * s->thread_bytes };
    b.right = b.left + s->left_bytes;
    b.edge = b.right + s->right_bytes;
    b.zeros = b.edge + lines(2 * SLAB * MOST_JOINED);
    memset(b.zeros, 0, lines((s->out > s->in ? s->out : s->in) + MOST_JOINED));
    return b;
}

/* A pixel of dy, and the next one. */
typedef struct spot { int64_t n, y, x; } spot;
static spot spot_at(const state *s, int64_t i) { return (spot){ i / s->across / s->down, i / s->across % s->down, i % s->across }; }
static void step_on(const state *s, spot *p)
{
    if (++p->x == s->across) {
        p->x = 0;
        if (++p->y == s->down)
            p->y = 0, p->n++;
    }
}

/* Where the pixels of a slab begin: of dy; of x, as a tap sees them. */
static void places_of_dy(const work *k, const bench *b, int64_t from, int64_t end, const void **at)
{
    const state *s = k->s;
    const tg_tensor *dy = &k->c->in[0];
    spot p = spot_at(s, from);
    for (int64_t i = 0; i < SLAB; i++, step_on(s, &p))
        at[i] = from + i < end && p.y < s->oh && p.x < s->ow ? tg_at(dy->data, dy->dtype, ((p.n * s->oh + p.y) * s->ow + p.x) * s->out) : b->zeros;
}

/* What a kernel row sees of an image's row from column x on, where that is outside in part. */
static const void *edge(const state *s, const char *row, size_t pixel, int64_t x, char *to)
{
    for (int64_t t = 0; t < s->kw; t++, x++)
        if (x < 0 || x >= s->w)
            memset(to + (size_t)t * pixel, 0, pixel);
        else
            memcpy(to + (size_t)t * pixel, row + (size_t)x * pixel, pixel);
    return to;
}

static void places_of_x(const work *k, const bench *b, int64_t from, int64_t end, int64_t tap, const void **at)
{
    const state *s = k->s;
    const conv2d_attr *a = &s->a;
    const tg_tensor *in = &k->c->in[1];
    const int64_t size = s->in * tg_size(in->dtype);
    const int64_t ky = s->joined ? tap : tap / s->kw, kx = s->joined ? 0 : tap % s->kw, last = s->joined ? s->kw - 1 : 0;
    char *edges = b->edge + from / SLAB % 2 * SLAB * MOST_JOINED * tg_size(in->dtype);             /* the slab before is still read */
    spot p = spot_at(s, from);
    for (int64_t i = 0; i < SLAB; i++, step_on(s, &p)) {
        const int64_t y = p.y * a->stride[0] - a->pad[0] + ky * a->dilation[0], x = p.x * a->stride[1] - a->pad[1] + kx * a->dilation[1];
        const char *row = (const char *)in->data + (p.n * s->h + y) * s->w * size;
        if (from + i >= end || p.n >= s->n || y < 0 || y >= s->h)
            at[i] = b->zeros;
        else if (x >= 0 && x + last < s->w)
            at[i] = row + x * size;
        else
            at[i] = s->joined ? edge(s, row, (size_t)size, x, edges + i * MOST_JOINED * tg_size(in->dtype)) : b->zeros;
    }
}

/* Numbers [c, c + n) of a slab's pixels, as the left operand or a vector of the right one. */
static void turn(const state *s, const void *const *at, tg_dtype of, int64_t c, int n, void *slab, int64_t rest)
{
    if (of == TG_BFLOAT)
        VEC_PICK(narrow_vec)->turn((const uint16_t *const *)at, c, n, slab);
    else
        s->v->turn((const float *const *)at, c, n, slab, rest);
}

static void pairs(const state *s, const void *const *at, tg_dtype of, int64_t c, int n, void *slab, int64_t rest)
{
    if (of == TG_BFLOAT)
        VEC_PICK(narrow_vec)->pairs((const uint16_t *const *)at, c, n, slab);
    else
        s->v->pairs((const float *const *)at, c, n, slab, rest);
}

static void places(const work *k, const bench *b, bool of_x, int64_t from, int64_t end, int64_t tap, const void **at)
{
    if (of_x)
        places_of_x(k, b, from, end, tap, at);
    else
        places_of_dy(k, b, from, end, at);
}

/* The next slab's pixels, fetched in the order of memory while this one is packed, some numbers of all pixels after the other, an order
 * that the processor does not foresee. */
typedef struct ahead { const void *const *at; int64_t pixel, byte, from, to, each; } ahead;

/* Numbers [c, c + n) of the pixels, in so many goes; at NULL: none. */
static ahead ahead_of(const void *const *at, tg_dtype of, int64_t c, int64_t n, int64_t goes)
{
    const int64_t size = tg_size(of), pixel = (n * size + 63) / 64;
    return (ahead){ .at = at, .pixel = at ? 0 : SLAB, .byte = c * size, .from = c * size, .to = (c + n) * size,
                    .each = (SLAB * pixel + goes - 1) / goes };
}

static void fetch_some(ahead *a)
{
    for (int64_t i = 0; i < a->each && a->pixel < SLAB; i++) {
        __builtin_prefetch((const char *)a->at[a->pixel] + a->byte, 0, 2);
        a->byte += 64;
        if (a->byte >= a->to) {
            a->byte = a->from;
            a->pixel++;
        }
    }
}

static void pack_left(const work *k, const bench *b, int64_t first, int64_t rows, int64_t from, int64_t end)
{
    const state *s = k->s;
    const int64_t slabs = (end - from + SLAB - 1) / SLAB, size = TILE * SLAB * (int64_t)sizeof(uint16_t), block = slabs * TILE * SLAB * s->v->bytes;
    const void *at[2][SLAB];
    const tg_dtype of = k->c->in[s->swapped].dtype;
    for (int64_t t = -1; t < slabs; t++) {
        const void **here = at[t & 1], **next = at[!(t & 1)];
        if (t + 1 < slabs)
            places(k, b, s->swapped, from + (t + 1) * SLAB, end, 0, next);
        ahead a = ahead_of(t + 1 < slabs ? next : NULL, of, first, rows, (rows + TILE - 1) / TILE);
        for (int64_t r = 0; r < rows && t >= 0; r += TILE) {
            fetch_some(&a);
            turn(s, here, of, first + r, (int)least(TILE, rows - r), b->left + r / TILE * block + t * size, slabs * size);
        }
    }
}

/* Each half of a panel on its own, slab after slab. */
static void pack_right(const work *k, const bench *b, int64_t tap, int64_t first, int64_t columns, int64_t from, int64_t end)
{
    const state *s = k->s;
    const int64_t slabs = (end - from + SLAB - 1) / SLAB, size = HALF * SLAB * (int64_t)sizeof(uint16_t), half = slabs * size;
    const void *at[2][SLAB];
    const tg_dtype of = k->c->in[!s->swapped].dtype;
    for (int64_t t = -1; t < slabs; t++) {
        const void **here = at[t & 1], **next = at[!(t & 1)];
        if (t + 1 < slabs)
            places(k, b, !s->swapped, from + (t + 1) * SLAB, end, tap, next);
        ahead a = ahead_of(t + 1 < slabs ? next : NULL, of, first, columns, up(columns, TILE) / HALF);
        for (int64_t j = 0; j < up(columns, TILE) && t >= 0; j += HALF) {
            fetch_some(&a);
            pairs(s, here, of, first + j, (int)least(HALF, columns - j),
                  b->right + j / TILE * 2 * half * s->v->bytes / (int64_t)sizeof(uint16_t) + j / HALF % 2 * half + t * size, 2 * half);
        }
    }
}

/* The sums of a tile, to be written soon. */
static void fetch(const float *sums, int64_t pitch, int rows)
{
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < TILE; j += 16)
            __builtin_prefetch(sums + r * pitch + j, 1, 2);
}

static void task(void *arg, int64_t begin, int64_t end)
{
    const work *k = arg;
    const state *s = k->s;
    const bench b = bench_of(k);
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i % s->blocks * s->block, rows = least(s->block, s->rows - first), part = i / s->blocks;
        const int64_t stop = least((part + 1) * s->part, pixels(s)), pitch = s->taps * s->padded;
        float *sums = k->sums + part * (int64_t)(s->sum_bytes / sizeof *sums) + first * pitch;
        for (int64_t from = part * s->part; from < stop; from += s->lot) {
            const int64_t to = least(from + s->lot, stop), slabs = (to - from + SLAB - 1) / SLAB, size = slabs * TILE * SLAB * s->v->bytes;
            pack_left(k, &b, first, rows, from, to);
            const int64_t seen = slabs + beyond(s) / SLAB, half = seen * HALF * SLAB;      /* of x; numbers of half a panel */
            for (int64_t g = 0; g < s->columns; g += COLUMNS)
                for (int64_t tap = 0; tap < s->taps / s->above; tap++) {
                    const int64_t columns = least(COLUMNS, s->columns - g);
                    pack_right(k, &b, tap, g, columns, from, s->above > 1 ? from + seen * SLAB : to);
                    gemm_bare t = { .a_rest = slabs * TILE * SLAB * (int64_t)sizeof(uint16_t), .b_rest = 2 * half, .b_second = half, .slabs = slabs,
                                    .vecs = 2, .add = from > part * s->part, .step = pitch };
                    s->v->enter();
                    for (int64_t j = 0; j < columns; j += TILE)
                        for (int64_t ky = 0; ky < s->above; ky++)
                            for (int64_t r = 0; r < rows; r += TILE) {
                                t.a = b.left + r / TILE * size;
                                t.b = b.right + (j / TILE * 2 * half * s->v->bytes + ky * s->across * HALF * (int64_t)sizeof(uint16_t));
                                t.y = sums + r * pitch + (tap + ky * s->kw) * s->padded + g + j;
                                t.rows = (int)least(TILE, rows - r);
                                if (r + TILE < rows)
                                    fetch(t.y + TILE * pitch, pitch, (int)least(TILE, rows - r - TILE));
                                s->v->bare(&t);
                            }
                    s->v->leave();
                }
        }
    }
}

/* Sums of all parts, as the result lies: of rows. */
static void leave_rows(void *arg, int64_t begin, int64_t end)
{
    const work *k = arg;
    const state *s = k->s;
    const tg_tensor *out = &k->c->out;
    const int64_t part = (int64_t)(s->sum_bytes / sizeof(float));
    for (int64_t r = begin; r < end; r++)
        for (int64_t t = 0; t < s->taps; t++) {
            float *sum = k->sums + (r * s->taps + t) * s->padded, *to = (float *)out->data + r * out->stride[0];
            for (int64_t p = 1; p < s->parts; p++)
                for (int64_t j = 0; j < s->columns; j++)
                    sum[j] += sum[p * part + j];
            if (s->joined) {
                for (int64_t j = 0; j < s->columns; j++)
                    to[t * out->stride[2] + j / s->in * out->stride[3] + j % s->in * out->stride[1]] = sum[j];
                continue;
            }
            to += t / s->kw * out->stride[2] + t % s->kw * out->stride[3];
            for (int64_t j = 0; j < s->columns; j++)
                to[j * out->stride[1]] = sum[j];
        }
}

/* Of columns, where x was turned. */
static void leave_columns(void *arg, int64_t begin, int64_t end)
{
    const work *k = arg;
    const state *s = k->s;
    const tg_tensor *out = &k->c->out;
    const int64_t part = (int64_t)(s->sum_bytes / sizeof(float));
    for (int64_t r = 0; r < s->rows; r++) {
        const float *sum = k->sums + r * s->padded;
        float *to = (float *)out->data + r * out->stride[1];
        for (int64_t j = begin; j < end; j++) {
            float all = sum[j];
            for (int64_t p = 1; p < s->parts; p++)
                all += sum[p * part + j];
            to[j * out->stride[0]] = all;
        }
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    work k = { s, c, s->direct ? c->out.data : (float *)(void *)((char *)c->scratch + s->thread_bytes * (size_t)pool_threads(c->pool)) };
    pool_run(c->pool, s->parts * s->blocks, 1, task, &k);
    if (s->swapped)
        pool_run(c->pool, s->columns, 16, leave_columns, &k);
    else if (!s->direct)
        pool_run(c->pool, s->rows, 8, leave_rows, &k);
}

static void release(void *s) { free(s); }

static unsigned narrow(const tg_call *c) { return gemm_narrow(c->precision) ? 3 : 0; }

/* Tiles would be mostly zeros. */
static bool exact(const tg_call *c)
{
    const tg_shape w = c->out.shape;
    return (c->precision == TG_BF16X3 || c->precision == TG_BF16X6) && w.dim[0] <= HALF && w.dim[1] <= HALF;
}

const tg_kernel kernel_weight_grad_bf16 = {
    .op = "conv2d_grad_weight", .name = "cpu.weight_grad_bf16", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .exact = exact, .release = release, .narrow = narrow,
};
