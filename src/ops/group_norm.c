/* group_norm.c - channels (axis 1) in groups, each with its own mean and (biased) var; then weight and bias per channel. */
#include "ops/norm.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    int groups = ((const norm_attr *)attr)->groups;
    if (in[0].rank < 2 || groups < 1 || in[0].dim[1] % groups)
        return tg_reject(c, "%d groups of the channels of %s", groups, tg_str(in[0]));
    return norm_fits(c, attr, in, n_in, in[0].dim[1], 0) ? in[0] : (tg_shape){ 0 };
}

static void ref(const tg_call *c)
{
    const norm_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t per = x->shape.dim[1] / o->groups;
    tg_shape one = x->shape;
    one.dim[0] = 1;
    one.dim[1] = per;
    double n = (double)tg_numel(one);
    for (int64_t b = 0; b < x->shape.dim[0]; b++)
        for (int g = 0; g < o->groups; g++) {
            int64_t from = b * x->stride[0] + g * per * x->stride[1], to = b * y->stride[0] + g * per * y->stride[1];
            int64_t i[TG_MAX_RANK] = { 0 };
            double mean = 0, var = 0;
            do
                mean += tg_get(x, from + tg_offset(x, i)) / n;
            while (tg_next(one, i));
            memset(i, 0, sizeof i);
            do
                var += (tg_get(x, from + tg_offset(x, i)) - mean) * (tg_get(x, from + tg_offset(x, i)) - mean) / n;
            while (tg_next(one, i));
            memset(i, 0, sizeof i);
            do {
                double hat = (tg_get(x, from + tg_offset(x, i)) - mean) / sqrt(var + o->eps);
                tg_put(y, to + tg_offset(y, i), hat * norm_weight(c, o, g * per + i[1]) + norm_bias(c, o, g * per + i[1]));
            } while (tg_next(one, i));
        }
}

static void grad(tg *y, tg *dy, tg **dx) { tg_group_norm_grad(y, dy, dx); }

static const tg_case cases[] = {
    { .in = { DIMS(2, 6, 4, 3), DIMS(6), DIMS(6) }, .attr = &(const norm_attr){ 1, 3, true, true, 1e-5 } },
    { .in = { DIMS(2, 6, 4, 3) }, .attr = &(const norm_attr){ 1, 1, false, false, 1e-5 } },
    { .in = { DIMS(2, 6, 4) }, .attr = &(const norm_attr){ 1, 4, false, false, 1e-5 }, .rejects = "4 groups of the channels of (2, 6, 4)" },
};

const tg_op op_group_norm = {
    "group_norm", .arity = 1, .optional = 2, .attr_size = sizeof(norm_attr), .shape = shape, .grad = grad, .ref = ref,
    .describe = norm_describe, TG_CASES(cases), .tol = 2e-6,
};

tg *tg_group_norm(tg *x, tg *weight, tg *bias, int groups, double eps)
{
    return norm_apply(&op_group_norm, x, weight, bias, NULL, NULL, (norm_attr){ .axis = 1, .groups = groups, .eps = eps });
}
