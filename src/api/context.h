/* context.h - what a context owns. */
#ifndef API_CONTEXT_H
#define API_CONTEXT_H
#include "backend/backend.h"
#include "base/arena.h"
#include "base/status.h"
#include "base/threads.h"
#include "timm/timm.h"

struct timm_ctx {
    status st;
    arena mem;                              /* lists and strings handed to the user */
    pool *threads;                          /* made when first needed: lists start no thread */
    int want_threads, verbose;
    const char *backend;                    /* a name of context.c's list */
    uint64_t seed;
    unsigned without;                       /* bits of plan_pass */
    timm_tuning tuning;
    const char *tune_file, *own_tune_file;  /* once tune is open, the path, NULL without a place for it; the same if nobody gave it */
    struct tune *tune;                      /* read when first needed */
    void (*note)(void *user, const char *text);
    void *user;
    timm_model *models;                     /* a list through timm_model.next */
};

/* A sentence for the user that is no failure. */
void ctx_note(timm_ctx *ctx, const char *fmt, ...) PRINTF_LIKE(2, 3);
pool *ctx_pool(timm_ctx *ctx);
const tg_backend *const *ctx_backends(timm_ctx *ctx);       /* opened when first needed: lists load no library */

/* Choices of kernels by measurement, as far as they are wanted, read from their file; NULL: by rule. */
struct tune *ctx_tune(timm_ctx *ctx);
/* Writes what was measured since, with a note. */
void ctx_tune_keep(timm_ctx *ctx);

#endif
