/* atomic_file.c - temporary, fsync, rename, fsync of the folder. */
#include "atomic_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 64 << 10 };

struct atomic_file {
    char *path;                       /* as the caller calls it, for messages */
    char *target, *folder, *temp;     /* links followed; temp is NULL when the target is written directly */
    int fd;
    size_t used;                      /* of buffer */
    char buffer[BUFFER];
};

static void discard(atomic_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->temp)
        unlink(f->temp);
    free(f->path);
    free(f->target);
    free(f->folder);
    free(f->temp);
    free(f);
}

/* The name is short, so that it fits wherever the target's does; a leftover of a killed process is stepped over. */
static bool open_temp(atomic_file *f, status *st)
{
    static atomic_uint counter;
    size_t room = strlen(f->folder) + 64;
    f->temp = malloc(room);
    if (!f->temp)
        return status_errno(st, f->path, "write");
    do {
        snprintf(f->temp, room, "%s.timm-%ld-%u.tmp", f->folder, (long)getpid(), atomic_fetch_add(&counter, 1));
        f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (f->fd < 0 && (errno == EEXIST || errno == EINTR));
    if (f->fd >= 0)
        return true;
    status_errno(st, f->path, "create a temporary file beside it");
    free(f->temp);
    f->temp = NULL;                   /* not ours to remove */
    return false;
}

static bool open_target(atomic_file *f, status *st)
{
    struct stat info;
    bool exists = stat(f->path, &info) == 0;
    if (!exists && errno != ENOENT)
        return status_errno(st, f->path, "write");
    if (exists && S_ISDIR(info.st_mode))
        return status_fail(st, TIMM_IO, "%s: cannot write: it is a folder", f->path);
    if (exists && !S_ISREG(info.st_mode)) {
        do
            f->fd = open(f->path, O_WRONLY | O_CLOEXEC);
        while (f->fd < 0 && errno == EINTR);
        return f->fd >= 0 || status_errno(st, f->path, "write");
    }
    f->target = exists ? realpath(f->path, NULL) : strdup(f->path);
    f->folder = f->target ? strdup(f->target) : NULL;
    if (!f->folder)
        return status_errno(st, f->path, "write");
    char *slash = strrchr(f->folder, '/');
    *(slash ? slash + 1 : f->folder) = 0;                    /* "" or ends in '/' */
    if (!open_temp(f, st))
        return false;
    if (exists && fchmod(f->fd, info.st_mode & 0777))        /* the new file is as private as the old one */
        return status_errno(st, f->path, "set the permissions");
    return true;
}

atomic_file *atomic_open(const char *path, status *st)
{
    if (!status_ok(st))
        return NULL;
    atomic_file *f = malloc(sizeof *f);
    char *copy = strdup(path);
    if (!f || !copy) {
        status_errno(st, path, "write");
        free(f);
        free(copy);
        return NULL;
    }
    f->path = copy;
    f->target = f->folder = f->temp = NULL;
    f->fd = -1;
    f->used = 0;
    if (open_target(f, st))
        return f;
    discard(f);
    return NULL;
}

static bool write_all(atomic_file *f, const char *p, size_t count, status *st)
{
    while (count) {
        ssize_t n = write(f->fd, p, count < 1u << 30 ? count : 1u << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return status_errno(st, f->path, "write");
        p += n;
        count -= (size_t)n;
    }
    return true;
}

static bool flush(atomic_file *f, status *st)
{
    size_t n = f->used;
    f->used = 0;
    return write_all(f, f->buffer, n, st);
}

bool atomic_write(atomic_file *f, const void *bytes, size_t count, status *st)
{
    if (!f || !status_ok(st))
        return false;
    if (count > BUFFER - f->used && !flush(f, st))
        return false;
    if (count > BUFFER)
        return write_all(f, bytes, count, st);
    if (count)
        memcpy(f->buffer + f->used, bytes, count);
    f->used += count;
    return true;
}

static int sync_retrying(int fd)
{
    int r;
    do
        r = fsync(fd);
    while (r && errno == EINTR);
    return r;
}

/* The rename itself must reach the disk.  Filesystems that cannot sync a folder say EINVAL. */
static bool sync_folder(const atomic_file *f, status *st)
{
    int fd = open(*f->folder ? f->folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES || status_errno(st, f->path, "sync the folder of");   /* may be written, not read */
    bool ok = sync_retrying(fd) == 0 || errno == EINVAL || status_errno(st, f->path, "sync the folder of");
    close(fd);
    return ok;
}

static bool finish(atomic_file *f, status *st)
{
    if (!status_ok(st) || !flush(f, st))
        return false;
    if (f->temp && sync_retrying(f->fd))
        return status_errno(st, f->path, "sync");
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) && errno != EINTR)                         /* Linux has closed it all the same */
        return status_errno(st, f->path, "close");
    if (!f->temp)
        return true;
    if (rename(f->temp, f->target))
        return status_errno(st, f->path, "put the new file in place of");
    free(f->temp);
    f->temp = NULL;
    return sync_folder(f, st);
}

bool atomic_commit(atomic_file *f, status *st)
{
    if (!f)
        return false;
    bool ok = finish(f, st);
    discard(f);
    return ok;
}

bool atomic_write_file(const char *path, const void *bytes, size_t count, status *st)
{
    atomic_file *f = atomic_open(path, st);
    atomic_write(f, bytes, count, st);
    return atomic_commit(f, st);
}
