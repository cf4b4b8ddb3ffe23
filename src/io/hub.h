/* hub.h - files of models in the Hugging Face cache, as huggingface_hub lays it out.  Looks on disk only. */
#ifndef IO_HUB_H
#define IO_HUB_H
#include <stddef.h>
#include "base/status.h"

/* The cache: $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub or
 * ~/.cache/huggingface/hub, the first that is set. */
bool hub_cache(char *path, size_t size, status *st);

/* Where file of repo lies, "timm/resnet50.a1_in1k" and "model.safetensors", perhaps in a folder of the repo.  repo may
 * end in "@REVISION": a branch, tag or commit; without: main.  When it is not there the status is TIMM_NOT_FOUND and
 * says where it was looked for and how to get it. */
bool hub_find(const char *repo, const char *file, char *path, size_t size, status *st);

#endif
