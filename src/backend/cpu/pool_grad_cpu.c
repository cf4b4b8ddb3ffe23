/* pool_grad_cpu.c - max_pool_grad and avg_pool_grad, channels-last.
 *
 * Windows overlap, so threads share images and groups of channels; one walks all windows of its part in their order.
 */
#include <string.h>
#include "kernels.h"
#include "ops/pool_grad.h"
#include "packed_product.h"

enum { WINDOW = 1024, GROUP = 32 };     /* places of a window; channels of a part */

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

static int64_t offset(const tg_tensor *t, int64_t n, int64_t channel, int64_t y, int64_t x)
{
    return n * t->stride[0] + channel * t->stride[1] + y * t->stride[2] + x * t->stride[3];
}

static void send_back(const windows *w, int64_t n, int64_t channel, int64_t channels, int64_t oy, int64_t ox)
{
    const tg_tensor *dy = &w->c->in[0], *x = w->max ? &w->c->in[1] : dy, *dx = &w->c->out;
    const float *d = (const float *)dy->data + offset(dy, n, channel, oy, ox), *from[WINDOW];
    float *to[WINDOW];
    int64_t rows[2], cols[2];
    int places = 0;
    double area = avg_pool_area(w->pool, dx->shape.dim[2], dx->shape.dim[3], oy, ox, rows, cols);
    for (int64_t r = rows[0]; r < rows[1]; r++)
        for (int64_t q = cols[0]; q < cols[1]; q++, places++) {
            from[places] = (const float *)x->data + (w->max ? offset(x, n, channel, r, q) : 0);
            to[places] = (float *)dx->data + offset(dx, n, channel, r, q);
        }
    if (!places)
        return;
    if (w->max)
        w->v->max_back(from, to, places, d, channels);
    else
        w->v->mean_back(to, places, d, (float)(1 / area), channels);
}

static void work(void *arg, int64_t from, int64_t to)
{
    const windows *w = arg;
    const tg_shape y = w->c->in[0].shape, x = w->c->out.shape;
    for (int64_t i = from; i < to; i++) {
        int64_t n = i / w->groups, first = i % w->groups * GROUP;
        int64_t channels = x.dim[1] - first < GROUP ? x.dim[1] - first : GROUP;
        for (int64_t r = 0; r < x.dim[2]; r++)
            for (int64_t q = 0; q < x.dim[3]; q++)
                memset((float *)w->c->out.data + offset(&w->c->out, n, first, r, q), 0, (size_t)channels * sizeof(float));
        for (int64_t r = 0; r < y.dim[2]; r++)
            for (int64_t q = 0; q < y.dim[3]; q++)
                send_back(w, n, first, channels, r, q);
    }
}

static void run(const tg_call *c)
{
    const tg_shape x = c->out.shape;
    windows w = { c, VEC_PICK(pool_grad_vec), pool_of(c), c->op == &op_max_pool_grad, (x.dim[1] + GROUP - 1) / GROUP };
    pool_run(c->pool, x.dim[0] * w.groups, 1, work, &w);
}

#define POOL_GRAD(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .run = run };
POOL_GRAD(max_pool_grad)
POOL_GRAD(avg_pool_grad)
