/* model.c - create, survey, plan, run.  A model is options over a store; everything that changes it is building again. */
#include "api/model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "zoo/zoo.h"

/* -- building -------------------------------------------------------------------------------------------------------------- */

static void build_head(timm_model *m, nn_build *b, tg *features, bool pre_logits, tg **out)
{
    timm_head h = m->head;
    h.pre_logits = pre_logits;
    *out = m->family->head(nn_root(b), features, m->variant, h);
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* The taps wanted, in the network's order, each once. */
static int taps_in_order(const timm_model *m, const nn_build *b, tg **out, int max)
{
    int n = 0, *sorted = malloc(((size_t)m->n_wanted + 1) * sizeof *sorted);
    if (!sorted)
        return status_fail(&m->ctx->st, TIMM_NO_MEMORY, "out of memory for %d taps", m->n_wanted), 0;
    memcpy(sorted, m->wanted, (size_t)m->n_wanted * sizeof *sorted);
    qsort(sorted, (size_t)m->n_wanted, sizeof *sorted, by_number);
    for (int i = 0; i < m->n_wanted && n < max; i++)
        if ((i == 0 || sorted[i] != sorted[i - 1]) && sorted[i] < b->taps)
            out[n++] = b->tap[sorted[i]].value;
    free(sorted);
    return n;
}

bool model_build(timm_model *m, part what, tg_shape input, nn_build *b, tg **out, int max, int *n)
{
    status *st = &m->ctx->st;
    *n = 1;
    if (!nn_build_open(b, m->w->store, m->family, &m->opts, st))
        return false;
    tg *x = tg_input(b->graph, 0, input);
    if (what == PART_HEAD || what == PART_PRE_LOGITS) {
        build_head(m, b, x, what == PART_PRE_LOGITS, &out[0]);
    } else {
        x = m->family->body(nn_root(b), x, m->variant);
        out[0] = x;
        if (what == PART_FORWARD)
            build_head(m, b, x, false, &out[0]);
        else if (what == PART_TAPS)
            *n = taps_in_order(m, b, out, max);
    }
    if (status_ok(st))
        for (int i = 0; i < *n; i++)
            if (out[i]->poisoned)
                status_fail(st, TIMM_INTERNAL, "%s is poisoned without a message", m->cfg.architecture);
    return status_ok(st);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(nn_entry *const *)a)->name, (*(nn_entry *const *)b)->name);
}

/* A tap's reduction is the input's height over its own.  Odd sizes round many times on the way down, so it is asked for at the
 * config's size, or, of networks that take any, at 256; over a store of its own, as position grids differ. */
static bool survey_taps(timm_model *m)
{
    status *st = &m->ctx->st;
    nn_build b = { 0 };
    nn_options opts = m->opts;
    nn_store *store = nn_store_new(0, st);
    for (int i = 0; i < 2; i++)
        opts.img_size[i] = m->cfg.fixed_input_size ? m->cfg.input_size[1 + i] : 256;
    if (!store || !nn_build_open(&b, store, m->family, &opts, st)) {
        nn_store_free(store);
        return false;
    }
    m->family->body(nn_root(&b), tg_input(b.graph, 0, SHAPE(1, opts.in_chans, opts.img_size[0], opts.img_size[1])), m->variant);
    m->taps = b.taps;
    m->tap = arena_alloc(&m->mem, ((size_t)b.taps + 1) * sizeof *m->tap);
    for (int i = 0; m->tap && i < b.taps; i++) {
        const nn_tap *t = &b.tap[i];
        double rows = (double)tg_dim(t->value, t->nhwc ? 1 : 2);
        m->tap[i] = (tap_info){ .module = arena_strdup(&m->mem, t->module), .channels = tg_dim(t->value, t->nhwc ? 3 : 1),
                                .reduction = (int)((double)opts.img_size[0] / rows + .5) };
        if (!m->tap[i].module)
            m->tap = NULL;
    }
    nn_build_close(&b);
    nn_store_free(store);
    return m->tap ? status_ok(st) : status_fail(st, TIMM_NO_MEMORY, "out of memory for the taps of %s", m->cfg.architecture);
}

/* The axis of channels of what the body leaves: tokens and NHWC maps have it last. */
static int64_t width_of(const tg *x, bool nhwc) { return tg_dim(x, tg_rank(x) == 4 && !nhwc ? 1 : -1); }

bool model_survey(timm_model *m)
{
    status *st = &m->ctx->st;
    nn_build b;
    tg *logits = NULL, *hidden = NULL;
    tg_shape image = SHAPE(1, m->opts.in_chans, m->opts.img_size[0], m->opts.img_size[1]);

    if (!nn_build_open(&b, m->w->store, m->family, &m->opts, st))
        return false;
    tg *x = m->family->body(nn_root(&b), tg_input(b.graph, 0, image), m->variant);
    bool nhwc = b.taps && b.tap[b.taps - 1].nhwc;
    if (!m->wanted) {
        build_head(m, &b, x, true, &hidden);
        build_head(m, &b, x, false, &logits);
    }
    bool ok = status_ok(st) && survey_taps(m);
    if (ok) {
        m->entries = (size_t)b.entries;
        m->entry = arena_alloc(&m->mem, ((size_t)b.entries + 1) * sizeof *m->entry);
        ok = m->entry || status_fail(st, TIMM_NO_MEMORY, "out of memory for %d names", b.entries);
    }
    if (ok) {
        memcpy(m->entry, b.entry, (size_t)b.entries * sizeof *m->entry);
        qsort(m->entry, m->entries, sizeof *m->entry, by_name);
        m->num_features = width_of(x, nhwc);
        m->features = tg_shape_of(x);
        m->features_axis = tg_rank(x) == 4 && !nhwc ? 1 : tg_rank(x) - 1;
        m->head_hidden_size = hidden ? width_of(hidden, nhwc) : m->num_features;
    }
    nn_build_close(&b);
    return ok;
}

/* -- creating -------------------------------------------------------------------------------------------------------------- */

static bool is_stride(int n, status *st)
{
    return n == 0 || n == 8 || n == 16 || n == 32
           || status_fail(st, TIMM_BAD_ARG, "output_stride is %d; it must be 8, 16 or 32", n);
}

static bool resolve(timm_model *m, const timm_model_opts *o)
{
    status *st = &m->ctx->st;
    nn_pooling how = NN_POOL_DEFAULT;
    if (o->global_pool && !pooling_by_name(o->global_pool, &how))
        return status_fail(st, TIMM_BAD_ARG, "no pooling is called '%s'; there are avg, max, avgmax, catavgmax, fast, fastavg, "
                           "fastmax, fastavgmax, fastcatavgmax, token, map and '' for none", o->global_pool);
    if (o->in_chans < 0 || o->in_chans > 65536 || o->classes < -1 || o->classes > 10000000)
        return status_fail(st, TIMM_BAD_ARG, "in_chans %d, classes %d: out of range", o->in_chans, o->classes);
    m->precision_named = o->precision && *o->precision;
    if (!is_stride(o->output_stride, st) || !plan_precision(o->precision, &m->precision, st))
        return false;
    const struct { const char *name; float rate; } drop[] = {
        { "drop_rate", o->drop_rate }, { "drop_path", o->drop_path }, { "drop_block", o->drop_block }, { "proj_drop", o->proj_drop },
        { "attn_drop", o->attn_drop }, { "pos_drop", o->pos_drop }, { "patch_drop", o->patch_drop },
    };
    for (size_t i = 0; i < sizeof drop / sizeof *drop; i++)
        if (!(drop[i].rate < 1))
            return status_fail(st, TIMM_BAD_ARG, "%s is %g; a rate must be below 1", drop[i].name, (double)drop[i].rate);
    int64_t h = o->img_size[0], w = o->img_size[1] ? o->img_size[1] : h;
    if (h < 0 || w < 0 || h > 1 << 20 || w > 1 << 20)
        return status_fail(st, TIMM_BAD_ARG, "img_size %lld x %lld: out of range", (long long)h, (long long)w);
    m->opts = (nn_options){
        .classes = o->classes < 0 ? 0 : o->classes ? o->classes : (int)m->cfg.num_classes,
        .in_chans = o->in_chans ? o->in_chans : (int)m->cfg.input_size[0],
        .pool = how,
        .img_size = { h ? h : m->cfg.input_size[1], h ? w : m->cfg.input_size[2] },
        .dynamic_img_size = o->dynamic_img_size, .output_stride = o->output_stride ? o->output_stride : 32,
        .drop_rate = o->drop_rate, .drop_path = o->drop_path, .drop_block = o->drop_block, .proj_drop = o->proj_drop,
        .attn_drop = o->attn_drop, .pos_drop = o->pos_drop, .patch_drop = o->patch_drop,
    };
    m->head = (timm_head){ .classes = m->opts.classes, .pool = how, .drop_rate = o->drop_rate > 0 ? o->drop_rate : 0 };
    return true;
}

static timm_model *new_model(timm_ctx *ctx)
{
    timm_model *m = calloc(1, sizeof *m);
    if (!m) {
        status_fail(&ctx->st, TIMM_NO_MEMORY, "out of memory for a model");
        return NULL;
    }
    m->ctx = ctx;
    m->last = -1;
    m->next = ctx->models;
    ctx->models = m;
    return m;
}

timm_model *timm_create(timm_ctx *ctx, const char *name, const timm_model_opts *opts)
{
    timm_model_opts o = opts ? *opts : (timm_model_opts){ 0 };
    timm_cfg cfg;
    if (!ctx || !status_ok(&ctx->st))
        return NULL;
    if (timm_get_cfg(ctx, name, &cfg) != TIMM_OK)
        return NULL;
    timm_model *m = new_model(ctx);
    if (!m)
        return NULL;
    m->cfg = cfg;
    m->family = zoo_find(cfg.architecture, &m->variant);
    m->w = calloc(1, sizeof *m->w);
    if (m->w) {
        m->w->users = 1;
        m->w->store = nn_store_new(ctx->seed, &ctx->st);
    }
    bool ok = m->family || status_fail(&ctx->st, TIMM_INTERNAL, "%s is listed but has no network", cfg.architecture);
    ok = ok && ((m->w && m->w->store) || status_fail(&ctx->st, TIMM_NO_MEMORY, "out of memory for a model"));
    if (ok && o.fill)
        nn_store_fill(m->w->store, o.fill, o.user);
    m->use_ema = o.use_ema;
    int asked = o.classes;
    if (!o.weights && asked == TIMM_CLASSES_OF_WEIGHTS)
        o.classes = 0;
    ok = ok && (!o.weights || weights_describe(m, &o)) && model_take_kwargs(m, o.kwargs) && resolve(m, &o) && model_survey(m)
         && (!o.weights || weights_load(m, o.weights, o.strict, asked && asked != TIMM_CLASSES_OF_WEIGHTS));
    if (ok)
        return m;
    timm_free(m);
    return NULL;
}

void timm_free(timm_model *m)
{
    if (!m)
        return;
    for (timm_model **p = &m->ctx->models; *p; p = &(*p)->next)
        if (*p == m) {
            *p = m->next;
            break;
        }
    model_drop_plans(m);
    if (m->w)
        weights_release(m->w);
    arena_free(&m->mem);
    free(m->wanted);
    free(m);
}

timm_status timm_reset_classifier(timm_model *m, int classes, const char *global_pool)
{
    if (!m)
        return TIMM_BAD_ARG;
    status *st = &m->ctx->st;
    nn_pooling how = m->head.pool;
    if (classes < 0 || classes > 10000000)
        status_fail(st, TIMM_BAD_ARG, "a classifier cannot have %d classes", classes);
    else if (global_pool && !pooling_by_name(global_pool, &how))
        status_fail(st, TIMM_BAD_ARG, "no pooling is called '%s'", global_pool);
    if (!status_ok(st))
        return st->code;
    m->head.classes = classes;
    m->head.pool = how;
    model_drop_plans(m);
    model_survey(m);
    return st->code;
}

/* -- running --------------------------------------------------------------------------------------------------------------- */

static timm_tensor as_tensor(const tg_tensor *t)
{
    timm_tensor r = { .rank = t->shape.rank, .data = t->data };
    memcpy(r.dim, t->shape.dim, sizeof r.dim);
    return r;
}

static bool input_shape(timm_model *m, const timm_tensor *x, bool image, tg_shape *shape)
{
    status *st = &m->ctx->st;
    if (!x || !x->data || x->rank < 2 || x->rank > TG_MAX_RANK)
        return status_fail(st, TIMM_BAD_ARG, "%s: the input has no data or not 2 to 6 axes", m->cfg.architecture);
    shape->rank = x->rank;
    memcpy(shape->dim, x->dim, sizeof shape->dim);
    for (int i = 0; i < x->rank; i++)
        if (x->dim[i] < 1)
            return status_fail(st, TIMM_SHAPE, "%s: the input is %s", m->cfg.architecture, tg_str(*shape));
    if (image && (x->rank != 4 || x->dim[1] != m->opts.in_chans))
        return status_fail(st, TIMM_SHAPE, "%s takes images of shape (N, %d, H, W); the input is %s", m->cfg.architecture,
                           m->opts.in_chans, tg_str(*shape));
    /* Parameters are declared where they are used: a head of another width would be another head. */
    if (!image && (x->rank != m->features.rank || x->dim[m->features_axis] != m->num_features))
        return status_fail(st, TIMM_SHAPE, "the head of %s takes features as %s, %lld of them in axis %d; the input is %s", m->cfg.architecture,
                           tg_str(m->features), (long long)m->num_features, m->features_axis, tg_str(*shape));
    return true;
}

static planned *run(timm_model *m, part what, const timm_tensor *x)
{
    tg_shape shape;
    if (!m || !status_ok(&m->ctx->st) || !input_shape(m, x, what != PART_HEAD && what != PART_PRE_LOGITS, &shape))
        return NULL;
    planned *p = model_plan(m, what, shape);
    if (p)
        plan_run(p->plan, (const float *const[]){ x->data });
    return p;
}

static timm_tensor first_output(timm_model *m, part what, const timm_tensor *x)
{
    planned *p = run(m, what, x);
    return p ? as_tensor(plan_output(p->plan, 0)) : (timm_tensor){ 0 };
}

timm_tensor timm_forward(timm_model *m, const timm_tensor *image) { return first_output(m, PART_FORWARD, image); }
timm_tensor timm_forward_features(timm_model *m, const timm_tensor *image) { return first_output(m, PART_FEATURES, image); }

timm_tensor timm_forward_head(timm_model *m, const timm_tensor *features, bool pre_logits)
{
    return first_output(m, pre_logits ? PART_PRE_LOGITS : PART_HEAD, features);
}

/* -- features -------------------------------------------------------------------------------------------------------------- */

static bool choose_taps(timm_model *f, const timm_feature_opts *o, int taps, int default_taps)
{
    status *st = &f->ctx->st;
    int n = o->count ? o->count : o->out_indices ? 0 : default_taps ? default_taps : taps;
    if (!taps)
        return status_fail(st, TIMM_UNSUPPORTED, "features_only is not to be had for %s", f->cfg.architecture);
    if (n < 1 || (!o->out_indices && n > taps))
        return status_fail(st, TIMM_BAD_ARG, "last-n (%d) is out of range (1 to %d)", n, taps);
    f->wanted = malloc((size_t)n * sizeof *f->wanted);
    if (!f->wanted)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for %d taps", n);
    for (int i = 0; i < n; i++) {
        int k = o->out_indices ? o->out_indices[i] : taps - n + i;
        if (k < -taps || k >= taps)
            return status_fail(st, TIMM_BAD_ARG, "feature index %d is out of range (0 to %d)", k, taps - 1);
        f->wanted[i] = k < 0 ? k + taps : k;
    }
    f->n_wanted = n;
    return true;
}

timm_model *timm_features(timm_model *m, const timm_feature_opts *opts)
{
    const timm_feature_opts o = opts ? *opts : (timm_feature_opts){ 0 };
    if (!m || !status_ok(&m->ctx->st))
        return NULL;
    timm_model *f = new_model(m->ctx);
    if (!f)
        return NULL;
    f->family = m->family;
    f->variant = m->variant;
    f->cfg = m->cfg;
    f->opts = m->opts;
    f->opts.features_only = true;
    f->opts.norm_taps = o.norm;
    f->opts.output_stride = o.output_stride ? o.output_stride : m->opts.output_stride;
    f->precision = m->precision;
    f->precision_named = m->precision_named;
    f->w = m->w;
    f->w->users++;
    if (is_stride(o.output_stride, &m->ctx->st) && choose_taps(f, &o, m->taps, m->family->default_taps) && model_survey(f))
        return f;
    timm_free(f);
    return NULL;
}

int timm_feature_count(const timm_model *f) { return f && f->wanted ? f->n_wanted : 0; }

timm_feature_info timm_get_feature_info(const timm_model *f, int i)
{
    if (!f || !f->wanted || i < 0 || i >= f->n_wanted)
        return (timm_feature_info){ 0 };
    const tap_info *t = &f->tap[f->wanted[i]];
    return (timm_feature_info){ .module = t->module, .channels = t->channels, .reduction = t->reduction, .index = f->wanted[i] };
}

timm_status timm_forward_intermediates(timm_model *f, const timm_tensor *image, timm_tensor *maps)
{
    if (!f)
        return TIMM_BAD_ARG;
    if (!f->wanted)
        status_fail(&f->ctx->st, TIMM_BAD_ARG, "%s was not made by timm_features", f->cfg.architecture);
    planned *p = run(f, PART_TAPS, image);
    for (int i = 0; p && i < f->n_wanted; i++)
        maps[i] = as_tensor(plan_output(p->plan, i));
    return f->ctx->st.code;
}
