/* file.c - whole files, read. */
#include "io/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MOST = 1 << 30 };

/* Sizes are only a hint: pipes have none, a file may grow, and some devices never end. */
static uint8_t *read_stream(FILE *f, size_t hint, const char *path, size_t *size, status *st)
{
    size_t room = hint + 2, n = 0;
    uint8_t *bytes = malloc(room);
    while (bytes) {
        n += fread(bytes + n, 1, room - 1 - n, f);
        if (n < room - 1)
            break;
        if (n >= (hint > MOST ? hint : MOST) + 1) {
            status_fail(st, TIMM_BAD_FILE, "%s: more than %zu bytes, and no end", path, n - 1);
            free(bytes);
            return NULL;
        }
        uint8_t *more = room < SIZE_MAX / 2 ? realloc(bytes, room *= 2) : NULL;
        if (!more)
            free(bytes);
        bytes = more;
    }
    if (!bytes) {
        status_fail(st, TIMM_NO_MEMORY, "%s: no memory for more than %zu bytes", path, n);
        return NULL;
    }
    if (ferror(f)) {
        status_errno(st, path, "read");
        free(bytes);
        return NULL;
    }
    bytes[n] = 0;
    *size = n;
    return bytes;
}

uint8_t *file_read(const char *path, size_t *size, status *st)
{
    *size = 0;
    if (!status_ok(st))
        return NULL;
    FILE *f = fopen(path, "rb");
    if (!f) {
        if (errno == ENOENT || errno == ENOTDIR)
            status_fail(st, TIMM_NOT_FOUND, "%s: no such file", path);
        else
            status_errno(st, path, "open");
        return NULL;
    }
    struct stat about;
    bool known = !fstat(fileno(f), &about) && S_ISREG(about.st_mode) && about.st_size > 0;
    uint8_t *bytes = read_stream(f, known ? (size_t)about.st_size : 65536, path, size, st);
    fclose(f);
    return bytes;
}
