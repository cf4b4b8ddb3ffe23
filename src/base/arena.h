/* arena.h - memory that is freed all at once.  Pointers stay valid until arena_free; nothing is freed one by one. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include <stdarg.h>
#include <stddef.h>

typedef struct arena { struct arena_chunk *last; size_t bytes; } arena;      /* {0} is an empty arena */

void *arena_alloc(arena *a, size_t bytes);                       /* zeroed, 16-byte aligned; NULL: out of memory */
char *arena_strdup(arena *a, const char *text);
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(arena *a, const char *fmt, va_list ap);
void arena_free(arena *a);                                       /* back to {0} */

#endif
