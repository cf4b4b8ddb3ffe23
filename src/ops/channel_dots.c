/* channel_dots.c - y[0] = sum of dy, y[1] = sum of dy (x - mean), each over all axes but the channels' (axis 1). */
#include "ops/channel_sums.h"
#include "ops/norm.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    (void)n_in, (void)attr;
    if (in[0].rank < 2 || !tg_same(in[0], in[1]))
        return tg_reject(c, "%s with %s", tg_str(in[0]), tg_str(in[1]));
    if (in[2].rank != 1 || in[2].dim[0] != in[0].dim[1])
        return tg_reject(c, "mean is %s for %s", tg_str(in[2]), tg_str(in[0]));
    return SHAPE(2, in[0].dim[1]);
}

static void ref(const tg_call *c)
{
    const tg_tensor *dy = &c->in[0], *x = &c->in[1], *mean = &c->in[2], *y = &c->out;
    for (int64_t k = 0; k < y->shape.dim[1]; k++) {
        int64_t i[TG_MAX_RANK] = { 0 };
        double sum = 0, dot = 0, m = tg_get(mean, k * mean->stride[0]);
        do {
            double d = i[1] == k ? tg_get(dy, tg_offset(dy, i)) : 0;
            sum += d;
            dot += i[1] == k ? d * (tg_get(x, tg_offset(x, i)) - m) : 0;
        } while (tg_next(x->shape, i));
        tg_put(y, k * y->stride[1], sum);
        tg_put(y, y->stride[0] + k * y->stride[1], dot);
    }
}

static void grad(tg *y, tg *d, tg **dx)
{
    tg *dy = y->in[0], *x = y->in[1], *mean = y->in[2];
    int64_t channels = tg_dim(x, 1);
    tg *of_sum = norm_along(tg_reshape(tg_slice(d, 0, 0, 1), SHAPE(channels)), x, 1);
    tg *of_dot = tg_reshape(tg_slice(d, 0, 1, 2), SHAPE(channels)), *along = norm_along(of_dot, x, 1);
    dx[0] = tg_add(of_sum, tg_mul(along, tg_sub(x, norm_along(mean, x, 1))));
    dx[1] = tg_mul(along, dy);
    dx[2] = tg_affine(tg_mul(of_dot, tg_reshape(tg_slice(y, 0, 0, 1), SHAPE(channels))), -1, 0);
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 5, 4, 3), DIMS(3, 5, 4, 3), DIMS(5) } },
    { .in = { DIMS(6, 19), DIMS(6, 19), DIMS(19) } },
    { .in = { DIMS(2, 300, 3, 3), DIMS(2, 300, 3, 3), DIMS(300) } },
    { .in = { DIMS(2, 3), DIMS(2, 4), DIMS(3) }, .rejects = "(2, 3) with (2, 4)" },
    { .in = { DIMS(2, 3), DIMS(2, 3), DIMS(4) }, .rejects = "mean is (4,) for (2, 3)" },
};

const tg_op op_channel_dots = {
    "channel_dots", .arity = 3, .flags = 0, .shape = shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 1e-6,
};

tg *channel_dots(tg *dy, tg *x, tg *mean) { return tg_apply(&op_channel_dots, (tg *[]){ dy, x, mean }, 3, NULL); }
