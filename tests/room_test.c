/* room_test.c - blocks of any size are aligned, apart, and survive being kept for the next. */
#include <stdlib.h>
#include <string.h>
#include "base/room.h"
#include "test.h"

TEST(room_blocks_are_aligned_and_apart)
{
    static const size_t sizes[] = { 0, 1, 63, 64, 4096, 262079, 262080, 262144, 1 << 20, 3000001, 6 << 20 };
    enum { N = sizeof sizes / sizeof *sizes };
    unsigned char *block[N];
    for (int round = 0; round < 6; round++) {
        if (round == 2 || round == 3)
            room_keep_begin();                           /* nested once */
        for (int i = 0; i < N; i++) {
            block[i] = room_alloc(sizes[i]);
            REQUIRE(block[i] && (uintptr_t)block[i] % 64 == 0, "%zu bytes at %p", sizes[i], (void *)block[i]);
            memset(block[i], i + round, sizes[i]);
        }
        for (int i = 0; i < N; i++)
            for (size_t k = 0; k < sizes[i]; k += 997)
                CHECK(block[i][k] == i + round, "byte %zu of %zu was overwritten", k, sizes[i]);
        for (int i = 0; i < N; i++)
            room_free(block[(i + round) % N]);
        if (round >= 4)
            room_keep_end();
    }
    room_free(NULL);
}

TEST(room_is_reused_between_keep_begin_and_end)
{
    room_keep_begin();
    void *first = room_alloc(1 << 20);
    room_free(first);
    void *again = room_alloc(900000), *other = room_alloc(900000);
    CHECK(first == again && other != again, "the block was not kept");
    room_free(again);
    room_free(other);
    room_keep_end();
    CHECK(!room_alloc(SIZE_MAX - 5), "the whole address space was given");
}
