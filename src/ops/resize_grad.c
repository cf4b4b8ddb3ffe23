/* resize_grad.c - resize's transpose: dx = sum of weights over rows and columns of dy. */
#include <stdlib.h>
#include "ops/resize_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const resize_grad_attr *a = attr;
    (void)n_in;
    if (in[0].rank != 4 || in[0].dim[2] != a->resize.h || in[0].dim[3] != a->resize.w)
        return tg_reject(c, "dy is %s, not %lld x %lld", tg_str(in[0]), (long long)a->resize.h, (long long)a->resize.w);
    return a->shape;
}

static void ref(const tg_call *c)
{
    const resize_grad_attr *a = c->attr;
    const tg_tensor *dy = &c->in[0], *dx = &c->out;
    int64_t h = dx->shape.dim[2], w = dx->shape.dim[3], oh = a->resize.h, ow = a->resize.w, i[TG_MAX_RANK] = { 0 };
    double *rows = resize_weights(h, oh, &a->resize), *cols = resize_weights(w, ow, &a->resize);
    if (rows && cols)
        do {
            double sum = 0;
            for (int64_t r = 0; r < oh; r++)
                for (int64_t q = 0; q < ow && rows[r * h + i[2]] != 0; q++)
                    if (cols[q * w + i[3]] != 0)
                        sum += rows[r * h + i[2]] * cols[q * w + i[3]]
                               * tg_get(dy, i[0] * dy->stride[0] + i[1] * dy->stride[1] + r * dy->stride[2] + q * dy->stride[3]);
            tg_put(dx, tg_offset(dx, i), sum);
        } while (tg_next(dx->shape, i));
    free(rows);
    free(cols);
}

static void grad(tg *y, tg *dy, tg **dx)
{
    const resize_attr *o = &((const resize_grad_attr *)tg_attr(y))->resize;
    dx[0] = tg_resize(dy, o->h, o->w, o->mode, o->antialias);
}

static const tg_case cases[] = {
    { .in = { DIMS(1, 2, 9, 5) }, .attr = &(const resize_grad_attr){ { 9, 5, TG_BICUBIC, true }, DIMS(1, 2, 7, 7) } },
    { .in = { DIMS(1, 2, 9, 5) }, .attr = &(const resize_grad_attr){ { 9, 5, TG_BILINEAR, false }, DIMS(1, 2, 7, 7) } },
};

const tg_op op_resize_grad = {
    "resize_grad", .arity = 1, .attr_size = sizeof(resize_grad_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad, .ref = ref,
    TG_CASES(cases), .tol = 1e-6,
};

tg *resize_grad(tg *dy, const resize_attr *resize, tg_shape s)
{
    return tg_apply(&op_resize_grad, &dy, 1, &(resize_grad_attr){ *resize, s });
}
