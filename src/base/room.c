/* room.c - a block begins with a line that says how it is to be given back. */
#include "room.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { LINE = 64, PAGE = 4096, LARGE = 256 << 10 };
typedef struct line { void *base; size_t mapped; } line;            /* mapped 0: base is malloc's */

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

void *room_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t all = (bytes + LINE + PAGE - 1) / PAGE * PAGE;
    line l = { .mapped = all >= LARGE ? all : 0 };
    if (l.mapped) {
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
        munmap(l.base, l.mapped);
    else
        free(l.base);
}
