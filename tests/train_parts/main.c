/* main.c - train_parts [-v] FILE.jsonl[.xz]...: parts of training against what timm and PyTorch computed.
 *
 * A line for every record that differs (-v: for every record), one for every file with its worst deviation, and last
 * "N passed, N failed". */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "parts.h"
#include "test.h"

static const struct { const char *what; part_check *check; } parts[] = {
#define PART(what) { #what, check_##what },
#include "parts.list"
#undef PART
};
static int passed, failed;

/* What reading test data says when it cannot: the only part of the test framework this program needs. */
void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    failed++;
}

static part_check *find(const char *what)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strcmp(parts[i].what, what))
            return parts[i].check;
    return NULL;
}

static void run_file(const char *path, bool verbose, pool *threads)
{
    static part_report r;
    jsonl lines;
    if (!jsonl_open(&lines, path))
        return;
    json_t *head = jsonl_next(&lines);
    part_check *check = find(jsonl_text(head, "what"));
    double worst = 0;
    int records = 0;
    if (!check)
        test_fail(path, 1, "nothing checks \"%s\"", jsonl_text(head, "what"));
    for (json_t *record; check && (record = jsonl_next(&lines)); json_decref(record), records++) {
        r = (part_report){ .threads = threads };
        check(head, record, &r);
        r.text[0] ? failed++ : passed++;
        worst = r.worst > worst ? r.worst : worst;
        if (r.text[0] || verbose)
            printf("%-4s line %d: %s  worst %.3f of what is allowed\n%s", r.text[0] ? "FAIL" : "ok", lines.line,
                   r.label, r.worst, r.text);
        fflush(stdout);
    }
    printf("%s: %d records, worst %.3f of what is allowed\n", path, records, worst);
    json_decref(head);
    jsonl_close(&lines);
}

int main(int argc, char **argv)
{
    bool verbose = argc > 1 && !strcmp(argv[1], "-v");
    pool *threads = pool_open(2);
    if (argc < 2 + verbose || !threads) {
        fprintf(stderr, "usage: train_parts [-v] FILE.jsonl[.xz]...\n");
        return 2;
    }
    for (int i = 1 + verbose; i < argc; i++)
        run_file(argv[i], verbose, threads);
    pool_close(threads);
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
