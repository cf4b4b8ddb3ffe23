/* chain_vec.c - chains of elementwise ops whose results are floats, or bfloat16 without instructions for it. */
#include "chain_simd.h"

INLINE void narrow(uint16_t *to, vf a, vf b)
{
    vnarrow(to, a, VW);
    vnarrow(to + VW, b, VW);
}

static void run(const chain_program *p, void *y, int64_t n) { chain_strips(p, y, n, &(chain_how){ 0 }); }
static void run_narrow(const chain_program *p, void *y, int64_t n) { chain_strips(p, y, n, &(chain_how){ .narrow = narrow }); }

const chain_vec VEC(chain_vec) = { .strip = CHAIN_STRIP, .run = run };
const chain_vec VEC(chain_narrow_vec) = { .strip = CHAIN_STRIP, .run = run_narrow };
