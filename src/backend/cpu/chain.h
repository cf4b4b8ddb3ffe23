/* chain.h - chains of elementwise ops (ops/pointwise.c), a tile at a time: what lies between two steps stays in the first cache. */
#ifndef CHAIN_H
#define CHAIN_H
#include "gemm.h"
#include "loops.h"
#include "ops/attrs.h"
#include "vec.h"

enum { CHAIN_TILE = 1024 };

typedef struct chain chain;
bool chain_known(const pointwise_attr *a);              /* all its steps can be run */
chain *chain_make(const pointwise_attr *a);             /* free(); NULL: no memory */
size_t chain_bytes(const chain *p);
int64_t chain_room(const chain *p, int n_in);           /* numbers of scratch that a thread needs */

/* How an operand's numbers of a tile are found. */
typedef enum chain_access { CHAIN_WHOLE, CHAIN_ONE, CHAIN_REPEATED, CHAIN_GATHERED } chain_access;
/* A walk over the result's numbers in the order of memory; the result is one piece of it. */
typedef struct chain_walk {
    const chain *p;
    const tg_tensor *in;
    int n_in;
    loops l;
    chain_access how[POINTWISE_INPUTS];
    const gemm_vec *rough;      /* whose functions, as exact as bfloat16 tells, are enough; NULL, as chain_begin has it: no */
    int64_t n, tile;            /* numbers of the result; of a tile: whole rows of its innermost axis, if one fits */
} chain_walk;
chain_walk chain_begin(const chain *p, const tg_tensor *in, int n_in, const tg_tensor *out);
void chain_lay_out(const chain_walk *w, float *room);   /* before a thread's tiles: what repeats with each of them */
/* n <= CHAIN_TILE numbers from `at` on, which is the begin of a row if one fits a tile. */
void chain_tile(const chain_walk *w, float *room, int64_t at, int64_t n, float *y);

#endif
