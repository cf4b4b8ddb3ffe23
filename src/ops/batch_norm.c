/* batch_norm.c - y = (x - mean) / sqrt(var + eps) weight + bias, mean and var per channel (axis 1), given. */
#include "ops/channel_sums.h"
#include "ops/norm.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    if (in[0].rank < 2)
        return tg_reject(c, "no channels in %s", tg_str(in[0]));
    return norm_fits(c, attr, in, n_in, in[0].dim[1], 2) ? in[0] : (tg_shape){ 0 };
}

static void ref(const tg_call *c)
{
    const norm_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *mean = &c->in[1 + o->weight + o->bias], *var = mean + 1, *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 };
    do {
        double m = tg_get(mean, i[1] * mean->stride[0]), v = tg_get(var, i[1] * var->stride[0]);
        double hat = (tg_get(x, tg_offset(x, i)) - m) / sqrt(v + o->eps);
        tg_put(y, tg_offset(y, i), hat * norm_weight(c, o, i[1]) + norm_bias(c, o, i[1]));
    } while (tg_next(y->shape, i));
}

/* mean and var are operands like others: in training they are themselves functions of x.  What is sent back to x is dy
 * scaled by a number a channel, and all else comes from two sums. */
static void grad(tg *y, tg *dy, tg **dx)
{
    const norm_attr *o = tg_attr(y);
    tg *x = y->in[0], *mean = y->in[1 + o->weight + o->bias], *var = y->in[2 + o->weight + o->bias];
    int64_t n = tg_dim(y, 1);
    tg *dots = channel_dots(dy, x, mean), *sum = tg_reshape(tg_slice(dots, 0, 0, 1), SHAPE(n));
    tg *dot = tg_reshape(tg_slice(dots, 0, 1, 2), SHAPE(n));
    tg *r = tg_rsqrt(tg_affine(var, 1, o->eps)), *scale = o->weight ? tg_mul(y->in[1], r) : r;
    if (o->weight)
        dx[1] = tg_mul(dot, r);
    if (o->bias)
        dx[1 + o->weight] = sum;
    dx[0] = tg_mul(dy, norm_along(scale, x, 1));
    dx[1 + o->weight + o->bias] = tg_affine(tg_mul(sum, scale), -1, 0);
    dx[2 + o->weight + o->bias] = tg_affine(tg_mul(dot, tg_mul(scale, tg_mul(r, r))), -.5, 0);
}

static const tg_case cases[] = {
    { .in = { DIMS(2, 5, 4, 3), DIMS(5), DIMS(5), DIMS(5), DIMS(5) }, .attr = &(const norm_attr){ 1, 0, true, true, 1e-5 }, .lo = .5, .hi = 2 },
    { .in = { DIMS(4, 6), DIMS(6), DIMS(6) }, .attr = &(const norm_attr){ 1, 0, false, false, 1e-3 }, .lo = .5, .hi = 2 },
    { .in = { DIMS(2, 5, 4), DIMS(4), DIMS(5) }, .attr = &(const norm_attr){ 1, 0, false, false, 1e-5 }, .rejects = "operand 1 is (4,), not (5,)" },
};

const tg_op op_batch_norm = {
    "batch_norm", .arity = 3, .optional = 2, .attr_size = sizeof(norm_attr), .flags = TG_SPATIAL | TG_INPLACE, .shape = shape,
    .grad = grad, .ref = ref, .describe = norm_describe, TG_CASES(cases), .tol = 1e-6,
};

tg *tg_batch_norm(tg *x, tg *weight, tg *bias, tg *mean, tg *var, double eps)
{
    return norm_apply(&op_batch_norm, x, weight, bias, mean, var, (norm_attr){ .axis = 1, .eps = eps });
}
