/* attention_grad_cpu.c - the gradients of attention, a block of query rows of one head at a time.
 *
 * Keys and values of a head are packed once, both ways where both are needed; a block's probabilities and their gradient
 * never leave the cache.  dk and dv are sums of outer products over the block's rows, kept in scratch until the head is done
 * where the result's rows are no whole vectors.
 */
#include <stdlib.h>
#include <string.h>
#include "attention_cpu.h"
#include "packed_product.h"

/* Of a block of probabilities; images of a head fall into so many lots; numbers side by side that heads are taken together for; of lots' sums. */
enum { NUMBERS = 40960, LOTS = 4, RUN = 256, PIECE = 512 };

typedef struct state {
    attention_grad_frame f;
    const gemm_vec *v;
    const outer_vec *o;
    int64_t rows, room, wide;               /* of a block: rows, numbers to a row; d in whole vectors */
    int long_vecs, short_vecs, outer_vecs;  /* vectors of a panel: of n columns, of d columns; of an outer product */
    size_t turned, straight, block, right, sums, place;             /* bytes */
} state;

const char *attention_grad_declines(const tg_call *c)
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

void attention_grad_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)out;
    for (int i = 0; i < c->n_in; i++)
        if (in[i].stride[in[i].shape.rank - 1] != 1 || (i == 4 && !tg_is_dense(&in[i])))
            tg_dense(&in[i]);
}

attention_grad_frame attention_grad_begin(const tg_call *c)
{
    const int64_t *dim = c->in[0].shape.dim;
    attention_grad_frame f = { .b = dim[0], .h = dim[1], .n = dim[2], .d = dim[3], .lots = dim[0] < LOTS ? dim[0] : LOTS };
    if (((const attention_grad_attr *)c->attr)->of_bias && attention_biases(c->in[4].shape) < f.b)
        f.bias = lines(tg_numel(c->in[4].shape));
    return f;
}

size_t attention_grad_scratch(const tg_call *c, const attention_grad_frame *f)
{
    return f->thread * (size_t)pool_threads(c->pool) + f->bias * (size_t)f->lots;
}

static void head(const tg_call *c, int64_t b, int64_t h, char *at, float *dbias, bool add);

static bool prepare(const tg_call *c, tg_prep *prep)
{
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for the gradient of attention");
    s->f = attention_grad_begin(c);
    s->f.head = head;
    s->v = gemm_for(TG_FP32);
    s->o = VEC_PICK(outer_vec);
    const int64_t n = s->f.n, d = s->f.d;
    s->rows = n;
    while (s->rows > 8 && s->rows * n > NUMBERS)
        s->rows = (s->rows + 1) / 2;
    s->room = (n + 15) / 16 * 16;
    s->wide = (d + s->o->width - 1) / s->o->width * s->o->width;
    s->long_vecs = gemm_panel(s->v, s->rows, n, 1, d);
    s->short_vecs = gemm_panel(s->v, s->rows, d, 1, n);
    s->outer_vecs = gemm_panel(s->v, n > 1 ? n : 2, d, 1, s->rows);
    s->turned = lines(gemm_packed(s->v, d, n));
    s->straight = lines(gemm_packed(s->v, n, d));
    s->block = lines(s->rows * s->room);
    s->right = lines(s->rows * s->wide);
    s->sums = s->wide == d ? 0 : lines(n * s->wide);
    size_t of_long = gemm_scratch(s->v, s->long_vecs, 1, d, 1), of_short = gemm_scratch(s->v, s->short_vecs, 1, n, 1);
    s->place = of_long > of_short ? of_long : of_short;
    s->f.thread = 2 * s->turned + s->straight + 2 * s->block + s->right + 2 * s->sums + s->place;
    prep->scratch = attention_grad_scratch(c, &s->f);
    prep->state = s;
    return true;
}

/* -- a head -------------------------------------------------------------------------------------------------------- */

typedef struct room {                       /* a thread's scratch */
    float *keys, *values, *straight;        /* packed: k' and v' by columns of n, k by columns of d */
    float *p, *dp, *right, *dk, *dv;
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
    r.right = (float *)(void *)(at += s->block);
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
    const int64_t panel = s->outer_vecs * s->o->width, most = s->o->rows[s->outer_vecs], tiles = (s->f.n + most - 1) / most;
    static const int64_t start = 0;
    for (int64_t j = 0; j < s->wide; j += panel) {
        int64_t width = s->wide - j < panel ? s->wide - j : panel, columns = s->f.d - j < width ? s->f.d - j : width;
        s->o->right(right + j, step, rows, (int)columns, (int)width, r->right + j * rows);
    }
    for (int64_t t = 0; t < tiles; t++) {
        int64_t i = s->f.n * t / tiles, height = s->f.n * (t + 1) / tiles - i;
        for (int64_t j = 0; j < s->wide; j += panel) {
            int64_t width = s->wide - j < panel ? s->wide - j : panel;
            outer_tile tile = { .left = left + i, .left_step = s->room, .right = r->right + j * rows, .right_step = width, .place = &start, .runs = 1, .run = rows,
                                .out = sums + i * sums_step + j, .step = sums_step, .add = add };
            s->o->tile[width / s->o->width][height](&tile);
        }
    }
}

/* Sums of whole vectors, which are wider than the result's rows, to their place. */
static void place_sums(const state *s, const float *sums, float *to, int64_t step)
{
    for (int64_t i = 0; i < s->f.n; i++)
        memcpy(to + i * step, sums + i * s->wide, (size_t)s->f.d * sizeof *to);
}

static void head(const tg_call *c, int64_t b, int64_t h, char *at, float *dbias, bool add)
{
    const state *s = c->state;
    const room r = room_of(s, at);
    const rows_vec *of_rows = VEC_PICK(rows_vec);
    const tg_tensor *q = &c->in[0], *k = &c->in[1], *v = &c->in[2], *dy = &c->in[3];
    const attention_attr *forward = &((const attention_grad_attr *)c->attr)->forward;
    const int64_t n = s->f.n, d = s->f.d, width = 3 * s->f.h * d;
    const float scale = (float)attention_scale(forward->scale, d);
    float *out = (float *)c->out.data + b * n * width + h * d, *out_k = out + s->f.h * d, *out_v = out_k + s->f.h * d;
    const bool whole = s->wide == d;
    const int64_t sums_step = whole ? width : s->wide;
    float *dk = whole ? out_k : r.dk, *dv = whole ? out_v : r.dv;

    s->v->pack(head_of(k, b, h), d, n, 1, k->stride[2], s->long_vecs * s->v->width, r.keys);
    s->v->pack(head_of(v, b, h), d, n, 1, v->stride[2], s->long_vecs * s->v->width, r.values);
    s->v->pack(head_of(k, b, h), n, d, k->stride[2], 1, s->short_vecs * s->v->width, r.straight);
    for (int64_t from = 0; from < n; from += s->rows) {
        int64_t rows = n - from < s->rows ? n - from : s->rows;
        const float *x = head_of(q, b, h) + from * q->stride[2], *g = head_of(dy, b, h) + from * dy->stride[2];
        multiply(s, rows, n, d, s->long_vecs, x, q->stride[2], r.keys, r.p, s->room, r.place);
        for (int64_t i = 0; i < rows; i++)
            of_rows->scaled_softmax(r.p + i * s->room, scale, forward->bias ? attention_bias_row(&c->in[4], b, h, from + i) : NULL, n);
        multiply(s, rows, n, d, s->long_vecs, g, dy->stride[2], r.values, r.dp, s->room, r.place);
        outer(s, rows, r.p, g, dy->stride[2], from > 0, &r, dv, sums_step);
        for (int64_t i = 0; i < rows; i++)
            of_rows->softmax_back(r.p + i * s->room, r.dp + i * s->room, scale, dbias ? dbias + (from + i) * n : NULL, add, n);
        multiply(s, rows, d, n, s->short_vecs, r.dp, s->room, r.straight, out + from * width, width, r.place);
        outer(s, rows, r.dp, x, q->stride[2], from > 0, &r, dk, sums_step);
    }
    if (!whole) {
        place_sums(s, dk, out_k, width);
        place_sums(s, dv, out_v, width);
    }
}

/* -- lots ------------------------------------------------------------------------------------------------------------ */

typedef struct task {
    const tg_call *c;
    const attention_grad_frame *f;
    char *bias;
    int64_t heads, groups;                  /* heads that are taken together; how many such groups */
} task;

/* Where the gradient of the bias of one head of image b goes, from `to` on. */
static float *of_head(const tg_tensor *bias, float *to, int64_t b, int64_t h)
{
    return to + (attention_bias_row(bias, b, h, 0) - (const float *)bias->data);
}

/* Heads [first, end) of a lot's images, one image after the other, as heads' numbers lie side by side. */
static void heads(const task *w, int64_t lot, int64_t first, int64_t end, char *mine)
{
    const tg_call *c = w->c;
    const attention_grad_frame *f = w->f;
    const bool of_bias = ((const attention_grad_attr *)c->attr)->of_bias;
    float *sums = f->bias ? (float *)(void *)(w->bias + (size_t)lot * f->bias) : (float *)c->out.data + 3 * tg_numel(c->in[0].shape);
    for (int64_t h = first; h < end; h++)
        for (int64_t b = 0; f->bias && b < attention_biases(c->in[4].shape); b++)
            memset(of_head(&c->in[4], sums, b, h), 0, (size_t)(f->n * f->n) * sizeof *sums);
    for (int64_t b = f->b * lot / f->lots; b < f->b * (lot + 1) / f->lots; b++)
        for (int64_t h = first; h < end; h++)
            f->head(c, b, h, mine, of_bias ? of_head(&c->in[4], sums, b, h) : NULL, f->bias > 0);
}

static void work(void *arg, int64_t from, int64_t to)
{
    const task *w = arg;
    const attention_grad_frame *f = w->f;
    if (f->enter)
        f->enter();
    for (int64_t i = from; i < to; i++) {
        const int64_t first = i % w->groups * w->heads, end = first + w->heads;
        heads(w, i / w->groups, first, end < f->h ? end : f->h, (char *)w->c->scratch + (size_t)pool_worker() * f->thread);
    }
    if (f->leave)
        f->leave();
}

static void add_lots(void *arg, int64_t from, int64_t to)
{
    const task *w = arg;
    const tg_tensor *y = &w->c->out;
    float sum[PIECE];
    for (int64_t at = from; at < to; at += PIECE) {
        const int64_t n = to - at < PIECE ? to - at : PIECE;
        for (int64_t lot = 0; lot < w->f->lots; lot++) {
            const float *part = (const float *)(const void *)(w->bias + (size_t)lot * w->f->bias) + at;
            for (int64_t i = 0; i < n; i++)
                sum[i] = lot ? sum[i] + part[i] : part[i];
        }
        void *dbias = tg_at(y->data, y->dtype, 3 * tg_numel(w->c->in[0].shape) + at);
        if (y->dtype == TG_BFLOAT)
            gemm_for(w->c->precision)->round_scaled(sum, 1, dbias, n);
        else
            memcpy(dbias, sum, (size_t)n * sizeof *sum);
    }
}

void attention_grad_run(const tg_call *c)
{
    const attention_grad_frame *f = c->state;
    task w = { .c = c, .f = f, .bias = (char *)c->scratch + f->thread * (size_t)pool_threads(c->pool) };
    const int64_t most = f->h * f->lots / (2 * pool_threads(c->pool)), run = (RUN + f->d - 1) / f->d;
    w.heads = most < 1 ? 1 : most < run ? most : run;
    w.groups = (f->h + w.heads - 1) / w.heads;
    w.heads = (f->h + w.groups - 1) / w.groups;
    pool_run(c->pool, w.groups * f->lots, 1, work, &w);
    if (f->bias)
        pool_run(c->pool, tg_numel(c->in[4].shape), 4096, add_lots, &w);
}

static void release(void *s) { free(s); }

const tg_kernel kernel_attention_grad = { .op = "attention_grad", .name = "cpu.attention_grad", .declines = attention_grad_declines,
                                          .prefers = attention_grad_prefers, .prepare = prepare, .run = attention_grad_run, .release = release };
