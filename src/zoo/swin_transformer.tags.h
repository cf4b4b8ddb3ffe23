/* swin_transformer.tags.h - the weights that timm 1.0.31 publishes for it; written by tools/tags.py. */
#include "zoo/tag.h"

static const struct zoo_tag swin_transformer_tags[] = {
    { "swin_small_patch4_window7_224.ms_in22k_ft_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.8/"
      "swin_small_patch4_window7_224_22kto1k_finetune.pth" },
    { "swin_small_patch4_window7_224.ms_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth" },
    { "swin_small_patch4_window7_224.ms_in22k", .fixed = true, .crop_pct = .9, .classes = 21841, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.8/"
      "swin_small_patch4_window7_224_22k.pth" },
    { "swin_base_patch4_window7_224.ms_in22k_ft_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
      "swin_base_patch4_window7_224_22kto1k.pth" },
    { "swin_base_patch4_window7_224.ms_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224.pth" },
    { "swin_base_patch4_window7_224.ms_in22k", .fixed = true, .crop_pct = .9, .classes = 21841, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
      "swin_base_patch4_window7_224_22k.pth" },
    { "swin_base_patch4_window12_384.ms_in22k_ft_in1k", .input = { 3, 384, 384 }, .fixed = true, .crop_pct = 1.0,
      .pool = { 12, 12 }, .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
      "swin_base_patch4_window12_384_22kto1k.pth" },
    { "swin_base_patch4_window12_384.ms_in1k", .input = { 3, 384, 384 }, .fixed = true, .crop_pct = 1.0,
      .pool = { 12, 12 }, .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384.pth" },
    { "swin_base_patch4_window12_384.ms_in22k", .input = { 3, 384, 384 }, .fixed = true, .crop_pct = 1.0,
      .classes = 21841, .pool = { 12, 12 }, .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
      "swin_base_patch4_window12_384_22k.pth" },
    { "swin_large_patch4_window7_224.ms_in22k_ft_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
      "swin_large_patch4_window7_224_22kto1k.pth" },
    { "swin_large_patch4_window7_224.ms_in22k", .fixed = true, .crop_pct = .9, .classes = 21841, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
      "swin_large_patch4_window7_224_22k.pth" },
    { "swin_large_patch4_window12_384.ms_in22k_ft_in1k", .input = { 3, 384, 384 }, .fixed = true, .crop_pct = 1.0,
      .pool = { 12, 12 }, .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
      "swin_large_patch4_window12_384_22kto1k.pth" },
    { "swin_large_patch4_window12_384.ms_in22k", .input = { 3, 384, 384 }, .fixed = true, .crop_pct = 1.0,
      .classes = 21841, .pool = { 12, 12 }, .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
      "swin_large_patch4_window12_384_22k.pth" },
    { "swin_tiny_patch4_window7_224.ms_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth" },
    { "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.8/"
      "swin_tiny_patch4_window7_224_22kto1k_finetune.pth" },
    { "swin_tiny_patch4_window7_224.ms_in22k", .fixed = true, .crop_pct = .9, .classes = 21841, .pool = { 7, 7 },
      .first_conv = "patch_embed.proj", .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/SwinTransformer/storage/releases/download/v1.0.8/"
      "swin_tiny_patch4_window7_224_22k.pth" },
    { "swin_s3_tiny_224.ms_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 }, .first_conv = "patch_embed.proj",
      .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/s3_t-1d53f6a8.pth" },
    { "swin_s3_small_224.ms_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 }, .first_conv = "patch_embed.proj",
      .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/s3_s-3bb4c69d.pth" },
    { "swin_s3_base_224.ms_in1k", .fixed = true, .crop_pct = .9, .pool = { 7, 7 }, .first_conv = "patch_embed.proj",
      .classifier = "head.fc", .license = "mit",
      .url = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/s3_b-a1e95db4.pth" },
};
