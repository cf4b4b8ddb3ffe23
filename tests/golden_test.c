/* golden_test.c - a sample of the zoo against real timm; all of it: `make check-zoo`. */
#include <stdlib.h>
#include <string.h>
#include "golden.h"
#include "jsonl.h"
#include "test.h"

/* Records of models of up to `most` parameters. */
static void check(const char *file, double most, int least, const char *more)
{
    jsonl lines;
    int models = 0;
    REQUIRE(jsonl_open(&lines, test_data(file)), "no data");
    for (json_t *golden; (golden = jsonl_next(&lines)); json_decref(golden)) {
        static char text[1 << 16];
        double worst = 0;
        if (jsonl_number(golden, "params") > most || json_object_get(golden, "error"))
            continue;
        json_t *got = golden_run(TEST_TIMM, golden, more, text, sizeof text);
        if (got)
            golden_compare(golden, got, text, sizeof text, &worst);
        json_decref(got);
        CHECK(!text[0], "%s: %.1500s", jsonl_text(golden, "model"), text);
        models++;
    }
    jsonl_close(&lines);
    CHECK(models >= least, "%d models, not %d", models, least);
}

TEST(models_compute_as_timm) { check("data/golden.jsonl.xz", 6e6, 30, ""); }
TEST(models_compute_as_timm_by_definitions) { check("data/golden.jsonl.xz", 6e5, 8, "--backend ref"); }
TEST(models_of_other_sizes_channels_and_classes_compute_as_timm) { check("data/golden-variants.jsonl.xz", 12e6, 20, ""); }
TEST(models_of_other_arguments_compute_as_timm) { check("data/golden-kwargs.jsonl.xz", 30e6, 7, ""); }
