/* resample_avx2.h - the resampling passes with AVX2, where the processor has it. */
#ifndef DATA_RESAMPLE_AVX2_H
#define DATA_RESAMPLE_AVX2_H
#include "data/resample.h"

const resample_kernels *resample_avx2(void);           /* NULL: not on this processor */

#endif
