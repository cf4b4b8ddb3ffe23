/* image_webp.c - WebP by libwebp; of an animation the first frame, on its canvas. */
#include <stdio.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>
#include "io/image.h"

const char *image_webp_version(void)
{
    static char text[16];
    int v = WebPGetDecoderVersion();
    snprintf(text, sizeof text, "%d.%d.%d", v >> 16, v >> 8 & 255, v & 255);
    return text;
}

bool image_is_webp(const uint8_t *bytes, size_t size)
{
    return size >= 16 && !memcmp(bytes, "RIFF", 4) && !memcmp(bytes + 8, "WEBP", 4);
}

static bool bad(const image_source *from, const char *why, status *st)
{
    return status_fail(st, TIMM_BAD_FILE, "%s: not a good WebP: %s", from->name, why);
}

/* The canvas is RGBA; a file without alpha becomes RGB. */
static bool first_frame(WebPAnimDecoder *d, const image_source *from, bool alpha, timm_image *out, status *st)
{
    WebPAnimInfo info;
    uint8_t *canvas;
    int when;
    if (!WebPAnimDecoderGetInfo(d, &info) || !image_size_fits(from, info.canvas_width, info.canvas_height, st))
        return bad(from, "no canvas", st);
    if (!WebPAnimDecoderGetNext(d, &canvas, &when))
        return bad(from, "its first frame is damaged or cut short", st);
    if (!image_alloc(out, (int)info.canvas_width, (int)info.canvas_height, 4, st))
        return false;
    memcpy(out->pixels, canvas, (size_t)info.canvas_width * info.canvas_height * 4);
    return image_convert(out, from->channels ? from->channels : alpha ? 0 : 3, st);
}

bool image_decode_webp(const image_source *from, timm_image *out, status *st)
{
    *out = (timm_image){ 0 };
    WebPBitstreamFeatures about;
    if (WebPGetFeatures(from->bytes, from->size, &about) != VP8_STATUS_OK)
        return bad(from, "its header is damaged or cut short", st);
    if (!image_size_fits(from, (uint64_t)about.width, (uint64_t)about.height, st))
        return false;
    WebPAnimDecoder *d = WebPAnimDecoderNew(&(WebPData){ from->bytes, from->size }, NULL);
    bool ok = d ? first_frame(d, from, about.has_alpha, out, st) : bad(from, "its frames are damaged or cut short", st);
    WebPAnimDecoderDelete(d);
    if (!ok)
        image_free(out);
    return ok;
}
