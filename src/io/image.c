/* image.c - memory for pixels, and conversion between L, RGB and RGBA. */
#include "io/image.h"
#include <stdlib.h>

bool image_alloc(timm_image *image, int width, int height, int channels, status *st)
{
    *image = (timm_image){ 0 };
    if (width < 1 || height < 1)
        return status_fail(st, TIMM_BAD_ARG, "image: %d x %d pixels; both must be at least 1", width, height);
    size_t rows = (size_t)height, row = (size_t)width * (size_t)channels;
    uint8_t *pixels = row > SIZE_MAX / 2 / rows ? NULL : malloc(rows * row);
    if (!pixels)
        return status_fail(st, TIMM_NO_MEMORY, "image: no memory for %d x %d pixels of %d bytes", width, height,
                           channels);
    *image = (timm_image){ width, height, channels, pixels };
    return true;
}

void image_free(timm_image *image)
{
    free(image->pixels);
    *image = (timm_image){ 0 };
}

bool image_size_fits(const image_source *from, uint64_t width, uint64_t height, status *st)
{
    uint64_t most = (uint64_t)(from->max_pixels ? from->max_pixels : IMAGE_MAX_PIXELS);
    if (!width || !height)
        return status_fail(st, TIMM_BAD_FILE, "%s: the image has no pixels (%llu x %llu)", from->name,
                           (unsigned long long)width, (unsigned long long)height);
    if (width > most || height > most / width)
        return status_fail(st, TIMM_BAD_FILE, "%s: %llu x %llu pixels are more than the limit of %llu", from->name,
                           (unsigned long long)width, (unsigned long long)height, (unsigned long long)most);
    return true;
}

static void to_grey(const timm_image *in, uint8_t *to)
{
    const uint8_t *end = in->pixels + (size_t)in->width * (size_t)in->height * (size_t)in->channels;
    for (const uint8_t *p = in->pixels; p < end; p += in->channels)
        *to++ = image_luma(p[0], p[1], p[2]);
}

static void to_colour(const timm_image *in, uint8_t *to)
{
    size_t n = (size_t)in->width * (size_t)in->height, step = (size_t)in->channels, green = step > 1, blue = 2 * green;
    const uint8_t *p = in->pixels;
    for (size_t i = 0; i < n; i++, p += step, to += 3) {
        to[0] = p[0];
        to[1] = p[green];
        to[2] = p[blue];
    }
}

bool image_convert(timm_image *image, int channels, status *st)
{
    timm_image out;
    if (!channels || channels == image->channels)
        return true;
    if (!image_alloc(&out, image->width, image->height, channels, st))
        return false;
    channels == 1 ? to_grey(image, out.pixels) : to_colour(image, out.pixels);
    image_free(image);
    *image = out;
    return true;
}
