/* attention_cpu.c - softmax(scale q k' + bias) v in single precision, a block of query rows at a time.
 *
 * Keys and values of a head are packed (which costs what one query row costs), and a block's weights never leave the
 * cache. q, k and v may be views into one (b, n, 3, h, d) product; the result lies as (b, n, h, d), which the projection wants.
 */
#include <math.h>
#include <stdlib.h>
#include "attention_cpu.h"
#include "packed_product.h"

enum { BLOCK = 48, WHOLE = 64 };            /* query rows at a time; so few are one block */

typedef struct state {
    const gemm_vec *v;
    int64_t blocks, rows, room; /* of a head; of a block: most query rows, numbers to a row of weights */
    size_t keys, values, weights, place;    /* bytes of a thread's scratch */
    int key_vecs, value_vecs;
} state;

const char *attention_declines(const tg_call *c)
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
    if (a->bias && c->in[3].shape.dim[c->in[3].shape.rank - 1] != c->in[1].shape.dim[2])
        return "a bias that is repeated along a row";
    return NULL;
}

void attention_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
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

const float *attention_bias_row(const tg_tensor *bias, int64_t b, int64_t h, int64_t i)
{
    const int64_t at[] = { b % attention_biases(bias->shape), h, i };
    const float *row = bias->data;
    for (int k = 0; k < 3; k++) {
        const int axis = bias->shape.rank - 4 + k;                      /* absent and of size 1: repeated */
        row += axis < 0 || bias->shape.dim[axis] == 1 ? 0 : at[k] * bias->stride[axis];
    }
    return row;
}

static size_t mine_bytes(const state *s) { return ATTENTION_HELD + s->keys + s->values + s->weights + s->place; }

/* Blocks begin with whole strips of a product. */
static int64_t strips_of(int64_t n) { return (n + TILE_ROWS - 1) / TILE_ROWS; }
static int64_t block_row(const state *s, int64_t n, int64_t at) { return at == s->blocks ? n : strips_of(n) * at / s->blocks * TILE_ROWS; }

void attention_forget(const tg_call *c, size_t thread)
{
    for (int i = 0; i < pool_threads(c->pool); i++)
        *(int64_t *)(void *)((char *)c->scratch + (size_t)i * thread) = -1;
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    int64_t n = c->in[0].shape.dim[2], d = c->in[0].shape.dim[3], m = c->in[1].shape.dim[2], e = c->in[2].shape.dim[3];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for attention");
    s->v = gemm_for(TG_FP32);
    int64_t most = n <= WHOLE ? n : BLOCK;
    while (most > TILE_ROWS && most * m > 65536)
        most /= 2;
    s->blocks = (n + most - 1) / most;
    /* Of few heads each thread has as many blocks. */
    for (const int64_t heads = c->out.shape.dim[0] * c->out.shape.dim[1], threads = pool_threads(c->pool);
         heads < 4 * threads && heads * s->blocks % threads && 3 * s->blocks < strips_of(n);)
        s->blocks++;
    s->rows = s->blocks == 1 ? n : (strips_of(n) + s->blocks - 1) / s->blocks * TILE_ROWS;
    s->room = (m + 15) / 16 * 16;
    s->key_vecs = gemm_panel(s->v, s->rows, m, 1, d);
    s->value_vecs = gemm_panel(s->v, s->rows, e, 1, m);
    s->keys = lines(gemm_packed(s->v, d, m));
    s->values = lines(gemm_packed(s->v, m, e));
    s->weights = lines(s->rows * s->room);
    size_t of_keys = gemm_scratch(s->v, s->key_vecs, 1, d, 1), of_values = gemm_scratch(s->v, s->value_vecs, 1, m, 1);
    s->place = of_keys > of_values ? of_keys : of_values;
    prep->scratch = mine_bytes(s) * (size_t)pool_threads(c->pool);
    prep->state = s;
    return true;
}

/* -- a block ------------------------------------------------------------------------------------------------------- */

/* m x n results of rows of k numbers. */
static void multiply(const state *s, int64_t m, int64_t n, int64_t k, int vecs, const float *a, int64_t sa, const float *b, float *y, int64_t sy,
                     char *place)
{
    struct gemm_rows from = { a, sa, TG_F32 };
    gemm g = { .v = s->v, .m = m, .n = n, .taps = 1, .run = k, .vecs = vecs, .b = b, .rows = gemm_rows, .ctx = &from, .out = y,
               .out_rows = { 1, { m }, { sy } } };
    gemm_part(&g, 0, m, 0, (n + vecs * s->v->width - 1) / (vecs * s->v->width), place);
}

struct heads { const tg_call *c; const state *s; const rows_vec *v; float scale; };

static void block(const struct heads *w, int64_t b, int64_t h, int64_t from, int64_t to, char *mine)
{
    const tg_call *c = w->c;
    const state *s = w->s;
    const tg_tensor *q = &c->in[0], *y = &c->out, *bias = ((const attention_attr *)c->attr)->bias ? &c->in[3] : NULL;
    int64_t d = q->shape.dim[3], m = c->in[1].shape.dim[2], e = y->shape.dim[3];
    float *keys = (float *)(void *)(mine + ATTENTION_HELD), *values = keys + s->keys / sizeof *keys, *weights = values + s->values / sizeof *values;
    char *place = mine + mine_bytes(s) - s->place;
    const float *x = (const float *)q->data + b * q->stride[0] + h * q->stride[1] + from * q->stride[2];
    float *to_y = (float *)y->data + b * y->stride[0] + h * y->stride[1] + from * y->stride[2];

    multiply(s, to - from, m, d, s->key_vecs, x, q->stride[2], keys, weights, s->room, place);
    for (int64_t i = from; i < to; i++)
        w->v->scaled_softmax(weights + (i - from) * s->room, w->scale, bias ? attention_bias_row(bias, b, h, i) : NULL, m);
    multiply(s, to - from, e, m, s->value_vecs, weights, s->room, values, to_y, y->stride[2], place);
}

/* One head's keys or values, of which number p of column j lies at p * sp + j * sj. */
static void pack(const state *s, const tg_tensor *t, int64_t b, int64_t h, int64_t k, int64_t n, int64_t sp, int64_t sj, int vecs, char *to)
{
    s->v->pack((const float *)t->data + b * t->stride[0] + h * t->stride[1], k, n, sp, sj, vecs * s->v->width, (float *)(void *)to);
}

static void work(void *arg, int64_t from, int64_t to)
{
    const struct heads *w = arg;
    const tg_call *c = w->c;
    const state *s = w->s;
    const tg_tensor *k = &c->in[1], *v = &c->in[2];
    int64_t heads = c->out.shape.dim[1], n = c->out.shape.dim[2];
    char *mine = (char *)c->scratch + (size_t)pool_worker() * mine_bytes(s), *keys = mine + ATTENTION_HELD;
    int64_t *held = (int64_t *)(void *)mine;

    for (int64_t i = from; i < to; i++) {
        int64_t head = i / s->blocks, b = head / heads, h = head % heads;
        if (head != *held) {
            pack(s, k, b, h, k->shape.dim[3], k->shape.dim[2], k->stride[3], k->stride[2], s->key_vecs, keys);
            pack(s, v, b, h, v->shape.dim[2], v->shape.dim[3], v->stride[2], v->stride[3], s->value_vecs, keys + s->keys);
            *held = head;
        }
        block(w, b, h, block_row(s, n, i % s->blocks), block_row(s, n, i % s->blocks + 1), mine);
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    struct heads w = { .c = c, .s = s, .v = VEC_PICK(rows_vec),
                       .scale = (float)attention_scale(((const attention_attr *)c->attr)->scale, c->in[0].shape.dim[3]) };
    int64_t heads = c->out.shape.dim[0] * c->out.shape.dim[1];

    attention_forget(c, mine_bytes(s));
    pool_run(c->pool, heads * s->blocks, heads >= 4 * pool_threads(c->pool) ? s->blocks : 1, work, &w);
}

static void release(void *s) { free(s); }

const tg_kernel kernel_attention = { .op = "attention", .name = "cpu.attention", .declines = attention_declines, .prefers = attention_prefers,
                                     .prepare = prepare, .run = run, .release = release };
