/* train_transform.c - what training does to an image. */
#include "data/train_transform.h"
#include <math.h>
#include <string.h>
#include "base/random.h"
#include "data/resize_image.h"
#include "io/image.h"

/* Which number of the key decides what. */
enum { FILTER = 1, HFLIP, VFLIP, SHIFT_X, SHIFT_Y, CROP = 32 };
enum { TRIES = 10 };

void random_crop_box(int w, int h, const augment *a, uint64_t key, double box[4])
{
    double area = (double)w * h, lo = log(a->ratio[0]), hi = log(a->ratio[1]), in_ratio = (double)w / h;
    int cw = w, ch = h;
    for (uint64_t i = 0; i < TRIES; i++) {
        double part = area * (a->scale[0] + (a->scale[1] - a->scale[0]) * random_uniform(key, CROP + 4 * i));
        double ratio = exp(lo + (hi - lo) * random_uniform(key, CROP + 4 * i + 1));
        cw = (int)nearbyint(sqrt(part * ratio));
        ch = (int)nearbyint(sqrt(part / ratio));
        if (cw <= w && ch <= h && cw > 0 && ch > 0) {
            double y = (double)random_below(key, CROP + 4 * i + 2, h - ch + 1), x = (double)random_below(key, CROP + 4 * i + 3, w - cw + 1);
            box[0] = x, box[1] = y, box[2] = x + cw, box[3] = y + ch;
            return;
        }
    }
    /* None fits: the largest central one of an allowed shape. */
    cw = in_ratio > a->ratio[1] ? (int)nearbyint(h * a->ratio[1]) : w;
    ch = in_ratio < a->ratio[0] ? (int)nearbyint(w / a->ratio[0]) : h;
    box[0] = (w - cw) / 2, box[1] = (h - ch) / 2, box[2] = box[0] + cw, box[3] = box[1] + ch;
}

static void flip(timm_image *m, bool across)
{
    size_t pixel = (size_t)m->channels, row = (size_t)m->width * pixel;
    for (int y = 0; across && y < m->height; y++)
        for (int x = 0; x < m->width / 2; x++)
            for (size_t c = 0; c < pixel; c++) {
                uint8_t *a = m->pixels + (size_t)y * row + (size_t)x * pixel + c;
                uint8_t *b = m->pixels + (size_t)y * row + (size_t)(m->width - 1 - x) * pixel + c, v = *a;
                *a = *b;
                *b = v;
            }
    for (int y = 0; !across && y < m->height / 2; y++)
        for (size_t x = 0; x < row; x++) {
            uint8_t *a = m->pixels + (size_t)y * row + x, *b = m->pixels + (size_t)(m->height - 1 - y) * row + x, v = *a;
            *a = *b;
            *b = v;
        }
}

/* The image, shifted by up to `padding` pixels; black comes in. */
static void shifted(const timm_image *in, int padding, uint64_t key, timm_image *out)
{
    int dx = (int)random_below(key, SHIFT_X, 2 * padding + 1) - padding, dy = (int)random_below(key, SHIFT_Y, 2 * padding + 1) - padding;
    size_t pixel = (size_t)in->channels;
    int from = dx > 0 ? dx : 0, to = dx < 0 ? in->width + dx : in->width;
    for (int y = 0; y < out->height; y++) {
        uint8_t *row = out->pixels + (size_t)y * (size_t)out->width * pixel;
        memset(row, 0, (size_t)out->width * pixel);
        if (y - dy >= 0 && y - dy < in->height && to > from)
            memcpy(row + (size_t)from * pixel, in->pixels + ((size_t)(y - dy) * (size_t)in->width + (size_t)(from - dx)) * pixel,
                   (size_t)(to - from) * pixel);
    }
}

static bool resized(const timm_image *in, const augment *a, int width, int height, uint64_t key, timm_image *out, status *st)
{
    double box[4];
    bool bicubic = !strcmp(a->interpolation, "bicubic") || (!strcmp(a->interpolation, "random") && random_uniform(key, FILTER) < .5);
    random_crop_box(in->width, in->height, a, key, box);
    resize_how how = { .width = width, .height = height, .filter = bicubic ? RESIZE_BICUBIC : RESIZE_BILINEAR, .box = box };
    return resize_image(in, &how, out, st);
}

bool transform_train(const timm_image *in, const augment *a, int width, int height, uint64_t key, timm_image *out, status *st)
{
    *out = (timm_image){ 0 };
    if (a->padding > 0) {
        timm_image whole_image = { 0 };
        bool same = in->width == width && in->height == height;
        resize_how how = { .width = width, .height = height, .filter = RESIZE_BICUBIC };
        if ((!same && !resize_image(in, &how, &whole_image, st)) || !image_alloc(out, width, height, in->channels, st)) {
            image_free(&whole_image);
            return false;
        }
        shifted(same ? in : &whole_image, a->padding, key, out);
        image_free(&whole_image);
    } else if (!resized(in, a, width, height, key, out, st)) {
        return false;
    }
    if (random_uniform(key, HFLIP) < a->hflip)
        flip(out, true);
    if (random_uniform(key, VFLIP) < a->vflip)
        flip(out, false);
    return true;
}
