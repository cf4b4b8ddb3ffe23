/* pages_test.c - lasting blocks are aligned and apart, gaps between them are used again, and threads do not meet. */
#include <pthread.h>
#include <string.h>
#include "base/pages.h"
#include "test.h"

/* Blocks come and go in an order of chance; what is written to one stays until it goes. */
typedef struct guest { uint32_t chance; bool fault; } guest;

static void *come_and_go(void *arg)
{
    guest *g = arg;
    enum { N = 24 };
    static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 300001, 1 << 20, (5 << 20) + 7, 33 << 20 };
    unsigned char *block[N] = { 0 }, mark[N] = { 0 };
    size_t bytes[N] = { 0 };
    for (int round = 0; round < 400; round++) {
        g->chance = g->chance * 1664525u + 1013904223u;
        const int i = (int)(g->chance >> 8) % N;
        if (block[i]) {
            for (size_t k = 0; k < bytes[i]; k += bytes[i] / 7 + 1)
                g->fault = g->fault || block[i][k] != mark[i];
            g->fault = g->fault || (bytes[i] && block[i][bytes[i] - 1] != mark[i]);
            pages_free(block[i]);
            block[i] = NULL;
            continue;
        }
        bytes[i] = sizes[(g->chance >> 20) % (sizeof sizes / sizeof *sizes)];
        block[i] = pages_alloc(bytes[i]);
        mark[i] = (unsigned char)round;
        if (!block[i] || (uintptr_t)block[i] % 64)
            g->fault = true;
        else if (bytes[i] > 1 << 20) {                      /* some of it */
            for (size_t k = 0; k < bytes[i]; k += bytes[i] / 7 + 1)
                block[i][k] = mark[i];
            block[i][bytes[i] - 1] = mark[i];
        } else
            memset(block[i], mark[i], bytes[i]);
    }
    for (int i = 0; i < N; i++)
        pages_free(block[i]);
    return NULL;
}

TEST(pages_blocks_stay_apart_whoever_asks)
{
    pthread_t thread[3];
    guest g[3] = { { 1, false }, { 2, false }, { 3, false } };
    for (int i = 0; i < 3; i++)
        REQUIRE(!pthread_create(&thread[i], NULL, come_and_go, &g[i]), "no thread");
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        CHECK(!g[i].fault, "thread %d found another's bytes in its block, or no block", i);
    }
    pages_free(NULL);
    CHECK(!pages_alloc(SIZE_MAX - 5), "the whole address space was given");
}

#ifndef __SANITIZE_ADDRESS__
TEST(pages_gaps_are_filled)
{
    char *a = pages_alloc(1000), *b = pages_alloc(3 << 20), *c = pages_alloc(1000);
    REQUIRE(a && b && c, "no memory");
    CHECK(b - a < 4096 && c - b < (3 << 20) + 4096, "blocks do not follow one another");
    pages_free(b);
    char *again = pages_alloc(2 << 20), *after = pages_alloc(4096);
    CHECK(again == b && after > b && after < c, "a gap was left");
    pages_free(again);
    pages_free(after);
    pages_free(c);
    pages_free(a);
}
#endif
