/* channel_moments.c - y[0] = mean of x, y[1] = mean of (x - y[0])^2, each over all axes but the channels' (axis 1). */
#include "ops/channel_sums.h"
#include "ops/norm.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    (void)n_in, (void)attr;
    return in[0].rank < 2 ? tg_reject(c, "no channels in %s", tg_str(in[0])) : SHAPE(2, in[0].dim[1]);
}

static void ref(const tg_call *c)
{
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t channels = y->shape.dim[1];
    double n = (double)tg_numel(x->shape) / (double)channels;
    for (int64_t k = 0; k < channels; k++) {
        double sum = 0, squares = 0;
        for (int pass = 0; pass < 2; pass++) {
            int64_t i[TG_MAX_RANK] = { 0 };
            do {
                double v = i[1] == k ? tg_get(x, tg_offset(x, i)) : 0;
                if (i[1] == k && pass)
                    squares += (v - sum / n) * (v - sum / n);
                else
                    sum += pass ? 0 : v;
            } while (tg_next(x->shape, i));
        }
        tg_put(y, k * y->stride[1], sum / n);
        tg_put(y, y->stride[0] + k * y->stride[1], squares / n);
    }
}

/* dx = a x + b with a = 2 dvar / n, b = dmean / n - a mean: one number a channel each. */
static void grad(tg *y, tg *dy, tg **dx)
{
    tg *x = y->in[0];
    int64_t channels = tg_dim(x, 1);
    double n = (double)tg_numel(x->shape) / (double)channels;
    tg *mean = tg_reshape(tg_slice(y, 0, 0, 1), SHAPE(channels));
    tg *dmean = tg_reshape(tg_slice(dy, 0, 0, 1), SHAPE(channels)), *dvar = tg_reshape(tg_slice(dy, 0, 1, 2), SHAPE(channels));
    tg *a = tg_affine(dvar, 2 / n, 0), *b = tg_sub(tg_affine(dmean, 1 / n, 0), tg_mul(a, mean));
    dx[0] = tg_add(tg_mul(x, norm_along(a, x, 1)), norm_along(b, x, 1));
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 5, 4, 3) } },
    { .in = { DIMS(6, 19) } },
    { .in = { DIMS(4, 24, 5, 7) }, .lo = 10, .hi = 12, .note = "far from zero" },
    { .in = { DIMS(2, 300, 3, 3) } },
    { .in = { DIMS(7) }, .rejects = "no channels in (7,)" },
};

const tg_op op_channel_moments = {
    "channel_moments", .arity = 1, .flags = 0, .shape = shape, .grad = grad, .ref = ref, TG_CASES(cases), .tol = 1e-6,
};

tg *channel_moments(tg *x) { return tg_apply(&op_channel_moments, &x, 1, NULL); }
