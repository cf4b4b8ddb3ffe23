/* mapped_file.c - open, check, mmap. */
#include "mapped_file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool check_kind(const char *path, const struct stat *info, status *st)
{
    if (S_ISDIR(info->st_mode))
        return status_fail(st, TIMM_IO, "%s: cannot read: it is a folder", path);
    if (!S_ISREG(info->st_mode))
        return status_fail(st, TIMM_IO, "%s: cannot read: it is not a regular file", path);
    if (info->st_size == 0)
        return status_fail(st, TIMM_BAD_FILE, "%s: the file is empty", path);
    if ((uintmax_t)info->st_size > SIZE_MAX / 2)
        return status_fail(st, TIMM_UNSUPPORTED, "%s: %jd bytes are more than this machine can address", path,
                           (intmax_t)info->st_size);
    return true;
}

bool mapped_open(mapped_file *m, const char *path, status *st)
{
    *m = (mapped_file){ 0 };
    if (!status_ok(st))
        return false;
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);      /* O_NONBLOCK: a pipe must not hang us */
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno == ENOENT ? status_fail(st, TIMM_NOT_FOUND, "%s: no such file", path)
                               : status_errno(st, path, "open");
    struct stat info;
    bool ok = fstat(fd, &info) == 0 ? check_kind(path, &info, st) : status_errno(st, path, "read");
    if (ok) {
        void *p = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        ok = p != MAP_FAILED || status_errno(st, path, "map");
        if (ok)
            *m = (mapped_file){ p, (size_t)info.st_size };
    }
    close(fd);
    return ok;
}

void mapped_close(mapped_file *m)
{
    if (m->bytes)
        munmap((void *)m->bytes, m->size);
    *m = (mapped_file){ 0 };
}

void mapped_release(const mapped_file *m, size_t from, size_t count)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!m->bytes || from >= m->size)
        return;
    size_t end = count < m->size - from ? from + count : m->size;
    size_t first = (from + page - 1) / page * page;
    size_t last = end == m->size ? end : end / page * page;      /* the file's last page is whole by itself */
    if (first < last)
        madvise((void *)(m->bytes + first), last - first, MADV_DONTNEED);
}
