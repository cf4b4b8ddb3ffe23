/* channel_sums_cpu.c - channel_moments and channel_dots: rows of channels, summed in blocks that do not depend on the threads. */
#include <string.h>
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
        const float *x = in[0].data, *y = s->c->n_in > 1 ? in[1].data : NULL;
        if (rows <= 0)
            continue;
        if (y)
            s->v->dots(x + first * s->step[0], s->step[0], y + first * s->step[1], s->step[1], rows, in[2].data, part, part + n, n);
        else
            s->v->moments(x + first * s->step[0], s->step[0], rows, s->about, part, part + n, n);
    }
}

static void sample_mean(const sums *s, float *about)
{
    int64_t taken = s->rows < SAMPLES ? s->rows : SAMPLES;
    for (int64_t k = 0; k < s->channels; k++)
        about[k] = 0;
    for (int64_t i = 0; i < taken; i++) {
        const float *x = (const float *)s->c->in[0].data + (2 * i + 1) * s->rows / (2 * taken) * s->step[0];
        for (int64_t k = 0; k < s->channels; k++)
            about[k] += x[k] / (float)taken;
    }
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
    float *y = c->out.data;
    for (int64_t k = 0; k < s.channels; k++) {
        double a = 0, b = 0;
        for (int64_t i = 0; i < blocks; i++) {
            a += s.part[i * 2 * s.channels + k];
            b += s.part[(i * 2 + 1) * s.channels + k];
        }
        if (c->n_in == 1) {                              /* moments about `about` */
            a /= (double)s.rows;
            b = b / (double)s.rows - a * a;
            a += (double)s.about[k];
            b = b > 0 ? b : 0;
        }
        y[k] = (float)a;
        y[s.channels + k] = (float)b;
    }
}

#define SUMS(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .prefers = prefers, .prepare = prepare, .run = run };
SUMS(channel_moments)
SUMS(channel_dots)
