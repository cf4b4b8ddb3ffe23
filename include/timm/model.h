/* model.h - for authors of models and ops: graph values (tg_) and layers (nn_).  Static linking only; may change.
 *
 * A value is a node of a graph; ops take values and return values, so expressions nest.  A value is never NULL: an op given
 * shapes that do not fit returns a poisoned value, which poisons everything made from it, and the graph keeps the first
 * message.  No line of a model file checks anything.  Logical shapes are PyTorch's (images are (N, C, H, W)); how the
 * numbers lie in memory is decided later, by the planner.
 */
#ifndef TIMM_MODEL_H
#define TIMM_MODEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__GNUC__) || defined(__clang__)
#define TG_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define TG_PRINTF(f, a)
#endif

/* -- values ---------------------------------------------------------------------------------------------------------- */

enum { TG_MAX_RANK = 6 };
typedef struct tg tg;
typedef struct tg_shape { int rank; int64_t dim[TG_MAX_RANK]; } tg_shape;
#define DIMS(...)  { sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), { __VA_ARGS__ } }   /* in static tables */
#define SHAPE(...) ((tg_shape)DIMS(__VA_ARGS__))                                             /* in code */
#define AXIS(i)    (1u << (i))                                                               /* sets of axes: AXIS(2) | AXIS(3) */

int64_t tg_dim(const tg *x, int axis);      /* axis may count from the end: -1 is the last */
int tg_rank(const tg *x);
tg_shape tg_shape_of(const tg *x);

/* Elementwise, one operand.  These, as function pointers, are also how option tables name an activation. */
typedef tg *tg_act(tg *x);
tg *tg_relu(tg *x);
tg *tg_relu6(tg *x);
tg *tg_gelu(tg *x);                         /* x Phi(x), with erf */
tg *tg_gelu_tanh(tg *x);                    /* the tanh approximation */
tg *tg_quick_gelu(tg *x);                   /* x sigmoid(1.702 x) */
tg *tg_silu(tg *x);
tg *tg_sigmoid(tg *x);
tg *tg_tanh(tg *x);
tg *tg_hard_swish(tg *x);                   /* x relu6(x + 3) / 6 */
tg *tg_hard_sigmoid(tg *x);                 /* relu6(x + 3) / 6 */
tg *tg_exp(tg *x);
tg *tg_log(tg *x);
tg *tg_erf(tg *x);
tg *tg_abs(tg *x);
tg *tg_softplus(tg *x);                     /* log(1 + exp(x)) */
tg *tg_sqrt(tg *x);
tg *tg_rsqrt(tg *x);                        /* 1 / sqrt(x) */
tg *tg_elu(tg *x, double alpha);
tg *tg_leaky_relu(tg *x, double slope);
tg *tg_clamp(tg *x, double lo, double hi);
tg *tg_affine(tg *x, double scale, double shift);    /* scale x + shift */
tg *tg_detach(tg *x);                       /* x, through which no gradient flows */
tg *tg_greater(tg *a, tg *b);               /* 1 where a > b, else 0; broadcasts */

/* Elementwise, two operands: numpy broadcasting. */
tg *tg_add(tg *a, tg *b);
tg *tg_sub(tg *a, tg *b);
tg *tg_mul(tg *a, tg *b);
tg *tg_div(tg *a, tg *b);
tg *tg_maximum(tg *a, tg *b);
tg *tg_minimum(tg *a, tg *b);
tg *tg_pow(tg *a, tg *b);                   /* a^b, a >= 0 */

/* Reductions keep the reduced axes as 1. */
tg *tg_sum(tg *x, unsigned axes);
tg *tg_mean(tg *x, unsigned axes);
tg *tg_amax(tg *x, unsigned axes);
tg *tg_softmax(tg *x, int axis);
tg *tg_logsumexp(tg *x, int axis);          /* log sum exp x */

/* Shapes. */
tg *tg_reshape(tg *x, tg_shape shape);      /* row-major order kept; one dimension may be -1 */
tg *tg_permute(tg *x, const int *order);    /* result axis i is x's axis order[i]; rank entries */
tg *tg_expand(tg *x, tg_shape shape);       /* size-1 axes repeated; rank equal */
tg *tg_slice(tg *x, int axis, int64_t from, int64_t to);                       /* [from, to); negative: from the end */
tg *tg_slice_step(tg *x, int axis, int64_t from, int64_t to, int64_t step);    /* step >= 1 */
tg *tg_concat(int axis, tg *a, tg *b);      /* a size-1 batch (axis 0) is broadcast to the other's */
tg *tg_concat_all(int axis, tg *const *x, int count);
tg *tg_roll(tg *x, int axis, int64_t shift);
tg *tg_gather(tg *table, tg *index);        /* rows of table (n, ...) by index (any shape, whole numbers): index shape + ... */
typedef enum tg_pad_mode { TG_PAD_CONST, TG_PAD_REFLECT, TG_PAD_EDGE } tg_pad_mode;
typedef struct tg_pads { int64_t before[TG_MAX_RANK], after[TG_MAX_RANK]; tg_pad_mode mode; double value; } tg_pads;
tg *tg_pad(tg *x, tg_pads o);
/* einops.rearrange with at most two named sizes: tg_rearrange(x, "b (h p) c -> b h p c", "h", 14).  No size: NULL, 0. */
tg *tg_rearrange(tg *x, const char *how, const char *axis, int64_t size);
tg *tg_rearrange2(tg *x, const char *how, const char *axis, int64_t size, const char *axis2, int64_t size2);

/* Images. */
typedef struct tg_conv { int stride, pad[4], dilation, groups; } tg_conv;       /* pad: top, left, bottom, right; 0: stride 1, ... */
tg *tg_conv2d(tg *x, tg *w, tg *bias, tg_conv o);     /* (n,c,h,w), (o,c/g,kh,kw), (o) or NULL */
typedef struct tg_pool { int k, stride, pad[4]; bool ceil, exclude_pad; } tg_pool;
tg *tg_max_pool(tg *x, tg_pool o);
tg *tg_avg_pool(tg *x, tg_pool o);
typedef enum tg_resize_mode { TG_NEAREST, TG_BILINEAR, TG_BICUBIC } tg_resize_mode;
tg *tg_resize(tg *x, int64_t h, int64_t w, tg_resize_mode mode, bool antialias);   /* torch interpolate, align_corners False */

/* Matrices. */
tg *tg_linear(tg *x, tg *w, tg *bias);      /* x w' + bias: (..., in), (out, in), (out) or NULL */
tg *tg_matmul(tg *a, tg *b);                /* (..., m, k) (..., k, n); leading axes broadcast */
/* softmax(scale q k' + bias) v on (b,h,n,d), (b,h,m,d), (b,h,m,e); bias broadcasts to (b,h,n,m), or has g images, where g divides b,
 * of which image i takes that of i mod g; NULL: none; scale 0: 1/sqrt(d) */
tg *tg_attention(tg *q, tg *k, tg *v, tg *bias, double scale);
tg *tg_attention_scores(tg *q, tg *k, tg *bias, double scale);      /* what is in the brackets: (b,h,n,m) */

/* Norms.  weight and bias may be NULL. */
tg *tg_batch_norm(tg *x, tg *weight, tg *bias, tg *mean, tg *var, double eps);      /* axis 1 */
tg *tg_layer_norm(tg *x, tg *weight, tg *bias, int axis, double eps);               /* over that one axis */
tg *tg_rms_norm(tg *x, tg *weight, int axis, double eps);
tg *tg_group_norm(tg *x, tg *weight, tg *bias, int groups, double eps);             /* (n,c,...) */

/* Random values are functions of a key (4) (nn_key), the site that asks, and the index. */
tg *tg_bernoulli(tg *key, tg_shape shape, double chance, double value, uint64_t site);             /* value with that chance, else 0 */
tg *tg_sample(tg *key, int64_t rows, int64_t from, int64_t take, uint64_t site);    /* (rows, take): of r from .. (r + 1) from - 1 */

/* A constant of the same graph as x; data is copied (row-major). */
tg *tg_const(const tg *x, tg_shape shape, const float *data);
tg *tg_full(const tg *x, tg_shape shape, double value);

/* -- layers: each declares its parameters where it is used ------------------------------------------------------------ */

typedef struct nn_build nn_build;
typedef struct nn_scope { nn_build *b; const char *path; } nn_scope;        /* passed by value */
nn_scope at(nn_scope s, const char *fmt, ...) TG_PRINTF(2, 3);               /* "" + "layer%d" -> "layer1" -> "layer1.0" */

typedef enum nn_pooling {
    NN_POOL_DEFAULT, NN_POOL_NONE, NN_POOL_AVG, NN_POOL_MAX, NN_POOL_AVGMAX, NN_POOL_CATAVGMAX,
    NN_POOL_FAST, NN_POOL_FASTAVG, NN_POOL_FASTMAX, NN_POOL_FASTAVGMAX, NN_POOL_FASTCATAVGMAX, NN_POOL_TOKEN, NN_POOL_MAP
} nn_pooling;

/* What the user asked of this build; a family reads what concerns it.  Zero is the model's own default. */
typedef struct nn_options {
    int classes, in_chans;      /* as created, resolved: 0 classes is none */
    nn_pooling pool;            /* as created: timm decides some norms by it (ViT's fc_norm) */
    int64_t img_size[2];        /* of the parameters: position grids, windows; resolved, height and width */
    bool dynamic_img_size;
    int output_stride;
    bool features_only;         /* built for its taps: there is no head */
    bool norm_taps;             /* apply the final norm to features */
    float drop_rate, drop_path, drop_block, proj_drop, attn_drop, pos_drop, patch_drop;     /* 0: the model's own; below 0: none */
} nn_options;
const nn_options *nn_opts(nn_scope s);

/* Initial values: f(seed, full name), so that a new head leaves every other tensor bit-identical. */
typedef enum nn_init {
    NN_CONST,                   /* value */
    NN_NORMAL,                  /* N(0, value) */
    NN_TRUNC_NORMAL,            /* timm's trunc_normal_(std=value): cut at +-2 absolute */
    NN_UNIFORM,                 /* U(-value, value) */
    NN_KAIMING_NORMAL_OUT,      /* kaiming_normal_(fan_out, relu) */
    NN_KAIMING_UNIFORM,         /* PyTorch's default of convolutions and linear layers: U(+-1/sqrt(fan_in)) */
    NN_EFFICIENTNET_CONV,       /* N(0, sqrt(2 / (k k out / groups))) */
    NN_EFFICIENTNET_LINEAR,     /* U(+-1/sqrt(out)) */
    NN_XAVIER_UNIFORM
} nn_init;
typedef enum nn_refit { NN_EXACT, NN_RESAMPLE_GRID, NN_RESAMPLE_PATCH, NN_RESAMPLE_REL_POS } nn_refit;
typedef struct nn_par {
    nn_init init; float value;
    nn_refit refit;             /* how a checkpoint of another size is fitted */
    int64_t prefix;             /* NN_RESAMPLE_GRID: tokens before the grid */
    int64_t grid[2];            /* rows and columns of the grid, or, NN_RESAMPLE_REL_POS, of the window */
    bool no_decay;              /* never weight-decayed */
    bool buffer;                /* not trained (running statistics) */
    bool integer;               /* int64 in files (num_batches_tracked) */
} nn_par;
/* A parameter called s.path.  Asking again for the same name and shape gives the same value. */
tg *nn_param(nn_scope s, tg_shape shape, nn_par o);

typedef struct nn_conv {
    int k, stride, pad, groups, dilation;   /* 0: 1, 1, 0, 1, 1 */
    int kw, pad_w;              /* 0: as k and pad; -1 in pad_w: none (1xN kernels) */
    bool bias;
    bool same;                  /* TensorFlow's SAME: pad by the input's size, more at the end */
    bool auto_pad;              /* PyTorch-symmetric ((stride - 1) + dilation (k - 1)) / 2 */
    nn_init init; float init_value;         /* NN_CONST with 0: the family's default (nn_family.conv_init) */
    nn_refit refit;             /* of the weight */
} nn_conv;
typedef struct nn_lin { bool bias; nn_init init; float init_value; float bias_value; } nn_lin;   /* init NN_CONST 0: the family's default */
typedef struct nn_norm { float eps; bool zero_init, no_affine, no_bias; } nn_norm;                /* eps 0: 1e-5 (batch), 1e-6 (layer) */

tg *nn_conv2d(nn_scope s, tg *x, int out, nn_conv o);
tg *nn_linear(nn_scope s, tg *x, int out, nn_lin o);
tg *nn_batch_norm(nn_scope s, tg *x, nn_norm o);        /* weight bias running_mean running_var num_batches_tracked */
tg *nn_layer_norm(nn_scope s, tg *x, nn_norm o);        /* over the last axis */
tg *nn_layer_norm_2d(nn_scope s, tg *x, nn_norm o);     /* over axis 1 of (n,c,h,w) */
tg *nn_rms_norm(nn_scope s, tg *x, nn_norm o);
tg *nn_group_norm(nn_scope s, tg *x, int groups, nn_norm o);
/* Identity unless training and the rate is above 0.  The scope is the layer's own, timm's where it has one: it tells the masks of
 * one pass apart. */
tg *nn_dropout(nn_scope s, tg *x, double rate);
tg *nn_drop_path(nn_scope s, tg *branch, double rate);  /* whole images of the branch */
tg *nn_drop_block(nn_scope s, tg *x, double rate, int size, double gamma_scale);   /* squares of `size` pixels, in all channels */
tg *nn_patch_dropout(nn_scope s, tg *x, int prefix, double rate);       /* (b,n,c): fewer tokens; the first `prefix` stay */
double nn_drop_path_rate(nn_scope s, int i, int n);     /* of branch i: linear from 0 to nn_options.drop_path at n - 1 */
/* tg_attention with dropout of the weights. */
tg *nn_attention(nn_scope s, tg *q, tg *k, tg *v, tg *bias, double scale, double rate);
tg *nn_layer_scale(nn_scope s, tg *x, float value);     /* x * s.path (last axis) */
tg *nn_global_pool(tg *x, nn_pooling how);              /* (n,c,h,w) -> (n,c), (n,2c) for catavgmax; NONE: unchanged */
void nn_feature(nn_scope s, tg *x);                     /* a tap named s.path; (n,c,h,w) */
void nn_feature_nhwc(nn_scope s, tg *x);                /* a tap that timm leaves as (n,h,w,c) */
void nn_fail(nn_scope s, const char *fmt, ...) TG_PRINTF(2, 3);   /* an option this model cannot have: "Input height (100) ..." */

/* -- attention modules, put after convolutions ------------------------------------------------------------------------- */

int nn_divisible(double n, int divisor, double least);  /* timm's make_divisible: nearest multiple, not below least * n */
typedef struct nn_se { tg_act *act, *gate; bool batch_norm, add_max; } nn_se;       /* NULL: relu, sigmoid */
tg *nn_squeeze_excite(nn_scope s, tg *x, int hidden, nn_se o);          /* fc1 [bn] fc2 */
tg *nn_effective_squeeze_excite(nn_scope s, tg *x, nn_se o);            /* fc; gate NULL: hard_sigmoid */
tg *nn_channel_conv(nn_scope s, tg *x, int channels);   /* ECA; channels decide the kernel, 0: those of x */
tg *nn_global_context(nn_scope s, tg *x, int hidden, bool add, tg_act *act);  /* gc: scales x; gca: adds to it; act NULL: relu */
tg *nn_blur_pool(tg *x, int k, int stride);             /* binomial filter, k <= 8, reflected edges */

/* -- families -------------------------------------------------------------------------------------------------------- */

typedef struct timm_head { int classes; nn_pooling pool; bool pre_logits; float drop_rate; } timm_head;   /* pool DEFAULT: the model's own */

/* A field of a family's struct that timm's constructors take as a keyword argument. */
typedef enum timm_kwarg_kind { TIMM_KW_BOOL, TIMM_KW_INTS, TIMM_KW_WORD } timm_kwarg_kind;
typedef struct timm_kwarg {
    const char *name;                          /* timm's: "stem_type" */
    timm_kwarg_kind kind;
    size_t at;                                 /* where in the struct */
    int count;                                 /* INTS: how many */
    const char *words;                         /* WORD: "|deep|deep_tiered"; the enum's value is the place */
} timm_kwarg;

typedef struct timm_family {
    const char *name;                          /* timm's module: "resnet" */
    const void *variants; size_t count, size;  /* array of family structs, name first */
    tg *(*body)(nn_scope s, tg *image, const void *variant);                 /* forward_features */
    tg *(*head)(nn_scope s, tg *features, const void *variant, timm_head h); /* forward_head */
    /* Layers, for layer-wise learning rates: prefixes of parameters, separated by spaces.  The stem's are the first layer; a number
     * that %d stands for orders the blocks; "=0" puts it after them, "=last" joins the layer before; all others are the head. */
    const char *stem, *blocks;
    nn_init conv_init, linear_init; float linear_std;      /* initial values where a layer names none; NN_CONST: PyTorch's default */
    float drop_path;                           /* its rate where the user names none */
    int default_taps;                          /* features_only without indices: the last so many; 0: all */
    const timm_kwarg *kwargs;                  /* up to one without a name; NULL: none */
    const struct zoo_tag *tags; size_t tag_count;          /* generated: NAME.tags.h */
} timm_family;
#define ZOO_TABLE(t) .variants = (t), .count = sizeof(t) / sizeof *(t), .size = sizeof *(t)
#define ZOO_TAGS(t)  .tags = (t), .tag_count = sizeof(t) / sizeof *(t)

#endif
