/* reduce_cpu.c - sum, mean and amax over axes; pooling windows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "packed_product.h"

/* The axes split into kept and reduced. Either the innermost axis in memory is kept: vectors of results are summed
 * over rows; or it is reduced: each result is the sum of runs. */
struct reduce {
    const tg_call *c;
    const rows_vec *v;
    reduce_kind kind;
    float scale;
    bool lanes_kept;
    int64_t lanes, piece;       /* numbers along the innermost axis; of them, those that a task reduces */
    rowmap kept, result, reduced;           /* without it */
    int64_t rows;               /* reduced ones */
    int parts;                  /* of many rows, so that threads reduce what they wrote; each part's results lie in scratch, where they are reduced, too */
};
enum { PARTS = 8, MANY = 64 };

static int innermost(const tg_tensor *t)
{
    int best = -1;
    for (int i = 0; i < t->shape.rank; i++)
        if (t->shape.dim[i] > 1 && t->stride[i] == 1)
            best = i;
    return best;
}

static const char *declines(const tg_call *c)
{
    const axes_attr *a = c->attr;
    int in = innermost(&c->in[0]);
    if (!all_f32(c))
        return "not float";
    if (in < 0)
        return "no innermost axis";
    return !(a->axes >> in & 1) && c->out.stride[in] != 1 ? "result lies otherwise" : NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    const axes_attr *a = c->attr;
    if (innermost(&in[0]) < 0)
        tg_dense(&in[0]);
    int i = innermost(&in[0]);
    if (i < 0 || a->axes >> i & 1)
        return;
    if (i == 1 && out->shape.rank == 4)
        tg_channels_last(out);
    else
        tg_dense(out);
}

static rowmap axes_of(const tg_tensor *t, unsigned axes, int but)
{
    tg_tensor part = *t;
    for (int i = 0; i < t->shape.rank; i++)
        if (!(axes >> i & 1) || i == but)
            part.shape.dim[i] = 1;
    return rowmap_of(&part, 0, part.shape.rank);
}

static int64_t count(const rowmap *r)
{
    int64_t n = 1;
    for (int i = 0; i < r->rank; i++)
        n *= r->dim[i];
    return n;
}

static float combine(reduce_kind kind, float a, float b) { return kind == REDUCE_SUM ? a + b : a > b ? a : b; }

/* One result: runs of `lanes`, summed by halves where there are many. */
static float result_of(const struct reduce *r, const float *x, int64_t from, int64_t to)
{
    if (to - from > 64) {
        int64_t middle = from + (to - from) / 2;
        return combine(r->kind, result_of(r, x, from, middle), result_of(r, x, middle, to));
    }
    int64_t offset[64];
    float s = r->kind == REDUCE_SUM ? 0 : -INFINITY;
    rowmap_offsets(&r->reduced, from, (int)(to - from), offset);
    for (int64_t i = 0; i < to - from; i++)
        s = combine(r->kind, s, r->v->reduce(r->kind, x + offset[i], r->lanes));
    return s;
}

/* `width` lanes of rows of equal distance, from `row` on. */
static void rows_of(const struct reduce *r, const void *x, int64_t row, int64_t rows, float scale, float *y, int64_t width)
{
    const int64_t step = r->reduced.rank ? r->reduced.stride[0] : 0;
    if (r->c->in[0].dtype == TG_BFLOAT)
        VEC_PICK(narrow_vec)->reduce_rows(r->kind, tg_at(x, TG_BFLOAT, row * step), step, rows, scale, y, width);
    else
        r->v->reduce_rows(r->kind, tg_at(x, TG_F32, row * step), step, rows, scale, y, width);
}

/* `width` lanes of results; rows of equal distance at once. */
static void lanes_of(const struct reduce *r, const void *numbers, float *y, int64_t width)
{
    const float *x = numbers;
    if (r->reduced.rank <= 1) {
        rows_of(r, x, 0, r->rows, r->scale, y, width);
        return;
    }
    const rowmap *m = &r->reduced;
    int last = m->rank - 1;
    rowmap outer = *m;
    outer.rank = last;
    float part[REDUCED_COLUMNS];
    for (int64_t i = 0, n = count(&outer); i < n; i++) {
        int64_t offset;
        rowmap_offsets(&outer, i, 1, &offset);
        r->v->reduce_rows(r->kind, x + offset, m->stride[last], m->dim[last], r->scale, part, width);
        for (int64_t j = 0; j < width; j++)
            y[j] = i ? combine(r->kind, y[j], part[j]) : part[j];
    }
}

static void work(void *arg, int64_t from, int64_t to)
{
    const struct reduce *r = arg;
    const float *x = r->c->in[0].data;
    float *y = r->c->out.data;
    int64_t pieces = r->lanes_kept ? (r->lanes + r->piece - 1) / r->piece : 1;

    for (int64_t i = from; i < to; i++) {
        int64_t in, out, lane = i % pieces * r->piece;
        rowmap_offsets(&r->kept, i / pieces, 1, &in);
        rowmap_offsets(&r->result, i / pieces, 1, &out);
        if (r->lanes_kept)
            lanes_of(r, tg_at(x, r->c->in[0].dtype, in + lane), y + out + lane, r->lanes - lane < r->piece ? r->lanes - lane : r->piece);
        else
            y[out] = result_of(r, x + in, 0, r->rows) * r->scale;
    }
}

static float *part_of(const struct reduce *r, int64_t i, int64_t lane) { return (float *)r->c->scratch + i * r->lanes + lane; }

static void work_parts(void *arg, int64_t from, int64_t to)
{
    const struct reduce *r = arg;
    for (int64_t i = from; i < to; i++) {
        const int64_t row = r->rows * (i % r->parts) / r->parts, end = r->rows * (i % r->parts + 1) / r->parts;
        int64_t in;
        rowmap_offsets(&r->kept, i / r->parts, 1, &in);
        for (int64_t lane = 0; lane < r->lanes; lane += REDUCED_COLUMNS)
            rows_of(r, tg_at(r->c->in[0].data, r->c->in[0].dtype, in + lane), row, end - row, 1, part_of(r, i, lane),
                    r->lanes - lane < REDUCED_COLUMNS ? r->lanes - lane : REDUCED_COLUMNS);
    }
}

static void join_parts(void *arg, int64_t from, int64_t to)
{
    const struct reduce *r = arg;
    for (int64_t i = from; i < to; i++) {
        int64_t out;
        rowmap_offsets(&r->result, i, 1, &out);
        for (int64_t lane = 0; lane < r->lanes; lane += REDUCED_COLUMNS)
            r->v->reduce_rows(r->kind, part_of(r, i * r->parts, lane), r->lanes, r->parts, r->scale, (float *)r->c->out.data + out + lane,
                              r->lanes - lane < REDUCED_COLUMNS ? r->lanes - lane : REDUCED_COLUMNS);
    }
}

static struct reduce reduce_of(const tg_call *c)
{
    const axes_attr *a = c->attr;
    const tg_tensor *x = &c->in[0];
    int in = innermost(x);
    unsigned all = (1u << x->shape.rank) - 1;
    struct reduce r = { .c = c,
                        .v = VEC_PICK(rows_vec),
                        .kind = !strcmp(c->op->name, "amax") ? REDUCE_MAX : REDUCE_SUM };

    r.scale = strcmp(c->op->name, "mean") ? 1 : (float)tg_numel(c->out.shape) / (float)tg_numel(x->shape);
    r.lanes_kept = !(a->axes >> in & 1);
    r.lanes = x->shape.dim[in];
    r.kept = axes_of(x, all & ~a->axes, in);
    r.result = axes_of(&c->out, all & ~a->axes, in);
    r.reduced = axes_of(x, a->axes, in);
    r.rows = count(&r.reduced);
    r.parts = r.lanes_kept && r.reduced.rank <= 1 && r.rows >= MANY ? PARTS : 1;
    return r;
}

static bool prepare_reduce(const tg_call *c, tg_prep *prep)
{
    const struct reduce r = reduce_of(c);
    prep->scratch = r.parts > 1 ? lines(count(&r.kept) * r.parts * r.lanes) : 0;
    return true;
}

static void run_reduce(const tg_call *c)
{
    struct reduce r = reduce_of(c);
    if (r.parts > 1) {
        pool_run(c->pool, count(&r.kept) * r.parts, 1, work_parts, &r);
        pool_run(c->pool, count(&r.kept), 8192 / (r.parts * r.lanes) + 1, join_parts, &r);
        return;
    }
    /* As many pieces of the lanes as make a task for each thread, of as many numbers each. */
    const int64_t threads = pool_threads(c->pool), most = (r.lanes + REDUCED_COLUMNS - 1) / REDUCED_COLUMNS,
                  cuts = count(&r.kept) < threads ? (most + threads - 1) / threads * threads : most;
    r.piece = ((r.lanes + cuts - 1) / cuts + 63) / 64 * 64;
    int64_t pieces = r.lanes_kept ? (r.lanes + r.piece - 1) / r.piece : 1,
            work_each = tg_numel(c->in[0].shape) / (count(&r.kept) * pieces) + 1;
    pool_run(c->pool, count(&r.kept) * pieces, 8192 / work_each + 1, work, &r);
}

/* Lanes are kept, and the rows lie at one distance. */
static unsigned narrow(const tg_call *c)
{
    const axes_attr *a = c->attr;
    const int in = innermost(&c->in[0]);
    return !(a->axes >> in & 1) && axes_of(&c->in[0], a->axes, in).rank <= 1 ? 1 : 0;
}

/* -- windows ------------------------------------------------------------------------------------------------------- */

enum { WINDOW = 1024, NARROW = 4096 };      /* places; channels of a result that may be left as bfloat16 */

static const char *pool_declines(const tg_call *c)
{
    const pool_attr *a = c->attr;
    if (!all_f32(c))
        return "not float";
    if (a->k * a->k > WINDOW)
        return "big window";
    return c->out.shape.dim[1] > 1 && (c->in[0].stride[1] != 1 || c->out.stride[1] != 1) ? "not channels-last" : NULL;
}

struct windows { const tg_call *c; const rows_vec *v; bool max; };

/* How many places of [0, n), and of it with its padding, a window that begins at `at` covers. */
static int64_t covered(int64_t at, int64_t k, int64_t low, int64_t n)
{
    int64_t end = at + k < n ? at + k : n;
    at = at > low ? at : low;
    return end > at ? end - at : 0;
}

static void window(const struct windows *w, int64_t n, int64_t oy, int64_t ox)
{
    const pool_attr *a = w->c->attr;
    const tg_tensor *x = &w->c->in[0], *y = &w->c->out;
    const void *row[WINDOW];
    int rows = 0;
    int64_t h = x->shape.dim[2], width = x->shape.dim[3], top = oy * a->stride - a->pad[0],
            left = ox * a->stride - a->pad[1];

    for (int64_t iy = top < 0 ? 0 : top; iy < h && iy < top + a->k; iy++)
        for (int64_t ix = left < 0 ? 0 : left; ix < width && ix < left + a->k; ix++)
            row[rows++] = tg_at(x->data, x->dtype, n * x->stride[0] + iy * x->stride[2] + ix * x->stride[3]);
    void *to = tg_at(y->data, y->dtype, n * y->stride[0] + oy * y->stride[2] + ox * y->stride[3]);
    if (w->max && x->dtype == TG_BFLOAT && y->dtype == TG_BFLOAT && rows) {
        VEC_PICK(narrow_vec)->largest((const uint16_t *const *)row, rows, to, y->shape.dim[1]);
        return;
    }
    int64_t area = a->exclude_pad ? rows : covered(top, a->k, -a->pad[0], h + a->pad[2])
                                           * covered(left, a->k, -a->pad[1], width + a->pad[3]);
    float wide[NARROW], *result = y->dtype == TG_BFLOAT ? wide : to;
    const reduce_kind kind = w->max ? REDUCE_MAX : REDUCE_SUM;
    const float scale = w->max ? 1 : 1 / (float)area;
    if (x->dtype == TG_BFLOAT)
        VEC_PICK(narrow_vec)->pool(kind, (const uint16_t *const *)row, rows, scale, result, y->shape.dim[1]);
    else
        w->v->pool(kind, (const float *const *)row, rows, scale, result, y->shape.dim[1]);
    if (result == wide)
        VEC_PICK(narrow_vec)->narrow(wide, to, y->shape.dim[1]);
}

static void pool_rows(void *arg, int64_t from, int64_t to)
{
    const struct windows *w = arg;
    const tg_tensor *y = &w->c->out;
    for (int64_t i = from; i < to; i++)
        for (int64_t ox = 0; ox < y->shape.dim[3]; ox++)
            window(w, i / y->shape.dim[2], i % y->shape.dim[2], ox);
}

static unsigned pool_narrow(const tg_call *c) { return c->out.shape.dim[1] <= NARROW ? NARROW_RESULT | 1 : 1; }

static void run_pool(const tg_call *c)
{
    const tg_tensor *y = &c->out;
    struct windows w = { c, VEC_PICK(rows_vec), !strcmp(c->op->name, "max_pool") };
    pool_run(c->pool, y->shape.dim[0] * y->shape.dim[2], 4096 / (y->shape.dim[1] * y->shape.dim[3]) + 1, pool_rows, &w);
}

#define REDUCE(of) \
    const tg_kernel kernel_##of = { \
        .op = #of, .name = "cpu." #of, .declines = declines, .prefers = prefers, .prepare = prepare_reduce, .run = run_reduce, .narrow = narrow \
    };
#define POOL(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = pool_declines, .run = run_pool, .narrow = pool_narrow };
REDUCE(sum)
REDUCE(mean)
REDUCE(amax)
POOL(max_pool)
POOL(avg_pool)
