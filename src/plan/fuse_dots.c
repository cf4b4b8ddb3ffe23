/* fuse_dots.c - what goes back through a batch norm and the activation after it, without the map between them.
 *
 * dy times the activation's slope is a chain (fuse_pointwise.c) of dy and x that two nodes read: the two sums a channel of the norm's
 * gradient, and the chain that sends the gradient on to x.  Both read x too, so each computes the chain anew from dy and x, and its
 * result is never written: five maps through memory instead of eight.
 */
#include "ops/op.h"
#include "plan_in.h"

static bool is_map_of(const tg *in, const tg *y) { return in->op != &op_expand && tg_same(in->shape, y->shape); }

/* The chain reads x and one other map. */
static bool reads_with_one(const tg *chain, const tg *x)
{
    bool found = false;
    int others = 0;
    for (int k = 0; k < chain->n_in; k++) {
        found = found || chain->in[k] == x;
        others += chain->in[k] != x && is_map_of(chain->in[k], chain);
    }
    return found && others == 1;
}

/* A program that grows, and what it reads. */
typedef struct program { pointwise_attr a; tg *in[POINTWISE_INPUTS]; int n; } program;

/* The place of an operand, as steps name it; -1: there is no room. */
static int operand(program *p, tg *x)
{
    int k = 0;
    while (k < p->n && p->in[k] != x)
        k++;
    if (k == POINTWISE_INPUTS)
        return -1;
    if (k == p->n)
        p->in[p->n++] = x;
    return k;
}

/* The steps of a chain; `made`, unless NULL, is an operand of it that the program's last step gives. */
static bool append(program *p, const tg *chain, const tg *made)
{
    const pointwise_attr *a = chain->attr;
    const int before = (int)p->a.steps, last = POINTWISE_INPUTS + before - 1;
    if (before + a->steps > POINTWISE_STEPS)
        return false;
    for (int64_t i = 0; i < a->steps; i++) {
        pointwise_step s = a->step[i];
        for (int k = 0; k < s.op->arity; k++) {
            int *from = k ? &s.b : &s.a;
            *from = *from >= POINTWISE_INPUTS ? *from + before : chain->in[*from] == made ? last : operand(p, chain->in[*from]);
            if (*from < 0)
                return false;
        }
        p->a.step[p->a.steps++] = s;
    }
    return true;
}

static tg *dots_of_chain(tg *y)
{
    tg *chain = y->in[0], *in[POINTWISE_INPUTS + 2];
    if (chain->op != &op_pointwise || chain->mark != 2 || !reads_with_one(chain, y->in[1]))
        return NULL;
    chain->mark--;                          /* it has lost this reader */
    for (int k = 0; k < chain->n_in; k++)
        in[k] = chain->in[k];
    in[chain->n_in] = y->in[1];
    in[chain->n_in + 1] = y->in[2];
    tg_where(y->graph, y->where);
    return tg_apply(&op_pointwise_dots, in, chain->n_in + 2, chain->attr);
}

/* With a chain whose only reader it is by now. */
static tg *longer_chain(tg *y)
{
    program p;
    memset(&p, 0, sizeof p);                /* attributes are hashed with what lies between them */
    for (int k = 0; k < y->n_in; k++) {
        const tg *chain = y->in[k];
        if (chain->op != &op_pointwise || chain->mark != 1 || !tg_same(chain->shape, y->shape))
            continue;
        if (!append(&p, chain, NULL) || !append(&p, y, chain))
            return NULL;
        tg_where(y->graph, y->where);
        return tg_apply(&op_pointwise, p.in, p.n, &p.a);
    }
    return NULL;
}

static tg *fused(tg *y, const plan_opts *o)
{
    (void)o;
    return y->constant ? NULL : y->op == &op_channel_dots ? dots_of_chain(y) : y->op == &op_pointwise ? longer_chain(y) : NULL;
}

bool plan_fuse_dots(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st)
{
    return plan_replace(g, outputs, n, fused, o, st);
}
