/* backend.h - kernels: faster ways to do what an op's definition says.
 *
 * A backend is a list of kernels; for one op they stand best first.  The planner asks each in turn with the shapes, strides
 * and attributes it has, and takes the first that claims; the definition is always last and claims everything.
 */
#ifndef BACKEND_H
#define BACKEND_H
#include "base/threads.h"
#include "graph/graph.h"

enum { NARROW_OPERANDS = 29 };              /* those beyond are never narrow */
#define NARROW_RESULT (1u << 31)
#define NARROW_ALIKE (1u << 30)             /* operands and result that can be narrow are of one kind */
#define NARROW_SUM (1u << 29)               /* the result, which many layers add to: not where weights change, whose gradients it would reach */

/* What prepare leaves behind. */
typedef struct tg_prep {
    void *state;                /* handed to run and release */
    size_t scratch;             /* bytes needed during run */
    unsigned consumed;          /* bit i: constant operand i was packed into state; its memory may go */
    size_t state_bytes;         /* what the state holds, for the memory report */
    bool sketch;                /* given: only scratch is wanted, as constant operands have no data to be packed; nothing will run */
    status *st;
} tg_prep;

typedef struct tg_kernel {
    const char *op, *name;      /* "conv2d", "onednn.conv2d" */
    /* NULL: yes; otherwise why not, in a few words.  in[i].data is set for constants that are already known. */
    const char *(*declines)(const tg_call *c);
    /* NULL: by rule it is the fastest from here on; otherwise why not, in a few words: then only a measurement takes it. */
    const char *(*doubts)(const tg_call *c);
    /* Strides the kernel would rather have, given shapes; called before declines on a copy of the call.  NULL: op flags decide.
     * May rewrite in[i].stride and out.stride; the planner inserts copies if the kernel then accepts. */
    void (*prefers)(const tg_call *c, tg_tensor *in, tg_tensor *out);
    bool (*prepare)(const tg_call *c, tg_prep *p);     /* NULL: nothing to prepare; false: failed, the next kernel is asked */
    void (*run)(const tg_call *c);
    void (*release)(void *state);
    /* On this machine it does this precision by instructions for it; then measuring tries single precision, too.  NULL: no. */
    bool (*apart)(tg_precision p);
    /* By rule such a call is faster in single precision, which is exact, whichever kernel does it.  NULL: none is. */
    bool (*exact)(const tg_call *c);
    bool fewer;                 /* fewer multiplications than the definition's, and more rounding: Winograd, Strassen */
    bool repack;                /* prepared state depends on constant operands' values */
    /* Bit i: operand i, NARROW_RESULT: the result, may lie in memory as bfloat16 (TG_BFLOAT) where the plan's precision allows it;
     * asked once prepared, and the call's dtypes tell when it runs.  NULL: none. */
    unsigned (*narrow)(const tg_call *c);
} tg_kernel;

typedef struct tg_backend {
    const char *name;           /* "cpu" */
    bool (*open)(void);         /* false: not on this machine; NULL: always.  Called once, may load libraries */
    const char *library;        /* whose kernels they are; NULL: our own */
    const char *(*version)(void);   /* of that library, once open */
    const tg_kernel *kernels;
    size_t count;
} tg_backend;

extern const tg_backend backend_cpu, backend_onednn, backend_ref;
/* NULL-ended lists by name: "auto", "cpu", "onednn", "ref"; NULL: no such name. */
const tg_backend *const *tg_backends(const char *name);

/* How this processor does products of bfloat16 numbers, in words. */
const char *cpu_bf16(void);
/* Measured now, on all threads of the pool, some hundredths of a second: products in a precision, and a copy from memory to memory,
 * bytes read and written.  False: out of memory. */
bool cpu_peak(struct pool *p, tg_precision precision, double *gflops, double *gb_per_second);

#endif
