/* onednn_v3.c - memory descriptors are handles, and operations are made in one step. */
#include "onednn_api.h"
#if DNNL_VERSION_MAJOR == 3

dn_md dn_strided(int rank, const int64_t *dim, const int64_t *stride)
{
    dn_md md = NULL;
    dnnl_status_t s = stride ? dn()->memory_desc_create_with_strides(&md, rank, dim, dnnl_f32, stride)
                             : dn()->memory_desc_create_with_tag(&md, rank, dim, dnnl_f32, dnnl_format_tag_any);
    return s == dnnl_success ? md : NULL;
}

void dn_md_free(dn_md md)
{
    if (md)
        dn()->memory_desc_destroy(md);
}

bool dn_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dn()->post_ops_append_eltwise(ops, kind, a, b) == dnnl_success;
}

bool dn_append_sum(dnnl_post_ops_t ops) { return dn()->post_ops_append_sum(ops, 1.f, 0, dnnl_f32) == dnnl_success; }

bool dn_conv_desc(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, const int64_t *stride,
                  const int64_t *dilation, const int64_t *before, const int64_t *after, dnnl_primitive_attr_t attr)
{
    return dn()->convolution_forward_primitive_desc_create(pd, dn()->engine, dnnl_forward_inference,
                                                           dnnl_convolution_direct, x, w, bias, y, stride, dilation,
                                                           before, after, attr)
           == dnnl_success;
}

bool dn_conv_grad_desc(dnnl_primitive_desc_t *pd, dn_conv_grad which, dnnl_primitive_desc_t forward, dn_md x, dn_md w,
                       dn_md y, const int64_t *stride, const int64_t *dilation, const int64_t *before,
                       const int64_t *after, dnnl_primitive_attr_t attr)
{
    dnnl_status_t s =
        which == DN_CONV_GRAD_INPUT
            ? dn()->convolution_backward_data_primitive_desc_create(pd, dn()->engine, dnnl_convolution_direct, x, w, y,
                                                                    stride, dilation, before, after, forward, attr)
            : dn()->convolution_backward_weights_primitive_desc_create(pd, dn()->engine, dnnl_convolution_direct, x, w,
                                                                       NULL, y, stride, dilation, before, after,
                                                                       forward, attr);
    return s == dnnl_success;
}

bool dn_matmul_desc(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, dnnl_primitive_attr_t attr)
{
    return dn()->matmul_primitive_desc_create(pd, dn()->engine, x, w, bias, y, attr) == dnnl_success;
}
#endif
