/* doctor.c - what this machine and this build offer, in lines. */
#include <stdio.h>
#include <stdlib.h>
#include <jansson.h>
#include <nettle/version.h>
#include <zlib.h>
#include "api/context.h"
#include "base/cpu.h"
#include "io/hub.h"
#include "io/image.h"
#include "zoo/zoo.h"

int timm_threads(timm_ctx *ctx) { return ctx ? pool_threads(ctx_pool(ctx)) : 0; }

timm_status timm_measure_peak(timm_ctx *ctx, double *gflops, double *gb_per_second)
{
    *gflops = *gb_per_second = 0;
    if (!ctx)
        return TIMM_BAD_ARG;
    if (status_ok(&ctx->st) && !cpu_peak(ctx_pool(ctx), gflops, gb_per_second))
        status_fail(&ctx->st, TIMM_NO_MEMORY, "out of memory to measure the machine");
    return ctx->st.code;
}

const char *timm_doctor(timm_ctx *ctx)
{
    static const char *const isa[] = { "plain", "AVX2", "AVX-512" };
    const cpu_info *c = cpu();
    size_t ops, families, models = 0;
    if (!ctx)
        return "";
    tg_ops(&ops);
    const timm_family *const *f = zoo_families(&families);
    for (size_t i = 0; i < families; i++)
        models += f[i]->count;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return "";
    fprintf(out, "libtimm          %s\nprocessor        %s\n", timm_version(), c->name);
    fprintf(out, "instruction set  %s%s%s%s\n", isa[c->isa], c->vnni ? ", VNNI" : "", c->bf16 ? ", BF16" : "", c->amx ? ", AMX" : "");
    fprintf(out, "bf16 products    %s\n", cpu_bf16());
    fprintf(out, "cache of a core  %zu kB data, %zu kB second level\n", c->l1 >> 10, c->l2 >> 10);
    fprintf(out, "threads          %d\n", timm_threads(ctx));
    const tg_backend *const *b = ctx->backend ? ctx_backends(ctx) : NULL;
    for (int i = 0; b && b[i]; i++)
        fprintf(out, "backend          %-8s %zu kernels%s%s\n", b[i]->name, b[i]->count, b[i]->library ? ", " : "",
                b[i]->library ? b[i]->library() : "");
    fprintf(out, "images           %s, libpng %s, libwebp %s\n", image_jpeg_version(), image_png_version(), image_webp_version());
    fprintf(out, "other libraries  zlib %s, jansson %s, nettle %d.%d\n", zlibVersion(), JANSSON_VERSION, nettle_version_major(),
            nettle_version_minor());
    fprintf(out, "ops              %zu\nfamilies         %zu, %zu architectures\n", ops, families, models);
    status looked = { 0 };
    char cache[4096];
    fprintf(out, "weights          %s\n", hub_cache(cache, sizeof cache, &looked) ? cache : looked.text);
    fclose(out);
    const char *kept = text ? arena_strdup(&ctx->mem, text) : NULL;
    free(text);
    return kept ? kept : "";
}
