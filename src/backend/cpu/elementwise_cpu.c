/* elementwise_cpu.c - functions of one element of each operand, any strides, numpy broadcasting. */
#include <stdlib.h>
#include "chain.h"
#include "gemm.h"
#include "kernels.h"
#include "loops.h"
#include "packed_product.h"

enum { CHUNK = 256 };

static const char *declines(const tg_call *c)
{
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype != TG_F32)
            return "not float";
    return NULL;
}

/* n numbers `step` apart, side by side: where they already are, or in `room`. */
static const float *gathered(const void *numbers, tg_dtype of, int64_t step, int64_t n, float *room)
{
    if (of == TG_F32 && step == 1)
        return numbers;
    loops_gather(numbers, of, step, n, room);
    return room;
}

static void scatter(const float *from, void *to, tg_dtype of, int64_t step, int64_t n)
{
    float *y = to;
    if (of == TG_BFLOAT && step == 1)
        VEC_PICK(narrow_vec)->narrow(from, to, n);
    for (int64_t i = 0; i < n && of == TG_BFLOAT && step != 1; i++)
        ((uint16_t *)to)[i * step] = float_to_bfloat(from[i]);
    if (of == TG_BFLOAT)
        return;
    for (int64_t i = 0; i < n; i++)
        y[i * step] = from[i];
}

struct unary { const elementwise_vec *v; act f; const tg_tensor *x, *y; int64_t sx, sy; };

static void unary_row(const void *arg, const int64_t *offset, int64_t n)
{
    const struct unary *u = arg;
    const tg_dtype of_x = u->x->dtype, of_y = u->y->dtype;
    const void *x = tg_at(u->x->data, of_x, offset[1]);
    void *y = tg_at(u->y->data, of_y, offset[0]);
    float in[CHUNK], out[CHUNK];
    if (u->sx == 1 && u->sy == 1 && of_x == TG_F32 && of_y == TG_F32) {
        u->v->unary(u->f, x, y, n);
        return;
    }
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        const float *from = gathered(tg_at(x, of_x, i * u->sx), of_x, u->sx, m, in);
        if (of_y == TG_BFLOAT && u->sy == 1) {
            gemm_for(TG_BF16)->settle(u->f, from, tg_at(y, of_y, i), m);
            continue;
        }
        u->v->unary(u->f, from, out, m);
        scatter(out, tg_at(y, of_y, i * u->sy), of_y, u->sy, m);
    }
}

static void run_unary(const tg_call *c)
{
    const tg_tensor *t[] = { &c->out, &c->in[0] };
    loops l = loops_of(t, 2);
    struct unary u = { .v = VEC_PICK(elementwise_vec), .x = &c->in[0], .y = &c->out,
                       .sy = l.stride[0][l.rank - 1], .sx = l.stride[1][l.rank - 1] };
    act_of(c->op, c->attr, &u.f);
    loops_run(&l, c->pool, u.f.kind < ACT_SQRT ? 1 : 4, unary_row, &u);
}

struct binary {
    void (*f)(const float *a, int sa, const float *b, int sb, float *y, int64_t n);
    const tg_tensor *a, *b, *y;
    int64_t sa, sb, sy;
};

static void binary_row(const void *arg, const int64_t *offset, int64_t n)
{
    const struct binary *k = arg;
    const tg_dtype of_a = k->a->dtype, of_b = k->b->dtype, of_y = k->y->dtype;
    float *a = tg_at(k->a->data, of_a, offset[1]), *b = tg_at(k->b->data, of_b, offset[2]), *y = tg_at(k->y->data, of_y, offset[0]);
    float in[2][CHUNK], out[CHUNK];
    bool plain = k->sy == 1 && (k->sa == 0 || k->sa == 1) && (k->sb == 0 || k->sb == 1);
    if (plain && of_a == TG_F32 && of_b == TG_F32 && of_y == TG_F32) {
        k->f(a, (int)k->sa, b, (int)k->sb, y, n);
        return;
    }
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        const float *x0 = gathered(tg_at(a, of_a, i * k->sa), of_a, k->sa ? k->sa : 1, k->sa ? m : 1, in[0]);
        const float *x1 = gathered(tg_at(b, of_b, i * k->sb), of_b, k->sb ? k->sb : 1, k->sb ? m : 1, in[1]);
        k->f(x0, k->sa != 0, x1, k->sb != 0, out, m);
        scatter(out, tg_at(y, of_y, i * k->sy), of_y, k->sy, m);
    }
}

/* A chain of one, where that can be. */
static bool prepare_binary(const tg_call *c, tg_prep *prep)
{
    const pointwise_attr a = { .steps = 1, .step = { { c->op, 0, 1, { 0 } } } };
    return !chain_whole(&c->out) || chain_prepare(c, c->n_in, &a, prep);
}

static void run_binary(const tg_call *c)
{
    if (c->state) {
        chain_run(c);
        return;
    }
    const tg_tensor *t[] = { &c->out, &c->in[0], &c->in[1] };
    loops l = loops_of(t, 3);
    const int last = l.rank - 1;
    binary_kind kind = BIN_ADD;
    binary_of(c->op, &kind);
    struct binary k = { .f = VEC_PICK(elementwise_vec)->binary[kind],
                        .a = &c->in[0],
                        .b = &c->in[1],
                        .y = &c->out,
                        .sy = l.stride[0][last],
                        .sa = l.stride[1][last],
                        .sb = l.stride[2][last] };
    loops_run(&l, c->pool, 1, binary_row, &k);
}

/* Operands that are repeated stay in single precision. */
static unsigned narrow(const tg_call *c)
{
    binary_kind kind = BIN_ADD;
    binary_of(c->op, &kind);
    unsigned operands = tg_same(c->in[0].shape, c->out.shape) | (unsigned)tg_same(c->in[1].shape, c->out.shape) << 1;
    return (kind == BIN_ADD || kind == BIN_SUB ? NARROW_SUM : NARROW_RESULT) | operands;
}

static unsigned narrow_map(const tg_call *c) { return gemm_narrow(TG_BF16) && c->out.shape.rank > 1 ? NARROW_RESULT | 1 : 0; }

#define ACTIVATION(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .run = run_unary, .narrow = narrow_map };
#define UNARY(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .run = run_unary };
#define BINARY(of) \
    const tg_kernel kernel_##of = { .op = #of, .name = "cpu." #of, .declines = declines, .prepare = prepare_binary, .run = run_binary, \
                                    .release = free, .narrow = narrow };
ACTIVATION(relu) ACTIVATION(relu6) ACTIVATION(leaky_relu) ACTIVATION(elu) ACTIVATION(silu) ACTIVATION(gelu) ACTIVATION(gelu_tanh)
ACTIVATION(quick_gelu) ACTIVATION(hard_swish)
UNARY(clamp) UNARY(affine) UNARY(abs) UNARY(sqrt) UNARY(rsqrt) UNARY(exp) UNARY(erf) UNARY(tanh) UNARY(sigmoid) UNARY(hard_sigmoid)
UNARY(silu_slope) UNARY(gelu_slope) UNARY(hard_swish_slope)
BINARY(add) BINARY(sub) BINARY(mul) BINARY(div) BINARY(maximum) BINARY(minimum) BINARY(greater)
