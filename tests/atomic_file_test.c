/* atomic_file_test.c - whatever system call fails, the old file stays whole and no temporary is left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "io/atomic_file.h"
#include "io/mapped_file.h"
#include "test.h"

/* -- system calls that fail on demand: these definitions stand before those of the C library ----------------------- */

static struct {
    int skip, fail_with;              /* let so many calls pass, then fail one with this errno; 0: never */
    bool short_writes;                /* take at most 7 bytes at a time, and interrupt every other call */
    int calls, hits;
} fault;

static bool fails(void)
{
    fault.calls++;
    if (!fault.fail_with || fault.skip-- != 0)
        return false;
    fault.hits++;
    errno = fault.fail_with;
    return true;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (fd > 2 && fails())
        return -1;
    if (fd > 2 && fault.short_writes) {
        if (fault.calls % 2) {
            errno = EINTR;
            return -1;
        }
        count = count < 7 ? count : 7;
    }
    return (ssize_t)syscall(SYS_write, fd, bytes, count);
}

int fsync(int fd) { return fails() ? -1 : (int)syscall(SYS_fsync, fd); }
int rename(const char *from, const char *to)
{
    return fails() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* -- helpers ------------------------------------------------------------------------------------------------------- */

static const char *folder(const char *name)
{
    const char *dir = test_temp(name);
    mkdir(dir, 0777);
    return dir;
}

static const char *in(const char *dir, const char *name)
{
    static char path[2][512];
    static int at;
    char *p = path[at++ & 1];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static int entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    if (d)
        closedir(d);
    return n;
}

static bool holds(const char *path, const void *bytes, size_t count)
{
    status st = { 0 };
    mapped_file m;
    bool same = mapped_open(&m, path, &st) && m.size == count && !memcmp(m.bytes, bytes, count);
    mapped_close(&m);
    return same;
}

/* -- tests --------------------------------------------------------------------------------------------------------- */

TEST(atomic_file_writes_small_and_large_pieces)
{
    const char *dir = folder("atomic_pieces"), *path = in(dir, "x");
    static char all[300000];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)(i * 7 + i / 251);
    status st = { 0 };
    atomic_file *f = atomic_open(path, &st);
    size_t piece[] = { 1, 0, 65536, 65535, 3, 100000, 20, 65537 }, at = 0;
    for (size_t i = 0; i < sizeof piece / sizeof *piece; at += piece[i++])
        CHECK(atomic_write(f, all + at, piece[i], &st), "%s", st.text);
    CHECK(access(path, F_OK), "there before the end");
    CHECK(atomic_commit(f, &st), "%s", st.text);
    CHECK(holds(path, all, at), "other bytes");
    CHECK(entries(dir) == 1, "%d entries", entries(dir));
}

TEST(atomic_file_survives_short_and_interrupted_writes)
{
    const char *path = in(folder("atomic_short"), "x"), text[] = "a text longer than seven bytes";
    status st = { 0 };
    fault.short_writes = true;
    fault.calls = 0;
    bool ok = atomic_write_file(path, text, sizeof text, &st);
    fault.short_writes = false;
    CHECK(ok, "%s", st.text);
    CHECK(holds(path, text, sizeof text), "other bytes");
    CHECK(fault.calls >= 10, "%d calls", fault.calls);
}

/* Every call of write, fsync and rename fails in turn, each with a full disk and with a broken one. */
TEST(atomic_file_keeps_the_old_file_when_a_call_fails)
{
    const char *dir = folder("atomic_fault"), *path = in(dir, "x");
    static char text[200000] = "new";
    const int errors[] = { ENOSPC, EIO, EDQUOT };
    for (size_t e = 0; e < 3; e++) {
        int skip = 0, hits = 1;
        for (; hits; skip++) {
            status st = { 0 };
            CHECK(atomic_write_file(path, "old", 3, &st), "%s", st.text);
            fault.skip = skip;
            fault.fail_with = errors[e];
            fault.hits = 0;
            bool ok = atomic_write_file(path, text, sizeof text, &st);
            hits = fault.hits;
            fault.fail_with = 0;
            char tail[100];
            snprintf(tail, sizeof tail, ": %s", strerror(errors[e]));
            CHECK(ok == !hits, "call %d: %d", skip, ok);
            CHECK(!hits || (st.code == TIMM_IO && strstr(st.text, path) == st.text && strstr(st.text, tail)),
                  "call %d: %s", skip, st.text);
            /* the name is in place, its durability is not known */
            bool renamed = !hits || strstr(st.text, "sync the folder");
            CHECK(renamed ? holds(path, text, sizeof text) : holds(path, "old", 3), "call %d: %s", skip, st.text);
            CHECK(entries(dir) == 1, "call %d leaves %d entries", skip, entries(dir));
        }
        CHECK(skip == 5, "%d calls, not write, fsync, rename, fsync", skip - 1);
    }
}

TEST(atomic_file_says_disk_full)
{
    const char *dir = folder("atomic_full"), *path = in(dir, "x");
    static char big[1 << 20];
    status st = { 0 };
    CHECK(atomic_write_file(path, "old", 3, &st), "%s", st.text);
    pid_t child = fork();
    if (child == 0) {                                        /* which alone gets a limit on the size of files */
        struct rlimit limit = { 100000, 100000 };
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        bool ok = atomic_write_file(path, big, sizeof big, &st);
        _exit(ok || !strstr(st.text, "x: cannot write: File too large"));
    }
    int code = -1;
    waitpid(child, &code, 0);
    CHECK(code == 0, "child: %d", code);
    CHECK(holds(path, "old", 3) && entries(dir) == 1, "%d entries", entries(dir));
    CHECK(!atomic_write_file("/dev/full", "x", 1, &st), "wrote to a full device");
    CHECK(!strcmp(st.text, "/dev/full: cannot write: No space left on device"), "%s", st.text);
    st = (status){ 0 };
    CHECK(atomic_write_file("/dev/null", "x", 1, &st), "%s", st.text);
    struct stat info;
    CHECK(!stat("/dev/full", &info) && S_ISCHR(info.st_mode), "the device is gone");
}

/* Killed at any moment, a writer leaves the last state or the one before. */
TEST(atomic_file_survives_kill)
{
    const char *dir = folder("atomic_kill"), *path = in(dir, "x");
    static char text[2][200000];
    memset(text[1], 1, sizeof text[1]);
    status st = { 0 };
    CHECK(atomic_write_file(path, text[0], sizeof text[0], &st), "%s", st.text);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0)
            for (int k = 1;; k++)
                atomic_write_file(path, text[k & 1], sizeof text[0], &st);
        usleep((useconds_t)(i * 7919 % 3000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        bool whole = holds(path, text[0], sizeof text[0]) || holds(path, text[1], sizeof text[1]);
        CHECK(whole, "kill %d: neither state", i);
    }
}

TEST(atomic_file_does_nothing_after_a_failure)
{
    const char *dir = folder("atomic_failed"), *path = in(dir, "x");
    status st = { 0 };
    atomic_file *f = atomic_open(path, &st);
    atomic_write(f, "x", 1, &st);
    status_fail(&st, TIMM_BAD_ARG, "somebody else's failure");
    CHECK(!atomic_write(f, "y", 1, &st), "wrote");
    CHECK(!atomic_commit(f, &st), "committed");
    CHECK(!atomic_open(path, &st) && !atomic_commit(NULL, &st), "opened");
    CHECK(!strcmp(st.text, "somebody else's failure"), "%s", st.text);
    CHECK(entries(dir) == 0, "%d entries", entries(dir));
}

TEST(atomic_file_follows_links_and_keeps_permissions)
{
    const char *dir = folder("atomic_link"), *path = in(dir, "target"), *link_path = in(dir, "link");
    status st = { 0 };
    CHECK(atomic_write_file(path, "old", 3, &st), "%s", st.text);
    chmod(path, 0640);
    CHECK(!symlink("target", link_path), "symlink");
    CHECK(atomic_write_file(link_path, "newer", 5, &st), "%s", st.text);
    struct stat info;
    CHECK(!lstat(link_path, &info) && S_ISLNK(info.st_mode), "the link is gone");
    CHECK(!lstat(path, &info) && (info.st_mode & 0777) == 0640, "mode %o", info.st_mode & 0777u);
    CHECK(holds(path, "newer", 5), "the target has other bytes");
}

static const struct { const char *path, *text; } refused[] = {
    { "/",                     "/: cannot write: it is a folder" },
    { "/nonexistent/x",        "/nonexistent/x: cannot create a temporary file beside it: No such file or directory" },
    { "/dev/null/x",           "/dev/null/x: cannot write: Not a directory" },
};

TEST(atomic_file_says_why_it_cannot_write)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        status st = { 0 };
        CHECK(!atomic_write_file(refused[i].path, "x", 1, &st), "%s written", refused[i].path);
        CHECK(!strcmp(st.text, refused[i].text), "%s", st.text);
    }
}

/* -- reading: mapped_file ------------------------------------------------------------------------------------------ */

TEST(mapped_file_says_why_it_cannot_read)
{
    const char *dir = folder("mapped"), *fifo = in(dir, "fifo");
    status st = { 0 };
    mapped_file m;
    char want[600];
    CHECK(!mapped_open(&m, dir, &st), "a folder");
    snprintf(want, sizeof want, "%s: cannot read: it is a folder", dir);
    CHECK(!strcmp(st.text, want) && st.code == TIMM_IO && !m.bytes, "%s", st.text);

    st = (status){ 0 };
    mkfifo(fifo, 0666);
    CHECK(!mapped_open(&m, fifo, &st), "a pipe");
    snprintf(want, sizeof want, "%s: cannot read: it is not a regular file", fifo);
    CHECK(!strcmp(st.text, want), "%s", st.text);

    st = (status){ 0 };
    CHECK(!mapped_open(&m, "/nonexistent", &st), "nothing");
    CHECK(!strcmp(st.text, "/nonexistent: no such file") && st.code == TIMM_NOT_FOUND, "%s", st.text);

    st = (status){ 0 };
    const char *empty = in(dir, "empty");
    CHECK(atomic_write_file(empty, "", 0, &st), "%s", st.text);
    CHECK(!mapped_open(&m, empty, &st), "an empty file");
    snprintf(want, sizeof want, "%s: the file is empty", empty);
    CHECK(!strcmp(st.text, want) && st.code == TIMM_BAD_FILE, "%s", st.text);

    if (geteuid() == 0)
        return;                                              /* root may read everything */
    st = (status){ 0 };
    CHECK(atomic_write_file(empty, "x", 1, &st) && !chmod(empty, 0), "%s", st.text);
    CHECK(!mapped_open(&m, empty, &st) && strstr(st.text, "cannot open: Permission denied"), "%s", st.text);
}

TEST(mapped_file_release_keeps_the_bytes)
{
    const char *path = in(folder("mapped_release"), "x");
    static uint8_t bytes[5 * 4096 + 100];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i / 16 + i);
    status st = { 0 };
    mapped_file m;
    CHECK(atomic_write_file(path, bytes, sizeof bytes, &st), "%s", st.text);
    REQUIRE(mapped_open(&m, path, &st), "%s", st.text);
    mapped_release(&m, 0, 1);
    mapped_release(&m, 4000, 9000);
    mapped_release(&m, 4096, SIZE_MAX);
    mapped_release(&m, sizeof bytes, 1);
    mapped_release(&m, SIZE_MAX, SIZE_MAX);
    CHECK(m.size == sizeof bytes && !memcmp(m.bytes, bytes, sizeof bytes), "other bytes");
    mapped_close(&m);
    mapped_close(&m);
}
