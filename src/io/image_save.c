/* image_save.c - NumPy's .npy (version 1.0), and the choice of the format by the name. */
#include <stdio.h>
#include <string.h>
#include "io/atomic_file.h"
#include "io/image.h"

/* Magic, version, length of the rest, a Python dict padded with blanks to a multiple of 64. */
static void write_header(atomic_file *f, const timm_image *image, bool chw, status *st)
{
    char text[128] = "\x93NUMPY\x01";
    int c = image->channels, h = image->height, w = image->width;
    char last[16] = "";
    if (chw || c > 1)                                    /* PIL's array of a grey image has two axes */
        snprintf(last, sizeof last, ", %d", chw ? w : c);
    int n = 10 + snprintf(text + 10, sizeof text - 10, "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d%s), }", chw ? c : h,
                          chw ? h : w, last);
    text[8] = (char)(sizeof text - 10);
    memset(text + n, ' ', sizeof text - (size_t)n);
    text[sizeof text - 1] = '\n';
    atomic_write(f, text, sizeof text, st);
}

static void write_planes(atomic_file *f, const timm_image *image, status *st)
{
    uint8_t buffer[4096];
    size_t n = (size_t)image->width * (size_t)image->height, step = (size_t)image->channels;
    for (size_t c = 0; c < step; c++)
        for (size_t i = 0; i < n;) {
            size_t used = 0;
            for (; used < sizeof buffer && i < n; i++)
                buffer[used++] = image->pixels[i * step + c];
            atomic_write(f, buffer, used, st);
        }
}

bool image_save_npy(const char *path, const timm_image *image, bool chw, status *st)
{
    atomic_file *f = atomic_open(path, st);
    if (!f)
        return false;
    write_header(f, image, chw, st);
    if (chw)
        write_planes(f, image, st);
    else
        atomic_write(f, image->pixels, (size_t)image->width * (size_t)image->height * (size_t)image->channels, st);
    return atomic_commit(f, st);
}

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && !strcmp(path + n - m, ending);
}

bool image_save(const char *path, const timm_image *image, bool chw, status *st)
{
    if (!status_ok(st))
        return false;
    if (!image->pixels || (image->channels != 1 && image->channels != 3 && image->channels != 4))
        return status_fail(st, TIMM_BAD_ARG, "%s: an image of %d x %d with %d channels cannot be saved", path,
                           image->width, image->height, image->channels);
    if (ends_in(path, ".png"))
        return image_save_png(path, image, st);
    if (ends_in(path, ".npy"))
        return image_save_npy(path, image, chw, st);
    return status_fail(st, TIMM_BAD_ARG, "%s: images are saved as .png or .npy", path);
}
