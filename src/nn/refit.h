/* refit.h - stored tensors fitted to a network of another size, as timm does when it loads them. */
#ifndef NN_REFIT_H
#define NN_REFIT_H
#include "base/status.h"
#include "timm/model.h"

/* grid: rows and columns of the patches of the network that the file is of; zeros: nothing tells.
 * Whether a stored tensor is another than the declared one: its shape may be the same and its grid not. */
bool refit_needed(const nn_par *par, const int64_t grid[2], tg_shape from, tg_shape to);
/* Resamples by the parameter's rule.  False: no rule leads there, or, with a status, it failed. */
bool refit_tensor(const nn_par *par, const int64_t grid[2], const float *in, tg_shape from, float *out, tg_shape to, status *st);
/* Input channels of a convolution (o, i, kh, kw): summed for one, else the old ones repeated and scaled.  False: no such rule. */
bool adapt_input_conv(const float *in, tg_shape from, float *out, tg_shape to);

#endif
