/* attention_grad_bf16_cpu.c - the gradients of attention by instructions for products of bfloat16 numbers.
 *
 * A head's keys and values, queries and dy are packed once, as what the products need them for.  32 query rows at a time give their
 * probabilities and the gradient of these in the first cache, from there dq, and turned they are what dv and dk are products of, once
 * a block of query rows is through.
 */
#include <stdlib.h>
#include <string.h>
#include "attention_cpu.h"
#include "slabs.h"

enum { NUMBERS = 1 << 16 };                 /* of a block's probabilities, which stay in the second cache */

typedef struct state {
    attention_grad_frame f;
    const gemm_vec *v;
    bool narrow;                            /* probabilities as exact as bfloat16 tells */
    int64_t rows, room, wide;               /* query rows of a block; numbers to a row: of scores, of results */
    /* Bytes: a right operand of d x n, of n x d; a left one of d, of n; a block turned; scores of 32 rows; sums of n rows, and of 32 */
    size_t across, down, short_left, long_left, turned, scores, sums, result;
} state;

static const char *declines(const tg_call *c)
{
    return gemm_packs(c->precision) ? attention_grad_declines(c) : "no instructions for it, or exact";
}

static const char *doubts(const tg_call *c) { return attention_doubts(c, 128, 768); }

static void head(const tg_call *c, int64_t b, int64_t h, char *at, float *dbias, bool add);

static bool prepare(const tg_call *c, tg_prep *prep)
{
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for the gradient of attention");
    const gemm_vec *v = s->v = gemm_for(c->precision);
    s->f = attention_grad_begin(c);
    s->f.head = head;
    s->narrow = gemm_narrow(c->precision);
    s->f.enter = v->enter;
    s->f.leave = v->leave;
    const int64_t n = s->f.n, d = s->f.d, slabs = slabs_of(n), most = NUMBERS / SLAB / (slabs * SLAB);
    s->rows = SLAB * (most < 1 ? 1 : most < slabs ? most : slabs);
    s->room = gemm_filled(v, n);
    s->wide = gemm_filled(v, d);
    s->across = slabs_right(v, d, n);
    s->down = slabs_right(v, n, d);
    s->short_left = slabs_left(v, d);
    s->long_left = slabs_left(v, n);
    s->turned = slabs_left(v, s->rows) * (size_t)slabs;
    s->scores = lines(SLAB * s->room);
    s->sums = lines(slabs * SLAB * s->wide);
    s->result = lines(SLAB * s->wide);
    s->f.thread = 2 * s->across + 3 * s->down + s->short_left + s->long_left + 2 * s->turned + 2 * s->scores + 2 * s->sums + s->result + lines(s->room);
    prep->scratch = attention_grad_scratch(c, &s->f);
    prep->state = s;
    return true;
}

typedef struct room {                       /* a thread's scratch */
    char *keys, *values;                    /* k' and v' by columns of n */
    char *k, *q, *dy;                       /* of d columns */
    char *few, *many;                       /* rows of d, of n */
    char *p_turned, *dp_turned;             /* n rows of the block's numbers, by 32 */
    float *p, *dp, *dk, *dv, *result, *zeros;
} room;

static room room_of(const state *s, char *at)
{
    room r = { .keys = at };
    r.values = r.keys + s->across;
    r.k = r.values + s->across;
    r.q = r.k + s->down;
    r.dy = r.q + s->down;
    r.few = r.dy + s->down;
    r.many = r.few + s->short_left;
    r.p_turned = r.many + s->long_left;
    r.dp_turned = r.p_turned + s->turned;
    r.p = (float *)(void *)(r.dp_turned + s->turned);
    r.dp = r.p + s->scores / sizeof(float);
    r.dk = r.dp + s->scores / sizeof(float);
    r.dv = r.dk + s->sums / sizeof(float);
    r.result = r.dv + s->sums / sizeof(float);
    r.zeros = r.result + s->result / sizeof(float);
    memset(r.zeros, 0, lines(s->room));
    return r;
}

static const void *row_of(const tg_tensor *t, int64_t b, int64_t h, int64_t i)
{
    return tg_at(t->data, t->dtype, b * t->stride[0] + h * t->stride[1] + i * t->stride[2]);
}

/* A head of t as the right operand of d x n (across), or of n x d. */
static void pack(const state *s, const tg_tensor *t, int64_t b, int64_t h, bool across, char *to)
{
    const int64_t step = t->stride[2], n = s->f.n, d = s->f.d;
    slabs_columns(s->v, row_of(t, b, h, 0), t->dtype, across ? d : n, across ? n : d, across ? 1 : step, across ? step : 1, to);
}

/* Rows of numbers (rows x n) as the slab `at` of `slabs` of the block's turned ones. */
static void turn(const state *s, const room *r, const float *x, int rows, int64_t at, int64_t slabs, char *to)
{
    const int64_t size = SLAB * SLAB * (int64_t)sizeof(uint16_t), block = slabs * SLAB * SLAB * s->v->bytes;
    const float *row[SLAB];
    for (int i = 0; i < SLAB; i++)
        row[i] = i < rows ? x + i * s->room : r->zeros;
    for (int64_t j = 0; j < s->f.n; j += SLAB)
        s->v->turn(row, j, (int)(s->f.n - j < SLAB ? s->f.n - j : SLAB), to + j / SLAB * block + at * size, slabs * size);
}

/* dk or dv += a block, turned, times q or dy: `slabs` of its slabs, the first of them being `first`. */
static void add_up(const state *s, const char *turned, int64_t slabs, const char *right, int64_t first, float *sums)
{
    const int64_t block = slabs * SLAB * SLAB * s->v->bytes;
    for (int64_t j = 0; j < s->f.n; j += SLAB)
        slabs_multiply(s->v, turned + j / SLAB * block, slabs, (int)(s->f.n - j < SLAB ? s->f.n - j : SLAB), right, slabs_of(s->f.n), first, s->f.d,
                       first > 0, sums + j * s->wide, s->wide);
}

/* The head's part (0: dq, 1: dk, 2: dv) of rows [from, from + rows) of the result. */
static void leave(const tg_call *c, int64_t b, int64_t h, int part, int64_t from, int64_t rows, const float *sums)
{
    const state *s = c->state;
    const int64_t width = s->f.h * s->f.d;
    for (int64_t i = 0; i < rows; i++) {
        void *to = tg_at(c->out.data, c->out.dtype, ((b * s->f.n + from + i) * 3 + part) * width + h * s->f.d);
        if (c->out.dtype == TG_BFLOAT)
            s->v->round_scaled(sums + i * s->wide, 1, to, s->f.d);
        else
            memcpy(to, sums + i * s->wide, (size_t)s->f.d * sizeof *sums);
    }
}

static void head(const tg_call *c, int64_t b, int64_t h, char *at, float *dbias, bool add)
{
    const state *s = c->state;
    const room r = room_of(s, at);
    const rows_vec *of_rows = VEC_PICK(rows_vec);
    const tg_tensor *q = &c->in[0], *k = &c->in[1], *v = &c->in[2], *dy = &c->in[3];
    const attention_attr *forward = &((const attention_grad_attr *)c->attr)->forward;
    const int64_t n = s->f.n, d = s->f.d, few = slabs_of(d), many = slabs_of(n);
    const float scale = (float)attention_scale(forward->scale, d);

    pack(s, k, b, h, true, r.keys);
    pack(s, v, b, h, true, r.values);
    pack(s, k, b, h, false, r.k);
    pack(s, q, b, h, false, r.q);
    pack(s, dy, b, h, false, r.dy);
    for (int64_t from = 0; from < n; from += s->rows) {
        const int64_t end = n - from < s->rows ? n : from + s->rows, slabs = slabs_of(end - from);
        for (int64_t i = from; i < end; i += SLAB) {
            const int rows = (int)(end - i < SLAB ? end - i : SLAB);
            slabs_rows(s->v, row_of(q, b, h, i), q->dtype, q->stride[2], rows, d, r.few);
            slabs_multiply(s->v, r.few, few, rows, r.keys, few, 0, n, false, r.p, s->room);
            slabs_rows(s->v, row_of(dy, b, h, i), dy->dtype, dy->stride[2], rows, d, r.few);
            slabs_multiply(s->v, r.few, few, rows, r.values, few, 0, n, false, r.dp, s->room);
            for (int t = 0; t < rows; t++) {
                float *p = r.p + t * s->room, *dp = r.dp + t * s->room;
                const float *more = forward->bias ? attention_bias_row(&c->in[4], b, h, i + t) : NULL;
                float *dmore = dbias ? dbias + (i + t) * n : NULL;
                if (s->narrow)
                    s->v->weigh_back(p, scale, more, dp, dmore, add, n);
                else {
                    of_rows->scaled_softmax(p, scale, more, n);
                    of_rows->softmax_back(p, dp, scale, dmore, add, n);
                }
            }
            turn(s, &r, r.p, rows, (i - from) / SLAB, slabs, r.p_turned);
            turn(s, &r, r.dp, rows, (i - from) / SLAB, slabs, r.dp_turned);
            slabs_rows(s->v, r.dp, TG_F32, s->room, rows, n, r.many);
            slabs_multiply(s->v, r.many, many, rows, r.k, many, 0, d, false, r.result, s->wide);
            leave(c, b, h, 0, i, rows, r.result);
        }
        add_up(s, r.p_turned, slabs, r.dy, from / SLAB, r.dv);
        add_up(s, r.dp_turned, slabs, r.q, from / SLAB, r.dk);
    }
    leave(c, b, h, 1, 0, n, r.dk);
    leave(c, b, h, 2, 0, n, r.dv);
}

static void release(void *s) { free(s); }

/* Where each image has a bias of its own, its gradient is written as it comes, in single precision. */
static unsigned narrow(const tg_call *c)
{
    const attention_grad_frame *f = c->state;
    const attention_grad_attr *a = c->attr;
    return !gemm_narrow(c->precision) ? 0 : a->of_bias && !f->bias ? 15 : NARROW_RESULT | 15;
}

const tg_kernel kernel_attention_grad_bf16 = { .op = "attention_grad", .name = "cpu.attention_grad_bf16", .declines = declines, .doubts = doubts,
                                               .prefers = attention_grad_prefers, .prepare = prepare, .run = attention_grad_run, .release = release,
                                               .narrow = narrow };
