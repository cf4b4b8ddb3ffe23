/* layer_norm.c - y = (x - mean) / sqrt(var + eps) weight + bias; mean and (biased) var over one axis. */
#include "ops/norm.h"

static void ref(const tg_call *c)
{
    const norm_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t n = x->shape.dim[o->axis], sx = x->stride[o->axis], sy = y->stride[o->axis], i[TG_MAX_RANK] = { 0 };
    tg_shape outer = x->shape;
    outer.dim[o->axis] = 1;
    do {
        int64_t from = tg_offset(x, i), to = tg_offset(y, i);
        double mean = 0, var = 0;
        for (int64_t k = 0; k < n; k++)
            mean += tg_get(x, from + k * sx) / (double)n;
        for (int64_t k = 0; k < n; k++)
            var += (tg_get(x, from + k * sx) - mean) * (tg_get(x, from + k * sx) - mean) / (double)n;
        for (int64_t k = 0; k < n; k++)
            tg_put(y, to + k * sy, (tg_get(x, from + k * sx) - mean) / sqrt(var + o->eps) * norm_weight(c, o, k) + norm_bias(c, o, k));
    } while (tg_next(outer, i));
}

static void grad(tg *y, tg *dy, tg **dx) { tg_layer_norm_grad(y, dy, dx); }

static const tg_case cases[] = {
    { .in = { DIMS(3, 17), DIMS(17), DIMS(17) }, .attr = &(const norm_attr){ 1, 0, true, true, 1e-6 } },
    { .in = { DIMS(2, 6, 4, 3), DIMS(6), DIMS(6) }, .attr = &(const norm_attr){ 1, 0, true, true, 1e-6 }, .note = "channels of an image" },
    { .in = { DIMS(2, 5, 8) }, .attr = &(const norm_attr){ 2, 0, false, false, 1e-5 } },
    { .in = { DIMS(2, 5), DIMS(4) }, .attr = &(const norm_attr){ 1, 0, true, false, 1e-5 }, .rejects = "operand 1 is (4,), not (5,)" },
};

const tg_op op_layer_norm = {
    "layer_norm", .arity = 1, .optional = 2, .attr_size = sizeof(norm_attr), .flags = TG_INPLACE, .shape = norm_along_axis, .grad = grad,
    .ref = ref, .describe = norm_describe, TG_CASES(cases), .tol = 2e-6,
};

tg *tg_layer_norm(tg *x, tg *weight, tg *bias, int axis, double eps)
{
    return norm_apply(&op_layer_norm, x, weight, bias, NULL, NULL, (norm_attr){ .axis = axis < 0 ? axis + tg_rank(x) : axis, .eps = eps });
}
