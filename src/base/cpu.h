/* cpu.h - what this processor can do, asked at run time. */
#ifndef BASE_CPU_H
#define BASE_CPU_H
#include <stdbool.h>
#include <stddef.h>

/* Instruction sets that kernels are compiled for, each containing those before it. */
typedef enum cpu_isa { ISA_PLAIN, ISA_AVX2, ISA_AVX512 } cpu_isa;      /* AVX2: with FMA and F16C; AVX512: F, BW, DQ, VL */
typedef struct cpu_info {
    cpu_isa isa;                /* TIMM_ISA=plain|avx2|avx512 in the environment lowers it, to that and no more, for tests */
    bool vnni, bf16, amx;       /* amx: tiles for bf16, and the kernel lets us use them */
    size_t l1, l2;              /* bytes of data cache, of one core */
    char name[64];              /* "AMD EPYC" */
} cpu_info;
const cpu_info *cpu(void);

#endif
