/* tuned.c - the file of measured choices: $XDG_CACHE_HOME/timm/kernels-MACHINE.txt, or ~/.cache/timm.
 *
 * It is a cache: what cannot be read, or is another machine's, is as good as none, and what cannot be written is lost with a note.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "api/context.h"
#include "base/cpu.h"
#include "io/atomic_file.h"
#include "io/file.h"
#include "plan/tune.h"

/* All that a measurement depends on but the call itself. */
static void machine_text(timm_ctx *ctx, char *text, size_t size)
{
    static const char *const isa[] = { "plain", "AVX2", "AVX-512" };
    const tg_backend *const *b = ctx_backends(ctx);
    size_t at = (size_t)snprintf(text, size, "%s, %s, bf16 %s, %zu kB, kernels 17, libtimm %s", cpu()->name, isa[cpu()->isa], cpu_bf16(),
                                 cpu()->l2 >> 10, timm_version());
    for (int i = 0; b[i] && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, ", %s %s%s%s", b[i]->name, b[i]->library ? b[i]->library : "",
                               b[i]->library ? " " : "", b[i]->library ? b[i]->version() : "");
}

/* False: there is no place for it. */
static bool default_path(const char *machine, char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    unsigned h = 0;
    for (const char *c = machine; *c; c++)
        h = h * 31 + (unsigned char)*c;
    bool own = !cache || !*cache;
    if (own && (!home || !*home))
        return false;
    return (size_t)snprintf(path, size, "%s%s/timm/kernels-%08x.txt", own ? home : cache, own ? "/.cache" : "", h) < size;
}

/* The two folders of a default path, where they are missing. */
static void make_folders(const char *path)
{
    char part[4096];
    const char *file = strrchr(path, '/'), *parent = file;
    while (parent > path && *--parent != '/')
        continue;
    for (int i = 0; i < 2; i++) {
        const char *end = i ? file : parent;
        snprintf(part, sizeof part, "%.*s", (int)(end - path), path);
        mkdir(part, 0777);                                /* a failure is one of the file that comes after */
    }
}

static void read_file(tune *t, const char *path)
{
    status st = { 0 };
    struct stat file;
    size_t size = 0;
    if (stat(path, &file) || !S_ISREG(file.st_mode) || file.st_size > 64 << 20)
        return;
    char *text = (char *)file_read(path, &size, &st);
    if (text)
        tune_parse(t, text, size);
    free(text);
}

/* Nothing is there yet, or a file that may be written over: a plain one of the cache, or whatever it is, one of kernels. */
static bool is_ours(const char *path, status *st)
{
    struct stat link, file;
    char begin[sizeof TUNE_TITLE] = "";
    if (lstat(path, &link) || stat(path, &file))
        return true;                                      /* or writing it says what is wrong */
    if (S_ISREG(link.st_mode))
        return true;
    FILE *f = S_ISREG(file.st_mode) ? fopen(path, "r") : NULL;
    size_t n = f ? fread(begin, 1, strlen(TUNE_TITLE), f) : 0;
    if (f)
        fclose(f);
    return (n && !strcmp(begin, TUNE_TITLE)) || status_fail(st, TIMM_BAD_FILE, "%s is something else", path);
}

tune *ctx_tune(timm_ctx *ctx)
{
    char machine[512], path[4096];
    if (ctx->tune || ctx->tuning == TIMM_TUNE_NEVER || !ctx->backend)
        return ctx->tune;
    machine_text(ctx, machine, sizeof machine);
    ctx->tune = tune_open(machine, ctx->tuning == TIMM_TUNE_MEASURE);
    if (!ctx->tune_file && default_path(machine, path, sizeof path))
        ctx->tune_file = ctx->own_tune_file = arena_strdup(&ctx->mem, path);
    if (ctx->tune && ctx->tune_file)
        read_file(ctx->tune, ctx->tune_file);
    return ctx->tune;
}

void ctx_tune_keep(timm_ctx *ctx)
{
    double seconds;
    int n = ctx->tune ? tune_measured(ctx->tune, &seconds) : 0;
    if (!n)
        return;
    status st = { 0 };
    size_t size = 0;
    if (ctx->tune_file)
        read_file(ctx->tune, ctx->tune_file);             /* what others have found since */
    if (ctx->own_tune_file)
        make_folders(ctx->own_tune_file);
    char *text = tune_text(ctx->tune, &size);
    bool kept = text && ctx->tune_file && is_ours(ctx->tune_file, &st) && atomic_write_file(ctx->tune_file, text, size, &st);
    free(text);
    if (kept)
        ctx_note(ctx, "measured %d choices of kernels in %.2f s; they are kept in %s", n, seconds, ctx->tune_file);
    else
        ctx_note(ctx, "measured %d choices of kernels in %.2f s; they are not kept: %s", n, seconds,
                 st.text[0] ? st.text : "there is no folder for them");
}
