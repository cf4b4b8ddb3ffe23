/* chain.h - chains of elementwise ops (ops/pointwise.c), a tile at a time. */
#ifndef CHAIN_H
#define CHAIN_H
#include "gemm.h"
#include "kernels.h"
#include "loops.h"
#include "ops/attrs.h"
#include "vec.h"

enum { CHAIN_TILE = 2048, CHAIN_ROW = 4096, CHAIN_LINE = 16 };          /* numbers: of a tile and of a row that is laid out, at most; of a line */
_Static_assert((int)CHAIN_OPERANDS == (int)POINTWISE_INPUTS && (int)CHAIN_KEPT == (int)POINTWISE_STEPS, "a chain's own");

bool chain_known(const pointwise_attr *a);              /* all its steps can be run */
bool chain_whole(const tg_tensor *result);              /* it is one piece of memory, which a chain can leave */
/* A kernel's prepare, of the first n_in operands and what it has its scratch begin with, and its run; free() releases the state. */
bool chain_prepare(const tg_call *c, int n_in, const pointwise_attr *a, tg_prep *prep);
void chain_run(const tg_call *c);

/* -- for kernels that do something else with the numbers ------------------------------------------------------------------ */

typedef struct chain chain;                             /* the state */
int64_t chain_room(int n_in);                           /* numbers of scratch that a thread needs */

/* How an operand's numbers are found: as the result's; one for all, or for a row of the innermost axis; with each row anew, in a block of the
 * two innermost axes; any other way. */
typedef enum chain_access { CHAIN_WHOLE, CHAIN_ONE_FOR_ALL, CHAIN_ONE_A_ROW, CHAIN_REPEATED, CHAIN_GATHERED } chain_access;
/* A walk over the result's numbers in the order of memory; the result is one piece of it. */
typedef struct chain_walk {
    const chain *p;
    const tg_tensor *in;
    int n_in;
    loops l;
    chain_access how[POINTWISE_INPUTS];
    const chain_vec *v;
    bool (*quick)(act f, const float *x, float *y, int64_t n);          /* chain_program's */
    int64_t block, period;      /* numbers of a block, and of the rows of one that are laid out */
    int64_t steady;             /* numbers after which an operand may be another one */
    int64_t begin[POINTWISE_INPUTS];                    /* where in a thread's room what is laid out or gathered lies */
    tg_dtype leaves;
    bool fetch;                 /* operands ahead of their turn; false, as chain_begin has it: the processor does so by itself */
    chain_op op[CHAIN_OPS];
} chain_walk;
/* out: what has the result's shape and order in memory; leaves: what its numbers are. */
void chain_begin(chain_walk *w, const chain *p, const tg_tensor *in, int n_in, const tg_tensor *out, tg_dtype leaves);

typedef struct chain_place { float *room; int64_t block; } chain_place;         /* a thread's; block: which is laid out, -1: none is */
/* n <= CHAIN_TILE numbers from `at` on. */
void chain_tile(const chain_walk *w, chain_place *place, int64_t at, int64_t n, void *y);

#endif
