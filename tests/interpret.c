/* interpret.c - runs a graph on the definitions, in double. */
#include "interpret.h"
#include <stdlib.h>
#include <string.h>

static double *value_of(const tg *x, double *const *inputs, double **made)
{
    int64_t n = tg_numel(x->shape);
    double *v = malloc((size_t)n * sizeof *v + 8);
    tg_tensor in[64];
    if (!v || x->n_in > 64)
        return free(v), NULL;
    if (x->op->flags & TG_LEAF) {
        for (int64_t i = 0; i < n; i++)
            v[i] = x->data ? (double)x->data[i] : inputs[x->input][i];
        return v;
    }
    for (int k = 0; k < x->n_in; k++) {
        in[k] = (tg_tensor){ .data = made[x->in[k]->id], .dtype = TG_F64, .shape = x->in[k]->shape };
        tg_dense(&in[k]);
    }
    tg_call call = { .op = x->op, .attr = x->attr, .in = in, .n_in = x->n_in,
                     .out = { .data = v, .dtype = TG_F64, .shape = x->shape } };
    tg_dense(&call.out);
    x->op->ref(&call);
    return v;
}

bool interpret(tg_graph *g, tg *const *outputs, int n, double *const *inputs, double **values)
{
    int count;
    tg **order = tg_order(g, outputs, n, &count);
    double **made = calloc((size_t)g->count + 1, sizeof *made);
    bool ok = order && made;
    for (int i = 0; ok && i < count; i++)
        ok = (made[order[i]->id] = value_of(order[i], inputs, made)) != NULL;
    for (int i = 0; ok && i < n; i++) {
        size_t bytes = (size_t)tg_numel(outputs[i]->shape) * sizeof(double);
        values[i] = malloc(bytes + 8);
        ok = values[i] != NULL;
        if (ok)
            memcpy(values[i], made[outputs[i]->id], bytes);
    }
    for (int i = 0; made && i < g->count; i++)
        free(made[i]);
    free(made);
    return ok;
}
