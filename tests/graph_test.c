/* graph_test.c - values, messages, passes and plans. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"
#include "base/random.h"
#include "ops/op.h"
#include "plan/plan.h"
#include "test.h"

TEST(graph_names_both_operands_that_do_not_fit)
{
    status st = { 0 };
    tg_graph *g = tg_graph_new(&st);
    tg_where(g, "layer2.0.bn3");
    tg *a = tg_input(g, 0, SHAPE(2, 512, 28, 28));
    tg_where(g, "layer2.0.downsample.1");
    tg *b = tg_input(g, 1, SHAPE(2, 512, 56, 56));
    tg *y = tg_relu(tg_add(a, b));
    CHECK(y->poisoned, "the sum is not poisoned");
    const char *want = "add: (2, 512, 28, 28) from layer2.0.bn3 and (2, 512, 56, 56) from layer2.0.downsample.1 do not broadcast";
    CHECK(st.code == TIMM_SHAPE && !strcmp(st.text, want), "%s", st.text);
    tg_mul(y, tg_input(g, 2, SHAPE(3)));
    CHECK(!strcmp(st.text, want), "a later message replaced the first: %s", st.text);
    tg_graph_free(g);
}

TEST(graph_rearrange_says_what_does_not_fit)
{
    static const struct { const char *how, *axis; int64_t size; const char *text; } bad[] = {
        { "b (h w) c -> b c h w", "h", 5, "does not fit" },   { "b n -> b n", NULL, 0, "does not fit" },
        { "b n c -> b n d", NULL, 0, "on one side only" },    { "b (n c -> b n c", NULL, 0, "cannot be read" },
        { "b n c", NULL, 0, "cannot be read" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        status st = { 0 };
        tg_graph *g = tg_graph_new(&st);
        tg *y = tg_rearrange(tg_input(g, 0, SHAPE(2, 12, 3)), bad[i].how, bad[i].axis, bad[i].size);
        CHECK(y->poisoned && strstr(st.text, bad[i].text), "%s: %s", bad[i].how, st.text);
        tg_graph_free(g);
    }
}

/* -- plans ------------------------------------------------------------------------------------------------------------------------ */

static const float *no_fetch(void *p, bool *temporary) { return (void)p, *temporary = false, NULL; }
static void no_done(void *p, const float *v, bool temporary) { (void)p, (void)v, (void)temporary; }

static tg *weights(tg_graph *g, tg_shape s, uint64_t key)
{
    int64_t n = tg_numel(s);
    float *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)(random_uniform(key, (uint64_t)i + 1) - .5);
    tg *x = tg_constant(g, s, v);
    free(v);
    return x;
}

/* A residual block with batch norm, a gate, a pool and a classifier, then attention over its pixels, and convolutions side by side with
 * one norm: what passes rewrite. */
static int network(tg_graph *g, tg **out)
{
    tg *x = tg_input(g, 0, SHAPE(2, 8, 9, 7)), *one = tg_full(x, SHAPE(8), 1.25);
    tg *w = weights(g, SHAPE(8, 8, 3, 3), 1), *mean = weights(g, SHAPE(8), 2), *bias = weights(g, SHAPE(8), 3);
    tg *y = tg_conv2d(x, w, NULL, (tg_conv){ .pad = { 1, 1, 1, 1 } });
    y = tg_relu(tg_batch_norm(y, one, bias, mean, one, 1e-5));
    y = tg_conv2d(y, weights(g, SHAPE(8, 1, 3, 3), 4), bias, (tg_conv){ .pad = { 1, 1, 1, 1 }, .groups = 8 });
    y = tg_batch_norm(y, one, bias, mean, one, 1e-5);
    y = tg_relu(tg_add(tg_mul(y, tg_sigmoid(tg_mean(y, AXIS(2) | AXIS(3)))), x));
    tg *tokens = tg_rearrange(y, "b c h w -> b (h w) c", NULL, 0);
    tg *qkv = tg_linear(tokens, weights(g, SHAPE(24, 8), 5), NULL), *t[3];
    for (int i = 0; i < 3; i++)
        t[i] = tg_rearrange(tg_slice(qkv, 2, 8 * i, 8 * i + 8), "b n (h c) -> b h n c", "h", 2);
    tg *mixed = tg_rearrange(tg_attention(t[0], t[1], t[2], NULL, 0), "b h n c -> b n (h c)", NULL, 0);
    mixed = tg_add(tokens, tg_mul(tg_linear(mixed, weights(g, SHAPE(8, 8), 6), bias), one));
    out[0] = tg_linear(tg_reshape(tg_mean(mixed, AXIS(1)), SHAPE(2, 8)), weights(g, SHAPE(5, 8), 7), NULL);
    out[1] = y;
    out[2] = tg_slice(mixed, 1, 3, 9);
    tg *few = tg_conv2d(tg_slice(x, 1, 0, 3), weights(g, SHAPE(3, 3, 1, 1), 8), NULL, (tg_conv){ .groups = 1 });
    tg *rest = tg_conv2d(tg_slice(x, 1, 3, 8), weights(g, SHAPE(5, 1, 3, 3), 9), NULL, (tg_conv){ .pad = { 1, 1, 1, 1 }, .groups = 5 });
    out[3] = tg_silu(tg_batch_norm(tg_concat(1, few, rest), weights(g, SHAPE(8), 10), bias, mean, one, 1e-5));
    tg_exp(tg_softmax(y, 1));                            /* nobody asks for it */
    return 4;
}

static plan *planned(tg_graph *g, tg *const *out, int n, bool no_rewrite, const char *backend, status *st)
{
    plan_opts o = { .backends = tg_backends(backend), .source = { .fetch = no_fetch, .done = no_done }, .without = no_rewrite ? 1u << PASS_FUSE | 1u << PASS_EXPAND | 1u << PASS_GATE | 1u << PASS_SHORTCUT | 1u << PASS_POINTWISE | 1u << PASS_RECOMPUTE : 0 };
    return plan_make(g, out, n, &o, st);
}

TEST(plan_passes_change_nothing_but_speed)
{
    float image[2 * 8 * 9 * 7];
    const float *inputs[] = { image };
    status st = { 0 };
    tg *out[4];
    for (size_t i = 0; i < sizeof image / sizeof *image; i++)
        image[i] = (float)(random_uniform(9, i + 1) - .5);
    tg_graph *g = tg_graph_new(&st);
    int n = network(g, out);
    CHECK(tg_verify(g, out, n, &st), "%s", st.text);
    plan *plain = planned(g, out, n, true, "ref", &st);
    REQUIRE(plain, "%s", st.text);
    plan_run(plain, inputs);
    static const char *const backends[] = { "ref", "cpu", "onednn", "auto" };
    for (int b = 0; b < 4; b++) {
        plan *fast = planned(g, out, n, false, backends[b], &st);
        REQUIRE(fast, "%s", st.text);
        for (int again = 0; again < 2; again++)
            plan_run(fast, inputs);
        for (int i = 0; i < n; i++) {
            const tg_tensor *want = plan_output(plain, i), *got = plan_output(fast, i);
            double worst = 0;
            CHECK(tg_same(want->shape, got->shape), "output %d is %s", i, tg_str(got->shape));
            for (int64_t k = 0; k < tg_numel(want->shape); k++)
                worst = fmax(worst, fabs((double)((float *)want->data)[k] - (double)((float *)got->data)[k]));
            CHECK(worst < 2e-6, "%s, output %d: off by %g", backends[b], i, worst);
        }
        const plan_step *steps, *plain_steps;
        int few = plan_steps(fast, &steps), many = plan_steps(plain, &plain_steps);
        CHECK(few <= many - 4, "%s: %d steps of %d: nothing was fused", backends[b], few, many);
        for (int i = 0; i < few; i++)
            CHECK(strcmp(steps[i].call.op->name, "exp") && strcmp(steps[i].call.op->name, "batch_norm") && strcmp(steps[i].call.op->name, "silu"), "step %d is %s", i,
                  steps[i].call.op->name);
        plan_free(fast);
    }
    plan_free(plain);
    tg_graph_free(g);
}

/* A product with its axes turned back, scaled, and added to a map, or to what was turned alike: two products and nothing else. */
TEST(plan_sums_of_turned_products)
{
    float image[2 * 6 * 5 * 3];
    const float *inputs[] = { image };
    status st = { 0 };
    for (size_t i = 0; i < sizeof image / sizeof *image; i++)
        image[i] = (float)(random_uniform(19, i + 1) - .5);
    tg_graph *g = tg_graph_new(&st);
    tg *x = tg_input(g, 0, SHAPE(2, 6, 5, 3)), *out[1];
    for (int i = 0; i < 2; i++) {
        tg *y = tg_linear(tg_rearrange(x, "b c h w -> b h w c", NULL, 0), weights(g, SHAPE(6, 6), 11), weights(g, SHAPE(6), 12));
        y = tg_mul(tg_rearrange(y, "b h w c -> b c h w", NULL, 0), tg_reshape(weights(g, SHAPE(6), 13), SHAPE(1, 6, 1, 1)));
        x = i ? tg_add(y, x) : tg_add(x, y);
    }
    out[0] = tg_relu(x);
    plan *plain = planned(g, out, 1, true, "ref", &st), *fast = planned(g, out, 1, false, "auto", &st);
    REQUIRE(plain && fast, "%s", st.text);
    plan_run(plain, inputs);
    plan_run(fast, inputs);
    const plan_step *steps;
    int products = 0, sums = 0, n = plan_steps(fast, &steps);
    for (int i = 0; i < n; i++) {
        products += steps[i].call.op == &op_linear;
        sums += steps[i].call.op == &op_add || steps[i].call.op == &op_mul || steps[i].call.op == &op_pointwise;
    }
    CHECK(products == 2 && !sums, "%d products, %d passes more of %d steps", products, sums, n);
    const tg_tensor *want = plan_output(plain, 0), *got = plan_output(fast, 0);
    CHECK(tg_same(want->shape, got->shape), "%s", tg_str(got->shape));
    int64_t at[TG_MAX_RANK] = { 0 };
    do
        CHECK(fabs(tg_get(want, tg_offset(want, at)) - tg_get(got, tg_offset(got, at))) < 2e-6, "off");
    while (tg_next(want->shape, at));
    plan_free(plain);
    plan_free(fast);
    tg_graph_free(g);
}

/* An expansion and its depthwise convolution are one step where the map between is large, and no step where others read it. */
TEST(plan_keeps_no_large_map_of_a_pair)
{
    enum { SIDE = 64 };
    const int64_t channels = (int64_t)(2 * cpu()->l2 / (SIDE * SIDE * sizeof(float))) + 13;
    static float image[2 * 4 * SIDE * SIDE];
    const float *inputs[] = { image };
    status st = { 0 };
    for (size_t i = 0; i < sizeof image / sizeof *image; i++)
        image[i] = (float)(random_uniform(5, i + 1) - .5);
    tg_graph *g = tg_graph_new(&st);
    tg *x = tg_input(g, 0, SHAPE(2, 4, SIDE, SIDE));
    tg *wide = tg_silu(tg_conv2d(x, weights(g, SHAPE(channels, 4, 1, 1), 1), weights(g, SHAPE(channels), 2), (tg_conv){ 0 }));
    tg *y = tg_relu(tg_conv2d(wide, weights(g, SHAPE(channels, 1, 3, 3), 3), weights(g, SHAPE(channels), 4),
                              (tg_conv){ .stride = 2, .pad = { 1, 1, 1, 1 }, .groups = (int)channels }));
    plan *plain = planned(g, (tg *[]){ y, wide }, 2, true, "cpu", &st), *fused = planned(g, &y, 1, false, "cpu", &st),
         *both = planned(g, (tg *[]){ y, wide }, 2, false, "cpu", &st);
    REQUIRE(plain && fused && both, "%s", st.text);
    const plan_step *steps;
    int fused_steps = 0, convs = 0;
    for (int i = plan_steps(fused, &steps); i-- > 0;) {
        fused_steps += steps[i].kernel && !strcmp(steps[i].kernel->name, "cpu.expand_depthwise");
        convs += steps[i].call.op == &op_conv2d;
    }
    CHECK(fused_steps == 1 && !convs, "%d pairs, %d convolutions", fused_steps, convs);
    CHECK(plan_arena_bytes(fused) < plan_arena_bytes(both) / 2, "%zu bytes, not fused %zu", plan_arena_bytes(fused), plan_arena_bytes(both));
    plan_run(plain, inputs);
    plan_run(fused, inputs);
    const float *want = plan_output(plain, 0)->data, *got = plan_output(fused, 0)->data;
    double worst = 0;
    for (int64_t k = 0; k < tg_numel(y->shape); k++)
        worst = fmax(worst, fabs((double)want[k] - (double)got[k]));
    CHECK(worst < 2e-6, "off by %g", worst);
    plan_free(plain);
    plan_free(fused);
    plan_free(both);
    tg_graph_free(g);
}

/* A part that is asked for does not keep the whole. */
TEST(plan_copies_parts_at_once)
{
    static float image[64 * 64];
    const float *inputs[] = { image };
    const size_t whole = sizeof image;
    status st = { 0 };
    for (int i = 0; i < 64 * 64; i++)
        image[i] = (float)(i % 61) / 61;
    tg_graph *g = tg_graph_new(&st);
    tg *x = tg_input(g, 0, SHAPE(64, 64)), *first = tg_softmax(x, 0), *then = tg_softmax(x, 1);
    tg *out[2] = { tg_slice(first, 0, 63, 64), tg_amax(then, AXIS(0) | AXIS(1)) };
    plan *p = planned(g, out, 2, false, "ref", &st), *all = planned(g, (tg *[]){ first, then }, 2, false, "ref", &st);
    REQUIRE(p && all, "%s", st.text);
    CHECK(plan_arena_bytes(p) < whole + whole / 2, "%zu bytes, and one map has %zu", plan_arena_bytes(p), whole);
    plan_run(p, inputs);
    plan_run(all, inputs);
    CHECK(!memcmp(plan_output(p, 0)->data, (const float *)plan_output(all, 0)->data + 63 * 64, 64 * sizeof(float)), "another part");
    plan_free(p);
    plan_free(all);
    tg_graph_free(g);
}

/* A first pixel far from all others, as the corner of a padded image is, must not cost digits of the variance. */
TEST(plan_moments_of_an_outlier)
{
    enum { C = 16, PIXELS = 2 * 112 * 112 };
    float *image = malloc(sizeof *image * C * PIXELS);
    const float *inputs[] = { image };
    status st = { 0 };
    REQUIRE(image, "out of memory");
    for (int64_t i = 0; i < C * PIXELS; i++)
        image[i] = i % (PIXELS / 2) ? 5 + (float)(random_uniform(4, (uint64_t)i + 1) - .5) * 1e-2f : 0;
    tg_graph *g = tg_graph_new(&st);
    tg *moments = tg_apply(tg_find_op("channel_moments"), (tg *[]){ tg_input(g, 0, SHAPE(2, C, 112, 112)) }, 1, NULL);
    plan *fast = planned(g, &moments, 1, false, "cpu", &st);
    REQUIRE(fast, "%s", st.text);
    plan_run(fast, inputs);
    for (int c = 0; c < C; c++) {
        double sum = 0, squares = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t n = 0; n < 2; n++)
                for (int64_t p = 0; p < PIXELS / 2; p++) {
                    double v = (double)image[(n * C + c) * (PIXELS / 2) + p], d = v - sum / PIXELS;
                    *(pass ? &squares : &sum) += pass ? d * d : v;
                }
        double got = (double)((const float *)plan_output(fast, 0)->data)[C + c], want = squares / PIXELS;
        CHECK(fabs(got - want) < 1e-6 * want, "channel %d: variance %.9g, not %.9g", c, got, want);
    }
    plan_free(fast);
    tg_graph_free(g);
    free(image);
}

/* While a step runs, no operand that a later step or the user still reads may be written over: every result is read back
 * after the run from a plan in which each value is an output too. */
/* Likewise of groups of channels, whose first pixels are far from all others. */
TEST(plan_group_norm_of_an_outlier)
{
    enum { C = 4, PIXELS = 112 * 112 };
    static float image[C * PIXELS];
    const float *inputs[] = { image };
    status st = { 0 };
    double mean = 0, var = 0;
    for (int64_t i = 0; i < C * PIXELS; i++)
        image[i] = i % PIXELS ? 5 + (float)(random_uniform(6, (uint64_t)i + 1) - .5) * 1e-2f : 0;
    for (int64_t i = 0; i < C * PIXELS; i++)
        mean += (double)image[i] / (C * PIXELS);
    for (int64_t i = 0; i < C * PIXELS; i++)
        var += ((double)image[i] - mean) * ((double)image[i] - mean) / (C * PIXELS);
    tg_graph *g = tg_graph_new(&st);
    tg *y = tg_group_norm(tg_input(g, 0, SHAPE(1, C, 112, 112)), NULL, NULL, 1, 0);
    plan *fast = planned(g, &y, 1, false, "cpu", &st);
    REQUIRE(fast, "%s", st.text);
    plan_run(fast, inputs);
    const tg_tensor *out = plan_output(fast, 0);
    double got = (double)((const float *)out->data)[0], want = (0 - mean) / sqrt(var);
    CHECK(fabs(got - want) < 2e-6 * fabs(want), "the outlier is at %.9g, not %.9g", got, want);
    plan_free(fast);
    tg_graph_free(g);
}

TEST(plan_keeps_what_is_still_read)
{
    float image[2 * 8 * 9 * 7];
    const float *inputs[] = { image };
    status st = { 0 };
    tg *out[4];
    for (size_t i = 0; i < sizeof image / sizeof *image; i++)
        image[i] = (float)(random_uniform(3, i + 1) - .5);
    tg_graph *g = tg_graph_new(&st);
    network(g, out);
    int count;
    tg **order = tg_order(g, out, 4, &count), **all = malloc((size_t)count * sizeof *all);
    int n = 0;
    for (int i = 0; i < count; i++)
        if (!order[i]->constant && order[i]->n_in)
            all[n++] = order[i];
    plan *whole = planned(g, all, n, true, "cpu", &st), *tight = planned(g, out, 3, true, "cpu", &st);
    REQUIRE(whole && tight, "%s", st.text);
    CHECK(plan_arena_bytes(tight) < plan_arena_bytes(whole) / 2, "%zu of %zu bytes: memory is not used again",
          plan_arena_bytes(tight), plan_arena_bytes(whole));
    plan_run(whole, inputs);
    plan_run(tight, inputs);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < n; k++)
            if (all[k] == out[i])
                CHECK(!memcmp(plan_output(whole, k)->data, plan_output(tight, i)->data,
                              (size_t)tg_numel(out[i]->shape) * sizeof(float)), "output %d differs", i);
    plan_free(whole);
    plan_free(tight);
    free(all);
    tg_graph_free(g);
}
