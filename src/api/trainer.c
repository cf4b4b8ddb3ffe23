/* trainer.c - forward and backward as one plan; parameters are its inputs, gradients and running statistics its outputs. */
#include <stdlib.h>
#include <string.h>
#include "api/model.h"
#include "train/loss.h"

enum { LOSS, LOGITS, FIRST_GRADIENT };

struct timm_trainer {
    timm_model *m;
    tg_shape image, target;                 /* what the plan is for */
    plan *plan;
    nn_entry **param;                       /* those of the plan, in the build's order */
    int *gradient;                          /* output that holds its gradient; 0: none flows there */
    int params;
    nn_entry **buffer;                      /* output first_update + i becomes its value */
    int buffers, first_update;
    const float **input;
    float key[NN_KEY_SIZE];                 /* of this update: what dropout leaves out */
    uint64_t updates;
};

timm_trainer *timm_trainer_open(timm_model *m)
{
    if (!m || !status_ok(&m->ctx->st))
        return NULL;
    timm_trainer *t = calloc(1, sizeof *t);
    if (!t)
        status_fail(&m->ctx->st, TIMM_NO_MEMORY, "out of memory for a trainer");
    else
        t->m = m;
    return t;
}

static void forget(timm_trainer *t)
{
    plan_free(t->plan);
    free(t->param);
    free(t->gradient);
    free(t->buffer);
    free(t->input);
    *t = (timm_trainer){ .m = t->m, .updates = t->updates };
}

void timm_trainer_close(timm_trainer *t)
{
    if (!t)
        return;
    forget(t);
    free(t);
}

/* Never asked for: a training plan has no constant parameters. */
static const float *no_fetch(void *entry, bool *temporary) { return (void)entry, *temporary = false, NULL; }
static void no_done(void *entry, const float *value, bool temporary) { (void)entry, (void)value, (void)temporary; }

/* Outputs: loss, logits, the gradients there are, then the buffers' new values. */
static bool make_plan(timm_trainer *t, nn_build *b, tg *loss, tg *logits)
{
    status *st = &t->m->ctx->st;
    tg **out = calloc((size_t)b->entries + (size_t)b->updates + FIRST_GRADIENT, sizeof *out);
    tg **d = calloc((size_t)b->entries + 1, sizeof *d);
    t->param = calloc((size_t)b->entries + 1, sizeof *t->param);
    t->gradient = calloc((size_t)b->entries + 1, sizeof *t->gradient);
    t->buffer = calloc((size_t)b->updates + 1, sizeof *t->buffer);
    t->input = calloc((size_t)b->entries + NN_FIRST_PARAM, sizeof *t->input);
    bool ok = out && d && t->param && t->gradient && t->buffer && t->input;
    if (!ok) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a training plan");
    } else {
        int n = FIRST_GRADIENT;
        float one = 1;
        tg_gradients(loss, tg_const(loss, SHAPE(1), &one), b->leaf, b->entries, d);
        out[LOSS] = loss;
        out[LOGITS] = logits;
        t->params = b->entries;
        memcpy(t->param, b->entry, (size_t)b->entries * sizeof *t->param);
        for (int i = 0; i < b->entries; i++)
            if (d[i] && !b->entry[i]->par.buffer) {
                t->gradient[i] = n;
                out[n++] = d[i];
            }
        t->first_update = n;
        t->buffers = b->updates;
        for (int i = 0; i < b->updates; i++) {
            t->buffer[i] = b->update[i].entry;
            out[n++] = b->update[i].value;
        }
        plan_opts o = { .backends = ctx_backends(t->m->ctx), .pool = ctx_pool(t->m->ctx), .verbose = t->m->ctx->verbose,
                        .source = { .fetch = no_fetch, .done = no_done } };
        ok = status_ok(st) && (t->plan = plan_make(b->graph, out, n, &o, st));
    }
    free(out);
    free(d);
    return ok;
}

static bool build(timm_trainer *t, tg_shape image, tg_shape target)
{
    timm_model *m = t->m;
    nn_build b;
    forget(t);
    if (!nn_build_open(&b, m->w->store, m->family, &m->opts, &m->ctx->st))
        return false;
    nn_build_train(&b);
    tg *x = m->family->body(nn_root(&b), tg_input(b.graph, 0, image), m->variant);
    tg *logits = m->family->head(nn_root(&b), x, m->variant, m->head);
    tg *loss = loss_build(&(loss_spec){ .name = "SoftTargetCrossEntropy" }, logits, tg_input(b.graph, 1, target), false);
    bool ok = status_ok(&m->ctx->st) && make_plan(t, &b, loss, logits);
    nn_build_close(&b);
    t->image = image;
    t->target = target;
    return ok;
}

static bool shape_of(const timm_tensor *x, int rank, tg_shape *s)
{
    if (!x || !x->data || x->rank != rank)
        return false;
    s->rank = rank;
    memcpy(s->dim, x->dim, sizeof s->dim);
    return true;
}

timm_status timm_backward(timm_trainer *t, const timm_tensor *image, const timm_tensor *target, double *loss)
{
    if (!t)
        return TIMM_BAD_ARG;
    status *st = &t->m->ctx->st;
    tg_shape x = { 0 }, y = { 0 };
    if (!shape_of(image, 4, &x) || !shape_of(target, 2, &y) || x.dim[0] != y.dim[0])
        status_fail(st, TIMM_SHAPE, "training takes images (N, C, H, W) and targets (N, classes) of the same N");
    if (!status_ok(st) || ((!t->plan || !tg_same(t->image, x) || !tg_same(t->target, y)) && !build(t, x, y)))
        return st->code;
    t->input[0] = image->data;
    t->input[1] = target->data;
    t->input[NN_KEY] = t->key;
    nn_key_of(t->m->ctx->seed, t->updates++, t->key);
    for (int i = 0; i < t->params; i++) {
        t->input[NN_FIRST_PARAM + i] = nn_own(t->param[i]);
        if (!t->input[NN_FIRST_PARAM + i])
            return st->code;
    }
    plan_run(t->plan, t->input);
    for (int i = 0; i < t->buffers; i++)
        memcpy(t->buffer[i]->owned, plan_output(t->plan, t->first_update + i)->data,
               (size_t)tg_numel(t->buffer[i]->shape) * sizeof(float));
    if (loss)
        *loss = ((const float *)plan_output(t->plan, LOSS)->data)[0];
    model_drop_plans(t->m);
    return st->code;
}

static timm_tensor output(const timm_trainer *t, int i)
{
    const tg_tensor *o = plan_output(t->plan, i);
    timm_tensor r = { .rank = o->shape.rank, .data = o->data };
    memcpy(r.dim, o->shape.dim, sizeof r.dim);
    return r;
}

timm_tensor timm_trainer_logits(const timm_trainer *t) { return t && t->plan ? output(t, LOGITS) : (timm_tensor){ 0 }; }

timm_tensor timm_gradient(const timm_trainer *t, const char *name)
{
    for (int i = 0; t && t->plan && i < t->params; i++)
        if (!strcmp(t->param[i]->name, name))
            return t->gradient[i] ? output(t, t->gradient[i]) : (timm_tensor){ 0 };
    return (timm_tensor){ 0 };
}
