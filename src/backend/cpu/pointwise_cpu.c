/* pointwise_cpu.c - chains of elementwise ops, a tile at a time: what lies between two steps stays in the first cache. */
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "loops.h"
#include "packed_product.h"

enum { TILE = 1024 };

/* A step: from registers (tiles of scratch) or operands to a register. */
typedef struct instruction {
    enum { UNARY, BINARY, PLAIN } kind;
    act f;
    binary_kind binary;
    const tg_op *op;            /* PLAIN: a function that has no vector code */
    double attr[2];
    int a, b;                   /* below POINTWISE_INPUTS an operand, else a register from there on */
    int to;
} instruction;

typedef struct program {
    int64_t steps;
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

/* Registers are given back after their last use, so that a long chain still fits in the cache. */
static void assign_registers(program *p, const pointwise_attr *a)
{
    int last[POINTWISE_STEPS], reg[POINTWISE_STEPS] = { 0 };
    bool busy[POINTWISE_STEPS] = { 0 };
    for (int i = 0; i < a->steps; i++)
        last[i] = i;
    for (int i = 0; i < a->steps; i++)
        for (int k = 0; k < a->step[i].op->arity; k++) {
            int from = k ? a->step[i].b : a->step[i].a;
            if (from >= POINTWISE_INPUTS)
                last[from - POINTWISE_INPUTS] = i;
        }
    for (int i = 0; i < a->steps; i++) {
        instruction *s = &p->step[i];
        s->a = a->step[i].a < POINTWISE_INPUTS ? a->step[i].a : POINTWISE_INPUTS + reg[a->step[i].a - POINTWISE_INPUTS];
        s->b = a->step[i].b < POINTWISE_INPUTS ? a->step[i].b : POINTWISE_INPUTS + reg[a->step[i].b - POINTWISE_INPUTS];
        for (int k = 0; k < i; k++)
            if (last[k] == i)
                busy[reg[k]] = false;                    /* steps may write over what they read */
        int r = 0;
        while (busy[r])
            r++;
        busy[r] = true;
        reg[i] = s->to = r;
        p->registers = r + 1 > p->registers ? r + 1 : p->registers;
    }
}

static bool prepare(const tg_call *c, tg_prep *prep)
{
    const pointwise_attr *a = c->attr;
    program *p = calloc(1, sizeof *p);
    if (!p)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a chain of %d steps", (int)a->steps);
    p->steps = a->steps;
    for (int i = 0; i < a->steps; i++) {
        instruction *s = &p->step[i];
        const tg_op *op = s->op = a->step[i].op;
        memcpy(s->attr, a->step[i].attr, sizeof s->attr);
        s->kind = is_binary(op, &s->binary) ? BINARY : act_of(op, s->attr, &s->f) ? UNARY : PLAIN;
    }
    assign_registers(p, a);
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
        float *to = i + 1 == w->p->steps ? y : registers + s->to * TILE;
        source a = s->a < POINTWISE_INPUTS ? in[s->a] : (source){ registers + (s->a - POINTWISE_INPUTS) * TILE, 1 };
        if (s->kind == BINARY) {
            source b = s->b < POINTWISE_INPUTS ? in[s->b] : (source){ registers + (s->b - POINTWISE_INPUTS) * TILE, 1 };
            w->v->binary[s->binary](a.p, a.step, b.p, b.step, to, n);
        } else if (s->kind == UNARY && a.step) {
            w->v->unary(s->f, a.p, to, n);
        } else if (s->kind == UNARY) {                   /* one number for all of the tile */
            float same[TILE];
            for (int64_t k = 0; k < n; k++)
                same[k] = *a.p;
            w->v->unary(s->f, same, to, n);
        } else {
            plain(s, a.p, a.step, to, n);
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
