/* onednn_api.h - oneDNN's functions, looked up in the library when it is first wanted. Only this folder includes
 * oneDNN. */
#ifndef ONEDNN_API_H
#define ONEDNN_API_H
#include <stdbool.h>
#include <stdint.h>
#include <dnnl.h>
#if DNNL_VERSION_MAJOR < 2 || DNNL_VERSION_MAJOR > 3
#error "oneDNN 2 or 3 is needed"
#endif

#define DNNL_COMMON(F) \
    F(engine_create) F(stream_create) F(stream_wait) F(primitive_create) F(primitive_execute) F(primitive_destroy) \
    F(primitive_desc_destroy) F(primitive_desc_query_md) F(primitive_attr_create) F(primitive_attr_destroy) \
    F(primitive_attr_set_post_ops) F(primitive_attr_set_scratchpad_mode) F(post_ops_create) F(post_ops_destroy) \
    F(post_ops_append_eltwise) F(post_ops_append_sum) F(memory_create) F(memory_destroy) F(memory_set_data_handle) \
    F(memory_desc_get_size) F(memory_desc_equal) F(reorder_primitive_desc_create) F(version)
#if DNNL_VERSION_MAJOR == 2
#define DNNL_FUNCTIONS(F) \
    DNNL_COMMON(F) \
    F(memory_desc_init_by_strides) F(memory_desc_init_by_tag) F(primitive_desc_create) \
        F(dilated_convolution_forward_desc_init) F(dilated_convolution_backward_data_desc_init) \
        F(dilated_convolution_backward_weights_desc_init) F(matmul_desc_init)
typedef dnnl_memory_desc_t *dn_md;
typedef const dnnl_memory_desc_t *dn_const_md;
#else
#define DNNL_FUNCTIONS(F) DNNL_COMMON(F) F(memory_desc_create_with_strides) F(memory_desc_create_with_tag) \
    F(memory_desc_destroy) F(convolution_forward_primitive_desc_create) \
    F(convolution_backward_data_primitive_desc_create) F(convolution_backward_weights_primitive_desc_create) \
    F(matmul_primitive_desc_create)
typedef dnnl_memory_desc_t dn_md;
typedef const_dnnl_memory_desc_t dn_const_md;
#endif

struct dn_api {
#define DNNL_POINTER(name) __typeof__(&dnnl_##name) name;
    DNNL_FUNCTIONS(DNNL_POINTER)
#undef DNNL_POINTER
    void (*set_threads)(int);               /* of the OpenMP runtime underneath; NULL: it has none */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};
const struct dn_api *dn_load(void);         /* NULL: not on this machine.  Looks once. */
const struct dn_api *dn(void);              /* after dn_load has found it */

/* What differs between the versions: onednn_v2.c, onednn_v3.c. */
dn_md dn_strided(int rank, const int64_t *dim, const int64_t *stride);      /* stride NULL: any layout; NULL: failed */
bool dn_create(dnnl_primitive_t *made, const_dnnl_primitive_desc_t of);     /* false: failed, or too little memory is left, which oneDNN does not survive */
void dn_md_free(dn_md md);
bool dn_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b);
bool dn_append_sum(dnnl_post_ops_t ops);     /* y += what y holds */
bool dn_conv_desc(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, const int64_t *stride,
                  const int64_t *dilation, const int64_t *before, const int64_t *after, dnnl_primitive_attr_t attr);
typedef enum dn_conv_grad { DN_CONV_FORWARD, DN_CONV_GRAD_INPUT, DN_CONV_GRAD_WEIGHT } dn_conv_grad;
/* x, w, y: of the gradients too; forward is the convolution's own description. */
bool dn_conv_grad_desc(dnnl_primitive_desc_t *pd, dn_conv_grad which, dnnl_primitive_desc_t forward, dn_md x, dn_md w,
                       dn_md y, const int64_t *stride, const int64_t *dilation, const int64_t *before,
                       const int64_t *after, dnnl_primitive_attr_t attr);
bool dn_matmul_desc(dnnl_primitive_desc_t *pd, dn_md x, dn_md w, dn_md bias, dn_md y, dnnl_primitive_attr_t attr);

#endif
