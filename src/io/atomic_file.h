/* atomic_file.h - a file that appears whole or not at all.
 *
 * Bytes go to a temporary in the folder of the file; atomic_commit syncs it and renames it over the old file.  Whatever
 * fails before the rename leaves the old file as it was and no temporary behind.  A link is followed, a device or a
 * pipe is written to directly.
 */
#ifndef IO_ATOMIC_FILE_H
#define IO_ATOMIC_FILE_H
#include <stddef.h>
#include "base/status.h"

typedef struct atomic_file atomic_file;

atomic_file *atomic_open(const char *path, status *st);
/* Appends; does nothing when f is NULL or st has failed. */
bool atomic_write(atomic_file *f, const void *bytes, size_t count, status *st);
/* Ends f: puts the file in place if st is still fine, else throws the temporary away.  f may be NULL. */
bool atomic_commit(atomic_file *f, status *st);
/* The three in one call. */
bool atomic_write_file(const char *path, const void *bytes, size_t count, status *st);

#endif
