/* run.c - runs every test whose name or file contains one of the arguments; the last line is "N passed, N failed". */
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "test.h"

static test_case *all;
static int failures, shown;
static const char *skipped;
static char temp[64];

void test_register(test_case *t) { t->next = all; all = t; }
void test_skip(const char *why) { skipped = why; }

void test_fail(const char *file, int line, const char *fmt, ...)
{
    failures++;
    if (++shown > 20)
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

const char *test_temp(const char *name)
{
    if (!temp[0]) {
        strcpy(temp, "/tmp/timm-test-XXXXXX");
        if (!mkdtemp(temp))
            exit(1);
    }
    return join(temp, name);
}

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
    for (int i = 1; i < argc; i++)
        if (strstr(t->name, argv[i]) || strstr(t->file, argv[i]))
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    int n = 0, passed = 0, failed = 0, left_out = 0;
    for (test_case *t = all; t; t = t->next)
        n++;
    test_case **list = calloc((size_t)n + 1, sizeof *list);
    if (!list)
        return 1;
    n = 0;
    for (test_case *t = all; t; t = t->next)
        list[n++] = t;
    qsort(list, (size_t)n, sizeof *list, by_file_and_name);
    for (int i = 0; i < n; i++) {
        if (!wanted(list[i], argc, argv))
            continue;
        struct timespec a, b;
        failures = shown = 0;
        skipped = NULL;
        clock_gettime(CLOCK_MONOTONIC, &a);
        list[i]->body();
        clock_gettime(CLOCK_MONOTONIC, &b);
        double ms = 1e3 * (double)(b.tv_sec - a.tv_sec) + 1e-6 * (double)(b.tv_nsec - a.tv_nsec);
        const char *verdict = failures ? "FAIL" : skipped ? "skip" : "ok";
        printf("%-4s %-56s %8.1f ms%s%s\n", verdict, list[i]->name, ms, skipped ? "  " : "", skipped ? skipped : "");
        fflush(stdout);
        failures ? failed++ : skipped ? left_out++ : passed++;
    }
    free(list);
    if (temp[0])
        nftw(temp, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, left_out);
    return failed || !passed;
}
