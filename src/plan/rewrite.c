/* rewrite.c - fold and fuse: BatchNorm and scales into the weights before them, what follows a product into its kernel,
 * views of views, pieces of one value.
 *
 * The graph is rebuilt from its inputs up; each rule looks at one node whose operands are already rewritten.  What a rule
 * makes of weights alone is constant and so computed once, by constants.c.
 */
#include <stdlib.h>
#include <string.h>
#include "ops/op.h"
#include "plan_in.h"

/* During this pass tg.mark counts a node's users; a node that stands for another takes over its count. */
static bool is(const tg *x, const tg_op *op) { return x->op == op; }
static bool is_product(const tg *x) { return is(x, &op_conv2d) || is(x, &op_linear); }
static bool once(const tg *x) { return x->mark == 1; }

static const epilogue *epilogue_of(const tg *x)
{
    return is(x, &op_conv2d) ? &((const conv2d_attr *)x->attr)->e : &((const linear_attr *)x->attr)->e;
}

/* x with another epilogue and operands. */
static tg *with(tg *x, tg *const *in, int n, const epilogue *e)
{
    tg_where(x->graph, x->where);
    if (is(x, &op_conv2d)) {
        conv2d_attr a = *(const conv2d_attr *)x->attr;
        a.e = *e;
        return tg_apply(&op_conv2d, in, n, &a);
    }
    linear_attr a = { .e = *e };
    return tg_apply(&op_linear, in, n, &a);
}

/* scale is (out): weights are scaled by rows; shift (out) or NULL is added to the scaled bias. */
static tg *fold_affine(tg *x, tg *scale, tg *shift)
{
    epilogue e = *epilogue_of(x);
    tg *w = x->in[1], *bias = e.bias ? x->in[2] : NULL;
    int64_t n = tg_dim(w, 0);
    if (scale) {
        w = tg_mul(w, tg_reshape(scale, is(x, &op_conv2d) ? SHAPE(n, 1, 1, 1) : SHAPE(n, 1)));
        bias = bias ? tg_mul(bias, scale) : NULL;
    }
    if (shift)
        bias = bias ? tg_add(bias, shift) : shift;
    e.bias = bias != NULL;
    return with(x, (tg *[]){ x->in[0], w, bias }, bias ? 3 : 2, &e);
}

/* A product whose result is used once and still bare: no activation, no residual. */
static bool bare(const tg *x)
{
    return is_product(x) && once(x) && x->in[1]->constant && !epilogue_of(x)->act && !epilogue_of(x)->residual
           && (!epilogue_of(x)->bias || x->in[2]->constant);
}

/* Products side by side, used nowhere else: what is done to all channels is done to those of each. */
static bool all_parts(const tg *x, bool (*are)(const tg *part))
{
    bool so = is(x, &op_concat) && ((const axis_attr *)x->attr)->axis == 1 && once(x);
    for (int k = 0; k < x->n_in && so; k++)
        so = is(x->in[k], &op_conv2d) && are(x->in[k]);
    return so;
}

static tg *fold_affine_of_parts(tg *x, tg *scale, tg *shift)
{
    tg *part[64];
    int64_t at = 0;
    for (int k = 0; k < x->n_in; k++) {
        int64_t end = at + tg_dim(x->in[k], 1);
        part[k] = fold_affine(x->in[k], tg_slice(scale, 0, at, end), tg_slice(shift, 0, at, end));
        part[k]->mark = 1;
        at = end;
    }
    return tg_concat_all(1, part, x->n_in);
}

/* y = (x - mean) s + bias with s = weight / sqrt(var + eps). */
static tg *fold_batch_norm(tg *y)
{
    const norm_attr *a = y->attr;
    tg *x = y->in[0], *weight = a->weight ? y->in[1] : NULL, *bias = a->bias ? y->in[1 + a->weight] : NULL;
    tg *mean = y->in[1 + a->weight + a->bias], *var = y->in[2 + a->weight + a->bias];
    const bool parts = all_parts(x, bare);
    if (mean->constant && ((!bare(x) && !parts) || !var->constant || (is(x, &op_linear) && tg_rank(x) != 2)))
        return NULL;
    tg *s = tg_rsqrt(tg_affine(var, 1, a->eps));
    if (weight)
        s = tg_mul(weight, s);
    tg *shift = tg_affine(tg_mul(mean, s), -1, 0);
    shift = bias ? tg_add(bias, shift) : shift;
    if (mean->constant)
        return parts ? fold_affine_of_parts(x, s, shift) : fold_affine(x, s, shift);
    tg_shape along = { .rank = tg_rank(y) };             /* statistics of the batch: a chain of its own, with what follows */
    for (int i = 0; i < along.rank; i++)
        along.dim[i] = i == 1 ? tg_dim(y, 1) : 1;
    return tg_add(tg_mul(x, tg_reshape(s, along)), tg_reshape(shift, along));
}

/* Is c a vector over the axis that x's product puts out: 1 for images, the last for linear? */
static bool per_output(const tg *x, const tg *c)
{
    int axis = is(x, &op_conv2d) ? 1 : tg_rank(x) - 1, shift = tg_rank(x) - tg_rank(c);
    if (!c->constant || shift < 0)
        return false;
    for (int i = 0; i < tg_rank(c); i++)
        if (tg_dim(c, i) != (i + shift == axis ? tg_dim(x, axis) : 1))
            return false;
    return tg_rank(c) > 0 && axis - shift >= 0;
}

static tg *fold_scale_or_shift(tg *y)
{
    for (int k = 0; k < 2; k++) {
        tg *x = y->in[k], *c = y->in[1 - k];
        if (!bare(x) || !per_output(x, c))
            continue;
        tg *v = tg_reshape(c, SHAPE(tg_numel(c->shape)));
        return is(y, &op_mul) ? fold_affine(x, v, NULL) : fold_affine(x, NULL, v);
    }
    return NULL;
}

/* Of two products the later one takes the other as its residual. */
static tg *fuse_residual(tg *y)
{
    tg *best = NULL, *other = NULL;
    for (int k = 0; k < 2; k++) {
        tg *x = y->in[k], *r = y->in[1 - k];
        if (!is_product(x) || !once(x) || epilogue_of(x)->residual || !tg_same(x->shape, r->shape) || r->constant || r == x
            || (best && best->id > x->id))
            continue;
        best = x;
        other = r;
    }
    if (!best)
        return NULL;
    epilogue e = *epilogue_of(best);
    tg *in[4] = { best->in[0], best->in[1], e.bias ? best->in[2] : other, other };
    e.residual = true;
    e.act_first = e.act != NULL;
    return with(best, in, 3 + e.bias, &e);
}

static bool awaits_activation(const tg *x) { return is_product(x) && once(x) && !epilogue_of(x)->act; }

static tg *activated(tg *x, const tg *by)
{
    epilogue e = *epilogue_of(x);
    e.act = by->op;
    if (by->op->attr_size)
        memcpy(e.act_attr, by->attr, by->op->attr_size);
    return with(x, x->in, x->n_in, &e);
}

static tg *fuse_activation(tg *y)
{
    tg *x = y->in[0], *part[64];
    if (y->op->attr_size > sizeof epilogue_of(x)->act_attr)
        return NULL;
    if (!all_parts(x, awaits_activation))
        return awaits_activation(x) ? activated(x, y) : NULL;
    for (int k = 0; k < x->n_in; k++) {
        part[k] = activated(x->in[k], y);
        part[k]->mark = 1;
    }
    return tg_concat_all(1, part, x->n_in);
}

/* -- views and pieces ------------------------------------------------------------------------------------------------- */

static tg *fuse_views(tg *y)
{
    tg *x = y->in[0];
    if (is(y, &op_reshape) && is(x, &op_reshape))
        return tg_reshape(x->in[0], y->shape);
    if (!is(y, &op_permute) || !is(x, &op_permute))
        return NULL;
    const int *first = ((const permute_attr *)x->attr)->order, *then = ((const permute_attr *)y->attr)->order;
    int order[TG_MAX_RANK] = { 0 };
    bool same = true;
    for (int i = 0; i < tg_rank(y); i++) {
        order[i] = first[then[i]];
        same = same && order[i] == i;
    }
    return same ? x->in[0] : tg_permute(x->in[0], order);
}

/* a and b one after the other; neighbouring slices of one value are one slice of it, or all of it. */
static tg *joined(int axis, tg *a, tg *b)
{
    enum { MOST = 16 };
    tg *part[MOST], *both[] = { a, b };
    int n = 0;
    for (int i = 0; i < 2; i++) {
        bool many = is(both[i], &op_concat) && ((const axis_attr *)both[i]->attr)->axis == axis;
        tg **from = many ? both[i]->in : &both[i];
        for (int k = 0; k < (many ? both[i]->n_in : 1); k++) {
            const slice_attr *s = n && is(part[n - 1], &op_slice) ? part[n - 1]->attr : NULL;
            const slice_attr *t = is(from[k], &op_slice) ? from[k]->attr : NULL;
            if (s && t && part[n - 1]->in[0] == from[k]->in[0] && s->axis == axis && t->axis == axis && s->step == 1 && t->step == 1
                && s->to == t->from)
                part[n - 1] = tg_slice(from[k]->in[0], axis, s->from, t->to);
            else if (n < MOST)
                part[n++] = from[k];
            else
                return tg_concat_all(axis, both, 2);
        }
    }
    return n == 1 ? part[0] : tg_concat_all(axis, part, n);
}

/* The axis that zeros were put around x, if it is one; -1: another kind of padding. */
static int padded_axis(const tg *x)
{
    const tg_pads *p = x->attr;
    int axis = -1;
    if (!is(x, &op_pad) || !once(x) || p->mode != TG_PAD_CONST || p->value != 0)
        return -1;
    for (int i = 0; i < tg_rank(x); i++)
        if (p->before[i] || p->after[i]) {
            if (axis >= 0)
                return -1;
            axis = i;
        }
    return axis;
}

/* Pieces put into zeros and added, as gradients of slices are: side by side they are one piece. */
static tg *join_pieces(tg *y)
{
    int axis = padded_axis(y->in[0]);
    if (axis < 0 || padded_axis(y->in[1]) != axis)
        return NULL;
    for (int k = 0; k < 2; k++) {
        const tg *a = y->in[k], *b = y->in[1 - k];
        tg_pads p = *(const tg_pads *)a->attr;
        const tg_pads *q = b->attr;
        if (p.before[axis] + tg_dim(a->in[0], axis) != q->before[axis])
            continue;
        p.after[axis] = q->after[axis];
        return tg_pad(joined(axis, a->in[0], b->in[0]), p);
    }
    return NULL;
}

static tg *rewrite(tg *y, const plan_opts *o);

/* What is done to a product with its axes in another order is done to the product, if it goes into it: the order is a view. */
static tg *sink_below_permute(tg *y, const plan_opts *o)
{
    for (int k = 0; k < 2; k++) {
        tg *p = y->in[k], *other = y->in[1 - k], *x = is(p, &op_permute) && once(p) ? p->in[0] : NULL;
        if (!x || !is_product(x) || other == p || tg_rank(other) != tg_rank(p))
            continue;
        const int *order = ((const permute_attr *)p->attr)->order;
        int back[TG_MAX_RANK] = { 0 };
        for (int i = 0; i < tg_rank(p); i++)
            back[order[i]] = i;
        other = tg_permute(other, back);
        tg *whole = other->constant ? NULL : fuse_views(other);
        tg *inner = tg_apply(y->op, (tg *[]){ x, whole ? whole : other }, 2, y->attr), *better = rewrite(inner, o);
        if (!better)
            continue;
        better->mark = 1;
        return tg_permute(better, order);
    }
    return NULL;
}

static tg *rewrite(tg *y, const plan_opts *o)
{
    if (y->constant)
        return NULL;
    if (y->op->flags & TG_VIEW)
        return fuse_views(y);
    if (is(y, &op_batch_norm))
        return fold_batch_norm(y);
    if (is(y, &op_mul) || is(y, &op_add)) {
        tg *x = fold_scale_or_shift(y);
        if (!x && is(y, &op_add))
            x = join_pieces(y);
        if (!x && is(y, &op_add))
            x = fuse_residual(y);
        return x ? x : sink_below_permute(y, o);
    }
    return y->op->scalar && y->n_in == 1 ? fuse_activation(y) : NULL;
}

/* The node with its operands rewritten: now[id] is what stands for a node. */
static tg *carried(tg *const *now, tg *y)
{
    tg *in[64];
    bool same = true;
    if (y->n_in > 64)
        return tg_poison(y->graph, TIMM_UNSUPPORTED, "%s of %d operands in %s", y->op->name, y->n_in, y->where);
    for (int k = 0; k < y->n_in; k++) {
        in[k] = now[y->in[k]->id];
        same &= in[k] == y->in[k];
    }
    if (same)
        return y;
    int users = y->mark;
    tg_where(y->graph, y->where);
    y = tg_apply(y->op, in, y->n_in, y->attr);
    y->mark = users;
    return y;
}

bool plan_replace(tg_graph *g, tg **outputs, int n, tg *(*rule)(tg *y, const plan_opts *o), const plan_opts *o, status *st)
{
    int count;
    tg **order = tg_order(g, outputs, n, &count), **now = calloc((size_t)g->count + 1, sizeof *now);
    if (!order || !now) {
        free(now);
        return status_fail(st, TIMM_NO_MEMORY, "out of memory rewriting %d nodes", g->count);
    }
    for (int i = 0; i < count; i++)
        order[i]->mark = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < order[i]->n_in; k++)
            order[i]->in[k]->mark++;
    for (int i = 0; i < n; i++)
        outputs[i]->mark += 2;                           /* an output is never swallowed */
    for (int i = 0; i < count; i++) {
        tg *y = carried(now, order[i]), *better = y->op->flags & TG_LEAF ? NULL : rule(y, o);
        if (better)
            better->mark = order[i]->mark;
        now[order[i]->id] = better ? better : y;
    }
    for (int i = 0; i < n; i++)
        outputs[i] = now[outputs[i]->id];
    free(now);
    return status_ok(st);
}

bool plan_rewrite(tg_graph *g, tg **outputs, int n, const plan_opts *o, status *st)
{
    return plan_replace(g, outputs, n, rewrite, o, st);
}
