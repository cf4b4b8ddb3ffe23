/* cmd_graph.c - timm graph: the network as nodes, or as the kernel calls of a run. */
#include <stdlib.h>
#include "cli.h"

static struct { int64_t batch, size; bool plan; const char *precision, *backend; } o;

static const option options[] = {
    { "--plan", 0, OPT_FLAG, &o.plan, NULL, "after all passes: kernel calls with their place in memory", 0, 0 },
    { "--batch", 'b', OPT_INT, &o.batch, "N", "images a run (1)", 1, 4096 },
    { "--input-size", 0, OPT_INT, &o.size, "N", "height and width of the image (the model's own)", 1, 1 << 14 },
    { "--precision", 0, OPT_TEXT, &o.precision, "P", CLI_PRECISIONS, 0, 0 },
    { "--backend", 0, OPT_TEXT, &o.backend, "B", "auto, onednn, cpu, ref (auto)", 0, 0 },
    { 0 }
};

static int run(int argc, char **argv)
{
    text_list models = { 0 };
    int code;
    o.batch = 1;
    if (!cli_options(&cmd_graph, options, argc, argv, &models, &code))
        return cli_finish(&cmd_graph, code);
    if (models.count != 1)
        return cli_usage(&cmd_graph, "one model");
    timm_ctx *ctx = cli_open(0, o.backend, 1, TIMM_TUNE_KNOWN);
    timm_model *m = timm_create(ctx, models.text[0], &(timm_model_opts){ .img_size = { o.size, o.size }, .precision = o.precision });
    if (m)
        fputs(timm_graph_text(m, o.batch, o.plan), stdout);
    return cli_close(&cmd_graph, ctx, NULL);
}

const command cmd_graph = {
    "graph", "a network's nodes or kernel calls", "MODEL [options]",
    "Prints one line a node: number, op, shape, operands, attributes, layer; with --plan one line a kernel\n"
    "call, and how many images of a large batch each stretch of layers runs at a time.",
    "  $ timm graph resnet18\n"
    "  $ timm graph mobilenetv3_large_100 --plan\n"
    "  $ timm graph resnet50 --plan -b 16 --precision bf16\n",
    run,
};
