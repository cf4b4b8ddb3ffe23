/* refit.c - stored tensors fitted to a network of another size.  Counterparts: timm's resample_abs_pos_embed,
 * resample_patch_embed, resize_rel_pos_bias_table_simple, adapt_input_conv.  All arithmetic is in double. */
#include "nn/refit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "graph/graph.h"

static bool no_memory(status *st) { return status_fail(st, TIMM_NO_MEMORY, "out of memory fitting a tensor"); }

/* -- bicubic resampling of one axis ------------------------------------------------------------------------------------------ */

static double cubic(double x, double a)
{
    x = fabs(x);
    return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* Row i: the weights of result i.  As torch's bicubic: antialiased a = -1/2 and cut at the border, plain a = -3/4 and repeated. */
static double *bicubic(int64_t from, int64_t to, bool antialias)
{
    double *w = calloc((size_t)(from * to), sizeof *w), scale = (double)from / (double)to, wide = antialias && scale > 1 ? scale : 1;
    for (int64_t i = 0; w && i < to; i++) {
        double centre = ((double)i + .5) * scale, sum = 0;
        for (int64_t k = (int64_t)floor(centre - 2 * wide - 1); k <= (int64_t)ceil(centre + 2 * wide + 1); k++) {
            double v = cubic(((double)k + .5 - centre) / wide, antialias ? -.5 : -.75);
            if (antialias && (k < 0 || k >= from))
                continue;
            w[i * from + (k < 0 ? 0 : k >= from ? from - 1 : k)] += v;
            sum += v;
        }
        for (int64_t k = 0; antialias && k < from; k++)
            w[i * from + k] /= sum;
    }
    return w;
}

/* in (h, w, c) to out (oh, ow, c). */
static bool resample(const float *in, int64_t h, int64_t w, int64_t c, float *out, int64_t oh, int64_t ow, bool antialias, status *st)
{
    double *rows = bicubic(h, oh, antialias), *cols = bicubic(w, ow, antialias);
    double *middle = calloc((size_t)(oh * w * c) + 1, sizeof *middle);
    bool ok = rows && cols && middle;
    for (int64_t i = 0; ok && i < oh; i++)
        for (int64_t k = 0; k < h; k++)
            for (int64_t j = 0; rows[i * h + k] != 0 && j < w * c; j++)
                middle[i * w * c + j] += rows[i * h + k] * in[k * w * c + j];
    for (int64_t i = 0; ok && i < oh; i++)
        for (int64_t j = 0; j < ow; j++)
            for (int64_t m = 0; m < c; m++) {
                double sum = 0;
                for (int64_t k = 0; k < w; k++)
                    sum += cols[j * w + k] * middle[(i * w + k) * c + m];
                out[(i * ow + j) * c + m] = (float)sum;
            }
    free(rows);
    free(cols);
    free(middle);
    return ok || no_memory(st);
}

static int64_t side(int64_t n)
{
    int64_t s = (int64_t)(sqrt((double)n) + .5);
    return s * s == n ? s : 0;
}

/* -- the rules ----------------------------------------------------------------------------------------------------------------- */

static bool unfit(tg_shape from, tg_shape to, const char *what, status *st)
{
    return status_fail(st, TIMM_MISMATCH, "%s %s cannot be fitted to %s", what, tg_str(from), tg_str(to));
}

/* (1, prefix + h w, c), both grids square; also (1, h, w, c). */
static bool grid(int64_t prefix, const float *in, tg_shape from, float *out, tg_shape to, status *st)
{
    if (from.rank == 4 && to.rank == 4 && from.dim[3] == to.dim[3])
        return resample(in, from.dim[1], from.dim[2], from.dim[3], out, to.dim[1], to.dim[2], true, st);
    if (from.rank != 3 || to.rank != 3 || from.dim[2] != to.dim[2])
        return unfit(from, to, "a position table", st);
    int64_t a = side(from.dim[1] - prefix), b = side(to.dim[1] - prefix), c = from.dim[2];
    if (!a || !b)
        return unfit(from, to, "a position table", st);
    memcpy(out, in, (size_t)(prefix * c) * sizeof *out);
    return resample(in + prefix * c, a, a, c, out + prefix * c, b, b, true, st);
}

/* ((2 h - 1)(2 w - 1), heads), both square. */
static bool relative(const float *in, tg_shape from, float *out, tg_shape to, status *st)
{
    if (from.rank != 2 || to.rank != 2 || from.dim[1] != to.dim[1] || !side(from.dim[0]) || !side(to.dim[0]))
        return unfit(from, to, "a table of relative positions", st);
    int64_t a = side(from.dim[0]), b = side(to.dim[0]);
    return resample(in, a, a, from.dim[1], out, b, b, false, st);
}

/* x of A x = b by Gauss's elimination, in place; A is n x n, symmetric and positive. */
static void solve(double *a, double *b, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = k + 1; i < n; i++) {
            double f = a[i * n + k] / a[k * n + k];
            if (f == 0)
                continue;
            for (int64_t j = k; j < n; j++)
                a[i * n + j] -= f * a[k * n + j];
            b[i] -= f * b[k];
        }
    for (int64_t i = n; i-- > 0;) {
        for (int64_t j = i + 1; j < n; j++)
            b[i] -= a[i * n + j] * b[j];
        b[i] /= a[i * n + i];
    }
}

/* The pseudo-inverse of the resize of one axis, transposed: (to, from).  The resize of both axes is a product of these, and
 * so is its pseudo-inverse. */
static double *inverse(int64_t from, int64_t to)
{
    double *r = bicubic(from, to, true);                     /* (to, from) */
    int64_t n = from < to ? from : to;
    double *out = calloc((size_t)(from * to), sizeof *out), *gram = malloc((size_t)(n * n) * sizeof *gram);
    double *b = malloc((size_t)n * sizeof *b);
    bool ok = r && out && gram && b, tall = to >= from;
    /* Growing: r (r'r)^-1; shrinking: (r r')^-1 r.  Either way one system a row or column. */
    for (int64_t row = 0; ok && row < (tall ? to : from); row++) {
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = 0;
                for (int64_t k = 0; k < (tall ? to : from); k++)
                    sum += tall ? r[k * from + i] * r[k * from + j] : r[i * from + k] * r[j * from + k];
                gram[i * n + j] = sum;
            }
        for (int64_t i = 0; i < n; i++)
            b[i] = tall ? r[row * from + i] : r[i * from + row];
        solve(gram, b, n);
        for (int64_t i = 0; i < n; i++)
            out[tall ? row * from + i : i * from + row] = b[i];
    }
    free(r);
    free(gram);
    free(b);
    if (!ok) {
        free(out);
        return NULL;
    }
    return out;
}

/* FlexiViT (2212.08013): the kernel that gives on resized patches what the old one gives on the old. */
static bool patch(const float *in, tg_shape from, float *out, tg_shape to, status *st)
{
    if (from.rank != 4 || to.rank != 4 || from.dim[0] != to.dim[0] || from.dim[1] != to.dim[1])
        return unfit(from, to, "a patch kernel", st);
    int64_t h = from.dim[2], w = from.dim[3], oh = to.dim[2], ow = to.dim[3];
    double *rows = inverse(h, oh), *cols = inverse(w, ow);
    for (int64_t p = 0; rows && cols && p < from.dim[0] * from.dim[1]; p++)
        for (int64_t i = 0; i < oh; i++)
            for (int64_t j = 0; j < ow; j++) {
                double sum = 0;
                for (int64_t k = 0; k < h; k++)
                    for (int64_t l = 0; l < w; l++)
                        sum += rows[i * h + k] * cols[j * w + l] * in[(p * h + k) * w + l];
                out[(p * oh + i) * ow + j] = (float)sum;
            }
    bool ok = rows && cols;
    free(rows);
    free(cols);
    return ok || no_memory(st);
}

bool refit_tensor(nn_refit how, int64_t prefix, const float *in, tg_shape from, float *out, tg_shape to, status *st)
{
    switch (how) {
    case NN_RESAMPLE_GRID:    return grid(prefix, in, from, out, to, st);
    case NN_RESAMPLE_REL_POS: return relative(in, from, out, to, st);
    case NN_RESAMPLE_PATCH:   return patch(in, from, out, to, st);
    default:                  return unfit(from, to, "a tensor", st);
    }
}

bool adapt_input_conv(const float *in, tg_shape from, float *out, tg_shape to, status *st)
{
    int64_t o = from.dim[0], i = from.dim[1], n = to.dim[1], field = tg_span(from, 2, from.rank);
    if (n == i) {
        memcpy(out, in, (size_t)tg_numel(from) * sizeof *out);
        return true;
    }
    if (n == 1 && i <= 3) {
        for (int64_t a = 0; a < o; a++)
            for (int64_t k = 0; k < field; k++) {
                double sum = 0;
                for (int64_t c = 0; c < i; c++)
                    sum += in[(a * i + c) * field + k];
                out[a * field + k] = (float)sum;
            }
        return true;
    }
    if (i != 3)
        return status_fail(st, TIMM_UNSUPPORTED, "weights for %lld input channels cannot be fitted to %lld", (long long)i, (long long)n);
    for (int64_t a = 0; a < o; a++)
        for (int64_t c = 0; c < n; c++)
            for (int64_t k = 0; k < field; k++)
                out[(a * n + c) * field + k] = (float)((double)in[(a * 3 + c % 3) * field + k] * (3. / (double)n));
    return true;
}
