/* conv2d_bands.c - convolutions of few channels or with few filters: each thread copies the bands of lines, as bfloat16, that it multiplies. */
#include <string.h>
#include "conv2d_copies.h"

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
bool conv2d_worth_bands(const tg_call *c)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    const gemm_vec *v = gemm_for(c->precision);
    const int64_t run = w->shape.dim[3] * w->shape.dim[1] * (one_run(c) ? w->shape.dim[2] : 1), n = w->shape.dim[0];
    const int64_t line = c->out.shape.dim[3] * (one_run(c) ? c->out.shape.dim[2] : 1);
    const double vain = (double)((run + v->deep - 1) / v->deep * v->deep * ((line + 15) / 16 * 16)) / (double)(run * line) - 1;
    if (!(any_layout(c) ? gemm_packs(c->precision) : gemm_narrow(c->precision)) || a->groups > 1 || a->dilation[1] > 1 || one_tap(c)
        || w->shape.dim[2] > MOST_TAPS || a->pad[0] < 0 || a->pad[1] < 0 || a->pad[2] < 0 || a->pad[3] < 0)
        return false;
    return any_layout(c) ? vain < 3 && line >= 8 : vain + .1 < 46. / (double)n;
}

/* Numbers of the copy that so many lines of results read. */
static int64_t read_by(const conv_state *s, const tg_call *c, int64_t count)
{
    const conv2d_attr *a = c->attr;
    const tg_tensor *w = &c->in[1];
    const int64_t ci = w->shape.dim[1], kh = w->shape.dim[2], kw = w->shape.dim[3];
    return one_run(c) ? count * c->out.shape.dim[3] * kh * kw * ci : ((count - 1) * a->stride[0] + (kh - 1) * a->dilation[0] + 1) * s->copy_w * ci;
}

/* As many lines as BAND has room for, or fewer, for all threads to have some; but rows enough for the weights to be worth reading. */
void conv2d_plan_bands(conv_state *s, const tg_call *c)
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

/* A line of pixels of few channels or for few filters, likewise; floats are put in order first, in `room`. */
static void bring_line(const conv_state *s, const tg_tensor *t, const void *x, uint16_t *to, int64_t rest, float *room)
{
    const int64_t channels = t->shape.dim[1], count = t->shape.dim[3];
    if (t->stride[1] == 1 || channels == 1)
        bring(s, t->dtype, x, channels, count, t->stride[3], to, rest);
    else if (channels == 3 && t->stride[3] == 1)
        s->p.v->triples(x, t->stride[1], count, to, rest);
    else {
        conv2d_interleave(x, t->stride[1], t->stride[3], channels, count, room);
        bring(s, TG_F32, room, channels, count, channels, to, rest);
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

void conv2d_run_bands(const conv_state *s, const tg_call *c, gemm *g, char *rooms)
{
    const conv2d_attr *a = c->attr;
    const int64_t size = sizeof(uint16_t), ci = c->in[0].shape.dim[1];
    struct bands d = { s, c, g, rooms };
    g->of = TG_BFLOAT;
    g->used = c->in[1].shape.dim[3] * ci * (one_run(c) ? c->in[1].shape.dim[2] : 1);
    g->tap = s->tap;
    g->pitch = (one_run(c) ? c->in[1].shape.dim[2] * c->in[1].shape.dim[3] : a->stride[1]) * ci * size;
    g->line_bytes = a->stride[0] * s->copy_w * ci * size;
    g->rest = s->plane;
    g->beyond = true;
    pool_run(c->pool, c->out.shape.dim[0] * divided(c->out.shape.dim[2], s->band), 1, copy_and_multiply, &d);
}
