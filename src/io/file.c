/* file.c - whole files. */
#include "io/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- reading --------------------------------------------------------------------------------------------------------- */

/* Sizes are only a hint: pipes have none, and a file may grow. */
static uint8_t *read_stream(FILE *f, size_t hint, const char *path, size_t *size, status *st)
{
    size_t room = hint + 2, n = 0;
    uint8_t *bytes = malloc(room);
    while (bytes) {
        n += fread(bytes + n, 1, room - 1 - n, f);
        if (n < room - 1)
            break;
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

/* -- writing --------------------------------------------------------------------------------------------------------- */

struct file_out { FILE *stream; char *path, *temporary; };

static void release(file_out *file)
{
    free(file->path);
    free(file->temporary);
    free(file);
}

/* mkstemp's file is private; the mode becomes that of any new file. */
static FILE *open_temporary(char *name)
{
    int fd = mkstemp(name);
    if (fd < 0)
        return NULL;
    mode_t mask = umask(0);
    umask(mask);
    FILE *f = fchmod(fd, 0666 & ~mask) ? NULL : fdopen(fd, "wb");
    if (!f) {
        int e = errno;
        close(fd);
        unlink(name);
        errno = e;
    }
    return f;
}

file_out *file_create(const char *path, status *st)
{
    if (!status_ok(st))
        return NULL;
    size_t n = strlen(path);
    file_out *file = calloc(1, sizeof *file);
    if (file) {
        file->path = strdup(path);
        file->temporary = malloc(n + sizeof ".XXXXXX");
    }
    if (!file || !file->path || !file->temporary) {
        status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", path);
        if (file)
            release(file);
        return NULL;
    }
    memcpy(file->temporary, path, n);
    memcpy(file->temporary + n, ".XXXXXX", sizeof ".XXXXXX");
    file->stream = open_temporary(file->temporary);
    if (!file->stream) {
        status_errno(st, path, "create");
        release(file);
        return NULL;
    }
    return file;
}

FILE *file_stream(file_out *file) { return file->stream; }

bool file_close(file_out *file, status *st)
{
    bool written = !ferror(file->stream);
    if (fclose(file->stream) || !written)
        status_errno(st, file->path, "write");
    else if (status_ok(st) && rename(file->temporary, file->path))
        status_errno(st, file->path, "write");
    if (!status_ok(st))
        unlink(file->temporary);
    release(file);
    return status_ok(st);
}
