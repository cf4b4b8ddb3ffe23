/* names.h - what a model name means: lists, tags, names of older timms, nearest names. */
#ifndef ZOO_NAMES_H
#define ZOO_NAMES_H
#include "base/arena.h"
#include "base/status.h"
#include "timm/model.h"
#include "timm/timm.h"
#include "zoo/tag.h"

typedef struct zoo_set { const timm_family *const *family; size_t count; } zoo_set;

/* A name understood: "resnet50" has its default tag, "tv_resnet50" its successor's. */
typedef struct zoo_name {
    const timm_family *family;
    const struct zoo_tag *tag;
    char arch[128];             /* what timm_family.variants is searched for */
    bool renamed;               /* the name given is of an older timm; tag->name is what it means now */
} zoo_name;

/* False without a message: no such architecture or tag.  Neither allocates. */
bool zoo_look_up(zoo_set z, const char *name, zoo_name *out);
/* The same, saying "Unknown model (...)" or "Invalid pretrained tag (...)" with the nearest names there are. */
bool zoo_resolve(zoo_set z, const char *name, zoo_name *out, status *st);

bool zoo_is_model(zoo_set z, const char *name);
bool zoo_has_weights(const struct zoo_tag *t);
bool zoo_is_pretrained(zoo_set z, const char *name);
bool zoo_fill_cfg(const zoo_name *n, timm_cfg *out, arena *mem, status *st);    /* new strings are put into mem */
const char *const *zoo_list_models(zoo_set z, const timm_list_opts *o, size_t *count, arena *mem, status *st);

bool zoo_glob(const char *pattern, const char *text);            /* Python's fnmatchcase */
int zoo_natural_order(const char *a, const char *b);             /* digit runs as numbers, the rest in lower case */

#endif
