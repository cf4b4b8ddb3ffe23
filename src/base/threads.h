/* threads.h - a pool of threads that sleep when there is nothing to do. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H
#include <stdint.h>

typedef struct pool pool;
pool *pool_open(int threads);                /* 0: one per core this process may use; never NULL but for lack of memory */
void pool_close(pool *p);
int pool_threads(const pool *p);             /* a NULL pool counts 1 and runs in the caller */
/* Calls work(arg, from, to) over disjoint ranges that cover [0, n), ranges a multiple of grain (but the last), and waits.
 * The ranges depend on n, grain and the number of threads only, never on timing. */
void pool_run(pool *p, int64_t n, int64_t grain, void (*work)(void *arg, int64_t from, int64_t to), void *arg);
/* Inside work: a number below pool_threads that no other thread of this run has, to pick a piece of scratch memory. */
int pool_worker(void);

#endif
