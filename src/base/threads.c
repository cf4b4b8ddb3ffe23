/* threads.c - the pool: ranges dealt out per thread, taken by compare-and-swap, stolen by whoever is done first.
 *
 * A run is a number (`turn`) and one word per thread: turn, next range, end of its ranges. Whoever takes a range by
 * advancing a word of the current turn may read the job, because the run cannot end before that range is done; a
 * thread that wakes late finds words of another turn and goes back to sleep. So nobody ever waits for a thread to
 * arrive, only for ranges that are in progress. Waiting spins for some tens of microseconds and then sleeps, so
 * that two processes on the same cores do not burn each other's time.
 */
#include "base/threads.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 256, RANGES_PER_THREAD = 16, SPIN_NS = 30000 };

typedef struct worker {
    _Alignas(64) _Atomic uint64_t word;     /* turn << 32 | next << 16 | end */
    pthread_t thread;
    pool *owner;
    int index;
} worker;

struct pool {
    int threads;                            /* the caller counts */
    _Alignas(64) _Atomic uint32_t turn;
    _Atomic int sleepers;
    _Atomic bool closing, busy;
    _Alignas(64) _Atomic uint32_t done;     /* ranges finished in this run */
    _Atomic bool caller_sleeps;
    uint32_t ranges;
    int64_t n, step;
    void (*work)(void *arg, int64_t from, int64_t to);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
    worker worker[];
};

static _Thread_local int self;

int pool_worker(void) { return self; }
int pool_threads(const pool *p) { return p ? p->threads : 1; }

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Spins until *word is (or is no longer) value; false: still not after SPIN_NS. */
static bool spin(_Atomic uint32_t *word, uint32_t value, bool until_equal)
{
    for (int64_t end = 0;;) {
        for (int i = 0; i < 64; i++) {
            if ((atomic_load_explicit(word, memory_order_acquire) == value) == until_equal)
                return true;
            relax();
        }
        int64_t now = now_ns();
        if (!end)
            end = now + SPIN_NS;
        else if (now > end)
            return false;
    }
}

static bool take(_Atomic uint64_t *word, uint32_t turn, uint32_t *range)
{
    uint64_t w = atomic_load_explicit(word, memory_order_acquire);
    for (;;) {
        uint32_t next = (uint32_t)(w >> 16) & 0xffff, end = (uint32_t)w & 0xffff;
        if ((uint32_t)(w >> 32) != turn || next >= end)
            return false;
        if (atomic_compare_exchange_weak(word, &w, w + 0x10000)) {
            *range = next;
            return true;
        }
    }
}

/* Its own ranges first, then the others'; what is done is counted once for each thread's ranges, as all threads write that number. */
static void help(pool *p, int index, uint32_t turn)
{
    for (int i = 0; i < p->threads; i++) {
        worker *w = &p->worker[(index + i) % p->threads];
        uint32_t range, taken = 0, all = 0;
        for (; take(&w->word, turn, &range); taken++) {
            int64_t from = (int64_t)range * p->step, to = from + p->step;
            all = p->ranges;
            p->work(p->arg, from, to < p->n ? to : p->n);
        }
        if (taken && atomic_fetch_add(&p->done, taken) + taken == all && atomic_load(&p->caller_sleeps)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    pool *p = w->owner;
    uint32_t seen = 0;

    self = w->index;
    while (!atomic_load(&p->closing)) {
        if (!spin(&p->turn, seen, false)) {
            pthread_mutex_lock(&p->lock);
            atomic_fetch_add(&p->sleepers, 1);
            while (atomic_load(&p->turn) == seen)
                pthread_cond_wait(&p->wake, &p->lock);
            atomic_fetch_sub(&p->sleepers, 1);
            pthread_mutex_unlock(&p->lock);
        }
        seen = atomic_load(&p->turn);
        help(p, w->index, seen);
    }
    return NULL;
}

static void announce(pool *p)
{
    atomic_fetch_add(&p->turn, 1);
    if (atomic_load(&p->sleepers)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

static int usable_cores(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set))
        return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

pool *pool_open(int threads)
{
    if (threads <= 0)
        threads = usable_cores();
    if (threads > MAX_THREADS)
        threads = MAX_THREADS;
    size_t bytes = sizeof(pool) + (size_t)threads * sizeof(worker);
    pool *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p)
        return NULL;
    *p = (pool){ .threads = 1 };
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->finished, NULL);
    for (int i = 0; i < threads; i++) {
        p->worker[i] = (worker){ .owner = p, .index = i };
        if (i && pthread_create(&p->worker[i].thread, NULL, worker_main, &p->worker[i]))
            break;                          /* fewer threads, the same results */
        p->threads = i + 1;
    }
    return p;
}

void pool_close(pool *p)
{
    if (!p)
        return;
    atomic_store(&p->closing, true);
    announce(p);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->worker[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->finished);
    free(p);
}

static void wait_for_ranges(pool *p)
{
    if (spin(&p->done, p->ranges, true))
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->done) != p->ranges)
        pthread_cond_wait(&p->finished, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(pool *p, int64_t n, int64_t grain, void (*work)(void *arg, int64_t from, int64_t to), void *arg)
{
    if (n <= 0)
        return;
    if (grain < 1)
        grain = 1;
    int64_t units = (n - 1) / grain + 1, wanted = (int64_t)pool_threads(p) * RANGES_PER_THREAD;
    if (pool_threads(p) == 1 || units == 1 || atomic_exchange(&p->busy, true)) {    /* busy: called from inside work */
        work(arg, 0, n);
        return;
    }
    p->n = n;
    p->step = (units < wanted ? 1 : units / wanted) * grain;            /* up to twice as many: by two threads 34 units are not 17 ranges of two */
    p->ranges = (uint32_t)((n + p->step - 1) / p->step);
    p->work = work;
    p->arg = arg;
    atomic_store(&p->done, 0);
    uint32_t turn = atomic_load(&p->turn) + 1;
    for (int i = 0; i < p->threads; i++) {
        uint64_t from = (uint64_t)p->ranges * (uint64_t)i / (uint64_t)p->threads;
        uint64_t to = (uint64_t)p->ranges * (uint64_t)(i + 1) / (uint64_t)p->threads;
        atomic_store_explicit(&p->worker[i].word, (uint64_t)turn << 32 | from << 16 | to, memory_order_release);
    }
    announce(p);
    int outer = self;
    self = 0;
    help(p, 0, turn);
    wait_for_ranges(p);
    self = outer;
    atomic_store(&p->busy, false);
}
