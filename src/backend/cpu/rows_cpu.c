/* rows_cpu.c - softmax and norms along an axis whose numbers lie side by side: the last of tokens, the channels of
 * images. */
#include "kernels.h"
#include "packed_product.h"

static int axis_of(const tg_call *c)
{
    return c->op->attr_size == sizeof(axis_attr) ? ((const axis_attr *)c->attr)->axis
                                                 : ((const norm_attr *)c->attr)->axis;
}

static const char *declines(const tg_call *c)
{
    int axis = axis_of(c);
    if (!all_f32(c))
        return "not float";
    if ((c->in[0].stride[axis] != 1 || c->out.stride[axis] != 1) && c->out.shape.dim[axis] > 1)
        return "strided axis";
    for (int i = 1; i < c->n_in; i++)
        if (c->in[i].stride[0] != 1 && c->in[i].shape.dim[0] > 1)
            return "strided weight";
    return NULL;
}

/* Channels-last where the axis is the channels; else row-major, if it is the last. */
static void lie(tg_tensor *t, int axis)
{
    if (t->stride[axis] == 1)
        return;
    if (t->shape.rank == 4 && axis == 1)
        tg_channels_last(t);
    else if (axis == t->shape.rank - 1)
        tg_dense(t);
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    int axis = axis_of(c);
    lie(&in[0], axis);
    lie(out, axis);
}

struct rows {
    const tg_call *c;
    const rows_vec *v;
    void (*row)(const struct rows *r, const float *x, float *y);        /* NULL: layer norm, some rows at once */
    rowmap x, y;
    int64_t n;
    const float *weight, *bias;
    float eps;
};

enum { NARROW = 4096 };                     /* the longest row that may be bfloat16 */

static void work(void *arg, int64_t from, int64_t to)
{
    const struct rows *r = arg;
    enum { CHUNK = 64 };
    int64_t x[CHUNK], y[CHUNK];
    for (int64_t i = from; i < to; i += CHUNK) {
        int count = to - i < CHUNK ? (int)(to - i) : CHUNK;
        rowmap_offsets(&r->x, i, count, x);
        rowmap_offsets(&r->y, i, count, y);
        const tg_tensor *in = &r->c->in[0], *out = &r->c->out;
        const void *from_row[CHUNK];
        void *to_row[CHUNK];
        for (int k = 0; k < count; k++) {
            from_row[k] = tg_at(in->data, in->dtype, x[k]);
            to_row[k] = tg_at(out->data, out->dtype, y[k]);
        }
        if (!r->row)
            r->v->layer_norm(from_row, in->dtype == TG_BFLOAT, to_row, out->dtype == TG_BFLOAT, count, r->weight, r->bias, r->eps, r->n);
        for (int k = 0; k < count && r->row; k++) {
            float wide[2][NARROW], *result = to_row[k];
            const float *numbers = from_row[k];
            if (in->dtype == TG_BFLOAT)
                VEC_PICK(narrow_vec)->widen(from_row[k], wide[0], r->n), numbers = wide[0];
            if (out->dtype == TG_BFLOAT)
                result = wide[1];
            r->row(r, numbers, result);
            if (out->dtype == TG_BFLOAT)
                VEC_PICK(narrow_vec)->narrow(result, to_row[k], r->n);
        }
    }
}

/* The axes but this one, in the order of memory of the result. */
static void maps(struct rows *r, int axis)
{
    const tg_call *c = r->c;
    tg_tensor x = c->in[0], y = c->out;
    int64_t rows = 1;
    for (int i = 0; i < y.shape.rank; i++)
        rows *= i == axis ? 1 : y.shape.dim[i];
    x.shape.dim[axis] = y.shape.dim[axis] = 1;
    r->n = c->out.shape.dim[axis];
    r->x = rowmap_of(&x, 0, x.shape.rank);
    r->y = rowmap_of(&y, 0, y.shape.rank);
    pool_run(c->pool, rows, r->n < 4096 ? 4096 / r->n + 1 : 1, work, r);
}

static void softmax_row(const struct rows *r, const float *x, float *y) { r->v->softmax(x, y, r->n); }
static void rms_norm_row(const struct rows *r, const float *x, float *y)
{
    r->v->rms_norm(x, r->weight, r->eps, y, r->n);
}

static void run_softmax(const tg_call *c)
{
    struct rows r = { .c = c, .v = VEC_PICK(rows_vec), .row = softmax_row };
    maps(&r, axis_of(c));
}

static struct rows norm_rows(const tg_call *c)
{
    const norm_attr *a = c->attr;
    return (struct rows){ .c = c,
                          .v = VEC_PICK(rows_vec),
                          .eps = (float)a->eps,
                          .weight = a->weight ? c->in[1].data : NULL,
                          .bias = a->bias ? c->in[1 + a->weight].data : NULL };
}

static void run_layer_norm(const tg_call *c)
{
    struct rows r = norm_rows(c);
    maps(&r, axis_of(c));
}

static void run_rms_norm(const tg_call *c)
{
    struct rows r = norm_rows(c);
    r.row = rms_norm_row;
    maps(&r, axis_of(c));
}

static unsigned narrow(const tg_call *c) { return c->out.shape.dim[axis_of(c)] <= NARROW ? NARROW_RESULT | 1 : 0; }

#define ROWS(of, held) \
    const tg_kernel kernel_##of = { \
        .op = #of, .name = "cpu." #of, .declines = declines, .prefers = prefers, .run = run_##of, .narrow = held \
    };
ROWS(softmax, NULL)
ROWS(layer_norm, narrow)
ROWS(rms_norm, narrow)
