/* channel_sums_cpu.c - channel_moments, channel_dots, pointwise_dots: rows of channels, summed in blocks that do not depend on the
 * threads. */
#include <stdlib.h>
#include <string.h>
#include "chain.h"
#include "kernels.h"
#include "packed_product.h"
#include "vec.h"

enum { BLOCKS = 32, BLOCK = 1 << 15 };  /* at most so many blocks, and none smaller than so many numbers */
enum { SAMPLES = 16 };                  /* rows whose mean moments are first taken about */

static bool rows_of_channels(const tg_tensor *t)
{
    return t->shape.rank == 2 ? t->stride[1] == 1 || t->shape.dim[1] == 1 : t->shape.rank == 4 && tg_is_channels_last(t);
}

static const char *declines(const tg_call *c)
{
    if (!all_f32(c))
        return "not float";
    for (int i = 0; i < c->n_in && c->in[i].shape.rank > 1; i++)
        if (!rows_of_channels(&c->in[i]))
            return "not channels-last";
    return c->n_in > 2 && c->in[2].stride[0] != 1 && c->in[2].shape.dim[0] > 1 ? "strided mean" : tg_is_dense(&c->out) ? NULL : "strided result";
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    for (int i = 0; i < c->n_in && in[i].shape.rank > 1; i++)
        if (!rows_of_channels(&in[i]))
            in[i].shape.rank == 4 ? tg_channels_last(&in[i]) : tg_dense(&in[i]);
    tg_dense(out);
}

typedef struct sums {
    const tg_call *c;
    const channels_vec *v;
    int64_t rows, channels, step[2], block;         /* rows of a block */
    float *about;               /* [channels]: near the mean, so that no sum cancels */
    double *part;               /* [block][2][channels] */
} sums;

static int64_t blocks_of(int64_t rows, int64_t channels)
{
    int64_t n = rows * channels / BLOCK;
    n = n < 1 ? 1 : n > BLOCKS ? BLOCKS : n;
    return n < rows ? n : rows ? rows : 1;
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    int64_t channels = c->out.shape.dim[1];
    int64_t sums_each = 2 * blocks_of(tg_numel(c->in[0].shape) / channels, channels);
    prep->scratch = (size_t)(sums_each * channels) * sizeof(double) + (size_t)channels * sizeof(float);
    return true;
}

static void work(void *arg, int64_t from, int64_t to)
{
    const sums *s = arg;
    const tg_tensor *in = s->c->in;
    for (int64_t b = from; b < to; b++) {
        int64_t first = b * s->block, rows = s->rows - first < s->block ? s->rows - first : s->block, n = s->channels;
        double *part = s->part + b * 2 * n;
        memset(part, 0, (size_t)(2 * n) * sizeof *part);
        if (rows <= 0)
            continue;
        const bool narrow = in[0].dtype == TG_BFLOAT;
        const void *x = tg_at(in[0].data, in[0].dtype, first * s->step[0]);
        if (s->c->n_in > 1)
            s->v->dots(x, narrow, s->step[0], tg_at(in[1].data, in[1].dtype, first * s->step[1]), in[1].dtype == TG_BFLOAT, s->step[1], rows,
                       in[2].data, part, part + n, n);
        else
            s->v->moments(x, narrow, s->step[0], rows, s->about, part, part + n, n);
    }
}

static void sample_mean(const sums *s, float *about)
{
    int64_t taken = s->rows < SAMPLES ? s->rows : SAMPLES;
    for (int64_t k = 0; k < s->channels; k++)
        about[k] = 0;
    for (int64_t i = 0; i < taken; i++) {
        const int64_t at = (2 * i + 1) * s->rows / (2 * taken) * s->step[0];
        for (int64_t k = 0; k < s->channels; k++)
            about[k] += (float)tg_get(&s->c->in[0], at + k) / (float)taken;
    }
}

/* All blocks' sums into the first's, and as floats into the result. */
static void add_blocks(const sums *s, int64_t blocks)
{
    const int64_t n = 2 * s->channels;
    for (int64_t i = 1; i < blocks; i++)
        for (int64_t k = 0; k < n; k++)
            s->part[k] += s->part[i * n + k];
    for (int64_t k = 0; k < n; k++)
        ((float *)s->c->out.data)[k] = (float)s->part[k];
}

static void run(const tg_call *c)
{
    sums s = { .c = c, .v = VEC_PICK(channels_vec), .channels = c->out.shape.dim[1], .part = c->scratch };
    s.rows = tg_numel(c->in[0].shape) / s.channels;
    int64_t blocks = blocks_of(s.rows, s.channels);
    s.block = (s.rows + blocks - 1) / blocks;
    for (int i = 0; i < 2 && i < c->n_in; i++)
        s.step[i] = c->in[i].shape.rank == 2 ? c->in[i].stride[0] : s.channels;
    s.about = (float *)(void *)(s.part + blocks * 2 * s.channels);
    if (c->n_in == 1)
        sample_mean(&s, s.about);
    pool_run(c->pool, blocks, 1, work, &s);
    add_blocks(&s, blocks);
    float *y = c->out.data;
    for (int64_t k = 0; k < s.channels && c->n_in == 1; k++) {          /* moments about `about` */
        double a = s.part[k] / (double)s.rows, b = s.part[s.channels + k] / (double)s.rows - a * a;
        y[k] = (float)(a + (double)s.about[k]);
        y[s.channels + k] = (float)(b > 0 ? b : 0);
    }
}

static unsigned narrow(const tg_call *c) { return c->n_in > 1 ? 3 : 1; }            /* maps; never the mean */

#define SUMS(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .prefers = prefers, .prepare = prepare, .run = run, \
                                    .narrow = narrow };
SUMS(channel_moments)
SUMS(channel_dots)

/* -- dots of a chain's result -------------------------------------------------------------------------------------- */

enum { FLUSH = 64 };                    /* rows whose sums are single precision; a power of two */

static const char *declines_chain(const tg_call *c)
{
    const tg_tensor *x = &c->in[c->n_in - 2], *mean = x + 1;
    if (!all_f32(c))
        return "not float";
    if (!chain_known(c->attr))
        return "a step that is not known";
    if (x->shape.rank == 2 ? !tg_is_dense(x) : !rows_of_channels(x))
        return "not channels-last";
    return mean->stride[0] != 1 && mean->shape.dim[0] > 1 ? "strided mean" : tg_is_dense(&c->out) ? NULL : "strided result";
}

static void prefers_chain(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    tg_tensor *x = &in[c->n_in - 2];
    if (!rows_of_channels(x))
        x->shape.rank == 4 ? tg_channels_last(x) : tg_dense(x);
    tg_dense(out);
}

static int64_t row_of_sums(int64_t channels) { return (2 * channels + 15) / 16 * 16; }

static bool prepare_chain(const tg_call *c, tg_prep *prep)
{
    const int64_t channels = c->out.shape.dim[1], blocks = blocks_of(tg_numel(c->in[c->n_in - 2].shape) / channels, channels);
    if (!chain_prepare(c, c->n_in - 2, c->attr, prep))
        return false;
    int64_t each = chain_room(c->n_in - 2) + CHAIN_TILE + row_of_sums(channels);
    prep->scratch = (size_t)(blocks * 2 * channels + 8) * sizeof(double) + (size_t)(each * pool_threads(c->pool)) * sizeof(float);
    return true;
}

typedef struct chain_sums { sums s; chain_walk w; float *rooms; int64_t room; const tg_tensor *x; const float *mean; } chain_sums;

/* Rows [first, first + rows): n numbers a row from column `from` on, at most a tile of them together. */
static void add_tile(const chain_sums *t, chain_place *place, float *d, int64_t first, int64_t rows, int64_t from, int64_t n, float *sum)
{
    const int64_t channels = t->s.channels, at = first * channels + from;
    chain_tile(&t->w, place, at, rows * n, d);
    t->s.v->dots_more(d, n, tg_at(t->x->data, t->x->dtype, at), t->x->dtype == TG_BFLOAT, channels, rows, t->mean + from, sum + from,
                      sum + channels + from, n);
}

static void chain_work(void *arg, int64_t from, int64_t to)
{
    const chain_sums *t = arg;
    const int64_t n = t->s.channels;
    chain_place place = { t->rooms + pool_worker() * t->room, -1 };
    float *tile = place.room + chain_room(t->w.n_in), *sum = tile + CHAIN_TILE;
    int64_t together = 1;               /* a power of two, so that most are of whole strips */
    while (2 * together * n <= CHAIN_TILE && together < FLUSH)
        together *= 2;
    for (int64_t b = from; b < to; b++) {
        int64_t row = b * t->s.block, end = row + t->s.block < t->s.rows ? row + t->s.block : t->s.rows;
        double *part = t->s.part + b * 2 * n;
        memset(part, 0, (size_t)(2 * n) * sizeof *part);
        while (row < end) {
            const int64_t stop = row + FLUSH < end ? row + FLUSH : end;
            memset(sum, 0, (size_t)(2 * n) * sizeof *sum);
            for (; row < stop; row += together) {
                int64_t rows = stop - row < together ? stop - row : together;
                for (int64_t k = 0; k < n; k += CHAIN_TILE)
                    add_tile(t, &place, tile, row, rows, k, n - k < CHAIN_TILE ? n - k : CHAIN_TILE, sum);
            }
            row = stop;
            for (int64_t k = 0; k < 2 * n; k++)
                part[k] += (double)sum[k];
        }
    }
}

static void run_chain(const tg_call *c)
{
    const int operands = c->n_in - 2;
    const tg_tensor *x = &c->in[operands];
    chain_sums t = { .s = { .c = c, .v = VEC_PICK(channels_vec), .channels = c->out.shape.dim[1], .part = c->scratch },
                     .x = x, .mean = x[1].data };
    chain_begin(&t.w, c->state, c->in, operands, x, TG_F32);
    t.w.fetch = true;                   /* x is read by turns in two ways */
    t.s.rows = tg_numel(x->shape) / t.s.channels;
    const int64_t blocks = blocks_of(t.s.rows, t.s.channels);
    t.s.block = (t.s.rows + blocks - 1) / blocks;
    t.rooms = (float *)(void *)(t.s.part + (blocks * 2 * t.s.channels + 7) / 8 * 8);
    t.room = chain_room(operands) + CHAIN_TILE + row_of_sums(t.s.channels);
    pool_run(c->pool, blocks, 1, chain_work, &t);
    add_blocks(&t.s, blocks);
}

static unsigned narrow_chain(const tg_call *c) { return (1u << (c->n_in - 1)) - 1; }       /* all but the mean */

const tg_kernel kernel_pointwise_dots = { .op = "pointwise_dots", .name = "cpu.pointwise_dots", .declines = declines_chain,
                                          .prefers = prefers_chain, .prepare = prepare_chain, .run = run_chain, .release = free,
                                          .narrow = narrow_chain };
