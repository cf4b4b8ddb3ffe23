/* matmul.c - y[..., i, j] = sum over k of a[..., i, k] b[..., k, j]; leading axes broadcast. */
#include "ops/elementwise.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    tg_shape a = in[0], b = in[1];
    (void)n_in, (void)attr;
    if (a.rank < 2 || b.rank < 2 || a.dim[a.rank - 1] != b.dim[b.rank - 2])
        return tg_reject(c, "do not multiply");
    int64_t rows = a.dim[a.rank - 2], cols = b.dim[b.rank - 1];
    a.dim[a.rank - 2] = a.dim[a.rank - 1] = b.dim[b.rank - 2] = b.dim[b.rank - 1] = 1;
    tg_shape s = broadcast_shape(c, (tg_shape[]){ a, b }, 2, NULL);
    if (s.rank) {
        s.dim[s.rank - 2] = rows;
        s.dim[s.rank - 1] = cols;
    }
    return s;
}

/* t with the result's leading axes; its last two as they are. */
static tg_tensor lead(const tg_tensor *t, tg_shape s)
{
    int r = t->shape.rank;
    s.dim[s.rank - 2] = t->shape.dim[r - 2];
    s.dim[s.rank - 1] = t->shape.dim[r - 1];
    return broadcast_to(t, s);
}

static void ref(const tg_call *c)
{
    tg_shape s = c->out.shape;
    tg_tensor a = lead(&c->in[0], s), b = lead(&c->in[1], s);
    int r = s.rank;
    int64_t n = a.shape.dim[r - 1], i[TG_MAX_RANK] = { 0 };
    int64_t sa = c->in[0].stride[c->in[0].shape.rank - 1], sb = c->in[1].stride[c->in[1].shape.rank - 2];
    do {
        int64_t pa = tg_offset(&a, i) - i[r - 1] * a.stride[r - 1], pb = tg_offset(&b, i) - i[r - 2] * b.stride[r - 2];
        double sum = 0;
        for (int64_t k = 0; k < n; k++)
            sum += tg_get(&a, pa + k * sa) * tg_get(&b, pb + k * sb);
        tg_put(&c->out, tg_offset(&c->out, i), sum);
    } while (tg_next(s, i));
}

static tg *turned(tg *x)
{
    int order[TG_MAX_RANK] = { 0, 1, 2, 3, 4, 5 }, r = tg_rank(x);
    order[r - 1] = r - 2;
    order[r - 2] = r - 1;
    return tg_permute(x, order);
}

static void grad(tg *y, tg *dy, tg **dx)
{
    dx[0] = unbroadcast(tg_matmul(dy, turned(y->in[1])), y->in[0]);
    dx[1] = unbroadcast(tg_matmul(turned(y->in[0]), dy), y->in[1]);
}

static int64_t macs(const tg_shape *in, int n_in, tg_shape out, const void *attr)
{
    (void)n_in, (void)attr;
    return tg_numel(out) * in[0].dim[in[0].rank - 1];
}

static const tg_case cases[] = {
    { .in = { DIMS(3, 7), DIMS(7, 5) } },
    { .in = { DIMS(2, 4, 3, 7), DIMS(2, 4, 7, 5) } },
    { .in = { DIMS(2, 1, 3, 7), DIMS(4, 7, 5) }, .note = "leading axes broadcast" },
    { .in = { DIMS(3, 7), DIMS(3, 7) }, .rejects = "do not multiply" },
};

const tg_op op_matmul = {
    "matmul", .arity = 2, .shape = shape, .grad = grad, .ref = ref, .macs = macs, TG_CASES(cases), .tol = 1e-5,
};

tg *tg_matmul(tg *a, tg *b) { return tg_apply(&op_matmul, (tg *[]){ a, b }, 2, NULL); }
