/* status.h - how a function below the API says that something went wrong.
 *
 * A function that can fail takes a `status *st` last, and returns NULL, false or a poisoned value.  The first failure
 * sticks; a function given a status that has already failed does nothing.  Nothing here ever ends the process.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "timm/timm.h"          /* timm_status, the codes; declarations only */

#if defined(__GNUC__) || defined(__clang__)
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#else
#define PRINTF_LIKE(f, a)
#endif

typedef struct status {
    timm_status code;           /* TIMM_OK until something fails */
    char text[2048];            /* one sentence (lists of tensors: several lines): what, where, what disagrees */
} status;

/* Records the failure unless one is recorded already; returns false, so that `return status_fail(...)` reads well. */
bool status_fail(status *st, timm_status code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same for errno: "FILE: cannot VERB: No space left on device". */
bool status_errno(status *st, const char *path, const char *verb);
static inline bool status_ok(const status *st) { return st->code == TIMM_OK; }

#endif
