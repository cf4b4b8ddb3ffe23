/* attention_bf16_cpu.c - softmax(scale q k' + bias) v by instructions for products of bfloat16 numbers, 32 query rows at a time.
 *
 * Keys and values of a head are packed once for the blocks that a thread takes one after the other; a block's scores lie in the first cache.  In
 * bf16 the weights are written rounded where the next product reads them, before they are divided by their sum, which divides the
 * result; of more parts they are weights in single precision, and packed.
 */
#include <stdlib.h>
#include "attention_cpu.h"
#include "slabs.h"

typedef struct state {
    const gemm_vec *v;
    bool narrow;                            /* weights and results may be of bfloat16 */
    int64_t room, wide;                     /* numbers to a row: of scores; of a block's result */
    size_t keys, values, queries, scores, weights, result, thread;     /* bytes of a thread's scratch, in this order; all */
} state;

static const char *declines(const tg_call *c)
{
    return gemm_packs(c->precision) ? attention_declines(c) : "no instructions for it, or exact";
}

const char *attention_doubts(const tg_call *c, int64_t few_of_two, int64_t few_of_three)
{
    const int parts = gemm_for(c->precision)->bytes / (int)sizeof(uint16_t);
    const int64_t keys = c->in[1].shape.dim[2];
    return parts > 1 && keys < (parts == 2 ? few_of_two : few_of_three) ? "for few keys exact products take no longer" : NULL;
}

static const char *doubts(const tg_call *c) { return attention_doubts(c, 128, 256); }

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const int64_t d = c->in[0].shape.dim[3], m = c->in[1].shape.dim[2], e = c->in[2].shape.dim[3];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for attention");
    s->v = gemm_for(c->precision);
    s->narrow = gemm_narrow(c->precision);
    s->room = gemm_filled(s->v, m);
    s->wide = gemm_filled(s->v, e);
    s->keys = slabs_right(s->v, d, m);
    s->values = slabs_right(s->v, m, e);
    s->queries = slabs_left(s->v, d);
    s->scores = lines(SLAB * s->room);
    s->weights = slabs_left(s->v, m);
    s->result = lines(SLAB * s->wide);
    s->thread = ATTENTION_HELD + s->keys + s->values + s->queries + s->scores + s->weights + s->result;
    prep->scratch = s->thread * (size_t)pool_threads(c->pool);
    prep->state = s;
    return true;
}

struct heads { const tg_call *c; const state *s; float scale; int64_t blocks; };

/* Rows [from, from + rows) of head h of image b. */
static void block(const struct heads *w, int64_t b, int64_t h, int64_t from, int rows, char *mine)
{
    const tg_call *c = w->c;
    const state *s = w->s;
    const rows_vec *of_rows = VEC_PICK(rows_vec);
    const tg_tensor *q = &c->in[0], *y = &c->out, *bias = ((const attention_attr *)c->attr)->bias ? &c->in[3] : NULL;
    const int64_t d = q->shape.dim[3], m = c->in[1].shape.dim[2], e = y->shape.dim[3];
    char *keys = mine + ATTENTION_HELD, *values = keys + s->keys, *queries = values + s->values, *weights = queries + s->queries + s->scores;
    float *scores = (float *)(void *)(queries + s->queries), *result = (float *)(void *)(weights + s->weights), sum[SLAB];

    slabs_rows(s->v, tg_at(q->data, q->dtype, b * q->stride[0] + h * q->stride[1] + from * q->stride[2]), q->dtype, q->stride[2], rows, d, queries);
    slabs_multiply(s->v, queries, slabs_of(d), rows, keys, slabs_of(d), 0, m, false, scores, s->room);
    for (int i = 0; i < rows; i++) {
        const float *add = bias ? attention_bias_row(bias, b, h, from + i) : NULL;
        if (s->narrow)
            sum[i] = s->v->weigh(scores + i * s->room, w->scale, add, m, (uint16_t *)(void *)weights + i * SLAB);
        else
            of_rows->scaled_softmax(scores + i * s->room, w->scale, add, m);
    }
    if (!s->narrow)
        slabs_rows(s->v, scores, TG_F32, s->room, rows, m, weights);
    slabs_multiply(s->v, weights, slabs_of(m), rows, values, slabs_of(m), 0, e, false, result, s->wide);
    for (int i = 0; i < rows; i++) {
        void *to = tg_at(y->data, y->dtype, b * y->stride[0] + h * y->stride[1] + (from + i) * y->stride[2]);
        if (y->dtype == TG_BFLOAT)
            s->v->round_scaled(result + i * s->wide, 1 / sum[i], to, e);
        else
            VEC_PICK(elementwise_vec)->unary((act){ ACT_AFFINE, s->narrow ? 1 / sum[i] : 1, 0 }, result + i * s->wide, to, e);
    }
}

static void work(void *arg, int64_t from, int64_t to)
{
    const struct heads *w = arg;
    const tg_call *c = w->c;
    const state *s = w->s;
    const tg_tensor *k = &c->in[1], *v = &c->in[2];
    const int64_t heads = c->out.shape.dim[1], n = c->out.shape.dim[2];
    char *mine = (char *)c->scratch + (size_t)pool_worker() * s->thread, *keys = mine + ATTENTION_HELD;
    int64_t *held = (int64_t *)(void *)mine;

    s->v->enter();
    for (int64_t i = from; i < to; i++) {
        const int64_t head = i / w->blocks, b = head / heads, h = head % heads, row = i % w->blocks * SLAB;
        if (head != *held) {
            slabs_columns(s->v, tg_at(k->data, k->dtype, b * k->stride[0] + h * k->stride[1]), k->dtype, k->shape.dim[3], k->shape.dim[2], k->stride[3],
                          k->stride[2], keys);
            slabs_columns(s->v, tg_at(v->data, v->dtype, b * v->stride[0] + h * v->stride[1]), v->dtype, v->shape.dim[2], v->shape.dim[3], v->stride[2],
                          v->stride[3], keys + s->keys);
            *held = head;
        }
        block(w, b, h, row, (int)(n - row < SLAB ? n - row : SLAB), mine);
    }
    s->v->leave();
}

static void run(const tg_call *c)
{
    const int64_t heads = c->out.shape.dim[0] * c->out.shape.dim[1];
    struct heads w = { .c = c, .s = c->state, .scale = (float)attention_scale(((const attention_attr *)c->attr)->scale, c->in[0].shape.dim[3]),
                       .blocks = (c->out.shape.dim[2] + SLAB - 1) / SLAB };
    attention_forget(c, w.s->thread);
    pool_run(c->pool, heads * w.blocks, heads >= 4 * pool_threads(c->pool) ? w.blocks : 1, work, &w);
}

static void release(void *s) { free(s); }
static unsigned narrow(const tg_call *c) { return gemm_narrow(c->precision) ? NARROW_RESULT | 7 : 0; }

const tg_kernel kernel_attention_bf16 = { .op = "attention", .name = "cpu.attention_bf16", .declines = declines, .doubts = doubts,
                                          .prefers = attention_prefers,
                                          .prepare = prepare, .run = run, .release = release, .narrow = narrow };
