/* layer_norm_grad_cpu.c - rows of dx, and the sums over rows for the weight and the bias: a lot of rows has its own, of
 * groups of rows first, which keeps rounding errors of long sums small; the lots' sums are added in their order. */
#include <stdlib.h>
#include "kernels.h"
#include "packed_product.h"

enum { LOTS = 16, GROUP = 32 };

typedef struct state { rowmap x, dy; int64_t rows, n, lots; size_t sums; } state;     /* sums: bytes of a lot */

static const char *declines(const tg_call *c)
{
    int axis = ((const norm_attr *)c->attr)->axis;
    if (!all_f32(c))
        return "not float";
    for (int i = 0; i < 2; i++)
        if (c->in[i].stride[axis] != 1 && c->in[i].shape.dim[axis] > 1)
            return "strided axis";
    return c->n_in > 2 && c->in[2].stride[0] != 1 && c->in[2].shape.dim[0] > 1 ? "strided weight" : NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    int axis = ((const norm_attr *)c->attr)->axis;
    (void)out;
    for (int i = 0; i < 2; i++)
        if (in[i].stride[axis] != 1 && in[i].shape.rank == 4 && axis == 1)
            tg_channels_last(&in[i]);
        else if (in[i].stride[axis] != 1 && axis == in[i].shape.rank - 1)
            tg_dense(&in[i]);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    int axis = ((const norm_attr *)c->attr)->axis;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for the gradient of a norm");
    tg_tensor x = c->in[0], dy = c->in[1];
    s->n = x.shape.dim[axis];
    s->rows = tg_numel(x.shape) / (s->n ? s->n : 1);
    x.shape.dim[axis] = dy.shape.dim[axis] = 1;
    s->x = rowmap_of(&x, 0, x.shape.rank);
    s->dy = rowmap_of(&dy, 0, dy.shape.rank);
    s->lots = s->rows < LOTS ? s->rows : LOTS;
    s->sums = ((size_t)s->n * 4 * sizeof(float) + 63) / 64 * 64;
    prep->scratch = s->sums * (size_t)s->lots;
    prep->state = s;
    return true;
}

/* A lot's sums of dweight and dbias, and behind them those of the group at hand, which are added and cleared. */
static void add_group(float *sums, int64_t n)
{
    float *group = sums + 2 * n;
    for (int64_t i = 0; i < 2 * n; i++) {
        sums[i] += group[i];
        group[i] = 0;
    }
}

static void work(void *arg, int64_t from, int64_t to)
{
    const tg_call *c = arg;
    const state *s = c->state;
    const norm_attr *a = c->attr;
    const rows_vec *v = VEC_PICK(rows_vec);
    const int64_t n = s->n;
    for (int64_t lot = from; lot < to; lot++) {
        float *sums = (float *)(void *)((char *)c->scratch + (size_t)lot * s->sums), *group = sums + 2 * n;
        for (int64_t i = 0; i < 4 * n; i++)
            sums[i] = 0;
        for (int64_t i = s->rows * lot / s->lots, end = s->rows * (lot + 1) / s->lots; i < end;) {
            int64_t x[GROUP], dy[GROUP];
            int count = end - i < GROUP ? (int)(end - i) : GROUP;
            rowmap_offsets(&s->x, i, count, x);
            rowmap_offsets(&s->dy, i, count, dy);
            for (int k = 0; k < count; k++, i++)
                v->layer_norm_back((const float *)c->in[0].data + x[k], (const float *)c->in[1].data + dy[k],
                                   a->weight ? c->in[2].data : NULL, (float)a->eps, (float *)c->out.data + i * n,
                                   a->weight ? group : NULL, a->bias ? group + n : NULL, n);
            add_group(sums, n);
        }
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    const norm_attr *a = c->attr;
    float *to = (float *)c->out.data + s->rows * s->n;
    tg_call copy = *c;
    pool_run(c->pool, s->lots, 1, work, &copy);
    for (int part = 0; part < 2; part++) {
        if (!(part ? a->bias : a->weight))
            continue;
        for (int64_t lot = 0; lot < s->lots; lot++) {
            const float *sums = (const float *)(const void *)((const char *)c->scratch + (size_t)lot * s->sums) + part * s->n;
            for (int64_t i = 0; i < s->n; i++)
                to[i] = lot ? to[i] + sums[i] : sums[i];
        }
        to += s->n;
    }
}

static void release(void *s) { free(s); }

const tg_kernel kernel_layer_norm_grad = { .op = "layer_norm_grad", .name = "cpu.layer_norm_grad", .declines = declines, .prefers = prefers,
                                           .prepare = prepare, .run = run, .release = release };
