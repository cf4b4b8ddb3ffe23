/* pointwise_cpu.c - chains of elementwise ops as one pass over memory. */
#include <stdlib.h>
#include "chain.h"
#include "kernels.h"
#include "packed_product.h"

/* The result is one piece of memory, walked from its first number to its last. */
static bool whole(const tg_tensor *t)
{
    const tg_tensor *one[] = { t };
    loops l = loops_of(one, 1);
    return l.rank == 1 && (l.stride[0][0] == 1 || l.dim[0] == 1);
}

static const char *declines(const tg_call *c)
{
    return !all_f32(c) ? "not float" : !whole(&c->out) ? "result in pieces" : !chain_known(c->attr) ? "a step that is not known" : NULL;
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    chain *p = prep->state = chain_make(c->attr);
    if (!p)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a chain of ops");
    prep->state_bytes = chain_bytes(p);
    prep->scratch = (size_t)(chain_room(p, c->n_in) * pool_threads(c->pool)) * sizeof(float);
    return true;
}

struct task { const tg_call *c; chain_walk w; int64_t room; };

static void work(void *arg, int64_t from, int64_t to)
{
    const struct task *t = arg;
    float *room = (float *)t->c->scratch + pool_worker() * t->room;
    chain_lay_out(&t->w, room);
    for (int64_t i = from; i < to; i++) {
        int64_t at = i * t->w.tile, n = t->w.n - at < t->w.tile ? t->w.n - at : t->w.tile;
        chain_tile(&t->w, room, at, n, (float *)t->c->out.data + at);
    }
}

static void run(const tg_call *c)
{
    struct task t = { .c = c, .w = chain_begin(c->state, c->in, c->n_in, &c->out), .room = chain_room(c->state, c->n_in) };
    pool_run(c->pool, (t.w.n + t.w.tile - 1) / t.w.tile, 16, work, &t);
}

static unsigned narrow(const tg_call *c) { return (1u << c->n_in) - 1; }         /* operands: a sum is a residual of many layers */

const tg_kernel kernel_pointwise = { .op = "pointwise", .name = "cpu.pointwise", .declines = declines, .prepare = prepare, .run = run,
                                     .release = free, .narrow = narrow };
