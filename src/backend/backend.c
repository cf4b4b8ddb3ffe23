/* backend.c - lists of backends by name, opened once. */
#include "backend/backend.h"
#include <pthread.h>
#include <string.h>

enum { MOST = 3 };
static struct named { const char *name; const tg_backend *want[MOST]; const tg_backend *have[MOST + 1]; } lists[] = {
    { "auto",   { &backend_cpu, &backend_onednn }, { NULL } },
    { "cpu",    { &backend_cpu },                  { NULL } },
    { "onednn", { &backend_onednn, &backend_cpu }, { NULL } },
    { "ref",    { &backend_ref },                  { NULL } },
};

/* Backends that are not on this machine are left out. */
static void open_list(struct named *l)
{
    int n = 0;
    if (l->have[0])
        return;
    for (int i = 0; i < MOST && l->want[i]; i++)
        if (!l->want[i]->open || l->want[i]->open())
            l->have[n++] = l->want[i];
}

const tg_backend *const *tg_backends(const char *name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!strcmp(lists[i].name, name && *name ? name : "auto")) {
            pthread_mutex_lock(&lock);
            open_list(&lists[i]);
            pthread_mutex_unlock(&lock);
            return lists[i].have;
        }
    return NULL;
}
