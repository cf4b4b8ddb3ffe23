/* zoo.c - the families of this build. */
#include "zoo/zoo.h"

static const timm_family *const families[] = {
#define FAMILY(name) &timm_##name,
#include "zoo/zoo.list"
#undef FAMILY
};

const timm_family *const *zoo_families(size_t *count)
{
    *count = sizeof families / sizeof *families;
    return families;
}

const char *zoo_variant_name(const timm_family *f, size_t i)
{
    return *(const char *const *)((const char *)f->variants + i * f->size);      /* a variant's name comes first */
}

const timm_family *zoo_find(const char *arch, const void **variant)
{
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (size_t i = 0; i < families[f]->count; i++)
            if (!strcmp(zoo_variant_name(families[f], i), arch)) {
                *variant = (const char *)families[f]->variants + i * families[f]->size;
                return families[f];
            }
    return NULL;
}
