/* grads_test.c - one training pass of small models against PyTorch: loss, logits, every gradient, running statistics. */
#include <stdlib.h>
#include "golden.h"
#include "jsonl.h"
#include "test.h"

static void check(const char *more)
{
    jsonl lines;
    int models = 0;
    REQUIRE(jsonl_open(&lines, test_data("data/grads.jsonl.xz")), "no data");
    for (json_t *golden; (golden = jsonl_next(&lines)); json_decref(golden), models++) {
        static char text[1 << 16];
        double worst = 0;
        json_t *got = golden_run(TEST_TIMM, golden, more, text, sizeof text);
        if (got)
            golden_compare_grads(golden, got, text, sizeof text, &worst);
        json_decref(got);
        CHECK(!text[0], "%s: %.1500s", jsonl_text(golden, "model"), text);
    }
    jsonl_close(&lines);
    CHECK(models == 7, "%d models", models);
}

TEST(gradients_as_pytorch) { check("--train"); }
TEST(gradients_in_fp32_as_pytorch) { check("--train --precision fp32"); }

TEST(gradients_without_one_pass)
{
    static const char *const passes[] = { "fuse", "pointwise", "dots", "recompute", "inplace", "fewer", "fuse,expand,gate,shortcut,pointwise,dots,recompute,inplace" };
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        setenv("TIMM_WITHOUT", passes[i], 1);
        check("--train");
    }
    unsetenv("TIMM_WITHOUT");
}
