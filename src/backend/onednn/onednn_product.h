/* onednn_product.h - a convolution or a product by constant weights, with its epilogue, as one oneDNN primitive. */
#ifndef ONEDNN_PRODUCT_H
#define ONEDNN_PRODUCT_H
#include "backend/backend.h"
#include "onednn_api.h"
#include "ops/attrs.h"

/* A tensor as oneDNN is to see it. */
typedef struct dn_view { int rank; int64_t dim[5], stride[5]; } dn_view;
/* Makes the primitive's description from the operands' and the epilogue's. */
typedef bool dn_describe(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, dnnl_primitive_attr_t attr,
                         const tg_call *c);

const char *dn_declines(const tg_call *c, const epilogue *e);
/* Some results of a convolution by h x w kernels read nothing but border, which oneDNN's generated code (2.6) does not survive. */
bool dn_wide_border(const conv2d_attr *a, int64_t h, int64_t w);
/* bias: rank 0 is none; a residual lies like y.  Weights are reordered into the layout oneDNN chooses. */
bool dn_prepare(const tg_call *c, const epilogue *e, dn_view x, dn_view w, dn_view bias, dn_view y,
                dn_describe *describe, tg_prep *prep);
void dn_run(const tg_call *c, const epilogue *e);
void dn_release(void *state);

extern const tg_kernel kernel_conv2d_onednn, kernel_linear_onednn, kernel_conv2d_changing_onednn,
    kernel_conv2d_grad_input_onednn, kernel_conv2d_grad_weight_onednn;

#endif
