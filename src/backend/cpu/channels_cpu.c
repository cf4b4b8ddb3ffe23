/* channels_cpu.c - batch_norm, which ends in one scale and one shift a channel, as group_norm does.  Channels-last. */
#include <math.h>
#include "channels.h"
#include "kernels.h"
#include "packed_product.h"

enum { CHUNK = 64 };

const char *channels_declines(const tg_call *c)
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

void channels_innermost(tg_tensor *t)
{
    if (t->shape.rank == 4)
        tg_channels_last(t);
    else if (t->shape.rank == 2)
        tg_dense(t);
}

void channels_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    if (in[0].stride[1] != 1)
        channels_innermost(&in[0]);
    channels_innermost(out);
}

rowmap pixels_of(const tg_tensor *t, bool one_image)
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

void scale_channels(const tg_call *c, int64_t image, bool one_image, const float *scale, const float *shift)
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
static bool prepare(const tg_call *c, tg_prep *prep)
{
    prep->scratch = 2 * lines(c->out.shape.dim[1]);
    return true;
}

static void run(const tg_call *c)
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
    scale_channels(c, 0, false, scale, shift);
}

const tg_kernel kernel_batch_norm = { .op = "batch_norm", .name = "cpu.batch_norm", .declines = channels_declines, .prefers = channels_prefers,
                                      .prepare = prepare, .run = run };
