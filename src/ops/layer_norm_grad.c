/* layer_norm_grad.c - the gradients of y = hat weight + bias, hat = (x - mean) r, r = 1 / sqrt(var + eps), in one pass.
 *
 *   dhat = dy weight,  dx = (dhat - mean(dhat) - hat mean(dhat hat)) r
 *   dweight = sum of dy hat, dbias = sum of dy, over all but the axis
 *
 * Operands x, dy, weight.  The result is flat: dx with the axis moved to the end, then dweight and dbias where there are any.
 */
#include "ops/norm.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const norm_attr *o = attr;
    return norm_grad_shape(c, o, in, n_in, o->axis);
}

static void ref(const tg_call *c)
{
    const norm_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *dy = &c->in[1], *w = &c->in[2];
    const int64_t n = x->shape.dim[o->axis], sx = x->stride[o->axis], sd = dy->stride[o->axis], so = c->out.stride[0];
    int64_t i[TG_MAX_RANK] = { 0 }, to = 0, dweight = tg_numel(x->shape), dbias = dweight + o->weight * n;
    tg_shape outer = x->shape;
    outer.dim[o->axis] = 1;
    for (int64_t k = dweight; k < c->out.shape.dim[0]; k++)
        tg_put(&c->out, k * so, 0);
    do {
        int64_t from = tg_offset(x, i), back = tg_offset(dy, i);
        double mean = 0, var = 0, a = 0, b = 0;
        for (int64_t k = 0; k < n; k++)
            mean += tg_get(x, from + k * sx) / (double)n;
        for (int64_t k = 0; k < n; k++)
            var += (tg_get(x, from + k * sx) - mean) * (tg_get(x, from + k * sx) - mean) / (double)n;
        double r = 1 / sqrt(var + o->eps);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t k = 0; k < n; k++) {
                double hat = (tg_get(x, from + k * sx) - mean) * r, d = tg_get(dy, back + k * sd);
                double dhat = o->weight ? d * tg_get(w, k * w->stride[0]) : d;
                if (!pass) {
                    a += dhat / (double)n;
                    b += dhat * hat / (double)n;
                    continue;
                }
                tg_put(&c->out, (to + k) * so, (dhat - a - hat * b) * r);
                if (o->weight)
                    tg_put(&c->out, (dweight + k) * so, tg_get(&c->out, (dweight + k) * so) + d * hat);
                if (o->bias)
                    tg_put(&c->out, (dbias + k) * so, tg_get(&c->out, (dbias + k) * so) + d);
            }
        to += n;
    } while (tg_next(outer, i));
}

/* Once more: through the same in nodes of their own. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const norm_attr *o = tg_attr(y);
    tg *x = y->in[0], *d = y->in[1], *weight = o->weight ? y->in[2] : NULL;
    const unsigned axis = AXIS(o->axis), others = ((1u << tg_rank(x)) - 1) & ~axis;
    const tg_shape vector = SHAPE(tg_dim(x, o->axis));
    tg *centred = tg_sub(x, tg_mean(x, axis)), *r = tg_rsqrt(tg_affine(tg_mean(tg_mul(centred, centred), axis), 1, o->eps));
    tg *hat = tg_mul(centred, r), *dhat = weight ? tg_mul(d, norm_along(weight, x, o->axis)) : d;
    tg *inner = tg_sub(tg_sub(dhat, tg_mean(dhat, axis)), tg_mul(hat, tg_mean(tg_mul(dhat, hat), axis)));
    tg *whole = norm_join_grad(tg_mul(inner, r), weight ? tg_reshape(tg_sum(tg_mul(d, hat), others), vector) : NULL,
                               o->bias ? tg_reshape(tg_sum(d, others), vector) : NULL, o->axis);
    tg_gradients(whole, dy, y->in, y->n_in, dx);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 17), DIMS(3, 17), DIMS(17) }, .attr = &(const norm_attr){ 1, 0, true, true, 1e-6 } },
    { .in = { DIMS(2, 6, 4, 3), DIMS(2, 6, 4, 3), DIMS(6) }, .attr = &(const norm_attr){ 1, 0, true, true, 1e-6 }, .note = "channels of an image" },
    { .in = { DIMS(2, 5, 8), DIMS(2, 5, 8) }, .attr = &(const norm_attr){ 2, 0, false, false, 1e-5 } },
    { .in = { DIMS(75, 40), DIMS(75, 40), DIMS(40) }, .attr = &(const norm_attr){ 1, 0, true, false, 1e-5 }, .note = "rows in several lots" },
    { .in = { DIMS(2, 5), DIMS(2, 4) }, .attr = &(const norm_attr){ 1, 0, false, false, 1e-5 }, .rejects = "x, dy of one shape and a weight are needed" },
};

const tg_op op_layer_norm_grad = {
    "layer_norm_grad", .arity = 2, .optional = 1, .attr_size = sizeof(norm_attr), .shape = shape, .grad = grad, .ref = ref,
    .describe = norm_describe, TG_CASES(cases), .tol = 2e-6,
};

void tg_layer_norm_grad(tg *y, tg *dy, tg **dx)
{
    const norm_attr *o = tg_attr(y);
    tg *flat = tg_apply(&op_layer_norm_grad, (tg *[]){ y->in[0], dy, o->weight ? y->in[1] : NULL }, 2 + o->weight, o);
    norm_split_grad(flat, y, o->axis, dx);
}
