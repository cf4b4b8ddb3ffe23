/* json.h - JSON in: jansson with limits; JSON out: text as it is appended, laid out like Python's json.dumps. */
#ifndef IO_JSON_H
#define IO_JSON_H
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

/* -- reading: the answer is the caller's, for json_decref; NULL on failure ----------------------------------------- */

enum { JSON_MAX_DEPTH = 64 };

/* text need not end in 0.  An object or array, nothing after it, no key twice; name is what messages call it. */
json_t *json_parse(const char *text, size_t length, const char *name, status *st);
json_t *json_parse_file(const char *path, size_t limit, status *st);     /* limit: the largest file accepted */

/* A string out of a file, fit for a message: control characters become '?', long ones end in "...". */
typedef struct json_label { char text[100]; } json_label;
json_label json_show(const char *text);

/* -- writing ------------------------------------------------------------------------------------------------------- */

/* {0} is an empty text.  Calls that make no sense where they stand give text that is not JSON; nothing is checked. */
typedef struct json_writer {
    bool compact;                     /* no blanks after ',' and ':' */
    bool comma, failed;               /* a value stands before; out of memory */
    char *text;
    size_t length, room;
} json_writer;

void jw_begin_object(json_writer *w);
void jw_end_object(json_writer *w);
void jw_begin_array(json_writer *w);
void jw_end_array(json_writer *w);
void jw_key(json_writer *w, const char *key);
void jw_string(json_writer *w, const char *text);      /* NULL: null; bytes that are not UTF-8 become U+FFFD */
void jw_number(json_writer *w, double x);              /* %.9g; null when not finite: JSON has no such numbers */
void jw_int(json_writer *w, int64_t x);
void jw_bool(json_writer *w, bool x);
void jw_null(json_writer *w);
/* The text, 0-terminated, for free(); NULL: out of memory.  The writer is empty again. */
char *jw_finish(json_writer *w, size_t *length);       /* length may be NULL */

#endif
