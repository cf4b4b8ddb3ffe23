/* params.c - what is inside a model: names, values, sizes, steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/model.h"
#include "base/sha256.h"

const timm_cfg *timm_model_cfg(const timm_model *m) { return m ? &m->cfg : NULL; }
int64_t timm_num_features(const timm_model *m) { return m ? m->num_features : 0; }
int64_t timm_head_hidden_size(const timm_model *m) { return m ? m->head_hidden_size : 0; }
int64_t timm_num_classes(const timm_model *m) { return m ? m->head.classes : 0; }

const char *timm_precision(const timm_model *m) { return m ? plan_precisions[plan_possible(ctx_backends(m->ctx), m->precision)] : ""; }

int64_t timm_num_params(const timm_model *m)
{
    int64_t n = 0;
    for (size_t i = 0; m && i < m->entries; i++)
        n += m->entry[i]->par.buffer ? 0 : tg_numel(m->entry[i]->shape);
    return n;
}

timm_transform timm_model_transform(const timm_model *m, bool test)
{
    timm_transform t = { 0 };
    if (!m)
        return t;
    t = timm_cfg_transform(&m->cfg, test);
    bool own = m->opts.img_size[0] == m->cfg.input_size[1] && m->opts.img_size[1] == m->cfg.input_size[2];
    if (!own) {
        t.input_size[1] = m->opts.img_size[0];
        t.input_size[2] = m->opts.img_size[1];
    }
    t.input_size[0] = m->opts.in_chans;
    return t;
}

/* -- by name --------------------------------------------------------------------------------------------------------------- */

size_t timm_param_count(const timm_model *m) { return m ? m->entries : 0; }

timm_param_info timm_get_param_info(const timm_model *m, size_t i)
{
    if (!m || i >= m->entries)
        return (timm_param_info){ 0 };
    const nn_entry *e = m->entry[i];
    timm_param_info p = { .name = e->name, .dtype = e->par.integer ? "int64" : "float32", .rank = e->shape.rank,
                          .buffer = e->par.buffer };
    memcpy(p.dim, e->shape.dim, sizeof e->shape.dim);
    return p;
}

static nn_entry *entry_of(timm_model *m, const char *name, size_t count)
{
    status *st = &m->ctx->st;
    for (size_t i = 0; i < m->entries; i++) {
        nn_entry *e = m->entry[i];
        if (strcmp(e->name, name))
            continue;
        if ((size_t)tg_numel(e->shape) == count)
            return e;
        status_fail(st, TIMM_MISMATCH, "%s: %s is %s, %lld numbers; %zu were given room", m->cfg.architecture, name,
                    tg_str(e->shape), (long long)tg_numel(e->shape), count);
        return NULL;
    }
    status_fail(st, TIMM_NOT_FOUND, "%s has no parameter called '%s'", m->cfg.architecture, name);
    return NULL;
}

timm_status timm_param_read(timm_model *m, const char *name, float *out, size_t count)
{
    if (!m)
        return TIMM_BAD_ARG;
    nn_entry *e = entry_of(m, name, count);
    bool temporary;
    const float *v = e ? nn_fetch(e, &temporary) : NULL;
    if (v) {
        memcpy(out, v, count * sizeof *out);
        nn_done(e, v, temporary);
    }
    return m->ctx->st.code;
}

timm_status timm_param_write(timm_model *m, const char *name, const float *in, size_t count)
{
    if (!m)
        return TIMM_BAD_ARG;
    nn_entry *e = entry_of(m, name, count);
    float *v = e ? nn_own(e) : NULL;
    if (v) {
        memcpy(v, in, count * sizeof *v);
        model_drop_plans(m);
    }
    return m->ctx->st.code;
}

timm_status timm_state_hash(timm_model *m, char *hash)
{
    if (!m)
        return TIMM_BAD_ARG;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return status_errno(&m->ctx->st, "memory stream", "open"), m->ctx->st.code;
    for (size_t i = 0; i < m->entries; i++) {
        timm_param_info p = timm_get_param_info(m, i);
        fprintf(f, "%s\t", p.name);
        for (int k = 0; k < p.rank; k++)
            fprintf(f, k ? "x%lld" : "%lld", (long long)p.dim[k]);
        fprintf(f, "\t%s\n", p.dtype);
    }
    if (fclose(f))
        status_errno(&m->ctx->st, "memory stream", "write");
    else
        sha256_hex(text, size, hash);
    free(text);
    return m->ctx->st.code;
}

/* -- plans told ------------------------------------------------------------------------------------------------------------ */

static part whole_of(const timm_model *m) { return m->wanted ? PART_TAPS : PART_FORWARD; }

static tg_shape images_of(const timm_model *m, int64_t batch)
{
    return SHAPE(batch, m->opts.in_chans, m->opts.img_size[0], m->opts.img_size[1]);
}

timm_status timm_get_stats(timm_model *m, timm_model_stats *s)
{
    if (!m)
        return TIMM_BAD_ARG;
    *s = (timm_model_stats){ 0 };
    plan *p = status_ok(&m->ctx->st) ? model_sketch(m, whole_of(m), images_of(m, 1)) : NULL;
    if (!p)
        return m->ctx->st.code;
    const plan_step *steps;
    s->steps = plan_steps(p, &steps);
    s->macs = plan_macs(p);
    s->activations = plan_activations(p);
    s->arena_bytes = plan_arena_bytes(p);
    s->nodes = plan_nodes(p);
    plan_free(p);
    for (size_t i = 0; i < m->entries; i++)
        s->weight_bytes += (size_t)tg_numel(m->entry[i]->shape) * (m->entry[i]->par.integer ? 8 : 4);
    return m->ctx->st.code;
}

static void print_plan(FILE *f, timm_model *m, int64_t batch)
{
    plan *p = model_sketch(m, whole_of(m), images_of(m, batch));
    if (!p)
        return;
    fprintf(f, "%lld image%s\n", (long long)batch, batch == 1 ? "" : "s");
    plan_print(f, p);
    plan_free(p);
}

const char *timm_graph_text(timm_model *m, int64_t batch, bool kernels)
{
    char *text = NULL;
    size_t size = 0;
    if (!m || !status_ok(&m->ctx->st))
        return "";
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return status_errno(&m->ctx->st, "memory stream", "open"), "";
    if (kernels) {
        print_plan(f, m, batch);
    } else {
        nn_build b;
        tg *out[256];
        int n;
        if (model_build(m, whole_of(m), images_of(m, batch), &b, out, 256, &n))
            tg_print(f, b.graph, out, n);
        nn_build_close(&b);
    }
    fclose(f);
    const char *kept = text ? arena_strdup(&m->mem, text) : NULL;
    free(text);
    return kept ? kept : "";
}

void timm_set_profile(timm_model *m, bool on)
{
    if (!m)
        return;
    m->profile = on;
    for (int i = 0; i < PLANS; i++)
        if (m->plans[i].plan)
            plan_profile(m->plans[i].plan, on);
}

int timm_step_count(const timm_model *m)
{
    const plan_step *steps;
    return m && m->last >= 0 ? plan_steps(m->plans[m->last].plan, &steps) : 0;
}

static int64_t touched(const tg_tensor *t)
{
    int64_t n = tg_size(t->dtype);
    for (int i = 0; i < t->shape.rank; i++)
        n *= t->stride[i] ? t->shape.dim[i] : 1;
    return n;
}

timm_step model_step(const plan *p, int i)
{
    const plan_step *s;
    if (!p || i < 0 || i >= plan_steps(p, &s))
        return (timm_step){ 0 };
    s += i;
    timm_step r = { .op = s->call.op->name, .kernel = s->kernel ? s->kernel->name : "ref", .where = s->where,
                    .rank = s->shape.rank, .seconds = s->seconds, .macs = s->macs * s->slices, .bytes = touched(&s->call.out) };
    for (int k = 0; k < s->call.n_in; k++)
        r.bytes += touched(&s->in[k]);
    r.bytes *= s->slices;
    memcpy(r.dim, s->shape.dim, sizeof r.dim);
    return r;
}

timm_step timm_get_step(const timm_model *m, int i)
{
    return model_step(m && m->last >= 0 ? m->plans[m->last].plan : NULL, i);
}
