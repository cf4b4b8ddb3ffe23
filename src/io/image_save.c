/* image_save.c - NumPy's .npy (version 1.0), and the choice of the format by the name. */
#include <stdio.h>
#include <string.h>
#include "io/file.h"
#include "io/image.h"

/* Magic, version, length of the rest, a Python dict padded with blanks to a multiple of 64. */
static void write_header(FILE *f, const timm_image *image, bool chw)
{
    char text[128], head[10] = "\x93NUMPY\x01\x00";
    int n = chw ? snprintf(text, sizeof text, "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d, %d), }",
                           image->channels, image->height, image->width)
                : snprintf(text, sizeof text, "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d, %d), }",
                           image->height, image->width, image->channels);
    memset(text + n, ' ', sizeof text - (size_t)n);
    size_t length = sizeof text - sizeof head;
    text[length - 1] = '\n';
    head[8] = (char)length;
    fwrite(head, 1, sizeof head, f);
    fwrite(text, 1, length, f);
}

static void write_planes(FILE *f, const timm_image *image)
{
    size_t n = (size_t)image->width * (size_t)image->height, step = (size_t)image->channels;
    for (size_t c = 0; c < step; c++)
        for (size_t i = 0; i < n; i++)
            putc_unlocked(image->pixels[i * step + c], f);
}

bool image_save_npy(const char *path, const timm_image *image, bool chw, status *st)
{
    file_out *file = file_create(path, st);
    if (!file)
        return false;
    FILE *f = file_stream(file);
    write_header(f, image, chw);
    if (chw)
        write_planes(f, image);
    else
        fwrite(image->pixels, 1, (size_t)image->width * (size_t)image->height * (size_t)image->channels, f);
    return file_close(file, st);
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
