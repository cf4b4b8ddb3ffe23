/* peak_vec.c - as many multiply-adds as the processor can start: chains enough that none waits for another. */
#include "simd.h"
#include "vec.h"

enum { CHAINS = 12 };

static float chains(int64_t rounds, float a, float b)
{
    vf sum[CHAINS], x = vset(a), y = vset(b);
    float out[VW];
    UNROLL
    for (int i = 0; i < CHAINS; i++)
        sum[i] = vset((float)i);
    for (int64_t k = 0; k < rounds; k++)
        UNROLL
        for (int i = 0; i < CHAINS; i++)
            sum[i] = sum[i] * x + y;
    for (int i = 1; i < CHAINS; i++)
        sum[0] += sum[i];
    vstore(out, sum[0]);
    return out[0];
}

const peak_vec VEC(peak_vec) = { CHAINS * VW, chains };
