/* mobilenetv3_variants.h - block strings and options of every architecture of mobilenetv3.c, as timm 1.0.31 has them. */
#ifndef ZOO_MOBILENETV3_VARIANTS_H
#define ZOO_MOBILENETV3_VARIANTS_H
#include "zoo/efficientnet_builder.h"

static const char *const arch_fbnetv3_b[] = {
    "ds_r2_k3_s1_e1_c16",
    "ir_r1_k5_s2_e4_c24 ir_r3_k5_s1_e2_c24",
    "ir_r1_k5_s2_e5_c40_se0.25 ir_r4_k5_s1_e3_c40_se0.25",
    "ir_r1_k5_s2_e5_c72 ir_r4_k3_s1_e3_c72",
    "ir_r1_k3_s1_e5_c120_se0.25 ir_r5_k5_s1_e3_c120_se0.25",
    "ir_r1_k3_s2_e6_c184_se0.25 ir_r5_k5_s1_e4_c184_se0.25 ir_r1_k5_s1_e6_c224_se0.25",
    "cn_r1_k1_s1_c1344",
    NULL
};
static const char *const arch_fbnetv3_d[] = {
    "ds_r2_k3_s1_e1_c16",
    "ir_r1_k3_s2_e5_c24 ir_r5_k3_s1_e2_c24",
    "ir_r1_k5_s2_e4_c40_se0.25 ir_r4_k3_s1_e3_c40_se0.25",
    "ir_r1_k3_s2_e5_c72 ir_r4_k3_s1_e3_c72",
    "ir_r1_k3_s1_e5_c128_se0.25 ir_r6_k5_s1_e3_c128_se0.25",
    "ir_r1_k3_s2_e6_c208_se0.25 ir_r5_k5_s1_e5_c208_se0.25 ir_r1_k5_s1_e6_c240_se0.25",
    "cn_r1_k1_s1_c1440",
    NULL
};
static const char *const arch_fbnetv3_g[] = {
    "ds_r3_k3_s1_e1_c24",
    "ir_r1_k5_s2_e4_c40 ir_r4_k5_s1_e2_c40",
    "ir_r1_k5_s2_e4_c56_se0.25 ir_r4_k5_s1_e3_c56_se0.25",
    "ir_r1_k5_s2_e5_c104 ir_r4_k3_s1_e3_c104",
    "ir_r1_k3_s1_e5_c160_se0.25 ir_r8_k5_s1_e3_c160_se0.25",
    "ir_r1_k3_s2_e6_c264_se0.25 ir_r6_k5_s1_e5_c264_se0.25 ir_r2_k5_s1_e6_c288_se0.25",
    "cn_r1_k1_s1_c1728",
    NULL
};
static const char *const arch_lcnet_035[] = {
    "dsa_r1_k3_s1_c32",
    "dsa_r2_k3_s2_c64",
    "dsa_r2_k3_s2_c128",
    "dsa_r1_k3_s2_c256 dsa_r1_k5_s1_c256",
    "dsa_r4_k5_s1_c256",
    "dsa_r2_k5_s2_c512_se0.25",
    NULL
};
static const char *const arch_mobilenetv3_large_075[] = {
    "ds_r1_k3_s1_e1_c16_nre",
    "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
    "ir_r3_k5_s2_e3_c40_se0.25_nre",
    "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
    "ir_r2_k3_s1_e6_c112_se0.25",
    "ir_r3_k5_s2_e6_c160_se0.25",
    "cn_r1_k1_s1_c960",
    NULL
};
static const char *const arch_mobilenetv3_rw[] = {
    "ds_r1_k3_s1_e1_c16_nre_noskip",
    "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
    "ir_r3_k5_s2_e3_c40_se0.25_nre",
    "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
    "ir_r2_k3_s1_e6_c112_se0.25",
    "ir_r3_k5_s2_e6_c160_se0.25",
    "cn_r1_k1_s1_c960",
    NULL
};
static const char *const arch_mobilenetv3_small_050[] = {
    "ds_r1_k3_s2_e1_c16_se0.25_nre",
    "ir_r1_k3_s2_e4.5_c24_nre ir_r1_k3_s1_e3.67_c24_nre",
    "ir_r1_k5_s2_e4_c40_se0.25 ir_r2_k5_s1_e6_c40_se0.25",
    "ir_r2_k5_s1_e3_c48_se0.25",
    "ir_r3_k5_s2_e6_c96_se0.25",
    "cn_r1_k1_s1_c576",
    NULL
};
static const char *const arch_mobilenetv4_conv_large[] = {
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c96 uir_r1_a3_k3_s1_e4_c96",
    "uir_r1_a3_k5_s2_e4_c192 uir_r3_a3_k3_s1_e4_c192 uir_r1_a3_k5_s1_e4_c192 uir_r5_a5_k3_s1_e4_c192 "
    "uir_r1_a3_k0_s1_e4_c192",
    "uir_r4_a5_k5_s2_e4_c512 uir_r1_a5_k0_s1_e4_c512 uir_r1_a5_k3_s1_e4_c512 uir_r2_a5_k0_s1_e4_c512 "
    "uir_r1_a5_k3_s1_e4_c512 uir_r1_a5_k5_s1_e4_c512 uir_r3_a5_k0_s1_e4_c512",
    "cn_r1_k1_s1_c960",
    NULL
};
static const char *const arch_mobilenetv4_conv_medium[] = {
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c80 uir_r1_a3_k3_s1_e2_c80",
    "uir_r1_a3_k5_s2_e6_c160 uir_r2_a3_k3_s1_e4_c160 uir_r1_a3_k5_s1_e4_c160 uir_r1_a3_k3_s1_e4_c160 "
    "uir_r1_a3_k0_s1_e4_c160 uir_r1_a0_k0_s1_e2_c160 uir_r1_a3_k0_s1_e4_c160",
    "uir_r1_a5_k5_s2_e6_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a3_k5_s1_e4_c256 uir_r1_a0_k0_s1_e4_c256 "
    "uir_r1_a3_k0_s1_e4_c256 uir_r1_a3_k5_s1_e2_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a0_k0_s1_e4_c256 "
    "uir_r1_a5_k0_s1_e2_c256",
    "cn_r1_k1_s1_c960",
    NULL
};
static const char *const arch_mobilenetv4_conv_small[] = {
    "cn_r1_k3_s2_e1_c32 cn_r1_k1_s1_e1_c32",
    "cn_r1_k3_s2_e1_c96 cn_r1_k1_s1_e1_c64",
    "uir_r1_a5_k5_s2_e3_c96 uir_r4_a0_k3_s1_e2_c96 uir_r1_a3_k0_s1_e4_c96",
    "uir_r1_a3_k3_s2_e6_c128 uir_r1_a5_k5_s1_e4_c128 uir_r1_a0_k5_s1_e4_c128 uir_r1_a0_k5_s1_e3_c128 "
    "uir_r2_a0_k3_s1_e4_c128",
    "cn_r1_k1_s1_c960",
    NULL
};
static const char *const arch_mobilenetv4_hybrid_large[] = {
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c96 uir_r1_a3_k3_s1_e4_c96",
    "uir_r1_a3_k5_s2_e4_c192 uir_r3_a3_k3_s1_e4_c192 uir_r1_a3_k5_s1_e4_c192 uir_r2_a5_k3_s1_e4_c192 "
    "mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a5_k3_s1_e4_c192 mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a5_k3_s1_e4_c192 "
    "mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a5_k3_s1_e4_c192 mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a3_k0_s1_e4_c192",
    "uir_r4_a5_k5_s2_e4_c512 uir_r1_a5_k0_s1_e4_c512 uir_r1_a5_k3_s1_e4_c512 uir_r2_a5_k0_s1_e4_c512 "
    "uir_r1_a5_k3_s1_e4_c512 uir_r1_a5_k5_s1_e4_c512 mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 "
    "mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 "
    "mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512",
    "cn_r1_k1_s1_c960",
    NULL
};
static const char *const arch_mobilenetv4_hybrid_medium[] = {
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c80 uir_r1_a3_k3_s1_e2_c80",
    "uir_r1_a3_k5_s2_e6_c160 uir_r1_a0_k0_s1_e2_c160 uir_r1_a3_k3_s1_e4_c160 uir_r1_a3_k5_s1_e4_c160 "
    "mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k3_s1_e4_c160 mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k0_s1_e4_c160 "
    "mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k3_s1_e4_c160 mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k0_s1_e4_c160",
    "uir_r1_a5_k5_s2_e6_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a3_k5_s1_e4_c256 uir_r1_a0_k0_s1_e2_c256 "
    "uir_r1_a3_k5_s1_e2_c256 uir_r1_a0_k0_s1_e2_c256 uir_r1_a0_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 "
    "uir_r1_a3_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 uir_r1_a5_k5_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 "
    "uir_r1_a5_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 uir_r1_a5_k0_s1_e4_c256",
    "cn_r1_k1_s1_c960",
    NULL
};
static const char *const arch_tf_mobilenetv3_large_minimal[] = {
    "ds_r1_k3_s1_e1_c16",
    "ir_r1_k3_s2_e4_c24 ir_r1_k3_s1_e3_c24",
    "ir_r3_k3_s2_e3_c40",
    "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
    "ir_r2_k3_s1_e6_c112",
    "ir_r3_k3_s2_e6_c160",
    "cn_r1_k1_s1_c960",
    NULL
};
static const char *const arch_tf_mobilenetv3_small_minimal[] = {
    "ds_r1_k3_s2_e1_c16",
    "ir_r1_k3_s2_e4.5_c24 ir_r1_k3_s1_e3.67_c24",
    "ir_r1_k3_s2_e4_c40 ir_r2_k3_s1_e6_c40",
    "ir_r2_k3_s1_e3_c48",
    "ir_r3_k3_s2_e6_c96",
    "cn_r1_k1_s1_c576",
    NULL
};

static const struct effnet variants[] = {
    { "fbnetv3_b", .arch = arch_fbnetv3_b, .round_limit = 0.95, .stem = 16, .features = 1984, .act = tg_hard_swish,
      .se = SE_HARD, .se_limit = 0.95 },
    { "fbnetv3_d", .arch = arch_fbnetv3_d, .round_limit = 0.95, .stem = 24, .features = 1984, .act = tg_hard_swish,
      .se = SE_HARD, .se_limit = 0.95 },
    { "fbnetv3_g", .arch = arch_fbnetv3_g, .round_limit = 0.95, .features = 1984, .act = tg_hard_swish, .se = SE_HARD,
      .se_limit = 0.95 },
    { "lcnet_035", .arch = arch_lcnet_035, .width = 0.35, .stem = 16, .act = tg_hard_swish, .se = SE_HARD,
      .se_relu = true, .se_from_mid = true, .head_bias = true },
    { "lcnet_050", .arch = arch_lcnet_035, .width = 0.5, .stem = 16, .act = tg_hard_swish, .se = SE_HARD,
      .se_relu = true, .se_from_mid = true, .head_bias = true },
    { "lcnet_075", .arch = arch_lcnet_035, .width = 0.75, .stem = 16, .act = tg_hard_swish, .se = SE_HARD,
      .se_relu = true, .se_from_mid = true, .head_bias = true },
    { "lcnet_100", .arch = arch_lcnet_035, .stem = 16, .act = tg_hard_swish, .se = SE_HARD, .se_relu = true,
      .se_from_mid = true, .head_bias = true },
    { "lcnet_150", .arch = arch_lcnet_035, .width = 1.5, .stem = 16, .act = tg_hard_swish, .se = SE_HARD,
      .se_relu = true, .se_from_mid = true, .head_bias = true },
    { "mobilenetv3_large_075", .arch = arch_mobilenetv3_large_075, .width = 0.75, .stem = 16, .act = tg_hard_swish,
      .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true, .head_bias = true },
    { "mobilenetv3_large_100", .arch = arch_mobilenetv3_large_075, .stem = 16, .act = tg_hard_swish, .se = SE_HARD,
      .se_relu = true, .se_limit = 0.9, .se_from_mid = true, .head_bias = true },
    { "mobilenetv3_large_150d", .arch = arch_mobilenetv3_large_075, .depth = 1.2, .width = 1.5, .stem = 16,
      .act = tg_hard_swish, .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true, .head_bias = true },
    { "mobilenetv3_rw", .arch = arch_mobilenetv3_rw, .stem = 16, .act = tg_hard_swish, .eps = 1e-3f, .se = SE_HARD,
      .se_from_mid = true },
    { "mobilenetv3_small_050", .arch = arch_mobilenetv3_small_050, .width = 0.5, .stem = 16, .fix_stem = true,
      .features = 1024, .act = tg_hard_swish, .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true,
      .head_bias = true },
    { "mobilenetv3_small_075", .arch = arch_mobilenetv3_small_050, .width = 0.75, .stem = 16, .features = 1024,
      .act = tg_hard_swish, .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true, .head_bias = true },
    { "mobilenetv3_small_100", .arch = arch_mobilenetv3_small_050, .stem = 16, .features = 1024, .act = tg_hard_swish,
      .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true, .head_bias = true },
    { "mobilenetv4_conv_aa_large", .arch = arch_mobilenetv4_conv_large, .stem = 24, .aa = AA_AVG, .se_from_mid = true,
      .head_norm = true },
    { "mobilenetv4_conv_aa_medium", .arch = arch_mobilenetv4_conv_medium, .aa = AA_AVG, .se_from_mid = true,
      .head_norm = true },
    { "mobilenetv4_conv_blur_medium", .arch = arch_mobilenetv4_conv_medium, .aa = AA_BLUR, .se_from_mid = true,
      .head_norm = true },
    { "mobilenetv4_conv_large", .arch = arch_mobilenetv4_conv_large, .stem = 24, .se_from_mid = true,
      .head_norm = true },
    { "mobilenetv4_conv_medium", .arch = arch_mobilenetv4_conv_medium, .se_from_mid = true, .head_norm = true },
    { "mobilenetv4_conv_small", .arch = arch_mobilenetv4_conv_small, .se_from_mid = true, .head_norm = true },
    { "mobilenetv4_conv_small_035", .arch = arch_mobilenetv4_conv_small, .width = 0.35, .fix_stem = true,
      .se_from_mid = true, .head_norm = true },
    { "mobilenetv4_conv_small_050", .arch = arch_mobilenetv4_conv_small, .width = 0.5, .fix_stem = true,
      .se_from_mid = true, .head_norm = true },
    { "mobilenetv4_hybrid_large", .arch = arch_mobilenetv4_hybrid_large, .stem = 24, .act = tg_gelu,
      .se_from_mid = true, .head_norm = true, .layer_scale = 1e-5f },
    { "mobilenetv4_hybrid_large_075", .arch = arch_mobilenetv4_hybrid_large, .width = 0.75, .stem = 24,
      .fix_stem = true, .act = tg_gelu, .se_from_mid = true, .head_norm = true, .layer_scale = 1e-5f },
    { "mobilenetv4_hybrid_medium", .arch = arch_mobilenetv4_hybrid_medium, .se_from_mid = true, .head_norm = true,
      .layer_scale = 1e-5f },
    { "mobilenetv4_hybrid_medium_075", .arch = arch_mobilenetv4_hybrid_medium, .width = 0.75, .fix_stem = true,
      .se_from_mid = true, .head_norm = true, .layer_scale = 1e-5f },
    { "tf_mobilenetv3_large_075", .arch = arch_mobilenetv3_large_075, .width = 0.75, .stem = 16, .act = tg_hard_swish,
      .same = true, .eps = 1e-3f, .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true,
      .head_bias = true },
    { "tf_mobilenetv3_large_100", .arch = arch_mobilenetv3_large_075, .stem = 16, .act = tg_hard_swish, .same = true,
      .eps = 1e-3f, .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true, .head_bias = true },
    { "tf_mobilenetv3_large_minimal_100", .arch = arch_tf_mobilenetv3_large_minimal, .stem = 16, .same = true,
      .eps = 1e-3f, .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true, .head_bias = true },
    { "tf_mobilenetv3_small_075", .arch = arch_mobilenetv3_small_050, .width = 0.75, .stem = 16, .features = 1024,
      .act = tg_hard_swish, .same = true, .eps = 1e-3f, .se = SE_HARD, .se_relu = true, .se_limit = 0.9,
      .se_from_mid = true, .head_bias = true },
    { "tf_mobilenetv3_small_100", .arch = arch_mobilenetv3_small_050, .stem = 16, .features = 1024,
      .act = tg_hard_swish, .same = true, .eps = 1e-3f, .se = SE_HARD, .se_relu = true, .se_limit = 0.9,
      .se_from_mid = true, .head_bias = true },
    { "tf_mobilenetv3_small_minimal_100", .arch = arch_tf_mobilenetv3_small_minimal, .stem = 16, .features = 1024,
      .same = true, .eps = 1e-3f, .se = SE_HARD, .se_relu = true, .se_limit = 0.9, .se_from_mid = true,
      .head_bias = true },
};

#endif
