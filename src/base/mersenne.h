/* mersenne.h - the Mersenne Twister mt19937, where a number must be the one that PyTorch, NumPy or Python draws. */
#ifndef BASE_MERSENNE_H
#define BASE_MERSENNE_H
#include <stdint.h>

typedef struct mersenne { uint32_t word[624]; int next; } mersenne;

void mersenne_seed(mersenne *m, uint32_t seed);         /* init_genrand: torch.manual_seed, numpy.random.seed */
uint32_t mersenne_draw(mersenne *m);

#endif
