/* made_image.h - images that any program can make from a name, and hashes of what became of them. */
#ifndef MADE_IMAGE_H
#define MADE_IMAGE_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "timm/timm.h"

/* The image a record names as [NAME, kind, width, height, channels]; pixels to be freed. */
bool made_image(const json_t *made, timm_image *image);
/* Do the first 16 digits of the SHA-256 of these bytes stand in the record under the key? */
bool sha_is(const json_t *record, const char *key, const void *bytes, size_t size);
double jsonl_item(const json_t *record, const char *key, size_t i);       /* of an array of numbers */

#endif
