/* peak.c - what this machine can do at most, measured: multiply-adds in a precision, and bytes from memory. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "backend/backend.h"
#include "gemm.h"

enum { ROUNDS = 1 << 18, TRIES = 5 };
static const int64_t copied = 32 << 20;             /* bytes a thread: beyond its caches */

typedef struct peak_work { const gemm_vec *v; float *sum; char *from, *to; } peak_work;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void multiply(void *arg, int64_t from, int64_t to)
{
    peak_work *w = arg;
    for (int64_t i = from; i < to; i++)
        w->sum[i] = w->v->peak ? w->v->peak(ROUNDS / 16) : VEC_PICK(peak_vec)->chains(ROUNDS, .5f, (float)i);
}

/* Multiply-adds of one thread. */
static double multiplied(const gemm_vec *v, float sum)
{
    return v->peak ? (double)sum : (double)ROUNDS * VEC_PICK(peak_vec)->numbers;
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

bool cpu_peak(struct pool *p, tg_precision precision, double *gflops, double *gb_per_second)
{
    int64_t n = pool_threads(p);
    peak_work w = { gemm_for(precision), calloc((size_t)n, sizeof *w.sum), calloc((size_t)n, (size_t)copied), malloc((size_t)(n * copied)) };
    bool ok = w.sum && w.from && w.to;
    if (ok) {
        const double took = least(p, multiply, &w);
        *gflops = 2e-9 * (double)n * multiplied(w.v, w.sum[0]) / took;
        *gb_per_second = 2e-9 * (double)(n * copied) / least(p, move, &w);
    }
    free(w.sum);
    free(w.from);
    free(w.to);
    return ok;
}
