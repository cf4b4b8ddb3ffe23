/* file.h - whole files: read into memory, or written so that a reader sees the old bytes or the new ones, never half. */
#ifndef IO_FILE_H
#define IO_FILE_H
#include <stdint.h>
#include <stdio.h>
#include "base/status.h"

/* NULL on failure; else to be freed.  A byte of 0 follows the last one and is not counted. */
uint8_t *file_read(const char *path, size_t *size, status *st);

/* A temporary beside the path, renamed over it by file_close. */
typedef struct file_out file_out;
file_out *file_create(const char *path, status *st);             /* NULL on failure */
FILE *file_stream(file_out *file);                               /* to be written to, not closed */
bool file_close(file_out *file, status *st);                     /* when st is not OK, or a write failed: as if nothing had been */

#endif
