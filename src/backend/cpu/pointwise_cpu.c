/* pointwise_cpu.c - chains of elementwise ops as one pass over memory. */
#include <stdlib.h>
#include "chain.h"
#include "kernels.h"
#include "packed_product.h"

static const char *declines(const tg_call *c)
{
    return !all_f32(c) ? "not float" : !chain_whole(&c->out) ? "result in pieces" : !chain_known(c->attr) ? "a step that is not known" : NULL;
}

static bool prepare(const tg_call *c, tg_prep *prep) { return chain_prepare(c, c->n_in, c->attr, prep); }

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

const tg_kernel kernel_pointwise = { .op = "pointwise", .name = "cpu.pointwise", .declines = declines, .prepare = prepare, .run = chain_run,
                                     .release = free, .narrow = narrow };
