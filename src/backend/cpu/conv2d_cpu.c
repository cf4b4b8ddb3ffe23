/* conv2d_cpu.c - convolution as a product: pixels of the result by packed weights, one run of channels per tap.
 *
 * Nothing is unfolded: a row of the left operand is a list of pointers into the image, one per tap, to a row of
 * zeros where the tap falls outside. Where the taps of one kernel row lie side by side in memory (no padding to the
 * sides) they are one longer run. Images of few channels (the first layer) are copied, padded, so that this holds
 * for them. Where there are instructions for products of bfloat16, the copy is of such numbers, also for more channels
 * if the filters are few, the stride is 1 or there are groups, and rows are read as they lie in it: of a band of lines, which each thread
 * copies for itself, where filters are few, else of whole images.  Groups are one product there, each panel of columns by rows of the
 * channels that its groups read; else each has its own weights, and narrow ones are joined, with zeros between them, until a panel is full.
 */
#include <stdlib.h>
#include <string.h>
#include "base/pages.h"
#include "base/room.h"
#include "kernels.h"
#include "packed_product.h"

/* BEYOND: rows after the last that may be read of a copy; COPY: bytes of images at once; PIECE: those worth a thread's while. */
enum { FEW_CHANNELS = 8, MOST_TAPS = 49, BEYOND = 31, COPY = 1 << 20, PIECE = 1 << 14 };

typedef struct conv_state {
    product p;                  /* of one joined group */
    int joined, blocks;         /* groups to a product; products */
    bool padded;                /* the image is copied first */
    int64_t tap[MOST_TAPS];     /* as bfloat16: bytes from the first tap to those of each run, which are filled up to whole slabs */
    bool shared;                /* so, and neighbours share their borders: lines and images of a copy follow one another as rows */
    int64_t images, plane;      /* copied at once; bytes of a part of them: the first is followed by what others there are */
    /* Such a copy is [slices][phases down][phases across], `phase` bytes each: a slice has the `width` channels that a panel of columns reads
     * in groups, or that wider groups do, a phase each stride-th line and pixel.  One slice: all channels, for all columns. */
    int64_t slices, slice_columns, panel, width, phases[2], phase;
    bool banded;                /* so, and some lines of results at a time, by the thread that multiplies them: */
    int64_t band, line_bytes;   /* how many; of a part of a line on its way to its place (one_run) */
    bool pointwise;             /* 1x1 of stride 1 over pixels at one distance: rows of a matrix */
    bool rows_joined;           /* taps of a kernel row are one run */
    int64_t taps, run;
    int64_t copy_h, copy_w;     /* of the padded copy */
    size_t weight_bytes, copy_bytes, row_bytes;         /* of scratch; the last of each thread: waste, or what a band reads */
    packed *more;               /* of groups after the first */
    float *zeros;
} conv_state;

static int64_t out_channels(const tg_call *c) { return c->in[1].shape.dim[0]; }
static int64_t group_in(const tg_call *c) { return c->in[1].shape.dim[1]; }

static bool one_tap(const tg_call *c) { return c->in[1].shape.dim[2] == 1 && c->in[1].shape.dim[3] == 1; }

static bool any_layout(const tg_call *c)     /* copied before it is used */
{
    return c->in[0].shape.dim[1] <= FEW_CHANNELS && ((const conv2d_attr *)c->attr)->groups == 1;
}

/* A gate is applied where rows are packed. */
static const char *gate_declines(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *gate = epilogue_gate(c, &a->e);
    if (!gate)
        return NULL;
    if (!gemm_packs(c->precision))
        return "a gate, and rows are not packed";
    if (!one_tap(c) || a->groups > 1 || a->stride[0] > 1 || a->stride[1] > 1 || a->pad[0] || a->pad[1] || a->pad[2] || a->pad[3] || any_layout(c))
        return "a gate, and rows are not those of the image";
    return gate->stride[1] != 1 ? "strided gate" : NULL;
}

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    if (a->groups > 1 && group_in(c) == 1 && out_channels(c) == a->groups)
        return "depthwise";
    if (a->groups > 1 && !w->constant)
        return "groups whose weights change";
    if (x->stride[1] != 1 && x->shape.dim[1] > 1 && !any_layout(c))
        return "not channels-last";
    if (c->out.stride[1] != 1 && c->out.shape.dim[1] > 1)
        return "result not channels-last";
    const char *why = gate_declines(c);
    return why ? why : gated_declines(c, &a->e, 1);
}

/* The layers after the first find and leave channels innermost; an image of few channels may lie as it likes. */
static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    const conv2d_attr *a = c->attr;
    if (in[0].stride[1] != 1 && !any_layout(c))
        tg_channels_last(&in[0]);
    if (a->e.residual && in[2 + a->e.bias].stride[1] != 1)
        tg_channels_last(&in[2 + a->e.bias]);
    if (a->e.gate && in[c->n_in - 1].stride[1] != 1)
        tg_channels_last(&in[c->n_in - 1]);
    tg_channels_last(out);
}

/* The first channel of a slice: of the group of the slice's first column. */
static int64_t slice_begin(const conv_state *s, const tg_call *c, int64_t slice)
{
    return slice * s->slice_columns / (out_channels(c) / ((const conv2d_attr *)c->attr)->groups) * group_in(c);
}

/* (o, c, kh, kw) of joined groups from `first` on, or of slices, as (o, kh, kw, c), zeros where groups meet. */
typedef struct ordering { const conv_state *s; const tg_call *c; int first; float *to; } ordering;

static void order_rows(void *arg, int64_t begin, int64_t end)
{
    const ordering *d = arg;
    const conv2d_attr *a = d->c->attr;
    const tg_tensor *w = &d->c->in[1];
    int64_t per = out_channels(d->c) / a->groups, ci = group_in(d->c), kw = w->shape.dim[3], taps = w->shape.dim[2] * kw;
    int64_t joined = taps / d->s->taps;         /* to a run, which may be filled up */

    for (int64_t o = begin; o < end; o++) {
        const float *from = (const float *)w->data + (d->first * per + o) * w->stride[0];
        float *row = d->to + o * d->s->p.k;
        int64_t shift = o / per * ci - slice_begin(d->s, d->c, o / d->s->panel * d->s->panel / d->s->slice_columns);
        if (d->s->p.k > ci * taps)
            memset(row, 0, (size_t)d->s->p.k * sizeof *row);
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < ci; i++)
                row[t / joined * d->s->run + t % joined * d->s->width + shift + i] =
                    from[i * w->stride[1] + t / kw * w->stride[2] + t % kw * w->stride[3]];
    }
}

/* Weights whose o lie closer together than their c, as those of gradients do, become (kh, kw, c, o) instead. */
static bool by_k(const conv_state *s, const tg_call *c)
{
    const tg_tensor *w = &c->in[1];
    return s->blocks == 1 && w->stride[0] < w->stride[1] && s->p.k == w->shape.dim[1] * w->shape.dim[2] * w->shape.dim[3];
}

static void order_columns(void *arg, int64_t begin, int64_t end)
{
    const ordering *d = arg;
    const tg_tensor *w = &d->c->in[1];
    const int64_t kw = w->shape.dim[3], taps = w->shape.dim[2] * kw;
    for (int64_t i = begin; i < end; i++)
        for (int64_t t = 0; t < taps; t++) {
            const float *from = (const float *)w->data + i * w->stride[1] + t / kw * w->stride[2] + t % kw * w->stride[3];
            float *to = d->to + (t * w->shape.dim[1] + i) * d->s->p.n;
            for (int64_t o = 0; o < d->s->p.n; o++)
                to[o] = from[o * w->stride[0]];
        }
}

/* For the product: number (p, j) is then at to[p * *sk + j * *sn]. */
static void order_weights(const conv_state *s, const tg_call *c, int first, float *to, int64_t *sk, int64_t *sn)
{
    ordering d = { s, c, first, to };
    const bool turned = by_k(s, c);
    *sk = turned ? s->p.n : 1;
    *sn = turned ? 1 : s->p.k;
    if (turned)
        pool_run(c->pool, group_in(c), 8, order_columns, &d);
    else
        pool_run(c->pool, s->p.n, 8, order_rows, &d);
}

static bool pack_groups(conv_state *s, const tg_call *c, tg_prep *prep)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *all = &c->in[1];
    if (one_tap(c) && a->groups == 1)                       /* in order as they lie */
        return product_prepare(&s->p, c, &a->e, s->taps, all->data, all->stride[1], all->stride[0], prep);
    float *w = room_alloc((size_t)(s->p.n * s->p.k) * sizeof *w);
    bool ok = w != NULL;
    int64_t sk, sn;

    if (ok) {
        order_weights(s, c, 0, w, &sk, &sn);
        ok = product_prepare(&s->p, c, &a->e, s->taps, w, sk, sn, prep);
    }
    if (ok && s->blocks > 1)
        ok = (s->more = calloc((size_t)s->blocks, sizeof *s->more)) != NULL;
    for (int i = 1; ok && i < s->blocks; i++) {
        tg_tensor bias;
        if (a->e.bias) {
            bias = c->in[2];
            bias.data = (float *)bias.data + i * s->p.n * bias.stride[0];
        }
        order_weights(s, c, i * s->joined, w, &sk, &sn);
        ok = gemm_pack(s->p.v, s->p.m, s->p.n, s->taps, s->p.k / s->taps, w, sk, sn, a->e.bias ? &bias : NULL, &s->more[i]);
        prep->state_bytes += s->more[i].bytes;
    }
    room_free(w);
    return ok || status_fail(prep->st, TIMM_NO_MEMORY, "out of memory packing the weights of a convolution");
}

static void release(void *state)
{
    conv_state *s = state;
    for (int i = 1; s && s->more && i < s->blocks; i++)
        pages_free(s->more[i].b);
    if (s) {
        free(s->more);
        free(s->zeros);
    }
    product_release(s);
}

/* Joined until a product is 16 wide, if that wastes no more than half of it at 8 and more. */
static int join(int64_t groups, int64_t per)
{
    int n = 1;
    while (per * n < 16 && groups % (2 * n) == 0)
        n *= 2;
    return n;
}

/* Lines of results read no row of the image twice: then taps of all their kernel rows are brought together in one run. */
static bool one_run(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    return a->stride[0] > (c->in[1].shape.dim[2] - 1) * a->dilation[0];
}

/* A run is filled up with zero weights: numbers of the image after it that are infinite or none come to none.
 *
 * Worth a copy: what packing each row for each tap costs, of few channels or for few filters, against what is computed in vain of tiles
 * at the ends of lines and of runs. */
static bool worth_bands(const tg_call *c, const gemm_vec *v)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    const int64_t run = w->shape.dim[3] * w->shape.dim[1] * (one_run(c) ? w->shape.dim[2] : 1), n = w->shape.dim[0];
    const int64_t line = c->out.shape.dim[3] * (one_run(c) ? c->out.shape.dim[2] : 1);
    const double vain = (double)((run + v->deep - 1) / v->deep * v->deep * ((line + 15) / 16 * 16)) / (double)(run * line) - 1;
    if (!(any_layout(c) ? gemm_packs(c->precision) : gemm_narrow(c->precision)) || a->groups > 1 || a->dilation[1] > 1 || one_tap(c)
        || w->shape.dim[2] > MOST_TAPS || a->pad[0] < 0 || a->pad[1] < 0 || a->pad[2] < 0 || a->pad[3] < 0)
        return false;
    return any_layout(c) ? vain < 3 && line >= 8 : vain + .1 < 46. / (double)n;
}

/* The border after a line is that before the next, and so of images: what is computed in vain is, of stride 1, a row a line and a line an
 * image, and nothing else. */
bool conv2d_shares(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    if (!gemm_packs(c->precision) || a->pad[0] < 0 || a->pad[1] < 0 || a->pad[2] < 0 || a->pad[3] < 0 || any_layout(c) || c->in[0].stride[1] != 1)
        return false;
    if (a->groups > 1)
        return w->constant && w->shape.dim[2] * w->shape.dim[3] <= MOST_TAPS;
    return a->dilation[0] == 1 && a->dilation[1] == 1 && a->stride[0] == 1 && a->stride[1] == 1 && w->shape.dim[2] <= MOST_TAPS
           && w->shape.dim[3] > 1 && a->pad[1] + a->pad[3] < w->shape.dim[3] && a->pad[0] + a->pad[2] < w->shape.dim[2]
           && w->shape.dim[3] * c->in[0].shape.dim[1] % gemm_for(c->precision)->deep == 0;
}

/* Lines of a phase from an image to the next (axis 0), or pixels from a line to the next (axis 1): as many as there are results, or more, until
 * what the last of these read beyond is border there and here. */
static int64_t period(const tg_call *c, int axis)
{
    const conv2d_attr *a = c->attr;
    const int64_t results = c->out.shape.dim[2 + axis], step = a->stride[axis], before = a->pad[axis], after = before + c->in[0].shape.dim[2 + axis];
    const int64_t last = (results - 1) * step + (c->in[1].shape.dim[2 + axis] - 1) * a->dilation[axis];
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

static void plan_shared(conv_state *s, const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const int64_t kh = c->in[1].shape.dim[2], kw = c->in[1].shape.dim[3], deep = gemm_for(c->precision)->deep, size = sizeof(uint16_t);
    s->copy_h = period(c, 0);
    s->copy_w = period(c, 1);
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
    const int64_t below = (kh - 1) * a->dilation[0] / a->stride[0], right = (kw - 1) * a->dilation[1] / a->stride[1];
    s->images = COPY / (image * s->slices * s->phases[0] * s->phases[1]);
    s->images = s->images < 1 ? 1 : s->images < c->in[0].shape.dim[0] ? s->images : c->in[0].shape.dim[0];
    s->phase = s->images * image + ((below * s->copy_w + right + BEYOND) * s->width + s->run) * size;
    s->phase = s->phase / 64 * 64 + 64;
    s->plane = s->slices * s->phases[0] * s->phases[1] * s->phase;
    for (int64_t t = 0; t < s->taps; t++) {
        const int64_t y = t * (s->rows_joined ? kw : 1) / kw * a->dilation[0], x = s->rows_joined ? 0 : t % kw * a->dilation[1];
        s->tap[t] = (y % a->stride[0] * s->phases[1] + x % a->stride[1]) * s->phase
                    + (y / a->stride[0] * s->copy_w + x / a->stride[1]) * s->width * size;
    }
    s->row_bytes = lines(c->in[1].shape.dim[0]);
    s->copy_bytes = (size_t)(s->plane * gemm_for(c->precision)->bytes / size);
}

static int64_t divided(int64_t n, int64_t by) { return (n + by - 1) / by; }

/* Numbers of the copy that so many lines of results read. */
static int64_t read_by(const conv_state *s, const tg_call *c, int64_t count)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    const int64_t ci = w->shape.dim[1], kh = w->shape.dim[2], kw = w->shape.dim[3];
    return one_run(c) ? count * c->out.shape.dim[3] * kh * kw * ci : ((count - 1) * a->stride[0] + (kh - 1) * a->dilation[0] + 1) * s->copy_w * ci;
}

/* As many lines as BAND has room for, or fewer, for all threads to have some; but rows enough for the weights to be worth reading. */
static void plan_bands(conv_state *s, const tg_call *c)
{
    enum { BAND = 1 << 16, TASKS = 4, ROWS = 96 };
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    const conv2d_attr *a = c->attr;
    const gemm_vec *v = gemm_for(c->precision);
    const int64_t size = sizeof(uint16_t), parts = v->bytes / size, oh = c->out.shape.dim[2], least = divided(ROWS, c->out.shape.dim[3]);
    const int64_t ci = x->shape.dim[1], kh = w->shape.dim[2], tap = w->shape.dim[3] * ci;
    s->taps = one_run(c) ? 1 : kh;
    s->run = divided(one_run(c) ? kh * tap : tap, v->deep) * v->deep;
    for (int64_t t = 0; t < s->taps; t++)
        s->tap[t] = t * a->dilation[0] * s->copy_w * ci * size;
    s->band = divided(oh, divided(TASKS * (int64_t)pool_threads(c->pool), x->shape.dim[0]));
    while (s->band > 1 && read_by(s, c, s->band) * v->bytes > BAND)
        s->band--;
    s->band = s->band < least ? least : s->band;
    s->band = divided(oh, divided(oh, s->band));
    s->plane = divided((read_by(s, c, s->band) + s->run + BEYOND * (one_run(c) ? kh * tap : a->stride[1] * ci)) * size, 64) * 64;
    s->line_bytes = one_run(c) ? divided(s->copy_w * ci * size, 64) * 64 : 0;
    s->row_bytes = (size_t)((s->plane + s->line_bytes) * parts) + lines(x->shape.dim[3] * ci);
}

static void plan_runs(conv_state *s, const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    int64_t kh = w->shape.dim[2], kw = w->shape.dim[3], ci = group_in(c) * s->joined;

    s->width = ci;
    s->slices = 1;
    s->slice_columns = s->panel = out_channels(c);
    s->padded = any_layout(c);
    s->copy_h = x->shape.dim[2] + a->pad[0] + a->pad[2];
    s->copy_w = x->shape.dim[3] + a->pad[1] + a->pad[3];
    bool dense = a->groups == 1 && x->stride[1] == 1 && x->stride[3] == x->shape.dim[1] && !a->pad[1] && !a->pad[3];
    s->rows_joined = (s->padded || dense) && (a->dilation[1] == 1 || kw == 1);
    s->taps = s->rows_joined ? kh : kh * kw;
    s->run = s->rows_joined ? kw * ci : ci;
    rowmap pixels = rowmap_nhw(x);
    s->pointwise = !s->padded && kh == 1 && kw == 1 && a->stride[0] == 1 && a->stride[1] == 1 && pixels.rank <= 1
                   && !a->pad[0] && !a->pad[1] && !a->pad[2] && !a->pad[3];
    s->shared = conv2d_shares(c);
    s->banded = !s->shared && worth_bands(c, gemm_for(c->precision));
    s->padded = any_layout(c) && !s->banded;
    if (s->shared)
        plan_shared(s, c);
    else if (s->banded)
        plan_bands(s, c);
    else if (s->padded)
        s->copy_bytes = lines(s->copy_h * s->copy_w * ci);
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    conv_state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    int64_t per = out_channels(c) / a->groups;
    const bool sliced = conv2d_shares(c);
    s->joined = a->groups > 1 && !sliced ? join(a->groups, per) : 1;
    s->blocks = sliced ? 1 : a->groups / s->joined;
    plan_runs(s, c);
    s->p.m = s->shared ? s->copy_h * s->copy_w : c->out.shape.dim[2] * c->out.shape.dim[3] * (s->padded || s->banded ? 1 : c->out.shape.dim[0]);
    s->p.n = sliced ? out_channels(c) : per * s->joined;
    s->p.k = s->shared || (s->banded && s->taps > 1) ? s->taps * s->run : group_in(c) * s->joined * w->shape.dim[2] * w->shape.dim[3];
    s->zeros = calloc((size_t)s->run, sizeof *s->zeros);
    bool ok = s->zeros || status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    if (ok && w->constant && !prep->sketch)
        ok = pack_groups(s, c, prep);
    else if (ok) {
        s->weight_bytes = w->constant || one_tap(c) ? 0 : ((size_t)(s->p.n * s->p.k) * sizeof(float) + 63) / 64 * 64;
        ok = product_prepare(&s->p, c, &a->e, s->taps, NULL, 1, s->p.k, prep);
    }
    prep->scratch += s->weight_bytes + s->copy_bytes + s->row_bytes * (size_t)pool_threads(c->pool);
    if (!ok)
        return release(s), false;
    prep->state = s;
    return true;
}

/* -- rows ---------------------------------------------------------------------------------------------------------- */

struct image {
    const char *x;
    int64_t stride[3], h, w, oh, ow;        /* of n, h, w: in bytes */
    int64_t kh, kw, step[2], pad[2], dilation[2];
    const void *zeros;
};

static void rows(const void *ctx, int64_t from, int count, const void **row)
{
    const struct image *m = ctx;
    int64_t ox = from % m->ow, oy = from / m->ow % m->oh, n = from / m->ow / m->oh;
    for (int i = 0; i < count; i++) {
        const char *x = m->x + n * m->stride[0];
        const void **p = row + i;
        int64_t y = oy * m->step[0] - m->pad[0], left = ox * m->step[1] - m->pad[1];
        for (int64_t a = 0; a < m->kh; a++, y += m->dilation[0]) {
            bool in_y = y >= 0 && y < m->h;
            int64_t at = left;
            for (int64_t b = 0; b < m->kw; b++, p += count, at += m->dilation[1])
                *p = in_y && at >= 0 && at < m->w ? x + y * m->stride[1] + at * m->stride[2] : m->zeros;
        }
        if (++ox == m->ow) {
            ox = 0;
            if (++oy == m->oh)
                oy = 0, n++;
        }
    }
}

/* Of the padded copy of one image: nothing is outside. */
static void rows_inside(const void *ctx, int64_t from, int count, const void **row)
{
    const struct image *m = ctx;
    const int64_t tap = m->dilation[0] * m->stride[1], right = m->step[1] * m->stride[2];
    int64_t ox = from % m->ow, oy = from / m->ow;
    const char *x = m->x + oy * m->step[0] * m->stride[1] + ox * right;
    for (int i = 0; i < count; i++, x += right) {
        for (int64_t a = 0; a < m->kh; a++)
            row[a * count + i] = x + a * tap;
        if (++ox == m->ow) {
            ox = 0;
            x = m->x + ++oy * m->step[0] * m->stride[1] - right;
        }
    }
}

static struct image image_of(const conv_state *s, const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    const int64_t size = tg_size(x->dtype);
    return (struct image){
        .x = x->data, .stride = { x->stride[0] * size, x->stride[2] * size, x->stride[3] * size },
        .h = x->shape.dim[2], .w = x->shape.dim[3], .oh = c->out.shape.dim[2], .ow = c->out.shape.dim[3],
        .kh = w->shape.dim[2], .kw = s->rows_joined ? 1 : w->shape.dim[3],
        .step = { a->stride[0], a->stride[1] }, .pad = { a->pad[0], a->pad[1] },
        .dilation = { a->dilation[0], a->dilation[1] }, .zeros = s->zeros,
    };
}

/* -- the padded copy ----------------------------------------------------------------------------------------------- */

struct copy { const float *x; const tg_call *c; const conv_state *s; float *to; int64_t rows; };

/* A line of pixels, channels innermost; those of a colour image at once. */
static void interleave(const float *x, int64_t channel, int64_t pixel, int64_t channels, int64_t count, float *to)
{
    if (channel == 1 && pixel == channels)
        memcpy(to, x, (size_t)(count * channels) * sizeof *to);
    else if (channels == 3)
        for (int64_t i = 0; i < count; i++, x += pixel, to += 3) {
            to[0] = x[0];
            to[1] = x[channel];
            to[2] = x[2 * channel];
        }
    else
        for (int64_t ch = 0; ch < channels; ch++)
            for (int64_t i = 0; i < count; i++)
                to[i * channels + ch] = x[ch * channel + i * pixel];
}

static void copy_rows(void *arg, int64_t from, int64_t to)
{
    const struct copy *k = arg;
    const tg_tensor *t = &k->c->in[0];
    const int *pad = ((const conv2d_attr *)k->c->attr)->pad;
    int64_t channels = t->shape.dim[1], width = k->s->copy_w * channels;

    for (int64_t y = from; y < to; y++) {
        float *row = k->to + y * width;
        int64_t at = y - pad[0];
        if (at < 0 || at >= t->shape.dim[2]) {
            memset(row, 0, (size_t)width * sizeof *row);
            continue;
        }
        const int64_t before = pad[1] * channels, within = t->shape.dim[3] * channels;
        const float *x = k->x + at * t->stride[2];
        memset(row, 0, (size_t)before * sizeof *row);
        memset(row + before + within, 0, (size_t)(width - before - within) * sizeof *row);
        interleave(x, t->stride[1], t->stride[3], channels, t->shape.dim[3], row + before);
    }
}

/* n channels of each of `count` pixels, `step` numbers apart, and for as many parts what rounding leaves, `rest` bytes further on. */
static void bring(const conv_state *s, tg_dtype of, const void *x, int64_t n, int64_t count, int64_t step, uint16_t *to, int64_t rest)
{
    gemm_strips strips = { n, count, step, s->width, rest };
    if (step == n && s->width == n)
        strips.n *= count, strips.count = 1;
    s->p.v->split(x, of == TG_BFLOAT, &strips, to);
}

/* A line of pixels of few channels or for few filters, likewise; floats are put in order first, in `room`. */
static void bring_line(const conv_state *s, const tg_tensor *t, const void *x, uint16_t *to, int64_t rest, float *room)
{
    const int64_t channels = t->shape.dim[1], count = t->shape.dim[3];
    if (t->stride[1] == 1 || channels == 1)
        bring(s, t->dtype, x, channels, count, t->stride[3], to, rest);
    else if (channels == 3 && t->stride[3] == 1)
        s->p.v->triples(x, t->stride[1], count, to, rest);
    else {
        interleave(x, t->stride[1], t->stride[3], channels, count, room);
        bring(s, TG_F32, room, channels, count, channels, to, rest);
    }
}

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

/* Lines of images one after the other, of which the first ones of each are its border above, as their first pixels are that to the left. */
static void copy_shared(void *arg, int64_t from, int64_t to)
{
    const struct copy *k = arg;
    const tg_tensor *t = &k->c->in[0];
    const conv2d_attr *a = k->c->attr;
    const conv_state *s = k->s;
    const int64_t width = s->copy_w * s->width, on = s->phases[1] * s->phase / (int64_t)sizeof(uint16_t), phases = s->plane / s->phase;
    for (int64_t i = from; i < to; i++)
        for (int64_t f = 0; f < s->phases[0]; f++)
            copy_line(k, tg_at(k->x, t->dtype, i / s->copy_h * t->stride[0]), i % s->copy_h * a->stride[0] + f - a->pad[0],
                      (uint16_t *)(void *)k->to + f * on + i * width);
    for (int64_t i = 0; i < phases && to == k->rows; i++)       /* the border below the last, and what is read beyond */
        clear(k, (uint16_t *)(void *)((char *)k->to + i * s->phase) + to * width, (size_t)s->phase - (size_t)(to * width) * sizeof(uint16_t));
}

/* Some images, then their product, whose first row is where the first tap of the first pixel lies. */
static void run_shared(const conv_state *s, const tg_call *c, gemm *g, char *copy)
{
    const tg_tensor *x = &c->in[0], *y = &c->out, *residual = epilogue_residual(c, &((const conv2d_attr *)c->attr)->e);
    g->of = TG_BFLOAT;
    g->tap = s->tap;
    g->pitch = s->width * (int64_t)sizeof(uint16_t);
    g->rest = s->plane;
    g->beyond = true;
    g->direct = copy;
    if (s->slices > 1) {
        g->slice_columns = s->slice_columns;
        g->slice_bytes = s->plane / s->slices;
    }
    g->across = s->copy_w, g->used_across = y->shape.dim[3];
    g->down = s->copy_h, g->used_down = y->shape.dim[2];
    g->waste_bytes = s->row_bytes;
    g->waste = copy + s->copy_bytes;
    for (int64_t n = 0; n < x->shape.dim[0]; n += s->images) {
        const int64_t images = x->shape.dim[0] - n < s->images ? x->shape.dim[0] - n : s->images;
        struct copy k = { .x = tg_at(x->data, x->dtype, n * x->stride[0]), .c = c, .s = s, .to = (float *)(void *)copy, .rows = images * s->copy_h };
        pool_run(c->pool, k.rows, 1 + PIECE * s->images * s->copy_h / s->plane, copy_shared, &k);
        g->m = g->line_rows = images * s->copy_h * s->copy_w;
        g->out = tg_at(y->data, y->dtype, n * y->stride[0]);
        if (residual)
            g->residual = tg_at(residual->data, residual->dtype, n * residual->stride[0]);
        gemm_run(g, c->pool);
    }
}

/* What lines [first, first + count) of results read of image n, to `room`. */
static void copy_band(const conv_state *s, const tg_call *c, int64_t n, int64_t first, int64_t count, char *room)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *w = &c->in[1];
    const bool whole = one_run(c);
    const int64_t size = sizeof(uint16_t), parts = s->p.v->bytes / size, ci = x->shape.dim[1], ow = c->out.shape.dim[3];
    const int64_t width = s->copy_w * ci, before = a->pad[1] * ci, within = x->shape.dim[3] * ci, all = read_by(s, c, count);
    const int64_t kh = w->shape.dim[2], tap = w->shape.dim[3] * ci, top = first * a->stride[0] - a->pad[0];
    const int64_t rows = whole ? count * kh : all / width, rest = whole ? s->line_bytes : s->plane;
    char *line = room + s->plane * parts, *floats = line + s->line_bytes * parts;

    for (int64_t i = 0; i < rows; i++) {
        const int64_t y = top + (whole ? i / kh * a->stride[0] + i % kh * a->dilation[0] : i);
        const bool inside = y >= 0 && y < x->shape.dim[2];
        char *to = whole ? line : room + i * width * size;
        for (int64_t part = 0; part < parts; part++) {
            memset(to + part * rest, 0, (size_t)((inside ? before : width) * size));
            if (inside)
                memset(to + part * rest + (before + within) * size, 0, (size_t)((width - before - within) * size));
        }
        if (inside)
            bring_line(s, x, tg_at(x->data, x->dtype, n * x->stride[0] + y * x->stride[2]), (uint16_t *)(void *)to + before, rest,
                       (float *)(void *)floats);
        for (int64_t part = 0; whole && part < parts; part++)
            s->p.v->spread((uint16_t *)(void *)(line + part * rest), a->stride[1] * ci, tap, ow,
                           (uint16_t *)(void *)(room + part * s->plane) + i / kh * ow * kh * tap + i % kh * tap, kh * tap);
    }
    for (int64_t part = 0; part < parts; part++)                /* what the last run is filled up with */
        memset(room + part * s->plane + all * size, 0, (size_t)(s->run * size));
}

struct bands { const conv_state *s; const tg_call *c; const gemm *g; char *rooms; };

/* A thread multiplies the bands that it copied. */
static void copy_and_multiply(void *arg, int64_t from, int64_t to)
{
    const struct bands *d = arg;
    const conv_state *s = d->s;
    const tg_call *c = d->c;
    const tg_tensor *y = &c->out, *residual = epilogue_residual(c, &((const conv2d_attr *)c->attr)->e);
    const int64_t oh = y->shape.dim[2], bands = divided(oh, s->band), panel = d->g->vecs * d->g->v->width;
    gemm g = *d->g;
    g.direct = d->rooms + (size_t)pool_worker() * s->row_bytes;
    char *place = g.scratch + (size_t)pool_worker() * gemm_scratch(g.v, g.vecs, s->taps, s->run, 1);

    for (int64_t i = from; i < to; i++) {
        const int64_t n = i / bands, first = i % bands * s->band, count = oh - first < s->band ? oh - first : s->band;
        copy_band(s, c, n, first, count, d->rooms + (size_t)pool_worker() * s->row_bytes);
        g.m = count * y->shape.dim[3];
        g.line_rows = one_run(c) ? g.m : y->shape.dim[3];
        g.out = tg_at(y->data, y->dtype, n * y->stride[0] + first * y->stride[2]);
        if (residual)
            g.residual = tg_at(residual->data, residual->dtype, n * residual->stride[0] + first * residual->stride[2]);
        gemm_part(&g, 0, g.m, 0, divided(g.n, panel), place);
    }
}

static void run_bands(const conv_state *s, const tg_call *c, gemm *g, char *rooms)
{
    const conv2d_attr *a = c->attr;
    const int64_t size = sizeof(uint16_t), ci = c->in[0].shape.dim[1];
    struct bands d = { s, c, g, rooms };
    g->of = TG_BFLOAT;
    g->tap = s->tap;
    g->pitch = (one_run(c) ? c->in[1].shape.dim[2] * c->in[1].shape.dim[3] : a->stride[1]) * ci * size;
    g->line_bytes = a->stride[0] * s->copy_w * ci * size;
    g->rest = s->plane;
    g->beyond = true;
    pool_run(c->pool, c->out.shape.dim[0] * divided(c->out.shape.dim[2], s->band), 1, copy_and_multiply, &d);
}

/* One image after the other: its copy, then its product. */
static void run_padded(const conv_state *s, const tg_call *c, gemm *g, struct image *m, float *copy)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *x = &c->in[0], *residual = epilogue_residual(c, &a->e);

    m->x = (const char *)copy;
    m->stride[2] = x->shape.dim[1] * (int64_t)sizeof *copy;
    m->stride[1] = s->copy_w * m->stride[2];
    m->h = s->copy_h, m->w = s->copy_w;
    m->pad[0] = m->pad[1] = 0;
    for (int64_t n = 0; n < x->shape.dim[0]; n++) {
        struct copy k = { tg_at(x->data, x->dtype, n * x->stride[0]), c, s, copy, s->copy_h };
        pool_run(c->pool, s->copy_h, 8, copy_rows, &k);
        g->out = tg_at(c->out.data, c->out.dtype, n * c->out.stride[0]);
        if (residual)
            g->residual = tg_at(residual->data, residual->dtype, n * residual->stride[0]);
        gemm_run(g, c->pool);
    }
}

static rowmap pixels(const tg_tensor *t, bool one_image)
{
    tg_tensor one = *t;
    if (one_image)
        one.shape.dim[0] = 1;
    return rowmap_nhw(&one);
}

static void run(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const conv_state *s = c->state;
    const tg_tensor *residual = epilogue_residual(c, &a->e), *gate = epilogue_gate(c, &a->e);
    size_t packing = s->p.pack_bytes + s->p.gemm_bytes;
    float *ordered = (float *)(void *)((char *)c->scratch + packing);
    float *copy = (float *)(void *)((char *)c->scratch + packing + s->weight_bytes);
    struct image m = image_of(s, c);
    const bool one_image = s->padded || s->banded;
    gemm g = { .taps = s->taps, .run = s->run, .rows = s->padded && s->rows_joined ? rows_inside : rows, .ctx = &m,
               .out_rows = pixels(&c->out, one_image) };

    if (residual)
        g.residual_rows = pixels(residual, one_image);
    int64_t sk = 0, sn = 0;
    if (s->weight_bytes)
        order_weights(s, c, 0, ordered, &sk, &sn);
    if (one_tap(c))
        product_begin(&s->p, c, &a->e, c->in[1].data, c->in[1].stride[1], c->in[1].stride[0], &g);
    else
        product_begin(&s->p, c, &a->e, ordered, sk, sn, &g);
    if (s->shared) {
        run_shared(s, c, &g, (char *)copy);
        return;
    }
    if (s->banded) {
        run_bands(s, c, &g, (char *)copy);
        return;
    }
    if (s->padded) {
        run_padded(s, c, &g, &m, copy);
        return;
    }
    rowmap pixel = rowmap_nhw(&c->in[0]);
    struct gemm_rows lines = { m.x, pixel.rank ? pixel.stride[0] : 0, c->in[0].dtype };
    if (s->pointwise) {
        g.rows = gemm_rows;
        g.ctx = &lines;
    }
    if (gate) {
        g.gate = gate->data;
        g.gate_rows = m.h * m.w;
        g.gate_step = gate->stride[0];
    }
    for (int i = 0; i < s->blocks; i++) {
        if (i) {
            g.b = s->more[i].b;
            g.bias = s->more[i].bias;
            m.x = lines.x = tg_at(m.x, g.of, s->run);
            g.out = tg_at(g.out, g.out_of, s->p.n);
            if (residual)
                g.residual = tg_at(g.residual, g.residual_of, s->p.n);
        }
        if (s->pointwise && !gate)
            product_direct(&g, lines.x, lines.stride);
        gemm_run(&g, c->pool);
    }
}

static unsigned narrow(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    return product_narrow(c, &a->e) & ~(any_layout(c) ? 1u : 0);
}

static bool exact(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    return a->groups == 1 && !a->e.gate && product_exact(c->precision, tg_span(c->in[1].shape, 1, 4), c->in[1].shape.dim[0]);
}

const tg_kernel kernel_conv2d = {
    .op = "conv2d", .name = "cpu.conv2d", .declines = declines, .prefers = prefers, .prepare = prepare, .run = run,
    .apart = gemm_packs, .exact = exact, .release = release, .repack = true, .narrow = narrow
};
