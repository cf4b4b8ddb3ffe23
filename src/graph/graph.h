/* graph.h - nodes with shapes.  A graph is cheap and disposable: it is built, rewritten, planned and thrown away. */
#ifndef GRAPH_H
#define GRAPH_H
#include <stdio.h>
#include "base/arena.h"
#include "base/half.h"
#include "base/status.h"
#include "timm/model.h"

/* -- tensors: what a kernel sees -------------------------------------------------------------------------------------- */

/* Numbers in memory: single precision; where every kernel that touches a value can, bfloat16 (16 bits, plan.c); double where tests
 * run a definition in it. */
typedef enum tg_dtype { TG_F32, TG_F64, TG_BFLOAT } tg_dtype;
typedef struct tg_tensor {
    void *data;
    tg_dtype dtype;
    tg_shape shape;
    int64_t stride[TG_MAX_RANK];                        /* in elements; 0 where a size-1 axis is repeated */
    bool constant;                                      /* known when the kernel is prepared, and the same in every run */
} tg_tensor;

static inline double tg_get(const tg_tensor *t, int64_t offset)
{
    if (t->dtype == TG_BFLOAT)
        return (double)bfloat_to_float(((const uint16_t *)t->data)[offset]);
    return t->dtype == TG_F64 ? ((const double *)t->data)[offset] : (double)((const float *)t->data)[offset];
}
static inline void tg_put(const tg_tensor *t, int64_t offset, double v)
{
    if (t->dtype == TG_BFLOAT)
        ((uint16_t *)t->data)[offset] = float_to_bfloat((float)v);
    else if (t->dtype == TG_F64)
        ((double *)t->data)[offset] = v;
    else
        ((float *)t->data)[offset] = (float)v;
}
static inline int64_t tg_size(tg_dtype d) { return d == TG_F64 ? 8 : d == TG_BFLOAT ? 2 : 4; }      /* bytes of a number */
static inline void *tg_at(const void *data, tg_dtype d, int64_t offset) { return (char *)(uintptr_t)data + offset * tg_size(d); }
int64_t tg_numel(tg_shape s);
int64_t tg_span(tg_shape s, int from, int to);          /* product of dims [from, to) */
bool tg_same(tg_shape a, tg_shape b);
void tg_dense(tg_tensor *t);                            /* strides of row-major order */
void tg_channels_last(tg_tensor *t);                    /* rank 4: N H W C in memory; other ranks: row-major */
bool tg_is_dense(const tg_tensor *t);
bool tg_is_channels_last(const tg_tensor *t);           /* rank 4 and so in memory; size-1 axes are free */
int64_t tg_offset(const tg_tensor *t, const int64_t *index);
bool tg_next(tg_shape s, int64_t *index);               /* odometer, last axis fastest; false after the last */
const char *tg_str(tg_shape s);                         /* "(2, 512, 28, 28)": a ring of eight, per thread */

/* -- ops ---------------------------------------------------------------------------------------------------------------- */

/* How products (conv2d, linear, matmul, attention and their gradients) may take their operands; sums, and all else, are in
 * single precision.  BF16: rounded to bfloat16.  BF16X3: each as the sum of two bfloat16 numbers, the product of the two small
 * parts left out.  BF16X6: as the sum of three, which is all of it, and six products: what is left out is about as small as single
 * precision's own rounding.  A kernel may be more exact than it has to. */
typedef enum tg_precision { TG_FP32, TG_BF16X6, TG_BF16X3, TG_BF16, TG_PRECISIONS } tg_precision;

struct pool;
/* One use of a kernel: everything it may look at. */
typedef struct tg_call {
    const struct tg_op *op;
    const void *attr;
    const tg_tensor *in;
    int n_in;
    tg_tensor out;
    tg_precision precision;
    int64_t slice, batch;       /* of so many images that are run one slice after the other; slice 0: they are one */
    void *state;                /* what prepare made */
    void *scratch;              /* tg_prep.scratch bytes, 64-byte aligned, only during run */
    struct pool *pool;          /* threads.h */
} tg_call;

typedef struct tg_check { char *text; size_t size; bool failed; } tg_check;
/* A shape rule's refusal: "axis 5 of (2, 3)".  Returns an empty shape. */
tg_shape tg_reject(tg_check *c, const char *fmt, ...) TG_PRINTF(2, 3);

enum {
    TG_LEAF = 1,                /* no kernel: input, parameter, constant */
    TG_ELEMENTWISE = 2,         /* each result depends on one element of each operand; any strides */
    TG_VIEW = 4,                /* the same memory with other strides, where .view allows it */
    TG_SPATIAL = 8,             /* wants and gives channels-last memory for rank 4 */
    TG_INPLACE = 16,            /* may write over in[0]; if elementwise, over any operand */
    TG_FLAT = 32                /* its gradient is zero wherever it has one, or taken as zero */
};

typedef struct tg_case {        /* one test of one op; ops_test.c runs it on every backend and checks the gradient */
    tg_shape in[6];             /* rank 0 with dim[0] = 0 ends; a scalar is DIMS(1) */
    const void *attr;
    double lo, hi;              /* range of the inputs; both 0: -2 .. 2 */
    const char *rejects;        /* the shape rule's exact refusal; NULL: it accepts */
    const char *note;
    unsigned index_of;          /* bit i: input i is whole numbers in [lo, hi] */
    bool kinked;                /* no gradient check: not differentiable at a point likely to be hit */
} tg_case;

typedef struct tg_op {
    const char *name;
    int arity, optional;        /* operands needed; more that may follow; arity -1: one or more */
    size_t attr_size;           /* plain data, hashed and printed bytewise */
    unsigned flags;
    tg_shape (*shape)(tg_check *c, const tg_shape *in, int n_in, const void *attr);
    void (*grad)(tg *y, tg *dy, tg **dx);            /* builds nodes; dx[i] left NULL: no gradient flows there */
    void (*ref)(const tg_call *c);                   /* the definition: naive, any strides, float or double */
    /* Sets out->stride, and *offset (elements from in->data to out->data; 0 before); false: needs a copy.  No data is touched. */
    bool (*view)(const tg_tensor *in, const void *attr, tg_tensor *out, int64_t *offset);
    int64_t (*macs)(const tg_shape *in, int n_in, tg_shape out, const void *attr);   /* NULL: none worth counting */
    double (*scalar)(double x, const void *attr);    /* unary elementwise ops: the function itself */
    void (*describe)(const void *attr, char *text, size_t size);           /* NULL: nothing to say */
    const tg_case *cases; size_t n_cases;
    double tol;                 /* float kernels against the definition, relative to the largest value */
} tg_op;
#define TG_CASES(c) .cases = (c), .n_cases = sizeof(c) / sizeof *(c)

const tg_op *const *tg_ops(size_t *count);               /* all of ops.list */
const tg_op *tg_find_op(const char *name);

/* -- nodes -------------------------------------------------------------------------------------------------------------- */

typedef struct tg_graph tg_graph;
struct tg {
    const tg_op *op;
    tg_graph *graph;
    tg_shape shape;
    tg **in;
    int n_in;
    void *attr;
    const char *where;          /* scope of the layer that made it */
    int id;                     /* order of creation: operands first */
    bool poisoned;
    bool constant;              /* depends on nothing but parameters and constants; false for parameters that train */
    bool wants_grad;
    const float *data;          /* leaf "const": row-major */
    void *param;                /* leaf "param": the store's */
    int input;                  /* leaf "input": its number */
    int segment;                /* computed again for the gradients, with all of its number; 0: kept for them */
    int mark;                   /* scratch of the pass that runs */
};

struct tg_graph {
    arena mem;
    status *st;                 /* the first message */
    tg **node;
    int count, room;
    const char *where;
    bool params_vary;           /* training: parameters are inputs of the plan, not constants */
};

tg_graph *tg_graph_new(status *st);
void tg_graph_free(tg_graph *g);
void tg_where(tg_graph *g, const char *scope);                     /* of the nodes made next */
tg *tg_input(tg_graph *g, int number, tg_shape shape);
void tg_begin(tg *x, int number);                                  /* x becomes an input: what it was computed from is not asked for */
tg *tg_param_leaf(tg_graph *g, void *param, tg_shape shape, bool trains);
tg *tg_constant(tg_graph *g, tg_shape shape, const float *data);   /* copied */
tg *tg_apply(const tg_op *op, tg *const *in, int n_in, const void *attr);
tg *tg_after(tg *x, tg *before);                                   /* x, computed no sooner than `before`: after.c */
tg *tg_poison(tg_graph *g, timm_status code, const char *fmt, ...) TG_PRINTF(3, 4);
const void *tg_attr(const tg *x);

/* Live nodes of these outputs, operands before users.  *count; the array lives in the graph. */
tg **tg_order(tg_graph *g, tg *const *outputs, int n, int *count);
void tg_print(FILE *f, tg_graph *g, tg *const *outputs, int n);
/* Shapes computed again, no poison, operands made before users: what must hold after every pass. */
bool tg_verify(tg_graph *g, tg *const *outputs, int n, status *st);
/* d(sum of y * dy) / d(x[i]), each x[i] taken as independent of the others; dx[i] NULL where none flows.  autodiff.c. */
void tg_gradients(tg *y, tg *dy, tg *const *x, int n, tg **dx);

#endif
