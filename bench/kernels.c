/* kernels.c - times every kernel that claims a problem, on problems of real models: of inference at batch 1, of training at more.
 * bench_kernels [word of the name | op]; THREADS=n in the environment, 2 otherwise. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "backend/backend.h"
#include "base/room.h"
#include "ops/attrs.h"
#include "ops/conv2d_grad.h"

typedef struct problem {
    const char *op, *name;
    tg_shape in[4], out;
    int n_in;
    unsigned constant;
    const void *attr;
    bool tokens;
} problem;

/* With one thread, the processor's time: it tells the truth on a machine that others use too. */
static clockid_t which = CLOCK_MONOTONIC;
static double now(void)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(int64_t n)
{
    static uint32_t state = 1;
    const size_t bytes = (size_t)(n + 32) / 16 * 16 * sizeof(float);
    float *p = aligned_alloc(64, bytes);
    if (p)
        room_huge(p, bytes);                                /* as a plan's arena is */
    for (int64_t i = 0; p && i < n; i++) {
        state = state * 1664525u + 1013904223u;
        p[i] = (float)(state >> 8) / (1 << 23) - 1;
    }
    return p;
}

static double macs(const problem *q)
{
    double out = (double)tg_numel(q->out);
    if (!strcmp(q->op, "conv2d"))
        return out * (double)(q->in[1].dim[1] * q->in[1].dim[2] * q->in[1].dim[3]);
    if (!strcmp(q->op, "linear"))
        return out * (double)q->in[1].dim[1];
    if (!strcmp(q->op, "attention"))
        return (double)tg_numel(q->in[0]) * (double)q->in[1].dim[2] * 2;
    if (!strcmp(q->op, "attention_grad"))
        return (double)tg_numel(q->in[0]) * (double)q->in[1].dim[2] * 5;
    if (!strcmp(q->op, "conv2d_grad_weight"))
        return out * (double)(q->in[0].dim[0] * q->in[0].dim[2] * q->in[0].dim[3]);
    return 0;
}

static void time_kernel(const problem *q, const tg_kernel *k, pool *threads)
{
    static const tg_op ops[] = { { .name = "conv2d" }, { .name = "linear" }, { .name = "attention" }, { .name = "attention_grad" },
                                 { .name = "conv2d_grad_weight" } };
    tg_tensor in[4];
    tg_call c = { .attr = q->attr, .in = in, .n_in = q->n_in, .out = { .shape = q->out }, .pool = threads };
    status st = { 0 };

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (!strcmp(ops[i].name, q->op))
            c.op = &ops[i];
    for (int i = 0; i < q->n_in; i++) {
        in[i] = (tg_tensor){ .shape = q->in[i], .constant = q->constant >> i & 1, .data = numbers(tg_numel(q->in[i])) };
        if (q->in[i].rank == 4 && !in[i].constant && !q->tokens)
            tg_channels_last(&in[i]);
        else
            tg_dense(&in[i]);
    }
    if (q->tokens)
        tg_dense(&c.out);
    else
        tg_channels_last(&c.out);
    c.out.data = numbers(tg_numel(q->out));
    tg_prep prep = { .st = &st };
    const char *why = k->declines ? k->declines(&c) : NULL;
    if (why)
        printf("  %-20s %s\n", k->name, why);
    else if (k->prepare && !k->prepare(&c, &prep))
        printf("  %-20s failed: %s\n", k->name, st.text);
    else {
        c.state = prep.state;
        c.scratch = aligned_alloc(64, (prep.scratch + 128) / 64 * 64);
        double best = 1e9, start = now();
        for (int i = 0; i < 5 || (now() - start < (getenv("SECONDS_EACH") ? atof(getenv("SECONDS_EACH")) : .3) && i < 100000); i++) {
            double t = now();
            k->run(&c);
            t = now() - t;
            best = t < best ? t : best;
        }
        printf("  %-20s %9.1f us %7.1f GF/s\n", k->name, best * 1e6, 2e-9 * macs(q) / best);
        if (k->release)
            k->release(prep.state);
        free(c.scratch);
    }
    for (int i = 0; i < q->n_in; i++)
        free(in[i].data);
    free(c.out.data);
}

#define CONV(ci, co, k, s, hw) { "conv2d", #ci "->" #co " " #k "x" #k " s" #s " @" #hw, \
    { DIMS(1, ci, hw, hw), DIMS(co, ci, k, k) }, DIMS(1, co, ((hw) + (s) - 1) / (s), ((hw) + (s) - 1) / (s)), 2, 2, \
    &(const conv2d_attr){ { s, s }, { k / 2, k / 2, k / 2, k / 2 }, { 1, 1 }, 1, { 0 } }, false }
#define GROUP(c, g, k, s, hw) { "conv2d", "groups " #g " of " #c " " #k "x" #k " s" #s " @" #hw, \
    { DIMS(1, c, hw, hw), DIMS(c, c / (g), k, k) }, DIMS(1, c, ((hw) + (s) - 1) / (s), ((hw) + (s) - 1) / (s)), 2, 2, \
    &(const conv2d_attr){ { s, s }, { k / 2, k / 2, k / 2, k / 2 }, { 1, 1 }, g, { 0 } }, false }
#define PATCH(ci, co, k, hw) { "conv2d", "patch " #ci "->" #co " " #k "x" #k " @" #hw, \
    { DIMS(1, ci, hw, hw), DIMS(co, ci, k, k) }, DIMS(1, co, (hw) / (k), (hw) / (k)), 2, 2, \
    &(const conv2d_attr){ { k, k }, { 0 }, { 1, 1 }, 1, { 0 } }, false }
#define LINEAR(m, k, n) { "linear", #m " x " #k " x " #n, { DIMS(1, m, k), DIMS(n, k) }, DIMS(1, m, n), 2, 2, \
    &(const linear_attr){ { 0 } }, true }
#define WEIGHT_GRAD(b, co, ci, k, s, hw) { "conv2d_grad_weight", #b " x " #ci "->" #co " " #k "x" #k " s" #s " @" #hw, \
    { DIMS(b, co, ((hw) + (s) - 1) / (s), ((hw) + (s) - 1) / (s)), DIMS(b, ci, hw, hw) }, DIMS(co, ci, k, k), 2, 0, \
    &(const conv2d_grad_attr){ { { s, s }, { k / 2, k / 2, k / 2, k / 2 }, { 1, 1 }, 1, { 0 } }, DIMS(co, ci, k, k) }, false }
#define TOKENS_GRAD(b, n, ci, co) { "conv2d_grad_weight", #b " x " #n " tokens, " #ci "->" #co, \
    { DIMS(b, co, 1, n), DIMS(b, ci, 1, n) }, DIMS(co, ci, 1, 1), 2, 0, \
    &(const conv2d_grad_attr){ { { 1, 1 }, { 0 }, { 1, 1 }, 1, { 0 } }, DIMS(co, ci, 1, 1) }, false }
#define ATTENTION_GRAD(b, h, n, d) { "attention_grad", #b " x " #h " heads, " #n " tokens, " #d, \
    { DIMS(b, h, n, d), DIMS(b, h, n, d), DIMS(b, h, n, d), DIMS(b, h, n, d) }, DIMS(3 * (b) * (h) * (n) * (d)), 4, 0, \
    &(const attention_grad_attr){ { false, 0 }, false }, true }
#define ATTENTION(b, h, n, d) { "attention", #b " x " #h " heads, " #n " tokens, " #d, \
    { DIMS(b, h, n, d), DIMS(b, h, n, d), DIMS(b, h, n, d) }, DIMS(b, h, n, d), 3, 0, \
    &(const attention_attr){ false, 0 }, true }

static const problem problems[] = {
    CONV(3, 64, 7, 2, 224),    CONV(3, 16, 3, 2, 224),     CONV(3, 32, 3, 2, 224),     PATCH(3, 96, 4, 224),
    PATCH(3, 768, 16, 224),    CONV(64, 64, 3, 1, 56),     CONV(128, 128, 3, 1, 28),   CONV(256, 256, 3, 1, 14),
    CONV(512, 512, 3, 1, 7),   CONV(128, 128, 3, 2, 56),   CONV(256, 256, 3, 2, 28),   CONV(512, 512, 3, 2, 14),
    CONV(64, 64, 1, 1, 56),    CONV(64, 256, 1, 1, 56),    CONV(256, 64, 1, 1, 56),    CONV(256, 128, 1, 1, 56),
    CONV(128, 512, 1, 1, 28),  CONV(512, 128, 1, 1, 28),   CONV(256, 1024, 1, 1, 14),  CONV(1024, 256, 1, 1, 14),
    CONV(512, 2048, 1, 1, 7),  CONV(2048, 512, 1, 1, 7),   CONV(1024, 2048, 1, 2, 14), CONV(16, 64, 1, 1, 112),
    CONV(64, 24, 1, 1, 56),    CONV(24, 72, 1, 1, 56),     CONV(72, 40, 1, 1, 28),     CONV(40, 120, 1, 1, 28),
    CONV(200, 80, 1, 1, 14),   CONV(112, 672, 1, 1, 14),   CONV(160, 960, 1, 1, 7),    CONV(960, 160, 1, 1, 7),
    CONV(32, 16, 1, 1, 112),   CONV(16, 96, 1, 1, 112),    CONV(96, 24, 1, 1, 56),     CONV(24, 144, 1, 1, 56),
    CONV(320, 1280, 1, 1, 7),  CONV(960, 240, 1, 1, 1),    CONV(240, 960, 1, 1, 1),    GROUP(96, 96, 3, 2, 112),
    GROUP(144, 144, 3, 1, 56), GROUP(144, 144, 5, 2, 56),  GROUP(240, 240, 5, 1, 28),  GROUP(480, 480, 3, 1, 14),
    GROUP(672, 672, 5, 1, 14), GROUP(1152, 1152, 5, 1, 7), GROUP(96, 96, 7, 1, 56),    GROUP(192, 192, 7, 1, 28),
    GROUP(384, 384, 7, 1, 14), GROUP(768, 768, 7, 1, 7),   GROUP(128, 32, 3, 1, 56),   GROUP(256, 32, 3, 1, 28),
    GROUP(512, 32, 3, 1, 14),  GROUP(1024, 32, 3, 1, 7),   LINEAR(1, 2048, 1000),      LINEAR(1, 512, 1000),
    LINEAR(1, 768, 1000),      LINEAR(197, 768, 2304),     LINEAR(197, 768, 768),      LINEAR(197, 768, 3072),
    LINEAR(197, 3072, 768),    LINEAR(197, 192, 576),      LINEAR(197, 192, 768),      LINEAR(197, 768, 192),
    LINEAR(3152, 384, 1536),   LINEAR(3152, 1536, 384),    LINEAR(3136, 96, 384),     LINEAR(3136, 384, 96),      LINEAR(784, 192, 768),      LINEAR(196, 384, 1536),
    LINEAR(49, 768, 3072),     LINEAR(49, 3072, 768),      LINEAR(3136, 96, 288),      ATTENTION(1, 12, 197, 64),
    ATTENTION(1, 3, 197, 64),  ATTENTION(64, 3, 49, 32),   ATTENTION(16, 6, 49, 32),   ATTENTION(1, 24, 49, 32),
    WEIGHT_GRAD(8, 256, 64, 1, 1, 56), WEIGHT_GRAD(8, 512, 128, 1, 1, 28), WEIGHT_GRAD(8, 256, 1024, 1, 1, 14),
    WEIGHT_GRAD(8, 128, 128, 3, 1, 28), WEIGHT_GRAD(8, 256, 256, 3, 1, 14), WEIGHT_GRAD(8, 512, 512, 3, 1, 7),
    WEIGHT_GRAD(8, 64, 64, 3, 1, 56),  WEIGHT_GRAD(8, 128, 128, 3, 2, 56), WEIGHT_GRAD(8, 16, 3, 3, 2, 224),
    WEIGHT_GRAD(8, 96, 16, 1, 1, 112), WEIGHT_GRAD(8, 24, 144, 1, 1, 56), WEIGHT_GRAD(8, 32, 3, 3, 2, 224),
    TOKENS_GRAD(8, 197, 192, 768),     TOKENS_GRAD(8, 197, 768, 192),      TOKENS_GRAD(8, 197, 384, 1536),
    TOKENS_GRAD(8, 197, 1536, 384),    TOKENS_GRAD(8, 197, 384, 1152),     TOKENS_GRAD(8, 197, 384, 384),
    TOKENS_GRAD(8, 3136, 96, 384),     TOKENS_GRAD(8, 196, 1536, 384),     TOKENS_GRAD(8, 49, 768, 3072),
    ATTENTION_GRAD(8, 3, 197, 64),     ATTENTION_GRAD(8, 6, 197, 64),      ATTENTION_GRAD(64, 3, 49, 32),
};

int main(int argc, char **argv)
{
    const tg_backend *const *backends = tg_backends("onednn");
    const char *threads = getenv("THREADS");
    pool *p = pool_open(threads ? atoi(threads) : 2);
    if (pool_threads(p) == 1)
        which = CLOCK_PROCESS_CPUTIME_ID;

    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const problem *q = &problems[i];
        if (argc > 1 && !strstr(q->name, argv[1]) && strcmp(q->op, argv[1]))
            continue;
        printf("%s %s\n", q->op, q->name);
        for (int b = 0; backends[b]; b++)
            for (size_t k = 0; k < backends[b]->count; k++)
                if (!strcmp(backends[b]->kernels[k].op, q->op))
                    time_kernel(q, &backends[b]->kernels[k], p);
    }
    pool_close(p);
    return 0;
}
