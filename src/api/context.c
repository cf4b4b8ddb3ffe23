/* context.c - opening, closing, and the first thing that went wrong. */
#include "api/context.h"
#include "base/cpu.h"
#include "io/atomic_file.h"
#include "plan/plan.h"
#include "plan/tune.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name as a string that stays, or NULL. */
static const char *known_backend(const char *name)
{
    static const char *const names[] = { "auto", "onednn", "cpu", "ref" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return names[i];
    return NULL;
}

timm_ctx *timm_open(const timm_open_opts *opts)
{
    const timm_open_opts o = opts ? *opts : (timm_open_opts){ 0 };
    timm_ctx *ctx = calloc(1, sizeof *ctx);
    if (!ctx)
        return NULL;
    cpu();                      /* reads the environment, which oneDNN's opening writes to while loaders' threads run already */
    ctx->want_threads = o.threads;
    ctx->verbose = o.verbose;
    ctx->seed = o.seed ? o.seed : 42;
    ctx->note = o.note;
    ctx->user = o.user;
    ctx->tuning = o.tuning;
    ctx->tune_file = o.tune_file ? arena_strdup(&ctx->mem, o.tune_file) : NULL;
    ctx->backend = known_backend(o.backend ? o.backend : "auto");
    plan_without(o.without, &ctx->without, &ctx->st);
    if (o.threads < 0 || o.threads > 1024)
        status_fail(&ctx->st, TIMM_BAD_ARG, "threads is %d; it must lie in 0 (one per core) .. 1024", o.threads);
    if (!ctx->backend)
        status_fail(&ctx->st, TIMM_BAD_ARG, "no backend is called '%s'; there are auto, onednn, cpu, ref", o.backend);
    return ctx;
}

int timm_close(timm_ctx *ctx)
{
    if (!ctx)
        return 1;
    while (ctx->models)
        timm_free(ctx->models);
    int failed = ctx->st.code != TIMM_OK;
    pool_close(ctx->threads);
    tune_close(ctx->tune);
    arena_free(&ctx->mem);
    free(ctx);
    return failed;
}

timm_status timm_ctx_status(const timm_ctx *ctx) { return ctx ? ctx->st.code : TIMM_NO_MEMORY; }
const char *timm_message(const timm_ctx *ctx) { return ctx ? ctx->st.text : "out of memory for a context"; }

void timm_clear(timm_ctx *ctx)
{
    if (ctx)
        ctx->st = (status){ 0 };
}

timm_status timm_write_file(timm_ctx *ctx, const char *path, const void *bytes, size_t size)
{
    if (!ctx || !path || (!bytes && size))
        return TIMM_BAD_ARG;
    if (status_ok(&ctx->st))
        atomic_write_file(path, bytes, size, &ctx->st);
    return ctx->st.code;
}

const char *timm_status_text(timm_status code)
{
    static const char *const text[] = {
#define TEXT(name, sentence) sentence,
        TIMM_STATUSES(TEXT)
#undef TEXT
    };
    return code >= 0 && code < TIMM_STATUS_COUNT ? text[code] : "no such status";
}

const char *timm_version(void) { return TIMM_VERSION; }

void ctx_note(timm_ctx *ctx, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (ctx->note)
        ctx->note(ctx->user, text);
    else if (ctx->verbose > 0)
        fprintf(stderr, "timm: %s\n", text);
}

pool *ctx_pool(timm_ctx *ctx)
{
    if (!ctx->threads)
        ctx->threads = pool_open(ctx->want_threads);
    return ctx->threads;
}

const tg_backend *const *ctx_backends(timm_ctx *ctx) { return tg_backends(ctx->backend); }

int64_t timm_numel(const timm_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; t && i < t->rank; i++)
        n *= t->dim[i];
    return t ? n : 0;
}
