/* op.h - what an op's file sees.  One file: shape rule, gradient, definition, cases, descriptor, constructor; and one line
 * in ops.list.  docs/DESIGN.md, "How an op is added". */
#ifndef OPS_OP_H
#define OPS_OP_H
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/attrs.h"
#define OP(name) extern const tg_op op_##name;
#include "ops/ops.list"
#undef OP
#endif
