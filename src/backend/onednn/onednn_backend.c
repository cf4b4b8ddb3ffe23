/* onednn_backend.c - kernels by oneDNN, where the build found its headers and the machine has the library. */
#include "backend/backend.h"

#ifdef TIMM_ONEDNN
#include "onednn_product.h"

static tg_kernel table[2];

static bool open_onednn(void)
{
    if (!dn_load())
        return false;
    table[0] = kernel_conv2d_onednn;
    table[1] = kernel_linear_onednn;
    return true;
}

const tg_backend backend_onednn = { .name = "onednn", .open = open_onednn, .kernels = table, .count = 2 };
#else
static bool open_onednn(void) { return false; }

const tg_backend backend_onednn = { .name = "onednn", .open = open_onednn };
#endif
