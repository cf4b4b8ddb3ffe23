/* loops.h - the fewest nested loops that walk several tensors of one shape together, in the order of the first in
 * memory. */
#ifndef LOOPS_H
#define LOOPS_H
#include "base/threads.h"
#include "graph/graph.h"

enum { LOOPS_MOST = 12 };
typedef struct loops {
    int rank, tensors;
    int64_t dim[TG_MAX_RANK], stride[LOOPS_MOST][TG_MAX_RANK];          /* the last axis is the innermost */
} loops;
/* t[i]->shape of all but t[0] may have size-1 or absent leading axes where t[0] has more (numpy broadcasting). */
loops loops_of(const tg_tensor *const *t, int tensors);

/* n numbers of either kind, `step` apart, as floats side by side. */
void loops_gather(const void *from, tg_dtype of, int64_t step, int64_t n, float *to);

/* row(arg, offsets, n): n elements along the innermost axis from these offsets on; strides: loops.stride[t][rank - 1].
 * Rows are dealt out to threads, long ones in pieces; weight: how much work an element is, 1 for a copied number. */
typedef void loops_row(const void *arg, const int64_t *offset, int64_t n);
void loops_run(const loops *l, pool *p, int64_t weight, loops_row *row, const void *arg);

#endif
