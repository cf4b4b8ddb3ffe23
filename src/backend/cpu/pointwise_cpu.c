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
    prep->scratch = (size_t)(chain_room(c->n_in) * pool_threads(c->pool)) * sizeof(float);
    return true;
}

struct task { const tg_call *c; chain_walk w; };

static void work(void *arg, int64_t from, int64_t to)
{
    const struct task *t = arg;
    const tg_tensor *y = &t->c->out;
    chain_place place = { (float *)t->c->scratch + pool_worker() * chain_room(t->c->n_in), -1 };
    for (int64_t i = from; i < to; i++) {
        int64_t at = i * CHAIN_TILE, n = t->w.n - at < CHAIN_TILE ? t->w.n - at : CHAIN_TILE;
        chain_tile(&t->w, &place, at, n, tg_at(y->data, y->dtype, at));
    }
}

static void run(const tg_call *c)
{
    struct task t = { .c = c, .w = chain_begin(c->state, c->in, c->n_in, &c->out, c->out.dtype) };
    pool_run(c->pool, (t.w.n + CHAIN_TILE - 1) / CHAIN_TILE, 8, work, &t);
}

/* The last step adds an operand as it is: as a residual of many layers the sum stays in single precision. */
static bool adds_residual(const tg_call *c)
{
    const pointwise_attr *a = c->attr;
    const pointwise_step *last = &a->step[a->steps - 1];
    binary_kind kind;
    if (!binary_of(last->op, &kind) || (kind != BIN_ADD && kind != BIN_SUB))
        return false;
    return (last->a < POINTWISE_INPUTS && tg_same(c->in[last->a].shape, c->out.shape))
           || (last->b < POINTWISE_INPUTS && tg_same(c->in[last->b].shape, c->out.shape));
}

/* One number a channel, of a norm's weights and statistics, is no map. */
static unsigned narrow(const tg_call *c)
{
    const unsigned operands = (1u << c->n_in) - 1;
    return gemm_narrow(TG_BF16) && c->out.shape.rank > 1 ? (adds_residual(c) ? NARROW_SUM : NARROW_RESULT) | operands : operands;
}

const tg_kernel kernel_pointwise = { .op = "pointwise", .name = "cpu.pointwise", .declines = declines, .prepare = prepare, .run = run,
                                     .release = free, .narrow = narrow };
