/* onednn_load.c - opens the library, once.
 *
 * By dlopen, so that a command that computes nothing does not wait for it, and so that the waiting of its OpenMP
 * threads can be settled before that runtime starts: they sleep instead of spinning on cores that somebody else
 * needs.
 */
#include "base/room.h"
#include "onednn_api.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifndef TIMM_ONEDNN_LIBRARY
#if DNNL_VERSION_MAJOR == 2
#define TIMM_ONEDNN_LIBRARY "libdnnl.so.2"
#else
#define TIMM_ONEDNN_LIBRARY "libdnnl.so.3"
#endif
#endif

static struct dn_api api;
static bool found;

static const struct { const char *name; size_t at; } functions[] = {
#define DNNL_ENTRY(name) { "dnnl_" #name, offsetof(struct dn_api, name) },
    DNNL_FUNCTIONS(DNNL_ENTRY)
#undef DNNL_ENTRY
};

static void load(void)
{
    setenv("OMP_WAIT_POLICY", "passive", 0);
    setenv("GOMP_SPINCOUNT", "1000", 0);
    void *library = dlopen(TIMM_ONEDNN_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *f = dlsym(library, functions[i].name);
        if (!f)
            return;
        memcpy((char *)&api + functions[i].at, &f, sizeof f);
    }
    void *set = dlsym(library, "omp_set_num_threads");
    memcpy(&api.set_threads, &set, sizeof set);
    found = api.version()->major == DNNL_VERSION_MAJOR && api.engine_create(&api.engine, dnnl_cpu, 0) == dnnl_success
            && api.stream_create(&api.stream, api.engine, dnnl_stream_default_flags) == dnnl_success;
}

const struct dn_api *dn_load(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return found ? &api : NULL;
}

const struct dn_api *dn(void) { return &api; }

bool dn_create(dnnl_primitive_t *made, const_dnnl_primitive_desc_t of)
{
    enum { ENOUGH = 16 << 20 };
    return room_left(ENOUGH) && dn()->primitive_create(made, of) == dnnl_success;
}
