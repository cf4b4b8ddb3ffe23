/* made_run.c - see made_run.h. */
#include "made_run.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "io/safetensors.h"
#include "test.h"

enum { SIDE = 32 };

static void put_be32(FILE *f, uint32_t v)
{
    fwrite((unsigned char[]){ v >> 24 & 255, v >> 16 & 255, v >> 8 & 255, v & 255 }, 4, 1, f);
}

static FILE *create(const char *dir, const char *name)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return fopen(path, "wb");
}

static uint32_t next(uint32_t *s) { return (*s = *s * 1664525u + 1013904223u) >> 16; }

/* Stripes of as many directions and widths as there are classes. */
static int pattern(int c, int x, int y)
{
    int t = c % 4 == 0 ? x : c % 4 == 1 ? y : c % 4 == 2 ? x + y : x - y + SIDE;
    return t >> (2 + c / 4) & 1 ? 200 : 50;
}

static void put_split(const char *dir, const char *stem, int n, int classes, uint32_t seed)
{
    char name[64];
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", stem);
    FILE *images = create(dir, name);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", stem);
    FILE *labels = create(dir, name);
    if (images && labels) {
        const uint32_t header[] = { 0x803, (uint32_t)n, SIDE, SIDE };
        for (int i = 0; i < 4; i++)
            put_be32(images, header[i]);
        put_be32(labels, 0x801);
        put_be32(labels, (uint32_t)n);
        for (int i = 0; i < n; i++) {
            fputc(i % classes, labels);
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < SIDE; x++)
                    fputc(pattern(i % classes, x, y) + (int)(next(&seed) % 81) - 40, images);
        }
    }
    if (images)
        fclose(images);
    if (labels)
        fclose(labels);
}

const char *made_idx(int train, int test, int classes)
{
    static char ring[8][1024];
    static int turn;
    char name[64], *dir = ring[turn = (turn + 1) % 8];
    snprintf(name, sizeof name, "idx-%d-%d-%d", train, test, classes);
    snprintf(dir, sizeof ring[0], "%s", test_temp(name));
    if (!mkdir(dir, 0777)) {
        put_split(dir, "train", train, classes, 1);
        put_split(dir, "t10k", test, classes, 2);
    }
    return dir;
}

const char *made_output(void)
{
    static char ring[4][1024];
    static int turn;
    char name[32], *path = ring[turn++ % 4];
    snprintf(name, sizeof name, "runs-%d", turn);
    snprintf(path, sizeof ring[0], "%s", test_temp(name));
    return path;
}

/* -- processes --------------------------------------------------------------------------------------------------------------- */

pid_t run_begin(const char *out, const char *err, const char *fmt, ...)
{
    char line[8192], all[9000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    snprintf(all, sizeof all, "exec %s %s", TEST_TIMM, line);
    pid_t pid = fork();
    if (pid)
        return pid;
    int in = open("/dev/null", O_RDWR);
    int to[2] = { out ? open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666) : in, err ? open(err, O_WRONLY | O_CREAT | O_TRUNC, 0666) : in };
    dup2(in, 0);
    dup2(to[0], 1);
    dup2(to[1], 2);
    execl("/bin/sh", "sh", "-c", all, (char *)NULL);
    _exit(127);
}

int run_end(pid_t pid)
{
    int ended = 0;
    if (pid < 0 || waitpid(pid, &ended, 0) != pid)
        return 127;
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
}

void wait_seconds(double seconds)
{
    struct timespec t = { (time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds)) };
    nanosleep(&t, NULL);
}

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- checkpoints --------------------------------------------------------------------------------------------------------------- */

bool same_tensors(const char *a, const char *b, char *text, size_t room)
{
    status st = { 0 };
    safetensors *f = safetensors_open(a, &st), *g = f ? safetensors_open(b, &st) : NULL;
    bool same = f && g;
    snprintf(text, room, "%s", st.text);
    if (same && safetensors_count(f) != safetensors_count(g)) {
        snprintf(text, room, "%s has %zu tensors, %s %zu", a, safetensors_count(f), b, safetensors_count(g));
        same = false;
    }
    for (size_t i = 0; same && i < safetensors_count(f); i++) {
        const safetensors_entry *x = safetensors_get(f, i);
        size_t k = safetensors_find(g, x->name);
        const safetensors_entry *y = k < safetensors_count(g) ? safetensors_get(g, k) : NULL;
        same = y && x->dtype == y->dtype && x->bytes == y->bytes && !memcmp(x->data, y->data, x->bytes);
        if (!same)
            snprintf(text, room, "%s and %s: '%s' is not the same", a, b, x->name);
    }
    safetensors_close(f);
    safetensors_close(g);
    return same;
}

float *tensor_of(const char *path, const char *name, size_t *count)
{
    status st = { 0 };
    safetensors *f = safetensors_open(path, &st);
    size_t i = f ? safetensors_find(f, name) : 0;
    float *out = NULL;
    if (f && i < safetensors_count(f)) {
        *count = (size_t)safetensors_get(f, i)->count;
        out = malloc(*count * sizeof *out + 1);
        if (out && !safetensors_read_floats(f, i, out, &st)) {
            free(out);
            out = NULL;
        }
    }
    safetensors_close(f);
    return out;
}

void rename_in_header(const char *path, const char *from, const char *to)
{
    static char head[1 << 16];
    FILE *f = fopen(path, "r+b");
    REQUIRE(f, "cannot open %s", path);
    size_t n = fread(head, 1, sizeof head, f), at = 0, length = strlen(from);
    while (at + length <= n && memcmp(head + at, from, length))
        at++;
    REQUIRE(at + length <= n && !fseek(f, (long)at, SEEK_SET) && fwrite(to, 1, length, f) == length, "no %s in %s", from, path);
    fclose(f);
}

bool put_before_names(const char *from, const char *to, const char *prefix)
{
    status st = { 0 };
    safetensors *f = safetensors_open(from, &st);
    size_t n = f ? safetensors_count(f) : 0;
    safetensors_tensor *t = calloc(n + 1, sizeof *t);
    char (*name)[160] = calloc(n + 1, sizeof *name);
    for (size_t i = 0; t && name && i < n; i++) {
        const safetensors_entry *e = safetensors_get(f, i);
        snprintf(name[i], sizeof name[i], "%s%s", prefix, e->name);
        t[i] = (safetensors_tensor){ .name = name[i], .dtype = e->dtype, .rank = e->rank, .data = e->data };
        memcpy(t[i].dim, e->dim, sizeof e->dim);
    }
    bool ok = n && t && name && safetensors_write(to, t, n, NULL, 0, &st);
    safetensors_close(f);
    free(t);
    free(name);
    return ok;
}
