/* chain_simd.h - the machine that runs chains of elementwise ops (chain.c): a strip of numbers is kept in registers from one
 * instruction to the next, so that memory is read and written once. */
#ifndef CHAIN_SIMD_H
#define CHAIN_SIMD_H
#include "act_simd.h"
#include "vec.h"

enum { CHAIN_VECS = 8, CHAIN_STRIP = CHAIN_VECS * VW };
_Static_assert((int)CHAIN_STRIP <= (int)CHAIN_LONGEST, "room for strips");

INLINE vf chain_from(const chain_source s, const void *p, int v)
{
    switch (s) {
    case CHAIN_FLOATS:  return vload((const float *)p + v * VW);
    case CHAIN_BFLOATS: return vwiden((const uint16_t *)p + v * VW, VW);
    default:            return vset(*(const float *)p);
    }
}

/* Functions that need registers of their own: through memory, from one loop over all of the strip. */
static void chain_dear(const chain_program *p, const chain_op *op, float *x)
{
    if (op->code == CHAIN_PLAIN)
        for (int i = 0; i < CHAIN_STRIP; i++)
            x[i] = (float)op->op->scalar((double)x[i], op->attr);
    else if (!p->quick || !p->quick(op->f, x, x, CHAIN_STRIP))
        p->unary(op->f, x, x, CHAIN_STRIP);
}

#define EACH_VEC UNROLL for (int v = 0; v < CHAIN_VECS; v++)
#define OF_SOURCE(code, s, value) \
    case (code) + (s): { \
        const chain_source source = s; \
        EACH_VEC a[v] = value; \
        break; \
    }
#define OF_EACH(code, value) OF_SOURCE(code, CHAIN_FLOATS, value) OF_SOURCE(code, CHAIN_BFLOATS, value) OF_SOURCE(code, CHAIN_ONE, value)
#define OPERAND chain_from(source, at[op->operand], v)
#define OF_KIND(kind) \
    OF_EACH(CHAIN_BINARY + (kind) * CHAIN_SOURCES, vbinary(kind, a[v], OPERAND)) \
    OF_EACH(CHAIN_TURNED + (kind) * CHAIN_SOURCES, vbinary(kind, OPERAND, a[v]))
#define OF_SOFT(kind) \
    case CHAIN_UNARY + (kind): \
        EACH_VEC a[v] = how->soft ? how->soft(kind, a[v]) : vact(kind, a[v], a[v], a[v]); \
        break;
#define OF_ACT(kind) case CHAIN_UNARY + (kind): EACH_VEC a[v] = vact(kind, a[v], vset(op->f.a), vset(op->f.b)); break;

/* Results as bfloat16: puts two vectors; functions as exact as that which need few registers.  NULL: floats, and none. */
typedef struct chain_how {
    void (*narrow)(uint16_t *to, vf a, vf b);
    vf (*soft)(act_kind kind, vf x);
} chain_how;

/* One strip: operands lie at `at`, the result goes to y. */
INLINE void chain_strip(const chain_program *p, void *const *at, void *y, const chain_how *how)
{
    vf a[CHAIN_VECS] = { 0 };
    for (const chain_op *op = p->op;; op++)
        switch (op->code) {
        OF_EACH(CHAIN_LOAD, OPERAND)
        OF_KIND(BIN_ADD) OF_KIND(BIN_SUB) OF_KIND(BIN_MUL) OF_KIND(BIN_DIV) OF_KIND(BIN_MAX) OF_KIND(BIN_MIN) OF_KIND(BIN_GREATER)
        OF_ACT(ACT_CLAMP) OF_ACT(ACT_AFFINE) OF_ACT(ACT_HARD_SWISH) OF_ACT(ACT_HARD_SIGMOID) OF_ACT(ACT_HARD_SWISH_SLOPE)
        OF_SOFT(ACT_SIGMOID) OF_SOFT(ACT_SILU) OF_SOFT(ACT_QUICK_GELU) OF_SOFT(ACT_SILU_SLOPE)
        case CHAIN_KEEP:
            EACH_VEC vstore((float *)at[op->operand] + v * VW, a[v]);
            break;
        case CHAIN_LEAVE + CHAIN_FLOATS:
            EACH_VEC vstore((float *)y + v * VW, a[v]);
            return;
        case CHAIN_LEAVE + CHAIN_BFLOATS:
            EACH_VEC
                if (how->narrow && v % 2 == 0)
                    how->narrow((uint16_t *)y + v * VW, a[v], a[v + 1]);
            return;
        default: {
            float x[CHAIN_STRIP];
            EACH_VEC vstore(x + v * VW, a[v]);
            chain_dear(p, op, x);
            EACH_VEC a[v] = vload(x + v * VW);
        }
        }
}

enum { CHAIN_AHEAD = 4096 };            /* bytes: while a strip is computed, memory would rest */

/* An operand on its way: bytes a strip, and where what repeats ends. */
typedef struct chain_way { int operand; bool fetch; int64_t bytes, period; const char *end; } chain_way;

INLINE int chain_ways(const chain_program *p, void **at, chain_way *way)
{
    int n = 0;
    for (int k = 0; k < p->n_in; k++) {
        const int64_t step = p->step[k], period = p->period[k] * step;
        at[k] = (char *)p->in[k] + p->first[k] * step;
        if (step)
            way[n++] = (chain_way){ k, p->fetch[k], step * CHAIN_STRIP, period, period ? (const char *)p->in[k] + period : (const char *)UINTPTR_MAX };
    }
    return n;
}

INLINE void chain_strips(const chain_program *p, void *y, int64_t n, const chain_how *how)
{
    const int64_t size = how->narrow ? sizeof(uint16_t) : sizeof(float);
    _Alignas(64) float kept[CHAIN_KEPT][CHAIN_STRIP];
    void *at[CHAIN_OPERANDS + CHAIN_KEPT];
    chain_way way[CHAIN_OPERANDS];
    const int ways = chain_ways(p, at, way);
    for (int k = 0; k < CHAIN_KEPT; k++)
        at[CHAIN_OPERANDS + k] = kept[k];
    int64_t i = 0;
    for (; i + CHAIN_STRIP <= n; i += CHAIN_STRIP) {
        chain_strip(p, at, (char *)y + i * size, how);
        for (const chain_way *w = way; w < way + ways; w++) {
            char *next = (char *)at[w->operand] + w->bytes;
            for (int64_t b = 0; w->fetch && b < w->bytes; b += 64)
                __builtin_prefetch(next + CHAIN_AHEAD + b, 0, 2);
            at[w->operand] = next >= w->end ? next - w->period : next;
        }
    }
    if (i < n) {                                        /* what is left as a whole strip elsewhere */
        float part[CHAIN_OPERANDS + 1][CHAIN_STRIP] = { 0 };
        for (const chain_way *w = way; w < way + ways; w++) {
            memcpy(part[w->operand], at[w->operand], (size_t)((n - i) * p->step[w->operand]));
            at[w->operand] = part[w->operand];
        }
        chain_strip(p, at, part[CHAIN_OPERANDS], how);
        memcpy((char *)y + i * size, part[CHAIN_OPERANDS], (size_t)((n - i) * size));
    }
}

#endif
