/* onednn_v2.c - memory descriptors are values, and operations are described before they are made. */
#include "onednn_api.h"
#if DNNL_VERSION_MAJOR == 2
#include <stdlib.h>

dn_md dn_strided(int rank, const int64_t *dim, const int64_t *stride)
{
    dn_md md = malloc(sizeof *md);
    if (!md)
        return NULL;
    dnnl_status_t s = stride ? dn()->memory_desc_init_by_strides(md, rank, dim, dnnl_f32, stride)
                             : dn()->memory_desc_init_by_tag(md, rank, dim, dnnl_f32, dnnl_format_tag_any);
    if (s == dnnl_success)
        return md;
    free(md);
    return NULL;
}

void dn_md_free(dn_md md) { free(md); }

bool dn_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dn()->post_ops_append_eltwise(ops, 1.f, kind, a, b) == dnnl_success;
}

bool dn_append_sum(dnnl_post_ops_t ops) { return dn()->post_ops_append_sum(ops, 1.f) == dnnl_success; }

bool dn_conv_desc(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, const int64_t *stride,
                  const int64_t *dilation, const int64_t *before, const int64_t *after, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d;
    return dn()->dilated_convolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_convolution_direct, x, w, bias,
                                                       y, stride, dilation, before, after)
               == dnnl_success
           && dn()->primitive_desc_create(pd, &d, attr, dn()->engine, NULL) == dnnl_success;
}

bool dn_conv_grad_desc(dnnl_primitive_desc_t *pd, dn_conv_grad which, dnnl_primitive_desc_t forward, dn_md x, dn_md w,
                       dn_md y, const int64_t *stride, const int64_t *dilation, const int64_t *before,
                       const int64_t *after, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d;
    dnnl_status_t s =
        which == DN_CONV_GRAD_INPUT
            ? dn()->dilated_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, x, w, y, stride, dilation,
                                                                before, after)
            : dn()->dilated_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, x, w, NULL, y, stride,
                                                                   dilation, before, after);
    return s == dnnl_success && dn()->primitive_desc_create(pd, &d, attr, dn()->engine, forward) == dnnl_success;
}

bool dn_matmul_desc(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t d;
    return dn()->matmul_desc_init(&d, x, w, bias, y) == dnnl_success
           && dn()->primitive_desc_create(pd, &d, attr, dn()->engine, NULL) == dnnl_success;
}
#endif
