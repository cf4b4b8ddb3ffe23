/* chain.h - chains of elementwise ops (ops/pointwise.c), a tile at a time. */
#ifndef CHAIN_H
#define CHAIN_H
#include "gemm.h"
#include "loops.h"
#include "ops/attrs.h"
#include "vec.h"

enum { CHAIN_TILE = 2048, CHAIN_ROW = 4096, CHAIN_LINE = 16 };          /* numbers: of a tile and of a row that is laid out, at most; of a line */
_Static_assert((int)CHAIN_OPERANDS == (int)POINTWISE_INPUTS && (int)CHAIN_KEPT == (int)POINTWISE_STEPS, "a chain's own");

typedef struct chain chain;
bool chain_known(const pointwise_attr *a);              /* all its steps can be run */
chain *chain_make(const pointwise_attr *a);             /* free(); NULL: no memory */
size_t chain_bytes(const chain *p);
int64_t chain_room(int n_in);                           /* numbers of scratch that a thread needs */

/* How an operand's numbers are found: as the result's; one for all; with each row of the innermost axis anew, in a block of the two innermost
 * axes; any other way. */
typedef enum chain_access { CHAIN_WHOLE, CHAIN_ALL, CHAIN_REPEATED, CHAIN_GATHERED } chain_access;
/* A walk over the result's numbers in the order of memory; the result is one piece of it. */
typedef struct chain_walk {
    const chain *p;
    const tg_tensor *in;
    int n_in;
    loops l;
    chain_access how[POINTWISE_INPUTS];
    const chain_vec *v;
    bool (*quick)(act f, const float *x, float *y, int64_t n);          /* chain_program's */
    int64_t n, block, period;                           /* numbers of the result, of a block, of the rows of one that are laid out */
    int64_t begin[POINTWISE_INPUTS];                    /* where in a thread's room what is laid out or gathered lies */
    tg_dtype leaves;
    chain_op op[CHAIN_OPS];
} chain_walk;
/* out: what has the result's shape and order in memory; leaves: what its numbers are. */
chain_walk chain_begin(const chain *p, const tg_tensor *in, int n_in, const tg_tensor *out, tg_dtype leaves);

typedef struct chain_place { float *room; int64_t block; } chain_place;         /* a thread's; block: which is laid out, -1: none is */
/* n <= CHAIN_TILE numbers from `at` on. */
void chain_tile(const chain_walk *w, chain_place *place, int64_t at, int64_t n, void *y);

#endif
