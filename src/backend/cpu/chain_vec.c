/* chain_vec.c - chains of elementwise ops whose results are floats. */
#include "chain_simd.h"

static void run(const chain_program *p, void *y, int64_t n) { chain_strips(p, y, n, &(chain_how){ 0 }); }

const chain_vec VEC(chain_vec) = { .strip = CHAIN_STRIP, .run = run };
