/* scratch.h - what the fuzz targets share: conditions that must hold, input cut into parts, files in a folder of one's own. */
#ifndef FUZZ_SCRATCH_H
#define FUZZ_SCRATCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

void demand(bool condition);                    /* else the input is a find */

/* The input: bytes that choose, then parts with "%%%" between them. */
typedef struct input { const uint8_t *at; size_t left; } input;
unsigned input_byte(input *in);                 /* 0 when there is no more */
input input_part(input *in);                    /* up to the next mark, which is taken off, or the end */
char *input_text(input part);                   /* as a string, up to its first 0; to be freed */

/* A path in the folder, which lies in memory where there is such a file system and goes with the process; "" is the folder. */
const char *scratch_path(const char *name);     /* one of a ring of eight */
void scratch_write(const char *name, input part);               /* the folders above it are made */
void scratch_clear(const char *name);           /* a file, or a folder with all that is in it; need not be there */

#endif
