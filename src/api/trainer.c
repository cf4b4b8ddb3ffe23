/* trainer.c - forward and backward as one plan, run once a batch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/trainer.h"
#include "base/random.h"
#include "train/task.h"

enum { LOGITS, LOSS, FIRST_GRADIENT };       /* in this order, and so in three parts, the plan runs */

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
    t->plan = NULL;
    t->param = NULL;
    t->gradient = NULL;
    t->buffer = NULL;
    t->input = NULL;
    t->params = t->curves = t->buffers = 0;
    t->next = PASS_FORWARD;
}

void timm_trainer_close(timm_trainer *t)
{
    if (!t)
        return;
    trainer_step_free(t);
    trainer_data_free(t);
    trainer_run_free(t);
    train_options_free(&t->opts);
    forget(t);
    free(t);
}

timm_status timm_trainer_set(timm_trainer *t, const char *name, const char *value)
{
    if (!t || !name || !value)
        return TIMM_BAD_ARG;
    status *st = &t->m->ctx->st;
    if (t->started) {
        status_fail(st, TIMM_BAD_ARG, "option %s comes too late: training has begun", name);
    } else if (status_ok(st) && train_set(&t->opts, name, value, st)) {
        forget(t);
        t->calls = 0;
        t->keep = false;
    }
    return st->code;
}

const char *timm_trainer_get(const timm_trainer *t, const char *name) { return t && name ? train_text(&t->opts, name) : NULL; }

/* Never asked for: a training plan has no constant parameters. */
static const float *no_fetch(void *entry, bool *temporary) { return (void)entry, *temporary = false, NULL; }
static void no_done(void *entry, const float *value, bool temporary) { (void)entry, (void)value, (void)temporary; }

/* z (H z), elementwise, has the Hessian's diagonal for its mean where z is -1 or 1 at random: the gradient of sum of d z. */
static void estimate_hessian(const timm_trainer *t, nn_build *b, tg *const *d, tg **h)
{
    tg *all = NULL, **z = h;
    float one = 1;
    for (int i = 0; i < b->entries; i++) {
        if (!d[i] || trainer_group(t, b->entry[i])->frozen)
            continue;
        tg_shape shape = tg_shape_of(d[i]);
        uint64_t site = hash_name(b->entry[i]->name) ^ hash_name("hessian");
        z[i] = tg_affine(tg_bernoulli(nn_key(nn_root(b)), shape, .5, 2, site), 1, -1);
        tg *sum = tg_reshape(tg_sum(tg_mul(d[i], z[i]), (1u << shape.rank) - 1), SHAPE(1));
        all = all ? tg_add(all, sum) : sum;
    }
    tg **hz = all ? calloc((size_t)b->entries + 1, sizeof *hz) : NULL;
    if (hz)
        tg_gradients(all, tg_const(all, SHAPE(1), &one), b->leaf, b->entries, hz);
    else if (all)
        status_fail(&t->m->ctx->st, TIMM_NO_MEMORY, "out of memory for a training plan");
    for (int i = 0; hz && i < b->entries; i++)
        if (z[i])
            h[i] = hz[i] ? tg_mul(hz[i], z[i]) : tg_full(z[i], tg_shape_of(z[i]), 0);
    free(hz);
}

/* Outputs: logits, loss, the gradients there are, the Hessian's diagonal where it is wanted, then the buffers' new values. */
static bool make_plan(timm_trainer *t, nn_build *b, tg *loss, tg *logits)
{
    status *st = &t->m->ctx->st;
    bool curved = optimizer_wants_hessian(train_text(&t->opts, "opt"));
    size_t most = (size_t)b->entries * 2 + 1;
    tg **out = calloc(most + (size_t)b->updates + FIRST_GRADIENT, sizeof *out);
    tg **d = calloc(most, sizeof *d);
    t->param = calloc((size_t)b->entries + 1, sizeof *t->param);
    t->gradient = calloc(most, sizeof *t->gradient);
    t->buffer = calloc((size_t)b->updates + 1, sizeof *t->buffer);
    t->input = calloc((size_t)b->entries + NN_FIRST_PARAM, sizeof *t->input);
    bool ok = out && d && t->param && t->gradient && t->buffer && t->input;
    if (!ok) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a training plan");
    } else {
        int n = FIRST_GRADIENT;
        float one = 1;
        tg_gradients(loss, tg_const(loss, SHAPE(1), &one), b->leaf, b->entries, d);
        if (curved)
            estimate_hessian(t, b, d, d + b->entries);
        out[LOSS] = loss;
        out[LOGITS] = logits;
        t->params = b->entries;
        t->curves = curved ? b->entries : 0;
        memcpy(t->param, b->entry, (size_t)b->entries * sizeof *t->param);
        for (int i = t->params + t->curves; i-- > 0;)            /* as they are found: what is done with can go */
            if (d[i] && !trainer_group(t, t->param[i % t->params])->frozen) {
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
                        .source = { .fetch = no_fetch, .done = no_done }, .precision = t->m->precision, .without = t->m->ctx->without };
        ok = status_ok(st) && (t->plan = plan_make(b->graph, out, n, &o, st));
    }
    free(out);
    free(d);
    return ok;
}

/* The options' word on the model's precision, then its own, then bf16x6, whose weights take no memory in steps, where they are packed one
 * after the other.  The model keeps it: validation follows it too. */
static bool find_precision(timm_trainer *t)
{
    status *st = &t->m->ctx->st;
    const char *asked = train_text(&t->opts, "precision");
    tg_precision p = t->m->precision_named ? t->m->precision : TG_BF16X6;
    if (train_flag(&t->opts, "amp")) {
        if (!strcmp(train_text(&t->opts, "amp-dtype"), "float16"))
            return status_fail(st, TIMM_BAD_ARG, "amp-dtype float16 needs its losses scaled and is not there; bfloat16 needs no scaling");
        if (*asked && strcmp(asked, plan_precisions[TG_BF16]))
            return status_fail(st, TIMM_BAD_ARG, "amp means precision bf16, and precision says %s", asked);
        p = TG_BF16;
    } else if (*asked && !plan_precision(asked, &p, st)) {
        return false;
    }
    p = plan_possible(ctx_backends(t->m->ctx), p);
    if (p != t->m->precision)
        model_drop_plans(t->m);
    t->m->precision = p;
    return true;
}

static bool build(timm_trainer *t, tg_shape image, tg_shape target)
{
    timm_model *m = t->m;
    nn_build b;
    forget(t);
    t->mixed = trainer_mixes(t);
    t->task = task_of(&t->opts);
    if (!find_precision(t) || !trainer_find_groups(t) || !nn_build_open(&b, m->w->store, m->family, &m->opts, &m->ctx->st))
        return false;
    nn_build_train(&b);
    b.frozen = trainer_freezes;
    b.user = t;
    tg *x = m->family->body(nn_root(&b), tg_input(b.graph, 0, image), m->variant);
    tg *logits = m->family->head(nn_root(&b), x, m->variant, m->head);
    tg *loss = trainer_loss(t, logits, tg_input(b.graph, IN_TARGET, target));
    if (train_flag(&t->opts, "grad-checkpointing"))
        model_number_blocks(m->family, b.graph);
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

/* Of gradient[i]. */
static int64_t length(const timm_trainer *t, int i) { return t->gradient[i] ? tg_numel(t->param[i % t->params]->shape) : 0; }

/* The gradients into memory of the trainer's own, where they may change. */
bool trainer_own_gradients(timm_trainer *t)
{
    status *st = &t->m->ctx->st;
    int all = t->params + t->curves;
    if (!t->sum_block) {
        int64_t n = 0;
        for (int i = 0; i < all; i++)
            n += length(t, i);
        t->sum = calloc((size_t)all + 1, sizeof *t->sum);
        t->sum_block = malloc((size_t)n * sizeof *t->sum_block + 1);
        if (!t->sum || !t->sum_block)
            return status_fail(st, TIMM_NO_MEMORY, "out of memory for gradients");
        float *at = t->sum_block;
        for (int i = 0; i < all; i++)
            if (t->gradient[i]) {
                t->sum[i] = at;
                at += length(t, i);
            }
    }
    for (int i = 0; i < all && !t->summed; i++)
        if (t->sum[i])
            memcpy(t->sum[i], plan_output(t->plan, t->gradient[i])->data, (size_t)length(t, i) * sizeof(float));
    t->summed = true;
    return true;
}

static void add_gradients(timm_trainer *t)
{
    for (int i = 0; i < t->params + t->curves; i++) {
        const float *g = t->gradient[i] ? plan_output(t->plan, t->gradient[i])->data : NULL;
        for (int64_t k = 0, n = length(t, i); k < n; k++)
            t->sum[i][k] += g[k];
    }
}

void timm_keep_gradients(timm_trainer *t)
{
    if (t && t->plan && t->calls && status_ok(&t->m->ctx->st))
        t->keep = trainer_own_gradients(t);
}

bool trainer_needs_plan(timm_trainer *t)
{
    const timm_model *m = t->m;
    return t->plan || build(t, SHAPE(2, m->opts.in_chans, m->opts.img_size[0], m->opts.img_size[1]), SHAPE(2, m->head.classes));
}

static timm_tensor output(const timm_trainer *t, int i)
{
    const tg_tensor *o = plan_output(t->plan, i);
    timm_tensor r = { .rank = o->shape.rank, .data = o->data };
    memcpy(r.dim, o->shape.dim, sizeof r.dim);
    return r;
}

static double last_loss(const timm_trainer *t) { return *(const float *)plan_output(t->plan, LOSS)->data; }

/* The plan for these shapes, and its first part. */
static bool forward(timm_trainer *t, const timm_tensor *image, tg_shape x, tg_shape y)
{
    if (x.dim[1] != t->m->opts.in_chans)
        return status_fail(&t->m->ctx->st, TIMM_SHAPE, "%s takes images of shape (N, %d, H, W); the input is %s", t->m->cfg.architecture,
                           t->m->opts.in_chans, tg_str(x));
    if ((!t->plan || !tg_same(t->image, x) || !tg_same(t->target, y)) && !build(t, x, y))
        return false;
    t->calls = t->keep ? t->calls : 0;
    nn_key_of((uint64_t)train_int(&t->opts, "seed"), (uint64_t)t->passes++, t->key);
    t->input[IN_IMAGE] = image->data;
    t->input[IN_TARGET] = NULL;
    t->input[NN_KEY] = t->key;
    for (int i = 0; i < t->params; i++) {
        t->input[NN_FIRST_PARAM + i] = nn_own(t->param[i]);
        if (!t->input[NN_FIRST_PARAM + i])
            return false;
    }
    plan_run_part(t->plan, t->input, -1, LOGITS);
    t->next = PASS_LOSS;
    return true;
}

timm_tensor timm_train_forward(timm_trainer *t, const timm_tensor *image)
{
    tg_shape x = { 0 };
    if (!t)
        return (timm_tensor){ 0 };
    if (!shape_of(image, 4, &x))
        status_fail(&t->m->ctx->st, TIMM_SHAPE, "training takes images (N, C, H, W)");
    if (!status_ok(&t->m->ctx->st) || !forward(t, image, x, SHAPE(x.dim[0], t->m->head.classes)))
        return (timm_tensor){ 0 };
    return output(t, LOGITS);
}

timm_status timm_train_loss(timm_trainer *t, const timm_tensor *target, double *loss)
{
    tg_shape y = { 0 };
    if (!t)
        return TIMM_BAD_ARG;
    status *st = &t->m->ctx->st;
    if (t->next != PASS_LOSS)
        status_fail(st, TIMM_BAD_ARG, "timm_train_loss comes after timm_train_forward");
    else if (!shape_of(target, 2, &y) || !tg_same(y, t->target))
        status_fail(st, TIMM_SHAPE, "targets are (N, classes), as the logits");
    if (!status_ok(st))
        return st->code;
    t->input[IN_TARGET] = target->data;
    plan_run_part(t->plan, t->input, LOGITS, LOSS);
    t->next = PASS_BACKWARD;
    if (loss)
        *loss = last_loss(t);
    return st->code;
}

timm_status timm_train_backward(timm_trainer *t)
{
    if (!t)
        return TIMM_BAD_ARG;
    status *st = &t->m->ctx->st;
    if (t->next != PASS_BACKWARD)
        status_fail(st, TIMM_BAD_ARG, "timm_train_backward comes after timm_train_loss");
    if (!status_ok(st))
        return st->code;
    plan_run_part(t->plan, t->input, LOSS, -1);
    t->next = PASS_FORWARD;
    bool finite = isfinite(last_loss(t));                                /* statistics of a batch gone wrong would stay */
    for (int i = 0; i < t->buffers && finite; i++)
        memcpy(t->buffer[i]->owned, plan_output(t->plan, t->first_update + i)->data,
               (size_t)tg_numel(t->buffer[i]->shape) * sizeof(float));
    if (t->keep)
        add_gradients(t);
    t->summed = t->keep;
    t->keep = false;
    t->calls++;
    model_drop_plans(t->m);
    return st->code;
}

timm_status timm_backward(timm_trainer *t, const timm_tensor *image, const timm_tensor *target, double *loss)
{
    timm_train_forward(t, image);
    timm_train_loss(t, target, loss);
    return timm_train_backward(t);
}

timm_tensor timm_trainer_logits(const timm_trainer *t) { return t && t->plan ? output(t, LOGITS) : (timm_tensor){ 0 }; }

float *trainer_gradient(const timm_trainer *t, int i)
{
    return !t->gradient[i] ? NULL : t->summed ? t->sum[i] : plan_output(t->plan, t->gradient[i])->data;
}

timm_tensor timm_gradient(const timm_trainer *t, const char *name)
{
    for (int i = 0; t && t->plan && i < t->params; i++)
        if (!strcmp(t->param[i]->name, name)) {
            timm_tensor g = t->gradient[i] ? output(t, t->gradient[i]) : (timm_tensor){ 0 };
            g.data = trainer_gradient(t, i);
            return g;
        }
    return (timm_tensor){ 0 };
}

void timm_trainer_set_profile(timm_trainer *t, bool on)
{
    if (t && t->plan)
        plan_profile(t->plan, on);
}

int timm_trainer_step_count(const timm_trainer *t)
{
    const plan_step *steps;
    return t && t->plan ? plan_steps(t->plan, &steps) : 0;
}

timm_step timm_trainer_get_step(const timm_trainer *t, int i) { return model_step(t ? t->plan : NULL, i); }
