/* recompute.c - what is cheap to compute again is not kept for the backward pass.
 *
 * A batch norm in training with its activation is a chain of a few sums and products over a map that its own gradient keeps
 * anyway; its result, as large, is kept as well, for the gradient of the next convolution's weights.  Such a result is computed a
 * second time where the backward pass wants it: one more pass over memory against half of what a step holds.
 */
#include <stdlib.h>
#include "ops/op.h"
#include "plan_in.h"

enum { SMALL = 1 << 14 };               /* not worth it below so many numbers */

typedef struct again {
    tg **order, **now, **copy;          /* by place: the node, what stands for it, its second computation */
    int *place;                         /* of a node's id */
    bool *late, *cheap;                 /* read by the backward pass; computed again for it */
    int count, last;                    /* the network's result's place: what comes later is loss and backward pass */
} again;

static bool is_view(const tg *x) { return x->op->flags & TG_VIEW; }

static bool cheap_op(const tg_op *op)
{
    static const tg_op *const cheap[] = { &op_add, &op_sub, &op_mul, &op_affine, &op_relu, &op_relu6, &op_clamp, &op_leaky_relu,
                                          &op_hard_swish, &op_hard_sigmoid, &op_maximum, &op_minimum, &op_abs };
    for (size_t i = 0; i < sizeof cheap / sizeof *cheap; i++)
        if (op == cheap[i])
            return true;
    return false;
}

static bool cheap_node(const tg *x)
{
    const pointwise_attr *a = x->attr;
    bool all = x->op == &op_pointwise;
    for (int64_t i = 0; all && i < a->steps; i++)
        all = cheap_op(a->step[i].op);
    return all || cheap_op(x->op);
}

/* Its operands are there in the backward pass without being kept for this. */
static bool operands_stay(const again *g, const tg *x)
{
    for (int k = 0; k < x->n_in; k++) {
        const tg *in = x->in[k];
        while (is_view(in) && !in->constant)
            in = in->in[0];
        int at = g->place[in->id];
        bool stays = in->constant || (in->op->flags & TG_LEAF) || (g->late[at] && !g->cheap[at]);
        if (!stays && tg_numel(in->shape) * 16 > tg_numel(x->shape))
            return false;
    }
    return true;
}

static void choose(again *g)
{
    for (int i = 0; i < g->count; i++)
        for (int k = 0; k < g->order[i]->n_in; k++)
            g->late[g->place[g->order[i]->in[k]->id]] |= i > g->last;
    for (int i = g->last; i >= 0; i--)
        if (g->late[i] && is_view(g->order[i]))
            g->late[g->place[g->order[i]->in[0]->id]] = true;
    for (int i = 0; i < g->last; i++) {
        const tg *x = g->order[i];
        g->cheap[i] = g->late[i] && !x->constant && tg_numel(x->shape) >= SMALL && cheap_node(x) && operands_stay(g, x);
    }
}

static tg *with_operands(tg *x, tg *const *in)
{
    bool same = true;
    for (int k = 0; k < x->n_in; k++)
        same = same && in[k] == x->in[k];
    tg_where(x->graph, x->where);
    return same ? x : tg_apply(x->op, in, x->n_in, x->attr);
}

/* What the backward pass reads in place of x. */
static tg *late_of(again *g, tg *x)
{
    int at = g->place[x->id];
    if (x->constant || (x->op->flags & TG_LEAF))
        return x;
    if (at > g->last)
        return g->now[at];
    if (g->copy[at])
        return g->copy[at];
    if ((!is_view(x) && !g->cheap[at]) || x->n_in > POINTWISE_INPUTS)
        return x;
    tg *in[POINTWISE_INPUTS];
    for (int k = 0; k < x->n_in; k++)
        in[k] = late_of(g, x->in[k]);
    if (is_view(x))
        return g->copy[at] = with_operands(x, in);
    tg_where(x->graph, x->where);
    return g->copy[at] = tg_apply(x->op, in, x->n_in, x->attr);
}

static bool rebuild(again *g, status *st)
{
    for (int i = 0; i < g->count; i++) {
        tg *x = g->order[i], *in[64];
        g->now[i] = x;
        if (i <= g->last || x->constant)
            continue;
        if (x->n_in > 64)
            return status_fail(st, TIMM_UNSUPPORTED, "%s of %d operands in %s", x->op->name, x->n_in, x->where);
        for (int k = 0; k < x->n_in; k++)
            in[k] = late_of(g, x->in[k]);
        g->now[i] = with_operands(x, in);
    }
    return true;
}

bool plan_recompute(tg_graph *graph, tg **outputs, int n, const plan_opts *o, status *st)
{
    (void)o;
    again g = { 0 };
    if (!graph->params_vary || n < 2)
        return true;
    g.order = tg_order(graph, outputs, n, &g.count);
    size_t room = (size_t)g.count + 1;
    g.now = calloc(room, sizeof *g.now);
    g.copy = calloc(room, sizeof *g.copy);
    g.late = calloc(room, sizeof *g.late);
    g.cheap = calloc(room, sizeof *g.cheap);
    g.place = calloc((size_t)graph->count + 1, sizeof *g.place);
    bool ok = (g.order && g.now && g.copy && g.late && g.cheap && g.place)
              || status_fail(st, TIMM_NO_MEMORY, "out of memory for a plan of %d nodes", g.count);
    if (ok) {
        for (int i = 0; i < g.count; i++)
            g.place[g.order[i]->id] = i;
        g.last = g.place[outputs[0]->id];
        choose(&g);
        ok = rebuild(&g, st);
        for (int i = 0; ok && i < n; i++)
            outputs[i] = g.now[g.place[outputs[i]->id]];
    }
    free(g.now);
    free(g.copy);
    free(g.late);
    free(g.cheap);
    free(g.place);
    return ok && status_ok(st);
}
