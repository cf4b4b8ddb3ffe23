/* product.h - what may go with a product inside its kernel: y = act(y + bias + residual). */
#ifndef OPS_PRODUCT_H
#define OPS_PRODUCT_H
#include "ops/op.h"

/* Checks bias (out), residual (like the result), and the number of operands after x and w; not the gate's shape. */
bool epilogue_fits(tg_check *c, const epilogue *e, const tg_shape *in, int n_in, int64_t out, tg_shape result);
/* The finished number at index i of the result, of output channel o. */
double epilogue_of(const tg_call *c, const epilogue *e, double v, int64_t o, const int64_t *i);
void epilogue_describe(const epilogue *e, char *text, size_t size);

#endif
