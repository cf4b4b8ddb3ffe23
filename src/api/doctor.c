/* doctor.c - what this machine and this build offer, in lines and as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <nettle/version.h>
#include <zlib.h>
#include "api/context.h"
#include "base/cpu.h"
#include "io/hub.h"
#include "io/image.h"
#include "io/json.h"
#include "plan/plan.h"
#include "zoo/zoo.h"

int timm_threads(timm_ctx *ctx) { return ctx ? pool_threads(ctx_pool(ctx)) : 0; }

timm_status timm_measure_peak(timm_ctx *ctx, const char *precision, double *gflops, double *gb_per_second)
{
    tg_precision p;
    *gflops = *gb_per_second = 0;
    if (!ctx)
        return TIMM_BAD_ARG;
    if (status_ok(&ctx->st) && plan_precision(precision, &p, &ctx->st) && !cpu_peak(ctx_pool(ctx), p, gflops, gb_per_second))
        status_fail(&ctx->st, TIMM_NO_MEMORY, "out of memory to measure the machine");
    return ctx->st.code;
}

/* What is told twice: in lines, and as JSON. */
typedef struct library { const char *name, *version; } library;
enum { LIBRARIES = 6, IMAGE_LIBRARIES = 3 };
typedef struct facts {
    const cpu_info *cpu;
    const char *instructions, *extension[3];        /* NULL: it has not */
    const tg_backend *const *backends;              /* NULL-ended */
    library library[LIBRARIES];                     /* those of images first */
    char nettle[24], weights[4096];
    status looked;                                  /* for weights */
    size_t ops, families, models;
} facts;

static void find_facts(timm_ctx *ctx, facts *t)
{
    static const char *const isa[] = { "plain", "AVX2", "AVX-512" };
    static const tg_backend *const none[] = { NULL };
    const cpu_info *c = cpu();
    *t = (facts){ .cpu = c, .instructions = isa[c->isa],
                  .extension = { c->vnni ? "VNNI" : NULL, c->bf16 ? "BF16" : NULL, c->amx ? "AMX" : NULL },
                  .backends = ctx->backend ? ctx_backends(ctx) : none };
    snprintf(t->nettle, sizeof t->nettle, "%d.%d", nettle_version_major(), nettle_version_minor());
    const library libraries[LIBRARIES] = {
        { "libjpeg-turbo", image_jpeg_version() }, { "libpng", image_png_version() },
        { "libwebp", image_webp_version() }, { "zlib", zlibVersion() }, { "jansson", JANSSON_VERSION },
        { "nettle", t->nettle },
    };
    memcpy(t->library, libraries, sizeof libraries);
    hub_cache(t->weights, sizeof t->weights, &t->looked);
    tg_ops(&t->ops);
    const timm_family *const *f = zoo_families(&t->families);
    for (size_t i = 0; i < t->families; i++)
        t->models += f[i]->count;
}

static void print_libraries(FILE *out, const char *head, const library *l, int n)
{
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%s %s", i ? ", " : head, l[i].name, l[i].version);
    fputc('\n', out);
}

static void print_facts(FILE *out, timm_ctx *ctx, const facts *t)
{
    fprintf(out, "libtimm          %s\nprocessor        %s\n", timm_version(), t->cpu->name);
    fprintf(out, "instruction set  %s", t->instructions);
    for (int i = 0; i < 3; i++)
        fprintf(out, "%s%s", t->extension[i] ? ", " : "", t->extension[i] ? t->extension[i] : "");
    fprintf(out, "\nbf16 products    %s\n", cpu_bf16());
    fprintf(out, "cache of a core  %zu kB data, %zu kB second level\n", t->cpu->l1 >> 10, t->cpu->l2 >> 10);
    fprintf(out, "threads          %d\n", timm_threads(ctx));
    for (const tg_backend *const *b = t->backends; *b; b++) {
        fprintf(out, "backend          %-8s %zu kernels", (*b)->name, (*b)->count);
        if ((*b)->library)
            fprintf(out, ", %s %s", (*b)->library, (*b)->version());
        fputc('\n', out);
    }
    print_libraries(out, "images           ", t->library, IMAGE_LIBRARIES);
    print_libraries(out, "other libraries  ", t->library + IMAGE_LIBRARIES, LIBRARIES - IMAGE_LIBRARIES);
    fprintf(out, "ops              %zu\nfamilies         %zu, %zu architectures\n", t->ops, t->families, t->models);
    fprintf(out, "weights          %s\n", status_ok(&t->looked) ? t->weights : t->looked.text);
}

const char *timm_doctor(timm_ctx *ctx)
{
    char *text = NULL;
    size_t size = 0;
    facts t;
    FILE *out = ctx ? open_memstream(&text, &size) : NULL;
    if (!out)
        return "";
    find_facts(ctx, &t);
    print_facts(out, ctx, &t);
    fclose(out);
    const char *kept = text ? arena_strdup(&ctx->mem, text) : NULL;
    free(text);
    return kept ? kept : "";
}

static void write_text(json_writer *w, const char *key, const char *text)
{
    jw_key(w, key);
    jw_string(w, text);
}

static void write_number(json_writer *w, const char *key, size_t n)
{
    jw_key(w, key);
    jw_int(w, (int64_t)n);
}

static void write_processor(json_writer *w, const facts *t)
{
    write_text(w, "processor", t->cpu->name);
    write_text(w, "instruction_set", t->instructions);
    jw_key(w, "extensions");
    jw_begin_array(w);
    for (int i = 0; i < 3; i++)
        if (t->extension[i])
            jw_string(w, t->extension[i]);
    jw_end_array(w);
    write_text(w, "bf16_products", cpu_bf16());
    jw_key(w, "cache_of_a_core");
    jw_begin_object(w);
    write_number(w, "data", t->cpu->l1);
    write_number(w, "second_level", t->cpu->l2);
    jw_end_object(w);
}

static void write_backends(json_writer *w, const facts *t)
{
    jw_key(w, "backends");
    jw_begin_array(w);
    for (const tg_backend *const *b = t->backends; *b; b++) {
        jw_begin_object(w);
        write_text(w, "name", (*b)->name);
        write_number(w, "kernels", (*b)->count);
        write_text(w, "library", (*b)->library);
        jw_end_object(w);
    }
    jw_end_array(w);
    jw_key(w, "libraries");
    jw_begin_object(w);
    for (int i = 0; i < LIBRARIES; i++)
        write_text(w, t->library[i].name, t->library[i].version);
    for (const tg_backend *const *b = t->backends; *b; b++)
        if ((*b)->library)
            write_text(w, (*b)->library, (*b)->version());
    jw_end_object(w);
}

const char *timm_doctor_json(timm_ctx *ctx)
{
    json_writer w = { 0 };
    facts t;
    if (!ctx)
        return "";
    find_facts(ctx, &t);
    jw_begin_object(&w);
    write_text(&w, "libtimm", timm_version());
    write_processor(&w, &t);
    write_number(&w, "threads", (size_t)timm_threads(ctx));
    write_backends(&w, &t);
    write_number(&w, "ops", t.ops);
    write_number(&w, "families", t.families);
    write_number(&w, "architectures", t.models);
    write_text(&w, "weights", status_ok(&t.looked) ? t.weights : NULL);
    jw_end_object(&w);
    char *text = jw_finish(&w, NULL);
    const char *kept = text ? arena_strdup(&ctx->mem, text) : NULL;
    free(text);
    return kept ? kept : "";
}
