/* clip.h - what clipping does to gradients, as timm's dispatch_clip_grad.  In place; sums run in double, in one fixed order. */
#ifndef TRAIN_CLIP_H
#define TRAIN_CLIP_H
#include "graph/graph.h"

typedef enum clip_mode { CLIP_NONE, CLIP_NORM, CLIP_VALUE, CLIP_AGC } clip_mode;
typedef struct clip_tensor { float *grad; const float *value; tg_shape shape; } clip_tensor;

/* norm: all gradients together have at most this 2-norm.  value: every number lies in [-limit, limit].  agc: each output unit's
 * gradient has at most limit times the norm of its weights (Brock et al., 2021); a head is not to be among them. */
void clip_gradients(clip_mode mode, double limit, clip_tensor *tensors, int n);

#endif
