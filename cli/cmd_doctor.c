/* cmd_doctor.c - timm doctor: what this machine and this build offer. */
#include <stdlib.h>
#include <string.h>
#include "cli.h"

static struct { bool json; } o;

static const option options[] = {
    { "--json", 0, OPT_FLAG, &o.json, NULL, "one JSON object; what there may be several of is a list", 0, 0 },
    { 0 }
};

/* A number where it is all of one. */
static json_t *value_of(const char *text)
{
    char *end;
    long long n = strtoll(text, &end, 10);
    return *text && !*end ? json_integer(n) : cli_text(text);
}

/* A line is a name, spaces, a value; backends, say, have several lines. */
static json_t *as_json(const char *text)
{
    json_t *r = json_object();
    while (*text) {
        size_t line = strcspn(text, "\n"), name = 0;
        while (name + 1 < line && (text[name] != ' ' || text[name + 1] != ' '))
            name++;
        size_t value = name + strspn(text + name, " ");
        char key[64], rest[512];
        snprintf(key, sizeof key, "%.*s", (int)name, text);
        snprintf(rest, sizeof rest, "%.*s", (int)(line - value), text + value);
        for (char *p = key; *p; p++)
            *p = *p == ' ' ? '_' : *p;
        json_t *old = json_object_get(r, key);
        if (json_is_array(old))
            json_array_append_new(old, value_of(rest));
        else if (!strcmp(key, "backend"))
            json_object_set_new(r, key, json_pack("[o]", cli_text(rest)));
        else
            json_object_set_new(r, key, value_of(rest));
        text += line + (text[line] == '\n');
    }
    return r;
}

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
    const char *text = timm_doctor(ctx);
    if (o.json)
        cli_json(as_json(text));
    else
        fputs(text, stdout);
    return cli_close(&cmd_doctor, ctx, NULL);
}

const command cmd_doctor = {
    "doctor", "what this machine and this build offer", "[--json]",
    "Tells the version, the processor's features, threads, kernels, libraries, and where weights are looked for.",
    "  $ timm doctor\n"
    "  $ timm doctor --json\n",
    run,
};
