/* lanes.h - convolutions with channels in the lanes: depthwise, or in narrow groups of as many channels in as out. */
#ifndef LANES_H
#define LANES_H
#include "graph/graph.h"
#include "vec.h"

typedef struct lanes {
    void (*rows)(const depthwise *d, int64_t from, int64_t to, int64_t c, int64_t end);    /* NULL: not such channels */
    int64_t width;                          /* channels of a group */
    int64_t unit;                           /* channels that a call of rows has at least, unless there are no more */
    int64_t block, room;                    /* weights lie as [block][tap][i of a group][lane], channels filled up to room */
} lanes;
lanes lanes_of(int64_t channels, int64_t width);
const char *lanes_narrow(const tg_shape *w, int64_t groups);            /* NULL: weights of narrow groups that rows has; else why not */

/* Rows and columns of taps: the kernel's first, first + step, ... */
typedef struct lane_taps { int64_t count[2], first[2], step[2]; } lane_taps;
/* Weights w (o, i, kh, kw) of these taps, channels out in the lanes; turned: channels in, as the gradient of the input has it. */
void lanes_order(const lanes *l, const tg_tensor *w, const lane_taps *t, bool turned, float *to);
void lanes_bias(const lanes *l, const tg_tensor *bias, float *to);      /* filled up with zeros; NULL: zeros alone */
static inline int64_t lanes_weights(const lanes *l, int64_t taps) { return l->room * l->width * taps; }

/* Of weights for depthwise_bf16.c: the channel at place i. Of 32, the even ones lie before the odd ones, as a vector of pairs widens. */
static inline int64_t lanes_turned(int64_t i) { return i / 32 * 32 + i % 16 * 2 + i / 16 % 2; }

#endif
