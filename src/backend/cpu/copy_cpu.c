/* copy_cpu.c - moving numbers: copies between layouts, and the ops that are copies of parts. */
#include <string.h>
#include "kernels.h"
#include "loops.h"
#include "packed_product.h"

struct copy { const elementwise_vec *v; const void *from; void *to; tg_dtype of; int64_t sf, st, across, across_st; };

static void copy_row(const void *arg, const int64_t *offset, int64_t n)
{
    const struct copy *k = arg;
    const float *from = tg_at(k->from, k->of, offset[1]);
    float *to = tg_at(k->to, k->of, offset[0]);
    if (k->sf == 1 && k->st == 1)
        memcpy(to, from, (size_t)(n * tg_size(k->of)));
    else if (k->of == TG_BFLOAT)
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)to)[i * k->st] = ((const uint16_t *)from)[i * k->sf];
    else
        for (int64_t i = 0; i < n; i++)
            to[i * k->st] = from[i * k->sf];
}

/* n columns of a transposition: `across` numbers lie side by side in `from`, n in `to`. */
static void transpose_row(const void *arg, const int64_t *offset, int64_t n)
{
    const struct copy *k = arg;
    k->v->transpose((const float *)k->from + offset[1], k->sf, (float *)k->to + offset[0], k->across_st, k->across, n);
}

/* An axis that is innermost in `from` but not in `to` is taken out of the loops and walked by transpose_row. */
static bool take_across(loops *l, struct copy *k)
{
    for (int a = 0; a < l->rank - 1; a++) {
        if (l->stride[1][a] != 1)
            continue;
        k->across = l->dim[a];
        k->across_st = l->stride[0][a];
        l->rank--;
        for (int b = a; b < l->rank; b++) {
            l->dim[b] = l->dim[b + 1];
            l->stride[0][b] = l->stride[0][b + 1];
            l->stride[1][b] = l->stride[1][b + 1];
        }
        return true;
    }
    return false;
}

/* to and from have one shape, and numbers of one kind; from's size-1 axes are repeated. */
static void copy(const tg_tensor *to, const tg_tensor *from, pool *p)
{
    const tg_tensor *t[] = { to, from };
    loops l = loops_of(t, 2);
    int last = l.rank - 1;
    struct copy k = { .v = VEC_PICK(elementwise_vec), .from = from->data, .to = to->data, .of = to->dtype,
                      .sf = l.stride[1][last], .st = l.stride[0][last] };
    if (k.st == 1 && k.sf > 1 && k.of == TG_F32 && take_across(&l, &k))
        loops_run(&l, p, k.across, transpose_row, &k);
    else
        loops_run(&l, p, 1, copy_row, &k);
}

static tg_tensor shifted(const tg_tensor *t, int axis, int64_t by, int64_t size)
{
    tg_tensor part = *t;
    part.data = tg_at(t->data, t->dtype, by * t->stride[axis]);
    part.shape.dim[axis] = size;
    return part;
}

static const char *declines(const tg_call *c) { return all_f32(c) ? NULL : "not float"; }

/* -- copy, expand: the shape stays --------------------------------------------------------------------------------- */

static void run_copy(const tg_call *c) { copy(&c->out, &c->in[0], c->pool); }

static void run_permute(const tg_call *c)
{
    const permute_attr *a = c->attr;
    tg_tensor from = c->in[0];
    for (int i = 0; i < c->out.shape.rank; i++) {
        from.shape.dim[i] = c->in[0].shape.dim[a->order[i]];
        from.stride[i] = c->in[0].stride[a->order[i]];
    }
    copy(&c->out, &from, c->pool);
}

static void run_slice(const tg_call *c)
{
    const slice_attr *a = c->attr;
    tg_tensor from = shifted(&c->in[0], a->axis, a->from, c->out.shape.dim[a->axis]);
    from.stride[a->axis] *= a->step ? a->step : 1;
    copy(&c->out, &from, c->pool);
}

/* Row-major order is kept: the result, which is dense, seen in the operand's shape. */
static void run_reshape(const tg_call *c)
{
    tg_tensor to = { .data = c->out.data, .dtype = c->out.dtype, .shape = c->in[0].shape };
    tg_dense(&to);
    copy(&to, &c->in[0], c->pool);
}

static const char *reshape_declines(const tg_call *c)
{
    return !all_f32(c) ? "not float" : tg_is_dense(&c->out) ? NULL : "result not dense";
}

static void reshape_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c, (void)in;
    tg_dense(out);
}

/* -- parts --------------------------------------------------------------------------------------------------------- */

static void run_concat(const tg_call *c)
{
    const axis_attr *a = c->attr;
    int64_t at = 0;
    for (int i = 0; i < c->n_in; i++) {
        int64_t size = c->in[i].shape.dim[a->axis];
        tg_tensor to = shifted(&c->out, a->axis, at, size);
        copy(&to, &c->in[i], c->pool);
        at += size;
    }
}

static void run_roll(const tg_call *c)
{
    const roll_attr *a = c->attr;
    int64_t n = c->in[0].shape.dim[a->axis], shift = (a->shift % n + n) % n;
    tg_tensor to = shifted(&c->out, a->axis, shift, n - shift), from = shifted(&c->in[0], a->axis, 0, n - shift);
    copy(&to, &from, c->pool);
    if (!shift)
        return;
    to = shifted(&c->out, a->axis, 0, shift);
    from = shifted(&c->in[0], a->axis, n - shift, shift);
    copy(&to, &from, c->pool);
}

static const char *pad_declines(const tg_call *c)
{
    const tg_pads *a = c->attr;
    for (int i = 0; i < c->out.shape.rank; i++)
        if (a->before[i] < 0 || a->after[i] < 0)
            return "cuts";
    return declines(c);
}

/* The middle, then the borders axis by axis, each of what lies within the axes after it: a constant, or rows of the result that are
 * there already. */
static void run_pad(const tg_call *c)
{
    const tg_pads *a = c->attr;
    const int rank = c->out.shape.rank;
    float value = (float)a->value;
    tg_tensor middle = c->out, one = { .data = &value };

    for (int i = 0; i < rank; i++)
        middle = shifted(&middle, i, a->before[i], c->in[0].shape.dim[i]);
    copy(&middle, &c->in[0], c->pool);
    for (int i = 0; i < rank; i++) {
        const int64_t n = c->in[0].shape.dim[i], before = a->before[i];
        tg_tensor whole = c->out;
        for (int k = i + 1; k < rank; k++)
            whole = shifted(&whole, k, a->before[k], c->in[0].shape.dim[k]);
        for (int64_t k = 0; k < before + a->after[i]; k++) {
            int64_t at = k < before ? k - before : n + k - before;
            tg_tensor to = shifted(&whole, i, at + before, 1), from = one;
            if (a->mode != TG_PAD_CONST)
                from = shifted(&whole, i, pad_source(a, at, n) + before, 1);
            copy(&to, &from, c->pool);
        }
    }
}

/* -- gather: whole rows of a table, and back --------------------------------------------------------------------------------- */

static const char *gather_declines(const tg_call *c)
{
    return !all_f32(c) ? "not float" : !tg_is_dense(&c->in[0]) || !tg_is_dense(&c->in[1]) || !tg_is_dense(&c->out)
                                       ? "not dense" : NULL;
}

static int64_t row_at(float index, int64_t n) { return index < 0 ? 0 : index >= (float)n ? n - 1 : (int64_t)index; }

static void gather_rows(void *arg, int64_t from, int64_t to)
{
    const tg_call *c = arg;
    const float *table = c->in[0].data, *index = c->in[1].data;
    int64_t n = c->in[0].shape.dim[0], width = tg_span(c->in[0].shape, 1, c->in[0].shape.rank);
    for (int64_t i = from; i < to; i++) {
        memcpy((float *)c->out.data + i * width, table + row_at(index[i], n) * width, (size_t)width * sizeof(float));
    }
}

static void run_gather(const tg_call *c)
{
    tg_call call = *c;
    pool_run(c->pool, tg_numel(c->in[1].shape), 64, gather_rows, &call);
}

static const char *gather_grad_declines(const tg_call *c)
{
    return !all_f32(c) ? "not float" : !tg_is_dense(&c->in[1]) ? "not dense" : NULL;
}

static size_t sums_bytes(const tg_call *c) { return lines(c->out.shape.dim[0]); }

static bool prepare_gather_grad(const tg_call *c, tg_prep *prep)
{
    prep->scratch = sums_bytes(c) * (size_t)pool_threads(c->pool);
    return true;
}

/* Columns of the table's gradient: each sums its numbers in their order, whoever does it, and apart, as columns share cache lines. */
static void gather_grad_columns(void *arg, int64_t from, int64_t to)
{
    enum { PIECE = 64 };
    const tg_call *c = arg;
    const tg_tensor *dy = &c->in[0], *dx = &c->out;
    const float *index = c->in[1].data;
    const int axes = c->in[1].shape.rank;
    const int64_t n = dx->shape.dim[0], rows = tg_numel(c->in[1].shape);
    float *sums = (float *)(void *)((char *)c->scratch + (size_t)pool_worker() * sums_bytes(c));
    const rowmap row = rowmap_of(dy, 0, axes), column = rowmap_of(dy, axes, dy->shape.rank), place = rowmap_of(dx, 1, dx->shape.rank);
    for (int64_t j = from; j < to; j++) {
        int64_t first, at, offset[PIECE];
        rowmap_offsets(&column, j, 1, &first);
        rowmap_offsets(&place, j, 1, &at);
        memset(sums, 0, (size_t)n * sizeof *sums);
        for (int64_t i = 0; i < rows; i += PIECE) {
            const int here = (int)(rows - i < PIECE ? rows - i : PIECE);
            rowmap_offsets(&row, i, here, offset);
            for (int k = 0; k < here; k++)
                sums[row_at(index[i + k], n)] += (float)tg_get(dy, first + offset[k]);
        }
        for (int64_t i = 0; i < n; i++)
            ((float *)dx->data)[at + i * dx->stride[0]] = sums[i];
    }
}

static void run_gather_grad(const tg_call *c)
{
    tg_call call = *c;
    pool_run(c->pool, tg_span(c->out.shape, 1, c->out.shape.rank), 1, gather_grad_columns, &call);
}

static unsigned gather_grad_narrow(const tg_call *c)
{
    (void)c;
    return 1;
}

static unsigned narrow(const tg_call *c)
{
    (void)c;
    return ~0u;                             /* numbers of either kind, but all of one */
}

#define COPY(op_name, why, want, kinds) \
    const tg_kernel kernel_##op_name = { \
        .op = #op_name, .name = "cpu." #op_name, .declines = why, .prefers = want, .run = run_##op_name, .narrow = kinds };
#define run_expand run_copy
COPY(copy, declines, NULL, narrow)
COPY(expand, declines, NULL, narrow)
COPY(permute, declines, NULL, narrow)
COPY(slice, declines, NULL, narrow)
COPY(reshape, reshape_declines, reshape_prefers, narrow)
COPY(concat, declines, NULL, narrow)
COPY(roll, declines, NULL, narrow)
COPY(pad, pad_declines, NULL, NULL)
COPY(gather, gather_declines, NULL, NULL)

const tg_kernel kernel_gather_grad = { .op = "gather_grad", .name = "cpu.gather_grad", .declines = gather_grad_declines,
                                       .prepare = prepare_gather_grad, .run = run_gather_grad, .narrow = gather_grad_narrow };
