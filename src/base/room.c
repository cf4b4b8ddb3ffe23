/* room.c - a block begins with a line that says how it is to be given back. */
#include "room.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { LINE = 64, PAGE = 4096, LARGE = 256 << 10 };
typedef struct line { void *base; size_t mapped; } line;            /* mapped 0: base is malloc's */

enum { KEPT = 2, KEPT_MOST = 5 << 20 };              /* few and not the largest: they count in the peak */
static _Thread_local struct { int depth; line block[KEPT]; } kept;

void room_huge(void *p, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    uintptr_t from = (uintptr_t)p & ~(uintptr_t)(PAGE - 1), to = ((uintptr_t)p + bytes + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    if (bytes >= LARGE)
        madvise((void *)from, to - from, MADV_HUGEPAGE);             /* a hint: nothing is lost if it is refused */
#else
    (void)p, (void)bytes;
#endif
}

bool room_left(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && !munmap(p, bytes);
}

/* A kept block of at least so many bytes and not many more; the base is NULL if there is none. */
static line take_kept(size_t bytes)
{
    line *best = NULL, taken = { 0 };
    for (line *l = kept.block; l < kept.block + KEPT; l++)
        if (l->base && l->mapped >= bytes && l->mapped / 4 <= bytes && (!best || l->mapped < best->mapped))
            best = l;
    if (best) {
        taken = *best;
        *best = (line){ 0 };
    }
    return taken;
}

/* Keeps the larger ones; what does not stay is unmapped. */
static void keep(line l)
{
    line *least = kept.block;
    for (line *k = kept.block; k < kept.block + KEPT; k++)
        if (k->mapped < least->mapped)
            least = k;
    if (kept.depth && l.mapped <= KEPT_MOST && least->mapped < l.mapped) {
        line out = *least;
        *least = l;
        l = out;
    }
    if (l.base)
        munmap(l.base, l.mapped);
}

void room_keep_begin(void) { kept.depth++; }

void room_keep_end(void)
{
    if (--kept.depth)
        return;
    for (line *l = kept.block; l < kept.block + KEPT; l++) {
        if (l->base)
            munmap(l->base, l->mapped);
        *l = (line){ 0 };
    }
}

void *room_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t all = (bytes + LINE + PAGE - 1) / PAGE * PAGE;
    line l = { .mapped = all >= LARGE ? all : 0 };
    line old = l.mapped ? take_kept(all) : (line){ 0 };
    if (old.base) {
        l = old;
    } else if (l.mapped) {
        l.base = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (l.base == MAP_FAILED)
            return NULL;
        room_huge(l.base, all);
    } else if (!(l.base = aligned_alloc(LINE, (bytes + 2 * LINE - 1) / LINE * LINE))) {
        return NULL;
    }
    *(line *)l.base = l;
    return (char *)l.base + LINE;
}

void room_free(void *room)
{
    if (!room)
        return;
    line l = *(line *)((char *)room - LINE);
    if (l.mapped)
        keep(l);
    else
        free(l.base);
}
