/* resize_image.c - weights, order of the passes, and the cases without weights, as Pillow 13 has them.
 *
 * Pillow computes weights in double, rounds them to multiples of 2^-22 and sums bytes in 32-bit integers, rounding to
 * bytes after each of the two passes; which axis goes first therefore shows in the result.
 */
#include "data/resize_image.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "data/resample.h"
#include "io/image.h"

/* -- filters ------------------------------------------------------------------------------------------------------- */

#define PI 3.14159265358979323846

static double box_weight(double x) { return x > -.5 && x <= .5; }
static double bilinear_weight(double x) { return fabs(x) < 1. ? 1. - fabs(x) : 0.; }

static double hamming_weight(double x)
{
    x = fabs(x);
    if (x == 0.)
        return 1.;
    if (x >= 1.)
        return 0.;
    x *= PI;
    return sin(x) / x * (0.54f + 0.46f * cos(x));
}

static double bicubic_weight(double x)
{
    x = fabs(x);
    if (x < 1.)
        return ((1.5 * x - 2.5) * x) * x + 1.;
    return x < 2. ? (((x - 5.) * x + 8.) * x - 4.) * -.5 : 0.;
}

static double sinc(double x)
{
    if (x == 0.)
        return 1.;
    x *= PI;
    return sin(x) / x;
}

static double lanczos_weight(double x) { return -3. <= x && x < 3. ? sinc(x) * sinc(x / 3.) : 0.; }

static const struct filter { const char *name; double support; double (*weight)(double x); } filters[RESIZE_FILTERS] = {
    [RESIZE_NEAREST]  = { "nearest",   0., NULL },
    [RESIZE_BOX]      = { "box",       .5, box_weight },
    [RESIZE_BILINEAR] = { "bilinear",  1., bilinear_weight },
    [RESIZE_HAMMING]  = { "hamming",   1., hamming_weight },
    [RESIZE_BICUBIC]  = { "bicubic",   2., bicubic_weight },
    [RESIZE_LANCZOS]  = { "lanczos",   3., lanczos_weight },
};

bool resize_filter_named(const char *name, resize_filter *filter, status *st)
{
    for (int i = 0; i < RESIZE_FILTERS; i++)
        if (name && !strcmp(filters[i].name, name)) {
            *filter = (resize_filter)i;
            return true;
        }
    return status_fail(st, TIMM_BAD_ARG,
                       "resize: no filter \"%s\"; there are nearest, box, bilinear, hamming, bicubic, lanczos",
                       name ? name : "");
}

/* -- weights ------------------------------------------------------------------------------------------------------- */

/* One axis of the job: inputs 0 .. size, of which from .. to is spread over `whole` outputs; wanted are `count` of them
   from `start` up. */
typedef struct axis { int size, whole, start, count; float from, to; } axis;

static bool is_needed(const axis *a) { return a->whole != a->size || a->from != 0.f || a->to != (float)a->whole; }

static void taps_free(resample_taps *t)
{
    free(t->first);
    free(t->used);
    free(t->weight);
    free(t->high);
    free(t->low);
    *t = (resample_taps){ 0 };
}

static void fill_taps(resample_taps *t, int i, double centre, double stretch, double (*weight)(double), double *k)
{
    double sum = 0.;
    for (int j = 0; j < t->used[i]; j++) {
        k[j] = weight((j + t->first[i] - centre + .5) * (1. / stretch));
        sum += k[j];
    }
    size_t row = (size_t)i * (size_t)t->length;
    for (int j = 0; j < t->used[i]; j++) {
        double v = (sum != 0. ? k[j] / sum : k[j]) * (1 << RESAMPLE_BITS);
        int32_t w = (int32_t)(v < 0. ? v - .5 : v + .5);
        t->weight[row + (size_t)j] = w;
        t->high[row + (size_t)j] = (int16_t)(w >> RESAMPLE_LOW);
        t->low[row + (size_t)j] = (int16_t)(w & ((1 << RESAMPLE_LOW) - 1));
    }
}

static bool taps_make(resample_taps *t, const axis *a, const struct filter *f, status *st)
{
    double scale = (double)(a->to - a->from) / a->whole, stretch = scale < 1. ? 1. : scale;
    double support = f->support * stretch;
    double length = 2. * ceil(support) + 1. + RESAMPLE_PAD;
    size_t n = (size_t)a->count;
    *t = (resample_taps){ .count = a->count, .length = (int)length / RESAMPLE_PAD * RESAMPLE_PAD };
    size_t cells = n * (size_t)t->length;
    t->first = calloc(n, sizeof *t->first);
    t->used = calloc(n, sizeof *t->used);
    t->weight = calloc(cells, sizeof *t->weight);
    t->high = calloc(cells, sizeof *t->high);
    t->low = calloc(cells, sizeof *t->low);
    double *k = calloc((size_t)t->length, sizeof *k);
    if (!t->first || !t->used || !t->weight || !t->high || !t->low || !k) {
        free(k);
        taps_free(t);
        return status_fail(st, TIMM_NO_MEMORY, "resize: no memory for the weights of %d pixels, %d each", a->count,
                           t->length);
    }
    for (int i = 0; i < a->count; i++) {
        double centre = a->from + (a->start + i + .5) * scale;
        int lo = (int)(centre - support + .5), hi = (int)(centre + support + .5);
        t->first[i] = lo < 0 ? 0 : lo;
        t->used[i] = (hi > a->size ? a->size : hi) - t->first[i];
        fill_taps(t, i, centre, stretch, f->weight, k);
    }
    free(k);
    return true;
}

/* The inputs the taps read: first .. end. */
static int taps_first(const resample_taps *t) { return t->first[0]; }
static int taps_end(const resample_taps *t) { return t->first[t->count - 1] + t->used[t->count - 1]; }

static void taps_shift(resample_taps *t, int by)
{
    for (int i = 0; i < t->count; i++)
        t->first[i] -= by;
}

/* -- passes -------------------------------------------------------------------------------------------------------- */

typedef struct job { axis x, y; const struct filter *filter; const resample_kernels *kernels; status *st; } job;

static bool out_of_memory(status *st) { return status_fail(st, TIMM_NO_MEMORY, "resize: out of memory"); }

/* Rows y0 .. y0 + out->height of `in` through the taps. */
static bool along_rows(const job *j, const timm_image *in, int y0, const resample_taps *t, timm_image *out)
{
    size_t stride = (size_t)in->width * (size_t)in->channels;
    bool ok = j->kernels->rows(&(resample_rows){
        .taps = t, .channels = in->channels, .rows = out->height,
        .src = in->pixels + (size_t)y0 * stride, .src_end = in->pixels + (size_t)in->height * stride,
        .src_stride = stride,
        .dst = out->pixels, .dst_stride = (size_t)out->width * (size_t)out->channels });
    return ok || out_of_memory(j->st);
}

/* Columns x0 .. x0 + out->width of `in` through the taps. */
static bool along_columns(const job *j, const timm_image *in, int x0, const resample_taps *t, timm_image *out)
{
    size_t pixel = (size_t)in->channels, bytes = (size_t)out->width * pixel;
    bool ok = j->kernels->columns(&(resample_columns){
        .taps = t, .src = in->pixels + (size_t)x0 * pixel, .src_stride = (size_t)in->width * pixel,
        .dst = out->pixels, .dst_stride = bytes, .bytes = bytes });
    return ok || out_of_memory(j->st);
}

static void copy_part(const timm_image *in, int x0, int y0, timm_image *out)
{
    size_t pixel = (size_t)in->channels, row = (size_t)out->width * pixel;
    for (int y = 0; y < out->height; y++)
        memcpy(out->pixels + (size_t)y * row, in->pixels + ((size_t)(y0 + y) * (size_t)in->width + (size_t)x0) * pixel,
               row);
}

static bool both_passes(const job *j, const timm_image *in, resample_taps *tx, resample_taps *ty, timm_image *out)
{
    const axis *x = &j->x, *y = &j->y;
    bool columns_first = y->whole < y->size && (int64_t)y->size - y->whole > 2 * ((int64_t)x->size - x->whole), ok;
    timm_image between = { 0 };
    if (columns_first) {
        int x0 = taps_first(tx);
        ok = image_alloc(&between, taps_end(tx) - x0, out->height, in->channels, j->st)
          && along_columns(j, in, x0, ty, &between);
        taps_shift(tx, x0);
        ok = ok && along_rows(j, &between, 0, tx, out);
    } else {
        int y0 = taps_first(ty);
        ok = image_alloc(&between, out->width, taps_end(ty) - y0, in->channels, j->st)
          && along_rows(j, in, y0, tx, &between);
        taps_shift(ty, y0);
        ok = ok && along_columns(j, &between, 0, ty, out);
    }
    image_free(&between);
    return ok;
}

static bool resample(const job *j, const timm_image *in, timm_image *out)
{
    bool need_x = is_needed(&j->x), need_y = is_needed(&j->y), ok;
    resample_taps tx = { 0 }, ty = { 0 };
    ok = (!need_x || taps_make(&tx, &j->x, j->filter, j->st)) && (!need_y || taps_make(&ty, &j->y, j->filter, j->st));
    if (ok && need_x && need_y)
        ok = both_passes(j, in, &tx, &ty, out);
    else if (ok && need_x)
        ok = along_rows(j, in, j->y.start, &tx, out);
    else if (ok && need_y)
        ok = along_columns(j, in, j->x.start, &ty, out);
    else if (ok)
        copy_part(in, j->x.start, j->y.start, out);
    taps_free(&tx);
    taps_free(&ty);
    return ok;
}

/* -- without weights ----------------------------------------------------------------------------------------------- */

static bool is_crop(const axis *a) { return a->from == (float)(int)a->from && a->to - a->from == (float)a->whole; }

/* Input index of each wanted output, -1 outside the image.  Positions grow by additions, whose rounding shows. */
static int *nearest_places(const axis *a)
{
    int *at = calloc((size_t)a->count, sizeof *at);
    double step = (double)(a->to - a->from) / a->whole, pos = a->from + step * .5;
    for (int i = 0; at && i < a->start + a->count; i++, pos += step)
        if (i >= a->start)
            at[i - a->start] = pos >= 0. && pos < a->size ? (int)pos : -1;
    return at;
}

static bool nearest(const job *j, const timm_image *in, timm_image *out)
{
    int *xs = nearest_places(&j->x), *ys = nearest_places(&j->y);
    bool ok = xs && ys;
    size_t pixel = (size_t)in->channels;
    uint8_t *to = out->pixels;
    for (int y = 0; ok && y < out->height; y++)
        for (int x = 0; x < out->width; x++, to += pixel) {
            if (xs[x] < 0 || ys[y] < 0)
                memset(to, 0, pixel);
            else
                memcpy(to, in->pixels + ((size_t)ys[y] * (size_t)in->width + (size_t)xs[x]) * pixel, pixel);
        }
    free(xs);
    free(ys);
    return ok || out_of_memory(j->st);
}

/* -- alpha --------------------------------------------------------------------------------------------------------- */

static bool multiplied_by_alpha(const timm_image *in, timm_image *out, status *st)
{
    if (!image_alloc(out, in->width, in->height, 4, st))
        return false;
    size_t n = (size_t)in->width * (size_t)in->height * 4;
    for (size_t i = 0; i < n; i += 4) {
        unsigned a = in->pixels[i + 3];
        for (size_t c = 0; c < 3; c++) {
            unsigned t = in->pixels[i + c] * a + 128;
            out->pixels[i + c] = (uint8_t)(((t >> 8) + t) >> 8);
        }
        out->pixels[i + 3] = (uint8_t)a;
    }
    return true;
}

static void divide_by_alpha(timm_image *image)
{
    size_t n = (size_t)image->width * (size_t)image->height * 4;
    for (size_t i = 0; i < n; i += 4) {
        unsigned a = image->pixels[i + 3];
        for (size_t c = 0; a && a < 255 && c < 3; c++) {
            unsigned v = 255 * image->pixels[i + c] / a;
            image->pixels[i + c] = (uint8_t)(v > 255 ? 255 : v);
        }
    }
}

/* -- the whole ----------------------------------------------------------------------------------------------------- */

static bool check(const timm_image *in, const resize_how *how, const double box[4], const resize_part *part, status *st)
{
    if (!in->pixels || in->width < 1 || in->height < 1 || (in->channels != 1 && in->channels != 3 && in->channels != 4))
        return status_fail(st, TIMM_BAD_ARG, "resize: an image of %d x %d with %d channels", in->width, in->height,
                           in->channels);
    if (how->width < 1 || how->height < 1)
        return status_fail(st, TIMM_BAD_ARG, "resize: to %d x %d; both must be at least 1", how->width, how->height);
    if (in->width > IMAGE_MAX_PIXELS || in->height > IMAGE_MAX_PIXELS)
        return status_fail(st, TIMM_BAD_ARG, "resize: an image of %d x %d; no side may exceed %lld",
                           in->width, in->height, (long long)IMAGE_MAX_PIXELS);
    if (!(box[0] >= 0. && box[1] >= 0. && box[2] <= in->width && box[3] <= in->height
          && (float)box[0] < (float)box[2] && (float)box[1] < (float)box[3]))
        return status_fail(st, TIMM_BAD_ARG, "resize: box (%g, %g, %g, %g) is empty or not within the image of %d x %d",
                           box[0], box[1], box[2], box[3], in->width, in->height);
    if (part->x < 0 || part->y < 0 || part->width < 1 || part->height < 1
        || part->width > how->width - part->x || part->height > how->height - part->y)
        return status_fail(st, TIMM_BAD_ARG, "resize: part %d x %d at (%d, %d) is not within %d x %d",
                           part->width, part->height, part->x, part->y, how->width, how->height);
    return true;
}

static bool run(const job *j, const timm_image *in, timm_image *out)
{
    if (is_crop(&j->x) && is_crop(&j->y)) {
        copy_part(in, (int)j->x.from + j->x.start, (int)j->y.from + j->y.start, out);
        return true;
    }
    return j->filter->weight ? resample(j, in, out) : nearest(j, in, out);
}

static bool run_with_alpha(const job *j, const timm_image *in, timm_image *out)
{
    timm_image multiplied = { 0 };
    bool ok = multiplied_by_alpha(in, &multiplied, j->st) && run(j, &multiplied, out);
    if (ok)
        divide_by_alpha(out);
    image_free(&multiplied);
    return ok;
}

bool resize_image(const timm_image *in, const resize_how *how, timm_image *out, status *st)
{
    *out = (timm_image){ 0 };
    if (!status_ok(st))
        return false;
    const double whole[4] = { 0., 0., in->width, in->height }, *box = how->box ? how->box : whole;
    const resize_part all = { 0, 0, how->width, how->height }, *part = how->part ? how->part : &all;
    if (!check(in, how, box, part, st) || !image_alloc(out, part->width, part->height, in->channels, st))
        return false;
    job j = { .x = { in->width, how->width, part->x, part->width, (float)box[0], (float)box[2] },
              .y = { in->height, how->height, part->y, part->height, (float)box[1], (float)box[3] },
              .filter = &filters[how->filter], .kernels = how->plain ? &resample_plain : resample_best(), .st = st };
    bool ok = true, same = how->width == in->width && how->height == in->height
             && box[0] == 0. && box[1] == 0. && box[2] == in->width && box[3] == in->height;
    if (same)
        copy_part(in, part->x, part->y, out);
    else if (in->channels == 4 && how->filter != RESIZE_NEAREST)
        ok = run_with_alpha(&j, in, out);
    else
        ok = run(&j, in, out);
    if (!ok)
        image_free(out);
    return ok;
}
