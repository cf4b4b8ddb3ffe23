/* fuse_pointwise.c - chains of elementwise ops become one node each (ops/pointwise.c).
 *
 * Nodes are visited users first.  A node joins the chain that all its users are in; else it is the last of a chain of its own.
 * A node that only scales, shifts or cuts one map of its size (a batch norm, a gate, an activation's argument) joins the chains
 * of all its users when these are chains: each computes it anew from that map, and it is never written.
 */
#include <stdlib.h>
#include <string.h>
#include "ops/op.h"
#include "plan_in.h"

enum { CHAINS = 4 };                    /* that a node may be computed in */

typedef struct chain {
    tg *last;
    int member[POINTWISE_STEPS], members;                /* places in the order, last first */
    int operand[POINTWISE_INPUTS + 2], operands;         /* places of what is read */
} chain;

typedef struct node {
    int user[CHAINS], users;            /* chains that read it */
    bool kept;                          /* something else reads it too, or it is an output */
} node;

typedef struct fusion {
    tg **order, **now;
    int count;
    int *place;                         /* of a node's id in the order */
    node *node;
    chain *chain;
    int chains;
} fusion;

static bool suits(const tg *x)
{
    static const tg_op *const binary[] = { &op_add, &op_sub, &op_mul, &op_div, &op_maximum, &op_minimum, &op_greater };
    if (x->constant || !(x->op->flags & TG_ELEMENTWISE) || x->op->attr_size > sizeof(((pointwise_step *)0)->attr))
        return false;
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++)
        if (x->op == binary[i])
            return true;
    return x->n_in == 1 && x->op->scalar;
}

/* Cheaper to compute twice than to write and read: reads one map of its size. */
static bool light(const tg *x)
{
    if (x->n_in == 1)
        return x->op == &op_affine || x->op == &op_relu || x->op == &op_relu6 || x->op == &op_clamp;
    return (x->op == &op_add || x->op == &op_sub || x->op == &op_mul || x->op == &op_greater)
           && tg_same(x->in[0]->shape, x->shape) != tg_same(x->in[1]->shape, x->shape);
}

static void reads(fusion *f, const tg *x, int by)
{
    for (int k = 0; k < x->n_in; k++) {
        node *n = &f->node[f->place[x->in[k]->id]];
        bool known = false;
        for (int i = 0; i < n->users; i++)
            known = known || n->user[i] == by;
        if (by < 0 || (!known && n->users == CHAINS))
            n->kept = true;
        else if (!known)
            n->user[n->users++] = by;
    }
}

/* The chain with x, no longer an operand but a step; false: it has no room for that. */
static bool grown(const fusion *f, const chain *c, int at, chain *with)
{
    const tg *x = f->order[at];
    *with = *c;
    if (c->members == POINTWISE_STEPS)
        return false;
    with->operands = 0;
    for (int i = 0; i < c->operands; i++)
        if (c->operand[i] != at)
            with->operand[with->operands++] = c->operand[i];
    for (int k = 0; k < x->n_in; k++) {
        int from = f->place[x->in[k]->id];
        bool known = false;
        for (int i = 0; i < with->operands; i++)
            known = known || with->operand[i] == from;
        if (!known)
            with->operand[with->operands++] = from;
        if (with->operands > POINTWISE_INPUTS)
            return false;
    }
    with->member[with->members++] = at;
    return true;
}

/* Into every chain that reads it, or into none. */
static bool join(fusion *f, int at)
{
    const node *n = &f->node[at];
    const tg *x = f->order[at];
    chain with[CHAINS];
    if (n->kept || !n->users || (n->users > 1 && !light(x)))
        return false;
    for (int i = 0; i < n->users; i++)
        if (!tg_same(f->chain[n->user[i]].last->shape, x->shape) || !grown(f, &f->chain[n->user[i]], at, &with[i]))
            return false;
    for (int i = 0; i < n->users; i++)
        f->chain[n->user[i]] = with[i];
    for (int i = 0; i < n->users; i++)
        reads(f, x, n->user[i]);
    return true;
}

static void find_chains(fusion *f)
{
    for (int at = f->count; at-- > 0;) {
        tg *x = f->order[at];
        if (!suits(x)) {
            reads(f, x, -1);
        } else if (!join(f, at)) {
            chain *c = &f->chain[f->chains++];
            *c = (chain){ .last = x };
            grown(f, &(chain){ .last = x }, at, c);
            reads(f, x, f->chains - 1);
        }
    }
}

/* -- the new graph --------------------------------------------------------------------------------------------------------- */

static int among(const int *list, int n, int what)
{
    int i = 0;
    while (i < n && list[i] != what)
        i++;
    return i;
}

static int later(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static tg *as_one(const fusion *f, chain *c)
{
    tg *in[POINTWISE_INPUTS];
    pointwise_attr a;
    memset(&a, 0, sizeof a);                             /* attributes are hashed with what lies between them */
    qsort(c->member, (size_t)c->members, sizeof *c->member, later);
    for (int i = 0; i < c->operands; i++)
        in[i] = f->now[c->operand[i]];
    for (int i = 0; i < c->members; i++) {
        const tg *x = f->order[c->member[i]];
        pointwise_step *s = &a.step[a.steps++];
        s->op = x->op;
        if (x->op->attr_size)
            memcpy(s->attr, x->attr, x->op->attr_size);
        for (int k = 0; k < x->n_in; k++) {
            int from = f->place[x->in[k]->id], step = among(c->member, c->members, from);
            *(k ? &s->b : &s->a) = step < c->members ? POINTWISE_INPUTS + step : among(c->operand, c->operands, from);
        }
    }
    tg_where(c->last->graph, c->last->where);
    return tg_apply(&op_pointwise, in, c->operands, &a);
}

static tg *carried(const fusion *f, tg *x)
{
    tg *in[64];
    bool same = true;
    if (x->n_in > 64)
        return tg_poison(x->graph, TIMM_UNSUPPORTED, "%s of %d operands in %s", x->op->name, x->n_in, x->where);
    for (int k = 0; k < x->n_in; k++) {
        in[k] = f->now[f->place[x->in[k]->id]];
        same = same && in[k] == x->in[k];
    }
    if (same)
        return x;
    tg_where(x->graph, x->where);
    return tg_apply(x->op, in, x->n_in, x->attr);
}

static void rebuild(fusion *f)
{
    int *chain_of = calloc((size_t)f->count + 1, sizeof *chain_of);
    bool *inner = calloc((size_t)f->count + 1, sizeof *inner);
    for (int i = 0; chain_of && inner && i < f->chains; i++) {
        chain_of[f->place[f->chain[i].last->id]] = i + 1;
        for (int k = 1; k < f->chain[i].members; k++)
            inner[f->chain[i].member[k]] = true;
    }
    for (int at = 0; chain_of && inner && at < f->count; at++) {
        chain *c = chain_of[at] ? &f->chain[chain_of[at] - 1] : NULL;
        f->now[at] = inner[at] ? NULL : c && c->members > 1 ? as_one(f, c) : carried(f, f->order[at]);
    }
    if (!chain_of || !inner)
        status_fail(f->order[0]->graph->st, TIMM_NO_MEMORY, "out of memory fusing %d nodes", f->count);
    free(chain_of);
    free(inner);
}

bool plan_fuse_pointwise(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st)
{
    (void)o;
    fusion f = { 0 };
    f.order = tg_order(g, outputs, n, &f.count);
    size_t room = (size_t)f.count + 1;
    f.now = calloc(room, sizeof *f.now);
    f.place = calloc((size_t)g->count + 1, sizeof *f.place);
    f.node = calloc(room, sizeof *f.node);
    f.chain = calloc(room, sizeof *f.chain);
    if (!f.order || !f.now || !f.place || !f.node || !f.chain) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory fusing %d nodes", f.count);
    } else {
        for (int i = 0; i < f.count; i++)
            f.place[f.order[i]->id] = i;
        for (int i = 0; i < n; i++)
            f.node[f.place[outputs[i]->id]].kept = true;
        find_chains(&f);
        if (f.count)
            rebuild(&f);
        for (int i = 0; i < n && status_ok(st); i++)
            outputs[i] = f.now[f.place[outputs[i]->id]];
    }
    free(f.now);
    free(f.place);
    free(f.node);
    free(f.chain);
    return status_ok(st);
}
