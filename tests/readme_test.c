/* readme_test.c - README.md keeps its word: its commands and its program run, its counts are the program's. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "test.h"
#include "train/loss.h"
#include "train/schedule.h"

/* A folder that has share/, build/timm and photos/, as README.md's reader has. */
static void make_reader(void)
{
    setenv("T", test_temp("."), 1);
    command_result r = command_run("%s", "mkdir -p $T/readme/build && cd $T/readme && ln -sf " TEST_DATA "/../share . && "
        "ln -sf " TEST_TIMM " build/timm && for s in train val; do for k in chelsea rocket; do mkdir -p photos/$s/$k && "
        "for n in 60 64 68 72; do build/timm image resize " TEST_DATA "/data/$k.jpg photos/$s/$k/$n.png "
        "--size ${n}x64 || exit 1; done; done; done");
    CHECK(r.code == 0, "%s", r.err);
    command_free(&r);
}

/* A verb is only looked up, as running it would run this.  What trains tells how far it is, and what measures kernels that
 * it did. */
static void run_line(const char *line)
{
    bool verb = !strncmp(line, "make ", 5), trains = strstr(line, " train ") && !strstr(line, "--list-opts");
    static const char reader[] = "cd $T/readme && { ls -l >before; %s; ls -l >after; cmp -s before after || echo new files; }";
    command_result r = verb ? command_run("make -n -C " TEST_DATA "/.. %s", line + 5) : command_run(reader, line);
    bool said = *r.err && !strstr(r.err, " choices of kernels in ");
    CHECK(r.code == 0 && (trains || !said) && *r.out, "%s: exit %d: %s", line, r.code, r.err);
    command_free(&r);
}

/* Every line of shell in README.md does something. */
TEST(readme_commands)
{
    char *readme = command_slurp(test_data("../README.md")), *next;
    int n = 0;
    bool shell = false;
    REQUIRE(readme, "no README.md");
    make_reader();
    for (char *line = readme; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (!strncmp(line, "```", 3)) {
            shell = !strcmp(line, "```sh");
        } else if (shell && *line) {
            run_line(line);
            n++;
        }
    }
    CHECK(n >= 22, "README.md shows %d commands", n);
    free(readme);
}

/* The number before some words of README.md; -1: none. */
static long told(const char *readme, const char *words)
{
    const char *at = strstr(readme, words);
    while (at && (at == readme || !isdigit((unsigned char)at[-1])))
        at = strstr(at + 1, words);
    while (at && at > readme && isdigit((unsigned char)at[-1]))
        at--;
    return at ? strtol(at, NULL, 10) : -1;
}

static long lines_of(const char *command)
{
    command_result r = command_run("%s", command);
    long n = 0;
    for (const char *p = r.out; *p; p++)
        n += *p == '\n';
    command_free(&r);
    return n;
}

/* What README.md counts, counted by the program. */
TEST(readme_counts)
{
    char *readme = command_slurp(test_data("../README.md"));
    long schedules = 0, losses = 0;
    REQUIRE(readme, "no README.md");
    while (schedule_name((int)schedules))
        schedules++;
    while (loss_names()[losses])
        losses++;
    const struct { const char *words; long are; } counts[] = {
        { " optimizers", lines_of("timm train --list-opts") }, { " schedules", schedules }, { " losses", losses },
        { ", with ", lines_of("timm list") }, { " published sets", lines_of("timm list --pretrained") },
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        long says = told(readme, counts[i].words);
        CHECK(says == counts[i].are, "README.md says %ld%s, there are %ld", says, counts[i].words, counts[i].are);
    }
    free(readme);
}

/* Every --option that the pages speak of is one of some command. */
TEST(readme_options)
{
    static const char *const pages[] = { "../README.md", "../docs/TRAINING.md" };
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
    command_result help = command_run("for c in list info infer fingerprint image benchmark graph train validate doctor; do "
                                      TEST_TIMM " $c --help; done");
    int n = 0;
    for (int i = 0; i < 2; i++) {
        char *text = command_slurp(test_data(pages[i])), option[64];
        REQUIRE(text, "no %s", pages[i]);
        for (const char *p = text; (p = strstr(p, "--")); p += strspn(p, letters)) {
            int length = (int)strspn(p, letters);
            if (p[2] == '-' || length < 4 || length > 60)
                continue;                                /* a rule of a table */
            snprintf(option, sizeof option, "%.*s ", length, p);
            CHECK(command_has(help.out, option), "%s: no command has %s", pages[i], option);
            n++;
        }
        free(text);
    }
    CHECK(n > 60, "%d options", n);
    command_free(&help);
}

TEST(readme_program)
{
    if (command_sanitized) {
        test_skip("a sanitized library does not load into plain programs");
        return;
    }
    setenv("T", test_temp("."), 1);
    command_result r = command_run("%s", "sed -n '/^```c$/,/^```$/p' " TEST_DATA "/../README.md | grep -v '^```' "
        ">$T/readme.c && "
        "cc -std=c11 -Wall -Wextra -Werror -I" TEST_DATA "/../include $T/readme.c -L" TEST_BUILD " -ltimm "
        "-Wl,-rpath," TEST_BUILD
        " -o $T/readme_c && $T/readme_c " TEST_DATA "/../share/chelsea.jpg "
        TEST_DATA "/../share/tf_efficientnet_lite0.in1k.safetensors");
    CHECK(r.code == 0 && !strcmp(r.out, "tiger cat\n"), "exit %d: %s%s", r.code, r.out, r.err);
    command_free(&r);
}
