/* pool_grad_cpu.c - max_pool_grad and avg_pool_grad, channels-last.
 *
 * Windows overlap, so threads share images and groups of channels; one walks all windows of its part in their order.  What they send
 * back to the rows of dx that still have windows to come is summed in a ring of such rows, in the cache.
 */
#include <string.h>
#include "kernels.h"
#include "loops.h"
#include "ops/pool_grad.h"
#include "packed_product.h"

enum { WINDOW = 1024, GROUP = 64 };     /* places of a window; channels of a part */

typedef struct windows {
    const tg_call *c;
    const pool_grad_vec *v;
    const pool_attr *pool;
    bool max;
    int64_t groups;
} windows;

static const pool_attr *pool_of(const tg_call *c)
{
    return c->op == &op_max_pool_grad ? c->attr : &((const avg_pool_grad_attr *)c->attr)->pool;
}

static const char *declines(const tg_call *c)
{
    if (!all_f32(c))
        return "not float";
    if (pool_of(c)->k * pool_of(c)->k > WINDOW)
        return "big window";
    bool lanes = c->out.stride[1] == 1;
    for (int i = 0; i < c->n_in; i++)
        lanes = lanes && c->in[i].stride[1] == 1;
    return lanes || c->out.shape.dim[1] == 1 ? NULL : "not channels-last";
}

/* No window reaches further, nor does a row outside the image have a place. */
static int64_t ring_rows(const tg_call *c) { return pool_of(c)->k < c->out.shape.dim[2] ? pool_of(c)->k : c->out.shape.dim[2]; }

static bool prepare(const tg_call *c, tg_prep *prep)
{
    prep->scratch = lines(ring_rows(c) * c->out.shape.dim[3] * GROUP) * (size_t)pool_threads(c->pool);
    return true;
}

static void *pixel_at(const tg_tensor *t, int64_t n, int64_t channel, int64_t y, int64_t x)
{
    return tg_at(t->data, t->dtype, n * t->stride[0] + channel * t->stride[1] + y * t->stride[2] + x * t->stride[3]);
}

/* Places of a window, row by row: what they hold, and their sums in the ring. */
typedef struct window { const char *from[WINDOW]; float *to[WINDOW]; int places, across; bool whole; double area; } window;

static void look_at(const windows *w, float *ring, int64_t n, int64_t channel, int64_t oy, int64_t ox, window *at)
{
    const tg_tensor *x = w->max ? &w->c->in[1] : &w->c->in[0], *dx = &w->c->out;
    const int64_t ring_of = ring_rows(w->c), width = dx->shape.dim[3];
    int64_t rows[2], cols[2];
    at->area = avg_pool_area(w->pool, dx->shape.dim[2], width, oy, ox, rows, cols);
    at->places = 0;
    at->across = (int)(cols[1] - cols[0]);
    at->whole = at->across == w->pool->k;
    for (int64_t r = rows[0]; r < rows[1]; r++)
        for (int64_t q = cols[0]; q < cols[1]; q++, at->places++) {
            at->from[at->places] = pixel_at(x, n, channel, w->max ? r : 0, w->max ? q : 0);
            at->to[at->places] = ring + (r % ring_of * width + q) * GROUP;
        }
}

/* All windows of a row.  Those that reach over no border to the sides are each the one before, moved on.  What the next row is first to look
 * at is fetched. */
static void send_back(const windows *w, float *ring, int64_t n, int64_t channel, int64_t channels, int64_t oy)
{
    const tg_tensor *dy = &w->c->in[0], *x = w->max ? &w->c->in[1] : dy;
    const int64_t stride = w->pool->stride, right = w->max ? stride * x->stride[3] * tg_size(x->dtype) : 0, down = x->stride[2] * tg_size(x->dtype);
    window at = { .whole = false };
    float d[GROUP];
    for (int64_t ox = 0; ox < dy->shape.dim[3]; ox++) {
        const int64_t end = ox * stride - w->pool->pad[1] + w->pool->k;
        if (at.whole && end <= w->c->out.shape.dim[3])
            for (int i = 0; i < at.places; i++)
                at.from[i] += right, at.to[i] += stride * GROUP;
        else
            look_at(w, ring, n, channel, oy, ox, &at);
        if (!at.places)
            continue;
        for (int64_t i = 0; w->max && i < stride * stride && i / stride < at.across; i++)
            __builtin_prefetch(at.from[at.places - 1 - i / stride] + (1 + i % stride) * down);
        loops_gather(pixel_at(dy, n, channel, oy, ox), dy->dtype, 1, channels, d);
        if (w->max)
            w->v->max_back((const void *const *)at.from, x->dtype == TG_BFLOAT, at.to, at.places, d, channels);
        else
            w->v->mean_back(at.to, at.places, d, (float)(1 / at.area), channels);
    }
}

/* Row r of dx is complete; its place in the ring is for another now. */
static void leave_row(const windows *w, float *ring, int64_t n, int64_t channel, int64_t channels, int64_t r)
{
    const tg_tensor *dx = &w->c->out;
    const narrow_vec *v = VEC_PICK(narrow_vec);
    float *row = ring + r % ring_rows(w->c) * dx->shape.dim[3] * GROUP;
    for (int64_t q = 0; q < dx->shape.dim[3]; q++)
        if (dx->dtype == TG_BFLOAT)
            v->narrow(row + q * GROUP, pixel_at(dx, n, channel, r, q), channels);
        else
            memcpy(pixel_at(dx, n, channel, r, q), row + q * GROUP, (size_t)channels * sizeof *row);
    memset(row, 0, (size_t)(dx->shape.dim[3] * GROUP) * sizeof *row);
}

static void work(void *arg, int64_t from, int64_t to)
{
    const windows *w = arg;
    const tg_shape y = w->c->in[0].shape, x = w->c->out.shape;
    const size_t bytes = lines(ring_rows(w->c) * x.dim[3] * GROUP);
    float *ring = (float *)(void *)((char *)w->c->scratch + (size_t)pool_worker() * bytes);
    for (int64_t i = from; i < to; i++) {
        const int64_t n = i / w->groups, first = i % w->groups * GROUP, channels = x.dim[1] - first < GROUP ? x.dim[1] - first : GROUP;
        int64_t done = 0;
        memset(ring, 0, bytes);
        for (int64_t r = 0; r < y.dim[2]; r++) {
            const int64_t top = r * w->pool->stride - w->pool->pad[0];
            for (; done < top && done < x.dim[2]; done++)
                leave_row(w, ring, n, first, channels, done);
            send_back(w, ring, n, first, channels, r);
        }
        for (; done < x.dim[2]; done++)
            leave_row(w, ring, n, first, channels, done);
    }
}

static void run(const tg_call *c)
{
    const tg_shape x = c->out.shape;
    windows w = { c, VEC_PICK(pool_grad_vec), pool_of(c), c->op == &op_max_pool_grad, (x.dim[1] + GROUP - 1) / GROUP };
    pool_run(c->pool, x.dim[0] * w.groups, 1, work, &w);
}

static unsigned narrow(const tg_call *c) { return NARROW_RESULT | (c->op == &op_max_pool_grad ? 3 : 1); }

#define POOL_GRAD(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .prepare = prepare, .run = run, .narrow = narrow };
POOL_GRAD(max_pool_grad)
POOL_GRAD(avg_pool_grad)
