/* lanes_bf16.h - what convolutions with channels in the lanes share where maps are bfloat16: 32 channels of some pixels at a time. */
#ifndef LANES_BF16_H
#define LANES_BF16_H
#include "bf16_simd.h"
#include "depthwise_simd.h"

enum { STRIP = 8, WIDE_VW = 2 * VW };       /* most pixels of a strip; channels */

INLINE void leave_as(const form how, const curve *of, const bool in_order, const float *sum, int pixels, int n, uint16_t *y, int64_t step)
{
    const bend q = bend_of(of);
    for (int p = 0; p < pixels; p++, sum += WIDE_VW, y += step) {
        const vf a = follow(how, &q, vload(sum)), b = follow(how, &q, vload(sum + VW));
        put(y, in_order ? halves(a, b) : (vh)pair(a, b), n);
    }
}

/* Of sums of n channels a pixel, in order or the even ones first, what f makes, pixels `step` apart.  Functions that have no curve take their time. */
INLINE void leave(act f, const curve *q, const bool in_order, float *sum, int pixels, int n, uint16_t *y, int64_t step)
{
    switch (q->form) {
    case PLAIN:    leave_as(PLAIN, q, in_order, sum, pixels, n, y, step); break;
    case ABOVE:    leave_as(ABOVE, q, in_order, sum, pixels, n, y, step); break;
    case STRAIGHT: leave_as(STRAIGHT, q, in_order, sum, pixels, n, y, step); break;
    case CURVED:   leave_as(CURVED, q, in_order, sum, pixels, n, y, step); break;
    case PIECES:   leave_as(PIECES, q, in_order, sum, pixels, n, y, step); break;
    case PIECES_TANH: leave_as(PIECES_TANH, q, in_order, sum, pixels, n, y, step); break;
    case HARD:     leave_as(HARD, q, in_order, sum, pixels, n, y, step); break;
    default:
        VEC_PICK(elementwise_vec)->unary(f, sum, sum, (int64_t)pixels * WIDE_VW);
        leave_as(PLAIN, q, in_order, sum, pixels, n, y, step);
    }
}

#endif
