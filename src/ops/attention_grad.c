/* attention_grad.c - the gradients of y = softmax(scale q k' + bias) v in one pass; q, k, v, dy all (b,h,n,d).
 *
 *   p = softmax(scale q k' + bias), dp = dy v', ds = p (dp - sum(dp p))
 *   dq = scale ds k, dk = scale ds' q, dv = p' dy, dbias = ds summed over the axes that the bias is broadcast along
 *
 * The result is flat: (b, n, 3, h, d), which is how the product lies that q, k and v are most often cut from, then dbias.
 */
#include <stdlib.h>
#include "ops/attention.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const attention_grad_attr *o = attr;
    if (n_in != 4 + o->forward.bias || in[0].rank != 4 || (o->of_bias && !o->forward.bias))
        return tg_reject(c, "q, k, v, dy of (batch, heads, tokens, channels) are needed");
    for (int i = 1; i < 4; i++)
        if (!tg_same(in[0], in[i]))
            return tg_reject(c, "q, k, v and dy are not of one shape");
    if (o->forward.bias && !op_attention.shape(c, (tg_shape[]){ in[0], in[1], in[2], in[4] }, 4, &o->forward).rank)
        return (tg_shape){ 0 };
    return SHAPE(3 * tg_numel(in[0]) + (o->of_bias ? tg_numel(in[4]) : 0));
}

typedef struct head { const tg_call *c; int64_t b, h, n, d; double *p, *dp; } head;

static double part(const head *w, int operand, int64_t i, int64_t k)
{
    const tg_tensor *t = &w->c->in[operand];
    return tg_get(t, w->b * t->stride[0] + w->h * t->stride[1] + i * t->stride[2] + k * t->stride[3]);
}

/* p and ds of one row of one head; ds is left in dp. */
static void row(const head *w, const tg_tensor *bias, double scale, int64_t i)
{
    double most = -INFINITY, sum = 0, mean = 0;
    for (int64_t j = 0; j < w->n; j++) {
        w->p[j] = w->dp[j] = 0;
        for (int64_t k = 0; k < w->d; k++) {
            w->p[j] += part(w, 0, i, k) * part(w, 1, j, k) * scale;
            w->dp[j] += part(w, 3, i, k) * part(w, 2, j, k);
        }
        if (bias)
            w->p[j] += tg_get(bias, w->b % bias->shape.dim[0] * bias->stride[0] + w->h * bias->stride[1] + i * bias->stride[2] + j * bias->stride[3]);
        most = fmax(most, w->p[j]);
    }
    for (int64_t j = 0; j < w->n; j++)
        sum += w->p[j] = exp(w->p[j] - most);
    for (int64_t j = 0; j < w->n; j++)
        mean += w->dp[j] * (w->p[j] /= sum);
    for (int64_t j = 0; j < w->n; j++)
        w->dp[j] = w->p[j] * (w->dp[j] - mean);
}

static void add_to(const tg_call *c, int64_t at, double v)
{
    at *= c->out.stride[0];
    tg_put(&c->out, at, tg_get(&c->out, at) + v);
}

static void ref(const tg_call *c)
{
    const attention_grad_attr *o = c->attr;
    const tg_shape s = c->in[0].shape;
    const int64_t heads = s.dim[1], n = s.dim[2], d = s.dim[3], dbias = 3 * tg_numel(s);
    const double scale = attention_scale(o->forward.scale, d);
    head w = { .c = c, .n = n, .d = d, .p = malloc((size_t)n * sizeof(double)), .dp = malloc((size_t)n * sizeof(double)) };
    tg_tensor bias = { 0 }, sums = { 0 };
    if (o->forward.bias) {
        bias = broadcast_to(&c->in[4], SHAPE(attention_biases(c->in[4].shape), heads, n, n));
        sums = (tg_tensor){ .shape = c->in[4].shape };
        tg_dense(&sums);
        sums = broadcast_to(&sums, bias.shape);
    }
    for (int64_t i = 0; i < c->out.shape.dim[0]; i++)
        tg_put(&c->out, i * c->out.stride[0], 0);
    for (w.b = 0; w.p && w.dp && w.b < s.dim[0]; w.b++)
        for (w.h = 0; w.h < heads; w.h++)
            for (int64_t i = 0; i < n; i++) {
                row(&w, o->forward.bias ? &bias : NULL, scale, i);
                for (int64_t j = 0; j < n; j++) {
                    int64_t q = ((w.b * n + i) * 3 * heads + w.h) * d, kv = ((w.b * n + j) * 3 * heads + w.h) * d;
                    for (int64_t k = 0; k < d; k++) {
                        add_to(c, q + k, scale * w.dp[j] * part(&w, 1, j, k));
                        add_to(c, kv + heads * d + k, scale * w.dp[j] * part(&w, 0, i, k));
                        add_to(c, kv + 2 * heads * d + k, w.p[j] * part(&w, 3, i, k));
                    }
                    if (o->of_bias)
                        add_to(c, dbias + w.b % sums.shape.dim[0] * sums.stride[0] + w.h * sums.stride[1] + i * sums.stride[2] + j * sums.stride[3], w.dp[j]);
                }
            }
    free(w.p);
    free(w.dp);
}

/* Once more: through the same in nodes of their own. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const attention_grad_attr *o = tg_attr(y);
    tg *d[4] = { 0 }, *bias = o->forward.bias ? y->in[4] : NULL, *flat[4];
    const int64_t b = tg_dim(y->in[0], 0), h = tg_dim(y->in[0], 1), n = tg_dim(y->in[0], 2), k = tg_dim(y->in[0], 3);
    attention_gradients(y->in[0], y->in[1], y->in[2], bias, y->in[3], o->forward.scale, o->of_bias, d);
    for (int i = 0; i < 3; i++)
        flat[i] = tg_reshape(tg_permute(d[i], (int[]){ 0, 2, 1, 3 }), SHAPE(b, n, h * k));
    tg *whole = tg_reshape(tg_concat_all(2, flat, 3), SHAPE(b * n * 3 * h * k));
    if (o->of_bias)
        whole = tg_concat_all(0, (tg *[]){ whole, tg_reshape(d[3], SHAPE(tg_numel(bias->shape))) }, 2);
    tg_gradients(whole, dy, y->in, y->n_in, dx);
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    (void)n_in, (void)out, (void)attr;
    return 5 * tg_numel(in[0]) * in[0].dim[2];
}

#define FOUR(...) DIMS(__VA_ARGS__), DIMS(__VA_ARGS__), DIMS(__VA_ARGS__), DIMS(__VA_ARGS__)
static const tg_case cases[] = {
    { .in = { FOUR(2, 3, 5, 4) }, .attr = &(const attention_grad_attr){ { 0 }, false } },
    { .in = { FOUR(3, 2, 7, 8), DIMS(1, 2, 7, 7) }, .attr = &(const attention_grad_attr){ { true, .3 }, true } },
    { .in = { FOUR(2, 2, 6, 8), DIMS(2, 1, 6, 6) }, .attr = &(const attention_grad_attr){ { true, 0 }, true } },
    { .in = { FOUR(12, 2, 6, 8), DIMS(3, 2, 6, 6) }, .attr = &(const attention_grad_attr){ { true, 0 }, true } },
    { .in = { FOUR(6, 2, 5, 3), DIMS(2, 2, 5, 5) }, .attr = &(const attention_grad_attr){ { true, 0 }, false } },
    { .in = { FOUR(2, 2, 6, 8), DIMS(6) }, .attr = &(const attention_grad_attr){ { true, 0 }, true } },
    { .in = { FOUR(2, 2, 6, 3), DIMS(2, 6, 6) }, .attr = &(const attention_grad_attr){ { true, 0 }, false } },
    { .in = { FOUR(2, 2, 130, 16), DIMS(2, 130, 130) }, .attr = &(const attention_grad_attr){ { true, 0 }, true }, .kinked = true },
    { .in = { FOUR(1, 1, 300, 9) }, .attr = &(const attention_grad_attr){ { 0 }, false }, .kinked = true, .note = "blocks of rows" },
    { .in = { DIMS(2, 3, 5, 4), DIMS(2, 3, 5, 4), DIMS(2, 3, 5, 8), DIMS(2, 3, 5, 4) }, .attr = &(const attention_grad_attr){ { 0 }, false },
      .rejects = "q, k, v and dy are not of one shape" },
};

const tg_op op_attention_grad = {
    "attention_grad", .arity = 4, .optional = 1, .attr_size = sizeof(attention_grad_attr), .shape = shape, .grad = grad, .ref = ref,
    .macs = macs, TG_CASES(cases), .tol = 1e-5,
};

void tg_attention_grad(tg *q, tg *k, tg *v, tg *bias, tg *dy, double scale, bool of_bias, tg **d)
{
    const tg_shape s = q->shape;
    const int64_t width = s.dim[1] * s.dim[3], whole = 3 * tg_numel(s);
    attention_grad_attr a;
    memset(&a, 0, sizeof a);                             /* attributes are hashed with what lies between them */
    a.forward.bias = bias != NULL;
    a.forward.scale = scale;
    a.of_bias = of_bias;
    tg *flat = tg_apply(&op_attention_grad, (tg *[]){ q, k, v, dy, bias }, bias ? 5 : 4, &a);
    tg *three = tg_reshape(tg_slice(flat, 0, 0, whole), SHAPE(s.dim[0], s.dim[2], 3 * width));
    for (int i = 0; i < 3; i++)
        d[i] = tg_permute(tg_reshape(tg_slice(three, 2, i * width, (i + 1) * width), SHAPE(s.dim[0], s.dim[2], s.dim[1], s.dim[3])),
                          (int[]){ 0, 2, 1, 3 });
    if (of_bias)
        d[3] = tg_reshape(tg_slice(flat, 0, whole, whole + tg_numel(bias->shape)), bias->shape);
}
