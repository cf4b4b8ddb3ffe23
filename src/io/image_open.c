/* image_open.c - which format it is, by the first bytes. */
#include <stdlib.h>
#include "io/file.h"
#include "io/image.h"

static const struct format {
    bool (*is)(const uint8_t *bytes, size_t size);
    bool (*decode)(const image_source *from, timm_image *out, status *st);
} formats[] = {
    { image_is_jpeg, image_decode_jpeg },
    { image_is_png,  image_decode_png },
    { image_is_webp, image_decode_webp },
};

bool image_decode(const image_source *from, timm_image *out, status *st)
{
    *out = (timm_image){ 0 };
    if (!status_ok(st))
        return false;
    if (from->channels != 0 && from->channels != 1 && from->channels != 3)
        return status_fail(st, TIMM_BAD_ARG, "%s: %d channels wanted; 1 (L), 3 (RGB) or 0 (the file's own)",
                           from->name, from->channels);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].is(from->bytes, from->size))
            return formats[i].decode(from, out, st);
    return status_fail(st, TIMM_BAD_FILE, "%s: %s, neither JPEG nor PNG nor WebP", from->name,
                       from->size ? "not an image of a known format" : "empty");
}

bool image_load(const char *path, int channels, timm_image *out, status *st)
{
    size_t size;
    *out = (timm_image){ 0 };
    uint8_t *bytes = file_read(path, &size, st);
    bool ok = bytes
        && image_decode(&(image_source){ .bytes = bytes, .size = size, .name = path, .channels = channels }, out, st);
    free(bytes);
    return ok;
}
