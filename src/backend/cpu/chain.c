/* chain.c - chains of elementwise ops: instructions for a strip of numbers (chain_simd.h runs them), and a tile of their result. */
#include "chain.h"
#include <stdlib.h>
#include <string.h>

struct chain {
    int ops;
    chain_op op[CHAIN_OPS];             /* without their operands' sources, which chain_begin adds */
    pointwise_attr attr;                /* whose steps they are */
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

static bool reads_twice(const pointwise_step *s) { return s->op->arity == 2 && s->a == s->b; }

/* The last step that finds the result of step i in memory; 0: none, the next one has it in the strip, if any. */
static int last_read(const pointwise_attr *a, int i)
{
    int last = 0;
    for (int k = i + 1; k < a->steps; k++) {
        const pointwise_step *s = &a->step[k];
        const bool reads = s->a == POINTWISE_INPUTS + i || (s->op->arity == 2 && s->b == POINTWISE_INPUTS + i);
        last = reads && (k > i + 1 || reads_twice(s)) ? k : last;
    }
    return last;
}

static void emit(chain *p, int code, int operand) { p->op[p->ops++] = (chain_op){ .code = code, .operand = operand }; }

static void translate(chain *p)
{
    const pointwise_attr *a = &p->attr;
    int place[POINTWISE_INPUTS + POINTWISE_STEPS], until[CHAIN_KEPT] = { 0 };          /* until: the last step that reads what is kept there */
    for (int k = 0; k < POINTWISE_INPUTS; k++)
        place[k] = k;
    for (int i = 0; i < a->steps; i++) {
        const pointwise_step *s = &a->step[i];
        const int held = i ? POINTWISE_INPUTS + i - 1 : -1, last = last_read(a, i);
        binary_kind kind;
        if (!binary_of(s->op, &kind)) {
            act f;
            if (s->a != held)
                emit(p, CHAIN_LOAD, place[s->a]);
            const bool known = act_of(s->op, s->attr, &f);
            emit(p, known ? CHAIN_UNARY + (int)f.kind : CHAIN_PLAIN, 0);
            p->op[p->ops - 1].f = f;
            p->op[p->ops - 1].op = s->op;
            p->op[p->ops - 1].attr = s->attr;
        } else if (s->b == held && s->a != held) {
            emit(p, CHAIN_TURNED + (int)kind * CHAIN_SOURCES, place[s->a]);
        } else {
            if (s->a != held)
                emit(p, CHAIN_LOAD, place[s->a]);
            emit(p, CHAIN_BINARY + (int)kind * CHAIN_SOURCES, place[s->b]);
        }
        if (last) {
            int free = 0;
            while (until[free] > i)
                free++;
            until[free] = last;
            place[POINTWISE_INPUTS + i] = CHAIN_OPERANDS + free;
            emit(p, CHAIN_KEEP, CHAIN_OPERANDS + free);
        }
    }
    emit(p, CHAIN_LEAVE, 0);
}

chain *chain_make(const pointwise_attr *a)
{
    chain *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->attr = *a;
    translate(p);
    return p;
}

size_t chain_bytes(const chain *p) { return sizeof *p; }
int64_t chain_room(int n_in) { return n_in * (int64_t)(CHAIN_ROW + 2 * CHAIN_LONGEST); }

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

/* Of the innermost axes: a row is one of them, a block two. */
static int64_t inner(const loops *l, int axes)
{
    int64_t n = 1;
    for (int a = l->rank - 1; a >= 0 && a >= l->rank - axes; a--)
        n *= l->dim[a];
    return n;
}

static chain_access how_of(const loops *l, int k, int64_t row)
{
    bool none = true, same = true;
    for (int a = 0; a < l->rank; a++) {
        none = none && l->stride[k][a] == 0;
        same = same && l->stride[k][a] == l->stride[0][a];
    }
    return same ? CHAIN_WHOLE : none ? CHAIN_ALL : l->rank > 1 && l->stride[k][l->rank - 2] == 0 && row <= CHAIN_ROW ? CHAIN_REPEATED : CHAIN_GATHERED;
}

/* The instructions with the sources of their operands. */
static void resolve(chain_walk *w)
{
    memcpy(w->op, w->p->op, (size_t)w->p->ops * sizeof *w->op);
    for (int i = 0; i < w->p->ops; i++) {
        chain_op *op = &w->op[i];
        const int k = op->operand;
        if (op->code == CHAIN_LEAVE)
            op->code += w->leaves == TG_BFLOAT ? CHAIN_BFLOATS : CHAIN_FLOATS;
        else if (op->code < CHAIN_UNARY && k < CHAIN_OPERANDS)
            op->code += w->how[k] == CHAIN_ALL ? CHAIN_ONE : w->how[k] == CHAIN_WHOLE && w->in[k].dtype == TG_BFLOAT ? CHAIN_BFLOATS : CHAIN_FLOATS;
    }
}

/* Numbers of what is laid out of rows: whole rows, of whole vectors if they fit, and a strip at least. */
static int64_t period_of(int64_t row, int64_t strip)
{
    int64_t n = row;
    while (n % CHAIN_LINE && n * 2 <= CHAIN_ROW)
        n *= 2;
    return (strip + n - 1) / n * n;
}

chain_walk chain_begin(const chain *p, const tg_tensor *in, int n_in, const tg_tensor *out, tg_dtype leaves)
{
    const tg_tensor *t[POINTWISE_INPUTS + 1] = { out };
    const gemm_vec *rough = leaves == TG_BFLOAT ? gemm_for(TG_BF16) : NULL;
    int64_t begin = 0;
    for (int k = 0; k < n_in; k++)
        t[k + 1] = &in[k];
    chain_walk w = { .p = p, .in = in, .n_in = n_in, .l = loops_of(t, n_in + 1), .n = tg_numel(out->shape), .leaves = leaves,
                     .v = rough ? rough->chain : VEC_PICK(chain_vec), .quick = rough ? rough->quick : NULL };
    const int64_t row = inner(&w.l, 1), strip = w.v->strip;
    w.block = inner(&w.l, 2);
    w.period = period_of(row, strip);
    for (int k = 0; k < n_in; k++) {
        w.how[k] = how_of(&w.l, k + 1, row);
        if (w.how[k] == CHAIN_ALL && in[k].dtype == TG_BFLOAT)
            w.how[k] = CHAIN_GATHERED;
        const int64_t room = w.how[k] == CHAIN_REPEATED ? w.period + strip : w.how[k] == CHAIN_GATHERED ? CHAIN_TILE : 0;
        w.begin[k] = begin;
        begin += (room + CHAIN_LINE - 1) / CHAIN_LINE * CHAIN_LINE;
    }
    resolve(&w);
    return w;
}

/* The rows of a block, and a strip of what comes after them. */
static void lay_out(const chain_walk *w, chain_place *place, int64_t block)
{
    const int64_t row = inner(&w->l, 1);
    for (int k = 0; k < w->n_in && place->block != block; k++)
        if (w->how[k] == CHAIN_REPEATED) {
            float *to = place->room + w->begin[k];
            gather(w, k, block * w->block, row, to);
            for (int64_t i = row; i < w->period + w->v->strip; i++)
                to[i] = to[i - row];
        }
    place->block = block;
}

void chain_tile(const chain_walk *w, chain_place *place, int64_t at, int64_t n, void *y)
{
    chain_program program = { .op = w->op, .n_in = w->n_in, .unary = VEC_PICK(elementwise_vec)->unary, .quick = w->quick };
    while (n > 0) {
        const int64_t from = at % w->block, here = n < w->block - from ? n : w->block - from;
        lay_out(w, place, at / w->block);
        for (int k = 0; k < w->n_in; k++) {
            const tg_tensor *x = &w->in[k];
            const chain_access how = w->how[k];
            if (how == CHAIN_GATHERED)
                gather(w, k, at, here, place->room + w->begin[k]);
            program.in[k] = how == CHAIN_WHOLE ? tg_at(x->data, x->dtype, at) : how == CHAIN_ALL ? x->data : place->room + w->begin[k];
            program.step[k] = how == CHAIN_WHOLE ? (int64_t)tg_size(x->dtype) : how == CHAIN_ALL ? 0 : (int64_t)sizeof(float);
            program.first[k] = how == CHAIN_REPEATED ? from % w->period : 0;
            program.period[k] = how == CHAIN_REPEATED ? w->period : 0;
            program.far[k] = how == CHAIN_WHOLE;
        }
        w->v->run(&program, y, here);
        at += here;
        n -= here;
        y = tg_at(y, w->leaves, here);
    }
}
