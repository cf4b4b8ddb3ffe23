/* conv2d_grad_input_cpu.c - dx of a convolution as products: pixels of dy by packed weights.
 *
 * Pixels of dx at the same place between strides meet the same taps, each at a fixed distance in dy; each such phase is a
 * convolution of dy, and like the forward kernel its rows are pointers into dy, one per tap, to zeros where a tap falls
 * outside.  A phase that no tap meets is a product over no taps: zeros.
 */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "ops/conv2d_grad.h"
#include "packed_product.h"

enum { MOST_TAPS = 16, FEW_CHANNELS = 8 };

/* The taps that pixels s i + at meet along one axis: dy's place is i + move. */
typedef struct phase { int64_t size; int taps, tap[MOST_TAPS]; int64_t move[MOST_TAPS]; } phase;

typedef struct state {
    const gemm_vec *v;
    int vecs;
    int64_t in, out, kh, kw;                /* channels of a group */
    size_t packed, ordered, zeros;          /* bytes of scratch, in this order; then gemm's */
    int64_t image;                          /* product.image */
} state;

static const conv2d_attr *conv_of(const tg_call *c) { return &((const conv2d_grad_attr *)c->attr)->conv; }

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = conv_of(c);
    const tg_shape w = c->in[1].shape;
    if (!all_f32(c))
        return "not float";
    if (a->groups > 1 && w.dim[1] < FEW_CHANNELS)
        return "narrow groups";
    if (w.dim[2] > MOST_TAPS || w.dim[3] > MOST_TAPS)
        return "a big kernel";
    for (int i = 0; i < 2; i++) {
        const tg_tensor *t = i ? &c->out : &c->in[0];
        if (t->stride[1] != 1 && t->shape.dim[1] > 1)
            return "not channels-last";
    }
    return NULL;
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out)
{
    (void)c;
    if (in[0].stride[1] != 1)
        tg_channels_last(&in[0]);
    tg_channels_last(out);
}

static bool prepare_of(const tg_call *c, int64_t image, tg_prep *prep)
{
    const tg_shape w = c->in[1].shape, x = c->out.shape;
    int64_t pixels = x.dim[0] * x.dim[2] * x.dim[3] / conv_of(c)->stride[0] / conv_of(c)->stride[1];
    state *s = malloc(sizeof *s);
    if (!s)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a convolution's gradient");
    *s = (state){ .v = gemm_for(c->precision), .in = w.dim[1], .out = w.dim[0] / conv_of(c)->groups, .kh = w.dim[2], .kw = w.dim[3] };
    s->image = image;
    s->vecs = image ? strassen_vecs(s->v->width, s->v->rows, s->in) : gemm_panel(s->v, pixels < 2 ? 2 : pixels, s->in, s->kh * s->kw, s->out);
    s->packed = lines(conv_of(c)->groups * gemm_packed(s->v, s->out * s->kh * s->kw, s->in));
    s->ordered = s->v->left ? lines(w.dim[0] * w.dim[1] * w.dim[2] * w.dim[3]) : 0;
    s->zeros = lines(s->out);
    const size_t direct = gemm_scratch(s->v, s->vecs, s->kh * s->kw, s->out, pool_threads(c->pool));
    const size_t more = image ? strassen_scratch(s->v, s->vecs, s->out, s->in, pool_threads(c->pool)) : 0;
    prep->scratch = s->packed + s->ordered + s->zeros + (direct > more ? direct : more);
    prep->state = s;
    return true;
}

static int64_t pixels_in(const tg_call *c) { return c->out.shape.dim[2] * c->out.shape.dim[3]; }         /* of an image */
static bool prepare(const tg_call *c, tg_prep *prep) { return prepare_of(c, 0, prep); }
static bool prepare_halves(const tg_call *c, tg_prep *prep) { return prepare_of(c, pixels_in(c), prep); }

/* Of stride 1, all pixels are one product. */
static const char *strassen_why_not(const tg_call *c)
{
    const conv2d_attr *a = conv_of(c);
    const tg_shape w = c->in[1].shape;
    const char *why = declines(c);
    if (!why && (w.dim[2] > 1 || w.dim[3] > 1 || a->groups > 1 || a->stride[0] > 1 || a->stride[1] > 1))
        why = "not 1x1 of stride 1";
    return why ? why : halves_declines(c, &a->e, pixels_in(c), w.dim[1], w.dim[0]);
}

static const char *doubts(const tg_call *c) { return strassen_doubts(halves_rows(c, pixels_in(c)), c->in[1].shape.dim[1], c->in[1].shape.dim[0]); }

static phase phase_of(const tg_call *c, int axis, int64_t at)
{
    const conv2d_attr *a = conv_of(c);
    const int64_t s = a->stride[axis], n = c->out.shape.dim[2 + axis];
    phase p = { .size = at < n ? (n - at + s - 1) / s : 0 };
    for (int k = 0; k < c->in[1].shape.dim[2 + axis]; k++) {
        int64_t move = at + a->pad[axis] - k * a->dilation[axis];
        if (move % s)
            continue;
        p.tap[p.taps] = k;
        p.move[p.taps++] = move / s;
    }
    return p;
}

/* -- weights: of one phase after the other [group][panel][tap][o][column] -------------------------------------------- */

/* Rounded, they are ordered first, all columns a panel, and packed then. */
typedef struct packing { const tg_call *c; const state *s; phase y, x; int64_t panel, filled; float *to, *packed; } packing;

/* Channels [from, to) of dy. */
static void pack_weights(void *arg, int64_t from, int64_t to)
{
    const packing *p = arg;
    const state *s = p->s;
    const tg_tensor *w = &p->c->in[1];
    const int64_t taps = p->y.taps * p->x.taps;
    for (int64_t i = from; i < to; i++)
        for (int64_t first = 0; first < s->in; first += p->panel) {
            int64_t width = p->filled - first < p->panel ? p->filled - first : p->panel;
            int64_t columns = s->in - first < width ? s->in - first : width;
            float *at = p->to + taps * s->out * (i / s->out * p->filled + first) + i % s->out * width;
            for (int64_t t = 0; t < taps; t++, at += s->out * width) {
                const float *tap = (const float *)w->data + i * w->stride[0] + first * w->stride[1]
                                   + p->y.tap[t / p->x.taps] * w->stride[2] + p->x.tap[t % p->x.taps] * w->stride[3];
                for (int64_t j = 0; j < columns; j++)
                    at[j] = tap[j * w->stride[1]];
                for (int64_t j = columns; j < width; j++)
                    at[j] = 0;
            }
        }
}

/* Panels [from, to) of all groups. */
static void pack_ordered(void *arg, int64_t from, int64_t to)
{
    const packing *p = arg;
    const state *s = p->s;
    const int64_t k = p->y.taps * p->x.taps * s->out, panel = s->vecs * s->v->width, panels = (s->in + panel - 1) / panel;
    for (int64_t i = from; i < to; i++) {
        int64_t first = i % panels * panel, columns = s->in - first < panel ? s->in - first : panel;
        s->v->pack(p->to + i / panels * k * s->in + first, k, columns, s->in, 1, (int)panel,
                   p->packed + i / panels * gemm_packed(s->v, k, s->in) + gemm_packed(s->v, k, first));
    }
}

static void pack_phase(const packing *p)
{
    const state *s = p->s;
    const int64_t groups = conv_of(p->c)->groups, panel = s->vecs * s->v->width;
    pool_run(p->c->pool, groups * s->out, 1, pack_weights, (void *)(uintptr_t)p);
    if (s->v->left)
        pool_run(p->c->pool, groups * ((s->in + panel - 1) / panel), 1, pack_ordered, (void *)(uintptr_t)p);
}

/* -- rows ---------------------------------------------------------------------------------------------------------- */

struct image { const char *dy, *zeros; int64_t stride[3], h, w; phase y, x; };           /* strides in bytes */

static void rows(const void *ctx, int64_t from, int count, const void **row)
{
    const struct image *m = ctx;
    int64_t x = from % m->x.size, y = from / m->x.size % m->y.size, n = from / m->x.size / m->y.size;
    for (int i = 0; i < count; i++) {
        const char *image = m->dy + n * m->stride[0];
        const void **p = row + i;
        for (int k = 0; k < m->y.taps; k++) {
            int64_t r = y + m->y.move[k];
            for (int l = 0; l < m->x.taps; l++, p += count) {
                int64_t q = x + m->x.move[l];
                *p = r >= 0 && r < m->h && q >= 0 && q < m->w ? image + r * m->stride[1] + q * m->stride[2] : m->zeros;
            }
        }
        if (++x == m->x.size) {
            x = 0;
            if (++y == m->y.size)
                y = 0, n++;
        }
    }
}

static void run_phase(const tg_call *c, int at_y, int at_x)
{
    const state *s = c->state;
    const conv2d_attr *a = conv_of(c);
    const tg_tensor *dy = &c->in[0], *dx = &c->out;
    char *room = c->scratch;
    packing p = { c, s, phase_of(c, 0, at_y), phase_of(c, 1, at_x), s->vecs * s->v->width, gemm_filled(s->v, s->in), c->scratch,
                  c->scratch };
    const int64_t size = tg_size(dy->dtype);
    struct image m = { dy->data, room + s->packed + s->ordered, { dy->stride[0] * size, dy->stride[2] * size, dy->stride[3] * size },
                       dy->shape.dim[2], dy->shape.dim[3], p.y, p.x };
    rowmap pixel = rowmap_nhw(dy);
    struct gemm_rows lines_of_dy = { dy->data, pixel.rank ? pixel.stride[0] : 0, dy->dtype };
    gemm g = { .v = s->v, .m = dx->shape.dim[0] * p.y.size * p.x.size, .n = s->in, .taps = p.y.taps * p.x.taps,
               .run = s->out, .vecs = s->vecs, .b = c->scratch, .rows = rows, .ctx = &m, .scratch = room + s->packed + s->ordered + s->zeros,
               .image = s->image, .of = dy->dtype, .out_of = dx->dtype, .out = tg_at(dx->data, dx->dtype, at_y * dx->stride[2] + at_x * dx->stride[3]) };
    bool pointwise = s->kh == 1 && s->kw == 1 && dy->shape.dim[2] == p.y.size && dy->shape.dim[3] == p.x.size
                     && !p.y.move[0] && !p.x.move[0] && g.taps && pixel.rank <= 1;

    if (!g.m)
        return;
    if (pointwise) {
        g.rows = gemm_rows;
        g.ctx = &lines_of_dy;
    }
    tg_tensor to = *dx;
    to.shape.dim[2] = p.y.size, to.stride[2] *= a->stride[0];
    to.shape.dim[3] = p.x.size, to.stride[3] *= a->stride[1];
    g.out_rows = rowmap_nhw(&to);
    if (s->v->left) {
        p.panel = p.filled = s->in;
        p.to = (float *)(void *)(room + s->packed);
    }
    pack_phase(&p);
    for (int i = 0; i < a->groups; i++) {
        if (pointwise)
            product_direct(&g, lines_of_dy.x, lines_of_dy.stride);
        gemm_run(&g, c->pool);
        g.b += gemm_packed(s->v, g.taps * s->out, s->in);
        g.out = tg_at(g.out, g.out_of, s->in);
        m.dy += s->out * size;
        lines_of_dy.x = tg_at(lines_of_dy.x, dy->dtype, s->out);
    }
}

static void run(const tg_call *c)
{
    const state *s = c->state;
    memset((char *)c->scratch + s->packed + s->ordered, 0, s->zeros);
    for (int i = 0; i < conv_of(c)->stride[0]; i++)
        for (int j = 0; j < conv_of(c)->stride[1]; j++)
            run_phase(c, i, j);
}

static void release(void *s) { free(s); }

static unsigned narrow(const tg_call *c) { return gemm_narrow(c->precision) ? NARROW_RESULT | 1 : 0; }

static bool exact(const tg_call *c)
{
    const tg_shape w = c->in[1].shape;
    return conv_of(c)->groups == 1 && w.dim[2] * w.dim[3] == 1 && product_exact(c->precision, w.dim[0], w.dim[1]);
}

const tg_kernel kernel_conv2d_grad_input = {
    .op = "conv2d_grad_input", .name = "cpu.conv2d_grad_input", .declines = declines, .prefers = prefers,
    .prepare = prepare, .run = run, .exact = exact, .release = release, .narrow = narrow,
};

const tg_kernel kernel_strassen_grad_input = {
    .op = "conv2d_grad_input", .name = "cpu.strassen_grad_input", .declines = strassen_why_not, .doubts = doubts, .prefers = prefers,
    .prepare = prepare_halves, .run = run, .release = release, .fewer = true
};
