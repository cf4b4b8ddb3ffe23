/* channels_cpu.c - norms that end in one scale and one shift a channel: batch_norm, group_norm.  Channels-last. */
#include <math.h>
#include <string.h>
#include "kernels.h"
#include "packed_product.h"

enum { CHUNK = 64 };

static const char *declines(const tg_call *c)
{
    if (!all_f32(c))
        return "not float";
    if (c->out.shape.dim[1] > 1 && (c->in[0].stride[1] != 1 || c->out.stride[1] != 1))
        return "not channels-last";
    for (int i = 1; i < c->n_in; i++)
        if (c->in[i].shape.dim[0] > 1 && c->in[i].stride[0] != 1)
            return "strided weight";
    return NULL;
}

static void channels_innermost(tg_tensor *t)
{
    if (t->shape.rank == 4)
        tg_channels_last(t);
    else if (t->shape.rank == 2)
        tg_dense(t);
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    if (in[0].stride[1] != 1)
        channels_innermost(&in[0]);
    channels_innermost(out);
}

static rowmap pixels_of(const tg_tensor *t, bool one_image)
{
    tg_tensor part = *t;
    part.shape.dim[1] = 1;
    if (one_image)
        part.shape.dim[0] = 1;
    return rowmap_of(&part, 0, part.shape.rank);
}

/* -- the last step: y = scale x + shift ---------------------------------------------------------------------------- */

struct apply { const elementwise_vec *v; const float *x, *scale, *shift; float *y; rowmap from, to; int64_t channels; };

static void apply(void *arg, int64_t from, int64_t to)
{
    const struct apply *k = arg;
    int64_t x[CHUNK], y[CHUNK];
    for (int64_t i = from; i < to; i += CHUNK) {
        int count = to - i < CHUNK ? (int)(to - i) : CHUNK;
        rowmap_offsets(&k->from, i, count, x);
        rowmap_offsets(&k->to, i, count, y);
        for (int j = 0; j < count; j++)
            k->v->scale_shift(k->x + x[j], k->scale, k->shift, k->y + y[j], k->channels);
    }
}

static void run_apply(const tg_call *c, int64_t image, bool one_image, const float *scale, const float *shift)
{
    int64_t channels = c->out.shape.dim[1],
            rows = tg_numel(c->out.shape) / channels / (one_image ? c->out.shape.dim[0] : 1);
    struct apply k = { .v = VEC_PICK(elementwise_vec), .scale = scale, .shift = shift, .channels = channels,
                       .x = (const float *)c->in[0].data + image * c->in[0].stride[0],
                       .y = (float *)c->out.data + image * c->out.stride[0],
                       .from = pixels_of(&c->in[0], one_image), .to = pixels_of(&c->out, one_image) };
    pool_run(c->pool, rows, 8192 / channels + 1, apply, &k);
}

/* -- batch_norm ---------------------------------------------------------------------------------------------------- */

/* Scale and shift of every channel. */
static bool prepare_batch_norm(const tg_call *c, tg_prep *prep)
{
    prep->scratch = 2 * lines(c->out.shape.dim[1]);
    return true;
}

static void run_batch_norm(const tg_call *c)
{
    const norm_attr *a = c->attr;
    int at = 1;
    const float *weight = a->weight ? c->in[at++].data : NULL, *bias = a->bias ? c->in[at++].data : NULL;
    const float *mean = c->in[at].data, *var = c->in[at + 1].data;
    int64_t n = c->out.shape.dim[1];
    float *scale = c->scratch, *shift = scale + n;

    for (int64_t i = 0; i < n; i++) {
        double s = (weight ? (double)weight[i] : 1) / sqrt((double)var[i] + a->eps);
        scale[i] = (float)s;
        shift[i] = (float)((bias ? (double)bias[i] : 0) - (double)mean[i] * s);
    }
    run_apply(c, 0, false, scale, shift);
}

/* -- group_norm ---------------------------------------------------------------------------------------------------- */

/* An image's rows are added up in blocks that do not depend on the threads, each channel's about the image's first pixel, so that
 * nothing cancels; then the channels of a group are put together. */
enum { BLOCKS = 16, BLOCK = 1 << 14 };      /* of an image, at most so many, and none smaller than so many numbers */

typedef struct groups {
    const tg_call *c;
    rowmap pixels;
    int64_t channels, rows, blocks;
    float *scale;                           /* [image][2][channels]: scale and shift */
    double *sums;                           /* [image][block][2][channels]: sums, squares */
} groups;

static groups groups_of(const tg_call *c)
{
    groups g = { .c = c, .pixels = pixels_of(&c->in[0], true), .channels = c->out.shape.dim[1], .scale = c->scratch };
    g.rows = tg_numel(c->out.shape) / c->out.shape.dim[0] / g.channels;
    int64_t most = g.rows * g.channels / BLOCK;
    g.blocks = most < 1 ? 1 : most > BLOCKS ? BLOCKS : most;
    g.sums = (double *)(void *)((char *)c->scratch + lines(2 * c->out.shape.dim[0] * g.channels));
    return g;
}

static bool prepare_group_norm(const tg_call *c, tg_prep *prep)
{
    groups g = groups_of(c);
    prep->scratch = lines(2 * c->out.shape.dim[0] * g.channels) + (size_t)(2 * c->out.shape.dim[0] * g.blocks * g.channels) * sizeof(double);
    return true;
}

static void add_block(void *arg, int64_t from, int64_t to)
{
    const groups *g = arg;
    const channels_vec *v = VEC_PICK(channels_vec);
    const tg_tensor *x = &g->c->in[0];
    const int inner = g->pixels.rank - 1;
    const int64_t run = inner < 0 ? 1 : g->pixels.dim[inner], step = inner < 0 ? 0 : g->pixels.stride[inner];
    for (int64_t k = from; k < to; k++) {
        const float *image = (const float *)x->data + k / g->blocks * x->stride[0];
        double *sum = g->sums + k * 2 * g->channels;
        memset(sum, 0, (size_t)(2 * g->channels) * sizeof *sum);
        int64_t i = g->rows * (k % g->blocks) / g->blocks, end = g->rows * (k % g->blocks + 1) / g->blocks, n, offset;
        for (; i < end; i += n) {                        /* rows that lie evenly */
            n = run - i % run < end - i ? run - i % run : end - i;
            rowmap_offsets(&g->pixels, i, 1, &offset);
            v->moments(image + offset, step, n, image, sum, sum + g->channels, g->channels);
        }
    }
}

/* Group k of all images: the mean m, then the squares about it, s2 - 2 (m - p) s1 + n (m - p)^2 of a channel with the first pixel p. */
static void norm_of_group(void *arg, int64_t from, int64_t to)
{
    const groups *g = arg;
    const norm_attr *a = g->c->attr;
    const tg_tensor *x = &g->c->in[0];
    const float *weight = a->weight ? g->c->in[1].data : NULL, *bias = a->bias ? g->c->in[1 + a->weight].data : NULL;
    const int64_t width = g->channels / a->groups;
    for (int64_t k = from; k < to; k++) {
        const int64_t image = k / a->groups, first = k % a->groups * width;
        const float *pixel = (const float *)x->data + image * x->stride[0];
        double *sum = g->sums + image * g->blocks * 2 * g->channels, *squares = sum + g->channels;
        double mean = 0, all = 0, rows = (double)g->rows;
        for (int64_t i = first; i < first + width; i++) {
            for (int64_t b = 1; b < g->blocks; b++) {
                sum[i] += sum[b * 2 * g->channels + i];
                squares[i] += squares[b * 2 * g->channels + i];
            }
            mean += (sum[i] / rows + (double)pixel[i]) / (double)width;
        }
        for (int64_t i = first; i < first + width; i++) {
            double off = mean - (double)pixel[i];
            all += squares[i] - 2 * off * sum[i] + rows * off * off;
        }
        const double by = 1 / sqrt(fmax(all, 0) / (rows * (double)width) + a->eps);
        float *scale = g->scale + 2 * image * g->channels, *shift = scale + g->channels;
        for (int64_t i = first; i < first + width; i++) {
            double s = (weight ? (double)weight[i] : 1) * by;
            scale[i] = (float)s;
            shift[i] = (float)((bias ? (double)bias[i] : 0) - mean * s);
        }
    }
}

static void run_group_norm(const tg_call *c)
{
    groups g = groups_of(c);
    const int64_t images = c->out.shape.dim[0];
    pool_run(c->pool, images * g.blocks, 1, add_block, &g);
    pool_run(c->pool, images * ((const norm_attr *)c->attr)->groups, 1, norm_of_group, &g);
    for (int64_t i = 0; i < images; i++)
        run_apply(c, i, true, g.scale + 2 * i * g.channels, g.scale + (2 * i + 1) * g.channels);
}

#define CHANNELS(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .prefers = prefers, \
                                    .prepare = prepare_##of, .run = run_##of };
CHANNELS(batch_norm)
CHANNELS(group_norm)
