/* efficientnet_builder.h - what efficientnet.c and mobilenetv3.c (and later families) share: the decoder of timm's block
 * strings, channel rounding, and the blocks.
 *
 * A stage is a string of blocks, "ir_r2_k3_s2_e6_c24_se0.25 ir_r1_k5_s1_e3_c24": kind, repeats, kernel, stride, expansion,
 * channels, squeeze ratio.  Further letters: a, p kernels of the 1x1s (ir, ds) or of the outer depthwise ones (uir);
 * k3.5.7 one kernel a channel group; n activation (re, r6, hs, sw); noskip, skip; cc experts; d1 space to depth; fc, gs;
 * h, d, v heads, their width and stride of keys and values.
 */
#ifndef ZOO_EFFICIENTNET_BUILDER_H
#define ZOO_EFFICIENTNET_BUILDER_H
#include "zoo/zoo.h"

enum depth { DEPTH_CEIL, DEPTH_ROUND, DEPTH_FIX_ENDS };        /* of scaled repeats; the last: first and last stage unscaled */
enum effnet_norm { BATCH_NORM, GROUP_NORM, LAYER_NORM, EVO_NORM };
enum effnet_aa { NO_AA, AA_BLUR, AA_AVG };
enum effnet_se { SE, SE_HARD, SE_GLOBAL_CONTEXT };             /* gates: sigmoid, hard sigmoid */

/* Channels that pruning left, block by block: expansion, squeeze, result; a 0 expansion where the block has none. */
struct effnet_pruned { short block[32][3]; short stem; };

struct effnet {
    const char *name;
    const char *const *arch;               /* stages, NULL at the end */
    double depth, stage_depth[6];          /* multiplies repeats; 0: 1.  stage_depth: one a stage instead */
    double width;                          /* multiplies channels; 0: 1 */
    enum depth depth_rule;
    int divisor;                           /* channels are multiples of it; 0: 8 */
    double round_limit;                    /* rounding may not lose more; 0: 0.9, below 0: may */
    int experts;                           /* multiplies cc; 0: 1 */
    int group_size;                        /* of depthwise convolutions that name none; 0: 1 */
    int stem, stem_k;                      /* channels, 0: 32; kernel, 0: 3 */
    bool fix_stem;                         /* the stem's channels are not scaled */
    int features;                          /* of the last 1x1; 0: 1280; -1: there is none */
    tg_act *act;                           /* NULL: relu */
    bool same;                             /* TensorFlow's padding */
    float eps;                             /* of batch norm; 0: 1e-5 */
    enum effnet_norm norm;
    int norm_group;                        /* channels a group */
    enum effnet_aa aa;                     /* in place of strides */
    enum effnet_se se;
    bool se_relu;                          /* its inner activation is relu, not the block's */
    double se_limit;                       /* squeezed channels are rounded to 8 with this limit; 0: whole numbers */
    bool se_from_mid;                      /* the ratio is of the expanded channels, not of the block's */
    float layer_scale;
    bool head_bias, head_norm;             /* of mobilenetv3.c's last 1x1 */
    const struct effnet_pruned *pruned;
};

int effnet_channels(const struct effnet *v, double channels);
tg *effnet_norm(nn_scope s, tg *x, const struct effnet *v, tg_act *act);       /* act NULL: none */
tg *effnet_stem(nn_scope s, tg *x, const struct effnet *v);
tg *effnet_blocks(nn_scope s, tg *x, const struct effnet *v);                   /* "blocks.%d.%d", with taps */

#endif
