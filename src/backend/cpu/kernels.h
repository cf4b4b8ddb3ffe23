/* kernels.h - the kernels of this backend, one file each. */
#ifndef KERNELS_H
#define KERNELS_H
#include "backend/backend.h"

#define KERNEL(name) extern const tg_kernel kernel_##name;
#include "kernels.list"
#undef KERNEL

/* Whether kernel_conv2d reads the images of such a call from copies with shared borders, by tiles: conv2d_shared.c. */
bool conv2d_shares(const tg_call *c);

#endif
