/* mixup.c - what mixing draws, and what it does to pixels and targets. */
#include "train/mixup.h"
#include <math.h>
#include <string.h>
#include "base/random.h"

void mixup_target(const float *target, int64_t n, int64_t classes, const float *lam, double smoothing, bool multi_label,
                  float *out)
{
    float keep = (float)(1 - smoothing), add = (float)(multi_label ? smoothing / 2 : smoothing / (double)classes);
    for (int64_t i = 0; i < n; i++) {
        const float *a = target + i * classes, *b = target + (n - 1 - i) * classes;
        for (int64_t k = 0; k < classes; k++)
            out[i * classes + k] = (a[k] * keep + add) * lam[i] + (b[k] * keep + add) * (1 - lam[i]);
    }
}

/* -- boxes ----------------------------------------------------------------------------------------------------------------- */

static int64_t within(int64_t v, int64_t size) { return v < 0 ? 0 : v > size ? size : v; }

cutmix_box cutmix_box_at(int64_t h, int64_t w, double lam, int64_t centre_y, int64_t centre_x)
{
    double ratio = sqrt(1 - lam);
    int64_t cut_h = (int64_t)((double)h * ratio), cut_w = (int64_t)((double)w * ratio);
    return (cutmix_box){ within(centre_y - cut_h / 2, h), within(centre_y + (cut_h + 1) / 2, h),
                         within(centre_x - cut_w / 2, w), within(centre_x + (cut_w + 1) / 2, w) };
}

double cutmix_lam(cutmix_box box, int64_t h, int64_t w)
{
    return 1 - (double)((box.y1 - box.y0) * (box.x1 - box.x0)) / (double)(h * w);
}

/* -- draws ----------------------------------------------------------------------------------------------------------------- */

/* Which number of a row's key decides what. */
enum { WHETHER = 1, WHICH, CENTRE_Y, CENTRE_X, SIDE_Y, SIDE_X, BETA };

static int64_t whole(uint64_t key, uint64_t use, int64_t from, int64_t to)          /* from .. to - 1; from where there is none */
{
    return from + random_below(key, use, to > from ? to - from : 1);
}

/* Of Gamma(alpha), alpha > 1: Marsaglia and Tsang, 2000. */
static double gamma_of(double alpha, uint64_t key)
{
    double d = alpha - 1. / 3, c = 1 / sqrt(9 * d);
    for (uint64_t i = 1;; i++) {
        float z[2];
        random_normals(random_bits(key, 1), i, z);
        double v = 1 + c * (double)z[0], u = random_uniform(random_bits(key, 2), i);
        v = v * v * v;
        if (v > 0 && log(1 - u) < .5 * (double)z[0] * (double)z[0] + d - d * v + d * log(v))
            return d * v;
    }
}

double mixup_beta(double alpha, uint64_t key)
{
    if (alpha > 1) {
        double a = gamma_of(alpha, random_bits(key, 1)), b = gamma_of(alpha, random_bits(key, 2));
        return a / (a + b);
    }
    for (uint64_t i = 1;; i += 2) {         /* Joehnk, 1964: x / (x + y) where x = u^(1/alpha) and y alike have a sum below 1 */
        double u = log(1 - random_uniform(key, i)) / alpha, v = log(1 - random_uniform(key, i + 1)) / alpha;
        if (exp(u) + exp(v) <= 1)
            return 1 / (1 + exp(v - u));    /* as logarithms: small alphas make both underflow */
    }
}

/* Sides and corner of a box by part of the image. */
static cutmix_box box_of_part(const double part[2], uint64_t key, int64_t h, int64_t w)
{
    int64_t cut_h = whole(key, SIDE_Y, (int64_t)((double)h * part[0]), (int64_t)((double)h * part[1]));
    int64_t cut_w = whole(key, SIDE_X, (int64_t)((double)w * part[0]), (int64_t)((double)w * part[1]));
    int64_t y = whole(key, CENTRE_Y, 0, h - cut_h + 1), x = whole(key, CENTRE_X, 0, w - cut_w + 1);
    return (cutmix_box){ y, y + cut_h, x, x + cut_w };
}

static mixup_row draw(const mixup_opts *o, uint64_t key, int64_t h, int64_t w)
{
    mixup_row r = { .lam = 1 };
    double cutmix = o->minmax ? 1 : o->cutmix;
    if (random_uniform(key, WHETHER) >= o->prob || !(o->mixup > 0 || cutmix > 0))
        return r;
    r.cut = cutmix > 0 && (!(o->mixup > 0) || random_uniform(key, WHICH) < o->switch_prob);
    double lam = mixup_beta(r.cut ? cutmix : o->mixup, random_bits(key, BETA));
    if (r.cut) {
        r.box = o->minmax ? box_of_part(o->part, key, h, w)
                          : cutmix_box_at(h, w, lam, whole(key, CENTRE_Y, 0, h), whole(key, CENTRE_X, 0, w));
        lam = cutmix_lam(r.box, h, w);
    }
    r.lam = (float)lam;
    return r;
}

void mixup_draw(const mixup_opts *o, uint64_t key, int64_t n, int64_t h, int64_t w, mixup_row *row)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t of = o->mode == MIXUP_BATCH ? 0 : o->mode == MIXUP_PAIR && i >= n / 2 ? n - 1 - i : i;
        row[i] = of < i ? row[of] : draw(o, random_bits(key, (uint64_t)i + 1), h, w);
    }
}

/* -- pixels ---------------------------------------------------------------------------------------------------------------- */

static void blend(const uint8_t *a, const uint8_t *b, float lam, int64_t n, uint8_t *out)
{
    float rest = 1 - lam;
    for (int64_t k = 0; k < n; k++)
        out[k] = (uint8_t)nearbyintf((float)a[k] * lam + (float)b[k] * rest);
}

void mixup_pixels(const uint8_t *in, int64_t n, int64_t h, int64_t w, int64_t c, const mixup_row *row, uint8_t *out)
{
    int64_t size = h * w * c;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *a = in + i * size, *b = in + (n - 1 - i) * size;
        const cutmix_box *box = &row[i].box;
        uint8_t *to = out + i * size;
        if (row[i].lam != 1 && !row[i].cut) {
            blend(a, b, row[i].lam, size, to);
            continue;
        }
        memcpy(to, a, (size_t)size);
        for (int64_t y = box->y0; y < box->y1; y++)
            memcpy(to + (y * w + box->x0) * c, b + (y * w + box->x0) * c, (size_t)((box->x1 - box->x0) * c));
    }
}
