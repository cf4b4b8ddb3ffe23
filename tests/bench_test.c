/* bench_test.c - bench/report.py writes its tables to where it is told, and nothing else. */
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "test.h"

static command_result write_table(const char *path, const char *text)
{
    return command_run("python3 -B -c 'import sys; sys.path.insert(0, \"" TEST_DATA "/../bench\"); from report import write_between; "
                       "write_between(sys.argv[1], \"bench\", sys.argv[2])' %s '%s'", path, text);
}

/* A new page begins with the marks; one that is there keeps what stands around them, and is left alone without. */
TEST(bench_tables_go_between_marks)
{
    static const char begin[] = "<!-- bench: make bench writes this -->", end[] = "<!-- bench: end -->";
    char path[1200], want[256];
    command_result r = command_run("python3 --version");
    int missing = r.code;
    command_free(&r);
    if (missing) {
        test_skip("no python3");
        return;
    }
    snprintf(path, sizeof path, "%s", test_temp("page.md"));
    for (int i = 0; i < 2; i++) {
        r = write_table(path, i ? "second" : "first");
        char *page = command_slurp(path);
        snprintf(want, sizeof want, "%s\n\n%s\n\n%s\n", begin, i ? "second" : "first", end);
        CHECK(r.code == 0 && page && !strcmp(page, want), "exit %d: %s%s", r.code, r.err, page ? page : "(no page)");
        free(page);
        command_free(&r);
    }
    FILE *f = fopen(path, "w");
    REQUIRE(f && fprintf(f, "before\n%s\nold\n%s\nafter\n", begin, end) > 0 && !fclose(f), "cannot write %s", path);
    r = write_table(path, "new");
    char *page = command_slurp(path);
    snprintf(want, sizeof want, "before\n%s\n\nnew\n\n%s\nafter\n", begin, end);
    CHECK(r.code == 0 && page && !strcmp(page, want), "exit %d: %s", r.code, page);
    free(page);
    command_free(&r);
    f = fopen(path, "w");
    REQUIRE(f && fputs("no marks\n", f) >= 0 && !fclose(f), "cannot write %s", path);
    r = write_table(path, "new");
    page = command_slurp(path);
    CHECK(r.code == 1 && command_has(r.err, " has no marks to write between: ") && page && !strcmp(page, "no marks\n"), "exit %d: %s", r.code, page);
    free(page);
    command_free(&r);
}
