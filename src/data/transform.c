/* transform.c - timm's evaluation transform.
 *
 * Only the part of the resized image that the crop keeps is ever made; every pixel is the one a full resize would give.
 * Python's round() is rint here: to nearest, halves to even.
 */
#include "data/transform.h"
#include <math.h>
#include <string.h>
#include "data/resize_image.h"
#include "io/image.h"

typedef struct size { double height, width; } size;

/* -- sizes after the resize, by crop_mode -------------------------------------------------------------------------- */

static size keep_ratio(size image, double ratio)
{
    return (size){ rint(image.height / ratio), rint(image.width / ratio) };
}

/* The shorter side becomes that of the scale; nothing is added. */
static size size_center(size image, size scale)
{
    if (scale.height != scale.width)
        return keep_ratio(image, fmin(image.height / scale.height, image.width / scale.width));
    double s = scale.height;
    return image.width <= image.height ? (size){ floor(s * image.height / image.width), s }
                                       : (size){ s, floor(s * image.width / image.height) };
}

static size size_squash(size image, size scale)
{
    (void)image;
    return scale;
}

/* The longer side fits; what is missing is filled with the mean. */
static size size_border(size image, size scale)
{
    return keep_ratio(image, fmax(image.height / scale.height, image.width / scale.width));
}

static const struct crop_mode {
    const char *name;
    size (*resized)(size image, size scale);
    bool mean_fill;
} crop_modes[] = {
    { "center", size_center, false },
    { "squash", size_squash, false },
    { "border", size_border, true },
};

static const struct crop_mode *crop_mode_named(const char *name, status *st)
{
    for (size_t i = 0; i < sizeof crop_modes / sizeof *crop_modes; i++)
        if (!name || !strcmp(crop_modes[i].name, name))
            return &crop_modes[i];
    status_fail(st, TIMM_BAD_ARG, "transform: no crop mode \"%s\"; there are center, squash, border", name);
    return NULL;
}

bool transform_resized(const timm_image *in, const timm_transform *how, int *width, int *height, status *st)
{
    const struct crop_mode *mode = status_ok(st) ? crop_mode_named(how->crop_mode, st) : NULL;
    if (!mode)
        return false;
    double h = (double)how->input_size[1], w = (double)how->input_size[2];
    double pct = how->crop_pct != 0. ? how->crop_pct : .875;
    size scale = { floor(h / pct), floor(w / pct) };
    bool sane = h >= 1. && w >= 1. && pct > 0. && fmin(scale.height, scale.width) >= 1.
                && fmax(scale.height, scale.width) < IMAGE_MAX_PIXELS;           /* whatever the image */
    if (!sane || !in->pixels || in->width < 1 || in->height < 1)
        return status_fail(st, TIMM_BAD_ARG, "transform: an image of %d x %d to %g x %g with crop_pct %g",
                           in->width, in->height, w, h, pct);
    size to = mode->resized((size){ in->height, in->width }, scale);
    if (!(to.height >= 1. && to.width >= 1. && to.height < IMAGE_MAX_PIXELS && to.width < IMAGE_MAX_PIXELS))
        return status_fail(st, TIMM_SHAPE, "transform: an image of %d x %d would be resized to %.0f x %.0f",
                           in->width, in->height, to.width, to.height);
    *width = (int)to.width;
    *height = (int)to.height;
    return true;
}

/* -- the centre crop ----------------------------------------------------------------------------------------------- */

/* Along one axis: count pixels of the resized image from `from` land at `at` of the result. */
typedef struct span { int from, at, count; } span;

static span centre(int have, int want)
{
    if (have <= want)
        return (span){ 0, (want - have) / 2, have };
    return (span){ (int)rint((have - want) / 2.), 0, want };
}

static void put(const timm_image *part, const timm_transform *how, bool mean_fill, span x, span y, timm_image *out)
{
    size_t pixel = (size_t)out->channels, row = (size_t)out->width * pixel, part_row = (size_t)part->width * pixel;
    uint8_t fill[4] = { 0 };
    for (int c = 0; mean_fill && c < 3; c++)
        fill[c] = (uint8_t)fmin(255., fmax(0., rint(255. * how->mean[c])));
    size_t n = (size_t)out->width * (size_t)out->height * pixel;
    for (size_t i = 0; i < n; i++)
        out->pixels[i] = fill[i % pixel];
    for (int i = 0; i < part->height; i++)
        memcpy(out->pixels + (size_t)(y.at + i) * row + (size_t)x.at * pixel, part->pixels + (size_t)i * part_row,
               part_row);
}

bool transform_eval(const timm_image *in, const timm_transform *how, timm_image *out, status *st)
{
    int width, height, target_h = (int)how->input_size[1], target_w = (int)how->input_size[2];
    *out = (timm_image){ 0 };
    resize_how resize = { .filter = RESIZE_BILINEAR };
    if (!transform_resized(in, how, &width, &height, st)
        || (how->interpolation && !resize_filter_named(how->interpolation, &resize.filter, st)))
        return false;
    if (how->input_size[1] > IMAGE_MAX_PIXELS / how->input_size[2])
        return status_fail(st, TIMM_BAD_ARG, "transform: an input of %lld x %lld is too large",
                           (long long)how->input_size[2], (long long)how->input_size[1]);
    span x = centre(width, target_w), y = centre(height, target_h);
    resize_part keep = { x.from, y.from, x.count, y.count };
    resize.width = width, resize.height = height, resize.part = &keep;
    if (x.count == target_w && y.count == target_h)
        return resize_image(in, &resize, out, st);
    timm_image part;
    bool ok = resize_image(in, &resize, &part, st) && image_alloc(out, target_w, target_h, in->channels, st);
    if (ok)
        put(&part, how, crop_mode_named(how->crop_mode, st)->mean_fill, x, y, out);
    image_free(&part);
    return ok;
}

/* -- normalisation ------------------------------------------------------------------------------------------------- */

bool transform_normalize(const timm_image *in, const double *mean, const double *std, float *to, status *st)
{
    if (!status_ok(st))
        return false;
    if (!in->pixels || (in->channels != 1 && in->channels != 3))
        return status_fail(st, TIMM_BAD_ARG, "normalize: an image of %d channels; 1 or 3 are known", in->channels);
    size_t n = (size_t)in->width * (size_t)in->height, step = (size_t)in->channels;
    for (size_t c = 0; c < step; c++, to += n) {
        if (!(std[c] > 0.))
            return status_fail(st, TIMM_BAD_ARG, "normalize: a deviation of %g for channel %zu", std[c], c);
        float table[256];
        for (int v = 0; v < 256; v++)
            table[v] = ((float)v / 255.f - (float)mean[c]) / (float)std[c];
        for (size_t i = 0; i < n; i++)
            to[i] = table[in->pixels[i * step + c]];
    }
    return true;
}
