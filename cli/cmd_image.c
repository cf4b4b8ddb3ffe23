/* cmd_image.c - timm image: the pixels a network sees, and Pillow's resize. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli.h"

static struct {
    const char *model, *input_size, *interpolation, *crop_mode, *out, *size, *filter, *box, *mean;
    double crop_pct;
    bool test_size;
} o;

static const option options[] = {
    { NULL, 0, OPT_FLAG, NULL, NULL, "preprocess:", 0, 0 },
    { "--model", 'm', OPT_TEXT, &o.model, "M", "the transform of this model's config", 0, 0 },
    { "--test-size", 0, OPT_FLAG, &o.test_size, NULL, "the size and crop of the config for testing, where it has one", 0, 0 },
    { "--input-size", 0, OPT_TEXT, &o.input_size, "CxHxW", "what the network takes (3x224x224)", 0, 0 },
    { "--interpolation", 0, OPT_TEXT, &o.interpolation, "I", "nearest, box, bilinear, hamming, bicubic, lanczos (bicubic)", 0, 0 },
    { "--crop-pct", 0, OPT_DOUBLE, &o.crop_pct, "P", "size over the size resized to (0.875)", 0, 0 },
    { "--crop-mode", 0, OPT_TEXT, &o.crop_mode, "C", "center, squash, border (center)", 0, 0 },
    { "--mean", 0, OPT_TEXT, &o.mean, "R,G,B", "the border's colour, 0 to 1 (ImageNet's mean)", 0, 0 },
    { "--output", 'o', OPT_TEXT, &o.out, "FILE", "where to: .png, or .npy in CHW", 0, 0 },
    { NULL, 0, OPT_FLAG, NULL, NULL, "resize:", 0, 0 },
    { "--size", 0, OPT_TEXT, &o.size, "WxH", "the new size", 0, 0 },
    { "--filter", 0, OPT_TEXT, &o.filter, "F", "nearest, box, bilinear, hamming, bicubic, lanczos (bicubic)", 0, 0 },
    { "--box", 0, OPT_TEXT, &o.box, "x0,y0,x1,y1", "the part to resize (the whole image)", 0, 0 },
    { 0 }
};

static bool transform_of(timm_ctx *ctx, timm_transform *t, int *code)
{
    static const timm_transform plain = { .input_size = { 3, 224, 224 }, .interpolation = "bicubic", .crop_mode = "center",
                                          .crop_pct = .875, .mean = { .485, .456, .406 }, .std = { .229, .224, .225 } };
    timm_cfg cfg;
    *t = plain;
    if (o.model) {
        if (timm_get_cfg(ctx, o.model, &cfg) != TIMM_OK)
            return false;
        *t = timm_cfg_transform(&cfg, o.test_size);
    }
    long long c, h, w;
    char rest;
    if (o.input_size) {
        if (sscanf(o.input_size, "%lldx%lldx%lld%c", &c, &h, &w, &rest) != 3 || (c != 1 && c != 3) || h < 1 || w < 1 || h > 65536
            || w > 65536) {
            *code = cli_usage(&cmd_image, "--input-size takes CxHxW with C 1 or 3, such as 3x224x224, not '%s'", o.input_size);
            return false;
        }
        t->input_size[0] = c;
        t->input_size[1] = h;
        t->input_size[2] = w;
    }
    if (o.mean && sscanf(o.mean, "%lf,%lf,%lf%c", &t->mean[0], &t->mean[1], &t->mean[2], &rest) != 3) {
        *code = cli_usage(&cmd_image, "--mean takes R,G,B, such as 0.5,0.5,0.5, not '%s'", o.mean);
        return false;
    }
    if (o.interpolation)
        t->interpolation = o.interpolation;
    if (o.crop_mode)
        t->crop_mode = o.crop_mode;
    if (o.crop_pct <= 0) {
        *code = cli_usage(&cmd_image, "--crop-pct takes a number above 0, not %g", o.crop_pct);
        return false;
    }
    if (!isnan(o.crop_pct))
        t->crop_pct = o.crop_pct;
    return true;
}

static bool preprocess(timm_ctx *ctx, const char *in, const char *out, int *code)
{
    timm_transform t;
    timm_image photo = { 0 }, seen = { 0 };
    if (!transform_of(ctx, &t, code))
        return false;
    timm_image_load(ctx, in, t.input_size[0] == 1 ? 1 : 3, &photo);
    timm_preprocess(ctx, &photo, &t, &seen);
    timm_image_save(ctx, out, &seen, true);
    timm_image_free(&photo);
    timm_image_free(&seen);
    return true;
}

static bool resize(timm_ctx *ctx, const char *in, const char *out, int *code)
{
    int w, h;
    char rest;
    double box[4];
    timm_image photo = { 0 }, made = { 0 };
    if (!o.size) {
        *code = cli_usage(&cmd_image, "resize to what size? --size WxH is missing");
        return false;
    }
    if (sscanf(o.size, "%dx%d%c", &w, &h, &rest) != 2 || w < 1 || h < 1) {
        *code = cli_usage(&cmd_image, "--size takes WxH, such as 320x240, not '%s'", o.size);
        return false;
    }
    if (o.box && sscanf(o.box, "%lf,%lf,%lf,%lf%c", &box[0], &box[1], &box[2], &box[3], &rest) != 4) {
        *code = cli_usage(&cmd_image, "--box takes x0,y0,x1,y1, not '%s'", o.box);
        return false;
    }
    timm_image_load(ctx, in, 0, &photo);
    timm_image_resize(ctx, &photo, w, h, o.filter ? o.filter : "bicubic", o.box ? box : NULL, &made);
    timm_image_save(ctx, out, &made, false);
    timm_image_free(&photo);
    timm_image_free(&made);
    return true;
}

static int run(int argc, char **argv)
{
    text_list words = { 0 };
    int code;
    o.crop_pct = NAN;
    if (!cli_options(&cmd_image, options, argc, argv, &words, &code))
        return cli_finish(&cmd_image, code);
    const char *verb = words.count ? words.text[0] : "";
    bool fits = !strcmp(verb, "resize") ? words.count == 3 : !strcmp(verb, "preprocess") && words.count == 2 && o.out;
    if (!fits) {
        code = !strcmp(verb, "resize") ? cli_usage(&cmd_image, "resize takes IN and OUT")
               : !strcmp(verb, "preprocess") ? cli_usage(&cmd_image, "preprocess takes one IMAGE and -o OUT")
                                             : cli_usage(&cmd_image, "preprocess or resize, not '%s'", verb);
        return code;
    }
    timm_ctx *ctx = cli_open(1, NULL, 1, TIMM_TUNE_NEVER);
    const char *in = words.text[1];
    if (!strcmp(verb, "resize"))
        resize(ctx, in, words.text[2], &code);
    else
        preprocess(ctx, in, o.out, &code);
    int closed = cli_close(&cmd_image, ctx, in);
    return code ? code : closed;
}

const command cmd_image = {
    "image", "the pixels a network sees; Pillow's resize",
    "preprocess IMAGE [--model M] -o OUT | timm image resize IN OUT --size WxH [options]",
    "preprocess writes the exact 8-bit pixels that a network is given for a photograph (.npy: channels, rows, columns).\n"
    "resize is PIL's Image.resize, byte for byte; it keeps the image's mode L, RGB or RGBA (.npy: rows, columns, channels).",
    "  $ timm image preprocess cat.jpg --model resnet50 -o seen.png\n"
    "  $ timm image preprocess cat.jpg --input-size 3x288x288 --crop-pct 1.0 --crop-mode squash -o seen.npy\n"
    "  $ timm image resize cat.jpg small.png --size 320x240 --filter lanczos\n",
    run,
};
