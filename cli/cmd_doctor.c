/* cmd_doctor.c - timm doctor: what this machine and this build offer. */
#include <stdlib.h>
#include "cli.h"

static const option options[] = { { 0 } };

static int run(int argc, char **argv)
{
    text_list words = { 0 };
    int code;
    if (!cli_options(&cmd_doctor, options, argc, argv, &words, &code))
        return cli_finish(&cmd_doctor, code);
    code = words.count ? cli_usage(&cmd_doctor, "doctor takes no operands") : EXIT_OK;
    free(words.text);
    if (code)
        return code;
    timm_ctx *ctx = cli_open(0, NULL, 1);
    fputs(timm_doctor(ctx), stdout);
    return cli_close(&cmd_doctor, ctx);
}

const command cmd_doctor = {
    "doctor", "what this machine and this build offer", "",
    "Tells the version, the processor's features, threads, kernels, libraries, and where weights are looked for.",
    "  $ timm doctor\n", run,
};
