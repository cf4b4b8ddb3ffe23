/* gather_grad.h - what goes back through a gather. */
#ifndef OPS_GATHER_GRAD_H
#define OPS_GATHER_GRAD_H
#include "ops/op.h"

tg *gather_grad(tg *dy, tg *index, tg_shape table);

#endif
