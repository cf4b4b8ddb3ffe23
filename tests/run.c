/* run.c - runs every test whose name or file contains one of the arguments; the last line is "N passed, N failed, N skipped".
 *
 * Each test is a process of its own, as many at a time as there are processors (-j N: N): what one breaks or uses up is not
 * another's, and a crash is one failure.  What a test prints comes with its verdict, when it has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "test.h"

typedef struct result { bool ended; int failures; double ms; char skipped[200]; } result;   /* in memory both processes see */

static test_case *all;
static result *mine;                                  /* in a test's process: where its result goes */
static char temp[64], own[96];                        /* the run's folder, the test's in it */

void test_register(test_case *t) { t->next = all; all = t; }

void test_skip(const char *why) { snprintf(mine->skipped, sizeof mine->skipped, "%s", why); }

void test_fail(const char *file, int line, const char *fmt, ...)
{
    if (++mine->failures > 20)
        return;
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "  %s:%d: ", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

static const char *join(const char *dir, const char *name)
{
    static char ring[8][1024];
    static int at;
    char *p = ring[at++ & 7];
    snprintf(p, sizeof ring[0], "%s/%s", dir, name);
    return p;
}

const char *test_data(const char *name) { return join(TEST_DATA, name); }
const char *test_temp(const char *name) { return join(own, name); }

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int by_file_and_name(const void *a, const void *b)
{
    const test_case *x = *(test_case *const *)a, *y = *(test_case *const *)b;
    int c = strcmp(x->file, y->file);
    return c ? c : strcmp(x->name, y->name);
}

static bool wanted(const test_case *t, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strstr(t->name, argv[i]) || strstr(t->file, argv[i]))
            return true;
    return argc < 1;
}

static const char *output_of(int i)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%d.txt", temp, i);
    return path;
}

/* The process of one test. */
static pid_t start(const test_case *t, int i, result *r)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    int out = open(output_of(i), O_CREAT | O_WRONLY | O_TRUNC | O_APPEND, 0600);
    snprintf(own, sizeof own, "%s/%d", temp, i);
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || mkdir(own, 0700) || setenv("XDG_CACHE_HOME", test_temp(".cache"), 1))
        _exit(1);
    close(out);
    struct timespec a, b;
    mine = r;
    clock_gettime(CLOCK_MONOTONIC, &a);
    t->body();
    clock_gettime(CLOCK_MONOTONIC, &b);
    r->ms = 1e3 * (double)(b.tv_sec - a.tv_sec) + 1e-6 * (double)(b.tv_nsec - a.tv_nsec);
    r->ended = true;
    exit(0);                                          /* sanitizers look for leaks here, and then have a status of their own */
}

/* 'p'assed, 'f'ailed, 's'kipped. */
static char report(const test_case *t, int i, const result *r, int status)
{
    FILE *f = fopen(output_of(i), "r");
    for (int c; f && (c = getc(f)) != EOF;)
        putchar(c);
    if (f)
        fclose(f);
    if (WIFSIGNALED(status))
        printf("  ended by signal %d, %s\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) || !r->ended)
        printf("  exited with %d%s\n", WEXITSTATUS(status), r->ended ? " after the test" : "");
    char verdict = !r->ended || status || r->failures ? 'f' : r->skipped[0] ? 's' : 'p';
    printf("%-4s %-56s %8.1f ms%s%s\n", verdict == 'f' ? "FAIL" : verdict == 's' ? "skip" : "ok", t->name, r->ms,
           r->skipped[0] ? "  " : "", r->skipped);
    fflush(stdout);
    return verdict;
}

int main(int argc, char **argv)
{
    long jobs = sysconf(_SC_NPROCESSORS_ONLN);
    for (int o; (o = getopt(argc, argv, "j:")) != -1;)
        if (o != 'j' || (jobs = atol(optarg)) < 1)
            return fprintf(stderr, "usage: run [-j PROCESSES] [PART OF A TEST'S OR FILE'S NAME]...\n"), 2;
    int total = 0, n = 0, left = 0, count[128] = { 0 };
    for (test_case *t = all; t; t = t->next)
        total++;
    test_case **list = calloc((size_t)total + 1, sizeof *list);
    pid_t *pid = calloc((size_t)total + 1, sizeof *pid);
    result *r = mmap(NULL, ((size_t)total + 1) * sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(temp, "/tmp/timm-test-XXXXXX");
    if (!list || !pid || r == MAP_FAILED || !mkdtemp(temp))
        return perror("run"), 1;
    for (test_case *t = all; t; t = t->next)
        if (wanted(t, argc - optind, argv + optind))
            list[n++] = t;
    qsort(list, (size_t)n, sizeof *list, by_file_and_name);
    for (int next = 0; next < n || left;) {
        for (; next < n && left < jobs; next++, left++)
            if ((pid[next] = start(list[next], next, &r[next])) < 0)
                return perror("fork"), 1;
        int status, i = 0;
        pid_t ended = waitpid(-1, &status, 0);
        if (ended < 0 && errno != EINTR)
            return perror("waitpid"), 1;
        while (i < next && pid[i] != ended)
            i++;
        if (i == next)
            continue;
        left--;
        count[(int)report(list[i], i, &r[i], status)]++;
    }
    nftw(temp, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    printf("%d passed, %d failed, %d skipped\n", count['p'], count['f'], count['s']);
    free(list);
    free(pid);
    return count['f'] || !count['p'];
}
