/* conv2d_shared.c - convolutions that read copies of whole images, as bfloat16, as rows that lie there.
 *
 * A copy has a line of each image after the other, and a line's border to the right is that of the next to the left: all are rows of one product,
 * of which one row a line is computed in vain.  Runs above or below the images are not multiplied.
 */
#include <stdlib.h>
#include <string.h>
#include "conv2d_copies.h"

/* COPY: bytes of images at once; PIECE: those worth a thread's while; LONG: bytes of a packed row of which L2 holds so few that a copy is better,
 * also where it has the taps of a row apart. */
enum { COPY = 2 << 20, PIECE = 1 << 14, LONG = 1 << 13 };

/* The border after a line is that before the next: what is computed in vain is, of stride 1, a row a line, and nothing else. */
bool conv2d_shares(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const int64_t kh = c->in[1].shape.dim[2], kw = c->in[1].shape.dim[3], ci = group_in(c);
    const gemm_vec *v = gemm_for(c->precision);
    const bool steps = a->stride[0] > 1 || a->stride[1] > 1;
    if (!gemm_packs(c->precision) || a->pad[0] < 0 || a->pad[1] < 0 || a->pad[2] < 0 || a->pad[3] < 0 || any_layout(c) || c->in[0].stride[1] != 1)
        return false;
    if (a->groups > 1)
        return c->in[1].constant && kh * kw <= MOST_TAPS;
    if (a->dilation[0] > 1 || a->dilation[1] > 1 || kw == 1 || a->pad[1] + a->pad[3] >= kw || a->pad[0] + a->pad[2] >= kh)
        return false;
    return steps ? ci % v->deep == 0 && kh * kw * ci * v->bytes >= LONG && kh * kw <= MOST_TAPS : kw * ci % v->deep == 0 && kh <= MOST_TAPS;
}

/* Pixels of a phase from a line to the next: as many as there are results, or more, until what the last of these read beyond is border there
 * and here. */
static int64_t period(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const int64_t results = c->out.shape.dim[3], step = a->stride[1], before = a->pad[1], after = before + c->in[0].shape.dim[3];
    const int64_t last = (results - 1) * step + (c->in[1].shape.dim[3] - 1) * a->dilation[1];
    int64_t n = results;
    while (n * step <= last && (n * step < after || last - n * step >= before))
        n++;
    return n;
}

/* A slice for each panel of columns, or for each group where these are wider: as many channels as the widest panel reads. */
static void plan_slices(conv_state *s, const tg_call *c)
{
    const int64_t n = out_channels(c), per = n / ((const conv2d_attr *)c->attr)->groups, ci = group_in(c);
    const gemm_vec *v = gemm_for(c->precision);
    s->panel = gemm_panel(v, s->copy_h * s->copy_w, n, 1, ci) * v->width;
    s->slice_columns = per > s->panel ? per : s->panel;
    s->slices = (n + s->slice_columns - 1) / s->slice_columns;
    s->width = 0;
    for (int64_t first = 0; first < n; first += s->panel) {
        const int64_t last = first + s->panel < n ? first + s->panel - 1 : n - 1, end = (last / per + 1) * ci;
        const int64_t width = end - slice_begin(s, c, first / s->slice_columns);
        s->width = width > s->width ? width : s->width;
    }
}

/* Where runs lie in a copy of so many images. */
static void place_taps(const conv_state *s, const tg_call *c, int64_t images, int64_t *tap)
{
    const conv2d_attr *a = c->attr;
    const int64_t kw = c->in[1].shape.dim[3], pixel = s->width * (int64_t)sizeof(uint16_t);
    for (int64_t t = 0; t < s->taps; t++) {
        const int64_t y = t * (s->rows_joined ? kw : 1) / kw * a->dilation[0], x = s->rows_joined ? 0 : t % kw * a->dilation[1];
        tap[t] = (y % a->stride[0] * s->phases[1] + x % a->stride[1]) * s->phase
                 + (y / a->stride[0] * images * s->copy_w + x / a->stride[1]) * pixel;
    }
}

/* Which runs lines of results read of an image: of each line those that are not border above or below, joined where lines are alike. */
static bool plan_spans(conv_state *s, const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const int64_t kh = c->in[1].shape.dim[2], oh = c->out.shape.dim[2];
    int64_t n = 0;
    s->spans = calloc((size_t)oh, sizeof *s->spans);
    for (int64_t y = 0; y < oh && s->spans; y++) {
        gemm_span line = { .end = y + 1 };
        for (int64_t t = kh; t-- > 0;) {
            const int64_t at = y * a->stride[0] + t * a->dilation[0] - a->pad[0];
            if (at >= 0 && at < c->in[0].shape.dim[2])
                line.first = t * s->taps / kh, line.count += s->taps / kh;
        }
        if (n && s->spans[n - 1].first == line.first && s->spans[n - 1].count == line.count)
            n--;
        s->spans[n++] = line;
    }
    return s->spans != NULL;
}

bool conv2d_plan_shared(conv_state *s, const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const int64_t kh = c->in[1].shape.dim[2], kw = c->in[1].shape.dim[3], deep = gemm_for(c->precision)->deep, size = sizeof(uint16_t);
    const int64_t below = (kh - 1) * a->dilation[0] / a->stride[0], right = (kw - 1) * a->dilation[1] / a->stride[1];
    s->copy_h = c->out.shape.dim[2] + below;
    s->copy_w = period(c);
    if (a->groups > 1)
        plan_slices(s, c);
    for (int i = 0; i < 2; i++) {
        const int64_t reach = (c->in[1].shape.dim[2 + i] - 1) * a->dilation[i] + 1;
        s->phases[i] = reach < a->stride[i] ? reach : a->stride[i];
    }
    s->rows_joined = a->stride[1] == 1 && a->dilation[1] == 1;
    s->taps = s->rows_joined ? kh : kh * kw;
    s->run = (kh * kw / s->taps * s->width + deep - 1) / deep * deep;
    const int64_t image = s->copy_h * s->copy_w * s->width * size;
    const int64_t most = COPY / (image * s->slices * s->phases[0] * s->phases[1]);
    s->images = most < 1 ? 1 : divided(c->in[0].shape.dim[0], divided(c->in[0].shape.dim[0], most));
    s->phase = s->images * image + ((right + BEYOND) * s->width + s->run) * size;
    s->phase = s->phase / 64 * 64 + 64;
    s->plane = s->slices * s->phases[0] * s->phases[1] * s->phase;
    s->row_bytes = lines(c->in[1].shape.dim[0]);
    s->copy_bytes = (size_t)(s->plane * gemm_for(c->precision)->bytes / size);
    return plan_spans(s, c);
}

/* -- the copy ------------------------------------------------------------------------------------------------------ */

struct copy { const void *x; const tg_call *c; const conv_state *s; uint16_t *to; int64_t rows, images; };

static void clear(const struct copy *k, uint16_t *to, size_t bytes)
{
    for (size_t part = 0; part < k->s->copy_bytes; part += (size_t)k->s->plane)
        memset((char *)to + part, 0, bytes);
}

/* Pixels of a line's phase that lie before pixel `end` of the line, borders included. */
static int64_t pixels_before(const struct copy *k, int64_t end, int64_t phase)
{
    const int64_t step = ((const conv2d_attr *)k->c->attr)->stride[1], n = end > phase ? (end - phase + step - 1) / step : 0;
    return n < k->s->copy_w ? n : k->s->copy_w;
}

/* Line y of the image at x, or a border's: for each slice, each phase across. */
static void copy_line(const struct copy *k, const void *x, int64_t y, uint16_t *to)
{
    const tg_tensor *t = &k->c->in[0];
    const conv2d_attr *a = k->c->attr;
    const conv_state *s = k->s;
    const bool border = y < 0 || y >= t->shape.dim[2];
    const size_t pixel = (size_t)s->width * sizeof *to;
    for (int64_t i = 0; i < s->slices; i++, to += s->phases[0] * s->phases[1] * s->phase / (int64_t)sizeof *to) {
        const int64_t channel = slice_begin(s, k->c, i), left = t->shape.dim[1] - channel, n = left < s->width ? left : s->width;
        for (int64_t f = 0; f < s->phases[1]; f++) {
            uint16_t *line = to + f * s->phase / (int64_t)sizeof *to;
            const int64_t begin = pixels_before(k, a->pad[1], f), end = pixels_before(k, a->pad[1] + t->shape.dim[3], f);
            const int64_t first = begin * a->stride[1] + f - a->pad[1];
            if (border || n < s->width) {
                clear(k, line, (size_t)s->copy_w * pixel);
            } else {
                clear(k, line, (size_t)begin * pixel);
                clear(k, line + end * s->width, (size_t)(s->copy_w - end) * pixel);
            }
            if (!border && end > begin)
                bring(s, t->dtype, tg_at(x, t->dtype, y * t->stride[2] + first * t->stride[3] + channel), n, end - begin,
                      a->stride[1] * t->stride[3], line + begin * s->width, s->plane);
        }
    }
}

/* Lines, of each image one after the other, of which the first pixels are the border to the left. */
static void copy_shared(void *arg, int64_t from, int64_t to)
{
    const struct copy *k = arg;
    const tg_tensor *t = &k->c->in[0];
    const conv2d_attr *a = k->c->attr;
    const conv_state *s = k->s;
    const int64_t width = s->copy_w * s->width, on = s->phases[1] * s->phase / (int64_t)sizeof(uint16_t), phases = s->plane / s->phase;
    for (int64_t i = from; i < to; i++)
        for (int64_t f = 0; f < s->phases[0]; f++)
            copy_line(k, tg_at(k->x, t->dtype, i % k->images * t->stride[0]), i / k->images * a->stride[0] + f - a->pad[0],
                      k->to + f * on + i * width);
    for (int64_t i = 0; i < phases && to == k->rows; i++)       /* what is read beyond the last */
        clear(k, k->to + i * s->phase / (int64_t)sizeof *k->to + to * width, (size_t)s->phase - (size_t)(to * width) * sizeof(uint16_t));
}

/* Some images, then their product. */
void conv2d_run_shared(const conv_state *s, const tg_call *c, gemm *g, char *copy)
{
    const tg_tensor *x = &c->in[0], *residual = epilogue_residual(c, &((const conv2d_attr *)c->attr)->e);
    tg_tensor y = c->out, added = residual ? *residual : y;
    int64_t tap[MOST_TAPS];
    g->of = TG_BFLOAT;
    g->tap = tap;
    g->pitch = s->width * (int64_t)sizeof(uint16_t);
    g->rest = s->plane;
    g->beyond = true;
    g->direct = copy;
    if (s->slices > 1) {
        g->slice_columns = s->slice_columns;
        g->slice_bytes = s->plane / s->slices;
    }
    g->span = s->spans;
    g->across = s->copy_w, g->used_across = y.shape.dim[3];
    g->own_bytes = s->row_bytes;
    g->own = copy + s->copy_bytes;
    for (int64_t n = 0; n < x->shape.dim[0]; n += s->images) {
        const int64_t images = x->shape.dim[0] - n < s->images ? x->shape.dim[0] - n : s->images;
        struct copy k = { .x = tg_at(x->data, x->dtype, n * x->stride[0]), .c = c, .s = s, .to = (uint16_t *)(void *)copy, .rows = images * s->copy_h,
                          .images = images };
        pool_run(c->pool, k.rows, 1 + PIECE * s->images * s->copy_h / s->plane, copy_shared, &k);
        place_taps(s, c, images, tap);
        g->line_rows = images * s->copy_w;
        g->line_bytes = g->line_rows * g->pitch;
        g->m = y.shape.dim[2] * g->line_rows;
        y.shape.dim[0] = added.shape.dim[0] = images;
        g->out_rows = rowmap_hnw(&y);
        g->residual_rows = rowmap_hnw(&added);
        g->out = tg_at(y.data, y.dtype, n * y.stride[0]);
        if (residual)
            g->residual = tg_at(residual->data, residual->dtype, n * residual->stride[0]);
        gemm_run(g, c->pool);
    }
}
