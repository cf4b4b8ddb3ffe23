/* pages.c - spans of address space, each cut into blocks in the order of their addresses; a new block goes into the first gap.
 *
 * What of a span is not used yet is not in memory.  A span goes back to the system with its last block, huge pages between
 * blocks when nothing is left on them.  Under the address sanitizer blocks are malloc's, which watches their ends.
 */
#include "pages.h"
#include <stdint.h>
#include <stdlib.h>
#include "room.h"

#ifdef __SANITIZE_ADDRESS__

void *pages_alloc(size_t bytes) { return bytes > SIZE_MAX / 2 ? NULL : aligned_alloc(64, (bytes + 64) / 64 * 64); }
void pages_free(void *block) { free(block); }

#else
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

enum { LINE = 64 };
static const size_t huge = 2 << 20, usual = 32 << 20;                   /* bytes of a page; of a span */

typedef struct block block;
struct block { _Alignas(LINE) block *next; struct span *in; size_t bytes; };        /* before its bytes, and with them */
typedef struct span { struct span *next; char *base; size_t bytes; block *first; } span;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static span *spans;

static size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static span *open_span(size_t bytes)
{
    span *s = malloc(sizeof *s);
    char *p = s ? mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : MAP_FAILED;
    if (p == MAP_FAILED) {
        free(s);
        return NULL;
    }
    const size_t before = up((uintptr_t)p, huge) - (uintptr_t)p;
    if (before)
        munmap(p, before);
    if (huge - before)
        munmap(p + before + bytes, huge - before);
    *s = (span){ spans, p + before, bytes, NULL };
    room_huge(s->base, bytes);
    return spans = s;
}

static void close_span(span *s)
{
    span **at = &spans;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    munmap(s->base, s->bytes);
    free(s);
}

/* In the first gap that is large enough; NULL: there is none. */
static block *place(span *s, size_t bytes)
{
    char *from = s->base;
    block **at = &s->first;
    while (*at && (size_t)((char *)*at - from) < bytes) {
        from = (char *)*at + (*at)->bytes;
        at = &(*at)->next;
    }
    if (!*at && (size_t)(s->base + s->bytes - from) < bytes)
        return NULL;
    block *b = (block *)(void *)from;
    *b = (block){ .next = *at, .in = s, .bytes = bytes };
    return *at = b;
}

void *pages_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    const size_t all = up(bytes, LINE) + sizeof(block);
    block *b = NULL;
    pthread_mutex_lock(&lock);
    for (span *s = spans; s && !b; s = s->next)
        b = place(s, all);
    if (!b) {
        span *s = all < usual ? open_span(usual) : NULL;
        if (!s)
            s = open_span(up(all, huge));
        b = s ? place(s, all) : NULL;
    }
    pthread_mutex_unlock(&lock);
    return b ? b + 1 : NULL;
}

void pages_free(void *p)
{
    if (!p)
        return;
    block *b = (block *)p - 1;
    span *s = b->in;
    pthread_mutex_lock(&lock);
    block **at = &s->first;
    char *from = s->base;
    for (; *at != b; at = &(*at)->next)
        from = (char *)*at + (*at)->bytes;
    char *to = b->next ? (char *)b->next : s->base + s->bytes;
    *at = b->next;
    if (!s->first)
        close_span(s);
    else {
        from = s->base + up((size_t)(from - s->base), huge);
        to = s->base + (size_t)(to - s->base) / huge * huge;
        if (from < to)
            madvise(from, (size_t)(to - from), MADV_DONTNEED);
    }
    pthread_mutex_unlock(&lock);
}

#endif
