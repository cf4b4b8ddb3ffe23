/* attrs.h - attributes that a backend or a pass must read; all others stay in their op's file. */
#ifndef OPS_ATTRS_H
#define OPS_ATTRS_H
#include "graph/graph.h"

/* What may go with a product inside its kernel: y = act(y + bias + residual), act being a unary elementwise op; and conv2d's gate. */
typedef struct epilogue {
    bool bias, residual;        /* operands, in this order, after the op's own */
    bool act_first;             /* y = act(y + bias) + residual */
    bool gate;                  /* an operand, the last: x is multiplied by it, (n, c, 1, 1) */
    const tg_op *act;           /* NULL: none */
    double act_attr[2];         /* its attributes, if any */
} epilogue;

typedef struct conv2d_attr { int stride[2], pad[4], dilation[2], groups; epilogue e; } conv2d_attr;   /* h, w; pad: top, left, bottom, right */
typedef struct expand_depthwise_attr { conv2d_attr expand, depthwise; } expand_depthwise_attr;
typedef struct conv2d_shortcut_attr { int stride[2]; epilogue e; } conv2d_shortcut_attr;        /* of the second image; bias and act */
typedef struct linear_attr { epilogue e; } linear_attr;
typedef struct attention_attr { bool bias; double scale; } attention_attr;
typedef struct attention_grad_attr { attention_attr forward; bool of_bias; } attention_grad_attr;
typedef struct norm_attr { int axis, groups; bool weight, bias; double eps; } norm_attr;   /* operands weight, bias follow x when present */
typedef struct pool_attr { int k, stride, pad[4]; bool ceil, exclude_pad; } pool_attr;
typedef struct axes_attr { unsigned axes; } axes_attr;
typedef struct axis_attr { int axis; } axis_attr;
typedef struct scalar2_attr { double a, b; } scalar2_attr;       /* affine: a x + b; clamp: lo, hi; elu, leaky_relu: a */
typedef struct permute_attr { int order[TG_MAX_RANK]; } permute_attr;
typedef struct shape_attr { tg_shape shape; } shape_attr;         /* reshape, expand */
typedef struct slice_attr { int axis; int64_t from, to, step; } slice_attr;
typedef struct roll_attr { int axis; int64_t shift; } roll_attr;
typedef struct bernoulli_attr { tg_shape shape; double chance, value; uint64_t site; } bernoulli_attr;
/* A small program of elementwise ops: step i is op(a, b), operands below POINTWISE_INPUTS being the node's, others the
 * results of steps before; the last step is the result.  Unused bytes are zero. */
enum { POINTWISE_INPUTS = 10, POINTWISE_STEPS = 24 };
typedef struct pointwise_step { const tg_op *op; int a, b; double attr[2]; } pointwise_step;
typedef struct pointwise_attr { int64_t steps; pointwise_step step[POINTWISE_STEPS]; } pointwise_attr;
typedef struct resize_attr { int64_t h, w; int mode; bool antialias; } resize_attr;

/* Where element i of a padded axis, counted from the first that was there, comes from, of n; -1: from nowhere. */
int64_t pad_source(const tg_pads *o, int64_t i, int64_t n);

#endif
