/* safetensors_test.c - files of the safetensors package, files that lie, files of our own. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "io/atomic_file.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define INF INFINITY

/* -- files written by the safetensors package (tools/safetensors_data.py) ------------------------------------------ */

static const struct expected {
    const char *name;
    safetensors_dtype dtype;
    int rank;
    int64_t dim[3];
    int count;
    float value[12];
} expected[] = {
    { "bool", ST_BOOL, 2, { 2, 3 }, 6, { 1, 0, 1, 1, 0, 1 } },
    { "u8",   ST_U8,   2, { 3, 2 }, 6, { 0, 255, 0, 1, 7, 100 } },
    { "i8",   ST_I8,   2, { 3, 2 }, 6, { -128, 127, 0, 1, 7, 100 } },
    { "i16",  ST_I16,  2, { 3, 2 }, 6, { -32768, 32767, 0, 1, 7, 100 } },
    { "u16",  ST_U16,  2, { 3, 2 }, 6, { 0, 65535, 0, 1, 7, 100 } },
    { "i32",  ST_I32,  2, { 3, 2 }, 6, { -2147483648.0f, 2147483647.0f, 0, 1, 7, 100 } },
    { "u32",  ST_U32,  2, { 3, 2 }, 6, { 0, 4294967295.0f, 0, 1, 7, 100 } },
    { "i64",  ST_I64,  2, { 3, 2 }, 6, { -0x1p63f, 0x1p63f, 0, 1, 7, 100 } },
    { "u64",  ST_U64,  2, { 3, 2 }, 6, { 0, 0x1p64f, 0, 1, 7, 100 } },
    { "f16",  ST_F16,  3, { 3, 1, 4 }, 12, { 0, -0.0f, 1, -1.5f, 0.0999755859375f, 65504, -2.9802322387695312e-06f,
                                             0.333251953125f, INF, -INF, 1024, 5.960464477539063e-08f } },
    { "bf16", ST_BF16, 3, { 3, 1, 4 }, 12, { 0, -0.0f, 1, -1.5f, 0.10009765625f, 65536, -2.995133399963379e-06f,
                                             0.333984375f, INF, -INF, 1024, 6.007030606269836e-08f } },
    { "f32",  ST_F32,  3, { 3, 1, 4 }, 12, { 0, -0.0f, 1, -1.5f, 0.1f, 65504, -3e-6f, 1 / 3.0f, INF, -INF, 1024.5f,
                                             6e-8f } },
    { "f64",  ST_F64,  3, { 3, 1, 4 }, 12, { 0, -0.0f, 1, -1.5f, 0.1f, 65504, -3e-6f, 1 / 3.0f, INF, -INF, 1024.5f,
                                             6e-8f } },
    { "scalar", ST_F32, 0, { 0 }, 1, { 2.5f } },
    { "empty", ST_F32, 3, { 3, 0, 2 }, 0, { 0 } },
    { "odd \"name\" \\ \xC3\xA9\t", ST_F32, 1, { 2 }, 2, { 1, 2 } },
};

TEST(safetensors_reads_every_dtype_as_float)
{
    status st = { 0 };
    safetensors *f = safetensors_open(test_data("data/safetensors/all-types.safetensors"), &st);
    REQUIRE(f, "%s", st.text);
    CHECK(safetensors_count(f) == 21, "%zu tensors", safetensors_count(f));
    CHECK(!strcmp(safetensors_metadata(f, "format"), "pt") && !safetensors_metadata(f, "other"), "metadata");
    for (const struct expected *x = expected; x < expected + COUNT(expected); x++) {
        size_t i = safetensors_find(f, x->name);
        float out[13];
        out[x->count] = 77;
        REQUIRE(i < safetensors_count(f), "no %s", x->name);
        const safetensors_entry *e = safetensors_get(f, i);
        CHECK(!strcmp(e->name, x->name) && e->dtype == x->dtype && e->rank == x->rank && e->count == x->count
              && !memcmp(e->dim, x->dim, (size_t)x->rank * sizeof *x->dim), "%s: dtype %s, rank %d, count %d", x->name,
              safetensors_dtype_name(e->dtype), e->rank, (int)e->count);
        CHECK(safetensors_read_floats(f, i, out, &st), "%s", st.text);
        for (int k = 0; k < x->count; k++)
            CHECK(!memcmp(&out[k], &x->value[k], sizeof *out), "%s[%d]: %.9g, not %.9g", x->name, k, (double)out[k],
                  (double)x->value[k]);
        CHECK(out[x->count] == 77, "%s: wrote beyond its end", x->name);
    }
    safetensors_close(f);
}

TEST(safetensors_reads_integers)
{
    static const struct { const char *name; int64_t value[6]; } ints[] = {
        { "bool", { 1, 0, 1, 1, 0, 1 } },
        { "u8",   { 0, 255, 0, 1, 7, 100 } },
        { "i8",   { -128, 127, 0, 1, 7, 100 } },
        { "i16",  { -32768, 32767, 0, 1, 7, 100 } },
        { "u16",  { 0, 65535, 0, 1, 7, 100 } },
        { "i32",  { INT32_MIN, INT32_MAX, 0, 1, 7, 100 } },
        { "u32",  { 0, UINT32_MAX, 0, 1, 7, 100 } },
        { "i64",  { INT64_MIN, INT64_MAX, 0, 1, 7, 100 } },
        { "u64",  { 0, -1, 0, 1, 7, 100 } },                 /* 2^64 - 1 as a 64-bit integer with sign */
    };
    status st = { 0 };
    safetensors *f = safetensors_open(test_data("data/safetensors/all-types.safetensors"), &st);
    REQUIRE(f, "%s", st.text);
    for (size_t k = 0; k < COUNT(ints); k++) {
        int64_t out[6];
        CHECK(safetensors_read_ints(f, safetensors_find(f, ints[k].name), out, &st), "%s", st.text);
        CHECK(!memcmp(out, ints[k].value, sizeof out), "%s: %lld ...", ints[k].name, (long long)out[0]);
    }
    safetensors_close(f);
}

TEST(safetensors_says_what_it_cannot_convert)
{
    static const struct { const char *name; bool ints; const char *text; } cases[] = {
        { "c64", false,         "cannot read C64 as float" },
        { "f8_e4m3", false,     "cannot read F8_E4M3 as float" },
        { "f8_e5m2", false,     "cannot read F8_E5M2 as float" },
        { "f8_e4m3fnuz", false, "cannot read F8_E4M3FNUZ as float" },
        { "f8_e5m2fnuz", true,  "cannot read F8_E5M2FNUZ as integers" },
        { "f32", true,          "cannot read F32 as integers" },
    };
    status ok = { 0 };
    const char *path = test_data("data/safetensors/all-types.safetensors");
    safetensors *f = safetensors_open(path, &ok);
    REQUIRE(f, "%s", ok.text);
    for (size_t k = 0; k < COUNT(cases); k++) {
        status st = { 0 };
        float x[12];
        int64_t n[12];
        char want[1200];
        size_t i = safetensors_find(f, cases[k].name);
        bool read = cases[k].ints ? safetensors_read_ints(f, i, n, &st) : safetensors_read_floats(f, i, x, &st);
        snprintf(want, sizeof want, "%s: tensor \"%s\": %s", path, cases[k].name, cases[k].text);
        CHECK(!read && st.code == TIMM_UNSUPPORTED && !strcmp(st.text, want), "%s", st.text);
    }
    safetensors_close(f);
}

TEST(safetensors_reads_files_without_tensors_and_with_odd_lookups)
{
    status st = { 0 };
    safetensors *f = safetensors_open(test_data("data/safetensors/no-tensors.safetensors"), &st);
    REQUIRE(f, "%s", st.text);
    CHECK(safetensors_count(f) == 0 && safetensors_find(f, "x") == 0, "%zu tensors", safetensors_count(f));
    safetensors_close(f);

    f = safetensors_open(test_data("data/safetensors/state.safetensors"), &st);
    REQUIRE(f, "%s", st.text);
    static const char *const absent[] = { "", "a", "bn.running", "bn.running_meanx", "head.bias ", "z",
                                          "__metadata__" };
    for (size_t i = 0; i < COUNT(absent); i++)
        CHECK(safetensors_find(f, absent[i]) == safetensors_count(f), "found %s", absent[i]);
    float x[108], y[108];
    size_t i = safetensors_find(f, "conv.weight");
    CHECK(safetensors_read_floats(f, i, x, &st), "%s", st.text);
    safetensors_release(f, i);
    CHECK(safetensors_read_floats(f, i, y, &st) && !memcmp(x, y, sizeof x), "other values after release");
    status_fail(&st, TIMM_IO, "before");
    CHECK(!safetensors_read_floats(f, i, x, &st) && !safetensors_read_ints(f, 0, (int64_t[1]){ 0 }, &st), "read");
    CHECK(!safetensors_write(test_temp("none"), NULL, 0, NULL, 0, &st) && !strcmp(st.text, "before"), "%s", st.text);
    safetensors_close(f);
    safetensors_close(NULL);
}

/* -- files that lie ------------------------------------------------------------------------------------------------ */

#define F32x2 "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"

/* A header, bytes of data after it, and what is said about the file; NULL: it is sound. */
static const struct { const char *header; size_t data; const char *text; } lies[] = {
    { "{}", 0, NULL },
    { "{}      ", 0, NULL },
    { "{\"a\":{" F32x2 "}}", 8, NULL },
    { "{\"\":{" F32x2 "}}", 8, NULL },
    { "{\"__metadata__\":{\"k\":\"v\"},\"a\":{" F32x2 "}}", 8, NULL },
    { "{\"a\":{" F32x2 ",\"more\":[1]}}", 8, NULL },
    { "{\"__metadata__\":null,\"a\":{" F32x2 "}}", 8, NULL },
    { "{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[8,9]},\"a\":{" F32x2 "}}", 9, NULL },
    { "{\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[8,8]},\"a\":{" F32x2 "}}", 8, NULL },
    { "{\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{" F32x2 "}}", 8, NULL },
    { "{\"a\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]}}", 2, NULL },
    { "{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[2,2],\"data_offsets\":[0,3]}}", 3, NULL },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, NULL },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4611686018427387904],\"data_offsets\":[0,0]}}", 0, NULL },

    { "", 0, "not a safetensors file: the header does not begin with '{'" },
    { " {}", 0, "not a safetensors file: the header does not begin with '{'" },
    { "[]", 0, "not a safetensors file: the header does not begin with '{'" },
    { "{", 0, "not JSON: line 1, column 1: string or '}' expected near end of file" },
    { "{}{}", 0, "not JSON: line 1, column 3: end of file expected near '{'" },
    { "{\"a\xFF\":1}", 0, "not JSON: line 1, column 3: unable to decode byte 0xff near '\"a'" },
    { "{\"a\\u0000b\":1}", 0,
      "not JSON: line 1, column 11: NUL byte in object key not supported near '\"a\\u0000b\"'" },
    { "{\"a\":{" F32x2 "},\"a\":{" F32x2 "}}", 8, "not JSON: line 1, column 57: duplicate object key near '\"a\"'" },
    { "{\"a\":{\"dtype\":\"F32\"," F32x2 "}}", 8,
      "not JSON: line 1, column 27: duplicate object key near '\"dtype\"'" },
    { "{\"a\":1}", 0, "tensor \"a\": its entry is not an object" },
    { "{\"__metadata__\":[]}", 0, "__metadata__ is not an object" },
    { "{\"__metadata__\":{\"k\":1}}", 0, "__metadata__ \"k\" is not a string" },
    { "{\"__metadata__\":{" F32x2 "}}", 8, "__metadata__ \"shape\" is not a string" },
    { "{\"a\":{}}", 0, "tensor \"a\": no dtype" },
    { "{\"a\":{\"dtype\":7}}", 0, "tensor \"a\": no dtype" },
    { "{\"a\":{\"dtype\":\"F31\"}}", 0, "tensor \"a\": unknown dtype \"F31\"" },
    { "{\"a\":{\"dtype\":\"f32\"}}", 0, "tensor \"a\": unknown dtype \"f32\"" },
    { "{\"a\\u001b[2J\":{\"dtype\":\"F32\"}}", 0, "tensor \"a?[2J\": no shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":4}}", 0, "tensor \"a\": no shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
      "tensor \"a\": 9 dimensions, at most 8 are supported" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,-1]}}", 0,
      "tensor \"a\": size 1 of its shape is not a number from 0 up" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0]}}", 0, "tensor \"a\": size 0 of its shape is not a number from 0 up" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"]}}", 0,
      "tensor \"a\": size 0 of its shape is not a number from 0 up" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999]}}", 0,
      "not JSON: line 1, column 49: too big integer near "
      "'99999999999999999999'" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296]}}", 0,
      "tensor \"a\": its shape overflows: dimension 1 of size 4294967296" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
      "tensor \"a\": its shape overflows: dimension 2 of size 4294967296" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
      "tensor \"a\": its size overflows: 4611686018427387904 numbers of F32" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "tensor \"a\": data_offsets are not two numbers" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8,
      "tensor \"a\": data_offsets are not two numbers" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8,
      "tensor \"a\": data_offsets are not two numbers" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8,
      "tensor \"a\": data_offsets are not two numbers" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8,
      "tensor \"a\": data_offsets [8, 0] are not in order" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8,
      "tensor \"a\": data_offsets [-8, 0] are not in order" },
    { "{\"a\":{" F32x2 "}}", 7, "tensor \"a\": data_offsets [0, 8], the file has 7 bytes of data" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
      "tensor \"a\": 3 numbers of F32 are 12 bytes, data_offsets [0, 8] hold 8" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,8]}}", 8,
      "tensor \"a\": 0 numbers of F32 are 0 bytes, data_offsets [0, 8] hold 8" },
    { "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2,
      "tensor \"a\": 3 numbers of F4 do not fill whole bytes" },
    { "{\"a\":{" F32x2 "}}", 9, ": its tensors end at byte %zu, the file has %zu" },
    { "{}", 1, ": its tensors end at byte %zu, the file has %zu" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3,
      "tensor \"a\": begins at byte 1 of the data, what lies before it ends at 0: a hole" },
    { "{\"a\":{" F32x2 "},\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[9,10]}}", 10,
      "tensor \"b\": begins at byte 9 of the data, what lies before it ends at 8: a hole" },
    { "{\"a\":{" F32x2 "},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[7,9]}}", 9,
      "tensor \"b\": begins at byte 7 of the data, \"a\" ends at 8: they overlap" },
    { "{\"a\":{" F32x2 "},\"b\":{" F32x2 "}}", 8,
      "tensor \"b\": begins at byte 0 of the data, \"a\" ends at 8: they overlap" },
    { "{\"a\":{" F32x2 "},\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[3,3]}}", 8,
      "tensor \"b\": begins at byte 3 of the data, \"a\" ends at 8: they overlap" },
};

/* The file in memory of its exact size, so that a sanitizer sees a byte too far. */
static uint8_t *file_of(uint64_t length, const char *header, size_t data, size_t *size)
{
    size_t n = strlen(header);
    uint8_t *file = malloc(8 + n + data);
    if (!file)
        return NULL;
    memcpy(file, &length, 8);
    memcpy(file + 8, header, n);
    memset(file + 8 + n, 1, data);
    *size = 8 + n + data;
    return file;
}

TEST(safetensors_refuses_files_that_lie)
{
    for (size_t i = 0; i < COUNT(lies); i++) {
        status st = { 0 };
        size_t size, n = strlen(lies[i].header);
        uint8_t *file = file_of(n, lies[i].header, lies[i].data, &size);
        REQUIRE(file, "memory");
        safetensors *f = safetensors_open_memory(file, size, "F", &st);
        char want[300] = "F: ";
        if (lies[i].text && *lies[i].text == ':')
            snprintf(want, sizeof want, "F: its tensors end at byte %zu, the file has %zu",
                     size - (lies[i].data == 9 ? 1 : lies[i].data), size);
        else if (lies[i].text)
            strcat(want, lies[i].text);
        CHECK(!f == !!lies[i].text, "%s: %s", lies[i].header, f ? "accepted" : st.text);
        CHECK(f || (st.code == TIMM_BAD_FILE && !strcmp(st.text, want)), "%s", st.text);
        safetensors_close(f);
        free(file);
    }
}

TEST(safetensors_checks_the_length_of_the_header)
{
    static const struct { uint64_t length; size_t cut; const char *text; } cases[] = {
        { 2, 7, "F: 7 bytes, a safetensors file has at least 8" },
        { 2, 0, "F: 0 bytes, a safetensors file has at least 8" },
        { 2, 8, "F: the header should have 2 bytes, the file has 0 after its length" },
        { 3, 10, "F: the header should have 3 bytes, the file has 2 after its length" },
        { 100000000, 10, "F: the header should have 100000000 bytes, the file has 2 after its length" },
        { 100000001, 10, "F: not a safetensors file: a header of 100000001 bytes, at most 100000000 are accepted" },
        { UINT64_MAX, 10,
          "F: not a safetensors file: a header of 18446744073709551615 bytes, at most 100000000 are accepted" },
        { 0, 10, "F: not a safetensors file: the header does not begin with '{'" },
        { 1, 10, "F: not JSON: line 1, column 1: string or '}' expected near end of file" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        status st = { 0 };
        size_t size;
        uint8_t *file = file_of(cases[i].length, "{}", 0, &size);
        uint8_t *cut = malloc(cases[i].cut ? cases[i].cut : 1);
        REQUIRE(file && cut, "memory");
        memcpy(cut, file, cases[i].cut);
        CHECK(!safetensors_open_memory(cut, cases[i].cut, "F", &st), "accepted %d", (int)cases[i].cut);
        CHECK(!strcmp(st.text, cases[i].text), "%s", st.text);
        free(file);
        free(cut);
    }
}

TEST(safetensors_refuses_every_truncation)
{
    status st = { 0 };
    mapped_file m;
    REQUIRE(mapped_open(&m, test_data("data/safetensors/all-types.safetensors"), &st), "%s", st.text);
    for (size_t n = 0; n < m.size; n++) {
        status cut = { 0 };
        uint8_t *copy = malloc(n ? n : 1);
        REQUIRE(copy, "memory");
        memcpy(copy, m.bytes, n);
        safetensors *f = safetensors_open_memory(copy, n, "F", &cut);
        CHECK(!f && cut.code == TIMM_BAD_FILE && !strncmp(cut.text, "F: ", 3), "%zu bytes: %s", n,
              f ? "accepted" : cut.text);
        safetensors_close(f);
        free(copy);
    }
    mapped_close(&m);
}

TEST(safetensors_shortens_names_in_messages)
{
    char header[400] = "{\"";
    status st = { 0 };
    size_t size = 0;
    memset(header + 2, 'n', 300);
    strcat(header, "\":1}");
    uint8_t *file = file_of(strlen(header), header, 0, &size);
    CHECK(!safetensors_open_memory(file, size, "F", &st), "accepted");
    CHECK(strlen(st.text) < 160 && strstr(st.text, "nnn...\": its entry is not an object"), "%s", st.text);
    free(file);
}

/* -- files of our own ---------------------------------------------------------------------------------------------- */

static bool same_files(const char *a, const char *b)
{
    status st = { 0 };
    mapped_file x, y;
    bool one = mapped_open(&x, a, &st), both = mapped_open(&y, b, &st) && one;
    bool same = both && x.size == y.size && !memcmp(x.bytes, y.bytes, x.size);
    mapped_close(&x);
    mapped_close(&y);
    return same;
}

/* Tensors of a file, given in an order that is not the file's, make the same bytes as the safetensors package wrote. */
static void rewrite(const char *name, bool metadata)
{
    status st = { 0 };
    const char *path = test_data(name), *copy = test_temp("rewritten.safetensors");
    safetensors *f = safetensors_open(path, &st);
    REQUIRE(f, "%s", st.text);
    safetensors_tensor list[32] = { 0 };
    size_t n = safetensors_count(f);
    for (size_t i = 0; i < n; i++) {
        const safetensors_entry *e = safetensors_get(f, (i * 5 + 3) % n);
        list[i] = (safetensors_tensor){ .name = e->name, .dtype = e->dtype, .rank = e->rank, .data = e->data };
        memcpy(list[i].dim, e->dim, sizeof e->dim);
    }
    const safetensors_pair format = { "format", "pt" };
    CHECK(safetensors_write(copy, list, n, &format, metadata, &st), "%s", st.text);
    CHECK(same_files(path, copy), "%s: other bytes", name);
    uint32_t crc = 1;
    CHECK(safetensors_crc32_of(list, n, &crc, &st) && crc == safetensors_crc32(f) && (!n || crc), "%s: another checksum", name);
    safetensors_close(f);
}

TEST(safetensors_writes_the_bytes_of_the_package)
{
    rewrite("data/safetensors/all-types.safetensors", true);
    rewrite("data/safetensors/state.safetensors", false);
    rewrite("data/safetensors/rounding.safetensors", false);
    rewrite("data/safetensors/no-tensors.safetensors", false);
}

static bool put_values(void *user, const safetensors_tensor *t, safetensors_sink *to, status *st)
{
    const float *x = user;
    size_t n = t->rank ? (size_t)t->dim[0] : 1, half = n / 2;
    return safetensors_put_floats(to, x, half, st) && safetensors_put_floats(to, x + half, n - half, st);
}

TEST(safetensors_converts_floats_to_every_dtype)
{
    enum { N = 5000 };
    static float x[N], y[N];
    static const safetensors_dtype types[] = { ST_BOOL, ST_U8, ST_I8, ST_I16, ST_U16, ST_F16, ST_BF16, ST_I32, ST_U32,
                                               ST_F32, ST_F64, ST_I64, ST_U64 };
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 2);
    for (int i = 2; i < N; i += 3)
        x[i] = (float)(i % 128);                             /* exact in all of them but BOOL */
    const char *path = test_temp("converted.safetensors");
    safetensors_tensor list[COUNT(types)];
    status st = { 0 };
    for (size_t k = 0; k < COUNT(types); k++)
        list[k] = (safetensors_tensor){ .name = safetensors_dtype_name(types[k]), .dtype = types[k], .rank = 1,
                                        .dim = { N }, .put = put_values, .user = x };
    REQUIRE(safetensors_write(path, list, COUNT(types), NULL, 0, &st), "%s", st.text);
    safetensors *f = safetensors_open(path, &st);
    REQUIRE(f, "%s", st.text);
    for (size_t k = 0; k < COUNT(types); k++) {
        size_t i = safetensors_find(f, list[k].name);
        CHECK(safetensors_get(f, i)->dtype == types[k] && safetensors_read_floats(f, i, y, &st), "%s", st.text);
        for (int j = 0; j < N; j++)
            CHECK(y[j] == (types[k] == ST_BOOL ? (float)(x[j] != 0) : x[j]), "%s[%d]: %g, not %g", list[k].name, j,
                  (double)y[j], (double)x[j]);
    }
    safetensors_close(f);
}

TEST(safetensors_refuses_values_that_do_not_fit)
{
    static const struct { safetensors_dtype dtype; float value; bool fits; } cases[] = {
        { ST_U8, 255, true },      { ST_U8, 256, false },      { ST_U8, -1, false },      { ST_I8, -128, true },
        { ST_I8, 128, false },     { ST_I16, -32769, false },  { ST_U16, 65536, false },  { ST_I32, 0x1p31f, false },
        { ST_I32, -0x1p31f, true }, { ST_U32, 0x1p32f, false }, { ST_I64, 0x1p63f, false }, { ST_I64, -0x1p63f, true },
        { ST_U64, 0x1p64f, false }, { ST_U64, -1, false },     { ST_I64, NAN, false },    { ST_I8, INF, false },
        { ST_F16, INF, true },     { ST_F32, NAN, true },      { ST_BOOL, -3, true },
    };
    const char *path = test_temp("fits.safetensors");
    for (size_t i = 0; i < COUNT(cases); i++) {
        status st = { 0 };
        float x = cases[i].value;
        safetensors_tensor t = { .name = "n", .dtype = cases[i].dtype, .put = put_values, .user = &x };
        bool ok = safetensors_write(path, &t, 1, NULL, 0, &st);
        char want[1200];
        snprintf(want, sizeof want, "%s: tensor \"n\": %g does not fit %s", path, (double)x,
                 safetensors_dtype_name(cases[i].dtype));
        CHECK(ok == cases[i].fits && (ok || !strcmp(st.text, want)), "%g as %s: %s", (double)x,
              safetensors_dtype_name(cases[i].dtype), st.text);
    }
}

/* -- writing what cannot be written -------------------------------------------------------------------------------- */

static bool put_short(void *user, const safetensors_tensor *t, safetensors_sink *to, status *st)
{
    (void)t;
    return safetensors_put(to, "12345678", *(size_t *)user, st);
}

static bool put_nothing(void *user, const safetensors_tensor *t, safetensors_sink *to, status *st)
{
    (void)t, (void)to;
    return user && status_fail(st, TIMM_NOT_FOUND, "the reason");
}

TEST(safetensors_write_says_what_is_wrong)
{
    static size_t three = 3, five = 5;
    static float one = 1;
    static const struct { safetensors_tensor t[2]; size_t n; const char *text; } cases[] = {
        { { { .name = "a", .dtype = ST_F32, .put = put_short, .user = &three } }, 1,
          "tensor \"a\": given 3 bytes, its shape has 4" },
        { { { .name = "a", .dtype = ST_F32, .put = put_short, .user = &five } }, 1,
          "tensor \"a\": given 5 bytes, its shape has 4" },
        { { { .name = "a", .dtype = ST_F32, .put = put_nothing, .user = &one } }, 1, NULL },
        { { { .name = "a", .dtype = ST_F32, .put = put_nothing } }, 1, "tensor \"a\" could not be had" },
        { { { .name = "a", .dtype = ST_C64, .put = put_values, .user = &one } }, 1,
          "tensor \"a\": cannot write float as C64" },
        { { { .name = "a", .dtype = ST_F32, .data = &one }, { .name = "a", .dtype = ST_F16, .data = &one } }, 2,
          "not JSON: line 1, column 56: duplicate object key near '\"a\"'" },
        { { { .name = "__metadata__", .dtype = ST_F32, .data = &one } }, 1, "no tensor can be called __metadata__" },
        { { { .name = "a", .dtype = ST_F32, .rank = 9 } }, 1, "tensor \"a\": no file can hold its shape" },
        { { { .name = "a", .dtype = ST_F32, .rank = 1, .dim = { -1 } } }, 1,
          "tensor \"a\": no file can hold its shape" },
        { { { .name = "a", .dtype = ST_F32, .rank = 2, .dim = { INT64_MAX, 2 } } }, 1,
          "tensor \"a\": no file can hold its shape" },
        { { { .name = "a", .dtype = ST_F4, .rank = 1, .dim = { 3 } } }, 1, "tensor \"a\": no file can hold its shape" },
    };
    const char *path = test_temp("kept.safetensors"), *old = test_data("data/safetensors/state.safetensors");
    status st = { 0 };
    mapped_file m;
    REQUIRE(mapped_open(&m, old, &st) && atomic_write_file(path, m.bytes, m.size, &st), "%s", st.text);
    mapped_close(&m);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char want[1200];
        st = (status){ 0 };
        CHECK(!safetensors_write(path, cases[i].t, cases[i].n, NULL, 0, &st), "case %zu written", i);
        snprintf(want, sizeof want, "%s: %s", path, cases[i].text ? cases[i].text : "");
        CHECK(!strcmp(st.text, cases[i].text ? want : "the reason"), "%s", st.text);
        CHECK(same_files(path, old), "case %zu damaged the old file", i);
    }
    st = (status){ 0 };
    CHECK(!safetensors_write("/dev/full", cases[0].t, 0, NULL, 0, &st), "wrote to a full device");
    CHECK(!strcmp(st.text, "/dev/full: cannot write: No space left on device"), "%s", st.text);
}

TEST(safetensors_open_says_why)
{
    status st = { 0 };
    CHECK(!safetensors_open("/nonexistent/m.safetensors", &st) && st.code == TIMM_NOT_FOUND, "%s", st.text);
    CHECK(!strcmp(st.text, "/nonexistent/m.safetensors: no such file"), "%s", st.text);
    CHECK(!safetensors_open(test_data("data/safetensors/state.safetensors"), &st), "opened after a failure");
    st = (status){ 0 };
    CHECK(!safetensors_open(test_data("data"), &st) && strstr(st.text, "data: cannot read: it is a folder"), "%s",
          st.text);
}
