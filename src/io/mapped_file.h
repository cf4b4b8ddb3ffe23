/* mapped_file.h - the bytes of a regular file, read-only, without reading it first. */
#ifndef IO_MAPPED_FILE_H
#define IO_MAPPED_FILE_H
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

/* A file that is cut short while it is mapped ends the process (SIGBUS): replace files, as atomic_file does. */
typedef struct mapped_file { const uint8_t *bytes; size_t size; } mapped_file;       /* {0}: closed */

bool mapped_open(mapped_file *m, const char *path, status *st);  /* an empty file, a folder, a pipe are failures */
void mapped_close(mapped_file *m);
/* [from, from + count) is not needed for now: its whole pages leave memory, and are read again if touched. */
void mapped_release(const mapped_file *m, size_t from, size_t count);

#endif
