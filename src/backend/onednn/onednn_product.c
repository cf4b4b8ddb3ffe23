/* onednn_product.c - descriptors, packed weights, post-operations. */
#include "onednn_product.h"
#include <stdlib.h>
#include <string.h>

typedef struct state {
    dnnl_primitive_t primitive;
    dnnl_memory_t x, w, bias, y, scratch;
    float *weights, *own_bias;
    int threads;
} state;

/* alpha and beta: numbers, or (from_attr) the op's attributes. */
static const struct { const char *op; dnnl_alg_kind_t kind; bool from_attr; float a, b; } activations[] = {
    { "relu",       dnnl_eltwise_relu,      false, 0, 0 },
    { "relu6",      dnnl_eltwise_clip,      false, 0, 6 },
    { "clamp",      dnnl_eltwise_clip,      true,  0, 0 },
    { "leaky_relu", dnnl_eltwise_relu,      true,  0, 0 },
    { "elu",        dnnl_eltwise_elu,       true,  0, 0 },
    { "affine",     dnnl_eltwise_linear,    true,  0, 0 },
    { "abs",        dnnl_eltwise_abs,       false, 0, 0 },
    { "exp",        dnnl_eltwise_exp,       false, 0, 0 },
    { "tanh",       dnnl_eltwise_tanh,      false, 0, 0 },
    { "sigmoid",    dnnl_eltwise_logistic,  false, 0, 0 },
    { "silu",       dnnl_eltwise_swish,     false, 1, 0 },
    { "quick_gelu", dnnl_eltwise_swish,     false, 1.702f, 0 },
    { "gelu",       dnnl_eltwise_gelu_erf,  false, 0, 0 },
    { "gelu_tanh",  dnnl_eltwise_gelu_tanh, false, 0, 0 },
    { "hard_swish", dnnl_eltwise_hardswish, false, 1.f / 6, .5f },
#if DNNL_VERSION_MAJOR == 3
    { "hard_sigmoid", dnnl_eltwise_hardsigmoid, false, 1.f / 6, .5f },
#endif
};

static int find_activation(const tg_op *op)
{
    for (int i = 0; i < (int)(sizeof activations / sizeof *activations); i++)
        if (!strcmp(activations[i].op, op->name))
            return i;
    return -1;
}

const char *dn_declines(const tg_call *c, const epilogue *e)
{
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype != TG_F32)
            return "not float";
    if (!c->in[1].constant || (e->bias && !c->in[2].constant))
        return "weights change";
    if (e->gate)
        return "a gate";
    return e->act && find_activation(e->act) < 0 ? "unknown activation" : NULL;
}

bool dn_wide_border(const conv2d_attr *a, int64_t h, int64_t w)
{
    const int64_t last[2] = { (h - 1) * a->dilation[0], (w - 1) * a->dilation[1] };
    for (int i = 0; i < 4; i++)
        if (a->pad[i] > last[i % 2])
            return true;
    return false;
}

static bool append_activation(dnnl_post_ops_t ops, const epilogue *e)
{
    int i = find_activation(e->act);
    bool own = activations[i].from_attr;
    return dn_append_eltwise(ops, activations[i].kind, own ? (float)e->act_attr[0] : activations[i].a,
                             own && e->act->attr_size > sizeof(double) ? (float)e->act_attr[1] : activations[i].b);
}

/* The residual is copied into the result first: addition of a second operand is wrong in some of 2.6's kernels. */
static dnnl_primitive_attr_t attributes(const epilogue *e)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    bool ok = dn()->primitive_attr_create(&attr) == dnnl_success && dn()->post_ops_create(&ops) == dnnl_success
              && dn()->primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success;

    if (ok && e->act && e->act_first)
        ok = append_activation(ops, e);
    if (ok && e->residual)
        ok = dn_append_sum(ops);
    if (ok && e->act && !e->act_first)
        ok = append_activation(ops, e);
    ok = ok && dn()->primitive_attr_set_post_ops(attr, ops) == dnnl_success;
    if (ops)
        dn()->post_ops_destroy(ops);
    if (ok)
        return attr;
    if (attr)
        dn()->primitive_attr_destroy(attr);
    return NULL;
}

static bool memory(dnnl_memory_t *m, dn_const_md md)
{
    return dn()->memory_create(m, md, dn()->engine, DNNL_MEMORY_NONE) == dnnl_success;
}

static float *aligned_room(size_t bytes) { return aligned_alloc(64, (bytes + 127) / 64 * 64); }

/* Weights from where they lie to the layout the primitive wants. */
static bool pack_weights(state *s, const float *from, dn_const_md given, dn_const_md wanted)
{
    dnnl_memory_t source = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    s->weights = aligned_room(dn()->memory_desc_get_size(wanted));
    bool ok =
        s->weights && memory(&s->w, wanted) && memory(&source, given)
        && dn()->memory_set_data_handle(s->w, s->weights) == dnnl_success
        && dn()->memory_set_data_handle(source, (void *)(uintptr_t)from) == dnnl_success
        && dn()->reorder_primitive_desc_create(&pd, given, dn()->engine, wanted, dn()->engine, NULL) == dnnl_success
        && dn_create(&reorder, pd);
    if (ok) {
        dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, source }, { DNNL_ARG_TO, s->w } };
        ok = dn()->primitive_execute(reorder, dn()->stream, 2, args) == dnnl_success
             && dn()->stream_wait(dn()->stream) == dnnl_success;
    }
    if (reorder)
        dn()->primitive_destroy(reorder);
    if (pd)
        dn()->primitive_desc_destroy(pd);
    if (source)
        dn()->memory_destroy(source);
    return ok;
}

static bool copy_bias(state *s, const tg_tensor *bias)
{
    int64_t n = bias->shape.dim[0];
    s->own_bias = aligned_room((size_t)n * sizeof *s->own_bias);
    for (int64_t i = 0; s->own_bias && i < n; i++)
        s->own_bias[i] = ((const float *)bias->data)[i * bias->stride[0]];
    return s->own_bias && dn()->memory_set_data_handle(s->bias, s->own_bias) == dnnl_success;
}

void dn_release(void *p)
{
    state *s = p;
    if (!s)
        return;
    dnnl_memory_t all[] = { s->x, s->w, s->bias, s->y, s->scratch };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            dn()->memory_destroy(all[i]);
    if (s->primitive)
        dn()->primitive_destroy(s->primitive);
    free(s->weights);
    free(s->own_bias);
    free(s);
}

static dn_md descriptor(dn_view v) { return v.rank ? dn_strided(v.rank, v.dim, v.stride) : NULL; }

bool dn_prepare(const tg_call *c, const epilogue *e, dn_view x, dn_view w, dn_view bias, dn_view y,
                dn_describe *describe, tg_prep *prep)
{
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a oneDNN primitive");
    s->threads = pool_threads(c->pool);
    if (dn()->set_threads)
        dn()->set_threads(s->threads);
    dn_md mx = descriptor(x), given = descriptor(w), any = dn_strided(w.rank, w.dim, NULL), mb = descriptor(bias);
    dn_md my = descriptor(y);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = attributes(e);
    bool ok = mx && given && any && my && attr && describe(&pd, mx, any, mb, my, attr, c);
    if (ok && !prep->sketch)
        ok = dn_create(&s->primitive, pd) && memory(&s->x, mx) && memory(&s->y, my)
              && (!mb || memory(&s->bias, mb));
    if (ok) {
        dn_const_md scratch = dn()->primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
        dn_const_md wanted = dn()->primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        prep->scratch = dn()->memory_desc_get_size(scratch);
        prep->state_bytes = dn()->memory_desc_get_size(wanted);
        ok = prep->sketch || (memory(&s->scratch, scratch) && pack_weights(s, c->in[1].data, given, wanted)
                              && (!mb || copy_bias(s, &c->in[2])));
    }
    if (attr)
        dn()->primitive_attr_destroy(attr);
    if (pd)
        dn()->primitive_desc_destroy(pd);
    dn_md all[] = { mx, given, any, mb, my };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dn_md_free(all[i]);
    if (!ok)
        return dn_release(s), false;        /* oneDNN has no such primitive: the next kernel is asked */
    prep->consumed = e->bias ? 6 : 2;
    prep->state = s;
    return true;
}

struct copy { const float *from; float *to; };

static void copy_residual(void *arg, int64_t from, int64_t to)
{
    const struct copy *k = arg;
    memcpy(k->to + from, k->from + from, (size_t)(to - from) * sizeof *k->to);
}

void dn_run(const tg_call *c, const epilogue *e)
{
    const state *s = c->state;
    dnnl_exec_arg_t args[5] = { { DNNL_ARG_SRC, s->x }, { DNNL_ARG_WEIGHTS, s->w }, { DNNL_ARG_DST, s->y },
                                { DNNL_ARG_SCRATCHPAD, s->scratch } };
    int n = 4;
    if (dn()->set_threads)
        dn()->set_threads(s->threads);      /* per calling thread, so each time */
    dn()->memory_set_data_handle(s->x, c->in[0].data);
    dn()->memory_set_data_handle(s->y, c->out.data);
    dn()->memory_set_data_handle(s->scratch, c->scratch);
    if (s->bias)
        args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_BIAS, s->bias };
    if (e->residual && c->in[2 + e->bias].data != c->out.data)
        pool_run(c->pool, tg_numel(c->out.shape), 16384, copy_residual,
                 &(struct copy){ c->in[2 + e->bias].data, c->out.data });
    dn()->primitive_execute(s->primitive, dn()->stream, n, args);
    dn()->stream_wait(dn()->stream);
}
