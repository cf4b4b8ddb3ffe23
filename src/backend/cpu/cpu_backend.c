/* cpu_backend.c - the list of our own kernels; for one op, best first. */
#include "kernels.h"

static tg_kernel table[] = {
#define KERNEL(name) { 0 },
#include "kernels.list"
#undef KERNEL
};

static const tg_kernel *const list[] = {
#define KERNEL(name) &kernel_##name,
#include "kernels.list"
#undef KERNEL
};

static bool open_cpu(void)
{
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        table[i] = *list[i];
    return true;
}

const tg_backend backend_cpu = {
    .name = "cpu", .open = open_cpu, .kernels = table, .count = sizeof table / sizeof *table
};
