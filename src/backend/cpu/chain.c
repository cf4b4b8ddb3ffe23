/* chain.c - chains of elementwise ops: their instructions, and a tile of their result. */
#include "chain.h"
#include <stdlib.h>
#include <string.h>

enum { TILE = CHAIN_TILE };

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

struct chain {
    int steps, registers;              /* the last step's result goes to memory */
    instruction step[POINTWISE_STEPS];
};

bool chain_known(const pointwise_attr *a)
{
    for (int i = 0; i < a->steps; i++) {
        binary_kind kind;
        if (a->step[i].op->arity == 2 ? !binary_of(a->step[i].op, &kind) : !a->step[i].op->scalar)
            return false;
    }
    return true;
}

static bool does(const tg_op *op, binary_kind kind)
{
    binary_kind k;
    return binary_of(op, &k) && k == kind;
}

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
static void translate(chain *p, const pointwise_attr *a)
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
        if (factors >= 0) {
            const int other = from->a == POINTWISE_INPUTS + factors ? from->b : from->a;
            *s = (instruction){ .kind = MADD, .n = 3, .from = { a->step[factors].a, a->step[factors].b, other } };
        } else {
            s->op = from->op;
            memcpy(s->attr, from->attr, sizeof s->attr);
            s->kind = binary_of(from->op, &s->binary) ? BINARY : act_of(from->op, s->attr, &s->f) ? UNARY : PLAIN;
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
static void assign_registers(chain *p)
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

chain *chain_make(const pointwise_attr *a)
{
    chain *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    translate(p, a);
    assign_registers(p);
    return p;
}

size_t chain_bytes(const chain *p) { return sizeof *p; }
int64_t chain_room(const chain *p, int n_in) { return (p->registers + n_in) * (int64_t)TILE; }

/* -- a walk -------------------------------------------------------------------------------------------------------- */

/* n numbers of operand k from result number `at` on, side by side. */
static void gather(const chain_walk *w, int k, int64_t at, int64_t n, float *to)
{
    const loops *l = &w->l;
    const int inner = l->rank - 1;
    const tg_dtype of = w->in[k].dtype;
    int64_t step = l->stride[k + 1][inner], length = l->dim[inner];
    while (n > 0) {
        int64_t rest = at / length, from = at % length, some = length - from < n ? length - from : n;
        int64_t offset = from * step;
        for (int a = inner - 1; a >= 0; a--) {
            offset += rest % l->dim[a] * l->stride[k + 1][a];
            rest /= l->dim[a];
        }
        loops_gather(tg_at(w->in[k].data, of, offset), of, step, some, to);
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

/* Numbers [from, to) of the result on: while a tile is computed, memory would rest. */
static void fetch(const chain_walk *w, int64_t from, int64_t to)
{
    for (int k = 0; k < w->n_in; k++) {
        const tg_dtype of = w->in[k].dtype;
        for (int64_t i = from; i < to && w->how[k] == CHAIN_WHOLE; i += 64 / tg_size(of))
            __builtin_prefetch(tg_at(w->in[k].data, of, i), 0, 2);
    }
}

static void one_tile(const chain_walk *w, const source *in, float *registers, int64_t at, float *y, int64_t n)
{
    const elementwise_vec *v = VEC_PICK(elementwise_vec);
    for (int i = 0; i < w->p->steps; i++) {
        const instruction *s = &w->p->step[i];
        fetch(w, at + n + n * i / w->p->steps, at + n + n * (i + 1) / w->p->steps);
        float *to = i + 1 == w->p->steps ? y : registers + s->to * TILE, same[TILE];
        source x[3];
        for (int k = 0; k < s->n; k++)
            x[k] = s->from[k] < POINTWISE_INPUTS ? in[s->from[k]] : (source){ registers + (s->from[k] - POINTWISE_INPUTS) * TILE, 1 };
        if (s->kind == MADD) {
            v->madd(x[0].p, x[0].step, x[1].p, x[1].step, x[2].p, x[2].step, to, n);
        } else if (s->kind == BINARY) {
            v->binary[s->binary](x[0].p, x[0].step, x[1].p, x[1].step, to, n);
        } else if (s->kind == PLAIN) {
            plain(s, x[0].p, x[0].step, to, n);
        } else {
            for (int64_t k = 0; k < n && !x[0].step; k++)        /* one number for all of the tile */
                same[k] = *x[0].p;
            const float *from = x[0].step ? x[0].p : same;
            if (!w->rough || !w->rough->quick(s->f, from, to, n))
                v->unary(s->f, from, to, n);
        }
    }
}

static chain_access how_of(const loops *l, int k, int64_t tile)
{
    bool none = true, same = true, outer = false;
    for (int a = 0; a < l->rank; a++) {
        none = none && l->stride[k][a] == 0;
        same = same && l->stride[k][a] == l->stride[0][a];
        outer = outer || (a + 1 < l->rank && l->stride[k][a]);
    }
    return same ? CHAIN_WHOLE : none ? CHAIN_ONE : !outer && tile % l->dim[l->rank - 1] == 0 ? CHAIN_REPEATED : CHAIN_GATHERED;
}

chain_walk chain_begin(const chain *p, const tg_tensor *in, int n_in, const tg_tensor *out)
{
    const tg_tensor *t[POINTWISE_INPUTS + 1] = { out };
    for (int k = 0; k < n_in; k++)
        t[k + 1] = &in[k];
    chain_walk w = { .p = p, .in = in, .n_in = n_in, .l = loops_of(t, n_in + 1), .n = tg_numel(out->shape) };
    const int64_t row = w.l.dim[w.l.rank - 1];
    w.tile = row <= TILE ? TILE / row * row : TILE;      /* whole rows, so that what repeats with them is laid out once */
    for (int k = 0; k < n_in; k++) {
        w.how[k] = how_of(&w.l, k + 1, w.tile);
        if (w.how[k] == CHAIN_ONE && in[k].dtype == TG_BFLOAT)
            w.how[k] = CHAIN_GATHERED;
    }
    return w;
}

void chain_lay_out(const chain_walk *w, float *room)
{
    float *gathered = room + w->p->registers * TILE;
    for (int k = 0; k < w->n_in; k++)
        if (w->how[k] == CHAIN_REPEATED)
            gather(w, k, 0, w->tile < w->n ? w->tile : w->n, gathered + k * TILE);
}

void chain_tile(const chain_walk *w, float *room, int64_t at, int64_t n, float *y)
{
    float *gathered = room + w->p->registers * TILE;
    source in[POINTWISE_INPUTS];
    for (int k = 0; k < w->n_in; k++) {
        const float *x = w->in[k].data;
        const bool lies = w->how[k] == CHAIN_WHOLE && w->in[k].dtype == TG_F32;
        if (w->how[k] == CHAIN_WHOLE && !lies)
            VEC_PICK(narrow_vec)->widen((const uint16_t *)(const void *)x + at, gathered + k * TILE, n);
        if (w->how[k] == CHAIN_GATHERED)
            gather(w, k, at, n, gathered + k * TILE);
        in[k] = w->how[k] == CHAIN_ONE ? (source){ x, 0 } : (source){ lies ? x + at : gathered + k * TILE, 1 };
    }
    one_tile(w, in, room, at, y, n);
}
