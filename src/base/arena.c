/* arena.c - chunks of growing size, filled from the front. */
#include "arena.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk { struct arena_chunk *prev; size_t used, size; };

enum { ALIGN = 16, FIRST = 16 << 10 };
static size_t round_up(size_t n) { return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

void *arena_alloc(arena *a, size_t bytes)
{
    size_t head = round_up(sizeof(struct arena_chunk));
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes = round_up(bytes ? bytes : 1);
    struct arena_chunk *c = a->last;
    if (!c || c->size - c->used < bytes) {
        size_t size = c ? c->size * 2 : FIRST;
        if (size < head + bytes)
            size = head + bytes;
        c = calloc(1, size);
        if (!c)
            return NULL;
        *c = (struct arena_chunk){ .prev = a->last, .used = head, .size = size };
        a->last = c;
        a->bytes += size;
    }
    void *p = (char *)c + c->used;
    c->used += bytes;
    return p;
}

char *arena_strdup(arena *a, const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = arena_alloc(a, n);
    return p ? memcpy(p, text, n) : NULL;
}

char *arena_vprintf(arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, ap);
    return p;
}

char *arena_printf(arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

void arena_free(arena *a)
{
    while (a->last) {
        struct arena_chunk *prev = a->last->prev;
        free(a->last);
        a->last = prev;
    }
    a->bytes = 0;
}
