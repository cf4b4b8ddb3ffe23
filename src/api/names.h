/* names.h - what a model name means: lists, tags, names of older timms, nearest names. */
#ifndef API_NAMES_H
#define API_NAMES_H
#include "base/arena.h"
#include "base/status.h"
#include "timm/model.h"
#include "timm/timm.h"
#include "zoo/tag.h"

typedef struct name_set { const timm_family *const *family; size_t count; } name_set;

/* A name understood: "resnet50" has its default tag, "tv_resnet50" its successor's. */
typedef struct model_name {
    const timm_family *family;
    const struct zoo_tag *tag;
    char arch[128];             /* what timm_family.variants is searched for */
    bool renamed;               /* the name given is of an older timm; tag->name is what it means now */
} model_name;

/* False without a message: no such architecture or tag.  Neither allocates. */
bool name_look_up(name_set z, const char *name, model_name *out);
/* The same, saying "Unknown model (...)" or "Invalid pretrained tag (...)" with the nearest names there are. */
bool name_resolve(name_set z, const char *name, model_name *out, status *st);

bool name_is_model(name_set z, const char *name);
bool tag_has_weights(const struct zoo_tag *t);
bool name_is_pretrained(name_set z, const char *name);
bool name_fill_cfg(const model_name *n, timm_cfg *out, arena *mem, status *st);    /* new strings are put into mem */
const char *const *name_list(name_set z, const timm_list_opts *o, size_t *count, arena *mem, status *st);

bool name_glob(const char *pattern, const char *text);            /* Python's fnmatchcase */
/* The parameter itself or a module that it is in: "layer1", "blocks.[0-3]", "*.bn1", "fc.bias". */
bool name_in_module(const char *pattern, const char *param);
int name_order(const char *a, const char *b);             /* digit runs as numbers, the rest in lower case */

#endif
