/* grads_test.c - one training pass of small models against PyTorch: loss, logits, every gradient, running statistics. */
#include <stdlib.h>
#include "golden.h"
#include "jsonl.h"
#include "test.h"

TEST(gradients_as_pytorch)
{
    jsonl lines;
    int models = 0;
    REQUIRE(jsonl_open(&lines, test_data("data/grads.jsonl.xz")), "no data");
    for (json_t *golden; (golden = jsonl_next(&lines)); json_decref(golden), models++) {
        static char text[1 << 16];
        double worst = 0;
        json_t *got = golden_run(TEST_TIMM, golden, "--train", text, sizeof text);
        if (got)
            golden_compare_grads(golden, got, text, sizeof text, &worst);
        json_decref(got);
        CHECK(!text[0], "%s: %.1500s", jsonl_text(golden, "model"), text);
    }
    jsonl_close(&lines);
    CHECK(models == 7, "%d models", models);
}
