/* group_norm_cpu.c - group_norm and its gradients, channels-last.
 *
 * An image's rows are added up in blocks that do not depend on the threads, each channel's about the mean p of some rows, so that
 * nothing cancels; the channels of a group are put together; then all rows are the same function, channel by channel.
 */
#include <math.h>
#include <string.h>
#include "channels.h"

enum { BLOCKS = 16, BLOCK = 1 << 14, ROWS = 64 };   /* of an image, at most so many, none smaller than so many numbers; rows that stay near */
enum { SAMPLES = 16 };                      /* rows whose mean sums are taken about */
enum { SUM, SQUARES, OF_DY, DOT, SUMS };    /* of x - p, (x - p)^2, dy, dy (x - p) */

typedef struct groups {
    const tg_call *c;
    const norm_attr *a;
    rowmap x, dy;                           /* pixels of an image */
    bool back;                              /* there is a dy */
    int64_t images, channels, rows, blocks;
    float *by;                              /* [image][3][channels]: factors of x and dy, and what is added */
    float *about;                           /* [image][channels]: p */
    double *sums;                           /* [image][block][SUMS][channels] */
} groups;

static groups groups_of(const tg_call *c, bool back)
{
    const tg_shape s = c->in[0].shape;
    groups g = { .c = c, .a = c->attr, .x = pixels_of(&c->in[0], true), .back = back, .images = s.dim[0], .channels = s.dim[1], .by = c->scratch };
    if (back)
        g.dy = pixels_of(&c->in[1], true);
    g.rows = tg_numel(s) / g.images / g.channels;
    int64_t most = g.rows * g.channels / BLOCK;
    g.blocks = most < 1 ? 1 : most > BLOCKS ? BLOCKS : most;
    g.about = g.by + 3 * g.images * g.channels;
    g.sums = (double *)(void *)((char *)c->scratch + lines(4 * g.images * g.channels));
    return g;
}

static size_t room(const groups *g)
{
    return lines(4 * g->images * g->channels) + (size_t)(SUMS * g->images * g->blocks * g->channels) * sizeof(double);
}

/* Rows from i on, up to n, that lie one step apart: how many, and where. */
static int64_t run_of(const rowmap *m, int64_t i, int64_t n, int64_t *offset, int64_t *step)
{
    const int inner = m->rank - 1;
    const int64_t run = inner < 0 ? 1 : m->dim[inner];
    *step = inner < 0 ? 0 : m->stride[inner];
    rowmap_offsets(m, i, 1, offset);
    return n < run - i % run ? n : run - i % run;
}

static void sample_mean(void *arg, int64_t from, int64_t to)
{
    const groups *g = arg;
    const tg_tensor *x = &g->c->in[0];
    const int64_t taken = g->rows < SAMPLES ? g->rows : SAMPLES;
    for (int64_t image = from; image < to; image++) {
        float *about = g->about + image * g->channels;
        memset(about, 0, (size_t)g->channels * sizeof *about);
        for (int64_t i = 0; i < taken; i++) {
            int64_t at;
            rowmap_offsets(&g->x, (2 * i + 1) * g->rows / (2 * taken), 1, &at);
            const float *row = (const float *)x->data + image * x->stride[0] + at;
            for (int64_t k = 0; k < g->channels; k++)
                about[k] += row[k] / (float)taken;
        }
    }
}

static void add_block(void *arg, int64_t from, int64_t to)
{
    const groups *g = arg;
    const channels_vec *v = VEC_PICK(channels_vec);
    const tg_tensor *x = &g->c->in[0], *dy = &g->c->in[1];
    const int64_t c = g->channels;
    for (int64_t k = from; k < to; k++) {
        const int64_t image = k / g->blocks, end = g->rows * (k % g->blocks + 1) / g->blocks;
        const float *pixels = (const float *)x->data + image * x->stride[0], *about = g->about + image * c;
        double *sum = g->sums + k * SUMS * c;
        memset(sum, 0, (size_t)(SUMS * c) * sizeof *sum);
        for (int64_t i = g->rows * (k % g->blocks) / g->blocks, n; i < end; i += n) {
            int64_t at, step, back = 0, back_step = 0;
            n = run_of(&g->x, i, end - i < ROWS ? end - i : ROWS, &at, &step);
            if (g->back)
                n = run_of(&g->dy, i, n, &back, &back_step);
            v->moments(pixels + at, false, step, n, about, sum + SUM * c, sum + SQUARES * c, c);
            if (g->back)
                v->dots((const float *)dy->data + image * dy->stride[0] + back, false, back_step, pixels + at, false, step, n, about, sum + OF_DY * c,
                        sum + DOT * c, c);
        }
    }
}

static void add_up(groups *g)
{
    pool_run(g->c->pool, g->images, 1, sample_mean, g);
    pool_run(g->c->pool, g->images * g->blocks, 1, add_block, g);
}

/* The blocks' sums of channels [first, first + width), in the first block's place; then mean and 1 / sqrt(var + eps) of the group:
 * squares about the mean m are s2 - 2 (m - p) s1 + n (m - p)^2. */
static void statistics(const groups *g, int64_t image, int64_t first, int64_t width, double *mean, double *r)
{
    const float *about = g->about + image * g->channels;
    const double rows = (double)g->rows;
    double *sum = g->sums + image * g->blocks * SUMS * g->channels, all = 0;
    for (int64_t b = 1; b < g->blocks; b++)
        for (int kind = 0; kind < (g->back ? SUMS : OF_DY); kind++)
            for (int64_t i = first; i < first + width; i++)
                sum[kind * g->channels + i] += sum[(b * SUMS + kind) * g->channels + i];
    *mean = 0;
    for (int64_t i = first; i < first + width; i++)
        *mean += (sum[i] / rows + (double)about[i]) / (double)width;
    for (int64_t i = first; i < first + width; i++) {
        double off = *mean - (double)about[i];
        all += sum[SQUARES * g->channels + i] - 2 * off * sum[i] + rows * off * off;
    }
    *r = 1 / sqrt(fmax(all, 0) / (rows * (double)width) + g->a->eps);
}

/* -- group_norm: y = scale x + shift ------------------------------------------------------------------------------- */

static void scales_of_group(void *arg, int64_t from, int64_t to)
{
    const groups *g = arg;
    const norm_attr *a = g->a;
    const float *weight = a->weight ? g->c->in[1].data : NULL, *bias = a->bias ? g->c->in[1 + a->weight].data : NULL;
    const int64_t width = g->channels / a->groups;
    for (int64_t k = from; k < to; k++) {
        const int64_t image = k / a->groups, first = k % a->groups * width;
        float *scale = g->by + 3 * image * g->channels, *shift = scale + g->channels;
        double mean, r;
        statistics(g, image, first, width, &mean, &r);
        for (int64_t i = first; i < first + width; i++) {
            double s = (weight ? (double)weight[i] : 1) * r;
            scale[i] = (float)s;
            shift[i] = (float)((bias ? (double)bias[i] : 0) - mean * s);
        }
    }
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    groups g = groups_of(c, false);
    prep->scratch = room(&g);
    return true;
}

static void run(const tg_call *c)
{
    groups g = groups_of(c, false);
    add_up(&g);
    pool_run(c->pool, g.images * g.a->groups, 1, scales_of_group, &g);
    for (int64_t i = 0; i < g.images; i++)
        scale_channels(c, i, true, g.by + 3 * i * g.channels, g.by + (3 * i + 1) * g.channels);
}

const tg_kernel kernel_group_norm = { .op = "group_norm", .name = "cpu.group_norm", .declines = channels_declines, .prefers = channels_prefers,
                                      .prepare = prepare, .run = run };

/* -- its gradients: dx = r w dy - r^2 b (x - mean) - r a, where a and b are the group's means of w dy and w dy hat ------- */

static const char *grad_declines(const tg_call *c)
{
    if (!all_f32(c))
        return "not float";
    for (int i = 0; i < 2; i++)
        if (c->in[i].stride[1] != 1 && c->in[i].shape.dim[1] > 1)
            return "not channels-last";
    if (c->n_in > 2 && c->in[2].stride[0] != 1 && c->in[2].shape.dim[0] > 1)
        return "strided weight";
    return tg_is_dense(&c->out) ? NULL : "strided result";
}

static void grad_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    for (int i = 0; i < 2; i++)
        if (in[i].stride[1] != 1)
            channels_innermost(&in[i]);
    tg_dense(out);
}

/* And in the place of the image's sums of x and its squares, what its channels add to dweight and dbias. */
static void factors_of_group(void *arg, int64_t from, int64_t to)
{
    const groups *g = arg;
    const int64_t c = g->channels, width = c / g->a->groups;
    const float *weight = g->a->weight ? g->c->in[2].data : NULL;
    for (int64_t k = from; k < to; k++) {
        const int64_t image = k / g->a->groups, first = k % g->a->groups * width;
        const float *about = g->about + image * c;
        const double n = (double)(g->rows * width);
        double *sum = g->sums + image * g->blocks * SUMS * c, mean, r, a = 0, b = 0;
        float *of_x = g->by + 3 * image * c, *of_dy = of_x + c, *more = of_dy + c;
        statistics(g, image, first, width, &mean, &r);
        for (int64_t i = first; i < first + width; i++) {
            double w = weight ? (double)weight[i] : 1, of_hat = r * (sum[DOT * c + i] - (mean - (double)about[i]) * sum[OF_DY * c + i]);
            a += w * sum[OF_DY * c + i] / n;
            b += w * of_hat / n;
            of_dy[i] = (float)(r * w);
            sum[i] = of_hat;
            sum[c + i] = sum[OF_DY * c + i];
        }
        for (int64_t i = first; i < first + width; i++) {
            of_x[i] = (float)(-r * r * b);
            more[i] = (float)(r * r * b * mean - r * a);
        }
    }
}

static void grad_rows(void *arg, int64_t from, int64_t to)
{
    const groups *g = arg;
    const elementwise_vec *v = VEC_PICK(elementwise_vec);
    const tg_tensor *x = &g->c->in[0], *dy = &g->c->in[1];
    for (int64_t k = from; k < to; k++) {
        const int64_t image = k / g->blocks, end = g->rows * (k % g->blocks + 1) / g->blocks, c = g->channels;
        const float *by = g->by + 3 * image * c;
        for (int64_t i = g->rows * (k % g->blocks) / g->blocks, n; i < end; i += n) {
            int64_t at, step, back, back_step;
            n = run_of(&g->x, i, end - i, &at, &step);
            n = run_of(&g->dy, i, n, &back, &back_step);
            const float *px = (const float *)x->data + image * x->stride[0] + at, *pd = (const float *)dy->data + image * dy->stride[0] + back;
            float *to_dx = (float *)g->c->out.data + (image * g->rows + i) * c;
            for (int64_t r = 0; r < n; r++)
                v->scale_two(px + r * step, by, pd + r * back_step, by + c, by + 2 * c, to_dx + r * c, c);
        }
    }
}

static bool grad_prepare(const tg_call *c, tg_prep *prep)
{
    groups g = groups_of(c, true);
    prep->scratch = room(&g);
    return true;
}

static void grad_run(const tg_call *c)
{
    groups g = groups_of(c, true);
    add_up(&g);
    pool_run(c->pool, g.images * g.a->groups, 1, factors_of_group, &g);
    pool_run(c->pool, g.images * g.blocks, 1, grad_rows, &g);
    float *to = (float *)c->out.data + tg_numel(c->in[0].shape);
    for (int part = 0; part < 2; part++) {
        if (!(part ? g.a->bias : g.a->weight))
            continue;
        for (int64_t i = 0; i < g.channels; i++) {
            double sum = 0;
            for (int64_t image = 0; image < g.images; image++)
                sum += g.sums[(image * g.blocks * SUMS + part) * g.channels + i];
            *to++ = (float)sum;
        }
    }
}

const tg_kernel kernel_group_norm_grad = { .op = "group_norm_grad", .name = "cpu.group_norm_grad", .declines = grad_declines,
                                           .prefers = grad_prefers, .prepare = grad_prepare, .run = grad_run };
