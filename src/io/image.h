/* image.h - 8-bit images in memory, and the files they come from and go to.
 *
 * Pixels are those of Pillow's Image.open(path).convert("L" or "RGB"): EXIF rotation is ignored, RGBA loses its alpha,
 * CMYK is taken as Adobe's inverted kind.  The format is told by the first bytes, never by the name.  A timm_image owns
 * its pixels.
 */
#ifndef IO_IMAGE_H
#define IO_IMAGE_H
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

/* Pillow's own limit, twice the size from which it warns. */
#define IMAGE_MAX_PIXELS INT64_C(178956970)

/* What a decoder is given, and what it says about its result in messages. */
typedef struct image_source {
    const uint8_t *bytes;
    size_t size;
    const char *name;           /* starts every message: the path, or "image" */
    int channels;               /* wanted: 1 L, 3 RGB, 0: the file's own of L, RGB, RGBA */
    int64_t max_pixels;         /* 0: IMAGE_MAX_PIXELS */
} image_source;

/* Pixels not yet set.  channels: 1, 3 or 4. */
bool image_alloc(timm_image *image, int width, int height, int channels, status *st);
void image_free(timm_image *image);
/* False with a sentence when the size, as a file states it, is empty or beyond the source's limit. */
bool image_size_fits(const image_source *from, uint64_t width, uint64_t height, status *st);
/* To 1 (L) or 3 (RGB) channels, in place; 0 leaves it. */
bool image_convert(timm_image *image, int channels, status *st);
static inline uint8_t image_luma(unsigned r, unsigned g, unsigned b)      /* ITU-R 601-2 in 16 bits */
{
    return (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
}

bool image_decode(const image_source *from, timm_image *out, status *st);      /* any of the three formats */
bool image_load(const char *path, int channels, timm_image *out, status *st);
bool image_is_jpeg(const uint8_t *bytes, size_t size);
bool image_is_png(const uint8_t *bytes, size_t size);
bool image_is_webp(const uint8_t *bytes, size_t size);
bool image_decode_jpeg(const image_source *from, timm_image *out, status *st);
bool image_decode_png(const image_source *from, timm_image *out, status *st);
bool image_decode_webp(const image_source *from, timm_image *out, status *st);

/* Written to a temporary beside the path, then renamed over it: a reader never sees half a file. */
bool image_save(const char *path, const timm_image *image, bool chw, status *st);      /* by the name: .png or .npy */
bool image_save_png(const char *path, const timm_image *image, status *st);
bool image_save_npy(const char *path, const timm_image *image, bool chw, status *st);

/* Of the libraries that decode, as they are loaded. */
const char *image_jpeg_version(void);
const char *image_png_version(void);
const char *image_webp_version(void);

#endif
