/* narrow_test.c - models whose results lie in memory as bfloat16, which takes instructions for it: emulated where there are none. */
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

extern const gemm_vec gemm_bf16_emulated_dot;
enum { SIZE = 64, MOST = 2048 };

typedef struct outcome { float y[MOST]; int64_t n; int narrow; size_t arena; } outcome;

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
        for (int i = plan_steps(p->plan, &step); i-- > 0;)
            o.narrow += step[i].call.out.dtype == TG_BFLOAT;
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
