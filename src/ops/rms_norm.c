/* rms_norm.c - y = x / sqrt(mean(x x) + eps) weight; the mean over one axis. */
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
        double square = 0;
        for (int64_t k = 0; k < n; k++)
            square += tg_get(x, from + k * sx) * tg_get(x, from + k * sx) / (double)n;
        for (int64_t k = 0; k < n; k++)
            tg_put(y, to + k * sy, tg_get(x, from + k * sx) / sqrt(square + o->eps) * norm_weight(c, o, k));
    } while (tg_next(outer, i));
}

/* dx = (dhat - hat mean(dhat hat)) / sqrt(mean(x x) + eps) */
static void grad(tg *y, tg *dy, tg **dx)
{
    const norm_attr *o = tg_attr(y);
    unsigned axis = AXIS(o->axis);
    tg *x = y->in[0], *r = tg_rsqrt(tg_affine(tg_mean(tg_mul(x, x), axis), 1, o->eps)), *hat = tg_mul(x, r);
    tg *dhat = norm_affine_grad(y, dy, hat, o->axis, dx);
    dx[0] = tg_mul(tg_sub(dhat, tg_mul(hat, tg_mean(tg_mul(dhat, hat), axis))), r);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 17), DIMS(17) }, .attr = &(const norm_attr){ 1, 0, true, false, 1e-6 } },
    { .in = { DIMS(2, 6, 4, 3), DIMS(6) }, .attr = &(const norm_attr){ 1, 0, true, false, 1e-6 } },
    { .in = { DIMS(2, 5, 8) }, .attr = &(const norm_attr){ 2, 0, false, false, 1e-5 } },
    { .in = { DIMS(2, 5) }, .attr = &(const norm_attr){ 3, 0, false, false, 1e-5 }, .rejects = "axis 3 of (2, 5)" },
};

const tg_op op_rms_norm = {
    "rms_norm", .arity = 1, .optional = 1, .attr_size = sizeof(norm_attr), .flags = TG_INPLACE, .shape = norm_along_axis, .grad = grad,
    .ref = ref, .describe = norm_describe, TG_CASES(cases), .tol = 2e-6,
};

tg *tg_rms_norm(tg *x, tg *weight, int axis, double eps)
{
    return norm_apply(&op_rms_norm, x, weight, NULL, NULL, NULL, (norm_attr){ .axis = axis < 0 ? axis + tg_rank(x) : axis, .eps = eps });
}
