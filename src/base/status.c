/* status.c - the first failure sticks. */
#include "status.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

bool status_fail(status *st, timm_status code, const char *fmt, ...)
{
    if (st->code != TIMM_OK)
        return false;
    st->code = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(st->text, sizeof st->text, fmt, ap);
    va_end(ap);
    return false;
}

bool status_errno(status *st, const char *path, const char *verb)
{
    int e = errno;
    timm_status code = e == ENOMEM ? TIMM_NO_MEMORY : TIMM_IO;
    return status_fail(st, code, "%s: cannot %s: %s", path, verb, strerror(e));
}
