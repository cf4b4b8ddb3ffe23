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

static inline double random_normal(uint64_t key, uint64_t counter)   /* N(0, 1), Box-Muller; uses counters 2c and 2c + 1 */
{
    double u = 1 - random_uniform(key, 2 * counter), v = random_uniform(key, 2 * counter + 1);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

#endif
