/* oracle.h - reading what real timm, Pillow and PyTorch gave: .jsonl.xz files, made images, hashes. */
#ifndef ORACLE_H
#define ORACLE_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "timm/timm.h"

/* A JSON file of one object a line, .xz or plain; path as test_data gives it. */
typedef struct oracle_lines { char *text, *next; int line; } oracle_lines;
bool oracle_open(oracle_lines *from, const char *path);          /* false (and a failed check): not readable */
json_t *oracle_next(oracle_lines *from);                         /* NULL at the end; to be given to json_decref */
void oracle_close(oracle_lines *from);

/* The image a record names as [NAME, kind, width, height, channels]; pixels to be freed. */
bool oracle_pixels(const json_t *made, timm_image *image);
/* Do the first 16 digits of the SHA-256 of these bytes stand in the record under the key? */
bool oracle_sha_is(const json_t *record, const char *key, const void *bytes, size_t size);

const char *oracle_text(const json_t *record, const char *key);  /* "" if there is none */
double oracle_number(const json_t *record, const char *key);     /* 0 if there is none */
double oracle_item(const json_t *record, const char *key, size_t i);

#endif
