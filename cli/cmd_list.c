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
    if (names && !n && !o.json)
        fputs("timm list: no name matches\n", stderr);
    return cli_close(&cmd_list, ctx, NULL);
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
