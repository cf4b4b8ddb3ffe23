/* safetensors.h - tensors by name in one file: an 8-byte length, a JSON header, the bytes of all tensors without gaps.
 *
 * Reading maps the file.  Everything the header says is checked before anything is allocated for it; a file is accepted
 * only if its tensors cover it to the last byte without holes or overlap.  Numbers are little-endian.
 */
#ifndef IO_SAFETENSORS_H
#define IO_SAFETENSORS_H
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

enum { SAFETENSORS_RANK = 8, SAFETENSORS_HEADER = 100000000 };

/* Name, bits of one number; in order of alignment, which is the order of the format's own writer backwards. */
#define SAFETENSORS_DTYPES(X)                                                                                    \
    X(BOOL, 8) X(F4, 4) X(F6_E2M3, 6) X(F6_E3M2, 6) X(U8, 8) X(I8, 8) X(F8_E5M2, 8) X(F8_E4M3, 8) X(F8_E8M0, 8)  \
    X(F8_E4M3FNUZ, 8) X(F8_E5M2FNUZ, 8) X(I16, 16) X(U16, 16) X(F16, 16) X(BF16, 16) X(I32, 32) X(U32, 32)       \
    X(F32, 32) X(C64, 64) X(F64, 64) X(I64, 64) X(U64, 64)
typedef enum safetensors_dtype {
#define SAFETENSORS_ENUM(name, bits) ST_##name,
    SAFETENSORS_DTYPES(SAFETENSORS_ENUM)
#undef SAFETENSORS_ENUM
    ST_DTYPES
} safetensors_dtype;
const char *safetensors_dtype_name(safetensors_dtype dtype);
int safetensors_dtype_bits(safetensors_dtype dtype);

/* -- reading ------------------------------------------------------------------------------------------------------- */

typedef struct safetensors safetensors;
typedef struct safetensors_entry {
    const char *name;
    safetensors_dtype dtype;
    int rank;
    int64_t dim[SAFETENSORS_RANK];
    int64_t count;                    /* of numbers: the product of dim */
    size_t offset, bytes;             /* in the file */
    const void *data;                 /* in the map; of any alignment */
} safetensors_entry;

safetensors *safetensors_open(const char *path, status *st);
/* The same over bytes that outlive the handle; name is what messages call them. */
safetensors *safetensors_open_memory(const void *bytes, size_t size, const char *name, status *st);
void safetensors_close(safetensors *f);

size_t safetensors_count(const safetensors *f);
const safetensors_entry *safetensors_get(const safetensors *f, size_t i);      /* in the order they lie in the file */
size_t safetensors_find(const safetensors *f, const char *name);               /* an index, or safetensors_count */
typedef struct safetensors_pair { const char *key, *value; } safetensors_pair;
const char *safetensors_metadata(const safetensors *f, const char *key);       /* of "__metadata__"; NULL: not there */
const safetensors_pair *safetensors_pairs(const safetensors *f, size_t *count);    /* all of it, in the file's order */

/* Tensor i into out[count].  Floats: from BOOL, integers, F16, BF16, F32, F64.  Integers: from BOOL and integers. */
bool safetensors_read_floats(const safetensors *f, size_t i, float *out, status *st);
bool safetensors_read_ints(const safetensors *f, size_t i, int64_t *out, status *st);
void safetensors_release(const safetensors *f, size_t i);   /* its pages may leave memory until they are read again */
uint32_t safetensors_crc32(const safetensors *f);           /* of the bytes of all tensors: the format has no checksum */

/* -- writing ------------------------------------------------------------------------------------------------------- */

typedef struct safetensors_sink safetensors_sink;
typedef struct safetensors_tensor {
    const char *name;
    safetensors_dtype dtype;
    int rank;
    int64_t dim[SAFETENSORS_RANK];
    const void *data;                 /* dense and little-endian; NULL: put says it */
    /* Calls safetensors_put... until all bytes are said. */
    bool (*put)(void *user, const struct safetensors_tensor *tensor, safetensors_sink *to, status *st);
    void *user;
} safetensors_tensor;

/* Sorted by alignment (largest first) and name, whatever order they come in; nothing is held in memory; atomic. */
bool safetensors_write(const char *path, const safetensors_tensor *tensors, size_t count,
                       const safetensors_pair *metadata, size_t pairs, status *st);
/* safetensors_crc32 of the file that safetensors_write would make of them. */
bool safetensors_crc32_of(const safetensors_tensor *tensors, size_t count, uint32_t *crc, status *st);
bool safetensors_put(safetensors_sink *to, const void *bytes, size_t count, status *st);
/* Converted to the tensor's dtype (BOOL: not zero; integers: truncated, which must fit); the dtypes of read_floats. */
bool safetensors_put_floats(safetensors_sink *to, const float *in, size_t count, status *st);

#endif
