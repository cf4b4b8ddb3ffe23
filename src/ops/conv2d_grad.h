/* conv2d_grad.h - the two transposes of a convolution.  Attributes are the convolution's, and the shape of the result. */
#ifndef OPS_CONV2D_GRAD_H
#define OPS_CONV2D_GRAD_H
#include "ops/op.h"

typedef struct conv2d_grad_attr { conv2d_attr conv; tg_shape shape; } conv2d_grad_attr;

/* dx of y = conv(x, w), given dy and w; shape: x's. */
tg *conv2d_grad_input(tg *dy, tg *w, const conv2d_attr *conv, tg_shape shape);
/* dw, given dy and x; shape: w's. */
tg *conv2d_grad_weight(tg *dy, tg *x, const conv2d_attr *conv, tg_shape shape);
void conv2d_grad_describe(const void *attr, char *text, size_t size);

#endif
