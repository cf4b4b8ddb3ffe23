/* elementwise.c - shapes, loops and gradients that all elementwise ops share. */
#include "ops/elementwise.h"

tg_shape unary_shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    (void)c, (void)n_in, (void)attr;
    return in[0];
}

void unary_ref(const tg_call *c)
{
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t i[TG_MAX_RANK] = { 0 };
    if (tg_numel(y->shape))
        do
            tg_put(y, tg_offset(y, i), c->op->scalar(tg_get(x, tg_offset(x, i)), c->attr));
        while (tg_next(y->shape, i));
}

tg_shape broadcast_shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    (void)n_in, (void)attr;
    tg_shape out = in[0].rank >= in[1].rank ? in[0] : in[1];
    for (int i = 1; i <= out.rank; i++) {
        int64_t a = i <= in[0].rank ? in[0].dim[in[0].rank - i] : 1, b = i <= in[1].rank ? in[1].dim[in[1].rank - i] : 1;
        if (a != b && a != 1 && b != 1)
            return tg_reject(c, "do not broadcast");
        out.dim[out.rank - i] = a == 1 ? b : a;
    }
    return out;
}

tg_tensor broadcast_to(const tg_tensor *t, tg_shape shape)
{
    tg_tensor r = *t;
    r.shape = shape;
    for (int i = 1; i <= shape.rank; i++) {
        int k = t->shape.rank - i;
        r.stride[shape.rank - i] = k < 0 || t->shape.dim[k] == 1 ? 0 : t->stride[k];
    }
    return r;
}

void binary_ref(const tg_call *c, double (*f)(double a, double b))
{
    const tg_tensor *y = &c->out;
    tg_tensor a = broadcast_to(&c->in[0], y->shape), b = broadcast_to(&c->in[1], y->shape);
    int64_t i[TG_MAX_RANK] = { 0 };
    if (tg_numel(y->shape))
        do
            tg_put(y, tg_offset(y, i), f(tg_get(&a, tg_offset(&a, i)), tg_get(&b, tg_offset(&b, i))));
        while (tg_next(y->shape, i));
}

tg *unbroadcast(tg *dy, const tg *like)
{
    unsigned axes = 0;
    int shift = tg_rank(dy) - like->shape.rank;
    for (int i = 0; i < tg_rank(dy); i++)
        if (i < shift || (like->shape.dim[i - shift] == 1 && tg_dim(dy, i) != 1))
            axes |= AXIS(i);
    if (axes)
        dy = tg_sum(dy, axes);
    return shift ? tg_reshape(dy, like->shape) : dy;
}
