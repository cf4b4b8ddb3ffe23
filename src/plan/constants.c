/* constants.c - what depends on nothing but weights is computed once, when the step that needs it is prepared. */
#include <stdlib.h>
#include <string.h>
#include "base/room.h"
#include "plan_in.h"

void constant_done(const plan_opts *o, constant *c)
{
    if (c->param)
        o->source.done(c->param, c->data, c->temporary);
    room_free(c->heap);
    *c = (constant){ 0 };
}

static bool run(const plan_opts *o, tg *x, const constant *value, float *out, status *st)
{
    tg_tensor *in = calloc((size_t)x->n_in, sizeof *in);
    if (!in)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for %d operands of %s", x->n_in, x->op->name);
    tg_call call = { .op = x->op, .attr = x->attr, .in = in, .n_in = x->n_in, .out = { .shape = x->shape }, .pool = o->pool };
    for (int i = 0; i < x->n_in; i++) {
        in[i] = (tg_tensor){ .data = (void *)(uintptr_t)value[i].data, .shape = x->in[i]->shape };
        tg_dense(&in[i]);
    }
    tg_dense(&call.out);
    call.out.data = out;
    choice c = { 0 };
    bool ok = choose_kernel(o, &call, in, false, x->where, &c, st);
    void *scratch = NULL;
    if (ok && c.prep.scratch && !(scratch = aligned_alloc(64, (c.prep.scratch + 63) / 64 * 64)))
        ok = status_fail(st, TIMM_NO_MEMORY, "out of memory for %zu bytes of scratch of %s", c.prep.scratch, x->op->name);
    if (ok) {
        call.state = c.prep.state;
        call.scratch = scratch;
        if (c.kernel)
            c.kernel->run(&call);
        else
            x->op->ref(&call);
    }
    if (c.kernel && c.kernel->release)
        c.kernel->release(c.prep.state);
    free(scratch);
    free(in);
    return ok;
}

bool constant_eval(const plan_opts *o, tg *x, constant *c, status *st)
{
    *c = (constant){ 0 };
    if (o->sketch)
        return true;
    size_t bytes = (size_t)tg_numel(x->shape) * sizeof(float);
    if (x->data) {                                   /* the graph goes before the plan does */
        c->heap = room_alloc(bytes);
        if (!c->heap)
            return status_fail(st, TIMM_NO_MEMORY, "out of memory for %zu bytes of a constant", bytes);
        c->data = memcpy(c->heap, x->data, bytes);
        return true;
    }
    if (x->param) {
        c->data = o->source.fetch(x->param, &c->temporary);
        if (c->data)
            c->param = x->param;
        return c->data != NULL;
    }
    constant *value = calloc((size_t)x->n_in + 1, sizeof *value);
    float *out = room_alloc(bytes);
    bool ok = value && out;
    if (!ok)
        status_fail(st, TIMM_NO_MEMORY, "out of memory for %zu bytes of a constant of %s", bytes, x->where);
    for (int i = 0; ok && i < x->n_in; i++)
        ok = constant_eval(o, x->in[i], &value[i], st);
    ok = ok && run(o, x, value, out, st);
    for (int i = 0; value && i < x->n_in; i++)
        constant_done(o, &value[i]);
    free(value);
    if (!ok)
        room_free(out);
    else
        c->data = c->heap = out;
    return ok;
}
