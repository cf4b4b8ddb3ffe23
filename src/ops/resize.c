/* resize.c - images to another height and width, as torch's interpolate with align_corners=False.
 *
 * Separable: y = sum of weights over rows and columns of x.  With antialias, and a scale above 1, the filter is widened by the
 * scale, its weights cut at the border sum to 1, and bicubic has a = -0.5; else a = -0.75 and the border is repeated.
 */
#include <stdlib.h>
#include "ops/resize_grad.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const resize_attr *o = attr;
    (void)n_in;
    if (in[0].rank != 4 || o->h < 1 || o->w < 1)
        return tg_reject(c, "%lld x %lld of %s", (long long)o->h, (long long)o->w, tg_str(in[0]));
    return SHAPE(in[0].dim[0], in[0].dim[1], o->h, o->w);
}

static double cubic(double x, double a)
{
    x = fabs(x);
    return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double hat(double x) { return fabs(x) < 1 ? 1 - fabs(x) : 0; }

double *resize_weights(int64_t from, int64_t to, const resize_attr *o)
{
    double *w = calloc((size_t)(from * to), sizeof *w), scale = (double)from / (double)to;
    bool wide = o->antialias && o->mode != TG_NEAREST;
    double stretch = wide && scale > 1 ? scale : 1, reach = (o->mode == TG_BICUBIC ? 2 : 1) * stretch;
    for (int64_t i = 0; w && i < to; i++) {
        double *row = w + i * from, centre = ((double)i + .5) * scale, sum = 0;
        if (o->mode == TG_NEAREST) {
            int64_t k = (int64_t)floor((double)i * scale);
            row[k < from ? k : from - 1] = 1;
            continue;
        }
        if (!wide && o->mode == TG_BILINEAR)
            centre = fmax(centre, .5);
        for (int64_t k = (int64_t)floor(centre - reach - 1); k <= (int64_t)ceil(centre + reach + 1); k++) {
            double x = ((double)k + .5 - centre) / stretch;
            double v = o->mode == TG_BICUBIC ? cubic(x, wide ? -.5 : -.75) : hat(x);
            if (wide && (k < 0 || k >= from))
                continue;
            row[k < 0 ? 0 : k >= from ? from - 1 : k] += v;
            sum += v;
        }
        for (int64_t k = 0; k < from && wide; k++)
            row[k] /= sum;
    }
    return w;
}

static void ref(const tg_call *c)
{
    const resize_attr *o = c->attr;
    const tg_tensor *x = &c->in[0], *y = &c->out;
    int64_t h = x->shape.dim[2], w = x->shape.dim[3], i[TG_MAX_RANK] = { 0 };
    double *rows = resize_weights(h, o->h, o), *cols = resize_weights(w, o->w, o);
    if (rows && cols)
        do {
            double sum = 0;
            for (int64_t r = 0; r < h; r++) {
                double wr = rows[i[2] * h + r], line = 0;
                if (wr == 0)
                    continue;
                int64_t from = i[0] * x->stride[0] + i[1] * x->stride[1] + r * x->stride[2];
                for (int64_t q = 0; q < w; q++)
                    if (cols[i[3] * w + q] != 0)
                        line += cols[i[3] * w + q] * tg_get(x, from + q * x->stride[3]);
                sum += wr * line;
            }
            tg_put(y, tg_offset(y, i), sum);
        } while (tg_next(y->shape, i));
    free(rows);
    free(cols);
}

static void describe(const void *attr, char *text, size_t size)
{
    const resize_attr *o = attr;
    static const char *const mode[] = { "nearest", "bilinear", "bicubic" };
    snprintf(text, size, "%lld x %lld %s%s", (long long)o->h, (long long)o->w, mode[o->mode], o->antialias ? " antialias" : "");
}

static void grad(tg *y, tg *dy, tg **dx) { dx[0] = resize_grad(dy, tg_attr(y), y->in[0]->shape); }

static const tg_case cases[] = {
    { .in = { DIMS(1, 2, 7, 7) }, .attr = &(const resize_attr){ 9, 5, TG_BICUBIC, true } },
    { .in = { DIMS(1, 2, 7, 7) }, .attr = &(const resize_attr){ 9, 5, TG_BICUBIC, false } },
    { .in = { DIMS(1, 2, 7, 7) }, .attr = &(const resize_attr){ 9, 5, TG_BILINEAR, false } },
    { .in = { DIMS(1, 2, 4, 6) }, .attr = &(const resize_attr){ 8, 3, TG_NEAREST, false } },
};

const tg_op op_resize = {
    "resize", .arity = 1, .attr_size = sizeof(resize_attr), .flags = TG_SPATIAL, .shape = shape, .grad = grad, .ref = ref, .describe = describe,
    TG_CASES(cases), .tol = 1e-6,
};

tg *tg_resize(tg *x, int64_t h, int64_t w, tg_resize_mode mode, bool antialias)
{
    return tg_apply(&op_resize, &x, 1, &(resize_attr){ h, w, mode, antialias });
}
