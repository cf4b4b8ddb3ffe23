/* act.h - unary and binary functions by number: what a kernel applies to its results, and the elementwise kernel to anything. */
#ifndef ACT_H
#define ACT_H
#include "graph/graph.h"

typedef enum act_kind {
    ACT_NONE, ACT_CLAMP, ACT_LEAKY, ACT_ELU, ACT_AFFINE, ACT_ABS, ACT_SQRT, ACT_RSQRT, ACT_EXP, ACT_ERF, ACT_TANH,
    ACT_SIGMOID, ACT_SILU, ACT_GELU, ACT_GELU_TANH, ACT_QUICK_GELU, ACT_HARD_SWISH, ACT_HARD_SIGMOID,
    ACT_SILU_SLOPE, ACT_GELU_SLOPE, ACT_HARD_SWISH_SLOPE, ACT_KINDS
} act_kind;

typedef struct act {
    act_kind kind;
    float a, b;                 /* clamp: from a to b; affine: a x + b; leaky, elu: a */
} act;

/* op NULL: none.  attr: the op's attributes or NULL.  False: no such function here. */
bool act_of(const tg_op *op, const double *attr, act *out);

typedef enum binary_kind { BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_MAX, BIN_MIN, BIN_GREATER, BIN_KINDS } binary_kind;
bool binary_of(const tg_op *op, binary_kind *kind);         /* false: not one of these */

#endif
