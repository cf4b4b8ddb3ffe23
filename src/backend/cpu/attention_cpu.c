/* attention_cpu.c - softmax(scale q k' + bias) v, a block of query rows at a time.
 *
 * Keys and values of a head are packed (which costs what one query row costs), and a block's weights never leave the
 * cache. Where products have their own instructions for bfloat16, the weights are written as such numbers, and a row's sum
 * divides its result. q, k and v may be views into one (b, n, 3, h, d) product; the result lies as (b, n, h, d), which the
 * projection wants.
 */
#include <math.h>
#include <stdlib.h>
#include "kernels.h"
#include "ops/attention.h"
#include "packed_product.h"

enum { BLOCK = 48, WHOLE = 64, BEYOND = 31 };         /* query rows at a time; few enough are one block; those that may be read after the last */

typedef struct state {
    const gemm_vec *v;
    int64_t rows, room;         /* of a block: query rows, numbers to a row of weights */
    bool narrow;                /* weights as bfloat16 */
    size_t keys, values, weights, narrow_weights, result, place;      /* bytes of a thread's scratch */
    int key_vecs, value_vecs;
} state;

static const char *declines(const tg_call *c)
{
    const attention_attr *a = c->attr;
    if (!all_f32(c))
        return "not float";
    if (c->in[0].stride[3] != 1 && c->in[0].shape.dim[3] > 1)
        return "strided queries";
    if (c->out.stride[3] != 1 && c->out.shape.dim[3] > 1)
        return "strided result";
    if (a->bias && c->in[3].stride[c->in[3].shape.rank - 1] != 1)
        return "strided bias";
    return NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    const attention_attr *a = c->attr;
    int64_t h = out->shape.dim[1], n = out->shape.dim[2], e = out->shape.dim[3];
    if (in[0].stride[3] != 1)
        tg_dense(&in[0]);
    if (a->bias && in[3].stride[in[3].shape.rank - 1] != 1)
        tg_dense(&in[3]);
    out->stride[3] = 1;
    out->stride[1] = e;
    out->stride[2] = h * e;
    out->stride[0] = n * h * e;
}

static size_t mine_bytes(const state *s) { return s->keys + s->values + s->weights + s->narrow_weights + s->result + s->place; }
static size_t padded(int64_t numbers) { return ((size_t)numbers * sizeof(float) + 63) / 64 * 64; }

static bool prepare(const tg_call *c, tg_prep *prep)
{
    int64_t n = c->in[0].shape.dim[2], d = c->in[0].shape.dim[3], m = c->in[1].shape.dim[2], e = c->in[2].shape.dim[3];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for attention");
    s->v = gemm_for(c->precision);
    s->narrow = gemm_narrow(c->precision);
    s->rows = n <= WHOLE ? n : s->narrow ? WHOLE : BLOCK;
    while (s->rows > 8 && s->rows * m > 65536)
        s->rows /= 2;
    s->room = s->narrow ? (m + s->v->deep - 1) / s->v->deep * s->v->deep : (m + 15) / 16 * 16;
    s->key_vecs = gemm_panel(s->v, s->rows, m);
    s->value_vecs = gemm_panel(s->v, s->rows, e);
    s->keys = padded(gemm_packed(s->v, d, m));
    s->values = padded(gemm_packed(s->v, m, e));
    s->weights = padded(s->rows * s->room);
    s->narrow_weights = s->narrow ? padded(((s->rows + BEYOND) * s->room + 1) / 2) : 0;
    s->result = s->narrow ? padded(s->rows * e) : 0;
    size_t of_keys = gemm_scratch(s->v, s->key_vecs, 1, d, 1), of_values = gemm_scratch(s->v, s->value_vecs, 1, m, 1);
    s->place = of_keys > of_values ? of_keys : of_values;
    prep->scratch = mine_bytes(s) * (size_t)pool_threads(c->pool);
    prep->state = s;
    return true;
}

/* -- a block ------------------------------------------------------------------------------------------------------- */

/* m x n results of rows of k numbers; beyond: there are more of them. */
static void multiply(const state *s, int64_t m, int64_t n, int64_t k, int vecs, const void *a, tg_dtype of, int64_t sa, bool beyond,
                     const float *b, void *y, tg_dtype out_of, int64_t sy, char *place)
{
    struct gemm_rows from = { a, sa, of };
    gemm g = { .v = s->v,
               .of = of,
               .out_of = out_of,
               .m = m,
               .n = n,
               .taps = 1,
               .run = k,
               .vecs = vecs,
               .b = b,
               .rows = gemm_rows,
               .ctx = &from,
               .out = y,
               .out_rows = { 1, { m }, { sy } },
               .beyond = beyond };
    product_direct(&g, a, sa);
    gemm_part(&g, 0, m, 0, (n + vecs * s->v->width - 1) / (vecs * s->v->width), place);
}

struct heads { const tg_call *c; const state *s; const rows_vec *v; float scale; int64_t blocks; };

static int64_t bias_stride(const tg_tensor *t, int axis) /* axis counts from the end; absent and size 1: repeated */
{
    int i = t->shape.rank - axis;
    return i < 0 || t->shape.dim[i] == 1 ? 0 : t->stride[i];
}

static void block(const struct heads *w, int64_t b, int64_t h, int64_t from, int64_t to, char *mine)
{
    const tg_call *c = w->c;
    const state *s = w->s;
    const tg_tensor *q = &c->in[0], *y = &c->out, *bias = ((const attention_attr *)c->attr)->bias ? &c->in[3] : NULL;
    int64_t d = q->shape.dim[3], m = c->in[1].shape.dim[2], e = y->shape.dim[3];
    float *keys = (float *)(void *)mine, *values = (float *)(void *)(mine + s->keys);
    float *weights = (float *)(void *)(mine + s->keys + s->values);
    uint16_t *narrow_weights = (uint16_t *)(void *)(mine + s->keys + s->values + s->weights);
    float *result = (float *)(void *)(mine + s->keys + s->values + s->weights + s->narrow_weights), sum[WHOLE];
    char *place = mine + mine_bytes(s) - s->place;
    const void *x = tg_at(q->data, q->dtype, b * q->stride[0] + h * q->stride[1] + from * q->stride[2]);
    void *to_y = tg_at(y->data, y->dtype, b * y->stride[0] + h * y->stride[1] + from * y->stride[2]);

    multiply(s, to - from, m, d, s->key_vecs, x, q->dtype, q->stride[2], false, keys, weights, TG_F32, s->room, place);
    for (int64_t i = from; i < to; i++) {
        const float *add = bias ? (const float *)bias->data + b % attention_biases(bias->shape) * bias_stride(bias, 4) + h * bias_stride(bias, 3)
                                  + i * bias_stride(bias, 2) : NULL;
        float *row = weights + (i - from) * s->room;
        if (s->narrow)
            sum[i - from] = s->v->weigh(row, w->scale, add, m, narrow_weights + (i - from) * s->room);
        else
            w->v->scaled_softmax(row, w->scale, add, m);
    }
    if (s->narrow) {
        multiply(s, to - from, e, s->room, s->value_vecs, narrow_weights, TG_BFLOAT, s->room, true, values, result, TG_F32, e, place);
        for (int64_t i = 0; i < to - from; i++) {
            const act part = { ACT_AFFINE, 1 / sum[i], 0 };
            if (y->dtype == TG_BFLOAT)
                s->v->settle(part, result + i * e, tg_at(to_y, TG_BFLOAT, i * y->stride[2]), e);
            else
                VEC_PICK(elementwise_vec)->unary(part, result + i * e, tg_at(to_y, TG_F32, i * y->stride[2]), e);
        }
        return;
    }
    multiply(s, to - from, e, m, s->value_vecs, weights, TG_F32, s->room, false, values, to_y, y->dtype, y->stride[2], place);
}

/* One head's keys or values, of which number p of column j lies at p * sp + j * sj. */
static void pack(const state *s, const tg_tensor *t, int64_t b, int64_t h, int64_t k, int64_t n, int64_t sp, int64_t sj, int vecs, char *to)
{
    const void *from = tg_at(t->data, t->dtype, b * t->stride[0] + h * t->stride[1]);
    if (t->dtype == TG_BFLOAT)
        s->v->pack_narrow(from, k, n, sp, sj, vecs * s->v->width, (float *)(void *)to);
    else
        s->v->pack(from, k, n, sp, sj, vecs * s->v->width, (float *)(void *)to);
}

static void work(void *arg, int64_t from, int64_t to)
{
    const struct heads *w = arg;
    const tg_call *c = w->c;
    const state *s = w->s;
    const tg_tensor *k = &c->in[1], *v = &c->in[2];
    int64_t heads = c->out.shape.dim[1], n = c->out.shape.dim[2], last = -1;
    char *mine = (char *)c->scratch + (size_t)pool_worker() * mine_bytes(s);

    for (int64_t i = from; i < to; i++) {
        int64_t head = i / w->blocks, b = head / heads, h = head % heads, row = i % w->blocks * s->rows;
        if (head != last) {
            pack(s, k, b, h, k->shape.dim[3], k->shape.dim[2], k->stride[3], k->stride[2], s->key_vecs, mine);
            pack(s, v, b, h, v->shape.dim[2], v->shape.dim[3], v->stride[2], v->stride[3], s->value_vecs, mine + s->keys);
            last = head;
        }
        block(w, b, h, row, row + s->rows < n ? row + s->rows : n, mine);
    }
}

static void run(const tg_call *c)
{
    const attention_attr *a = c->attr;
    const state *s = c->state;
    struct heads w = { .c = c, .s = s, .v = VEC_PICK(rows_vec), .scale = (float)a->scale };
    int64_t heads = c->out.shape.dim[0] * c->out.shape.dim[1];

    if (a->scale == 0)
        w.scale = 1.f / sqrtf((float)c->in[0].shape.dim[3]);
    w.blocks = (c->out.shape.dim[2] + s->rows - 1) / s->rows;
    pool_run(c->pool, heads * w.blocks, heads >= 4 * pool_threads(c->pool) ? w.blocks : 1, work, &w);
}

static void release(void *s) { free(s); }
static unsigned narrow(const tg_call *c) { return gemm_narrow(c->precision) ? NARROW_RESULT | 7 : 0; }

const tg_kernel kernel_attention = { .op = "attention",
                                     .name = "cpu.attention",
                                     .declines = declines,
                                     .prefers = prefers,
                                     .prepare = prepare,
                                     .run = run,
                                     .apart = gemm_packs,
                                     .release = release,
                                     .narrow = narrow };
