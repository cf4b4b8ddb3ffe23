/* chain.c - chains of elementwise ops: instructions for a strip of numbers (chain_simd.h runs them), and a tile of their result. */
#include "chain.h"
#include <stdlib.h>
#include <string.h>

struct chain {
    int ops;
    chain_op op[];                      /* without their operands' sources, which a walk adds */
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

/* Instructions for the steps, at most CHAIN_OPS of them: how many. */
static int translate(const pointwise_attr *a, chain_op *op)
{
    int n = 0;
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
                op[n++] = (chain_op){ .code = CHAIN_LOAD, .operand = place[s->a] };
            const bool known = act_of(s->op, s->attr, &f);
            op[n++] = (chain_op){ .code = known ? CHAIN_UNARY + (int)f.kind : CHAIN_PLAIN, .f = f, .op = s->op, .attr = { s->attr[0], s->attr[1] } };
        } else if (s->b == held && s->a != held) {
            op[n++] = (chain_op){ .code = CHAIN_TURNED + (int)kind * CHAIN_SOURCES, .operand = place[s->a] };
        } else {
            if (s->a != held)
                op[n++] = (chain_op){ .code = CHAIN_LOAD, .operand = place[s->a] };
            op[n++] = (chain_op){ .code = CHAIN_BINARY + (int)kind * CHAIN_SOURCES, .operand = place[s->b] };
        }
        if (last) {
            int slot = 0;
            while (until[slot] > i)
                slot++;
            until[slot] = last;
            place[POINTWISE_INPUTS + i] = CHAIN_OPERANDS + slot;
            op[n++] = (chain_op){ .code = CHAIN_KEEP, .operand = CHAIN_OPERANDS + slot };
        }
    }
    op[n++] = (chain_op){ .code = CHAIN_LEAVE };
    return n;
}

static chain *make(const pointwise_attr *a)
{
    chain_op op[CHAIN_OPS];
    const int n = translate(a, op);
    chain *p = calloc(1, sizeof *p + (size_t)n * sizeof *op);
    if (!p)
        return NULL;
    p->ops = n;
    memcpy(p->op, op, (size_t)n * sizeof *op);
    return p;
}

int64_t chain_room(int n_in) { return n_in * (int64_t)(CHAIN_ROW + 2 * CHAIN_LONGEST); }

bool chain_prepare(const tg_call *c, int n_in, const pointwise_attr *a, tg_prep *prep)
{
    chain *p = prep->state = make(a);
    if (!p)
        return status_fail(prep->st, TIMM_NO_MEMORY, "out of memory for a chain of ops");
    prep->state_bytes = sizeof *p + (size_t)p->ops * sizeof *p->op;
    prep->scratch = (size_t)(chain_room(n_in) * pool_threads(c->pool)) * sizeof(float);
    return true;
}

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

enum { LONG = 256 };                    /* numbers of a row that a run of the machine is worth while for */

static chain_access how_of(const loops *l, int k, int64_t row)
{
    bool none = true, same = true;
    for (int a = 0; a < l->rank; a++) {
        none = none && l->stride[k][a] == 0;
        same = same && l->stride[k][a] == l->stride[0][a];
    }
    if (same || none)
        return same ? CHAIN_WHOLE : CHAIN_ONE_FOR_ALL;
    if (l->stride[k][l->rank - 1] == 0 && row >= LONG)
        return CHAIN_ONE_A_ROW;
    return l->rank > 1 && l->stride[k][l->rank - 2] == 0 && row <= CHAIN_ROW ? CHAIN_REPEATED : CHAIN_GATHERED;
}

static bool one(chain_access how) { return how == CHAIN_ONE_FOR_ALL || how == CHAIN_ONE_A_ROW; }

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
            op->code += one(w->how[k]) ? CHAIN_ONE : w->how[k] == CHAIN_WHOLE && w->in[k].dtype == TG_BFLOAT ? CHAIN_BFLOATS : CHAIN_FLOATS;
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

void chain_begin(chain_walk *w, const chain *p, const tg_tensor *in, int n_in, const tg_tensor *out, tg_dtype leaves)
{
    const tg_tensor *t[POINTWISE_INPUTS + 1] = { out };
    const gemm_vec *rough = leaves == TG_BFLOAT ? gemm_for(TG_BF16) : NULL;
    int64_t begin = 0;
    for (int k = 0; k < n_in; k++)
        t[k + 1] = &in[k];
    w->p = p;
    w->in = in;
    w->n_in = n_in;
    w->l = loops_of(t, n_in + 1);
    w->leaves = leaves;
    w->fetch = false;
    w->v = !rough ? VEC_PICK(chain_vec) : rough->chain ? rough->chain : VEC_PICK(chain_narrow_vec);
    w->quick = rough ? rough->quick : NULL;
    const int64_t row = inner(&w->l, 1), strip = w->v->strip;
    w->block = w->steady = inner(&w->l, 2);
    w->period = period_of(row, strip);
    for (int k = 0; k < n_in; k++) {
        w->how[k] = how_of(&w->l, k + 1, row);
        w->steady = w->how[k] == CHAIN_ONE_A_ROW ? row : w->steady;
        const int64_t room = w->how[k] == CHAIN_REPEATED ? w->period + strip : w->how[k] == CHAIN_GATHERED ? CHAIN_TILE : one(w->how[k]);
        w->begin[k] = begin;
        begin += (room + CHAIN_LINE - 1) / CHAIN_LINE * CHAIN_LINE;
    }
    resolve(w);
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
        const int64_t rest = w->steady - at % w->steady, here = n < rest ? n : rest;
        lay_out(w, place, at / w->block);
        for (int k = 0; k < w->n_in; k++) {
            const tg_tensor *x = &w->in[k];
            const chain_access how = w->how[k];
            float *room = place->room + w->begin[k];
            if (how == CHAIN_GATHERED || one(how))
                gather(w, k, at, how == CHAIN_GATHERED ? here : 1, room);
            program.in[k] = how == CHAIN_WHOLE ? tg_at(x->data, x->dtype, at) : room;
            program.step[k] = how == CHAIN_WHOLE ? (int64_t)tg_size(x->dtype) : one(how) ? 0 : (int64_t)sizeof(float);
            program.first[k] = how == CHAIN_REPEATED ? at % w->block % w->period : 0;
            program.period[k] = how == CHAIN_REPEATED ? w->period : 0;
            program.fetch[k] = w->fetch && how == CHAIN_WHOLE;
        }
        w->v->run(&program, y, here);
        at += here;
        n -= here;
        y = tg_at(y, w->leaves, here);
    }
}

/* -- the whole of a call ----------------------------------------------------------------------------------------------- */

bool chain_whole(const tg_tensor *result)
{
    const tg_tensor *one[] = { result };
    loops l = loops_of(one, 1);
    return l.rank == 1 && (l.stride[0][0] == 1 || l.dim[0] == 1);
}

struct task { const tg_call *c; chain_walk w; int64_t n; };

static void work(void *arg, int64_t from, int64_t to)
{
    const struct task *t = arg;
    const tg_tensor *y = &t->c->out;
    chain_place place = { (float *)t->c->scratch + pool_worker() * chain_room(t->c->n_in), -1 };
    for (int64_t i = from; i < to; i++) {
        int64_t at = i * CHAIN_TILE, n = t->n - at < CHAIN_TILE ? t->n - at : CHAIN_TILE;
        chain_tile(&t->w, &place, at, n, tg_at(y->data, y->dtype, at));
    }
}

void chain_run(const tg_call *c)
{
    struct task t;
    t.c = c;
    t.n = tg_numel(c->out.shape);
    chain_begin(&t.w, c->state, c->in, c->n_in, &c->out, c->out.dtype);
    pool_run(c->pool, (t.n + CHAIN_TILE - 1) / CHAIN_TILE, 8, work, &t);
}
