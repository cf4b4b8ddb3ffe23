/* memory.c - places buffers in one arena: largest first, each at the lowest offset where nothing alive at the same time lies. */
#include <stdlib.h>
#include "plan_in.h"

enum { LINE = 64 };

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

size_t plan_memory(buffer *b, int n, status *st)
{
    buffer **list = malloc(((size_t)n + 1) * sizeof *list), **busy = malloc(((size_t)n + 1) * sizeof *busy);
    size_t total = 0;
    if (!list || !busy) {
        free(list);
        free(busy);
        status_fail(st, TIMM_NO_MEMORY, "out of memory planning %d buffers", n);
        return SIZE_MAX;
    }
    for (int i = 0; i < n; i++) {
        list[i] = &b[i];
        b[i].bytes = (b[i].bytes + LINE - 1) / LINE * LINE;
    }
    qsort(list, (size_t)n, sizeof *list, larger_first);
    for (int i = 0; i < n; i++) {
        int m = 0;
        for (int k = 0; k < i; k++)
            if (list[k]->first <= list[i]->last && list[i]->first <= list[k]->last)
                busy[m++] = list[k];
        qsort(busy, (size_t)m, sizeof *busy, lower_first);
        size_t at = 0;
        for (int k = 0; k < m; k++) {
            if (busy[k]->offset >= at + list[i]->bytes)
                break;
            if (busy[k]->offset + busy[k]->bytes > at)
                at = busy[k]->offset + busy[k]->bytes;
        }
        list[i]->offset = at;
        if (at + list[i]->bytes > total)
            total = at + list[i]->bytes;
    }
    free(list);
    free(busy);
    return total;
}
