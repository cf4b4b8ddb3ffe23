/* fuzz_config.c - any text as the file of `timm train --config`, and what it says as the options of a trainer. */
#include <stdlib.h>
#define atexit(function) ((void)0)              /* what is kept until the end of the program is let go after each input */
#include "../../cli/train_cli.c"
#undef atexit
#include "api/trainer.h"
#include "scratch.h"

static const char *text;
static bool flag;
static int64_t number;
static double real;
static const option own[] = {
    { "--model", 'm', OPT_TEXT, &text, "M", "a text", 0, 0 },
    { "--pretrained", 0, OPT_FLAG, &flag, NULL, "a flag", 0, 0 },
    { "--img-size", 0, OPT_INT, &number, "N", "a number", 1, 65535 },
    { "--drop", 0, OPT_DOUBLE, &real, "P", "a part", 0, 1 },
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static timm_ctx *ctx;
    static timm_model *model;
    if (!ctx) {
        ctx = timm_open(&(timm_open_opts){ .threads = 1, .backend = "cpu" });
        model = timm_create(ctx, "test_convnext", &(timm_model_opts){ .classes = 3 });
        demand(model && (stderr = fopen("/dev/null", "w")));
    }
    scratch_write("config.yaml", (input){ bytes, size });
    train_cli *t = train_cli_new(own, sizeof own / sizeof *own);
    int code = train_cli_config(t, scratch_path("config.yaml"), own, sizeof own / sizeof *own);
    demand(code == EXIT_OK || code == EXIT_USAGE);
    demand(number >= 0 && number <= 65535 && real >= 0 && real <= 1);
    if (code == EXIT_OK) {
        timm_trainer *trainer = timm_trainer_open(model);
        train_cli_apply(t, trainer, NULL);
        demand(trainer);
        if (timm_ctx_status(ctx) == TIMM_OK)
            demand(trainer_start(trainer) == (timm_ctx_status(ctx) == TIMM_OK));
        timm_trainer_close(trainer);
        timm_clear(ctx);
    }
    free_kept();
    return 0;
}
