/* peak.c - what this machine can do at most, measured: multiply-adds of floats, and bytes from memory. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "backend/backend.h"
#include "vec.h"

enum { ROUNDS = 1 << 18, TRIES = 5 };
static const int64_t copied = 32 << 20;             /* bytes a thread: beyond its caches */

typedef struct peak_work { float *sum; char *from, *to; } peak_work;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void multiply(void *arg, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        ((peak_work *)arg)->sum[i] = VEC_PICK(peak_vec)->chains(ROUNDS, .5f, (float)i);
}

static void move(void *arg, int64_t from, int64_t to)
{
    const peak_work *w = arg;
    for (int64_t i = from; i < to; i++)
        memcpy(w->to + i * copied, w->from + i * copied, (size_t)copied);
}

static double least(struct pool *p, void (*work)(void *, int64_t, int64_t), peak_work *w)
{
    double best = 1e9;
    for (int i = 0; i < TRIES; i++) {
        double began = now();
        pool_run(p, pool_threads(p), 1, work, w);
        double took = now() - began;
        best = took < best ? took : best;
    }
    return best;
}

bool cpu_peak(struct pool *p, double *gflops, double *gb_per_second)
{
    int64_t n = pool_threads(p);
    peak_work w = { calloc((size_t)n, sizeof *w.sum), calloc((size_t)n, (size_t)copied), malloc((size_t)(n * copied)) };
    bool ok = w.sum && w.from && w.to;
    if (ok) {
        *gflops = 2e-9 * (double)(n * ROUNDS * VEC_PICK(peak_vec)->numbers) / least(p, multiply, &w);
        *gb_per_second = 2e-9 * (double)(n * copied) / least(p, move, &w);
    }
    free(w.sum);
    free(w.from);
    free(w.to);
    return ok;
}
