/* refit.h - stored tensors fitted to a network of another size, as timm does when it loads them. */
#ifndef NN_REFIT_H
#define NN_REFIT_H
#include "base/status.h"
#include "timm/model.h"

/* Resamples by that rule; false with a status when it cannot. */
bool refit_tensor(nn_refit how, int64_t prefix, const float *in, tg_shape from, float *out, tg_shape to, status *st);
/* Input channels of a convolution (o, i, kh, kw): summed for one, else the old ones repeated and scaled. */
bool adapt_input_conv(const float *in, tg_shape from, float *out, tg_shape to, status *st);

#endif
