/* efficientnet_variants.h - block strings and options of every architecture of efficientnet.c, as timm 1.0.31 has them. */
#ifndef ZOO_EFFICIENTNET_VARIANTS_H
#define ZOO_EFFICIENTNET_VARIANTS_H
#include "zoo/efficientnet_builder.h"

static const char *const arch_tinynet_a[] = {
    "ds_r1_k3_s1_e1_c16_se0.25",
    "ir_r2_k3_s2_e6_c24_se0.25",
    "ir_r2_k5_s2_e6_c40_se0.25",
    "ir_r3_k3_s2_e6_c80_se0.25",
    "ir_r3_k5_s1_e6_c112_se0.25",
    "ir_r4_k5_s2_e6_c192_se0.25",
    "ir_r1_k3_s1_e6_c320_se0.25",
    NULL
};
static const char *const arch_efficientnet_cc_b0[] = {
    "ds_r1_k3_s1_e1_c16_se0.25",
    "ir_r2_k3_s2_e6_c24_se0.25",
    "ir_r2_k5_s2_e6_c40_se0.25",
    "ir_r3_k3_s2_e6_c80_se0.25",
    "ir_r3_k5_s1_e6_c112_se0.25_cc4",
    "ir_r4_k5_s2_e6_c192_se0.25_cc4",
    "ir_r1_k3_s1_e6_c320_se0.25_cc4",
    NULL
};
static const char *const arch_efficientnet_el[] = {
    "er_r1_k3_s1_e4_c24_fc24_noskip",
    "er_r2_k3_s2_e8_c32",
    "er_r4_k3_s2_e8_c48",
    "ir_r5_k5_s2_e8_c96",
    "ir_r4_k5_s1_e8_c144",
    "ir_r2_k5_s2_e8_c192",
    NULL
};
static const char *const arch_efficientnet_h_b5[] = {
    "ds_r1_k3_s1_e1_c16_se0.25_d1",
    "er_r2_k3_s2_e4_c24_se0.25_nre",
    "er_r2_k5_s2_e4_c40_se0.25_nre",
    "ir_r3_k3_s2_e4_c80_se0.25",
    "ir_r3_k5_s1_e6_c112_se0.25",
    "ir_r4_k5_s2_e6_c192_se0.25",
    "ir_r1_k3_s1_e6_c320_se0.25",
    NULL
};
static const char *const arch_efficientnet_lite0[] = {
    "ds_r1_k3_s1_e1_c16",
    "ir_r2_k3_s2_e6_c24",
    "ir_r2_k5_s2_e6_c40",
    "ir_r3_k3_s2_e6_c80",
    "ir_r3_k5_s1_e6_c112",
    "ir_r4_k5_s2_e6_c192",
    "ir_r1_k3_s1_e6_c320",
    NULL
};
static const char *const arch_efficientnet_x_b3[] = {
    "ds_r1_k3_s1_e1_c16_se0.25_d1",
    "er_r2_k3_s2_e6_c24_se0.25_nre",
    "er_r2_k5_s2_e6_c40_se0.25_nre",
    "ir_r3_k3_s2_e6_c80_se0.25",
    "ir_r3_k5_s1_e6_c112_se0.25",
    "ir_r4_k5_s2_e6_c192_se0.25",
    "ir_r1_k3_s1_e6_c320_se0.25",
    NULL
};
static const char *const arch_efficientnetv2_l[] = {
    "cn_r4_k3_s1_e1_c32_skip",
    "er_r7_k3_s2_e4_c64",
    "er_r7_k3_s2_e4_c96",
    "ir_r10_k3_s2_e4_c192_se0.25",
    "ir_r19_k3_s1_e6_c224_se0.25",
    "ir_r25_k3_s2_e6_c384_se0.25",
    "ir_r7_k3_s1_e6_c640_se0.25",
    NULL
};
static const char *const arch_efficientnetv2_m[] = {
    "cn_r3_k3_s1_e1_c24_skip",
    "er_r5_k3_s2_e4_c48",
    "er_r5_k3_s2_e4_c80",
    "ir_r7_k3_s2_e4_c160_se0.25",
    "ir_r14_k3_s1_e6_c176_se0.25",
    "ir_r18_k3_s2_e6_c304_se0.25",
    "ir_r5_k3_s1_e6_c512_se0.25",
    NULL
};
static const char *const arch_efficientnetv2_rw_m[] = {
    "er_r2_k3_s1_e1_c24",
    "er_r4_k3_s2_e4_c48",
    "er_r4_k3_s2_e4_c64",
    "ir_r6_k3_s2_e4_c128_se0.25",
    "ir_r9_k3_s1_e6_c160_se0.25",
    "ir_r15_k3_s2_e6_c272_se0.25",
    NULL
};
static const char *const arch_efficientnetv2_s[] = {
    "cn_r2_k3_s1_e1_c24_skip",
    "er_r4_k3_s2_e4_c48",
    "er_r4_k3_s2_e4_c64",
    "ir_r6_k3_s2_e4_c128_se0.25",
    "ir_r9_k3_s1_e6_c160_se0.25",
    "ir_r15_k3_s2_e6_c256_se0.25",
    NULL
};
static const char *const arch_efficientnetv2_xl[] = {
    "cn_r4_k3_s1_e1_c32_skip",
    "er_r8_k3_s2_e4_c64",
    "er_r8_k3_s2_e4_c96",
    "ir_r16_k3_s2_e4_c192_se0.25",
    "ir_r24_k3_s1_e6_c256_se0.25",
    "ir_r32_k3_s2_e6_c512_se0.25",
    "ir_r8_k3_s1_e6_c640_se0.25",
    NULL
};
static const char *const arch_fbnetc[] = {
    "ir_r1_k3_s1_e1_c16",
    "ir_r1_k3_s2_e6_c24 ir_r2_k3_s1_e1_c24",
    "ir_r1_k5_s2_e6_c32 ir_r1_k5_s1_e3_c32 ir_r1_k5_s1_e6_c32 ir_r1_k3_s1_e6_c32",
    "ir_r1_k5_s2_e6_c64 ir_r1_k5_s1_e3_c64 ir_r2_k5_s1_e6_c64",
    "ir_r3_k5_s1_e6_c112 ir_r1_k5_s1_e3_c112",
    "ir_r4_k5_s2_e6_c184",
    "ir_r1_k3_s1_e6_c352",
    NULL
};
static const char *const arch_mixnet_l[] = {
    "ds_r1_k3_s1_e1_c24",
    "ir_r1_k3.5.7_a1.1_p1.1_s2_e6_c32 ir_r1_k3_a1.1_p1.1_s1_e3_c32",
    "ir_r1_k3.5.7.9_s2_e6_c40_se0.5_nsw ir_r3_k3.5_a1.1_p1.1_s1_e6_c40_se0.5_nsw",
    "ir_r1_k3.5.7_s2_e6_c80_se0.25_nsw ir_r3_k3.5.7.9_a1.1_p1.1_s1_e6_c80_se0.25_nsw",
    "ir_r1_k3_s1_e6_c120_se0.5_nsw ir_r3_k3.5.7.9_a1.1_p1.1_s1_e3_c120_se0.5_nsw",
    "ir_r1_k3.5.7.9_s2_e6_c200_se0.5_nsw ir_r3_k3.5.7.9_p1.1_s1_e6_c200_se0.5_nsw",
    NULL
};
static const char *const arch_mixnet_s[] = {
    "ds_r1_k3_s1_e1_c16",
    "ir_r1_k3_a1.1_p1.1_s2_e6_c24 ir_r1_k3_a1.1_p1.1_s1_e3_c24",
    "ir_r1_k3.5.7_s2_e6_c40_se0.5_nsw ir_r3_k3.5_a1.1_p1.1_s1_e6_c40_se0.5_nsw",
    "ir_r1_k3.5.7_p1.1_s2_e6_c80_se0.25_nsw ir_r2_k3.5_p1.1_s1_e6_c80_se0.25_nsw",
    "ir_r1_k3.5.7_a1.1_p1.1_s1_e6_c120_se0.5_nsw ir_r2_k3.5.7.9_a1.1_p1.1_s1_e3_c120_se0.5_nsw",
    "ir_r1_k3.5.7.9.11_s2_e6_c200_se0.5_nsw ir_r2_k3.5.7.9_p1.1_s1_e6_c200_se0.5_nsw",
    NULL
};
static const char *const arch_mnasnet_050[] = {
    "ds_r1_k3_s1_c16_noskip",
    "ir_r3_k3_s2_e3_c24",
    "ir_r3_k5_s2_e3_c40",
    "ir_r3_k5_s2_e6_c80",
    "ir_r2_k3_s1_e6_c96",
    "ir_r4_k5_s2_e6_c192",
    "ir_r1_k3_s1_e6_c320_noskip",
    NULL
};
static const char *const arch_mnasnet_small[] = {
    "ds_r1_k3_s1_c8",
    "ir_r1_k3_s2_e3_c16",
    "ir_r2_k3_s2_e6_c16",
    "ir_r4_k5_s2_e6_c32_se0.25",
    "ir_r3_k3_s1_e6_c32_se0.25",
    "ir_r3_k5_s2_e6_c88_se0.25",
    "ir_r1_k3_s1_e6_c144",
    NULL
};
static const char *const arch_mobilenet_edgetpu[] = {
    "cn_r1_k1_s1_c16",
    "er_r1_k3_s2_e8_c32 er_r3_k3_s1_e4_c32",
    "er_r1_k3_s2_e8_c48 er_r3_k3_s1_e4_c48",
    "ir_r1_k3_s2_e8_c96 ir_r3_k3_s1_e4_c96",
    "ir_r1_k3_s1_e8_c96_noskip ir_r3_k3_s1_e4_c96",
    "ir_r1_k5_s2_e8_c160 ir_r3_k5_s1_e4_c160",
    "ir_r1_k3_s1_e8_c192",
    NULL
};
static const char *const arch_mobilenet_edgetpu_v2_l[] = {
    "cn_r1_k1_s1_c32",
    "er_r1_k3_s2_e8_c64 er_r1_k3_s1_e4_gs128_c64",
    "er_r1_k3_s2_e8_c96 er_r1_k3_s1_e4_gs128_c96 er_r1_k3_s1_e4_c96 er_r1_k3_s1_e4_gs128_c96",
    "er_r1_k3_s2_e8_c192 ir_r3_k3_s1_e4_c192",
    "ir_r1_k3_s1_e8_c240 ir_r3_k3_s1_e4_c240",
    "ir_r1_k3_s2_e8_c256 ir_r3_k3_s1_e4_c256",
    "ir_r1_k3_s1_e8_c384",
    NULL
};
static const char *const arch_mobilenet_edgetpu_v2_m[] = {
    "cn_r1_k1_s1_c32",
    "er_r1_k3_s2_e8_c64 er_r1_k3_s1_e4_gs64_c64",
    "er_r1_k3_s2_e8_c80 er_r1_k3_s1_e4_gs64_c80 er_r1_k3_s1_e4_c80 er_r1_k3_s1_e4_gs64_c80",
    "er_r1_k3_s2_e8_c160 ir_r3_k3_s1_e4_c160",
    "ir_r1_k3_s1_e8_c192 ir_r3_k3_s1_e4_c192",
    "ir_r1_k3_s2_e8_c240 ir_r3_k3_s1_e4_c240",
    "ir_r1_k3_s1_e8_c320",
    NULL
};
static const char *const arch_mobilenet_edgetpu_v2_s[] = {
    "cn_r1_k1_s1_c24",
    "er_r1_k3_s2_e8_c48 er_r1_k3_s1_e4_gs64_c48",
    "er_r1_k3_s2_e8_c64 er_r1_k3_s1_e4_gs64_c64 er_r1_k3_s1_e4_c64 er_r1_k3_s1_e4_gs64_c64",
    "er_r1_k3_s2_e8_c128 ir_r3_k3_s1_e4_c128",
    "ir_r1_k3_s1_e8_c160 ir_r3_k3_s1_e4_c160",
    "ir_r1_k3_s2_e8_c192 ir_r3_k3_s1_e4_c192",
    "ir_r1_k3_s1_e8_c256",
    NULL
};
static const char *const arch_mobilenet_edgetpu_v2_xs[] = {
    "cn_r1_k1_s1_c16",
    "er_r1_k3_s2_e8_c32 er_r1_k3_s1_e4_gs64_c32",
    "er_r1_k3_s2_e8_c48 er_r1_k3_s1_e4_gs64_c48 er_r1_k3_s1_e4_c48 er_r1_k3_s1_e4_gs64_c48",
    "er_r1_k3_s2_e8_c96 ir_r3_k3_s1_e4_c96",
    "ir_r1_k3_s1_e8_c144 ir_r3_k3_s1_e4_c144",
    "ir_r1_k3_s2_e8_c160 ir_r3_k3_s1_e4_c160",
    "ir_r1_k3_s1_e8_c192",
    NULL
};
static const char *const arch_mobilenetv1[] = {
    "dsa_r1_k3_s1_c64",
    "dsa_r2_k3_s2_c128",
    "dsa_r2_k3_s2_c256",
    "dsa_r6_k3_s2_c512",
    "dsa_r2_k3_s2_c1024",
    NULL
};
static const char *const arch_mobilenetv2_035[] = {
    "ds_r1_k3_s1_c16",
    "ir_r2_k3_s2_e6_c24",
    "ir_r3_k3_s2_e6_c32",
    "ir_r4_k3_s2_e6_c64",
    "ir_r3_k3_s1_e6_c96",
    "ir_r3_k3_s2_e6_c160",
    "ir_r1_k3_s1_e6_c320",
    NULL
};
static const char *const arch_semnasnet_050[] = {
    "ds_r1_k3_s1_e1_c16_noskip",
    "ir_r2_k3_s2_e6_c24",
    "ir_r3_k5_s2_e3_c40_se0.25",
    "ir_r4_k3_s2_e6_c80",
    "ir_r2_k3_s1_e6_c112_se0.25",
    "ir_r3_k5_s2_e6_c160_se0.25",
    "ir_r1_k3_s1_e6_c320",
    NULL
};
static const char *const arch_spnasnet[] = {
    "ds_r1_k3_s1_c16_noskip",
    "ir_r3_k3_s2_e3_c24",
    "ir_r1_k5_s2_e6_c40 ir_r3_k3_s1_e3_c40",
    "ir_r1_k5_s2_e6_c80 ir_r3_k3_s1_e3_c80",
    "ir_r1_k5_s1_e6_c96 ir_r3_k5_s1_e3_c96",
    "ir_r4_k5_s2_e6_c192",
    "ir_r1_k3_s1_e6_c320_noskip",
    NULL
};
static const char *const arch_test_efficientnet[] = {
    "cn_r1_k3_s1_e1_c16_skip",
    "er_r1_k3_s2_e4_c24",
    "er_r1_k3_s2_e4_c32",
    "ir_r1_k3_s2_e4_c48_se0.25",
    "ir_r1_k3_s2_e4_c64_se0.25",
    NULL
};
static const char *const arch_tf_efficientnetv2[] = {
    "cn_r1_k3_s1_e1_c16_skip",
    "er_r2_k3_s2_e4_c32",
    "er_r2_k3_s2_e4_c48",
    "ir_r3_k3_s2_e4_c96_se0.25",
    "ir_r5_k3_s1_e6_c112_se0.25",
    "ir_r8_k3_s2_e6_c192_se0.25",
    NULL
};
static const struct effnet_pruned pruned_efficientnet_b1_pruned = {
    .block = { { 0, 8, 16 }, { 0, 4, 16 }, { 48, 4, 12 }, { 62, 6, 12 }, { 48, 6, 12 }, { 70, 6, 35 },
        { 61, 10, 35 }, { 51, 10, 35 }, { 175, 10, 74 }, { 188, 20, 74 }, { 137, 20, 74 }, { 164, 20, 74 },
        { 399, 20, 67 }, { 201, 28, 67 }, { 160, 28, 67 }, { 213, 28, 67 }, { 637, 27, 192 }, { 806, 48, 192 },
        { 798, 48, 192 }, { 891, 48, 192 }, { 990, 48, 192 }, { 1152, 48, 320 }, { 1912, 80, 320 }, },
    .stem = 32,
};
static const struct effnet_pruned pruned_efficientnet_b2_pruned = {
    .block = { { 0, 8, 16 }, { 0, 4, 16 }, { 54, 4, 17 }, { 69, 6, 17 }, { 61, 6, 17 }, { 86, 6, 42 },
        { 72, 12, 42 }, { 98, 12, 42 }, { 245, 12, 85 }, { 274, 22, 85 }, { 254, 22, 85 }, { 292, 22, 85 },
        { 502, 22, 116 }, { 315, 30, 116 }, { 354, 30, 116 }, { 443, 30, 116 }, { 719, 30, 208 }, { 1148, 52, 208 },
        { 1160, 52, 208 }, { 1182, 52, 208 }, { 1228, 52, 208 }, { 1248, 52, 352 }, { 2112, 88, 352 }, },
    .stem = 32,
};
static const struct effnet_pruned pruned_efficientnet_b3_pruned = {
    .block = { { 0, 10, 24 }, { 0, 6, 24 }, { 27, 6, 12 }, { 49, 8, 12 }, { 48, 8, 12 }, { 83, 8, 40 },
        { 90, 12, 40 }, { 85, 12, 40 }, { 215, 12, 93 }, { 261, 24, 93 }, { 219, 24, 93 }, { 254, 24, 93 },
        { 236, 24, 93 }, { 480, 24, 120 }, { 235, 34, 120 }, { 217, 34, 120 }, { 226, 33, 120 }, { 340, 34, 120 },
        { 802, 34, 232 }, { 1030, 58, 232 }, { 924, 58, 232 }, { 1016, 58, 232 }, { 1130, 58, 232 },
        { 1266, 58, 232 }, { 1392, 58, 384 }, { 2301, 96, 384 }, },
    .stem = 40,
};

static const struct effnet variants[] = {
    { "efficientnet_b0", .arch = arch_tinynet_a, .act = tg_silu },
    { "efficientnet_b0_g8_gn", .arch = arch_tinynet_a, .group_size = 8, .act = tg_silu,
      .norm = GROUP_NORM, .norm_group = 8 },
    { "efficientnet_b0_g16_evos", .arch = arch_tinynet_a, .group_size = 16, .divisor = 16, .act = tg_silu },
    { "efficientnet_b0_gn", .arch = arch_tinynet_a, .act = tg_silu, .norm = GROUP_NORM, .norm_group = 8 },
    { "efficientnet_b1", .arch = arch_tinynet_a, .depth = 1.1, .act = tg_silu },
    { "efficientnet_b1_pruned", .arch = arch_tinynet_a, .depth = 1.1, .act = tg_silu, .same = true, .eps = 1e-3f,
      .pruned = &pruned_efficientnet_b1_pruned },
    { "efficientnet_b2", .arch = arch_tinynet_a, .depth = 1.2, .width = 1.1, .features = 1408, .act = tg_silu },
    { "efficientnet_b2_pruned", .arch = arch_tinynet_a, .depth = 1.2, .width = 1.1, .features = 1408, .act = tg_silu,
      .same = true, .eps = 1e-3f, .pruned = &pruned_efficientnet_b2_pruned },
    { "efficientnet_b3", .arch = arch_tinynet_a, .depth = 1.4, .width = 1.2, .features = 1536, .act = tg_silu },
    { "efficientnet_b3_g8_gn", .arch = arch_tinynet_a, .depth = 1.4, .group_size = 8, .width = 1.2, .divisor = 16,
      .features = 1536, .act = tg_silu, .norm = GROUP_NORM, .norm_group = 16 },
    { "efficientnet_b3_gn", .arch = arch_tinynet_a, .depth = 1.4, .width = 1.2, .divisor = 16, .features = 1536,
      .act = tg_silu, .norm = GROUP_NORM, .norm_group = 16 },
    { "efficientnet_b3_pruned", .arch = arch_tinynet_a, .depth = 1.4, .width = 1.2, .features = 1536, .act = tg_silu,
      .same = true, .eps = 1e-3f, .pruned = &pruned_efficientnet_b3_pruned },
    { "efficientnet_b4", .arch = arch_tinynet_a, .depth = 1.8, .width = 1.4, .features = 1792, .act = tg_silu },
    { "efficientnet_b5", .arch = arch_tinynet_a, .depth = 2.2, .width = 1.6, .features = 2048, .act = tg_silu },
    { "efficientnet_b6", .arch = arch_tinynet_a, .depth = 2.6, .width = 1.8, .features = 2304, .act = tg_silu },
    { "efficientnet_b7", .arch = arch_tinynet_a, .depth = 3.1, .width = 2, .features = 2560, .act = tg_silu },
    { "efficientnet_b8", .arch = arch_tinynet_a, .depth = 3.6, .width = 2.2, .features = 2816, .act = tg_silu },
    { "efficientnet_blur_b0", .arch = arch_tinynet_a, .act = tg_silu, .aa = AA_BLUR },
    { "efficientnet_cc_b0_4e", .arch = arch_efficientnet_cc_b0, .act = tg_silu },
    { "efficientnet_cc_b0_8e", .arch = arch_efficientnet_cc_b0, .experts = 2, .act = tg_silu },
    { "efficientnet_cc_b1_8e", .arch = arch_efficientnet_cc_b0, .depth = 1.1, .experts = 2, .act = tg_silu },
    { "efficientnet_el", .arch = arch_efficientnet_el, .depth = 1.4, .width = 1.2, .features = 1536 },
    { "efficientnet_el_pruned", .arch = arch_efficientnet_el, .depth = 1.4, .width = 1.2, .features = 1536 },
    { "efficientnet_em", .arch = arch_efficientnet_el, .depth = 1.1 },
    { "efficientnet_es", .arch = arch_efficientnet_el },
    { "efficientnet_es_pruned", .arch = arch_efficientnet_el },
    { "efficientnet_h_b5", .arch = arch_efficientnet_h_b5, .depth = 2.2, .width = 1.92, .features = 2456,
      .act = tg_silu },
    { "efficientnet_l2", .arch = arch_tinynet_a, .depth = 5.3, .width = 4.3, .features = 5504, .act = tg_silu },
    { "efficientnet_lite0", .arch = arch_efficientnet_lite0, .depth_rule = DEPTH_FIX_ENDS, .fix_stem = true,
      .act = tg_relu6 },
    { "efficientnet_lite1", .arch = arch_efficientnet_lite0, .depth = 1.1, .depth_rule = DEPTH_FIX_ENDS,
      .fix_stem = true, .act = tg_relu6 },
    { "efficientnet_lite2", .arch = arch_efficientnet_lite0, .depth = 1.2, .depth_rule = DEPTH_FIX_ENDS, .width = 1.1,
      .fix_stem = true, .act = tg_relu6 },
    { "efficientnet_lite3", .arch = arch_efficientnet_lite0, .depth = 1.4, .depth_rule = DEPTH_FIX_ENDS, .width = 1.2,
      .fix_stem = true, .act = tg_relu6 },
    { "efficientnet_lite4", .arch = arch_efficientnet_lite0, .depth = 1.8, .depth_rule = DEPTH_FIX_ENDS, .width = 1.4,
      .fix_stem = true, .act = tg_relu6 },
    { "efficientnet_x_b3", .arch = arch_efficientnet_x_b3, .depth = 1.4, .width = 1.2, .features = 1536,
      .act = tg_silu },
    { "efficientnet_x_b5", .arch = arch_efficientnet_x_b3, .depth = 2.2, .width = 1.6, .features = 2048,
      .act = tg_silu },
    { "efficientnetv2_l", .arch = arch_efficientnetv2_l, .act = tg_silu },
    { "efficientnetv2_m", .arch = arch_efficientnetv2_m, .stem = 24, .act = tg_silu },
    { "efficientnetv2_rw_m", .arch = arch_efficientnetv2_rw_m, .stage_depth = { 1.2, 1.2, 1.2, 1.2, 1.6, 1.6 },
      .width = 1.2, .stem = 24, .features = 2152, .act = tg_silu },
    { "efficientnetv2_rw_s", .arch = arch_efficientnetv2_rw_m, .stem = 24, .features = 1792, .act = tg_silu },
    { "efficientnetv2_rw_t", .arch = arch_efficientnetv2_s, .depth = 0.9, .width = 0.8, .stem = 24, .features = 1024,
      .act = tg_silu },
    { "efficientnetv2_s", .arch = arch_efficientnetv2_s, .stem = 24, .act = tg_silu },
    { "efficientnetv2_xl", .arch = arch_efficientnetv2_xl, .act = tg_silu },
    { "fbnetc_100", .arch = arch_fbnetc, .stem = 16, .features = 1984 },
    { "gc_efficientnetv2_rw_t", .arch = arch_efficientnetv2_s, .depth = 0.9, .width = 0.8, .stem = 24,
      .features = 1024, .act = tg_silu, .se = SE_GLOBAL_CONTEXT },
    { "mixnet_l", .arch = arch_mixnet_l, .depth_rule = DEPTH_ROUND, .width = 1.3, .stem = 24, .features = 1536 },
    { "mixnet_m", .arch = arch_mixnet_l, .depth_rule = DEPTH_ROUND, .stem = 24, .features = 1536 },
    { "mixnet_s", .arch = arch_mixnet_s, .stem = 16, .features = 1536 },
    { "mixnet_xl", .arch = arch_mixnet_l, .depth = 1.2, .depth_rule = DEPTH_ROUND, .width = 1.6, .stem = 24,
      .features = 1536 },
    { "mixnet_xxl", .arch = arch_mixnet_l, .depth = 1.3, .depth_rule = DEPTH_ROUND, .width = 2.4, .stem = 24,
      .features = 1536 },
    { "mnasnet_050", .arch = arch_mnasnet_050, .width = 0.5 },
    { "mnasnet_075", .arch = arch_mnasnet_050, .width = 0.75 },
    { "mnasnet_100", .arch = arch_mnasnet_050 },
    { "mnasnet_140", .arch = arch_mnasnet_050, .width = 1.4 },
    { "mnasnet_small", .arch = arch_mnasnet_small, .stem = 8 },
    { "mobilenet_edgetpu_100", .arch = arch_mobilenet_edgetpu },
    { "mobilenet_edgetpu_v2_l", .arch = arch_mobilenet_edgetpu_v2_l, .stem = 64, .stem_k = 7, .features = 1408 },
    { "mobilenet_edgetpu_v2_m", .arch = arch_mobilenet_edgetpu_v2_m, .stem = 64, .stem_k = 5, .features = 1344 },
    { "mobilenet_edgetpu_v2_s", .arch = arch_mobilenet_edgetpu_v2_s, .stem = 64, .stem_k = 5 },
    { "mobilenet_edgetpu_v2_xs", .arch = arch_mobilenet_edgetpu_v2_xs },
    { "mobilenetv1_100", .arch = arch_mobilenetv1, .features = -1, .act = tg_relu6 },
    { "mobilenetv1_100h", .arch = arch_mobilenetv1, .features = 1024, .act = tg_relu6 },
    { "mobilenetv1_125", .arch = arch_mobilenetv1, .width = 1.25, .features = -1, .act = tg_relu6 },
    { "mobilenetv2_035", .arch = arch_mobilenetv2_035, .width = 0.35, .act = tg_relu6 },
    { "mobilenetv2_050", .arch = arch_mobilenetv2_035, .width = 0.5, .act = tg_relu6 },
    { "mobilenetv2_075", .arch = arch_mobilenetv2_035, .width = 0.75, .act = tg_relu6 },
    { "mobilenetv2_100", .arch = arch_mobilenetv2_035, .act = tg_relu6 },
    { "mobilenetv2_110d", .arch = arch_mobilenetv2_035, .depth = 1.2, .depth_rule = DEPTH_FIX_ENDS, .width = 1.1,
      .fix_stem = true, .act = tg_relu6 },
    { "mobilenetv2_120d", .arch = arch_mobilenetv2_035, .depth = 1.4, .depth_rule = DEPTH_FIX_ENDS, .width = 1.2,
      .fix_stem = true, .act = tg_relu6 },
    { "mobilenetv2_140", .arch = arch_mobilenetv2_035, .width = 1.4, .features = 1792, .act = tg_relu6 },
    { "semnasnet_050", .arch = arch_semnasnet_050, .width = 0.5 },
    { "semnasnet_075", .arch = arch_semnasnet_050, .width = 0.75 },
    { "semnasnet_100", .arch = arch_semnasnet_050 },
    { "semnasnet_140", .arch = arch_semnasnet_050, .width = 1.4 },
    { "spnasnet_100", .arch = arch_spnasnet },
    { "test_efficientnet", .arch = arch_test_efficientnet, .round_limit = -1, .stem = 24, .features = 256,
      .act = tg_silu },
    { "test_efficientnet_evos", .arch = arch_test_efficientnet, .round_limit = -1, .stem = 24, .features = 256,
      .act = tg_silu, .norm = EVO_NORM, .norm_group = 8 },
    { "test_efficientnet_gn", .arch = arch_test_efficientnet, .round_limit = -1, .stem = 24, .features = 256,
      .act = tg_silu, .norm = GROUP_NORM, .norm_group = 8 },
    { "test_efficientnet_ln", .arch = arch_test_efficientnet, .round_limit = -1, .stem = 24, .features = 256,
      .act = tg_silu, .norm = LAYER_NORM },
    { "tf_efficientnet_b0", .arch = arch_tinynet_a, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_b1", .arch = arch_tinynet_a, .depth = 1.1, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_b2", .arch = arch_tinynet_a, .depth = 1.2, .width = 1.1, .features = 1408, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_b3", .arch = arch_tinynet_a, .depth = 1.4, .width = 1.2, .features = 1536, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_b4", .arch = arch_tinynet_a, .depth = 1.8, .width = 1.4, .features = 1792, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_b5", .arch = arch_tinynet_a, .depth = 2.2, .width = 1.6, .features = 2048, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_b6", .arch = arch_tinynet_a, .depth = 2.6, .width = 1.8, .features = 2304, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_b7", .arch = arch_tinynet_a, .depth = 3.1, .width = 2, .features = 2560, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_b8", .arch = arch_tinynet_a, .depth = 3.6, .width = 2.2, .features = 2816, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_cc_b0_4e", .arch = arch_efficientnet_cc_b0, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_cc_b0_8e", .arch = arch_efficientnet_cc_b0, .experts = 2, .act = tg_silu, .same = true,
      .eps = 1e-3f },
    { "tf_efficientnet_cc_b1_8e", .arch = arch_efficientnet_cc_b0, .depth = 1.1, .experts = 2, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_el", .arch = arch_efficientnet_el, .depth = 1.4, .width = 1.2, .features = 1536, .same = true,
      .eps = 1e-3f },
    { "tf_efficientnet_em", .arch = arch_efficientnet_el, .depth = 1.1, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_es", .arch = arch_efficientnet_el, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_l2", .arch = arch_tinynet_a, .depth = 5.3, .width = 4.3, .features = 5504, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnet_lite0", .arch = arch_efficientnet_lite0, .depth_rule = DEPTH_FIX_ENDS, .fix_stem = true,
      .act = tg_relu6, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_lite1", .arch = arch_efficientnet_lite0, .depth = 1.1, .depth_rule = DEPTH_FIX_ENDS,
      .fix_stem = true, .act = tg_relu6, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_lite2", .arch = arch_efficientnet_lite0, .depth = 1.2, .depth_rule = DEPTH_FIX_ENDS,
      .width = 1.1, .fix_stem = true, .act = tg_relu6, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_lite3", .arch = arch_efficientnet_lite0, .depth = 1.4, .depth_rule = DEPTH_FIX_ENDS,
      .width = 1.2, .fix_stem = true, .act = tg_relu6, .same = true, .eps = 1e-3f },
    { "tf_efficientnet_lite4", .arch = arch_efficientnet_lite0, .depth = 1.8, .depth_rule = DEPTH_FIX_ENDS,
      .width = 1.4, .fix_stem = true, .act = tg_relu6, .same = true, .eps = 1e-3f },
    { "tf_efficientnetv2_b0", .arch = arch_tf_efficientnetv2, .round_limit = -1, .act = tg_silu, .same = true,
      .eps = 1e-3f },
    { "tf_efficientnetv2_b1", .arch = arch_tf_efficientnetv2, .depth = 1.1, .round_limit = -1, .act = tg_silu,
      .same = true, .eps = 1e-3f },
    { "tf_efficientnetv2_b2", .arch = arch_tf_efficientnetv2, .depth = 1.2, .width = 1.1, .round_limit = -1,
      .features = 1408, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_efficientnetv2_b3", .arch = arch_tf_efficientnetv2, .depth = 1.4, .width = 1.2, .round_limit = -1,
      .features = 1536, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_efficientnetv2_l", .arch = arch_efficientnetv2_l, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_efficientnetv2_m", .arch = arch_efficientnetv2_m, .stem = 24, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_efficientnetv2_s", .arch = arch_efficientnetv2_s, .stem = 24, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_efficientnetv2_xl", .arch = arch_efficientnetv2_xl, .act = tg_silu, .same = true, .eps = 1e-3f },
    { "tf_mixnet_l", .arch = arch_mixnet_l, .depth_rule = DEPTH_ROUND, .width = 1.3, .stem = 24, .features = 1536,
      .same = true, .eps = 1e-3f },
    { "tf_mixnet_m", .arch = arch_mixnet_l, .depth_rule = DEPTH_ROUND, .stem = 24, .features = 1536, .same = true,
      .eps = 1e-3f },
    { "tf_mixnet_s", .arch = arch_mixnet_s, .stem = 16, .features = 1536, .same = true, .eps = 1e-3f },
    { "tinynet_a", .arch = arch_tinynet_a, .depth = 1.2, .depth_rule = DEPTH_ROUND, .fix_stem = true,
      .act = tg_silu },
    { "tinynet_b", .arch = arch_tinynet_a, .depth = 1.1, .depth_rule = DEPTH_ROUND, .width = 0.75, .fix_stem = true,
      .act = tg_silu },
    { "tinynet_c", .arch = arch_tinynet_a, .depth = 0.85, .depth_rule = DEPTH_ROUND, .width = 0.54, .fix_stem = true,
      .act = tg_silu },
    { "tinynet_d", .arch = arch_tinynet_a, .depth = 0.695, .depth_rule = DEPTH_ROUND, .width = 0.54, .fix_stem = true,
      .act = tg_silu },
    { "tinynet_e", .arch = arch_tinynet_a, .depth = 0.6, .depth_rule = DEPTH_ROUND, .width = 0.51, .fix_stem = true,
      .act = tg_silu },
};

#endif
