/* random_key.h - the key of one pass: 64 bits as four whole numbers of 16, the lowest first, so that floats hold them. */
#ifndef OPS_RANDOM_KEY_H
#define OPS_RANDOM_KEY_H
#include "base/random.h"
#include "graph/graph.h"

enum { RANDOM_KEY = 4 };

static inline uint64_t random_key(const tg_tensor *key)
{
    uint64_t k = 0;
    for (int64_t i = 0; i < RANDOM_KEY; i++)
        k |= (uint64_t)tg_get(key, i * key->stride[0]) << (16 * i);
    return k;
}

/* Of 2^53 equally likely numbers, how many are a hit. */
static inline uint64_t random_hits(double chance)
{
    return chance <= 0 ? 0 : chance >= 1 ? (uint64_t)1 << 53 : (uint64_t)ceil(chance * 0x1p53);
}

#endif
