/* autodiff.c - reverse mode over nodes: each op's gradient rule emits nodes, and nothing else here knows about training. */
#include <stdlib.h>
#include <string.h>
#include "graph.h"

/* d[i] is the sum so far of what users of order[i] sent back; a node is visited after all its users. */
void tg_gradients(tg *y, tg *dy, tg *const *x, int n, tg **dx)
{
    tg_graph *g = y->graph;
    int count;
    tg **order = tg_order(g, &y, 1, &count);
    tg **d = calloc((size_t)g->count + 1, sizeof *d);      /* by id; nodes made below are not differentiated */
    bool *end = calloc((size_t)g->count + 1, sizeof *end); /* one of x */

    memset(dx, 0, (size_t)n * sizeof *dx);
    if (!order || !d || !end) {
        free(d);
        free(end);
        status_fail(g->st, TIMM_NO_MEMORY, "out of memory differentiating %d nodes", g->count);
        return;
    }
    for (int i = 0; i < n; i++)
        end[x[i]->id] = true;
    d[y->id] = dy;
    for (int i = count; i-- > 0;) {
        tg *v = order[i];
        if (!d[v->id] || !v->wants_grad || end[v->id] || (v->op->flags & TG_LEAF))
            continue;
        if (!v->op->grad) {
            tg_poison(g, TIMM_UNSUPPORTED, "%s in %s cannot be differentiated", v->op->name, v->where);
            break;
        }
        tg *back[64] = { 0 }, **b = v->n_in <= 64 ? back : calloc((size_t)v->n_in, sizeof *b);
        if (!b) {
            status_fail(g->st, TIMM_NO_MEMORY, "out of memory differentiating %s", v->op->name);
            break;
        }
        tg_where(g, v->where);
        v->op->grad(v, d[v->id], b);
        for (int k = 0; k < v->n_in; k++) {
            tg *in = v->in[k];
            if (b[k] && in->wants_grad)
                d[in->id] = d[in->id] ? tg_add(d[in->id], b[k]) : b[k];
        }
        if (b != back)
            free(b);
    }
    for (int i = 0; i < n; i++)
        dx[i] = d[x[i]->id];
    free(d);
    free(end);
}
