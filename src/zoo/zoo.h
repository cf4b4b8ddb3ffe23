/* zoo.h - what a model file sees.  Each file: option struct, table, blocks from small to large, body, head, descriptor. */
#ifndef ZOO_H
#define ZOO_H
#include <math.h>
#include <string.h>
#include "timm/model.h"
#include "zoo/tag.h"

#define FAMILY(name) extern const timm_family timm_##name;
#include "zoo/zoo.list"
#undef FAMILY

const timm_family *const *zoo_families(size_t *count);
/* "resnet50": its family and row; NULL: no such architecture. */
const timm_family *zoo_find(const char *arch, const void **variant);
const char *zoo_variant_name(const timm_family *f, size_t i);

#endif
