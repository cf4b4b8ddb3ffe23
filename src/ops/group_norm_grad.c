/* group_norm_grad.c - the gradients of y = hat weight + bias, hat = (x - mean) r, r = 1 / sqrt(var + eps) of each image's group.
 *
 *   dhat = dy weight,  dx = (dhat - mean(dhat) - hat mean(dhat hat)) r
 *   dweight = sum of dy hat, dbias = sum of dy, over all but the channels
 *
 * Operands x, dy, weight.  The result is flat: dx with the channels moved to the end, then dweight and dbias where there are any.
 */
#include "ops/norm.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const norm_attr *o = attr;
    if (in[0].rank < 2 || o->groups < 1 || in[0].dim[1] % o->groups)
        return tg_reject(c, "%d groups of the channels of %s", o->groups, tg_str(in[0]));
    return norm_grad_shape(c, o, in, n_in, 1);
}

static void ref(const tg_call *c)
{
    const norm_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *dy = &c->in[1], *w = &c->in[2];
    const int64_t channels = x->shape.dim[1], per = channels / o->groups, so = c->out.stride[0];
    const int64_t dweight = tg_numel(x->shape), dbias = dweight + o->weight * channels;
    tg_shape one = x->shape;
    one.dim[0] = 1;
    one.dim[1] = per;
    const double n = (double)tg_numel(one);
    const int64_t pixels = tg_numel(one) / per;
    for (int64_t k = dweight; k < c->out.shape.dim[0]; k++)
        tg_put(&c->out, k * so, 0);
    for (int64_t b = 0; b < x->shape.dim[0]; b++)
        for (int64_t g = 0; g < o->groups; g++) {
            int64_t from = b * x->stride[0] + g * per * x->stride[1], back = b * dy->stride[0] + g * per * dy->stride[1];
            double mean = 0, var = 0, r = 0, a = 0, of_hat = 0;
            for (int pass = 0; pass < 4; pass++) {
                int64_t i[TG_MAX_RANK] = { 0 }, at = 0;
                do {
                    double v = tg_get(x, from + tg_offset(x, i)), d = tg_get(dy, back + tg_offset(dy, i)), hat = (v - mean) * r;
                    int64_t channel = g * per + i[1];
                    double dhat = o->weight ? d * tg_get(w, channel * w->stride[0]) : d;
                    if (pass == 0)
                        mean += v / n;
                    else if (pass == 1)
                        var += (v - mean) * (v - mean) / n;
                    else if (pass == 2) {
                        a += dhat / n;
                        of_hat += dhat * hat / n;
                    } else {
                        tg_put(&c->out, ((b * pixels + at % pixels) * channels + channel) * so, (dhat - a - hat * of_hat) * r);
                        if (o->weight)
                            tg_put(&c->out, (dweight + channel) * so, tg_get(&c->out, (dweight + channel) * so) + d * hat);
                        if (o->bias)
                            tg_put(&c->out, (dbias + channel) * so, tg_get(&c->out, (dbias + channel) * so) + d);
                    }
                    at++;
                } while (tg_next(one, i));
                r = pass == 1 ? 1 / sqrt(var + o->eps) : r;
            }
        }
}

/* Once more: through the same in nodes of their own, groups folded. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const norm_attr *o = tg_attr(y);
    tg *x = y->in[0], *d = y->in[1], *weight = o->weight ? y->in[2] : NULL;
    const unsigned others = ((1u << tg_rank(x)) - 1) & ~AXIS(1);
    const tg_shape folded = SHAPE(tg_dim(x, 0), o->groups, -1), vector = SHAPE(tg_dim(x, 1));
    tg *flat = tg_reshape(x, folded), *centred = tg_sub(flat, tg_mean(flat, AXIS(2)));
    tg *r = tg_rsqrt(tg_affine(tg_mean(tg_mul(centred, centred), AXIS(2)), 1, o->eps)), *hat = tg_mul(centred, r);
    tg *dhat = tg_reshape(weight ? tg_mul(d, norm_along(weight, x, 1)) : d, folded);
    tg *inner = tg_sub(tg_sub(dhat, tg_mean(dhat, AXIS(2))), tg_mul(hat, tg_mean(tg_mul(dhat, hat), AXIS(2))));
    tg *whole = norm_join_grad(tg_reshape(tg_mul(inner, r), x->shape),
                               weight ? tg_reshape(tg_sum(tg_mul(d, tg_reshape(hat, x->shape)), others), vector) : NULL,
                               o->bias ? tg_reshape(tg_sum(d, others), vector) : NULL, 1);
    tg_gradients(whole, dy, y->in, y->n_in, dx);
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 6, 4, 3), DIMS(2, 6, 4, 3), DIMS(6) }, .attr = &(const norm_attr){ 1, 3, true, true, 1e-5 } },
    { .in = { DIMS(2, 6, 4, 3), DIMS(2, 6, 4, 3) }, .attr = &(const norm_attr){ 1, 1, false, false, 1e-5 } },
    { .in = { DIMS(2, 8, 5), DIMS(2, 8, 5), DIMS(8) }, .attr = &(const norm_attr){ 1, 2, true, false, 1e-5 } },
    { .in = { DIMS(2, 6, 4), DIMS(2, 6, 4) }, .attr = &(const norm_attr){ 1, 4, false, false, 1e-5 }, .rejects = "4 groups of the channels of (2, 6, 4)" },
};

const tg_op op_group_norm_grad = {
    "group_norm_grad", .arity = 2, .optional = 1, .attr_size = sizeof(norm_attr), .shape = shape, .grad = grad, .ref = ref,
    .describe = norm_describe, TG_CASES(cases), .tol = 2e-6,
};

void tg_group_norm_grad(tg *y, tg *dy, tg **dx)
{
    const norm_attr *o = tg_attr(y);
    tg *flat = tg_apply(&op_group_norm_grad, (tg *[]){ y->in[0], dy, o->weight ? y->in[1] : NULL }, 2 + o->weight, o);
    norm_split_grad(flat, y, 1, dx);
}
