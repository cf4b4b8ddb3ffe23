/* image_png.c - PNG by libpng, read with Pillow's choices: no colour correction, 16 bits cut to the upper 8 except for
 * grey, where values above 255 become 255; of an APNG the still image. */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/atomic_file.h"
#include "io/image.h"

enum { SAID = 160 };       /* room for the sentence of libpng */

typedef struct reader { const image_source *from; size_t at; char said[SAID]; } reader;

const char *image_png_version(void) { return png_get_libpng_ver(NULL); }

bool image_is_png(const uint8_t *bytes, size_t size)
{
    return size >= 8 && !png_sig_cmp(bytes, 0, 8);
}

static void give_up(png_structp png, png_const_charp text)
{
    char *said = png_get_error_ptr(png);
    snprintf(said, SAID, "%s", text);
    png_longjmp(png, 1);
}

static void say_nothing(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void take(png_structp png, png_bytep to, size_t count)
{
    reader *r = png_get_io_ptr(png);
    if (count > r->from->size - r->at)
        png_error(png, "it is truncated");
    memcpy(to, r->from->bytes + r->at, count);
    r->at += count;
}

/* The layout in which rows are read: 8 bits a channel (palette: an index), but 16-bit grey without alpha as it is. */
typedef struct layout { int channels; bool palette, wide_grey; } layout;

static layout set_layout(png_structp png, png_infop info)
{
    int type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    layout l = { .palette = type == PNG_COLOR_TYPE_PALETTE, .wide_grey = type == PNG_COLOR_TYPE_GRAY && depth == 16 };
    if (l.palette)
        png_set_packing(png);
    else if (depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    if (depth == 16 && !l.wide_grey)
        png_set_strip_16(png);
    if (type == PNG_COLOR_TYPE_GRAY_ALPHA)
        png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    l.channels = png_get_channels(png, info) * (l.wide_grey ? 2 : 1);
    return l;
}

/* Two bytes of grey to one. */
static void narrow(timm_image *in, timm_image *out)
{
    size_t n = (size_t)out->width * (size_t)out->height;
    for (size_t i = 0; i < n; i++)
        out->pixels[i] = in->pixels[2 * i] ? 255 : in->pixels[2 * i + 1];
}

/* Indices to colours; those beyond the palette are black, as Pillow has them. */
static void look_up(png_structp png, png_infop info, const timm_image *in, timm_image *out)
{
    uint8_t table[256][4] = { { 0 } };
    png_colorp colours = NULL;
    png_bytep alphas = NULL;
    int n = 0, alpha_count = 0;
    png_get_PLTE(png, info, &colours, &n);
    png_get_tRNS(png, info, &alphas, &alpha_count, NULL);
    for (int i = 0; i < 256; i++) {
        if (i < n)
            memcpy(table[i], (uint8_t[]){ colours[i].red, colours[i].green, colours[i].blue }, 3);
        table[i][3] = i < alpha_count ? alphas[i] : 255;
    }
    size_t pixels = (size_t)in->width * (size_t)in->height, step = (size_t)out->channels;
    for (size_t i = 0; i < pixels; i++)
        memcpy(out->pixels + i * step, table[in->pixels[i]], step);
}

static void read_rows(png_structp png, timm_image *into, png_bytepp rows)
{
    size_t stride = (size_t)into->width * (size_t)into->channels;
    for (int y = 0; y < into->height; y++)
        rows[y] = into->pixels + (size_t)y * stride;
    png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);      /* Pillow checks no sum from the pixels on */
    png_read_image(png, rows);
}

/* All that is allocated while libpng may jump. */
typedef struct buffers { timm_image raw; png_bytepp rows; } buffers;

static bool decode(png_structp png, png_infop info, reader *r, buffers *b, timm_image *out, status *st)
{
    if (setjmp(png_jmpbuf(png)))
        return status_fail(st, TIMM_BAD_FILE, "%s: not a good PNG: %s", r->from->name, r->said);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_read_fn(png, r, take);
    png_read_info(png, info);
    uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    if (!image_size_fits(r->from, width, height, st))
        return false;
    layout l = set_layout(png, info);
    b->rows = malloc(height * sizeof *b->rows);
    if (!b->rows)
        return status_fail(st, TIMM_NO_MEMORY, "%s: no memory for %u rows", r->from->name, height);
    if (!image_alloc(&b->raw, (int)width, (int)height, l.channels, st))
        return false;
    read_rows(png, &b->raw, b->rows);
    if (!l.palette && !l.wide_grey) {
        *out = b->raw;
        b->raw = (timm_image){ 0 };
        return true;
    }
    bool alpha = l.palette && !r->from->channels && png_get_valid(png, info, PNG_INFO_tRNS);
    if (!image_alloc(out, (int)width, (int)height, l.wide_grey ? 1 : alpha ? 4 : 3, st))
        return false;
    l.wide_grey ? narrow(&b->raw, out) : look_up(png, info, &b->raw, out);
    return true;
}

bool image_decode_png(const image_source *from, timm_image *out, status *st)
{
    reader r = { .from = from };
    buffers held = { { 0 }, NULL };
    *out = (timm_image){ 0 };
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r.said, give_up, say_nothing);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool ok = info ? decode(png, info, &r, &held, out, st)
                   : status_fail(st, TIMM_NO_MEMORY, "%s: no memory for a PNG decoder", from->name);
    png_destroy_read_struct(&png, &info, NULL);
    image_free(&held.raw);
    free(held.rows);
    ok = ok && image_convert(out, from->channels, st);
    if (!ok)
        image_free(out);
    return ok;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

typedef struct writer { atomic_file *file; status *st; char said[SAID]; } writer;

static void put(png_structp png, png_bytep from, size_t count)
{
    writer *w = png_get_io_ptr(png);
    if (!atomic_write(w->file, from, count, w->st))
        png_error(png, "cannot write");
}

static void flush(png_structp png) { (void)png; }

static bool encode(png_structp png, png_infop info, writer *w, const timm_image *image)
{
    static const int types[5] = { 0, PNG_COLOR_TYPE_GRAY, 0, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGBA };
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_write_fn(png, w, put, flush);
    png_set_IHDR(png, info, (png_uint_32)image->width, (png_uint_32)image->height, 8, types[image->channels],
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    size_t stride = (size_t)image->width * (size_t)image->channels;
    for (int y = 0; y < image->height; y++)
        png_write_row(png, image->pixels + (size_t)y * stride);
    png_write_end(png, info);
    return true;
}

bool image_save_png(const char *path, const timm_image *image, status *st)
{
    writer w = { .file = atomic_open(path, st), .st = st };
    if (!w.file)
        return false;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w.said, give_up, say_nothing);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || !encode(png, info, &w, image))
        status_fail(st, TIMM_INTERNAL, "%s: cannot make the PNG: %s", path, w.said[0] ? w.said : "out of memory");
    png_destroy_write_struct(&png, &info);
    return atomic_commit(w.file, st);
}
