/* onednn_backend.c - kernels by oneDNN, where the build found its headers and the machine has the library. */
#include "backend/backend.h"

#ifdef TIMM_ONEDNN
#include <stdio.h>
#include "onednn_product.h"

static tg_kernel table[5];

static bool open_onednn(void)
{
    if (!dn_load())
        return false;
    table[0] = kernel_conv2d_onednn;
    table[1] = kernel_linear_onednn;
    table[2] = kernel_conv2d_changing_onednn;
    table[3] = kernel_conv2d_grad_input_onednn;
    table[4] = kernel_conv2d_grad_weight_onednn;
    return true;
}

static const char *version(void)
{
    static char text[32];
    const dnnl_version_t *v = dn()->version();
    snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

const tg_backend backend_onednn = { .name = "onednn", .open = open_onednn, .library = "oneDNN", .version = version,
                                    .kernels = table, .count = 5 };
#else
static bool open_onednn(void) { return false; }

const tg_backend backend_onednn = { .name = "onednn", .open = open_onednn };
#endif
