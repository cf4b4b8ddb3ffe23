/* main.c - timm COMMAND: finds the command, and what all commands share at their end. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "cli.h"

static const command *const commands[] = {
    &cmd_list, &cmd_info, &cmd_infer, &cmd_fingerprint, &cmd_image, &cmd_benchmark, &cmd_graph, &cmd_train, &cmd_validate, &cmd_doctor,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(FILE *f)
{
    fputs("timm - PyTorch Image Models without Python\n\nUsage: timm COMMAND [options]\n\ntimm's networks under their own names, with timm's published weights: classes, features, figures.\n\nCommands:\n", f);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n'timm COMMAND --help' tells a command's options and examples; 'timm --version' the version.\n\n"
          "Examples:\n"
          "  $ timm list '*resnet*'\n"
          "  $ timm infer cat.jpg --model tf_efficientnet_lite0 --checkpoint lite0.safetensors\n", f);
}

static void note(void *user, const char *text)
{
    (void)user;
    fprintf(stderr, "timm: %s\n", text);
}

timm_ctx *cli_open(int64_t threads, const char *backend, int verbose, timm_tuning tuning)
{
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = (int)threads, .backend = backend, .verbose = verbose, .note = note,
                                               .without = getenv("TIMM_WITHOUT"), .tuning = tuning });
    if (!ctx) {
        fputs("timm: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    return ctx;
}

timm_tuning cli_tuning(bool measure, bool never) { return never ? TIMM_TUNE_NEVER : measure ? TIMM_TUNE_MEASURE : TIMM_TUNE_KNOWN; }

int cli_finish(const command *c, int code)
{
    if (!fflush(stdout) && !ferror(stdout))
        return code;
    if (errno != EPIPE)
        fprintf(stderr, "timm%s%s: cannot write to standard output: %s\n", c ? " " : "", c ? c->name : "", strerror(errno));
    return code ? code : EXIT_FAILED;
}

void cli_tell(const command *c, timm_ctx *ctx, const char *about)
{
    const char *text = timm_message(ctx);
    bool named = !about || strstr(text, about);
    if (timm_ctx_status(ctx) != TIMM_OK)
        fprintf(stderr, "timm %s: %s%s%s\n", c->name, named ? "" : about, named ? "" : ": ", text);
}

int cli_close(const command *c, timm_ctx *ctx, const char *about)
{
    timm_status code = timm_ctx_status(ctx);
    cli_tell(c, ctx, about);
    timm_close(ctx);
    return cli_finish(c, code == TIMM_OK ? EXIT_OK : code == TIMM_BAD_ARG ? EXIT_USAGE : EXIT_FAILED);
}

json_t *cli_real(double v)
{
    char text[40];
    if (!isfinite(v))
        return json_null();
    snprintf(text, sizeof text, "%.9g", v);
    return json_real(strtod(text, NULL));
}

json_t *cli_text(const char *text)
{
    json_t *value = json_string(text);
    char *safe = value ? NULL : calloc(strlen(text) + 1, 3), *to = safe;
    if (value || !safe)
        return value;
    for (; *text; text++)
        to = *text & 0x80 ? stpcpy(to, "\xEF\xBF\xBD") : (*to = *text, to + 1);
    value = json_string(safe);
    free(safe);
    return value;
}

void cli_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    json_decref(value);
    putchar('\n');
}

static int unknown(const char *word)
{
    const char *best = NULL;
    size_t least = CLI_NEAR;                                             /* names are short: one edit less than for options */
    for (int i = 0; i < COMMANDS; i++)
        if (cli_nearer(word, commands[i]->name, &least))
            best = commands[i]->name;
    fprintf(stderr, "timm: no command is called '%s'%s%s%s\nTry 'timm --help'.\n", word, best ? "; did you mean '" : "",
            best ? best : "", best ? "'?" : "");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);                            /* a file that may not grow is a failed write, which is told */
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    char *of[] = { argv[0], argc == 3 ? argv[2] : NULL, (char[]){ "--help" }, NULL };
    if (!strcmp(argv[1], "help") && argc == 3)
        argv = of;                                                      /* timm help NAME: as many words */
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        help(stdout);
        return cli_finish(NULL, EXIT_OK);
    }
    if (!strcmp(argv[1], "--version")) {
        printf("timm %s\n", timm_version());
        return cli_finish(NULL, EXIT_OK);
    }
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i]->name))
            return commands[i]->run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
