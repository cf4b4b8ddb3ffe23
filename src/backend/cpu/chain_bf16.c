/* chain_bf16.c - chains of elementwise ops whose results are bfloat16 in memory. */
#include "bf16_simd.h"
#include "chain_simd.h"

INLINE void narrow(uint16_t *to, vf a, vf b) { put(to, halves(a, b), 2 * VW); }

INLINE vf soft(const act_kind kind, vf x)
{
    const curve of = curve_of((act){ kind == ACT_SILU_SLOPE ? ACT_SILU : kind, 0, 0 });
    const bend q = bend_of(&of);
    return kind == ACT_SILU_SLOPE ? slope_of(CURVED, &q, x) : follow(CURVED, &q, x);
}

static void run(const chain_program *p, void *y, int64_t n) { chain_strips(p, y, n, &(chain_how){ narrow, soft }); }

const chain_vec VEC(chain_bf16) = { .strip = CHAIN_STRIP, .run = run };
