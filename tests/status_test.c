/* status_test.c - the base: the first failure sticks, arenas keep what they gave. */
#include <string.h>
#include "base/arena.h"
#include "base/status.h"
#include "test.h"

TEST(status_first_failure_sticks)
{
    status st = { 0 };
    status_fail(&st, TIMM_BAD_FILE, "x.safetensors: %d bytes", 3);
    status_fail(&st, TIMM_IO, "later");
    CHECK(st.code == TIMM_BAD_FILE && !strcmp(st.text, "x.safetensors: 3 bytes"), "%d %s", st.code, st.text);
}

TEST(arena_gives_zeroed_aligned_memory)
{
    arena a = { 0 };
    for (size_t n = 0; n < 5000; n += 7) {
        char *p = arena_alloc(&a, n);
        REQUIRE(p && (uintptr_t)p % 16 == 0, "%zu: %p", n, (void *)p);
        for (size_t i = 0; i < n; i++)
            if (p[i]) {
                CHECK(false, "byte %zu of %zu is not zero", i, n);
                break;
            }
        memset(p, 255, n);
    }
    arena_free(&a);
    CHECK(!a.last && !a.bytes, "arena not empty");
}
