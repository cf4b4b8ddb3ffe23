/* narrow_test.c - models whose results lie in memory as bfloat16, and whose gates are part of convolutions.  Instructions for bfloat16 are emulated
 * where there are none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "api/model.h"
#include "backend/cpu/gemm.h"
#include "ops/op.h"
#include "plan/plan.h"
#include "figures.h"
#include "test.h"
#include "timm/timm.h"

extern const gemm_vec gemm_bf16_emulated_dot, gemm_bf16x3_emulated_amx, gemm_bf16x6_emulated_amx;
enum { SIZE = 64, MOST = 2048 };

typedef struct outcome { float y[MOST]; int64_t n; int narrow, gates, gated, shortcuts; size_t arena; } outcome;

static outcome logits_of(const char *name, const char *precision, const char *without, int threads)
{
    outcome o = { 0 };
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = threads, .without = without });
    timm_model *m = timm_create(ctx, name, &(timm_model_opts){ .img_size = { SIZE, SIZE }, .precision = precision, .fill = figures_fill });
    timm_tensor x = { .rank = 4, .dim = { 2, 3, SIZE, SIZE } };
    x.data = malloc((size_t)timm_numel(&x) * sizeof *x.data);
    for (int64_t i = 0; x.data && i < timm_numel(&x); i++)
        x.data[i] = (float)sin((double)i * .37);
    timm_tensor y = timm_forward(m, &x);
    CHECK(timm_ctx_status(ctx) == TIMM_OK && y.data && timm_numel(&y) <= MOST, "%s: %s", name, timm_message(ctx));
    planned *p = y.data ? model_plan(m, PART_FORWARD, SHAPE(2, 3, SIZE, SIZE)) : NULL;
    if (p && timm_numel(&y) <= MOST) {
        const plan_step *step;
        o.n = timm_numel(&y);
        memcpy(o.y, y.data, (size_t)o.n * sizeof *o.y);
        o.arena = plan_arena_bytes(p->plan);
        for (int i = plan_steps(p->plan, &step); i-- > 0;) {
            o.narrow += step[i].call.out.dtype == TG_BFLOAT;
            o.gates += step[i].call.op == &op_mul;
            o.shortcuts += step[i].call.op == &op_conv2d_shortcut && step[i].kernel;
            o.gated += step[i].call.op == &op_conv2d && ((const conv2d_attr *)step[i].call.attr)->e.gate && step[i].kernel;
        }
    }
    free(x.data);
    timm_close(ctx);
    return o;
}

static double off(const outcome *a, const outcome *b)
{
    double sum = 0, size = 0;
    for (int64_t i = 0; i < a->n; i++) {
        sum += (a->y[i] - b->y[i]) * (a->y[i] - b->y[i]);
        size += b->y[i] * b->y[i];
    }
    return sqrt(sum / size);
}

/* Results are rounded once more on their way through memory: no further off fp32 than twice what the products' rounding does. */
TEST(models_with_results_in_bf16)
{
    static const struct { const char *name; int least; } models[] = {
        { "test_vit", 20 }, { "test_resnet", 15 }, { "test_convnext", 6 }, { "test_efficientnet", 4 },
    };
    const gemm_vec *was = gemm_exchange(TG_BF16, &gemm_bf16_emulated_dot);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const char *name = models[i].name;
        outcome exact = logits_of(name, "fp32", NULL, 1), wide = logits_of(name, "bf16", "narrow", 1), narrow = logits_of(name, "bf16", NULL, 1);
        outcome again = logits_of(name, "bf16", NULL, 2);
        CHECK(!memcmp(again.y, narrow.y, sizeof again.y), "%s: other numbers on two threads", name);
        CHECK(narrow.narrow >= models[i].least && !wide.narrow && !exact.narrow, "%s: %d results are narrow, %d and %d", name, narrow.narrow, wide.narrow,
              exact.narrow);
        CHECK(narrow.arena < wide.arena, "%s: %zu bytes, not less than %zu", name, narrow.arena, wide.arena);
        double rounding = off(&wide, &exact), both = off(&narrow, &exact);
        CHECK(rounding > 0 && both > 0 && both <= 2 * rounding + 1e-3, "%s: %.3g off, %.3g with wide results", name, both, rounding);
    }
    gemm_exchange(TG_BF16, was);
}

TEST(models_whose_gates_are_part_of_convolutions)
{
    static const struct { const char *precision; tg_precision p; const gemm_vec *v; double off; } by[] = {
        { "bf16", TG_BF16, &gemm_bf16_emulated_dot, 1e-6 }, { "bf16x3", TG_BF16X3, &gemm_bf16x3_emulated_amx, 1e-5 },
        { "bf16x6", TG_BF16X6, &gemm_bf16x6_emulated_amx, 1e-6 }, { "fp32", TG_FP32, NULL, 1e-6 },
    };
    /* Of 64 x 64 pixels; in single precision those of maps of as many pixels as there are filters. */
    static const struct { const char *name; int gates, in_fp32; } models[] = { { "mobilenetv3_small_050", 9, 1 }, { "efficientnet_b0", 16, 5 } };
    for (size_t i = 0; i < 8; i++) {
        const char *name = models[i / 4].name, *precision = by[i % 4].precision;
        const int gates = models[i / 4].gates, taken = by[i % 4].v ? gates : models[i / 4].in_fp32;
        const gemm_vec *was = gemm_exchange(by[i % 4].p, by[i % 4].v ? by[i % 4].v : gemm_for(TG_FP32));
        outcome apart = logits_of(name, precision, "gate", 1), fused = logits_of(name, precision, NULL, 1), again = logits_of(name, precision, NULL, 2);
        gemm_exchange(by[i % 4].p, was);
        CHECK(!memcmp(again.y, fused.y, sizeof again.y), "%s in %s: other numbers on two threads", name, precision);
        CHECK(apart.gates == gates && !apart.gated && fused.gates == gates - taken && fused.gated == taken, "%s in %s: %d gates of %d, and without the pass %d of %d", name,
              precision, fused.gates, fused.gated, apart.gates, apart.gated);
        CHECK(off(&fused, &apart) <= by[i % 4].off, "%s in %s: %.3g off", name, precision, off(&fused, &apart));
    }
}

TEST(models_whose_shortcuts_are_part_of_a_product)
{
    static const struct { const char *precision; tg_precision p; const gemm_vec *v; double off; } by[] = {
        { "bf16", TG_BF16, &gemm_bf16_emulated_dot, 5e-3 }, { "bf16x3", TG_BF16X3, &gemm_bf16x3_emulated_amx, 1e-5 },
        { "bf16x6", TG_BF16X6, &gemm_bf16x6_emulated_amx, 1e-6 },
    };
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        const char *name = "test_resnet", *precision = by[i].precision;
        const gemm_vec *was = gemm_exchange(by[i].p, by[i].v);
        outcome apart = logits_of(name, precision, "shortcut", 1), fused = logits_of(name, precision, NULL, 1), again = logits_of(name, precision, NULL, 2);
        gemm_exchange(by[i].p, was);
        CHECK(!memcmp(again.y, fused.y, sizeof again.y), "%s in %s: other numbers on two threads", name, precision);
        CHECK(fused.shortcuts == 1 && !apart.shortcuts, "%s in %s: %d shortcuts, %d without the pass", name, precision, fused.shortcuts, apart.shortcuts);
        CHECK(off(&fused, &apart) <= by[i].off, "%s in %s: %.3g off", name, precision, off(&fused, &apart));
    }
    CHECK(!logits_of("test_resnet", "fp32", NULL, 1).shortcuts, "in fp32");
}

/* Steps that apply a gate of a convolution's input, (4, c, 6, 5). */
static int gated_steps(const char *backend, int64_t c, int64_t filters, int64_t gates, int stride, bool read_twice)
{
    static float w[40 * 40], x[4 * 40 * 6 * 5], by[4 * 40];
    status st = { 0 };
    tg_graph *g = tg_graph_new(&st);
    tg *gate = tg_input(g, 1, SHAPE(gates, c, 1, 1)), *map = tg_mul(gate, tg_input(g, 0, SHAPE(4, c, 6, 5)));
    tg *out[2] = { tg_conv2d(map, tg_constant(g, SHAPE(filters, c, 1, 1), w), NULL, (tg_conv){ .stride = stride }), map };
    pool *p = pool_open(1);
    plan *made = plan_make(g, out, 1 + read_twice, &(plan_opts){ .backends = tg_backends(backend), .pool = p, .precision = TG_BF16X3 }, &st);
    const plan_step *step;
    int gated = 0;
    CHECK(made, "%s", st.text);
    for (int i = made ? plan_steps(made, &step) : 0; i-- > 0;)
        gated += step[i].call.op == &op_conv2d && ((const conv2d_attr *)step[i].call.attr)->e.gate;
    if (made)
        plan_run(made, (const float *const[]){ x, by });
    plan_free(made);
    pool_close(p);
    tg_graph_free(g);
    return gated;
}

TEST(gates_are_left_alone_where_no_kernel_takes_them)
{
    const gemm_vec *was = gemm_exchange(TG_BF16X3, &gemm_bf16x3_emulated_amx);
    const bool onednn = tg_backends("onednn")[0] == &backend_onednn;
    CHECK(gated_steps("cpu", 40, 24, 4, 1, false) == 1 && gated_steps("auto", 40, 24, 4, 1, false) == 1, "not applied");
    CHECK(!gated_steps("ref", 40, 24, 4, 1, false), "in the definition");
    CHECK(gated_steps("onednn", 40, 24, 4, 1, false) == !onednn, "instead of oneDNN's convolution");
    CHECK(!gated_steps("cpu", 40, 24, 4, 1, true), "though others read the product");
    CHECK(!gated_steps("cpu", 40, 24, 1, 1, false), "though it is one for all images");
    CHECK(!gated_steps("cpu", 40, 24, 4, 2, false) && !gated_steps("cpu", 8, 24, 4, 1, false), "of strided pixels, or few channels");
    gemm_exchange(TG_BF16X3, was);
    was = gemm_exchange(TG_BF16X3, gemm_for(TG_FP32));
    CHECK(gated_steps("cpu", 40, 24, 4, 1, false) == 1 && !gated_steps("cpu", 40, 31, 4, 1, false), "without instructions, of 30 pixels");
    gemm_exchange(TG_BF16X3, was);
}

/* Half of a linear layer's rows, and a sum or a norm of them, of which the halves of both precisions have as many bytes. */
static void half_of_rows(unsigned without, bool norm, float *out)
{
    enum { ROWS = 32, WIDE = 64 };
    static float x[2 * ROWS * WIDE], w[WIDE * WIDE], z[ROWS * WIDE];
    status st = { 0 };
    tg_graph *g = tg_graph_new(&st);
    tg *y = tg_linear(tg_input(g, 0, SHAPE(2 * ROWS, WIDE)), tg_input(g, 1, SHAPE(WIDE, WIDE)), NULL);
    tg *half = tg_slice(y, 0, 0, ROWS), *more = tg_input(g, 2, SHAPE(ROWS, WIDE));
    tg *sum = norm ? tg_apply(&op_layer_norm, &half, 1, &(norm_attr){ .axis = 1, .eps = 1e-5 }) : tg_add(half, more);
    pool *p = pool_open(1);
    plan *made = plan_make(g, &sum, 1, &(plan_opts){ .backends = tg_backends("cpu"), .pool = p, .precision = TG_BF16, .without = without }, &st);
    for (int i = 0; i < 2 * ROWS * WIDE; i++)
        x[i] = (float)sin(i * .37);
    for (int i = 0; i < WIDE * WIDE; i++)
        w[i] = (float)cos(i * .11) * .2f;
    CHECK(made, "%s", st.text);
    if (made) {
        plan_run(made, (const float *const[]){ x, w, z });
        memcpy(out, plan_output(made, 0)->data, sizeof z);
    }
    plan_free(made);
    pool_close(p);
    tg_graph_free(g);
}

TEST(results_in_bf16_are_not_written_over_by_wider_ones)
{
    static float in_place[MOST], apart[MOST];
    const gemm_vec *was = gemm_exchange(TG_BF16, &gemm_bf16_emulated_dot);
    for (int norm = 0; norm < 2; norm++) {
        half_of_rows(0, norm, in_place);
        half_of_rows(1u << PASS_INPLACE, norm, apart);
        CHECK(!memcmp(in_place, apart, sizeof apart), "norm %d: other numbers in place", norm);
    }
    gemm_exchange(TG_BF16, was);
}

/* Results of three layers that add to what is before them, as a product, a sum and a chain, that lie in memory as bfloat16. */
static int narrow_sums(bool constant)
{
    enum { ROWS = 48, WIDE = 64 };
    static float w[WIDE * WIDE];
    status st = { 0 };
    tg_graph *g = tg_graph_new(&st);
    tg *matrix = constant ? tg_constant(g, SHAPE(WIDE, WIDE), w) : tg_input(g, 1, SHAPE(WIDE, WIDE));
    tg *x = tg_linear(tg_input(g, 0, SHAPE(ROWS, WIDE)), matrix, NULL);
    x = tg_add(x, tg_linear(tg_gelu(x), matrix, NULL));
    x = tg_add(x, tg_abs(tg_linear(tg_relu(x), matrix, NULL)));
    x = tg_add(tg_mul(tg_gelu(tg_linear(x, matrix, NULL)), tg_sigmoid(tg_linear(x, matrix, NULL))), x);
    x = tg_linear(x, matrix, NULL);
    pool *p = pool_open(1);
    plan *made = plan_make(g, &x, 1, &(plan_opts){ .backends = tg_backends("cpu"), .pool = p, .precision = TG_BF16 }, &st);
    const plan_step *step;
    int narrow = 0, sums = 0;
    CHECK(made, "%s", st.text);
    for (int i = made ? plan_steps(made, &step) : 0; i-- > 0;) {
        const tg_op *op = step[i].call.op;
        const bool adds = op == &op_add || (op == &op_linear && ((const linear_attr *)step[i].call.attr)->e.residual) || (op == &op_pointwise && step[i].call.n_in == 3);
        sums += adds;
        narrow += adds && step[i].call.out.dtype == TG_BFLOAT;
    }
    CHECK(sums == 3, "%d sums", sums);
    plan_free(made);
    pool_close(p);
    tg_graph_free(g);
    return narrow;
}

TEST(sums_are_narrow_where_weights_are_constant)
{
    const gemm_vec *was = gemm_exchange(TG_BF16, &gemm_bf16_emulated_dot);
    CHECK(narrow_sums(true) == 3 && narrow_sums(false) == 0, "%d of three, %d where weights change", narrow_sums(true), narrow_sums(false));
    gemm_exchange(TG_BF16, was);
}

/* A 1x1 convolution of few images, its weights an input. */
static void one_tap(tg_precision precision, int64_t channels, float *out)
{
    enum { IMAGES = 2, SIDE = 5, CHANNELS = 64 };
    static float x[IMAGES * CHANNELS * SIDE * SIDE], w[CHANNELS * CHANNELS];
    status st = { 0 };
    tg_graph *g = tg_graph_new(&st);
    tg *y = tg_conv2d(tg_input(g, 0, SHAPE(IMAGES, channels, SIDE, SIDE)), tg_input(g, 1, SHAPE(channels, channels, 1, 1)), NULL, (tg_conv){ 0 });
    pool *p = pool_open(1);
    plan *made = plan_make(g, &y, 1, &(plan_opts){ .backends = tg_backends("cpu"), .pool = p, .precision = precision }, &st);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)sin((double)i * .37);
    for (size_t i = 0; i < sizeof w / sizeof *w; i++)
        w[i] = (float)cos((double)i * .11);
    CHECK(made, "%s", st.text);
    if (made) {
        plan_run(made, (const float *const[]){ x, w });
        memcpy(out, plan_output(made, 0)->data, (size_t)(IMAGES * channels * SIDE * SIDE) * sizeof *out);
    }
    plan_free(made);
    pool_close(p);
    tg_graph_free(g);
}

TEST(products_too_small_for_parts_are_exact)
{
    static float exact[2 * 64 * 25], parts[2 * 64 * 25];
    const gemm_vec *was = gemm_exchange(TG_BF16X3, &gemm_bf16x3_emulated_amx);
    for (int64_t channels = 16; channels <= 64; channels += 48) {
        one_tap(TG_FP32, channels, exact);
        one_tap(TG_BF16X3, channels, parts);
        CHECK(!memcmp(exact, parts, (size_t)(2 * channels * 25) * sizeof *parts) == (channels == 16), "%d channels", (int)channels);
    }
    gemm_exchange(TG_BF16X3, was);
}
