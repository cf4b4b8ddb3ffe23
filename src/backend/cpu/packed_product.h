/* packed_product.h - what the kernels of ops with an epilogue (conv2d, linear) do alike. */
#ifndef PACKED_PRODUCT_H
#define PACKED_PRODUCT_H
#include "backend/backend.h"
#include "gemm.h"
#include "ops/attrs.h"

static inline const tg_tensor *epilogue_bias(const tg_call *c, const epilogue *e) { return e->bias ? &c->in[2] : NULL; }
static inline const tg_tensor *epilogue_residual(const tg_call *c, const epilogue *e)
{
    return e->residual ? &c->in[2 + e->bias] : NULL;
}
static inline const tg_tensor *epilogue_gate(const tg_call *c, const epilogue *e) { return e->gate ? &c->in[c->n_in - 1] : NULL; }
/* NULL: there is a function for it, bias and residual are of a kind the kernels take (residual: last or channel axis dense), and there is
 * no gate; or of a kernel that takes gates. */
const char *epilogue_declines(const tg_call *c, const epilogue *e, int axis);
const char *gated_declines(const tg_call *c, const epilogue *e, int axis);
/* And for seven products of halves, images of so many rows. */
const char *halves_declines(const tg_call *c, const epilogue *e, int64_t image, int64_t n, int64_t k);
double halves_rows(const tg_call *c, int64_t image);        /* of the whole batch, as rules want them */
bool all_f32(const tg_call *c);

/* Right operand: packed once where it is constant, else in each run, in scratch. */
typedef struct product {
    const gemm_vec *v;
    int64_t m, n, k;
    packed w;
    act f;
    int threads;
    int64_t image;                          /* gemm.image */
    size_t pack_bytes, gemm_bytes;          /* of scratch, in this order */
} product;
/* Element (p, j) at w[p * sk + j * sn]; w NULL: it is packed in each run, a constant's (in a sketch) never. p->m, n, k and image are set. taps: of the products
 * to come. */
bool product_prepare(product *p, const tg_call *c, const epilogue *e, int64_t taps, const float *w, int64_t sk,
                     int64_t sn, tg_prep *prep);
/* Fills in the packed operand (packing w now if need be), the function and the residual. */
void product_begin(const product *p, const tg_call *c, const epilogue *e, const float *w, int64_t sk, int64_t sn,
                   gemm *g);
/* Rows at one distance are not packed, if they are of bfloat16 in whole slabs: then g->direct is set. */
void product_direct(gemm *g, const void *x, int64_t stride);
/* In parts of numbers (bf16x3, bf16x6) k x n weights are too few to make up for what packing the rows takes. */
bool product_exact(tg_precision p, int64_t k, int64_t n);
/* What of such a call may be bfloat16 in memory (tg_kernel.narrow). */
unsigned product_narrow(const tg_call *c, const epilogue *e);
void product_release(void *state);          /* a state that begins with a product */

#endif
