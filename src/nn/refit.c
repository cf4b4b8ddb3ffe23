/* refit.c - stored tensors fitted to a network of another size.  Counterparts: timm's resample_abs_pos_embed,
 * resample_patch_embed, resize_rel_pos_bias_table (without scipy), adapt_input_conv.  All arithmetic is in double. */
#include "nn/refit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "graph/graph.h"

static bool no_memory(status *st) { return status_fail(st, TIMM_NO_MEMORY, "out of memory fitting a tensor"); }

/* -- resampling: weights of one axis, row i those of result i ---------------------------------------------------------------- */

/* torch's antialiased bicubic: a = -1/2, cut at the border. */
static double cubic(double x)
{
    const double a = -.5;
    x = fabs(x);
    return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double *bicubic(int64_t from, int64_t to)
{
    double *w = calloc((size_t)(from * to), sizeof *w), scale = (double)from / (double)to, wide = scale > 1 ? scale : 1;
    for (int64_t i = 0; w && i < to; i++) {
        double centre = ((double)i + .5) * scale, sum = 0;
        for (int64_t k = 0; k < from; k++)
            sum += w[i * from + k] = cubic(((double)k + .5 - centre) / wide);
        for (int64_t k = 0; k < from; k++)
            w[i * from + k] /= sum;
    }
    return w;
}

/* Linear between distances that grow from the middle by a factor, the one with which the old table spans the new one. */
static double *geometric(int64_t from, int64_t to)
{
    double *w = calloc((size_t)(from * to), sizeof *w), *place = calloc((size_t)from, sizeof *place);
    double low = 1.01, high = 1.5, factor = 0, distance = 0;
    int64_t half = from / 2;
    while (high - low > 1e-6) {
        factor = (low + high) / 2;
        *((1 - pow(factor, (double)half)) / (1 - factor) > (double)(to / 2) ? &high : &low) = factor;
    }
    for (int64_t i = 1; place && i <= half; i++) {
        distance += pow(factor, (double)i - 1);
        place[half + i] = distance;
        place[half - i] = -distance;
    }
    for (int64_t i = 0, k = 0; w && place && i < to; i++) {
        double at = (double)(i - to / 2);
        while (k < from && place[k] < at)
            k++;
        double part = k == 0 || k == from ? 1 : (at - place[k - 1]) / (place[k] - place[k - 1]);
        w[i * from + (k < from ? k : from - 1)] = part;
        if (part < 1)
            w[i * from + k - 1] = 1 - part;
    }
    free(place);
    if (!place) {
        free(w);
        return NULL;
    }
    return w;
}

/* in (h, w, c) to out (oh, ow, c). */
static bool resample(double *axis(int64_t from, int64_t to), const float *in, int64_t h, int64_t w, int64_t c,
                     float *out, int64_t oh, int64_t ow, status *st)
{
    double *rows = axis(h, oh), *cols = axis(w, ow), *middle = calloc((size_t)(oh * w * c) + 1, sizeof *middle);
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

/* -- the rules ----------------------------------------------------------------------------------------------------------------- */

/* The side of a square of n; 0: n is none. */
static int64_t side(int64_t n)
{
    int64_t s = n > 0 ? (int64_t)(sqrt((double)n) + .5) : 0;
    return s * s == n ? s : 0;
}

static bool is_grid(const int64_t grid[2], int64_t n) { return n > 0 && grid[0] > 0 && n % grid[0] == 0 && n / grid[0] == grid[1]; }

bool refit_needed(const nn_par *par, const int64_t grid[2], tg_shape from, tg_shape to)
{
    if (!tg_same(from, to))
        return true;
    if (par->refit == NN_RESAMPLE_GRID && from.rank == 3)
        return is_grid(grid, from.dim[1] - par->prefix) && (grid[0] != par->grid[0] || grid[1] != par->grid[1]);
    return par->refit == NN_RESAMPLE_REL_POS && par->grid[0] != par->grid[1] && side(from.dim[0]);
}

/* (1, prefix + h w, c), the old grid as told or else square; also (1, h, w, c). */
static bool positions(const nn_par *par, const int64_t grid[2], const float *in, tg_shape from, float *out, tg_shape to, status *st)
{
    int64_t prefix = par->prefix, c = to.dim[to.rank - 1];
    if (from.rank != to.rank || (from.rank != 3 && from.rank != 4) || from.dim[from.rank - 1] != c || from.dim[0] != to.dim[0])
        return false;
    if (from.rank == 4)
        return resample(bicubic, in, from.dim[1], from.dim[2], c, out, to.dim[1], to.dim[2], st);
    int64_t n = from.dim[1] - prefix, square = side(n), h = is_grid(grid, n) ? grid[0] : square;
    if (!h)
        return false;
    memcpy(out, in, (size_t)(prefix * c) * sizeof *out);
    return resample(bicubic, in + prefix * c, h, n / h, c, out + prefix * c, par->grid[0], par->grid[1], st);
}

/* ((2 h - 1)(2 w - 1), heads), the old one square. */
static bool relative(const nn_par *par, const float *in, tg_shape from, float *out, tg_shape to, status *st)
{
    int64_t s = from.rank == 2 && to.rank == 2 && from.dim[1] == to.dim[1] ? side(from.dim[0]) : 0;
    return s && resample(geometric, in, s, s, to.dim[1], out, 2 * par->grid[0] - 1, 2 * par->grid[1] - 1, st);
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
    double *r = bicubic(from, to);                           /* (to, from) */
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
        return false;
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

bool refit_tensor(const nn_par *par, const int64_t grid[2], const float *in, tg_shape from, float *out, tg_shape to, status *st)
{
    switch (par->refit) {
    case NN_RESAMPLE_GRID:    return positions(par, grid, in, from, out, to, st);
    case NN_RESAMPLE_REL_POS: return relative(par, in, from, out, to, st);
    case NN_RESAMPLE_PATCH:   return patch(in, from, out, to, st);
    default:                  return false;
    }
}

bool adapt_input_conv(const float *in, tg_shape from, float *out, tg_shape to)
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
        return false;
    for (int64_t a = 0; a < o; a++)
        for (int64_t c = 0; c < n; c++)
            for (int64_t k = 0; k < field; k++)
                out[(a * n + c) * field + k] = (float)((double)in[(a * 3 + c % 3) * field + k] * (3. / (double)n));
    return true;
}
