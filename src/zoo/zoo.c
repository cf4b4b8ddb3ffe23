/* zoo.c - the families, and which of them an architecture belongs to. */
#include "zoo/zoo.h"
#include <assert.h>
#include <pthread.h>

static const timm_family *const families[] = {
#define FAMILY(name) &timm_##name,
#include "zoo/zoo.list"
#undef FAMILY
};
enum { FAMILIES = sizeof families / sizeof *families, SLOTS = 8192 };

/* Open addressing over names; filled once, on the first look-up. */
static struct slot { const timm_family *family; const void *variant; } slots[SLOTS];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static const void *row(const timm_family *f, size_t i) { return (const char *)f->variants + i * f->size; }

static const char *name_of(const void *variant) { return *(const char *const *)variant; }

static struct slot *slot_of(const char *name)
{
    uint32_t h = 2166136261u;                                   /* FNV-1a */
    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    h = (h ^ h >> 16) % SLOTS;
    while (slots[h].variant && strcmp(name_of(slots[h].variant), name))
        h = (h + 1) % SLOTS;
    return &slots[h];
}

static void fill(void)
{
    size_t used = 0;
    for (size_t f = 0; f < FAMILIES; f++)
        for (size_t i = 0; i < families[f]->count; i++) {
            assert(used < SLOTS / 2);
            *slot_of(name_of(row(families[f], i))) = (struct slot){ families[f], row(families[f], i) };
            used++;
        }
}

const timm_family *const *zoo_families(size_t *count)
{
    *count = FAMILIES;
    return families;
}

const timm_family *zoo_find(const char *arch, const void **variant)
{
    pthread_once(&filled, fill);
    const struct slot *s = slot_of(arch);
    *variant = s->variant;
    return s->family;
}

const char *zoo_variant_name(const timm_family *f, size_t i) { return i < f->count ? name_of(row(f, i)) : NULL; }
