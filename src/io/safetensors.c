/* safetensors.c - reading: the header is checked against the bytes that are there, then tensors are converted. */
#include "safetensors.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/arena.h"
#include "base/half.h"
#include "json.h"
#include "mapped_file.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors files are little-endian and this machine is not"
#endif

static const struct { const char *name; int bits; } dtypes[] = {
#define ROW(name, bits) { #name, bits },
    SAFETENSORS_DTYPES(ROW)
#undef ROW
};

const char *safetensors_dtype_name(safetensors_dtype dtype) { return dtypes[dtype].name; }
int safetensors_dtype_bits(safetensors_dtype dtype) { return dtypes[dtype].bits; }

struct safetensors {
    arena memory;                     /* this struct's strings and tables */
    char *name;                       /* of the file, for messages */
    mapped_file map;                  /* {0} over memory of the caller's */
    const uint8_t *bytes;
    size_t size, header;              /* of the file; 8 + length of the JSON */
    safetensors_entry *entry;         /* by offset */
    size_t *by_name;                  /* indices of entry, sorted */
    size_t count;
    safetensors_pair *metadata;
    size_t pairs;
};

/* -- the header ---------------------------------------------------------------------------------------------------- */

static bool bad(const safetensors *f, status *st, const char *tensor, const char *fmt, ...) PRINTF_LIKE(4, 5);
static bool bad(const safetensors *f, status *st, const char *tensor, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return status_fail(st, TIMM_BAD_FILE, "%s: tensor \"%s\": %s", f->name, json_show(tensor).text, text);
}

static bool out_of_memory(const safetensors *f, status *st)
{
    return status_fail(st, TIMM_NO_MEMORY, "%s: out of memory for the table of %zu tensors", f->name, f->count);
}

/* The length in front, against the file; gives the header's JSON, which the caller decrefs. */
static json_t *read_header(safetensors *f, status *st)
{
    uint64_t length;
    if (f->size < sizeof length) {
        status_fail(st, TIMM_BAD_FILE, "%s: %zu bytes, a safetensors file has at least 8", f->name, f->size);
        return NULL;
    }
    memcpy(&length, f->bytes, sizeof length);
    if (length > SAFETENSORS_HEADER) {
        status_fail(st, TIMM_BAD_FILE,
                    "%s: not a safetensors file: a header of %" PRIu64 " bytes, at most %d are accepted",
                    f->name, length, (int)SAFETENSORS_HEADER);
        return NULL;
    }
    if (length > f->size - 8) {
        status_fail(st, TIMM_BAD_FILE,
                    "%s: the header should have %" PRIu64 " bytes, the file has %zu after its length",
                    f->name, length, f->size - 8);
        return NULL;
    }
    if (length == 0 || f->bytes[8] != '{') {
        status_fail(st, TIMM_BAD_FILE, "%s: not a safetensors file: the header does not begin with '{'", f->name);
        return NULL;
    }
    f->header = 8 + (size_t)length;
    return json_parse((const char *)f->bytes + 8, (size_t)length, f->name, st);
}

static bool read_metadata(safetensors *f, json_t *metadata, status *st)
{
    if (json_is_null(metadata))
        return true;
    if (!json_is_object(metadata))
        return status_fail(st, TIMM_BAD_FILE, "%s: __metadata__ is not an object", f->name);
    f->metadata = arena_alloc(&f->memory, json_object_size(metadata) * sizeof *f->metadata);
    if (!f->metadata)
        return out_of_memory(f, st);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return status_fail(st, TIMM_BAD_FILE, "%s: __metadata__ \"%s\" is not a string", f->name,
                               json_show(key).text);
        safetensors_pair *p = &f->metadata[f->pairs++];
        p->key = arena_strdup(&f->memory, key);
        p->value = arena_strdup(&f->memory, json_string_value(value));
        if (!p->key || !p->value)
            return out_of_memory(f, st);
    }
    return true;
}

static bool read_dtype(const safetensors *f, safetensors_entry *e, json_t *info, status *st)
{
    const char *name = json_string_value(json_object_get(info, "dtype"));
    if (!name)
        return bad(f, st, e->name, "no dtype");
    for (int i = 0; i < ST_DTYPES; i++)
        if (!strcmp(name, dtypes[i].name)) {
            e->dtype = (safetensors_dtype)i;
            return true;
        }
    return bad(f, st, e->name, "unknown dtype \"%s\"", json_show(name).text);
}

/* The product leaves out zeros, so that no order of multiplying the sizes can overflow. */
static bool read_shape(const safetensors *f, safetensors_entry *e, json_t *info, status *st)
{
    json_t *shape = json_object_get(info, "shape"), *v;
    if (!json_is_array(shape))
        return bad(f, st, e->name, "no shape");
    if (json_array_size(shape) > SAFETENSORS_RANK)
        return bad(f, st, e->name, "%zu dimensions, at most %d are supported", json_array_size(shape),
                   SAFETENSORS_RANK);
    int64_t product = 1;
    bool zero = false;
    size_t i;
    json_array_foreach(shape, i, v) {
        int64_t n = json_is_integer(v) ? json_integer_value(v) : -1;
        if (n < 0)
            return bad(f, st, e->name, "size %zu of its shape is not a number from 0 up", i);
        if (n && __builtin_mul_overflow(product, n, &product))
            return bad(f, st, e->name, "its shape overflows: dimension %zu of size %" PRId64, i, n);
        zero = zero || n == 0;
        e->dim[e->rank++] = n;
    }
    e->count = zero ? 0 : product;
    return true;
}

static bool read_offsets(const safetensors *f, safetensors_entry *e, json_t *info, status *st)
{
    json_t *offsets = json_object_get(info, "data_offsets");
    json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return bad(f, st, e->name, "data_offsets are not two numbers");
    int64_t from = json_integer_value(first), to = json_integer_value(last), bits;
    int64_t data = (int64_t)(f->size - f->header);
    if (from < 0 || from > to)
        return bad(f, st, e->name, "data_offsets [%" PRId64 ", %" PRId64 "] are not in order", from, to);
    if (to > data)
        return bad(f, st, e->name, "data_offsets [%" PRId64 ", %" PRId64 "], the file has %" PRId64 " bytes of data",
                   from, to, data);
    if (__builtin_mul_overflow(e->count, (int64_t)dtypes[e->dtype].bits, &bits))
        return bad(f, st, e->name, "its size overflows: %" PRId64 " numbers of %s", e->count, dtypes[e->dtype].name);
    if (bits % 8)
        return bad(f, st, e->name, "%" PRId64 " numbers of %s do not fill whole bytes", e->count,
                   dtypes[e->dtype].name);
    if (bits / 8 != to - from)
        return bad(f, st, e->name,
                   "%" PRId64 " numbers of %s are %" PRId64 " bytes, data_offsets [%" PRId64 ", %" PRId64
                   "] hold %" PRId64, e->count, dtypes[e->dtype].name, bits / 8, from, to, to - from);
    e->offset = f->header + (size_t)from;
    e->bytes = (size_t)(to - from);
    e->data = f->bytes + e->offset;
    return true;
}

static bool read_entries(safetensors *f, json_t *header, status *st)
{
    const char *name;
    json_t *info;
    f->count = json_object_size(header) - (json_object_get(header, "__metadata__") ? 1 : 0);
    f->entry = arena_alloc(&f->memory, f->count * sizeof *f->entry);
    f->by_name = arena_alloc(&f->memory, f->count * sizeof *f->by_name);
    if (!f->entry || !f->by_name)
        return out_of_memory(f, st);
    safetensors_entry *e = f->entry;
    json_object_foreach(header, name, info) {
        if (!strcmp(name, "__metadata__")) {
            if (!read_metadata(f, info, st))
                return false;
            continue;
        }
        e->name = arena_strdup(&f->memory, name);
        if (!e->name)
            return out_of_memory(f, st);
        if (!json_is_object(info))
            return bad(f, st, name, "its entry is not an object");
        if (!read_dtype(f, e, info, st) || !read_shape(f, e, info, st) || !read_offsets(f, e, info, st))
            return false;
        e++;
    }
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const safetensors_entry *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes)
        /* empty tensors come before the one they share an offset with */
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b, void *entries)
{
    const safetensors_entry *e = entries;
    return strcmp(e[*(const size_t *)a].name, e[*(const size_t *)b].name);
}

/* Tensors one after the other from the end of the header to the end of the file. */
static bool check_cover(safetensors *f, status *st)
{
    size_t end = f->header;
    const char *before = NULL;
    for (size_t i = 0; i < f->count; i++) {
        const safetensors_entry *e = &f->entry[i];
        if (e->offset < end)
            return bad(f, st, e->name, "begins at byte %zu of the data, \"%s\" ends at %zu: they overlap",
                       e->offset - f->header, json_show(before).text, end - f->header);
        if (e->offset > end)
            return bad(f, st, e->name, "begins at byte %zu of the data, what lies before it ends at %zu: a hole",
                       e->offset - f->header, end - f->header);
        end += e->bytes;
        before = e->name;
    }
    if (end != f->size)
        return status_fail(st, TIMM_BAD_FILE, "%s: its tensors end at byte %zu, the file has %zu", f->name, end,
                           f->size);
    return true;
}

static bool read_all(safetensors *f, status *st)
{
    json_t *header = read_header(f, st);
    if (!header)
        return false;
    bool ok = read_entries(f, header, st);
    json_decref(header);
    if (!ok)
        return false;
    qsort(f->entry, f->count, sizeof *f->entry, by_offset);
    for (size_t i = 0; i < f->count; i++)
        f->by_name[i] = i;
    qsort_r(f->by_name, f->count, sizeof *f->by_name, by_name, f->entry);
    return check_cover(f, st);
}

static safetensors *new_file(const char *name, status *st)
{
    safetensors *f = calloc(1, sizeof *f);
    char *copy = f ? arena_strdup(&f->memory, name) : NULL;
    if (copy) {
        f->name = copy;
        return f;
    }
    free(f);
    status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", name);
    return NULL;
}

safetensors *safetensors_open(const char *path, status *st)
{
    mapped_file map;
    if (!mapped_open(&map, path, st))
        return NULL;
    safetensors *f = safetensors_open_memory(map.bytes, map.size, path, st);
    if (f)
        f->map = map;
    else
        mapped_close(&map);
    return f;
}

safetensors *safetensors_open_memory(const void *bytes, size_t size, const char *name, status *st)
{
    safetensors *f = status_ok(st) ? new_file(name, st) : NULL;
    if (!f)
        return NULL;
    f->bytes = bytes;
    f->size = size;
    if (read_all(f, st))
        return f;
    safetensors_close(f);
    return NULL;
}

void safetensors_close(safetensors *f)
{
    if (!f)
        return;
    mapped_close(&f->map);
    arena_free(&f->memory);
    free(f);
}

/* -- lookup -------------------------------------------------------------------------------------------------------- */

size_t safetensors_count(const safetensors *f) { return f->count; }
const safetensors_entry *safetensors_get(const safetensors *f, size_t i) { return &f->entry[i]; }

size_t safetensors_find(const safetensors *f, const char *name)
{
    size_t from = 0, to = f->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int c = strcmp(name, f->entry[f->by_name[middle]].name);
        if (c == 0)
            return f->by_name[middle];
        *(c < 0 ? &to : &from) = c < 0 ? middle : middle + 1;
    }
    return f->count;
}

const char *safetensors_metadata(const safetensors *f, const char *key)
{
    for (size_t i = 0; i < f->pairs; i++)
        if (!strcmp(f->metadata[i].key, key))
            return f->metadata[i].value;
    return NULL;
}

const safetensors_pair *safetensors_pairs(const safetensors *f, size_t *count)
{
    *count = f->pairs;
    return f->metadata;
}

/* -- conversion ---------------------------------------------------------------------------------------------------- */

/* Loops over numbers of any alignment: BOTH(i16, int16_t) defines floats_i16 and ints_i16. */
#define CONVERT(function, to, from, value)                                                       \
    static void function(to *out, const void *in, size_t count)                                  \
    {                                                                                            \
        for (size_t i = 0; i < count; i++) {                                                     \
            from x;                                                                              \
            memcpy(&x, (const uint8_t *)in + i * sizeof x, sizeof x);                            \
            out[i] = (to)(value);                                                                \
        }                                                                                        \
    }
#define FLOATS(name, type) CONVERT(floats_##name, float, type, x)
#define INTS(name, type) CONVERT(ints_##name, int64_t, type, x)
#define BOTH(name, type) FLOATS(name, type) INTS(name, type)

CONVERT(floats_bool, float, uint8_t, x != 0)
CONVERT(ints_bool, int64_t, uint8_t, x != 0)
BOTH(u8, uint8_t)
BOTH(i8, int8_t)
BOTH(i16, int16_t)
BOTH(u16, uint16_t)
BOTH(i32, int32_t)
BOTH(u32, uint32_t)
FLOATS(i64, int64_t)
BOTH(u64, uint64_t)
FLOATS(f64, double)

static void floats_f32(float *out, const void *in, size_t count) { memcpy(out, in, count * sizeof *out); }
static void ints_i64(int64_t *out, const void *in, size_t count) { memcpy(out, in, count * sizeof *out); }

static const struct {
    void (*floats)(float *out, const void *in, size_t count);
    void (*ints)(int64_t *out, const void *in, size_t count);
} converters[ST_DTYPES] = {
    [ST_BOOL] = { floats_bool, ints_bool },
    [ST_U8] = { floats_u8, ints_u8 },
    [ST_I8] = { floats_i8, ints_i8 },
    [ST_I16] = { floats_i16, ints_i16 },
    [ST_U16] = { floats_u16, ints_u16 },
    [ST_F16] = { halves_to_floats, NULL },
    [ST_BF16] = { bfloats_to_floats, NULL },
    [ST_I32] = { floats_i32, ints_i32 },
    [ST_U32] = { floats_u32, ints_u32 },
    [ST_F32] = { floats_f32, NULL },
    [ST_F64] = { floats_f64, NULL },
    [ST_I64] = { floats_i64, ints_i64 },
    [ST_U64] = { floats_u64, ints_u64 },
};

bool safetensors_read_floats(const safetensors *f, size_t i, float *out, status *st)
{
    const safetensors_entry *e = &f->entry[i];
    if (!status_ok(st))
        return false;
    if (!converters[e->dtype].floats)
        return status_fail(st, TIMM_UNSUPPORTED, "%s: tensor \"%s\": cannot read %s as float", f->name,
                           json_show(e->name).text, dtypes[e->dtype].name);
    if (e->count)
        converters[e->dtype].floats(out, e->data, (size_t)e->count);
    return true;
}

bool safetensors_read_ints(const safetensors *f, size_t i, int64_t *out, status *st)
{
    const safetensors_entry *e = &f->entry[i];
    if (!status_ok(st))
        return false;
    if (!converters[e->dtype].ints)
        return status_fail(st, TIMM_UNSUPPORTED, "%s: tensor \"%s\": cannot read %s as integers", f->name,
                           json_show(e->name).text, dtypes[e->dtype].name);
    if (e->count)
        converters[e->dtype].ints(out, e->data, (size_t)e->count);
    return true;
}

void safetensors_release(const safetensors *f, size_t i)
{
    mapped_release(&f->map, f->entry[i].offset, f->entry[i].bytes);
}

uint32_t safetensors_crc32(const safetensors *f) { return (uint32_t)crc32_z(0, f->bytes + f->header, f->size - f->header); }
