/* tune_test.c - kernels by measurement: the table, its file, and that results stay what they are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "backend/cpu/gemm.h"
#include "figures.h"
#include "io/file.h"
#include "plan/tune.h"
#include "test.h"
#include "timm/timm.h"

TEST(tune_table_goes_through_its_text)
{
    double seconds;
    tune *a = tune_open("a machine", true), *b = tune_open("a machine", false), *c = tune_open("a machine, another", false);
    size_t size = 0;
    REQUIRE(a && b && c, "memory");
    CHECK(tune_add(a, "conv2d 1x3", "cpu.one") && tune_add(a, "conv2d 1x3x4", "cpu.two") && tune_add(a, "conv2d 1x3", "cpu.late"), "add");
    CHECK(!strcmp(tune_find(a, "conv2d 1x3"), "cpu.late") && !strcmp(tune_find(a, "conv2d 1x3x4"), "cpu.two"), "the last word counts");
    CHECK(!tune_find(a, "conv2d 1x") && !tune_find(a, "conv2d 1x3x"), "whole calls only");
    char *text = tune_text(a, &size);
    REQUIRE(text && tune_parse(b, text, size), "parse %s", text);
    CHECK(!strcmp(tune_find(b, "conv2d 1x3"), "cpu.late") && !strcmp(tune_find(b, "conv2d 1x3x4"), "cpu.two"), "read back");
    CHECK(!tune_parse(c, text, size) && !tune_find(c, "conv2d 1x3"), "another machine's");
    CHECK(tune_measures(a) && !tune_measures(b) && tune_measured(a, &seconds) == 0, "what they are for");
    free(text);
    tune_close(a);
    tune_close(b);
    tune_close(c);
}

TEST(tune_table_takes_any_bytes)
{
    static const char head[] = "timm kernels 1: m\n";
    static const struct { const char *text; size_t size; bool fits; } cases[] = {
        { "", 0, false }, { "timm kernels 1: m", 17, false }, { "timm kernels 2: m\n", 18, false }, { "timm kernels 1: mm\n", 19, false },
        { head, 18, true }, { "timm kernels 1: m\nno tab\n\t\nk\tcut", 32, true }, { "timm kernels 1: m\nk\0\tcall\n", 26, false },
        { "timm kernels 1: m\n\n\n\tx\nk\tcall\n", 30, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tune *t = tune_open("m", false);
        size_t size;
        CHECK(tune_parse(t, cases[i].text, cases[i].size) == cases[i].fits, "case %zu", i);
        const char *found = tune_find(t, "call");
        CHECK((found != NULL) == (i == 7) && !tune_find(t, "cut") && !tune_find(t, "x"), "case %zu: %s", i, found);
        char *text = tune_text(t, &size);
        CHECK(text && size == (i == 7 ? strlen(head) + 7 : strlen(head)), "case %zu: %s", i, text);
        free(text);
        tune_close(t);
    }
}

static char notes[4096];
static void note(void *user, const char *text) { (void)user, strncat(notes, text, sizeof notes - strlen(notes) - 1); }

/* Logits of a small network, with the notes in `notes`. */
static void logits_in(const char *precision, timm_tuning tuning, const char *file, float out[1000])
{
    notes[0] = 0;
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 1, .tuning = tuning, .tune_file = file, .note = note });
    timm_model *m = timm_create(ctx, "test_resnet", &(timm_model_opts){ .fill = figures_fill, .precision = precision });
    timm_tensor x = { .rank = 4, .dim = { 1, 3, 160, 160 } };
    x.data = malloc((size_t)timm_numel(&x) * sizeof *x.data);
    for (int64_t i = 0; x.data && i < timm_numel(&x); i++)
        x.data[i] = (float)sin((double)i * .37);
    timm_tensor y = x.data ? timm_forward(m, &x) : (timm_tensor){ 0 };
    CHECK(timm_ctx_status(ctx) == TIMM_OK && timm_numel(&y) == 1000, "%s", timm_message(ctx));
    if (timm_numel(&y) == 1000)
        memcpy(out, y.data, 1000 * sizeof *out);
    free(x.data);
    timm_close(ctx);
}

static void logits(timm_tuning tuning, const char *file, float out[1000]) { logits_in("fp32", tuning, file, out); }

static void same(const char *what, const float *a, const float *b)
{
    double most = 0, off = 0;
    for (int i = 0; i < 1000; i++) {
        most = fmax(most, fabs(b[i]));
        off = fmax(off, fabs(a[i] - b[i]));
    }
    CHECK(most > 0 && off <= 1e-5 * most, "%s: %g off, of %g", what, off, most);
}

TEST(tune_measures_once_and_results_stay)
{
    static float by_rule[1000], first[1000], again[1000], known[1000];
    char file[512], absent[512];
    status st = { 0 };
    size_t size = 0;
    snprintf(file, sizeof file, "%s", test_temp("kernels.txt"));
    snprintf(absent, sizeof absent, "%s", test_temp("absent.txt"));
    logits(TIMM_TUNE_NEVER, file, by_rule);
    CHECK(!notes[0] && !file_read(file, &size, &st), "by rule: %s", notes);
    logits(TIMM_TUNE_MEASURE, file, first);
    CHECK(strstr(notes, " choices of kernels in ") && strstr(notes, file), "first: %s", notes);
    logits(TIMM_TUNE_MEASURE, file, again);
    CHECK(!notes[0], "again: %s", notes);
    logits(TIMM_TUNE_KNOWN, file, known);
    CHECK(!notes[0], "known: %s", notes);
    same("measured", first, by_rule);
    CHECK(!memcmp(first, again, sizeof first) && !memcmp(first, known, sizeof first), "the same choices give the same bytes");
    logits(TIMM_TUNE_KNOWN, absent, known);
    CHECK(!notes[0] && !memcmp(known, by_rule, sizeof known), "without a file: by rule; %s", notes);
}

extern const gemm_vec gemm_bf16_emulated_amx;

/* A table whose kernels all are in the precision `in`, whatever was found. */
static void write_table(const char *file, const char *text, const char *in)
{
    FILE *f = fopen(file, "w");
    REQUIRE(f, "%s", file);
    for (const char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        size_t name = strcspn(line, "@\t\n");
        const char *tab = memchr(line, '\t', (size_t)(end - line));
        fprintf(f, "%.*s%s%.*s\n", (int)name, line, tab ? in : "", (int)(end - (tab ? tab : line + name)), tab ? tab : line + name);
    }
    CHECK(!fclose(f), "%s", file);
}

/* Instructions that are slower than single precision, as emulated ones are, are not taken for being asked for. */
TEST(tune_prefers_single_precision_where_it_is_faster)
{
    static float exact[1000], rounded[1000], known[1000];
    char file[512];
    status st = { 0 };
    size_t size = 0;
    snprintf(file, sizeof file, "%s", test_temp("faster.txt"));
    const gemm_vec *was = gemm_exchange(TG_BF16, &gemm_bf16_emulated_amx);
    logits(TIMM_TUNE_NEVER, file, exact);
    logits_in("bf16", TIMM_TUNE_NEVER, file, rounded);
    CHECK(memcmp(rounded, exact, sizeof exact), "by rule operands are rounded");
    logits_in("bf16", TIMM_TUNE_MEASURE, file, known);
    char *text = (char *)file_read(file, &size, &st);
    REQUIRE(text, "%s", st.text);
    CHECK(strstr(text, "@fp32\tconv2d bf16 "), "measured: %s", text);
    write_table(file, text, "@fp32");
    logits_in("bf16", TIMM_TUNE_KNOWN, file, known);
    same("kernels in fp32", known, exact);
    write_table(file, text, "@fp64");
    logits_in("bf16", TIMM_TUNE_KNOWN, file, known);
    CHECK(!memcmp(known, rounded, sizeof known), "a precision of no kernel is as good as none");
    gemm_exchange(TG_BF16, was);
    free(text);
}

/* How many images of a batch run at once is measured too, and a number that no batch has is not taken. */
TEST(tune_measures_slices)
{
    char file[512];
    static const char line[] = "\timages at once: test_resnet part 0 (1, 3, 160, 160) of 6 fp32 1 threads\n";
    snprintf(file, sizeof file, "%s", test_temp("kernels.txt"));
    timm_tensor x = { .rank = 4, .dim = { 6, 3, 160, 160 } };
    x.data = calloc((size_t)timm_numel(&x), sizeof *x.data);
    for (int round = 0; round < 3 && x.data; round++) {
        timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 1, .tuning = round ? TIMM_TUNE_KNOWN : TIMM_TUNE_MEASURE, .tune_file = file,
                                                     .note = note });
        timm_model *m = timm_create(ctx, "test_resnet", &(timm_model_opts){ .fill = figures_fill });
        timm_forward(m, &x);
        CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
        timm_close(ctx);
        status st = { 0 };
        size_t size = 0;
        char *text = (char *)file_read(file, &size, &st), *at = text ? strstr(text, line) : NULL;
        REQUIRE(at && at[-1] >= '1' && at[-1] <= '6' + round * 3, "round %d: %s", round, text);
        at[-1] = round ? '9' : at[-1];
        FILE *f = fopen(file, "w");
        CHECK(f && fwrite(text, 1, size, f) == size && !fclose(f), "%s", file);
        free(text);
    }
    free(x.data);
}

/* A file that names another kernel of the op for every call: what cannot do it is not taken. */
TEST(tune_believes_no_file)
{
    static float by_rule[1000], out[1000];
    static const char *const kernels[] = { "cpu.winograd", "cpu.depthwise", "onednn.conv2d", "cpu.linear", "no such", "onednn.linear" };
    char file[512];
    snprintf(file, sizeof file, "%s", test_temp("kernels.txt"));
    logits(TIMM_TUNE_NEVER, file, by_rule);
    logits(TIMM_TUNE_MEASURE, file, out);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        status st = { 0 };
        size_t size = 0;
        char *text = (char *)file_read(file, &size, &st), *line = text;
        REQUIRE(text, "%s", st.text);
        FILE *f = fopen(file, "w");
        for (int n = 0; f && line && *line; n++) {
            char *end = strchr(line, '\n'), *tab = strchr(line, '\t');
            fprintf(f, "%s%.*s\n", n ? kernels[i] : "", (int)(end - (n ? tab : line)), n ? tab : line);
            line = end + 1;
        }
        REQUIRE(f && !fclose(f), "%s", file);
        free(text);
        logits(TIMM_TUNE_KNOWN, file, out);
        same(kernels[i], out, by_rule);
    }
}

/* Only a file of its own is written over; whatever else lies there, nobody waits for it. */
TEST(tune_leaves_other_files_alone)
{
    static float out[1000];
    char victim[512], link[512], fifo[512];
    status st = { 0 };
    size_t size = 0;
    snprintf(victim, sizeof victim, "%s", test_temp("victim"));
    snprintf(link, sizeof link, "%s", test_temp("link"));
    snprintf(fifo, sizeof fifo, "%s", test_temp("fifo"));
    FILE *f = fopen(victim, "w");
    REQUIRE(f && fputs("a letter\n", f) >= 0 && !fclose(f) && !symlink(victim, link) && !mkfifo(fifo, 0600), "files");
    const char *paths[] = { link, fifo };
    for (int i = 0; i < 2; i++) {
        logits(TIMM_TUNE_MEASURE, paths[i], out);
        CHECK(strstr(notes, "they are not kept: ") && strstr(notes, " is something else"), "%s", notes);
    }
    char *text = (char *)file_read(victim, &size, &st);
    CHECK(text && !strcmp(text, "a letter\n"), "%s", text);
    free(text);
    /* A link to a file of kernels is one; a name of no kernel is measured anew. */
    logits(TIMM_TUNE_MEASURE, test_temp("kernels"), out);
    REQUIRE(!unlink(link) && !symlink(test_temp("kernels"), link) && (text = (char *)file_read(link, &size, &st)), "%s", st.text);
    char *end = strchr(text, '\n');
    REQUIRE(end && end[1] && (f = fopen(test_temp("kernels"), "w")), "%s", text);
    end[1] = '!';                                          /* of the first kernel's name */
    CHECK(fwrite(text, 1, size, f) == size && !fclose(f), "write");
    free(text);
    logits(TIMM_TUNE_MEASURE, link, out);
    CHECK(strstr(notes, "1 choices of kernels in ") && strstr(notes, "they are kept in "), "%s", notes);
    text = (char *)file_read(link, &size, &st);
    CHECK(text && !strchr(text, '!'), "%s", text);
    free(text);
}

TEST(tune_without_a_place_to_keep_it)
{
    static float out[1000], other[1000];
    logits(TIMM_TUNE_MEASURE, test_temp("no/such/folder"), out);
    CHECK(strstr(notes, " choices of kernels in ") && strstr(notes, "they are not kept: ") && strstr(notes, "no/such/folder"), "%s", notes);
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "", 1);
    logits(TIMM_TUNE_MEASURE, NULL, out);
    CHECK(strstr(notes, "they are not kept: there is no folder for them"), "%s", notes);
    setenv("HOME", test_temp("home"), 1);
    logits(TIMM_TUNE_KNOWN, NULL, other);
    CHECK(!notes[0], "%s", notes);
    logits(TIMM_TUNE_MEASURE, NULL, out);
    CHECK(strstr(notes, "they are not kept: "), "a home that is not there is not made: %s", notes);
}
