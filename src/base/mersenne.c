/* mersenne.c - mt19937 as Matsumoto and Nishimura define it. */
#include "base/mersenne.h"

enum { WORDS = 624, MIDDLE = 397 };

void mersenne_seed(mersenne *m, uint32_t seed)
{
    m->word[0] = seed;
    for (uint32_t i = 1; i < WORDS; i++)
        m->word[i] = 1812433253u * (m->word[i - 1] ^ (m->word[i - 1] >> 30)) + i;
    m->next = WORDS;
}

static void refill(mersenne *m)
{
    for (int i = 0; i < WORDS; i++) {
        uint32_t y = (m->word[i] & 0x80000000u) | (m->word[(i + 1) % WORDS] & 0x7FFFFFFFu);
        m->word[i] = m->word[(i + MIDDLE) % WORDS] ^ (y >> 1) ^ (y & 1 ? 0x9908B0DFu : 0);
    }
    m->next = 0;
}

uint32_t mersenne_draw(mersenne *m)
{
    if (m->next == WORDS)
        refill(m);
    uint32_t y = m->word[m->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9D2C5680u;
    y ^= (y << 15) & 0xEFC60000u;
    return y ^ (y >> 18);
}
