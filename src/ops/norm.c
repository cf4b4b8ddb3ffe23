/* norm.c - what layer_norm, rms_norm, group_norm and batch_norm share. */
#include "ops/norm.h"

bool norm_fits(tg_check *c, const norm_attr *o, const tg_shape *in, int n_in, int64_t n, int more)
{
    int vectors = o->weight + o->bias + more;
    if (n_in != 1 + vectors)
        return tg_reject(c, "%d operands, not %d", n_in, 1 + vectors), false;
    for (int k = 1; k <= vectors; k++)
        if (in[k].rank != 1 || in[k].dim[0] != n)
            return tg_reject(c, "operand %d is %s, not (%lld,)", k, tg_str(in[k]), (long long)n), false;
    return true;
}

tg_shape norm_along_axis(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    int axis = ((const norm_attr *)attr)->axis;
    if (axis < 0 || axis >= in[0].rank)
        return tg_reject(c, "axis %d of %s", axis, tg_str(in[0]));
    return norm_fits(c, attr, in, n_in, in[0].dim[axis], 0) ? in[0] : (tg_shape){ 0 };
}

double norm_weight(const tg_call *c, const norm_attr *o, int64_t k)
{
    return o->weight ? tg_get(&c->in[1], k * c->in[1].stride[0]) : 1;
}

double norm_bias(const tg_call *c, const norm_attr *o, int64_t k)
{
    return o->bias ? tg_get(&c->in[1 + o->weight], k * c->in[1 + o->weight].stride[0]) : 0;
}

void norm_describe(const void *attr, char *text, size_t size)
{
    const norm_attr *o = attr;
    snprintf(text, size, o->groups ? "groups %d eps %g" : "axis %d eps %g", o->groups ? o->groups : o->axis, o->eps);
}

tg *norm_apply(const tg_op *op, tg *x, tg *weight, tg *bias, tg *mean, tg *var, norm_attr o)
{
    tg *in[5] = { x };
    int n = 1;
    o.weight = weight != NULL;
    o.bias = bias != NULL;
    if (weight)
        in[n++] = weight;
    if (bias)
        in[n++] = bias;
    if (mean) {
        in[n++] = mean;
        in[n++] = var;
    }
    return tg_apply(op, in, n, &o);
}

tg *norm_along(tg *v, const tg *x, int axis)
{
    tg_shape s = { .rank = tg_rank(x) };
    for (int i = 0; i < s.rank; i++)
        s.dim[i] = i == axis ? tg_dim(x, i) : 1;
    return tg_reshape(v, s);
}

tg *norm_affine_grad(tg *y, tg *dy, tg *xhat, int axis, tg **dx)
{
    const norm_attr *o = tg_attr(y);
    unsigned others = ((1u << tg_rank(y)) - 1) & ~AXIS(axis);
    int64_t n = tg_dim(y, axis);
    if (o->weight)
        dx[1] = tg_reshape(tg_sum(tg_mul(dy, xhat), others), SHAPE(n));
    if (o->bias)
        dx[1 + o->weight] = tg_reshape(tg_sum(dy, others), SHAPE(n));
    return o->weight ? tg_mul(dy, norm_along(y->in[1], y, axis)) : dy;
}

tg_shape norm_grad_shape(tg_check *c, const norm_attr *o, const tg_shape *in, int n_in, int axis)
{
    if (n_in != 2 + o->weight || !tg_same(in[0], in[1]))
        return tg_reject(c, "x, dy of one shape and a weight are needed");
    if (axis < 0 || axis >= in[0].rank)
        return tg_reject(c, "axis %d of %s", axis, tg_str(in[0]));
    int64_t n = in[0].dim[axis];
    if (o->weight && (in[2].rank != 1 || in[2].dim[0] != n))
        return tg_reject(c, "the weight is %s, not (%lld,)", tg_str(in[2]), (long long)n);
    return SHAPE(tg_numel(in[0]) + (o->weight + o->bias) * n);
}

/* The axes with this one last. */
static void turn(int rank, int axis, int *order, int *back)
{
    for (int i = 0; i < rank; i++) {
        order[i] = i < axis ? i : i < rank - 1 ? i + 1 : axis;
        back[order[i]] = i;
    }
}

void norm_split_grad(tg *flat, const tg *y, int axis, tg **dx)
{
    const norm_attr *o = y->attr;
    const tg *x = y->in[0];
    const int64_t n = tg_dim(x, axis), all = tg_numel(x->shape);
    int order[TG_MAX_RANK], back[TG_MAX_RANK];
    tg_shape turned = { .rank = tg_rank(x) };
    turn(tg_rank(x), axis, order, back);
    for (int i = 0; i < turned.rank; i++)
        turned.dim[i] = tg_dim(x, order[i]);
    dx[0] = tg_permute(tg_reshape(tg_slice(flat, 0, 0, all), turned), back);
    if (o->weight)
        dx[1] = tg_slice(flat, 0, all, all + n);
    if (o->bias)
        dx[1 + o->weight] = tg_slice(flat, 0, all + o->weight * n, all + (o->weight + 1) * n);
}

tg *norm_join_grad(tg *dx, tg *dweight, tg *dbias, int axis)
{
    int order[TG_MAX_RANK], back[TG_MAX_RANK], parts = 1;
    turn(tg_rank(dx), axis, order, back);
    tg *whole[3] = { tg_reshape(tg_permute(dx, order), SHAPE(tg_numel(dx->shape))) };
    if (dweight)
        whole[parts++] = dweight;
    if (dbias)
        whole[parts++] = dbias;
    return tg_concat_all(0, whole, parts);
}
