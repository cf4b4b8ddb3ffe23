/* image_jpeg.c - JPEG by libjpeg-turbo, with Pillow's choices: the accurate inverse DCT, smooth chroma, warnings
 * ignored, a file that ends early refused, four components taken as inverted CMYK. */
#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include "io/image.h"

typedef struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr input;
    jmp_buf back;
    char said[JMSG_LENGTH_MAX];
} decoder;

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

/* The library has no function for it; which one the program was built with is in its headers. */
const char *image_jpeg_version(void) { return TEXT_OF(LIBJPEG_TURBO_VERSION); }

bool image_is_jpeg(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

static void give_up(j_common_ptr jpeg)
{
    decoder *d = jpeg->client_data;
    jpeg->err->format_message(jpeg, d->said);
    longjmp(d->back, 1);
}

static void say_nothing(j_common_ptr jpeg) { (void)jpeg; }
static void count_warning(j_common_ptr jpeg, int level) { jpeg->err->num_warnings += level < 0; }
static void do_nothing(j_decompress_ptr jpeg) { (void)jpeg; }
static boolean suspend(j_decompress_ptr jpeg) { (void)jpeg; return FALSE; }      /* there is no more to come */

static void skip(j_decompress_ptr jpeg, long count)
{
    struct jpeg_source_mgr *in = jpeg->src;
    size_t n = count < 0 ? 0 : (size_t)count < in->bytes_in_buffer ? (size_t)count : in->bytes_in_buffer;
    in->next_input_byte += n;
    in->bytes_in_buffer -= n;
}

/* Inverted CMYK to RGB in place of its first three bytes. */
static void cmyk_row(const uint8_t *in, uint8_t *out, int width)
{
    for (int x = 0; x < width; x++, in += 4, out += 3)
        for (int c = 0; c < 3; c++) {
            int k = in[3], t = (255 - in[c]) * k + 128, v = k - ((t + (t >> 8)) >> 8);
            out[c] = (uint8_t)(v < 0 ? 0 : v);
        }
}

static bool truncated(const image_source *from, status *st)
{
    return status_fail(st, TIMM_BAD_FILE, "%s: the JPEG is truncated: its %zu bytes end before the image does",
                       from->name, from->size);
}

static bool read_header(decoder *d, const image_source *from, status *st)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    if (jpeg_read_header(jpeg, TRUE) == JPEG_SUSPENDED)
        return truncated(from, st);
    if (!image_size_fits(from, jpeg->image_width, jpeg->image_height, st))
        return false;
    int n = jpeg->num_components;
    if (n != 1 && n != 3 && n != 4)
        return status_fail(st, TIMM_BAD_FILE, "%s: a JPEG of %d components; 1, 3 and 4 are known", from->name, n);
    jpeg->out_color_space = n == 1 ? JCS_GRAYSCALE : n == 3 ? JCS_RGB : JCS_CMYK;
    return true;
}

/* `row` holds one row of CMYK, NULL for other images. */
static bool read_rows(decoder *d, const image_source *from, uint8_t *row, timm_image *out, status *st)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    if (!jpeg_start_decompress(jpeg))
        return truncated(from, st);
    size_t stride = (size_t)out->width * (size_t)out->channels;
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = out->pixels + jpeg->output_scanline * stride;
        JSAMPROW line = row ? row : to;
        if (jpeg_read_scanlines(jpeg, &line, 1) != 1)
            return truncated(from, st);
        if (row)
            cmyk_row(row, to, out->width);
    }
    return true;
}

/* What must survive a jump back here is reached through pointers. */
static bool decode(decoder *d, const image_source *from, timm_image *row, timm_image *out, status *st)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    if (setjmp(d->back))
        return status_fail(st, TIMM_BAD_FILE, "%s: not a good JPEG: %s", from->name, d->said);
    jpeg_create_decompress(jpeg);
    jpeg->src = &d->input;
    if (!read_header(d, from, st))
        return false;
    int width = (int)jpeg->image_width, height = (int)jpeg->image_height, n = jpeg->num_components;
    if (!image_alloc(out, width, height, n == 1 ? 1 : 3, st) || (n == 4 && !image_alloc(row, width, 1, 4, st)))
        return false;
    return read_rows(d, from, row->pixels, out, st);
}

bool image_decode_jpeg(const image_source *from, timm_image *out, status *st)
{
    decoder d = { .input = { .next_input_byte = from->bytes, .bytes_in_buffer = from->size, .init_source = do_nothing,
                             .fill_input_buffer = suspend, .skip_input_data = skip,
                             .resync_to_restart = jpeg_resync_to_restart, .term_source = do_nothing } };
    timm_image row = { 0 };
    d.jpeg.client_data = &d;
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.errors.error_exit = give_up;
    d.errors.output_message = say_nothing;
    d.errors.emit_message = count_warning;
    *out = (timm_image){ 0 };
    bool ok = decode(&d, from, &row, out, st);
    jpeg_destroy_decompress(&d.jpeg);
    image_free(&row);
    ok = ok && image_convert(out, from->channels, st);
    if (!ok)
        image_free(out);
    return ok;
}
