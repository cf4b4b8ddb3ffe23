/* cmd_list.c - timm list: names of models, as timm.list_models gives them. */
#include <stdlib.h>
#include <string.h>
#include "cli.h"

static struct { bool pretrained, json, matches_cfg, modules_only, with_tags; text_list exclude, module; } o;

static const option options[] = {
    { "--pretrained", 0, OPT_FLAG, &o.pretrained, NULL, "only names with weights, as arch.tag", 0, 0 },
    { "--exclude", 0, OPT_LIST, &o.exclude, "P", "take these away again (may be repeated)", 0, 0 },
    { "--module", 0, OPT_LIST, &o.module, "M", "only families of this file of timm's: resnet (may be repeated)", 0, 0 },
    { "--include-tags", 0, OPT_FLAG, &o.with_tags, NULL, "arch.tag also for names without weights", 0, 0 },
    { "--name-matches-cfg", 0, OPT_FLAG, &o.matches_cfg, NULL, "only names that have a config", 0, 0 },
    { "--modules", 0, OPT_FLAG, &o.modules_only, NULL, "the families instead of the models", 0, 0 },
    { "--json", 0, OPT_FLAG, &o.json, NULL, "a JSON list", 0, 0 },
    { 0 }
};

/* The name that was meant, perhaps the word itself; NULL: none is near. */
static const char *nearest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t least = CLI_NEAR + 1;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(word, names[i]))
            return names[i];
        if (cli_nearer(word, names[i], &least))
            best = names[i];
    }
    return best;
}

/* Each --module that there is not; how many. */
static size_t tell_unknown(timm_ctx *ctx)
{
    size_t n, unknown = 0;
    const char *const *modules = timm_list_modules(ctx, &n);
    for (size_t i = 0; modules && i < o.module.count; i++) {
        const char *word = o.module.text[i], *best = nearest(word, modules, n);
        if (best && !strcmp(best, word))
            continue;
        fprintf(stderr, "timm list: no module is called '%s'%s%s%s\n", word, best ? "; did you mean '" : "",
                best ? best : "", best ? "'?" : "");
        unknown++;
    }
    return unknown;
}

static int run(int argc, char **argv)
{
    text_list patterns = { 0 };
    int code;
    if (!cli_options(&cmd_list, options, argc, argv, &patterns, &code))
        return cli_finish(&cmd_list, code);
    timm_ctx *ctx = cli_open(1, NULL, 0, TIMM_TUNE_NEVER);
    size_t n = 0;
    timm_list_opts how = { .filters = patterns.count ? patterns.text : NULL, .exclude = o.exclude.count ? o.exclude.text : NULL,
                           .modules = o.module.count ? o.module.text : NULL, .pretrained = o.pretrained,
                           .name_matches_cfg = o.matches_cfg, .include_tags = o.with_tags };
    const char *const *names = o.modules_only ? timm_list_modules(ctx, &n) : timm_list_models(ctx, &how, &n);
    if (o.json) {
        json_t *list = json_array();
        for (size_t i = 0; names && i < n; i++)
            json_array_append_new(list, json_string(names[i]));
        cli_json(list);
    } else {
        for (size_t i = 0; names && i < n; i++)
            puts(names[i]);
    }
    size_t unknown = names ? tell_unknown(ctx) : 0;
    if (names && !n && !unknown && !o.json)
        fputs("timm list: no name matches\n", stderr);
    code = cli_close(&cmd_list, ctx, NULL);
    return unknown && !code ? EXIT_FAILED : code;
}

const command cmd_list = {
    "list", "names of models", "[PATTERN...] [options]",
    "Lists the names that match any of the patterns (* ? [a-z], over the whole name), in timm's order.",
    "  $ timm list\n"
    "  $ timm list '*resnet*' --exclude '*resnetv2*'\n"
    "  $ timm list 'vit_base*' --pretrained\n"
    "  $ timm list --module convnext --json\n",
    run,
};
