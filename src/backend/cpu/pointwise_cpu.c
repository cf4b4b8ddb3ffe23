/* pointwise_cpu.c - chains of elementwise ops, a tile at a time: what lies between two steps stays in the first cache. */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "loops.h"
#include "packed_product.h"

enum { TILE = 1024 };

/* A step: from registers (tiles of scratch) or operands to a register. */
typedef struct instruction {
    enum { UNARY, BINARY, MADD, PLAIN } kind;           /* MADD: from[0] from[1] + from[2] */
    act f;
    binary_kind binary;
    const tg_op *op;            /* PLAIN: a function that has no vector code */
    double attr[2];
    int from[3], n;             /* below POINTWISE_INPUTS an operand, else a register from there on */
    int to;
} instruction;

typedef struct program {
    int steps;
    int registers;              /* the last step's result goes to memory */
    instruction step[POINTWISE_STEPS];
} program;

static const char *const binary_names[BIN_KINDS] = {
    [BIN_ADD] = "add", [BIN_SUB] = "sub", [BIN_MUL] = "mul", [BIN_DIV] = "div", [BIN_MAX] = "maximum",
    [BIN_MIN] = "minimum", [BIN_GREATER] = "greater",
};

static bool is_binary(const tg_op *op, binary_kind *kind)
{
    for (int i = 0; i < BIN_KINDS; i++)
        if (!strcmp(binary_names[i], op->name))
            return *kind = (binary_kind)i, true;
    return false;
}

/* The result is one piece of memory, walked from its first number to its last. */
static bool whole(const tg_tensor *t)
{
    const tg_tensor *one[] = { t };
    loops l = loops_of(one, 1);
    return l.rank == 1 && (l.stride[0][0] == 1 || l.dim[0] == 1);
}

static const char *declines(const tg_call *c)
{
    const pointwise_attr *a = c->attr;
    if (!all_f32(c))
        return "not float";
    if (!whole(&c->out))
        return "result in pieces";
    for (int i = 0; i < a->steps; i++) {
        binary_kind kind;
        if (a->step[i].op->arity == 2 ? !is_binary(a->step[i].op, &kind) : !a->step[i].op->scalar)
            return "a step that is not known";
    }
    return NULL;
}

static bool does(const tg_op *op, binary_kind kind) { return !strcmp(op->name, binary_names[kind]); }

/* The product that step i, an addition, is alone in reading: one instruction does both.  -1: none. */
static int product_of(const pointwise_attr *a, const int *uses, int i)
{
    const int from[2] = { a->step[i].a, a->step[i].b };
    for (int k = 0; k < 2 && does(a->step[i].op, BIN_ADD); k++) {
        int step = from[k] - POINTWISE_INPUTS;
        if (step >= 0 && does(a->step[step].op, BIN_MUL) && uses[step] == 1)
            return step;
    }
    return -1;
}

/* Instructions for the steps; what they read is numbered by instruction still, not by register. */
static void translate(program *p, const pointwise_attr *a)
{
    int uses[POINTWISE_STEPS] = { 0 }, made[POINTWISE_STEPS];
    bool taken[POINTWISE_STEPS] = { 0 };
    for (int i = 0; i < a->steps; i++)
        for (int k = 0; k < a->step[i].op->arity; k++) {
            int from = k ? a->step[i].b : a->step[i].a;
            if (from >= POINTWISE_INPUTS)
                uses[from - POINTWISE_INPUTS]++;
        }
    for (int i = 0; i < a->steps; i++) {
        int factors = product_of(a, uses, i);
        if (factors >= 0)
            taken[factors] = true;
    }
    for (int i = 0; i < a->steps; i++) {
        const pointwise_step *from = &a->step[i];
        const int factors = product_of(a, uses, i);
        if (taken[i])
            continue;
        instruction *s = &p->step[p->steps];
        made[i] = p->steps++;
        s->op = from->op;
        memcpy(s->attr, from->attr, sizeof s->attr);
        if (factors >= 0) {
            const int other = from->a == POINTWISE_INPUTS + factors ? from->b : from->a;
            *s = (instruction){ .kind = MADD, .op = from->op, .n = 3, .from = { a->step[factors].a, a->step[factors].b, other } };
        } else {
            s->kind = is_binary(from->op, &s->binary) ? BINARY : act_of(from->op, s->attr, &s->f) ? UNARY : PLAIN;
            s->n = from->op->arity;
            s->from[0] = from->a;
            s->from[1] = from->b;
        }
        for (int k = 0; k < s->n; k++)
            if (s->from[k] >= POINTWISE_INPUTS)
                s->from[k] = POINTWISE_INPUTS + made[s->from[k] - POINTWISE_INPUTS];
    }
}

/* Registers are given back after their last use, so that a long chain still fits in the cache. */
static void assign_registers(program *p)
{
    int last[POINTWISE_STEPS];
    bool busy[POINTWISE_STEPS] = { 0 };
    for (int i = 0; i < p->steps; i++) {
        last[i] = i;
        for (int k = 0; k < p->step[i].n; k++)
            if (p->step[i].from[k] >= POINTWISE_INPUTS)
                last[p->step[i].from[k] - POINTWISE_INPUTS] = i;
    }
    for (int i = 0; i < p->steps; i++) {
        instruction *s = &p->step[i];
        for (int k = 0; k < s->n; k++)
            if (s->from[k] >= POINTWISE_INPUTS)
                s->from[k] = POINTWISE_INPUTS + p->step[s->from[k] - POINTWISE_INPUTS].to;
        for (int k = 0; k < i; k++)
            if (last[k] == i)
                busy[p->step[k].to] = false;             /* steps may write over what they read */
        while (busy[s->to])
            s->to++;
        busy[s->to] = true;
        p->registers = s->to + 1 > p->registers ? s->to + 1 : p->registers;
    }
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const pointwise_attr *a = c->attr;
    program *p = calloc(1, sizeof *p);
    if (!p)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a chain of %d steps", (int)a->steps);
    translate(p, a);
    assign_registers(p);
    *prep = (tg_prep){ .state = p, .st = prep->st, .state_bytes = sizeof *p,
                       .scratch = (size_t)pool_threads(c->pool) * (size_t)(p->registers + c->n_in) * TILE * sizeof(float) };
    return true;
}

/* How an operand's numbers of a tile are found. */
typedef enum access { WHOLE, ONE, REPEATED, GATHERED } access;

typedef struct walk {
    const tg_call *c;
    const program *p;
    const elementwise_vec *v;
    loops l;
    access how[POINTWISE_INPUTS];
    int64_t n, tile;            /* numbers of the result, of a tile */
} walk;

/* n numbers of operand k from result number `at` on, side by side. */
static void gather(const walk *w, int k, int64_t at, int64_t n, float *to)
{
    const loops *l = &w->l;
    const int inner = l->rank - 1;
    const float *x = w->c->in[k].data;
    int64_t step = l->stride[k + 1][inner], length = l->dim[inner];
    while (n > 0) {
        int64_t rest = at / length, from = at % length, some = length - from < n ? length - from : n;
        const float *p = x + from * step;
        for (int a = inner - 1; a >= 0; a--) {
            p += rest % l->dim[a] * l->stride[k + 1][a];
            rest /= l->dim[a];
        }
        if (step == 1)
            memcpy(to, p, (size_t)some * sizeof *to);
        else
            for (int64_t i = 0; i < some; i++)
                to[i] = p[i * step];
        to += some;
        at += some;
        n -= some;
    }
}

static void plain(const instruction *s, const float *x, int64_t step, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)s->op->scalar((double)x[i * step], s->attr);
}

typedef struct source { const float *p; int step; } source;

static void one_tile(const walk *w, const source *in, float *registers, float *y, int64_t n)
{
    for (int i = 0; i < w->p->steps; i++) {
        const instruction *s = &w->p->step[i];
        float *to = i + 1 == w->p->steps ? y : registers + s->to * TILE, same[TILE];
        source x[3];
        for (int k = 0; k < s->n; k++)
            x[k] = s->from[k] < POINTWISE_INPUTS ? in[s->from[k]] : (source){ registers + (s->from[k] - POINTWISE_INPUTS) * TILE, 1 };
        if (s->kind == MADD) {
            w->v->madd(x[0].p, x[0].step, x[1].p, x[1].step, x[2].p, x[2].step, to, n);
        } else if (s->kind == BINARY) {
            w->v->binary[s->binary](x[0].p, x[0].step, x[1].p, x[1].step, to, n);
        } else if (s->kind == PLAIN) {
            plain(s, x[0].p, x[0].step, to, n);
        } else {
            for (int64_t k = 0; k < n && !x[0].step; k++)        /* one number for all of the tile */
                same[k] = *x[0].p;
            w->v->unary(s->f, x[0].step ? x[0].p : same, to, n);
        }
    }
}

static void work(void *arg, int64_t from, int64_t to)
{
    const walk *w = arg;
    const tg_call *c = w->c;
    float *room = (float *)c->scratch + (int64_t)pool_worker() * (w->p->registers + c->n_in) * TILE;
    float *gathered = room + w->p->registers * TILE;
    source in[POINTWISE_INPUTS];
    for (int k = 0; k < c->n_in; k++) {
        in[k] = w->how[k] == ONE ? (source){ c->in[k].data, 0 } : (source){ gathered + k * TILE, 1 };
        if (w->how[k] == REPEATED && to > from)
            gather(w, k, 0, w->tile < w->n ? w->tile : w->n, gathered + k * TILE);
    }
    for (int64_t t = from; t < to; t++) {
        int64_t at = t * w->tile, n = w->n - at < w->tile ? w->n - at : w->tile;
        for (int k = 0; k < c->n_in; k++)
            if (w->how[k] == WHOLE)
                in[k].p = (const float *)c->in[k].data + at;
            else if (w->how[k] == GATHERED)
                gather(w, k, at, n, gathered + k * TILE);
        one_tile(w, in, room, (float *)c->out.data + at, n);
    }
}

static access how_of(const loops *l, int k, int64_t tile)
{
    bool none = true, same = true, outer = false;
    for (int a = 0; a < l->rank; a++) {
        none = none && l->stride[k][a] == 0;
        same = same && l->stride[k][a] == l->stride[0][a];
        outer = outer || (a + 1 < l->rank && l->stride[k][a]);
    }
    return same ? WHOLE : none ? ONE : !outer && tile % l->dim[l->rank - 1] == 0 ? REPEATED : GATHERED;
}

static void run(const tg_call *c)
{
    const tg_tensor *t[POINTWISE_INPUTS + 1] = { &c->out };
    for (int k = 0; k < c->n_in; k++)
        t[k + 1] = &c->in[k];
    walk w = { .c = c, .p = c->state, .v = VEC_PICK(elementwise_vec), .l = loops_of(t, c->n_in + 1), .n = tg_numel(c->out.shape) };
    int64_t row = w.l.dim[w.l.rank - 1];
    w.tile = row <= TILE ? TILE / row * row : TILE;      /* whole rows, so that what repeats with them is laid out once */
    for (int k = 0; k < c->n_in; k++)
        w.how[k] = how_of(&w.l, k + 1, w.tile);
    pool_run(c->pool, (w.n + w.tile - 1) / w.tile, 16, work, &w);
}

const tg_kernel kernel_pointwise = { .op = "pointwise", .name = "cpu.pointwise", .declines = declines, .prepare = prepare, .run = run,
                                     .release = free };
