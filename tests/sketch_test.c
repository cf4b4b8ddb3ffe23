/* sketch_test.c - plans that are told of and never run. */
#include "api/model.h"
#include "test.h"
#include "timm/timm.h"

/* A sketch tells the steps and the memory of the plan that runs, whose kernels packed their weights. */
TEST(plan_sketch_is_the_plan_without_weights)
{
    static const char *const models[] = { "test_resnet", "test_vit", "test_convnext", "test_efficientnet" };
    static const char *const backends[] = { "cpu", "auto" };
    for (size_t i = 0; i < 8; i++) {
        const char *name = models[i / 2];
        timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 2, .backend = backends[i % 2] });
        timm_model *m = timm_create(ctx, name, NULL);
        const plan_step *a, *b;
        REQUIRE(m, "%s", timm_message(ctx));
        tg_shape input = SHAPE(2, 3, m->opts.img_size[0], m->opts.img_size[1]);
        planned *made = model_plan(m, PART_FORWARD, input);
        plan *sketch = model_sketch(m, PART_FORWARD, input), *whole = made ? made->plan : NULL;
        REQUIRE(sketch && whole && plan_stretches(whole) == 1 && !plan_stretch_tell(whole, 0).images, "%s", timm_message(ctx));
        CHECK(plan_arena_bytes(sketch) == plan_arena_bytes(whole), "%s: %zu bytes, not %zu", name, plan_arena_bytes(sketch), plan_arena_bytes(whole));
        int n = plan_steps(sketch, &a);
        REQUIRE(n > 0 && n == plan_steps(whole, &b), "%s: %d steps", name, n);
        for (int k = 0; k < n; k++)
            CHECK(a[k].kernel == b[k].kernel && tg_same(a[k].shape, b[k].shape), "%s: step %d, %s", name, k, a[k].where);
        plan_free(sketch);
        timm_close(ctx);
    }
}
