/* plan.c - walks the rewritten graphs once and writes down kernel calls; then gives every result its place in the arena. */
#include "plan_in.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/pages.h"
#include "base/room.h"
#include "ops/op.h"

enum { IS_OUTPUT = 2 };                             /* tg.mark while steps are written down */
enum { ROOT_CONST = INT32_MIN };                    /* other roots: a buffer from 0 up, or -1 - number of an input */

typedef struct place { int root; int64_t offset; } place;         /* offset in elements */
/* What lies elsewhere in each slice: in an input, or at base in the arena, of the whole batch or of a lot of it; offset and image, from one
 * image to the next, in elements. */
typedef struct patch { tg_tensor *tensor; int input; char *base; int64_t offset, image; bool whole; } patch;
/* Its steps, its patches; images at a time, 0: all that there is, once. */
typedef struct stretch { int first, last, patches, patches_last; int64_t images; } stretch;

struct plan {
    plan_step *step;
    place **from;                                   /* from[i][k]: operand k of step i; the result follows the operands */
    int steps, room;
    stretch *stretch;
    int stretches;
    int64_t lot;                                    /* images that go through all stretches before others do: the most at a time */
    int64_t input_image;                            /* numbers of an image of input 0, where there are slices */
    constant *kept;                                 /* constants that steps use as they are */
    int n_kept, kept_room;
    buffer *buf;
    int bufs, buf_room;
    patch *patch;
    int patches;
    tg_tensor *output;
    place *output_place;
    int *output_ready;                              /* steps until it is there */
    int outputs;
    char *arena;
    size_t arena_bytes, state_bytes;
    int64_t macs, activations;
    int nodes;
    bool profile;
    plan_opts o;
    status *st;
};

typedef struct value { tg_tensor t; place p; } value;              /* of a node */

static bool grown(void **array, int count, int *room, size_t size, status *st)
{
    if (count < *room)
        return true;
    int want = *room ? *room * 2 : 64;
    void *more = realloc(*array, (size_t)want * size);
    if (!more)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for a plan");
    *array = more;
    *room = want;
    return true;
}

static int new_buffer(plan *p, tg_shape shape)
{
    if (!grown((void **)&p->buf, p->bufs, &p->buf_room, sizeof *p->buf, p->st))
        return -1;
    size_t bytes = (size_t)tg_numel(shape) * sizeof(float);
    p->buf[p->bufs] = (buffer){ .bytes = bytes ? bytes : 1, .first = p->steps, .last = p->steps };
    return p->bufs++;
}

static bool room_for_step(plan *p)
{
    int room = p->room;
    if (!grown((void **)&p->step, p->steps, &p->room, sizeof *p->step, p->st))
        return false;
    if (room == p->room)
        return true;
    place **more = realloc(p->from, (size_t)p->room * sizeof *more);
    if (!more)
        return status_fail(p->st, TIMM_NO_MEMORY, "out of memory for a plan");
    p->from = more;
    return true;
}

static int64_t parts_of(int64_t all, int64_t part) { return (all + part - 1) / part; }

/* Where part k begins.  Of what is no multiple of the part, the last one begins early, and some images are computed once more. */
static int64_t part_from(int64_t all, int64_t part, int64_t k) { return k * part < all - part ? k * part : all - part; }

static int64_t macs_of(const tg *x)
{
    tg_shape in[64];
    if (!x->op->macs || x->n_in > 64)
        return 0;
    for (int k = 0; k < x->n_in; k++)
        in[k] = x->in[k]->shape;
    return x->op->macs(in, x->n_in, x->shape, x->attr);
}

/* The step's operands lie in in[] and from[]; its result gets a buffer. */
static plan_step *new_step(plan *p, const tg_op *op, const void *attr, int n_in, tg_shape shape, const char *where)
{
    if (!room_for_step(p))
        return NULL;
    plan_step s = { .in = calloc((size_t)n_in + 1, sizeof(tg_tensor)), .where = strdup(where), .shape = shape };
    place *from = calloc((size_t)n_in + 1, sizeof *from);
    void *copy = op->attr_size ? malloc(op->attr_size) : NULL;
    if (!s.in || !from || !s.where || (op->attr_size && !copy)) {
        free(s.in);
        free(from);
        free(copy);
        free((void *)(uintptr_t)s.where);
        return status_fail(p->st, TIMM_NO_MEMORY, "out of memory for a plan"), NULL;
    }
    if (copy)
        memcpy(copy, attr, op->attr_size);
    s.call = (tg_call){ .op = op, .attr = copy, .in = s.in, .n_in = n_in, .out = { .shape = shape }, .precision = p->o.precision,
                        .slice = p->o.slice, .batch = p->o.batch, .pool = p->o.pool };
    s.slices = p->o.slice ? parts_of(p->o.batch, p->lot) * parts_of(p->lot, p->o.slice) : 1;
    p->step[p->steps] = s;
    p->from[p->steps] = from;
    return &p->step[p->steps];
}

/* Appends the last step made, whose kernel is chosen. */
static void finish_step(plan *p, const choice *c, int buf)
{
    plan_step *s = &p->step[p->steps];
    place *from = p->from[p->steps];
    s->kernel = c->kernel;
    s->call.state = c->prep.state;
    s->state_bytes = c->prep.state_bytes;
    s->call.scratch = (void *)c->prep.scratch;       /* a size until the arena exists */
    p->state_bytes += c->prep.state_bytes;
    from[s->call.n_in] = (place){ .root = buf };
    for (int k = 0; k < s->call.n_in; k++)
        if (from[k].root >= 0)
            p->buf[from[k].root].last = p->steps;
    p->steps++;
}

static void free_step(plan_step *s, place *from)
{
    if (s->kernel && s->kernel->release)
        s->kernel->release(s->call.state);
    free(s->in);
    free((void *)(uintptr_t)s->call.attr);
    free((void *)(uintptr_t)s->where);
    free(from);
}

/* A copy of v with the strides of `like`. */
static bool copy_as(plan *p, const value *v, const tg_tensor *like, const char *where, value *out)
{
    plan_step *s = new_step(p, &op_copy, NULL, 1, v->t.shape, where);
    if (!s)
        return false;
    s->in[0] = v->t;
    p->from[p->steps][0] = v->p;
    s->call.out = *like;
    s->call.out.data = NULL;
    s->call.out.constant = false;
    choice c;
    if (!choose_kernel(&p->o, &s->call, s->in, false, where, &c, p->st))
        return free_step(s, p->from[p->steps]), false;
    int buf = new_buffer(p, v->t.shape);
    if (buf < 0)
        return free_step(s, p->from[p->steps]), false;
    *out = (value){ .t = s->call.out, .p = { .root = buf } };
    finish_step(p, &c, buf);
    return true;
}

/* Some numbers stand for several: their order in memory says nothing of the result's. */
static bool repeats(const tg_tensor *t)
{
    for (int a = 0; a < t->shape.rank; a++)
        if (t->shape.dim[a] > 1 && t->stride[a] == 0)
            return true;
    return false;
}

/* Strides of a result before any kernel has a say. */
static void first_strides(const tg *x, const tg_tensor *in, tg_tensor *out)
{
    if ((x->op->flags & TG_SPATIAL) && out->shape.rank == 4) {
        tg_channels_last(out);
        return;
    }
    int like = 0;                                    /* the first operand of the result's size, else the first */
    for (int k = 0; k < x->n_in; k++)
        if (!in[k].constant && tg_same(in[k].shape, out->shape) && !repeats(&in[k])) {
            like = k;
            break;
        }
    plan_order_strides(out, &in[like]);
    if (!strcmp(x->op->name, "linear") && out->stride[out->shape.rank - 1] != 1)
        tg_dense(out);
}

static bool keep(plan *p, constant c)
{
    if (!grown((void **)&p->kept, p->n_kept, &p->kept_room, sizeof *p->kept, p->st))
        return constant_done(&p->o, &c), false;
    p->kept[p->n_kept++] = c;
    return true;
}

/* The constants of a step: those its kernel packed may go, the others stay as long as the plan. */
static bool settle_constants(plan *p, constant *c, int n, unsigned consumed)
{
    bool ok = true;
    for (int k = 0; k < n; k++)
        if (c[k].data && k < 32 && (consumed >> k & 1))
            constant_done(&p->o, &c[k]);
        else if (c[k].data)
            ok = keep(p, c[k]) && ok;
    return ok;
}

static bool add_step(plan *p, tg *x, value *values)
{
    constant c[64] = { 0 };
    tg_tensor given[64];
    int n = x->n_in;
    if (n > 64)
        return status_fail(p->st, TIMM_UNSUPPORTED, "%s of %d operands in %s", x->op->name, n, x->where);
    plan_step *s = new_step(p, x->op, x->attr, n, x->shape, x->where);
    if (!s)
        return false;
    place *from = p->from[p->steps];
    bool ok = true;
    for (int k = 0; k < n && ok; k++) {
        tg *in = x->in[k];
        if (in->constant) {
            ok = constant_eval(&p->o, in, &c[k], p->st);
            s->in[k] = (tg_tensor){ .data = (void *)(uintptr_t)c[k].data, .shape = in->shape, .constant = true };
            tg_dense(&s->in[k]);
            from[k].root = ROOT_CONST;
        } else {
            s->in[k] = values[in->id].t;
            from[k] = values[in->id].p;
        }
        given[k] = s->in[k];
    }
    choice chosen = { 0 };
    if (ok) {
        first_strides(x, s->in, &s->call.out);
        ok = choose_kernel(&p->o, &s->call, s->in, true, x->where, &chosen, p->st);
    }
    if (!ok) {
        for (int k = 0; k < n; k++)
            constant_done(&p->o, &c[k]);
        free_step(s, from);
        return false;
    }
    ok = settle_constants(p, c, n, chosen.prep.consumed);
    s->macs = macs_of(x);
    /* Operands whose strides the kernel wants otherwise are copied first: their steps stand before this one. */
    plan_step mine = *s;
    for (int k = 0; k < n && ok; k++) {
        if (!memcmp(given[k].stride, mine.in[k].stride, sizeof given[k].stride) || from[k].root == ROOT_CONST)
            continue;
        value src = { .t = given[k], .p = from[k] }, made;
        tg_tensor like = mine.in[k];
        ok = copy_as(p, &src, &like, x->where, &made);
        if (ok)
            from[k] = made.p;
    }
    int buf = ok && room_for_step(p) ? new_buffer(p, x->shape) : -1;
    if (buf < 0) {
        mine.kernel = chosen.kernel;
        mine.call.state = chosen.prep.state;
        free_step(&mine, from);
        return false;
    }
    p->step[p->steps] = mine;
    p->from[p->steps] = from;
    values[x->id] = (value){ .t = mine.call.out, .p = { .root = buf } };
    finish_step(p, &chosen, buf);
    return true;
}

static bool as_view(const tg *x, value *values)
{
    value v = { .t = { .shape = x->shape } };
    int64_t offset = 0;
    const value *in = &values[x->in[0]->id];
    if (!(x->op->flags & TG_VIEW) || !x->op->view || x->in[0]->constant || !x->op->view(&in->t, x->attr, &v.t, &offset))
        return false;
    v.p = (place){ .root = in->p.root, .offset = in->p.offset + offset };
    values[x->id] = v;
    return true;
}

/* The buffer will hold all images, of the lot or the batch, and slices of them are computed one after the other. */
static void gather(plan *p, int root, int64_t all)
{
    buffer *b = &p->buf[root];
    if (!p->o.slice)
        return;
    b->image = (int64_t)(b->bytes / sizeof(float)) / p->o.slice;
    b->bytes = b->bytes / (size_t)p->o.slice * (size_t)all;
    b->first = all > p->lot ? 0 : p->stretch[p->stretches].first;
}

/* A buffer of its own, not gathered yet, in any order of axes but images one after the other. */
static bool fills_buffer(const plan *p, const value *v)
{
    tg_tensor ordered = { .shape = v->t.shape };
    if (v->p.root < 0 || v->p.offset)
        return false;
    if (p->o.slice && (p->buf[v->p.root].image || p->buf[v->p.root].bytes != (size_t)tg_numel(v->t.shape) * sizeof(float)))
        return false;
    plan_order_strides(&ordered, &v->t);
    for (int a = 0; a < ordered.shape.rank; a++)
        if (ordered.shape.dim[a] > 1 && (ordered.stride[a] != v->t.stride[a] || (a && ordered.stride[0] < ordered.stride[a])))
            return false;
    return true;
}

/* What a stretch leaves for the next. */
static bool leave(plan *p, value v, value *left)
{
    if (!fills_buffer(p, &v)) {
        tg_tensor like = { .shape = v.t.shape };
        tg_dense(&like);
        if (!copy_as(p, &v, &like, "stretch", &v))
            return false;
    }
    gather(p, v.p.root, p->lot);
    *left = v;
    return true;
}

/* The value of node x into the places of the outputs that it is: a copy, if it is no dense buffer of its own.  At once, so
 * that what it was a part of may go. */
static bool add_output(plan *p, tg *const *outputs, int n, tg *x, value v)
{
    if (x->constant) {
        constant c;
        if (!constant_eval(&p->o, x, &c, p->st) || !keep(p, c))
            return false;
        v = (value){ .t = { .data = (void *)(uintptr_t)c.data, .shape = x->shape, .constant = true },
                     .p = { .root = ROOT_CONST } };
        tg_dense(&v.t);
    }
    if (!tg_is_dense(&v.t) || !fills_buffer(p, &v)) {
        tg_tensor like = { .shape = v.t.shape };
        tg_dense(&like);
        if (!copy_as(p, &v, &like, "output", &v))
            return false;
    }
    gather(p, v.p.root, p->o.batch);
    if (p->o.slice)
        v.t.shape.dim[0] = p->o.batch;
    tg_dense(&v.t);
    for (int i = 0; i < n; i++)
        if (outputs[i] == x) {
            p->output[i] = v.t;
            p->output_place[i] = v.p;
            p->output_ready[i] = p->steps;
        }
    return true;
}

/* -- memory ---------------------------------------------------------------------------------------------------------------- */

static unsigned narrow_in(const plan_step *s) { return s->kernel && s->kernel->narrow ? s->kernel->narrow(&s->call) : 0; }

/* Operand k, or the result that follows them; result: NARROW_RESULT, and NARROW_SUM where weights are constant. */
static bool narrow_can(const plan_step *s, int k, unsigned result)
{
    const unsigned can = narrow_in(s);
    return k == s->call.n_in ? can & result : k < NARROW_OPERANDS && can >> k & 1;
}

static bool weights_change(const plan *p)
{
    for (int i = 0; i < p->steps; i++)
        if ((p->step[i].call.op == &op_conv2d || p->step[i].call.op == &op_linear) && !p->step[i].call.in[1].constant)
            return true;
    return false;
}

/* Results that every kernel which touches them can hold as bfloat16 lie so in memory, where products round them anyway. */
static void narrow_results(plan *p)
{
    const unsigned result = weights_change(p) ? NARROW_RESULT : NARROW_RESULT | NARROW_SUM;
    bool *wide = calloc((size_t)p->bufs + 1, sizeof *wide);
    if (!wide)
        return;                                                   /* only time is lost */
    for (int i = 0; i < p->outputs; i++)
        if (p->output_place[i].root >= 0)
            wide[p->output_place[i].root] = true;
    for (int i = 0; i < p->steps; i++)
        for (int k = 0; k <= p->step[i].call.n_in; k++)
            if (p->from[i][k].root >= 0 && !narrow_can(&p->step[i], k, result))
                wide[p->from[i][k].root] = true;
    for (bool more = true; more;) {                               /* what must be alike is as wide as its widest */
        more = false;
        for (int i = 0; i < p->steps; i++) {
            const place *from = p->from[i];
            const int n = p->step[i].call.n_in;
            bool any = false;
            for (int k = 0; k <= n; k++)
                any = any || (narrow_can(&p->step[i], k, result) && (from[k].root < 0 || wide[from[k].root]));
            for (int k = 0; k <= n && any && narrow_in(&p->step[i]) & NARROW_ALIKE; k++)
                if (from[k].root >= 0 && !wide[from[k].root])
                    more = wide[from[k].root] = true;
        }
    }
    for (int i = 0; i < p->steps; i++) {
        const int n = p->step[i].call.n_in;
        for (int k = 0; k <= n; k++) {
            const int root = p->from[i][k].root;
            tg_tensor *t = k < n ? &p->step[i].in[k] : &p->step[i].call.out;
            if (root >= 0 && !wide[root])
                t->dtype = TG_BFLOAT;
            if (root >= 0 && !wide[root] && k == n)
                p->buf[root].bytes /= 2;
        }
    }
    free(wide);
}

static bool same_memory(const tg_tensor *a, const tg_tensor *b)
{
    return a->dtype == b->dtype && tg_same(a->shape, b->shape) && !memcmp(a->stride, b->stride, sizeof a->stride);
}

/* The operand that dies with a step and that its result may write over, or -1: the first, or of an elementwise op any.  No other
 * operand may lie in its buffer, nor other slices. */
static int dying_operand(const plan *p, int step)
{
    const plan_step *s = &p->step[step];
    const place *from = p->from[step];
    const int n = s->call.n_in, most = s->call.op->flags & TG_ELEMENTWISE ? n : 1;
    for (int k = 0; k < most && s->call.op->flags & TG_INPLACE; k++) {
        bool fits = from[k].root >= 0 && !from[k].offset && p->buf[from[k].root].last == step && same_memory(&s->in[k], &s->call.out)
                    && p->buf[from[k].root].bytes == p->buf[from[n].root].bytes && !p->buf[from[k].root].image && !p->buf[from[n].root].image;
        for (int i = 0; i < n; i++)
            fits = fits && (i == k || from[i].root != from[k].root);
        if (fits)
            return k;
    }
    return -1;
}

/* A step whose operand dies with it writes over it: its result takes the operand's buffer. */
static void merge_in_place(plan *p)
{
    int *now = malloc(((size_t)p->bufs + 1) * sizeof *now);       /* the buffer that stands for b */
    if (!now)
        return;                                                   /* only memory is lost */
    for (int b = 0; b < p->bufs; b++)
        now[b] = b;
    for (int i = 0; i < p->steps; i++) {
        const int n = p->step[i].call.n_in;
        place *from = p->from[i];
        for (int k = 0; k <= n; k++)
            if (from[k].root >= 0)
                from[k].root = now[from[k].root];
        const int k = dying_operand(p, i);
        if (k < 0)
            continue;
        int gone = from[n].root, kept = from[k].root;
        p->buf[kept].last = p->buf[gone].last;
        p->buf[gone].bytes = 0;
        p->buf[gone].first = p->buf[gone].last = -1;
        now[gone] = kept;
        from[n].root = kept;
    }
    for (int i = 0; i < p->outputs; i++)
        p->output_place[i].root = now[p->output_place[i].root];
    free(now);
}

/* What lies there is found anew for each slice. */
static bool moves(const plan *p, int root) { return root >= 0 ? p->buf[root].image != 0 : root != ROOT_CONST; }

/* Where a step's operands and its result lie; those that move are written down, and counted. */
static int place_operands(plan *p, int step, const stretch *s, patch *out)
{
    tg_call *c = &p->step[step].call;
    int n = 0;
    for (int k = 0; k <= c->n_in; k++) {
        const place at = p->from[step][k];
        tg_tensor *t = k < c->n_in ? &p->step[step].in[k] : &c->out;
        char *base = at.root >= 0 ? p->arena + p->buf[at.root].offset : NULL;
        if (base)
            t->data = tg_at(base, t->dtype, at.offset);
        if (moves(p, at.root))
            out[n++] = (patch){ .tensor = t, .base = base, .input = base ? -1 : -1 - at.root, .offset = at.offset,
                                .image = base ? p->buf[at.root].image : s->images ? p->input_image : 0,
                                .whole = !base || p->buf[at.root].last == p->steps };
    }
    return n;
}

static bool place_buffers(plan *p)
{
    if (p->o.precision == TG_BF16 && !(p->o.without >> PASS_NARROW & 1))
        narrow_results(p);
    if (!(p->o.without >> PASS_INPLACE & 1))
        merge_in_place(p);
    size_t need = plan_memory(p->buf, p->bufs, p->st), scratch = 0, patches = 0;
    if (need == SIZE_MAX)
        return false;
    for (int i = 0; i < p->steps; i++) {
        if ((size_t)p->step[i].call.scratch > scratch)
            scratch = (size_t)p->step[i].call.scratch;
        for (int k = 0; k <= p->step[i].call.n_in; k++)
            patches += moves(p, p->from[i][k].root);
    }
    p->arena_bytes = need + (scratch + 63) / 64 * 64;
    if (p->o.sketch)
        return true;
    p->arena = pages_alloc(p->arena_bytes);
    p->patch = calloc(patches + 1, sizeof *p->patch);
    if (!p->arena || !p->patch)
        return status_fail(p->st, TIMM_NO_MEMORY, "out of memory for the %zu bytes that a run needs", p->arena_bytes);
    int n = 0;
    for (int j = 0; j < p->stretches; j++) {
        stretch *s = &p->stretch[j];
        s->patches = n;
        for (int i = s->first; i < s->last; i++)
            n += place_operands(p, i, s, &p->patch[n]);
        s->patches_last = n;
    }
    for (int i = 0; i < p->steps; i++)
        p->step[i].call.scratch = p->arena + need;
    for (int i = 0; i < p->outputs; i++)
        p->output[i].data = p->arena + p->buf[p->output_place[i].root].offset;
    return true;
}

/* -- making, running, telling ------------------------------------------------------------------------------------------------ */

static void count_work(plan *p, tg **order, int count)
{
    const int64_t one = p->o.slice ? p->o.slice : 1, all = p->o.slice ? p->o.batch : 1;
    for (int i = 0; i < count; i++) {
        const tg *x = order[i];
        if (!x->op->macs || x->constant)
            continue;
        p->macs += macs_of(x) / one * all;
        p->activations += tg_numel(x->shape) / one * all;
    }
}

static bool rewritten(plan *p, tg_graph *g, tg **outputs, int n)
{
    static bool (*const pass[])(tg_graph *, tg **, int, const plan_opts *, status *) = {
        [PASS_FUSE] = plan_rewrite, [PASS_EXPAND] = plan_fuse_expand, [PASS_GATE] = plan_fuse_gate,
        [PASS_SHORTCUT] = plan_fuse_shortcut, [PASS_POINTWISE] = plan_fuse_pointwise,
        [PASS_DOTS] = plan_fuse_dots, [PASS_RECOMPUTE] = plan_recompute,
    };
    for (unsigned i = 0; i < sizeof pass / sizeof *pass; i++)
        if (!(p->o.without >> i & 1) && !pass[i](g, outputs, n, &p->o, p->st))
            return false;
    return true;
}

/* Steps of one stretch after those before it, which left what `left` says; it says then what this one leaves. */
static bool add_stretch(plan *p, const plan_stretch *from, tg **outputs, bool last, value *left)
{
    tg_graph *g = from->graph;
    const int n = from->n_outputs;
    int count;
    tg **order = tg_order(g, outputs, n, &count);
    if (!order || !status_ok(p->st))
        return false;
    for (int i = 0; i < count; i++)
        if (order[i]->poisoned)
            return status_fail(p->st, TIMM_INTERNAL, "%s in %s is poisoned without a message", order[i]->op->name, order[i]->where);
    p->o.slice = from->images;
    count_work(p, order, count);
    if (!rewritten(p, g, outputs, n) || !(order = tg_order(g, outputs, n, &count)))
        return false;
    p->nodes += count;
    value *values = calloc((size_t)g->count + 1, sizeof *values);
    bool ok = values || status_fail(p->st, TIMM_NO_MEMORY, "out of memory for a plan of %d nodes", g->count);
    stretch *s = &p->stretch[p->stretches];
    *s = (stretch){ .first = p->steps, .images = from->images };
    const int begins = left->p.root;
    for (int i = 0; i < n; i++)
        outputs[i]->mark = IS_OUTPUT;
    for (int i = 0; i < count && ok; i++) {
        tg *x = order[i];
        if (!x->constant && (x->op->flags & TG_LEAF) && p->stretches) {
            values[x->id] = *left;
            values[x->id].t.shape = x->shape;
        } else if (!x->constant && (x->op->flags & TG_LEAF)) {
            values[x->id] = (value){ .t = { .shape = x->shape }, .p = { .root = -1 - x->input } };
            tg_dense(&values[x->id].t);
            p->input_image = from->images ? tg_numel(x->shape) / from->images : 0;
        } else if (!x->constant && !as_view(x, values)) {
            ok = add_step(p, x, values);
        }
        if (ok && x->mark == IS_OUTPUT)
            ok = last ? add_output(p, outputs, n, x, values[x->id]) : leave(p, values[x->id], left);
    }
    free(values);
    if (p->stretches && p->buf[begins].last < p->steps)
        p->buf[begins].last = p->steps - 1;                       /* until its last slice is read */
    s->last = p->steps;
    p->stretches++;
    return ok;
}

static bool build(plan *p, const plan_stretch *s, int n)
{
    const int outputs = s[n - 1].n_outputs;
    tg **out = malloc(((size_t)outputs + 1) * sizeof *out);
    value left = { 0 };
    p->outputs = outputs;
    p->stretch = calloc((size_t)n, sizeof *p->stretch);
    p->output = calloc((size_t)outputs + 1, sizeof *p->output);
    p->output_place = calloc((size_t)outputs + 1, sizeof *p->output_place);
    p->output_ready = calloc((size_t)outputs + 1, sizeof *p->output_ready);
    bool ok = (out && p->stretch && p->output && p->output_place && p->output_ready) || status_fail(p->st, TIMM_NO_MEMORY, "out of memory for a plan");
    for (int i = 0; i < n; i++)
        p->lot = s[i].images > p->lot ? s[i].images : p->lot;
    for (int i = 0; i < n && ok; i++) {
        memcpy(out, s[i].outputs, (size_t)s[i].n_outputs * sizeof *out);
        ok = add_stretch(p, &s[i], out, i == n - 1, &left);
    }
    free(out);
    for (int i = 0; i < outputs && ok; i++)
        p->buf[p->output_place[i].root].last = p->steps;          /* one past the last step: read after the run */
    return ok && place_buffers(p);
}

tg_precision plan_possible(const tg_backend *const *backends, tg_precision p)
{
    for (int b = 0; backends[b]; b++)
        for (size_t i = 0; i < backends[b]->count; i++)
            if (backends[b]->kernels[i].apart && backends[b]->kernels[i].apart(p))
                return p;
    return TG_FP32;
}

plan *plan_make_of(const plan_stretch *s, int n, const plan_opts *o, status *st)
{
    plan *p = calloc(1, sizeof *p);
    if (!p) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a plan");
        return NULL;
    }
    p->o = *o;
    p->o.precision = plan_possible(o->backends, o->precision);
    p->st = st;
    room_keep_begin();
    bool ok = build(p, s, n);
    room_keep_end();
    if (ok)
        return p;
    plan_free(p);
    return NULL;
}

plan *plan_make(tg_graph *g, tg *const *outputs, int n_outputs, const plan_opts *o, status *st)
{
    return plan_make_of(&(plan_stretch){ .graph = g, .outputs = outputs, .n_outputs = n_outputs }, 1, o, st);
}

void plan_free(plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->steps; i++)
        free_step(&p->step[i], p->from[i]);
    for (int i = 0; i < p->n_kept; i++)
        constant_done(&p->o, &p->kept[i]);
    free(p->step);
    free(p->from);
    free(p->stretch);
    free(p->kept);
    free(p->buf);
    free(p->patch);
    free(p->output);
    free(p->output_place);
    free(p->output_ready);
    pages_free(p->arena);
    free(p);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Finds the operands of a stretch for the slice from an image on of the lot from an image on. */
static void find_slice(plan *p, const stretch *s, const float *const *inputs, int64_t lot, int64_t slice)
{
    for (int i = s->patches; i < s->patches_last; i++) {
        const patch *at = &p->patch[i];
        const void *base = at->base ? (const void *)at->base : inputs[at->input];
        const int64_t image = slice + (at->whole ? lot : 0);
        at->tensor->data = base ? tg_at(base, at->tensor->dtype, at->offset + image * at->image) : NULL;
    }
}

static void run_steps(plan *p, int first, int end)
{
    for (int i = first; i < end; i++) {
        plan_step *s = &p->step[i];
        double t = p->profile ? now() : 0;
        if (s->kernel)
            s->kernel->run(&s->call);
        else
            s->call.op->ref(&s->call);
        if (p->profile)
            s->seconds += now() - t;
    }
}

void plan_run_part(plan *p, const float *const *inputs, int after, int until)
{
    find_slice(p, p->stretch, inputs, 0, 0);
    run_steps(p, after < 0 ? 0 : p->output_ready[after], until < 0 ? p->steps : p->output_ready[until]);
}

void plan_run(plan *p, const float *const *inputs)
{
    if (!p->lot)
        plan_run_part(p, inputs, -1, -1);
    for (int64_t i = 0; p->lot && i < parts_of(p->o.batch, p->lot); i++)
        for (const stretch *s = p->stretch; s < p->stretch + p->stretches; s++)
            for (int64_t k = 0; k < parts_of(p->lot, s->images); k++) {
                find_slice(p, s, inputs, part_from(p->o.batch, p->lot, i), part_from(p->lot, s->images, k));
                run_steps(p, s->first, s->last);
            }
}

const tg_tensor *plan_output(const plan *p, int i) { return &p->output[i]; }
void plan_profile(plan *p, bool on) { p->profile = on; }
int plan_nodes(const plan *p) { return p->nodes; }
int64_t plan_macs(const plan *p) { return p->macs; }
int64_t plan_activations(const plan *p) { return p->activations; }
size_t plan_arena_bytes(const plan *p) { return p->arena_bytes; }
size_t plan_state_bytes(const plan *p) { return p->state_bytes; }

int plan_stretches(const plan *p) { return p->stretches; }

plan_stretch_told plan_stretch_tell(const plan *p, int k)
{
    const stretch *s = &p->stretch[k];
    plan_stretch_told t = { .first = s->first, .last = s->last, .images = s->images };
    for (int i = s->first; i < s->last; i++) {
        size_t alive = 0;
        for (int b = 0; b < p->bufs; b++)
            alive += p->buf[b].first <= i && i <= p->buf[b].last ? p->buf[b].bytes : 0;
        t.bytes = alive > t.bytes ? alive : t.bytes;
        t.seconds += p->step[i].seconds;
        for (int n = 0; n < p->step[i].call.n_in; n++)
            t.weight_bytes += p->step[i].in[n].constant ? (size_t)tg_numel(p->step[i].in[n].shape) * sizeof(float) : 0;
    }
    return t;
}

int plan_steps(const plan *p, const plan_step **steps)
{
    *steps = p->step;
    return p->steps;
}

void plan_print(FILE *f, const plan *p)
{
    for (int i = 0, k = 0; i < p->steps; i++) {
        for (; k < p->stretches && p->stretch[k].first == i; k++)
            if (p->stretch[k].images)
                fprintf(f, "%lld image%s at a time:\n", (long long)p->stretch[k].images, p->stretch[k].images == 1 ? "" : "s");
        const plan_step *s = &p->step[i];
        const place *at = &p->from[i][s->call.n_in];
        char text[256] = "";
        if (s->call.op->describe && s->call.attr)
            s->call.op->describe(s->call.attr, text, sizeof text);
        fprintf(f, "%4d  %-12s %-24s %-20s at %9zu%s  %s%s%s%s\n", i, s->call.op->name, s->kernel ? s->kernel->name : "ref", tg_str(s->shape),
                p->buf[at->root].offset, s->call.out.dtype == TG_BFLOAT ? " bf16" : "", s->where, text[0] ? "  [" : "", text, text[0] ? "]" : "");
    }
}
