/* conv2d_train_onednn.c - convolution by weights that change, and its two gradients.
 *
 * oneDNN chooses every layout (blocks of channels, where it has fast kernels); operands that lie otherwise are
 * reordered into scratch memory before, the result after.
 */
#include "onednn_product.h"
#include "ops/conv2d_grad.h"
#include <stdlib.h>

enum { X, W, Y, ROLES };

/* Which tensor of y = conv(x, w) each operand is, and what oneDNN calls it. */
typedef struct direction {
    int in[2], out;
    struct { int arg; dnnl_query_t layout; } role[ROLES];
    dn_conv_grad which;
} direction;

#define ROLE(name, query) { DNNL_ARG_##name, dnnl_query_##query##_md }
static const direction forward = {
    { X, W }, Y, { ROLE(SRC, src), ROLE(WEIGHTS, weights), ROLE(DST, dst) }, DN_CONV_FORWARD
};
static const direction grad_input = {
    { Y, W }, X, { ROLE(DIFF_SRC, diff_src), ROLE(WEIGHTS, weights), ROLE(DIFF_DST, diff_dst) }, DN_CONV_GRAD_INPUT
};
static const direction grad_weight = {
    { Y, X }, W, { ROLE(SRC, src), ROLE(DIFF_WEIGHTS, diff_weights), ROLE(DIFF_DST, diff_dst) }, DN_CONV_GRAD_WEIGHT
};

typedef struct side {
    dnnl_memory_t given, wanted;            /* wanted NULL: given's layout is the one wanted */
    dnnl_primitive_t reorder;
    size_t at;                              /* of wanted in scratch */
} side;

typedef struct state {
    const direction *d;
    side side[ROLES];
    dnnl_primitive_t primitive;
    dnnl_memory_t scratch;
    size_t scratch_at;
    int threads;
} state;

static const direction *direction_of(const tg_call *c)
{
    return c->op == &op_conv2d_grad_input ? &grad_input : c->op == &op_conv2d_grad_weight ? &grad_weight : &forward;
}

static const conv2d_attr *conv_of(const tg_call *c)
{
    return c->op == &op_conv2d ? c->attr : &((const conv2d_grad_attr *)c->attr)->conv;
}

static bool lies_well(const tg_tensor *t, int role) { return role == W ? tg_is_dense(t) : tg_is_channels_last(t); }

static const char *declines(const tg_call *c)
{
    const direction *d = direction_of(c);
    const conv2d_attr *a = conv_of(c);
    if (c->in[0].dtype != TG_F32 || c->in[1].dtype != TG_F32)
        return "not float";
    if (c->precision == TG_BF16 && a->groups == 1)
        return "exact";
    const tg_shape w = (d->out == W ? &c->out : &c->in[d->in[1] == W])->shape;
    if (dn_wide_border(a, w.dim[2], w.dim[3]))
        return "a border wider than the kernel";
    if (d == &forward && (c->n_in > 2 || a->e.act))
        return "an epilogue";
    if (d == &forward && c->in[1].constant)
        return "constant weights";
    bool well = lies_well(&c->out, d->out) && lies_well(&c->in[0], d->in[0]) && lies_well(&c->in[1], d->in[1]);
    return well ? NULL : "images not channels-last or weights not dense";
}

static void lay(tg_tensor *t, int role)
{
    if (role == W)
        tg_dense(t);
    else
        tg_channels_last(t);
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    const direction *d = direction_of(c);
    lay(&in[0], d->in[0]);
    lay(&in[1], d->in[1]);
    lay(out, d->out);
}

/* Weights of groups have an axis for them. */
static dn_view view(const tg_tensor *t, int role, int64_t groups)
{
    tg_tensor as = *t;
    lay(&as, role);                         /* strides of size-1 axes as oneDNN expects them */
    const int64_t *n = as.shape.dim, *s = as.stride;
    if (role == W && groups > 1)
        return (dn_view){ 5, { groups, n[0] / groups, n[1], n[2], n[3] },
                          { n[0] / groups * s[0], s[0], s[1], s[2], s[3] } };
    return (dn_view){ 4, { n[0], n[1], n[2], n[3] }, { s[0], s[1], s[2], s[3] } };
}

static bool memory(dnnl_memory_t *m, dn_const_md md)
{
    return dn()->memory_create(m, md, dn()->engine, DNNL_MEMORY_NONE) == dnnl_success;
}

static size_t take(tg_prep *p, dn_const_md md)
{
    size_t at = p->scratch;
    p->scratch += (dn()->memory_desc_get_size(md) + 63) / 64 * 64;
    return at;
}

/* A place in scratch and the reorder to or from it, if the layouts differ. */
static bool connect(side *s, dn_md given, dn_const_md wanted, bool result, tg_prep *p)
{
    dnnl_primitive_desc_t pd = NULL;
    if (!memory(&s->given, given))
        return false;
    if (dn()->memory_desc_equal(given, wanted))
        return true;
    s->at = take(p, wanted);
    bool ok = memory(&s->wanted, wanted)
              && dn()->reorder_primitive_desc_create(&pd, result ? wanted : given, dn()->engine,
                                                     result ? given : wanted, dn()->engine, NULL)
                     == dnnl_success
              && dn_create(&s->reorder, pd);
    if (pd)
        dn()->primitive_desc_destroy(pd);
    return ok;
}

static void release(void *p)
{
    state *s = p;
    if (!s)
        return;
    for (int i = 0; i < ROLES; i++) {
        if (s->side[i].given)
            dn()->memory_destroy(s->side[i].given);
        if (s->side[i].wanted)
            dn()->memory_destroy(s->side[i].wanted);
        if (s->side[i].reorder)
            dn()->primitive_destroy(s->side[i].reorder);
    }
    if (s->scratch)
        dn()->memory_destroy(s->scratch);
    if (s->primitive)
        dn()->primitive_destroy(s->primitive);
    free(s);
}

static bool describe(dnnl_primitive_desc_t *pd, const direction *d, const dn_view *v, const conv2d_attr *a)
{
    int64_t stride[2] = { a->stride[0], a->stride[1] }, dilation[2] = { a->dilation[0] - 1, a->dilation[1] - 1 };
    int64_t before[2] = { a->pad[0], a->pad[1] }, after[2] = { a->pad[2], a->pad[3] };
    dnnl_primitive_attr_t attr = NULL;
    dn_md any[ROLES] = { NULL };
    bool ok = dn()->primitive_attr_create(&attr) == dnnl_success
              && dn()->primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success;
    for (int i = 0; i < ROLES; i++)
        ok = (any[i] = dn_strided(v[i].rank, v[i].dim, NULL)) && ok;
    dnnl_primitive_desc_t first = NULL;
    ok = ok && dn_conv_desc(&first, any[X], any[W], NULL, any[Y], stride, dilation, before, after, attr);
    if (ok && d->which != DN_CONV_FORWARD) {
        ok = dn_conv_grad_desc(pd, d->which, first, any[X], any[W], any[Y], stride, dilation, before, after, attr);
        dn()->primitive_desc_destroy(first);
    } else
        *pd = first;
    for (int i = 0; i < ROLES; i++)
        dn_md_free(any[i]);
    if (attr)
        dn()->primitive_attr_destroy(attr);
    return ok;
}

static bool prepare(const tg_call *c, tg_prep *p)
{
    const direction *d = direction_of(c);
    const conv2d_attr *a = conv_of(c);
    dnnl_primitive_desc_t pd = NULL;
    dn_view v[ROLES];
    state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(p->st, TIMM_NO_MEMORY, "out of memory for a oneDNN primitive");
    v[d->in[0]] = view(&c->in[0], d->in[0], a->groups);
    v[d->in[1]] = view(&c->in[1], d->in[1], a->groups);
    v[d->out] = view(&c->out, d->out, a->groups);
    s->d = d;
    s->threads = d == &grad_weight ? 1 : pool_threads(c->pool);     /* oneDNN splits its sums by thread */
    if (dn()->set_threads)
        dn()->set_threads(s->threads);
    bool ok = describe(&pd, d, v, a) && dn_create(&s->primitive, pd);
    for (int i = 0; ok && i < ROLES; i++) {
        dn_md given = dn_strided(v[i].rank, v[i].dim, v[i].stride);
        ok = given
             && connect(&s->side[i], given, dn()->primitive_desc_query_md(pd, d->role[i].layout, 0), i == d->out, p);
        dn_md_free(given);
    }
    if (ok) {
        dn_const_md scratch = dn()->primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
        s->scratch_at = take(p, scratch);
        ok = memory(&s->scratch, scratch);
    }
    if (pd)
        dn()->primitive_desc_destroy(pd);
    if (!ok) {
        p->scratch = 0;
        return release(s), false;           /* oneDNN has no such primitive: the next kernel is asked */
    }
    p->state = s;
    return true;
}

static void reorder(const side *s, bool result)
{
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, result ? s->wanted : s->given },
                               { DNNL_ARG_TO, result ? s->given : s->wanted } };
    dn()->primitive_execute(s->reorder, dn()->stream, 2, args);
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    const direction *d = s->d;
    void *data[ROLES];
    dnnl_exec_arg_t args[ROLES + 1];

    data[d->in[0]] = c->in[0].data;
    data[d->in[1]] = c->in[1].data;
    data[d->out] = c->out.data;
    if (dn()->set_threads)
        dn()->set_threads(s->threads);      /* per calling thread, so each time */
    for (int i = 0; i < ROLES; i++) {
        const side *one = &s->side[i];
        dn()->memory_set_data_handle(one->given, data[i]);
        if (one->wanted)
            dn()->memory_set_data_handle(one->wanted, (char *)c->scratch + one->at);
        args[i] = (dnnl_exec_arg_t){ d->role[i].arg, one->wanted ? one->wanted : one->given };
        if (one->wanted && i != d->out)
            reorder(one, false);
    }
    dn()->memory_set_data_handle(s->scratch, (char *)c->scratch + s->scratch_at);
    args[ROLES] = (dnnl_exec_arg_t){ DNNL_ARG_SCRATCHPAD, s->scratch };
    dn()->primitive_execute(s->primitive, dn()->stream, ROLES + 1, args);
    if (s->side[d->out].wanted)
        reorder(&s->side[d->out], true);
    dn()->stream_wait(dn()->stream);
}

#define TRAINING(op_name) { \
    .op = #op_name, .name = "onednn." #op_name ".changing", .declines = declines, .prefers = prefers, \
    .prepare = prepare, .run = run, .release = release }
const tg_kernel kernel_conv2d_changing_onednn = TRAINING(conv2d);
const tg_kernel kernel_conv2d_grad_input_onednn = TRAINING(conv2d_grad_input);
const tg_kernel kernel_conv2d_grad_weight_onednn = TRAINING(conv2d_grad_weight);
