/* cmd_doctor.c - timm doctor: what this machine and this build offer. */
#include "cli.h"

static struct { bool json; } o;

static const option options[] = {
    { "--json", 0, OPT_FLAG, &o.json, NULL, "one JSON object, sizes in bytes", 0, 0 },
    { 0 }
};

static int run(int argc, char **argv)
{
    text_list words = { 0 };
    int code;
    if (!cli_options(&cmd_doctor, options, argc, argv, &words, &code))
        return cli_finish(&cmd_doctor, code);
    code = words.count ? cli_usage(&cmd_doctor, "doctor takes no operands") : EXIT_OK;
    if (code)
        return code;
    timm_ctx *ctx = cli_open(0, NULL, 1, TIMM_TUNE_NEVER);
    if (o.json)
        puts(timm_doctor_json(ctx));
    else
        fputs(timm_doctor(ctx), stdout);
    return cli_close(&cmd_doctor, ctx, NULL);
}

const command cmd_doctor = {
    "doctor", "what this machine and this build offer", "[--json]",
    "Tells the version, the processor's features, threads, kernels, libraries, and where weights are looked for.",
    "  $ timm doctor\n"
    "  $ timm doctor --json\n",
    run,
};
