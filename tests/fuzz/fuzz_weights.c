/* fuzz_weights.c - a file of weights, changed anywhere, for a model of the same or another head, input and size. */
#include "altered.h"
#include "timm/timm.h"

/* One byte chooses the model, the others are changes. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static timm_ctx *ctx;
    static altered *good;
    input in = { bytes, size };
    if (!ctx) {
        ctx = timm_open(&(timm_open_opts){ .threads = 1, .backend = "cpu" });
        timm_model *m = timm_create(ctx, "test_vit", &(timm_model_opts){ .classes = 3, .img_size = { 64, 64 } });
        demand(timm_save(m, scratch_path("good")) == TIMM_OK);
        good = altered_of(scratch_path("good"));
        timm_free(m);
    }
    unsigned choice = input_byte(&in);
    if (!altered_write(good, &in, scratch_path("altered")))
        return 0;
    int side = choice & 4 ? 96 : 64;
    timm_model_opts o = { .weights = scratch_path("altered"), .classes = choice & 1 ? 3 : 0, .in_chans = choice & 2 ? 1 : 0,
                          .img_size = { side, side }, .strict = choice & 8, .use_ema = choice & 16 };
    timm_model *m = timm_create(ctx, "test_vit", &o);
    demand(!m == (timm_ctx_status(ctx) != TIMM_OK));
    if (m)
        timm_save(m, scratch_path("again"));    /* reads all of it */
    timm_free(m);
    timm_clear(ctx);
    return 0;
}
