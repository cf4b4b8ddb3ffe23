/* random.h - numbers that are a function of (key, counter): the same in any order, on any number of threads. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_name(const char *name)                    /* FNV-1a, 64 bits */
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3u;
    return h;
}

/* Number `counter` (from 1 up) of the SplitMix64 stream of `key`. */
static inline uint64_t random_bits(uint64_t key, uint64_t counter)
{
    uint64_t z = key + counter * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline double random_uniform(uint64_t key, uint64_t counter)  /* [0, 1) */
{
    return (double)(random_bits(key, counter) >> 11) * 0x1p-53;
}

static inline int64_t random_below(uint64_t key, uint64_t counter, int64_t n)        /* 0 .. n - 1 */
{
    return (int64_t)(random_uniform(key, counter) * (double)n);
}

/* Two of N(0, 1), numbers 2 c - 2 and 2 c - 1 of the key's normals (c from 1 up): Box-Muller, in float. */
static inline void random_normals(uint64_t key, uint64_t c, float out[2])
{
    uint64_t bits = random_bits(key, c);
    float u = ((float)(uint32_t)(bits >> 32 >> 8) + 1) * 0x1p-24f, angle = (float)(uint32_t)(bits & 0xFFFFFF) * (6.2831853f * 0x1p-24f);
    float radius = sqrtf(-2 * logf(u));
    out[0] = radius * cosf(angle);
    out[1] = radius * sinf(angle);
}

#endif
