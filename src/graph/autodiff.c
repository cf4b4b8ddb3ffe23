/* autodiff.c - reverse mode over nodes: each op's gradient rule emits nodes, and nothing else here knows about training.
 *
 * Of a segment (tg.segment) the rules do not see the nodes but copies of them, computed from what enters the segment once the
 * gradient of its result is there: gradient checkpointing (Chen 2016, 1604.06174).  What is random is a function of a key, so
 * the copies are the same to the bit.
 */
#include <stdlib.h>
#include <string.h>
#include "graph.h"

typedef struct pass {
    tg_graph *g;
    tg **order;
    int count;
    tg **d;                     /* by id: the sum so far of what users sent back */
    tg ***again;                /* by segment, then by id: the copy, or what stands for a node that enters; NULL: not yet */
    int segments;
    bool *end;                  /* by id: one of those asked for, which nothing is sent through */
} pass;

/* What a copy in the segment reads in place of x, which is outside. */
static tg *entering(tg *x, tg *dy) { return x->constant || x->param ? x : tg_after(x, dy); }

/* The nodes of v's segment once more, after dy, v's gradient.  What depends on parameters alone stays as it is. */
static bool compute_again(pass *p, const tg *v, tg *dy)
{
    int known = p->g->count;
    tg **now = p->again[v->segment] = calloc((size_t)known + 1, sizeof *now);
    for (int i = 0; now && i < p->count; i++) {
        tg *x = p->order[i], *in[64];
        bool same = true;
        if (x->segment != v->segment)
            continue;
        for (int k = 0; k < x->n_in && x->n_in <= 64; k++) {
            tg **stands = &now[x->in[k]->id];
            if (!*stands)
                *stands = entering(x->in[k], dy);
            in[k] = *stands;
            same = same && in[k] == x->in[k];
        }
        tg_where(p->g, x->where);
        now[x->id] = same || x->n_in > 64 ? x : tg_apply(x->op, in, x->n_in, x->attr);
    }
    return now || status_fail(p->g->st, TIMM_NO_MEMORY, "out of memory for %d nodes to be computed again", known);
}

static bool open_pass(pass *p, tg *y, tg *const *x, int n)
{
    p->order = tg_order(p->g, &y, 1, &p->count);
    for (int i = 0; p->order && i < p->count; i++)
        p->segments = p->order[i]->segment > p->segments ? p->order[i]->segment : p->segments;
    p->d = calloc((size_t)p->g->count + 1, sizeof *p->d);          /* nodes made below are not differentiated */
    p->again = calloc((size_t)p->segments + 1, sizeof *p->again);
    p->end = calloc((size_t)p->g->count + 1, sizeof *p->end);
    if (!p->order || !p->d || !p->again || !p->end)
        return status_fail(p->g->st, TIMM_NO_MEMORY, "out of memory differentiating %d nodes", p->g->count);
    for (int i = 0; i < n; i++)
        p->end[x[i]->id] = true;
    return true;
}

static bool send_back(pass *p, tg *v)
{
    tg *back[64] = { 0 }, **b = v->n_in <= 64 ? back : calloc((size_t)v->n_in, sizeof *b), *dy = p->d[v->id];
    if (!b)
        return status_fail(p->g->st, TIMM_NO_MEMORY, "out of memory differentiating %s", v->op->name);
    if (!v->op->grad) {
        tg_poison(p->g, TIMM_UNSUPPORTED, "%s in %s cannot be differentiated", v->op->name, v->where);
        return false;
    }
    if (v->segment && !p->again[v->segment] && !compute_again(p, v, dy))
        return false;
    tg_where(p->g, v->where);
    v->op->grad(v->segment ? p->again[v->segment][v->id] : v, dy, b);
    for (int k = 0; k < v->n_in; k++) {
        tg *in = v->in[k];
        if (b[k] && in->wants_grad)
            p->d[in->id] = p->d[in->id] ? tg_add(p->d[in->id], b[k]) : b[k];
    }
    if (b != back)
        free(b);
    return true;
}

/* A node is visited after all its users. */
void tg_gradients(tg *y, tg *dy, tg *const *x, int n, tg **dx)
{
    pass p = { .g = y->graph };
    memset(dx, 0, (size_t)n * sizeof *dx);
    bool ok = open_pass(&p, y, x, n);
    if (ok)
        p.d[y->id] = dy;
    for (int i = p.count; ok && i-- > 0;) {
        tg *v = p.order[i];
        if (p.d[v->id] && v->wants_grad && !p.end[v->id] && !(v->op->flags & TG_LEAF))
            ok = send_back(&p, v);
    }
    for (int i = 0; i < n && p.d; i++)
        dx[i] = p.d[x[i]->id];
    for (int i = 0; p.again && i <= p.segments; i++)
        free(p.again[i]);
    free(p.again);
    free(p.end);
    free(p.d);
}
