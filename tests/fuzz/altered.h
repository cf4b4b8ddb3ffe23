/* altered.h - a good safetensors file with changes that the input tells: what no fuzzer finds by changing megabytes. */
#ifndef FUZZ_ALTERED_H
#define FUZZ_ALTERED_H
#include "scratch.h"

/* Reads the good file; it is kept in memory. */
typedef struct altered altered;
altered *altered_of(const char *path);
/* Writes it to path with the changes; what no writer would write is left out.  False: nothing could be written. */
bool altered_write(altered *a, input *changes, const char *path);

#endif
