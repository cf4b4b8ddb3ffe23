/* golden_test.c - a sample of the zoo against real timm; all of it: `make check-zoo`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "backend/cpu/gemm.h"
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

/* The largest difference of logits, in parts of the largest one. */
static double far(const json_t *want, const json_t *got)
{
    const json_t *a = json_array_get(json_object_get(want, "logits"), 0), *b = json_array_get(json_object_get(got, "logits"), 0);
    const json_t *at = json_object_get(a, "at");
    double amax = jsonl_number(a, "amax"), worst = fabs(jsonl_number(b, "amax") - amax);
    for (size_t i = 0; i < json_array_size(at); i++) {
        double d = fabs(json_number_value(json_array_get(at, i)) - json_number_value(json_array_get(json_object_get(b, "at"), i)));
        worst = d > worst ? d : worst;
    }
    return worst / amax;
}

/* Held to what PyTorch's own autocast is off by; and rounding must be seen where there are instructions for it, and only there. */
TEST(models_in_bf16_are_no_further_off_than_pytorch)
{
    jsonl lines;
    int models = 0;
    REQUIRE(jsonl_open(&lines, test_data("data/precision.jsonl.xz")), "no data");
    for (json_t *golden; (golden = jsonl_next(&lines)); json_decref(golden)) {
        static char text[1 << 16];
        json_t *got = golden_run(TEST_TIMM, golden, "--precision bf16 --threads 2", text, sizeof text);
        json_t *alone = got ? golden_run(TEST_TIMM, golden, "--precision bf16 --threads 1", text, sizeof text) : NULL;
        if (alone) {
            CHECK(json_equal(got, alone), "%s: other figures on one thread", jsonl_text(golden, "model"));
            double off = far(golden, got), allowed = jsonl_number(golden, "bf16");
            CHECK(off <= allowed && (off > 1e-4) == gemm_packs(TG_BF16), "%s: off by %.3g, PyTorch's by %.3g", jsonl_text(golden, "model"), off, allowed);
        }
        CHECK(alone, "%s: %.1500s", jsonl_text(golden, "model"), text);
        json_decref(got);
        json_decref(alone);
        models++;
    }
    jsonl_close(&lines);
    CHECK(models >= 12, "%d models, not 12", models);
}

TEST(models_in_bf16x3_compute_as_timm) { check("data/golden.jsonl.xz", 6e5, 8, "--precision bf16x3"); }
TEST(models_in_bf16x6_compute_as_timm) { check("data/golden.jsonl.xz", 6e5, 8, "--precision bf16x6"); }
TEST(models_compute_as_timm) { check("data/golden.jsonl.xz", 6e6, 30, ""); }
TEST(models_without_one_pass_compute_as_timm)
{
    static const char *const passes[] = { "fuse", "expand", "pointwise", "inplace", "fewer", "fuse,expand,gate,shortcut,pointwise,dots,recompute,inplace,slices" };
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        setenv("TIMM_WITHOUT", passes[i], 1);
        check("data/golden.jsonl.xz", 6e5, 8, "");
    }
    unsetenv("TIMM_WITHOUT");
}
TEST(models_compute_as_timm_by_definitions) { check("data/golden.jsonl.xz", 6e5, 8, "--backend ref"); }
TEST(models_of_other_sizes_channels_and_classes_compute_as_timm) { check("data/golden-variants.jsonl.xz", 12e6, 20, ""); }
TEST(models_of_other_arguments_compute_as_timm) { check("data/golden-kwargs.jsonl.xz", 30e6, 7, ""); }
