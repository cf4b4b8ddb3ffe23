/* made_image.c - images that any program can make from a name, and hashes of what became of them. */
#include "made_image.h"
#include <stdlib.h>
#include <string.h>
#include "base/random.h"
#include "base/sha256.h"
#include "jsonl.h"

double jsonl_item(const json_t *record, const char *key, size_t i)
{
    return json_number_value(json_array_get(json_object_get(record, key), i));
}

bool sha_is(const json_t *record, const char *key, const void *bytes, size_t size)
{
    char hex[65];
    sha256_hex(bytes, size, hex);
    const char *expected = jsonl_text(record, key);
    return strlen(expected) == 16 && !strncmp(hex, expected, 16);
}

static uint8_t *noise(const char *name, size_t n)
{
    uint8_t *bytes = malloc(n);
    uint64_t key = hash_name(name);
    for (size_t i = 0; bytes && i < n; i++)
        bytes[i] = (uint8_t)(random_bits(key, i + 1) >> 56);
    return bytes;
}

/* Hard edges: a ramp plus a noise value for each tile of 8 x 8. */
static int smooth(const uint8_t *b, int w, int c, int x, int y, int k)
{
    return (3 * x + 2 * y + 85 * k + b[(y / 8 * (w / 8 + 1) + x / 8) * c + k]) % 256;
}

/* Noise values 16 pixels apart, interpolated. */
static int soft(const uint8_t *b, int w, int c, int x, int y, int k)
{
    int row = (w / 16 + 2) * c, u = x % 16, v = y % 16;
    const uint8_t *p = b + y / 16 * row + x / 16 * c + k;
    int near = p[0] * (16 - u) + p[c] * u, far = p[row] * (16 - u) + p[row + c] * u;
    return 16 + 20 * k + ((near * (16 - v) + far * v) >> 9);
}

static int same(const uint8_t *b, int w, int c, int x, int y, int k) { return b[(y * w + x) * c + k]; }

static const struct kind {
    const char *name;
    int tile, more;             /* the noise has (w / tile + more) x (h / tile + more) pixels */
    int (*value)(const uint8_t *b, int w, int c, int x, int y, int k);
} kinds[] = { { "noise", 1, 0, same }, { "smooth", 8, 1, smooth }, { "soft", 16, 2, soft } };

bool made_image(const json_t *made, timm_image *image)
{
    const char *name, *kind;
    int w, h, c;
    *image = (timm_image){ 0 };
    if (json_unpack((json_t *)made, "[ssiii]", &name, &kind, &w, &h, &c))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *of = &kinds[i];
        if (strcmp(of->name, kind))
            continue;
        uint8_t *b = noise(name, (size_t)(w / of->tile + of->more) * (size_t)(h / of->tile + of->more) * (size_t)c);
        *image = (timm_image){ w, h, c, malloc((size_t)w * (size_t)h * (size_t)c) };
        uint8_t *to = image->pixels;
        for (int y = 0; b && to && y < h; y++)
            for (int x = 0; x < w; x++)
                for (int k = 0; k < c; k++)
                    *to++ = (uint8_t)of->value(b, w, c, x, y, k);
        free(b);
        return b && image->pixels;
    }
    return false;
}
