/* safetensors_write.c - the header from the shapes, then tensor after tensor as they are said. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "atomic_file.h"
#include "base/half.h"
#include "json.h"
#include "safetensors.h"

struct safetensors_sink {
    atomic_file *file;                /* NULL: nothing is written */
    uint32_t crc;                     /* then, of all that was put */
    const char *path;
    const safetensors_tensor *tensor;
    size_t left, bytes;               /* of the tensor */
};

static int by_dtype_and_name(const void *a, const void *b)
{
    const safetensors_tensor *x = *(const safetensors_tensor *const *)a, *y = *(const safetensors_tensor *const *)b;
    if (x->dtype != y->dtype)
        return x->dtype > y->dtype ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool bytes_of(const char *path, const safetensors_tensor *t, size_t *bytes, status *st)
{
    int64_t bits = safetensors_dtype_bits(t->dtype);
    bool zero = false, sound = t->rank >= 0 && t->rank <= SAFETENSORS_RANK;
    for (int i = 0; sound && i < t->rank; i++) {
        zero = zero || t->dim[i] == 0;
        sound = t->dim[i] >= 0 && (t->dim[i] == 0 || !__builtin_mul_overflow(bits, t->dim[i], &bits));
    }
    if (!strcmp(t->name, "__metadata__"))
        return status_fail(st, TIMM_BAD_ARG, "%s: no tensor can be called __metadata__", path);
    if (!sound || (!zero && bits % 8))
        return status_fail(st, TIMM_BAD_ARG, "%s: tensor \"%s\": no file can hold its shape", path, t->name);
    *bytes = zero ? 0 : (size_t)(bits / 8);
    return true;
}

static void header_entry(json_writer *w, const safetensors_tensor *t, size_t from, size_t to)
{
    jw_key(w, t->name);
    jw_begin_object(w);
    jw_key(w, "dtype");
    jw_string(w, safetensors_dtype_name(t->dtype));
    jw_key(w, "shape");
    jw_begin_array(w);
    for (int i = 0; i < t->rank; i++)
        jw_int(w, t->dim[i]);
    jw_end_array(w);
    jw_key(w, "data_offsets");
    jw_begin_array(w);
    jw_int(w, (int64_t)from);
    jw_int(w, (int64_t)to);
    jw_end_array(w);
    jw_end_object(w);
}

static void header_metadata(json_writer *w, const safetensors_pair *metadata, size_t pairs)
{
    jw_key(w, "__metadata__");
    jw_begin_object(w);
    for (size_t i = 0; i < pairs; i++) {
        jw_key(w, metadata[i].key);
        jw_string(w, metadata[i].value);
    }
    jw_end_object(w);
}

/* The JSON for free(), NULL on failure: what a reader would refuse is refused here. */
static char *header(const char *path, const safetensors_tensor *const *sorted, size_t count,
                    const safetensors_pair *metadata, size_t pairs, size_t *length, status *st)
{
    json_writer w = { .compact = true };
    size_t end = 0;
    jw_begin_object(&w);
    if (pairs)
        header_metadata(&w, metadata, pairs);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        if (!bytes_of(path, sorted[i], &bytes, st) || __builtin_add_overflow(end, bytes, &bytes)) {
            status_fail(st, TIMM_BAD_ARG, "%s: tensor \"%s\": no file can hold all tensors", path, sorted[i]->name);
            break;
        }
        header_entry(&w, sorted[i], end, bytes);
        end = bytes;
    }
    jw_end_object(&w);
    char *text = jw_finish(&w, length);
    if (!text)
        status_fail(st, TIMM_NO_MEMORY, "%s: out of memory for the header of %zu tensors", path, count);
    else if (*length > SAFETENSORS_HEADER - 7)
        status_fail(st, TIMM_BAD_ARG, "%s: a header of %zu bytes, at most %d are accepted", path, *length,
                    (int)SAFETENSORS_HEADER);
    else                                                     /* a name given twice */
        json_decref(json_parse(text, *length, path, st));
    if (status_ok(st))
        return text;
    free(text);
    return NULL;
}

/* -- the sink: counts what the tensor says ------------------------------------------------------------------------- */

static bool too_much(const safetensors_sink *to, size_t count, status *st)
{
    return status_fail(st, TIMM_BAD_ARG, "%s: tensor \"%s\": given %zu bytes, its shape has %zu", to->path,
                       to->tensor->name, to->bytes - to->left + count, to->bytes);
}

bool safetensors_put(safetensors_sink *to, const void *bytes, size_t count, status *st)
{
    if (count > to->left)
        return too_much(to, count, st);
    to->left -= count;
    if (to->file)
        return atomic_write(to->file, bytes, count, st);
    to->crc = (uint32_t)crc32_z(to->crc, bytes, count);
    return true;
}

#define NARROW(name, type, value)                                                                \
    static void narrow_##name(void *out, const float *in, size_t count)                          \
    {                                                                                            \
        for (size_t i = 0; i < count; i++) {                                                     \
            type x = (type)(value);                                                              \
            memcpy((uint8_t *)out + i * sizeof x, &x, sizeof x);                                 \
        }                                                                                        \
    }
NARROW(bool, uint8_t, in[i] != 0)
NARROW(u8, uint8_t, in[i])
NARROW(i8, int8_t, in[i])
NARROW(i16, int16_t, in[i])
NARROW(u16, uint16_t, in[i])
NARROW(i32, int32_t, in[i])
NARROW(u32, uint32_t, in[i])
NARROW(f64, double, in[i])
NARROW(i64, int64_t, in[i])
NARROW(u64, uint64_t, in[i])

/* Values from least up to, but not including, past survive the conversion to the type. */
static const struct narrower {
    void (*narrow)(void *out, const float *in, size_t count);
    float least, past;
} narrowers[ST_DTYPES] = {
    [ST_BOOL] = { .narrow = narrow_bool },
    [ST_U8] = { narrow_u8, 0, 0x1p8f },
    [ST_I8] = { narrow_i8, -0x1p7f, 0x1p7f },
    [ST_I16] = { narrow_i16, -0x1p15f, 0x1p15f },
    [ST_U16] = { narrow_u16, 0, 0x1p16f },
    [ST_F16] = { .narrow = floats_to_halves },
    [ST_BF16] = { .narrow = floats_to_bfloats },
    [ST_I32] = { narrow_i32, -0x1p31f, 0x1p31f },
    [ST_U32] = { narrow_u32, 0, 0x1p32f },
    [ST_F64] = { .narrow = narrow_f64 },
    [ST_I64] = { narrow_i64, -0x1p63f, 0x1p63f },
    [ST_U64] = { narrow_u64, 0, 0x1p64f },
};

bool safetensors_put_floats(safetensors_sink *to, const float *in, size_t count, status *st)
{
    enum { PIECE = 2048 };
    uint8_t piece[PIECE * 8];
    const safetensors_tensor *t = to->tensor;
    const struct narrower *how = &narrowers[t->dtype];
    size_t width = (size_t)safetensors_dtype_bits(t->dtype) / 8;
    if (t->dtype == ST_F32)
        return safetensors_put(to, in, count * sizeof *in, st);
    if (!how->narrow)
        return status_fail(st, TIMM_UNSUPPORTED, "%s: tensor \"%s\": cannot write float as %s", to->path, t->name,
                           safetensors_dtype_name(t->dtype));
    for (size_t i = 0; how->past > 0 && i < count; i++)
        if (!(in[i] >= how->least && in[i] < how->past))     /* NaN does not fit either */
            return status_fail(st, TIMM_BAD_ARG, "%s: tensor \"%s\": %g does not fit %s", to->path, t->name,
                               (double)in[i], safetensors_dtype_name(t->dtype));
    for (size_t n; count; in += n, count -= n) {
        n = count < PIECE ? count : PIECE;
        how->narrow(piece, in, n);
        if (!safetensors_put(to, piece, n * width, st))
            return false;
    }
    return true;
}

static bool put_tensor(safetensors_sink *to, const safetensors_tensor *t, status *st)
{
    to->tensor = t;
    if (!bytes_of(to->path, t, &to->bytes, st))
        return false;
    to->left = to->bytes;
    if (to->bytes == 0)
        return true;
    if (t->data)
        return safetensors_put(to, t->data, to->bytes, st);
    if (!t->put(t->user, t, to, st))
        return status_fail(st, TIMM_INTERNAL, "%s: tensor \"%s\" could not be had", to->path, t->name);
    if (to->left)
        return status_fail(st, TIMM_BAD_ARG, "%s: tensor \"%s\": given %zu bytes, its shape has %zu", to->path, t->name,
                           to->bytes - to->left, to->bytes);
    return true;
}

static void write_all(const char *path, const char *text, size_t length, const safetensors_tensor *const *sorted,
                      size_t count, status *st)
{
    atomic_file *file = atomic_open(path, st);
    size_t padding = (8 - length % 8) % 8;
    uint64_t padded = length + padding;
    atomic_write(file, &padded, sizeof padded, st);
    atomic_write(file, text, length, st);
    atomic_write(file, "        ", padding, st);
    safetensors_sink to = { .file = file, .path = path };
    for (size_t i = 0; i < count && status_ok(st); i++)
        put_tensor(&to, sorted[i], st);
    atomic_commit(file, st);
}

/* In the file's order, for free(). */
static const safetensors_tensor **in_order(const char *path, const safetensors_tensor *tensors, size_t count, status *st)
{
    const safetensors_tensor **sorted = status_ok(st) ? calloc(count + 1, sizeof *sorted) : NULL;
    if (!sorted) {
        status_fail(st, TIMM_NO_MEMORY, "%s: out of memory for a list of %zu tensors", path, count);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        sorted[i] = &tensors[i];
    qsort(sorted, count, sizeof *sorted, by_dtype_and_name);
    return sorted;
}

bool safetensors_write(const char *path, const safetensors_tensor *tensors, size_t count,
                       const safetensors_pair *metadata, size_t pairs, status *st)
{
    const safetensors_tensor **sorted = in_order(path, tensors, count, st);
    size_t length;
    char *text = sorted ? header(path, sorted, count, metadata, pairs, &length, st) : NULL;
    if (text)
        write_all(path, text, length, sorted, count, st);
    free(text);
    free(sorted);
    return status_ok(st);
}

bool safetensors_crc32_of(const safetensors_tensor *tensors, size_t count, uint32_t *crc, status *st)
{
    safetensors_sink to = { .path = "a checksum" };
    const safetensors_tensor **sorted = in_order(to.path, tensors, count, st);
    for (size_t i = 0; sorted && i < count && status_ok(st); i++)
        put_tensor(&to, sorted[i], st);
    *crc = to.crc;
    free(sorted);
    return status_ok(st);
}
