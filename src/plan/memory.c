/* memory.c - places buffers in one arena.
 *
 * An arena that caches hold is divided into places, one for each buffer that is alive while others are: a buffer lies in the middle of one.  Work is
 * dealt out to threads in order, so that of two each half of a buffer is one's, and what lies before the middle of a place is the same thread's
 * whatever buffer is there.  (To write a line that the other thread wrote and read takes 3 ns, 25 where the two share no cache, and 0.7 otherwise.)
 * A larger arena is packed: each buffer at the lowest offset where nothing alive at the same time lies.
 */
#include <stdlib.h>
#include <string.h>
#include "plan_in.h"

enum { LINE = 64, CACHED = 64 << 20 };

static int larger_first(const void *a, const void *b)
{
    const buffer *x = *(buffer *const *)a, *y = *(buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

static int lower_first(const void *a, const void *b)
{
    const buffer *x = *(buffer *const *)a, *y = *(buffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool together(const buffer *a, const buffer *b) { return a->first <= b->last && b->first <= a->last; }

/* The lowest offset for list[i], the ones before it being placed.  busy: room for them. */
static size_t lowest(buffer *const *list, int i, buffer **busy)
{
    int m = 0;
    for (int k = 0; k < i; k++)
        if (together(list[k], list[i]))
            busy[m++] = list[k];
    qsort(busy, (size_t)m, sizeof *busy, lower_first);
    size_t at = 0;
    for (int k = 0; k < m; k++) {
        if (busy[k]->offset >= at + list[i]->bytes)
            break;
        if (busy[k]->offset + busy[k]->bytes > at)
            at = busy[k]->offset + busy[k]->bytes;
    }
    return at;
}

/* The smallest place that is free for list[i]: `place` tells the first buffer, the largest, of each one before it.  i itself: a new one.  taken: room
 * for as many. */
static int smallest(buffer *const *list, int i, const int *place, bool *taken)
{
    memset(taken, 0, (size_t)i * sizeof *taken);
    for (int k = 0; k < i; k++)
        taken[place[k]] |= together(list[k], list[i]);
    for (int p = i - 1; p >= 0; p--)
        if (place[p] == p && !taken[p])
            return p;
    return i;
}

/* The arena's size, or one beyond CACHED.  list: largest first. */
static size_t centre(buffer **list, int n, int *place, bool *taken)
{
    size_t total = 0;
    for (int i = 0; i < n && total <= CACHED; i++) {
        place[i] = smallest(list, i, place, taken);
        list[i]->offset = total;
        if (place[i] == i)
            total += list[i]->bytes;
        else
            list[i]->offset = list[place[i]]->offset + (list[place[i]]->bytes - list[i]->bytes) / 2 / LINE * LINE;
    }
    return total;
}

size_t plan_memory(buffer *b, int n, status *st)
{
    buffer **list = malloc(((size_t)n + 1) * sizeof *list), **busy = malloc(((size_t)n + 1) * sizeof *busy);
    int *place = malloc(((size_t)n + 1) * sizeof *place);
    bool *taken = malloc(((size_t)n + 1) * sizeof *taken);
    size_t total = SIZE_MAX;
    if (list && busy && place && taken) {
        for (int i = 0; i < n; i++) {
            list[i] = &b[i];
            b[i].bytes = (b[i].bytes + LINE - 1) / LINE * LINE;
        }
        qsort(list, (size_t)n, sizeof *list, larger_first);
        total = centre(list, n, place, taken);
        if (total > CACHED) {
            total = 0;
            for (int i = 0; i < n; i++) {
                list[i]->offset = lowest(list, i, busy);
                if (list[i]->offset + list[i]->bytes > total)
                    total = list[i]->offset + list[i]->bytes;
            }
        }
    } else
        status_fail(st, TIMM_NO_MEMORY, "out of memory planning %d buffers", n);
    free(list);
    free(busy);
    free(place);
    free(taken);
    return total;
}
