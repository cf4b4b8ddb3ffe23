/* kernels.h - the kernels of this backend, one file each. */
#ifndef KERNELS_H
#define KERNELS_H
#include "backend/backend.h"

#define KERNEL(name) extern const tg_kernel kernel_##name;
#include "kernels.list"
#undef KERNEL

#endif
