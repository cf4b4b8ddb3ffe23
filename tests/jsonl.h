/* jsonl.h - test data: a JSON object a line, plain or as .xz. */
#ifndef JSONL_H
#define JSONL_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct jsonl { char *text, *next; int line; } jsonl;

bool jsonl_open(jsonl *from, const char *path);                  /* false, and a failed check: not readable */
json_t *jsonl_next(jsonl *from);                                 /* NULL at the end; to be given to json_decref */
void jsonl_close(jsonl *from);

const char *jsonl_text(const json_t *record, const char *key);    /* "" if there is none */
double jsonl_number(const json_t *record, const char *key);       /* 0 if there is none */

#endif
