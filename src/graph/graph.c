/* graph.c - nodes are made, linked, ordered, printed and verified. */
#include "graph.h"
#include <stdlib.h>
#include <string.h>

static const tg_op op_input = { .name = "input", .flags = TG_LEAF };
static const tg_op op_param = { .name = "param", .flags = TG_LEAF };
static const tg_op op_const = { .name = "const", .flags = TG_LEAF };

tg_graph *tg_graph_new(status *st)
{
    tg_graph *g = calloc(1, sizeof *g);
    if (!g) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a graph");
        return NULL;
    }
    g->st = st;
    g->where = "";
    return g;
}

void tg_graph_free(tg_graph *g)
{
    if (!g)
        return;
    arena_free(&g->mem);
    free(g->node);
    free(g);
}

void tg_where(tg_graph *g, const char *scope) { g->where = scope; }

/* Out of memory: one static node that is poisoned and belongs to no graph would have no message; the last node made stands in. */
static tg *node(tg_graph *g, const tg_op *op, int n_in)
{
    static tg drowned = { .op = &op_const, .poisoned = true };
    if (g->count == g->room) {
        int room = g->room ? g->room * 2 : 256;
        tg **more = realloc(g->node, (size_t)room * sizeof *more);
        if (!more) {
            status_fail(g->st, TIMM_NO_MEMORY, "out of memory for a graph of %d nodes", g->count);
            return g->count ? g->node[g->count - 1] : &drowned;
        }
        g->node = more;
        g->room = room;
    }
    tg *x = arena_alloc(&g->mem, sizeof *x + (size_t)n_in * sizeof(tg *));
    if (!x) {
        status_fail(g->st, TIMM_NO_MEMORY, "out of memory for a graph of %d nodes", g->count);
        return g->count ? g->node[g->count - 1] : &drowned;
    }
    *x = (tg){ .op = op, .graph = g, .in = (tg **)(x + 1), .n_in = n_in, .where = g->where, .id = g->count };
    g->node[g->count++] = x;
    return x;
}

tg *tg_input(tg_graph *g, int number, tg_shape shape)
{
    tg *x = node(g, &op_input, 0);
    x->shape = shape;
    x->input = number;
    return x;
}

void tg_begin(tg *x, int number)
{
    x->op = &op_input;
    x->n_in = 0;
    x->attr = NULL;
    x->input = number;
}

tg *tg_param_leaf(tg_graph *g, void *param, tg_shape shape, bool trains)
{
    tg *x = node(g, &op_param, 0);
    x->shape = shape;
    x->param = param;
    x->constant = !g->params_vary;
    x->wants_grad = trains;
    return x;
}

tg *tg_constant(tg_graph *g, tg_shape shape, const float *data)
{
    size_t bytes = (size_t)tg_numel(shape) * sizeof *data;
    float *copy = arena_alloc(&g->mem, bytes);
    if (!copy)
        return tg_poison(g, TIMM_NO_MEMORY, "out of memory for a constant of %zu bytes", bytes);
    memcpy(copy, data, bytes);
    tg *x = node(g, &op_const, 0);
    x->shape = shape;
    x->data = copy;
    x->constant = true;
    return x;
}

tg *tg_const(const tg *x, tg_shape shape, const float *data) { return tg_constant(x->graph, shape, data); }

tg *tg_poison(tg_graph *g, timm_status code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    status_fail(g->st, code, "%s", text);
    tg *x = node(g, &op_const, 0);
    x->poisoned = true;
    x->shape = SHAPE(1);
    return x;
}

tg_shape tg_reject(tg_check *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!c->failed && c->size)
        vsnprintf(c->text, c->size, fmt, ap);
    va_end(ap);
    c->failed = true;
    return (tg_shape){ 0 };
}

/* "(2, 512, 28, 28) from layer2.0.bn3 and (2, 512, 56, 56) from layer2.0.downsample.1" */
static void operands_text(char *text, size_t size, tg *const *in, int n)
{
    size_t at = 0;
    text[0] = 0;
    for (int i = 0; i < n && at < size; i++) {
        const char *join = i == 0 ? "" : i == n - 1 ? " and " : ", ";
        const char *from = in[i]->where[0] ? in[i]->where : in[i]->op->name;
        at += (size_t)snprintf(text + at, size - at, "%s%s from %s", join, tg_str(in[i]->shape), from);
    }
}

tg *tg_apply(const tg_op *op, tg *const *in, int n_in, const void *attr)
{
    tg_graph *g = in[0]->graph;
    tg_shape shapes[64] = { { 0 } }, *list = n_in <= 64 ? shapes : malloc((size_t)n_in * sizeof *list);
    bool poisoned = false, constant = true, wants_grad = false;

    if (!list)
        return tg_poison(g, TIMM_NO_MEMORY, "out of memory for %d operands of %s", n_in, op->name);
    for (int i = 0; i < n_in; i++) {
        poisoned |= in[i]->poisoned;
        constant &= in[i]->constant;
        wants_grad |= in[i]->wants_grad;
        list[i] = in[i]->shape;
    }
    tg *x;
    char why[512] = "", who[768];
    tg_check check = { .text = why, .size = sizeof why };
    tg_shape shape = poisoned ? SHAPE(1) : op->shape(&check, list, n_in, attr);
    if (list != shapes)
        free(list);
    if (poisoned) {
        x = node(g, op, 0);
        x->shape = shape;
        x->poisoned = true;
        return x;
    }
    if (check.failed) {
        operands_text(who, sizeof who, in, n_in < 4 ? n_in : 4);
        return tg_poison(g, TIMM_SHAPE, "%s: %s%s %s", op->name, who, strncmp(why, "do", 2) ? ":" : "", why);   /* "... do not broadcast" */
    }
    x = node(g, op, n_in);
    if (x->op != op)
        return x;                                            /* out of memory, recorded */
    x->shape = shape;
    x->constant = constant;
    x->wants_grad = wants_grad && !(op->flags & TG_FLAT);
    memcpy(x->in, in, (size_t)n_in * sizeof *in);
    if (op->attr_size) {
        x->attr = arena_alloc(&g->mem, op->attr_size);
        if (!x->attr)
            return tg_poison(g, TIMM_NO_MEMORY, "out of memory for the attributes of %s", op->name);
        memcpy(x->attr, attr, op->attr_size);
    }
    return x;
}

const void *tg_attr(const tg *x) { return x->attr; }
int tg_rank(const tg *x) { return x->shape.rank; }
tg_shape tg_shape_of(const tg *x) { return x->shape; }

int64_t tg_dim(const tg *x, int axis)
{
    int i = axis < 0 ? axis + x->shape.rank : axis;
    return i >= 0 && i < x->shape.rank ? x->shape.dim[i] : 1;      /* a poisoned value has no such axis; nothing depends on it */
}

/* -- order, print, verify -------------------------------------------------------------------------------------------------- */

/* An iterative walk: graphs are deeper than a thread's stack is sure to be.  Operands come first, in operand order. */
tg **tg_order(tg_graph *g, tg *const *outputs, int n, int *count)
{
    *count = 0;
    tg **order = arena_alloc(&g->mem, ((size_t)g->count + 1) * sizeof *order);
    struct frame { tg *x; int next; } *stack = malloc(((size_t)g->count + 1) * sizeof *stack);
    if (!order || !stack) {
        free(stack);
        status_fail(g->st, TIMM_NO_MEMORY, "out of memory ordering %d nodes", g->count);
        return NULL;
    }
    for (int i = 0; i < g->count; i++)
        g->node[i]->mark = 0;
    for (int o = 0; o < n; o++) {
        int depth = 0;
        if (!outputs[o]->mark)
            stack[depth++] = (struct frame){ outputs[o], 0 };
        outputs[o]->mark = 1;
        while (depth) {
            struct frame *f = &stack[depth - 1];
            if (f->next == f->x->n_in) {
                order[(*count)++] = f->x;
                depth--;
                continue;
            }
            tg *y = f->x->in[f->next++];
            if (!y->mark) {
                y->mark = 1;
                stack[depth++] = (struct frame){ y, 0 };
            }
        }
    }
    free(stack);
    return order;
}

void tg_print(FILE *f, tg_graph *g, tg *const *outputs, int n)
{
    int count;
    tg **order = tg_order(g, outputs, n, &count);
    for (int i = 0; order && i < count; i++) {
        const tg *x = order[i];
        char text[256] = "";
        if (x->op->describe && x->attr)
            x->op->describe(x->attr, text, sizeof text);
        fprintf(f, "%%%-5d %-16s %-22s", x->id, x->op->name, tg_str(x->shape));
        for (int k = 0; k < x->n_in; k++)
            fprintf(f, "%s%%%d", k ? " " : " ", x->in[k]->id);
        if (text[0])
            fprintf(f, "  [%s]", text);
        if (x->where[0])
            fprintf(f, "  %s", x->where);
        fputs(x->constant && x->n_in ? "  (constant)\n" : "\n", f);
    }
}

bool tg_verify(tg_graph *g, tg *const *outputs, int n, status *st)
{
    int count;
    tg **order = tg_order(g, outputs, n, &count);
    for (int i = 0; order && i < count; i++) {
        const tg *x = order[i];
        if (x->poisoned)
            return status_fail(st, TIMM_INTERNAL, "verify: %%%d %s (%s) is poisoned", x->id, x->op->name, x->where);
        if (x->op->flags & TG_LEAF)
            continue;
        tg_shape in[64];
        char why[512] = "";
        tg_check check = { .text = why, .size = sizeof why };
        for (int k = 0; k < x->n_in && k < 64; k++)
            in[k] = x->in[k]->shape;
        if (x->n_in > 64)
            continue;
        tg_shape shape = x->op->shape(&check, in, x->n_in, x->attr);
        if (check.failed)
            return status_fail(st, TIMM_INTERNAL, "verify: %%%d %s (%s): %s", x->id, x->op->name, x->where, why);
        if (!tg_same(shape, x->shape))
            return status_fail(st, TIMM_INTERNAL, "verify: %%%d %s (%s) is %s but its operands make %s", x->id, x->op->name,
                               x->where, tg_str(x->shape), tg_str(shape));
    }
    return order != NULL;
}
