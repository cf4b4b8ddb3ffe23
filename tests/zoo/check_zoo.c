/* check_zoo.c - check_zoo FILE.jsonl[.xz] [PATTERN...] [-- OPTIONS]: every golden record whose model's name contains one of the
 * patterns, through the command line; OPTIONS go to `timm fingerprint`.  Records of gradients run `timm fingerprint --train`.
 * Slow: `make check-zoo`; the tests run a sample. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "golden.h"
#include "jsonl.h"
#include "test.h"

/* What reading test data says when it cannot: the only part of the test framework this program needs. */
void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

int main(int argc, char **argv)
{
    char more[512] = "";
    int patterns = argc, passed = 0, failed = 0;
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--") && patterns == argc)
            patterns = i;
        else if (i > patterns)
            snprintf(more + strlen(more), sizeof more - strlen(more), " %s", argv[i]);
    }
    jsonl lines;
    if (argc < 2 || !jsonl_open(&lines, argv[1])) {
        fprintf(stderr, "usage: check_zoo FILE.jsonl[.xz] [PATTERN...] [-- OPTIONS]\n");
        return 2;
    }
    for (json_t *golden; (golden = jsonl_next(&lines)); json_decref(golden)) {
        const char *model = jsonl_text(golden, "model");
        bool wanted = patterns == 2 || argc == 2;
        for (int i = 2; i < patterns; i++)
            wanted |= strstr(model, argv[i]) != NULL;
        if (!wanted || json_object_get(golden, "error"))
            continue;
        static char text[1 << 16];
        double worst = 0;
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        bool grads = json_object_get(golden, "grads") != NULL;
        char options[600];
        snprintf(options, sizeof options, "%s%s", grads ? "--train" : "", more);
        json_t *got = golden_run(TEST_TIMM, golden, options, text, sizeof text);
        if (got)
            (grads ? golden_compare_grads : golden_compare)(golden, got, text, sizeof text, &worst);
        clock_gettime(CLOCK_MONOTONIC, &b);
        json_decref(got);
        text[0] ? failed++ : passed++;
        printf("%-4s %-56s %7.1f s  worst %.3f of what is allowed\n", text[0] ? "FAIL" : "ok", model,
               (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec), worst);
        if (text[0])
            printf("%.2000s\n", text);
        fflush(stdout);
    }
    jsonl_close(&lines);
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
