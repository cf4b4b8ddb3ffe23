/* attention.c - y = softmax(scale q k' + bias) v on q (b,h,n,d), k (b,h,m,d), v (b,h,m,e); bias broadcasts to (b,h,n,m), or is
 * one for each of g images, over and over: image i has that of i mod g, as windows of images have masks.
 */
#include <stdlib.h>
#include "ops/attention.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const int64_t *q = in[0].dim, *k = in[1].dim, *v = in[2].dim;
    if (n_in != 3 + ((const attention_attr *)attr)->bias || in[0].rank != 4 || in[1].rank != 4 || in[2].rank != 4)
        return tg_reject(c, "q, k, v of (batch, heads, tokens, channels) are needed");
    if (q[0] != k[0] || q[0] != v[0] || q[1] != k[1] || q[1] != v[1] || q[3] != k[3] || k[2] != v[2])
        return tg_reject(c, "q, k and v do not fit");
    for (int i = 0; n_in == 4 && i < in[3].rank; i++) {
        int64_t want = SHAPE(q[0], q[1], q[2], k[2]).dim[4 - in[3].rank + i], has = in[3].dim[i];
        bool repeats = in[3].rank == 4 && i == 0 && has && want % has == 0;
        if (in[3].rank > 4 || (has != want && has != 1 && !repeats))
            return tg_reject(c, "the bias %s does not broadcast to (%lld, %lld, %lld, %lld)", tg_str(in[3]), (long long)q[0],
                             (long long)q[1], (long long)q[2], (long long)k[2]);
    }
    return SHAPE(q[0], q[1], q[2], v[3]);
}

static double dot(const tg_tensor *a, int64_t pa, int64_t sa, const tg_tensor *b, int64_t pb, int64_t sb, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += tg_get(a, pa + i * sa) * tg_get(b, pb + i * sb);
    return sum;
}

static void ref(const tg_call *c)
{
    const attention_attr *o = c->attr;
    const tg_tensor *q = &c->in[0], *k = &c->in[1], *v = &c->in[2], *y = &c->out;
    int64_t m = k->shape.dim[2], d = q->shape.dim[3], i[TG_MAX_RANK] = { 0 };
    double scale = attention_scale(o->scale, d);
    tg_tensor bias = { .shape = { 0 } };
    tg_shape rows = y->shape;
    rows.dim[3] = 1;
    if (o->bias)
        bias = broadcast_to(&c->in[3], SHAPE(attention_biases(c->in[3].shape), q->shape.dim[1], q->shape.dim[2], m));
    double *p = malloc((size_t)m * sizeof *p);
    if (!p)
        return;
    do {
        int64_t at = tg_offset(q, i), kv = i[0] * k->stride[0] + i[1] * k->stride[1], vv = i[0] * v->stride[0] + i[1] * v->stride[1];
        double most = -INFINITY, sum = 0;
        for (int64_t j = 0; j < m; j++) {
            p[j] = scale * dot(q, at, q->stride[3], k, kv + j * k->stride[2], k->stride[3], d);
            if (o->bias)
                p[j] += tg_get(&bias, i[0] % bias.shape.dim[0] * bias.stride[0] + i[1] * bias.stride[1] + i[2] * bias.stride[2] + j * bias.stride[3]);
            most = fmax(most, p[j]);
        }
        for (int64_t j = 0; j < m; j++)
            sum += p[j] = exp(p[j] - most);
        for (int64_t e = 0; e < v->shape.dim[3]; e++) {
            double mix = 0;
            for (int64_t j = 0; j < m; j++)
                mix += p[j] * tg_get(v, vv + j * v->stride[2] + e * v->stride[3]);
            tg_put(y, tg_offset(y, i) + e * y->stride[3], mix / sum);
        }
    } while (tg_next(rows, i));
    free(p);
}

/* With the image as two axes, of which a bias that is repeated has the second. */
static tg *by_bias(tg *x, const tg *bias)
{
    int64_t n = attention_biases(bias->shape);
    return n > 1 ? tg_reshape(x, SHAPE(tg_dim(x, 0) / n, n, tg_dim(x, 1), tg_dim(x, 2), tg_dim(x, 3))) : x;
}

tg *tg_attention_scores(tg *q, tg *k, tg *bias, double scale)
{
    tg *s = tg_affine(tg_matmul(q, tg_permute(k, (int[]){ 0, 1, 3, 2 })), attention_scale(scale, tg_dim(q, 3)), 0);
    return bias ? tg_reshape(tg_add(by_bias(s, bias), bias), s->shape) : s;
}

void attention_gradients(tg *q, tg *k, tg *v, tg *bias, tg *dy, double scale, bool of_bias, tg **d)
{
    int turn[] = { 0, 1, 3, 2 };
    scale = attention_scale(scale, tg_dim(q, 3));
    tg *p = tg_softmax(tg_attention_scores(q, k, bias, scale), 3), *dp = tg_matmul(dy, tg_permute(v, turn));
    tg *ds = tg_mul(p, tg_sub(dp, tg_sum(tg_mul(dp, p), AXIS(3))));
    d[0] = tg_affine(tg_matmul(ds, k), scale, 0);
    d[1] = tg_affine(tg_matmul(tg_permute(ds, turn), q), scale, 0);
    d[2] = tg_matmul(tg_permute(p, turn), dy);
    if (of_bias)
        d[3] = unbroadcast(by_bias(ds, bias), bias);
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const attention_attr *o = tg_attr(y);
    tg *q = y->in[0], *k = y->in[1], *v = y->in[2], *bias = o->bias ? y->in[3] : NULL;
    bool one = tg_same(q->shape, k->shape) && tg_same(q->shape, v->shape);
    (one ? tg_attention_grad : attention_gradients)(q, k, v, bias, dy, o->scale, bias && bias->wants_grad, dx);
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    (void)n_in, (void)attr;
    return tg_span(in[0], 0, 3) * in[1].dim[2] * in[0].dim[3] + tg_numel(out) * in[1].dim[2];
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 3, 5, 4), DIMS(2, 3, 5, 4), DIMS(2, 3, 5, 4) }, .attr = &(const attention_attr){ 0 } },
    { .in = { DIMS(2, 2, 5, 8), DIMS(2, 2, 7, 8), DIMS(2, 2, 7, 6), DIMS(2, 5, 7) }, .attr = &(const attention_attr){ true, .3 } },
    { .in = { DIMS(4, 2, 9, 8), DIMS(4, 2, 9, 8), DIMS(4, 2, 9, 8), DIMS(4, 2, 9, 9) }, .attr = &(const attention_attr){ true, 0 } },
    { .in = { DIMS(6, 2, 4, 3), DIMS(6, 2, 4, 3), DIMS(6, 2, 4, 3), DIMS(3, 2, 4, 4) }, .attr = &(const attention_attr){ true, 0 } },
    { .in = { DIMS(6, 2, 9, 8), DIMS(6, 2, 7, 8), DIMS(6, 2, 7, 8), DIMS(2, 1, 9, 7) }, .attr = &(const attention_attr){ true, 0 } },
    { .in = { DIMS(2, 2, 5, 8), DIMS(2, 2, 7, 8), DIMS(2, 2, 7, 6), DIMS(2, 5, 1) }, .attr = &(const attention_attr){ true, 0 } },
    { .in = { DIMS(1, 2, 65, 32), DIMS(1, 2, 65, 32), DIMS(1, 2, 65, 32) }, .attr = &(const attention_attr){ 0 }, .kinked = true },
    { .in = { DIMS(2, 3, 5, 4), DIMS(2, 3, 5, 8), DIMS(2, 3, 5, 4) }, .attr = &(const attention_attr){ 0 },
      .rejects = "q, k and v do not fit" },
    { .in = { DIMS(6, 2, 4, 3), DIMS(6, 2, 4, 3), DIMS(6, 2, 4, 3), DIMS(4, 2, 4, 4) }, .attr = &(const attention_attr){ true, 0 },
      .rejects = "the bias (4, 2, 4, 4) does not broadcast to (6, 2, 4, 4)" },
};

const tg_op op_attention = {
    "attention", .arity = 3, .optional = 1, .attr_size = sizeof(attention_attr), .shape = shape, .grad = grad, .ref = ref,
    .macs = macs, TG_CASES(cases), .tol = 1e-5,
};

tg *tg_attention(tg *q, tg *k, tg *v, tg *bias, double scale)
{
    return tg_apply(&op_attention, (tg *[]){ q, k, v, bias }, bias ? 4 : 3, &(attention_attr){ bias != NULL, scale });
}
