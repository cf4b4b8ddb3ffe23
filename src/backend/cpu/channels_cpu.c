/* channels_cpu.c - norms that end in one scale and one shift a channel: batch_norm, group_norm.  Channels-last. */
#include <math.h>
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

/* Scale and shift of every channel, a set for each image (group_norm) or one (batch_norm). */
static bool prepare(const tg_call *c, tg_prep *prep)
{
    int64_t sets = ((const norm_attr *)c->attr)->groups ? c->out.shape.dim[0] : 1;
    prep->scratch = (size_t)(2 * sets * c->out.shape.dim[1]) * sizeof(float);
    return true;
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

/* Mean of one group of one image, then its mean square distance from it. */
static void group(void *arg, int64_t from, int64_t to)
{
    const tg_call *c = arg;
    const norm_attr *a = c->attr;
    const rows_vec *v = VEC_PICK(rows_vec);
    const tg_tensor *x = &c->in[0];
    const float *weight = a->weight ? c->in[1].data : NULL, *bias = a->bias ? c->in[1 + a->weight].data : NULL;
    rowmap map = pixels_of(x, true);
    int64_t n = c->out.shape.dim[1], width = n / a->groups, rows = tg_numel(x->shape) / x->shape.dim[0] / n,
            offset[CHUNK];

    for (int64_t k = from; k < to; k++) {
        int64_t first = k % a->groups * width, image = k / a->groups;
        const float *data = (const float *)x->data + image * x->stride[0] + first * x->stride[1];
        float *scale = (float *)c->scratch + 2 * image * n, *shift = scale + n;
        double sum = 0, squares = 0, all = (double)(rows * width);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t i = 0; i < rows; i += CHUNK) {
                int count = rows - i < CHUNK ? (int)(rows - i) : CHUNK;
                rowmap_offsets(&map, i, count, offset);
                for (int j = 0; j < count; j++)
                    if (pass)
                        squares += (double)v->variance(data + offset[j], (float)(sum / all), width);
                    else
                        sum += (double)v->reduce(REDUCE_SUM, data + offset[j], width);
            }
        double by = 1 / sqrt(squares / all + a->eps);
        for (int64_t i = first; i < first + width; i++) {
            double s = (weight ? (double)weight[i] : 1) * by;
            scale[i] = (float)s;
            shift[i] = (float)((bias ? (double)bias[i] : 0) - sum / all * s);
        }
    }
}

static void run_group_norm(const tg_call *c)
{
    const norm_attr *a = c->attr;
    int64_t images = c->out.shape.dim[0], n = c->out.shape.dim[1];
    tg_call copy = *c;
    pool_run(c->pool, images * a->groups, 1, group, &copy);
    for (int64_t i = 0; i < images; i++) {
        const float *scale = (const float *)c->scratch + 2 * i * n;
        run_apply(c, i, true, scale, scale + n);
    }
}

#define CHANNELS(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .prefers = prefers, \
                                    .prepare = prepare, .run = run_##of };
CHANNELS(batch_norm)
CHANNELS(group_norm)
