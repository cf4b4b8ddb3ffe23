/* attention_grad_cpu.c - the gradients of attention, a block of query rows of one head at a time.
 *
 * Keys and values of a head are packed once, both ways where both are needed; a block's probabilities and their gradient
 * never leave the cache.  dk and dv are sums of outer products over the block's rows, kept in scratch until the head is done
 * where the result's rows are no whole vectors.
 * Tasks are lots of images of one head, as many as the shapes say and whatever the threads; where the bias has a gradient
 * each lot sums its own, and the lots' sums are added in their order.
 */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "ops/attention.h"
#include "packed_product.h"

enum { NUMBERS = 40960, LOTS = 4 };         /* of a block of probabilities; images of a head fall into so many lots */

typedef struct state {
    const gemm_vec *v;
    const outer_vec *o;
    int64_t b, h, n, d, rows, room, wide;   /* of a block: rows, numbers to a row; d in whole vectors */
    int64_t lots;                           /* of the images of a head */
    int long_vecs, short_vecs, outer_vecs;  /* vectors of a panel: of n columns, of d columns; of an outer product */
    size_t turned, straight, block, strips, right, sums, place, thread;     /* bytes; of all that a thread needs */
    size_t bias;                            /* of one lot's sums for the bias */
} state;

static const char *declines(const tg_call *c)
{
    const attention_grad_attr *a = c->attr;
    if (!all_f32(c))
        return "not float";
    for (int i = 0; i < 4; i++)
        if (c->in[i].stride[3] != 1 && c->in[i].shape.dim[3] > 1)
            return "strided rows";
    if (!a->forward.bias)
        return NULL;
    const tg_tensor *bias = &c->in[4];
    int r = bias->shape.rank, heads = r < 3 ? 1 : (int)bias->shape.dim[r - 3];
    if (r < 2 || bias->shape.dim[r - 2] == 1 || bias->shape.dim[r - 1] == 1 || bias->stride[r - 1] != 1)
        return "a bias that is repeated along a row or for all rows";
    if (a->of_bias && (heads != c->in[0].shape.dim[1] || !tg_is_dense(bias)))
        return "the gradient of a bias that heads share";
    return NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)out;
    for (int i = 0; i < c->n_in; i++)
        if (in[i].stride[in[i].shape.rank - 1] != 1 || (i == 4 && !tg_is_dense(&in[i])))
            tg_dense(&in[i]);
}

/* The bias's place for a head of an image. */
static int64_t bias_of(const tg_tensor *bias, int64_t b, int64_t h)
{
    int r = bias->shape.rank;
    int64_t at = 0;
    if (r > 2 && bias->shape.dim[r - 3] > 1)
        at += h * bias->stride[r - 3];
    if (r > 3)
        at += b % bias->shape.dim[0] * bias->stride[0];
    return at;
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const attention_grad_attr *a = c->attr;
    const int64_t *dim = c->in[0].shape.dim;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for the gradient of attention");
    s->v = gemm_for(c->precision);
    s->o = VEC_PICK(outer_vec);
    s->b = dim[0];
    s->h = dim[1];
    s->n = dim[2];
    s->d = dim[3];
    s->lots = s->b < LOTS ? s->b : LOTS;
    s->rows = s->n;
    while (s->rows > 8 && s->rows * s->n > NUMBERS)
        s->rows = (s->rows + 1) / 2;
    s->room = (s->n + 15) / 16 * 16;
    s->wide = (s->d + s->o->width - 1) / s->o->width * s->o->width;
    s->long_vecs = gemm_panel(s->v, s->rows, s->n);
    s->short_vecs = gemm_panel(s->v, s->rows, s->d);
    s->outer_vecs = gemm_panel(VEC_PICK(gemm_vec), s->n > 1 ? s->n : 2, s->d);
    s->turned = lines(gemm_packed(s->v, s->d, s->n));
    s->straight = lines(gemm_packed(s->v, s->n, s->d));
    s->block = lines(s->rows * s->room);
    s->strips = lines(s->rows * s->n);
    s->right = lines(s->rows * s->wide);
    s->sums = s->wide == s->d ? 0 : lines(s->n * s->wide);
    size_t of_long = gemm_scratch(s->v, s->long_vecs, 1, s->d, 1), of_short = gemm_scratch(s->v, s->short_vecs, 1, s->n, 1);
    s->place = of_long > of_short ? of_long : of_short;
    s->thread = 2 * s->turned + s->straight + 2 * s->block + s->strips + s->right + 2 * s->sums + s->place;
    if (a->of_bias && attention_biases(c->in[4].shape) < s->b)
        s->bias = lines(tg_numel(c->in[4].shape));
    prep->scratch = s->thread * (size_t)pool_threads(c->pool) + s->bias * (size_t)s->lots;
    prep->state = s;
    return true;
}

/* -- a head -------------------------------------------------------------------------------------------------------- */

typedef struct room {                       /* a thread's scratch */
    float *keys, *values, *straight;        /* packed: k' and v' by columns of n, k by columns of d */
    float *p, *dp, *strips, *right, *dk, *dv;
    char *place;
} room;

static room room_of(const state *s, char *at)
{
    room r;
    r.keys = (float *)(void *)at;
    r.values = (float *)(void *)(at += s->turned);
    r.straight = (float *)(void *)(at += s->turned);
    r.p = (float *)(void *)(at += s->straight);
    r.dp = (float *)(void *)(at += s->block);
    r.strips = (float *)(void *)(at += s->block);
    r.right = (float *)(void *)(at += s->strips);
    r.dk = (float *)(void *)(at += s->right);
    r.dv = (float *)(void *)(at += s->sums);
    r.place = at + s->sums;
    return r;
}

static const float *head_of(const tg_tensor *t, int64_t b, int64_t h)
{
    return (const float *)t->data + b * t->stride[0] + h * t->stride[1];
}

/* m x n results of rows of k numbers. */
static void multiply(const state *s, int64_t m, int64_t n, int64_t k, int vecs, const float *x, int64_t sx, const float *right,
                     float *y, int64_t sy, char *place)
{
    struct gemm_rows from = { x, sx, TG_F32 };
    gemm g = { .v = s->v, .m = m, .n = n, .taps = 1, .run = k, .vecs = vecs, .b = right, .rows = gemm_rows, .ctx = &from, .out = y,
               .out_rows = { 1, { m }, { sy } } };
    gemm_part(&g, 0, m, 0, (n + vecs * s->v->width - 1) / (vecs * s->v->width), place);
}

/* sums (n x d) += left' right over the block's rows: left (rows x n), right (rows x d); rows are step and sums_step apart. */
static void outer(const state *s, int64_t rows, const float *left, const float *right, int64_t step, bool add, const room *r, float *sums,
                  int64_t sums_step)
{
    const int64_t panel = s->outer_vecs * s->o->width, most = s->o->rows[s->outer_vecs], tiles = (s->n + most - 1) / most;
    static const int64_t start = 0;
    for (int64_t j = 0; j < s->wide; j += panel) {
        int64_t width = s->wide - j < panel ? s->wide - j : panel, columns = s->d - j < width ? s->d - j : width;
        s->o->right(right + j, step, rows, (int)columns, (int)width, r->right + j * rows);
    }
    for (int64_t t = 0; t < tiles; t++) {
        int64_t i = s->n * t / tiles, height = s->n * (t + 1) / tiles - i;
        s->o->left(left + i, s->room, rows, (int)height, r->strips);
        for (int64_t j = 0; j < s->wide; j += panel) {
            int64_t width = s->wide - j < panel ? s->wide - j : panel;
            outer_tile tile = { .left = r->strips, .right = r->right + j * rows, .place = &start, .runs = 1, .run = rows,
                                .out = sums + i * sums_step + j, .step = sums_step, .add = add };
            s->o->tile[width / s->o->width][height](&tile);
        }
    }
}

typedef struct task { const tg_call *c; const state *s; const rows_vec *v; float scale; char *bias; } task;

/* Sums of whole vectors, which are wider than the result's rows, to their place. */
static void place_sums(const state *s, const float *sums, float *to, int64_t step)
{
    for (int64_t i = 0; i < s->n; i++)
        memcpy(to + i * step, sums + i * s->wide, (size_t)s->d * sizeof *to);
}

/* dbias: where this head's gradient of the bias goes, NULL: nowhere; add: to what is there. */
static void head(const task *w, int64_t b, int64_t h, const room *r, float *dbias, bool add)
{
    const tg_call *c = w->c;
    const state *s = w->s;
    const tg_tensor *q = &c->in[0], *k = &c->in[1], *v = &c->in[2], *dy = &c->in[3];
    const tg_tensor *bias = ((const attention_grad_attr *)c->attr)->forward.bias ? &c->in[4] : NULL;
    const float *add_bias = bias ? (const float *)bias->data + bias_of(bias, b, h) : NULL;
    const int64_t width = 3 * s->h * s->d;
    float *out = (float *)c->out.data + b * s->n * width + h * s->d, *out_k = out + s->h * s->d, *out_v = out_k + s->h * s->d;
    const bool whole = s->wide == s->d;
    const int64_t sums_step = whole ? width : s->wide;
    float *dk = whole ? out_k : r->dk, *dv = whole ? out_v : r->dv;

    s->v->pack(head_of(k, b, h), s->d, s->n, 1, k->stride[2], s->long_vecs * s->v->width, r->keys);
    s->v->pack(head_of(v, b, h), s->d, s->n, 1, v->stride[2], s->long_vecs * s->v->width, r->values);
    s->v->pack(head_of(k, b, h), s->n, s->d, k->stride[2], 1, s->short_vecs * s->v->width, r->straight);
    for (int64_t from = 0; from < s->n; from += s->rows) {
        int64_t rows = s->n - from < s->rows ? s->n - from : s->rows;
        const float *x = head_of(q, b, h) + from * q->stride[2], *d = head_of(dy, b, h) + from * dy->stride[2];
        multiply(s, rows, s->n, s->d, s->long_vecs, x, q->stride[2], r->keys, r->p, s->room, r->place);
        for (int64_t i = 0; i < rows; i++)
            w->v->scaled_softmax(r->p + i * s->room, w->scale,
                                 add_bias ? add_bias + (from + i) * bias->stride[bias->shape.rank - 2] : NULL, s->n);
        multiply(s, rows, s->n, s->d, s->long_vecs, d, dy->stride[2], r->values, r->dp, s->room, r->place);
        outer(s, rows, r->p, d, dy->stride[2], from > 0, r, dv, sums_step);
        for (int64_t i = 0; i < rows; i++)
            w->v->softmax_back(r->p + i * s->room, r->dp + i * s->room, w->scale, dbias ? dbias + (from + i) * s->n : NULL, add, s->n);
        multiply(s, rows, s->d, s->n, s->short_vecs, r->dp, s->room, r->straight, out + from * width, width, r->place);
        outer(s, rows, r->dp, x, q->stride[2], from > 0, r, dk, sums_step);
    }
    if (!whole) {
        place_sums(s, dk, out_k, width);
        place_sums(s, dv, out_v, width);
    }
}

static void work(void *arg, int64_t from, int64_t to)
{
    const task *w = arg;
    const tg_call *c = w->c;
    const state *s = w->s;
    const bool of_bias = ((const attention_grad_attr *)c->attr)->of_bias;
    room r = room_of(s, (char *)c->scratch + (size_t)pool_worker() * s->thread);
    for (int64_t i = from; i < to; i++) {
        int64_t h = i / s->lots, lot = i % s->lots, first = s->b * lot / s->lots, end = s->b * (lot + 1) / s->lots;
        for (int64_t b = 0; s->bias && b < attention_biases(c->in[4].shape); b++)
            memset(w->bias + (size_t)lot * s->bias + (size_t)bias_of(&c->in[4], b, h) * sizeof(float), 0,
                   (size_t)(s->n * s->n) * sizeof(float));
        for (int64_t b = first; b < end; b++) {
            float *dbias = NULL;
            if (of_bias) {
                dbias = s->bias ? (float *)(void *)(w->bias + (size_t)lot * s->bias) : (float *)c->out.data + 3 * tg_numel(c->in[0].shape);
                dbias += bias_of(&c->in[4], b, h);
            }
            head(w, b, h, &r, dbias, s->bias > 0);
        }
    }
}

static void add_lots(void *arg, int64_t from, int64_t to)
{
    const task *w = arg;
    float *dbias = (float *)w->c->out.data + 3 * tg_numel(w->c->in[0].shape);
    for (int64_t lot = 0; lot < w->s->lots; lot++) {
        const float *part = (const float *)(const void *)(w->bias + (size_t)lot * w->s->bias);
        for (int64_t i = from; i < to; i++)
            dbias[i] = lot ? dbias[i] + part[i] : part[i];
    }
}

static void run(const tg_call *c)
{
    const attention_grad_attr *a = c->attr;
    const state *s = c->state;
    task w = { .c = c, .s = s, .v = VEC_PICK(rows_vec), .scale = (float)attention_scale(a->forward.scale, s->d),
               .bias = (char *)c->scratch + s->thread * (size_t)pool_threads(c->pool) };
    pool_run(c->pool, s->h * s->lots, 1, work, &w);
    if (s->bias)
        pool_run(c->pool, tg_numel(c->in[4].shape), 4096, add_lots, &w);
}

static void release(void *s) { free(s); }

const tg_kernel kernel_attention_grad = { .op = "attention_grad", .name = "cpu.attention_grad", .declines = declines, .prefers = prefers,
                                          .prepare = prepare, .run = run, .release = release };
