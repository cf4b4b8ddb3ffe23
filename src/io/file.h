/* file.h - a whole file, or whatever a pipe gives, read into memory. */
#ifndef IO_FILE_H
#define IO_FILE_H
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

/* NULL on failure; else to be freed.  A byte of 0 follows the last one and is not counted. */
uint8_t *file_read(const char *path, size_t *size, status *st);

#endif
