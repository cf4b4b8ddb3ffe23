/* conv2d_cpu.c - convolution as a product: pixels of the result by packed weights, one run of channels per tap.
 *
 * Nothing is unfolded: a row of the left operand is a list of pointers into the image, one per tap, to a row of
 * zeros where the tap falls outside. Where the taps of one kernel row lie side by side in memory (no padding to the
 * sides) they are one longer run. Images of few channels (the first layer) are copied, padded, so that this holds
 * for them. Where there are instructions for products of bfloat16, the copy is of such numbers, also for more channels
 * if the filters are few, the stride is 1, rows would be long or there are groups, and rows are read as they lie in it: of a band
 * of lines, which each thread copies for itself, where filters are few (conv2d_bands.c), else of whole images (conv2d_shared.c).
 * Groups are one product there, each panel of columns by rows of the channels that its groups read; else each has its own weights,
 * and narrow ones are joined, with zeros between them, until a panel is full.
 */
#include <stdlib.h>
#include <string.h>
#include "base/pages.h"
#include "base/room.h"
#include "conv2d_copies.h"

static int64_t pixels_out(const tg_call *c) { return c->out.shape.dim[2] * c->out.shape.dim[3]; }        /* of an image */

static const char *gate_declines(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *gate = epilogue_gate(c, &a->e);
    if (!gate)
        return NULL;
    if (!one_tap(c) || a->groups > 1 || a->stride[0] > 1 || a->stride[1] > 1 || a->pad[0] || a->pad[1] || a->pad[2] || a->pad[3] || any_layout(c))
        return "a gate, and rows are not those of the image";
    if (!gemm_packs(c->precision) && c->out.shape.dim[0] * pixels_out(c) == 1)
        return "a gate, and one row";
    return gate->stride[1] != 1 ? "strided gate" : NULL;
}

/* Where rows are not packed weights are multiplied by the gate of each image, as many times as there are filters, not as there are pixels. */
static const char *gate_doubts(const tg_call *c)
{
    return ((const conv2d_attr *)c->attr)->e.gate && !gemm_packs(c->precision) && pixels_out(c) < out_channels(c) ? "a gate, and few pixels" : NULL;
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
        ok = gemm_pack(s->p.v, s->p.w.vecs, s->p.n, s->p.k, w, sk, sn, a->e.bias ? &bias : NULL, &s->more[i]);
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
        free(s->spans);
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

static bool plan_runs(conv_state *s, const tg_call *c)
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
    s->banded = !s->shared && conv2d_worth_bands(c);
    s->padded = any_layout(c) && !s->banded;
    if (s->shared)
        return conv2d_plan_shared(s, c);
    if (s->banded)
        conv2d_plan_bands(s, c);
    else if (s->padded)
        s->copy_bytes = lines(s->copy_h * s->copy_w * ci);
    return true;
}

static bool prepare_of(const tg_call *c, int64_t image, tg_prep *prep)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    conv_state *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    int64_t per = out_channels(c) / a->groups;
    s->p.image = image;
    s->shared = conv2d_shares(c);
    s->joined = a->groups > 1 && !s->shared ? join(a->groups, per) : 1;
    s->blocks = s->shared ? 1 : a->groups / s->joined;
    bool ok = plan_runs(s, c);
    s->p.m = s->shared ? c->out.shape.dim[2] * s->copy_w : c->out.shape.dim[2] * c->out.shape.dim[3] * (s->padded || s->banded ? 1 : c->out.shape.dim[0]);
    s->p.n = s->shared ? out_channels(c) : per * s->joined;
    s->p.k = s->shared || (s->banded && s->taps > 1) ? s->taps * s->run : group_in(c) * s->joined * w->shape.dim[2] * w->shape.dim[3];
    s->zeros = calloc((size_t)s->run, sizeof *s->zeros);
    ok = (ok && s->zeros) || status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution");
    if (ok && w->constant && !prep->sketch)
        ok = pack_groups(s, c, prep);
    else if (ok) {
        s->weight_bytes = w->constant || one_tap(c) ? 0 : ((size_t)(s->p.n * s->p.k) * sizeof(float) + 63) / 64 * 64;
        ok = product_prepare(&s->p, c, &a->e, s->taps, NULL, 1, s->p.k, prep);
    }
    if (a->e.gate && !s->p.v->left)
        s->row_bytes = lines(s->p.k * s->p.w.vecs * s->p.v->width + gemm_filled(s->p.v, s->p.n));
    prep->scratch += s->weight_bytes + s->copy_bytes + s->row_bytes * (size_t)pool_threads(c->pool);
    if (!ok)
        return release(s), false;
    prep->state = s;
    return true;
}

static bool prepare(const tg_call *c, tg_prep *prep) { return prepare_of(c, 0, prep); }
static bool prepare_halves(const tg_call *c, tg_prep *prep) { return prepare_of(c, pixels_out(c), prep); }

static const char *strassen_why_not(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const char *why = declines(c);
    if (!why && (!one_tap(c) || a->groups > 1 || any_layout(c) || a->e.gate))
        why = "not 1x1, or a gate";
    return why ? why : halves_declines(c, &a->e, pixels_out(c), out_channels(c), group_in(c));
}

static const char *halves_doubts(const tg_call *c) { return strassen_doubts(halves_rows(c, pixels_out(c)), out_channels(c), group_in(c)); }

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

struct copy { const float *x; const tg_call *c; const conv_state *s; float *to; };

void conv2d_interleave(const float *x, int64_t channel, int64_t pixel, int64_t channels, int64_t count, float *to)
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
        conv2d_interleave(x, t->stride[1], t->stride[3], channels, t->shape.dim[3], row + before);
    }
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
        struct copy k = { tg_at(x->data, x->dtype, n * x->stride[0]), c, s, copy };
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
        conv2d_run_shared(s, c, &g, (char *)copy);
        return;
    }
    if (s->banded) {
        conv2d_run_bands(s, c, &g, (char *)copy);
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
        g.own = (char *)copy;
        g.own_bytes = s->row_bytes;
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
    .op = "conv2d", .name = "cpu.conv2d", .declines = declines, .doubts = gate_doubts, .prefers = prefers, .prepare = prepare, .run = run,
    .apart = gemm_packs, .exact = exact, .release = release, .repack = true, .narrow = narrow
};

const tg_kernel kernel_conv2d_strassen = {
    .op = "conv2d", .name = "cpu.strassen", .declines = strassen_why_not, .doubts = halves_doubts, .prefers = prefers, .prepare = prepare_halves, .run = run,
    .release = release, .fewer = true, .repack = true
};
