/* channels.h - what norms that end in one scale and one shift a channel share: channels_cpu.c. */
#ifndef CHANNELS_H
#define CHANNELS_H
#include "kernels.h"
#include "packed_product.h"

const char *channels_declines(const tg_call *c);
void channels_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out);
void channels_innermost(tg_tensor *t);
rowmap pixels_of(const tg_tensor *t, bool one_image);
/* y = scale x + shift of one image, or of all. */
void scale_channels(const tg_call *c, int64_t image, bool one_image, const float *scale, const float *shift);

#endif
