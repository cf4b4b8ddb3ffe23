/* bad_input_test.c - whatever is given, timm answers in a sentence that names it and the cause, and exits 1 or 2.
 *
 * In the commands $T is the test's own folder, $D tests/, $S share/, $W the bundled weights, $M the options that name them.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "command.h"
#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void put(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(test_temp(name), "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n, "cannot write %s", name);
    if (f)
        fclose(f);
}

/* A safetensors file: length of the header, header, and so many bytes behind it. */
static void put_tensors(const char *name, uint64_t length, const char *header, off_t size)
{
    char head[4096];
    size_t n = strlen(header);
    for (int i = 0; i < 8; i++)
        head[i] = (char)(length >> 8 * i);
    memcpy(head + 8, header, n);
    put(name, head, 8 + n);
    CHECK(truncate(test_temp(name), 8 + (off_t)n + size) == 0, "cannot lengthen %s", name);
}

static void prepare(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    char folder[1024], tests[1024], share[1100], weights[1200], model[1400];
    snprintf(folder, sizeof folder, "%s", test_temp("x"));
    folder[strlen(folder) - 2] = 0;
    snprintf(tests, sizeof tests, "%s", test_data("x"));
    tests[strlen(tests) - 2] = 0;
    snprintf(share, sizeof share, "%s/../share", tests);
    snprintf(weights, sizeof weights, "%s/tf_efficientnet_lite0.in1k.safetensors", share);
    snprintf(model, sizeof model, "--model tf_efficientnet_lite0 --checkpoint %s", weights);
    setenv("T", folder, 1);
    setenv("D", tests, 1);
    setenv("S", share, 1);
    setenv("W", weights, 1);
    setenv("M", model, 1);
    setenv("HF_HUB_CACHE", test_temp("hub"), 1);

    put("text.safetensors", "These are words, no weights at all.\n", 36);
    put("empty.safetensors", "", 0);
    put("short.safetensors", "\10\0\0", 3);
    put_tensors("header-100mb.safetensors", 100000001, "{", 100000001);
    put_tensors("header-endless.safetensors", UINT64_MAX, "{}", 64);
#define TENSORS(name, header, size) put_tensors(name ".safetensors", sizeof header - 1, header, size)
    TENSORS("no-json", "{\"a\": nonsense}", 4);
    TENSORS("huge-dims", "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":[0,4]}}", 4);
    TENSORS("negative", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4);
    TENSORS("overlap", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                       "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12);
    TENSORS("hole", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8);
    TENSORS("wrong-size", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8);
    TENSORS("no-dtype", "{\"a\":{\"dtype\":\"F7\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    TENSORS("past-the-end", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4);
    TENSORS("one-tensor", "{\"conv_stem.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    put("words.jpg", "no picture\n", 11);
    put("gif.jpg", "GIF89a\1\0\1\0\0\0\0;", 14);
    command_result r = command_run("cd $T && mkdir -p folder.safetensors folder.jpg hub/models--timm--resnet18.a1_in1k/refs && "
                                   "printf nonsense/.. >hub/models--timm--resnet18.a1_in1k/refs/main && "
                                   "head -c 1000000 $W >cut.safetensors && head -c 500 $W >cut-header.safetensors && "
                                   "head -c 9000 $D/data/chelsea.jpg >cut.jpg && head -c 9000 $D/data/chelsea.png >cut.png && "
                                   "cp $S/chelsea.jpg locked.jpg && chmod 0 locked.jpg && "
                                   "cp $W locked.safetensors && chmod 0 locked.safetensors");
    CHECK(r.code == 0, "preparing: %s", r.err);
    command_free(&r);
}

typedef struct bad {
    const char *command;
    int code;
    const char *says[3];            /* what stderr must hold */
} bad;

static void judge(const bad *b)
{
    command_result r = command_run("%s", b->command);
    CHECK(!command_crashed(&r), "%s: exit %d: %s", b->command, r.code, r.err);
    CHECK(r.code == b->code, "%s: exit %d, not %d: %s", b->command, r.code, b->code, r.err);
    for (int i = 0; i < 3 && b->says[i]; i++)
        CHECK(command_has(r.err, b->says[i]), "%s: '%s' is not said: %s", b->command, b->says[i], r.err);
    CHECK(b->code == 0 || !strncmp(r.err, "timm", 4) || !strncmp(b->command, "(", 1), "%s: no sentence of ours: %s", b->command, r.err);
    command_free(&r);
}

#define JUDGE(table) do { prepare(); for (size_t i_ = 0; i_ < COUNT(table); i_++) judge(&(table)[i_]); } while (0)

TEST(bad_input_names_of_models)
{
    static const bad cases[] = {
        { "timm info no_such_network_at_all", 1, { "no_such_network_at_all", "Unknown model" } },
        { "timm info resnet5O", 1, { "resnet5O", "did you mean resnet50" } },
        { "timm info mobilenetv3_larg_100", 1, { "did you mean mobilenetv3_large_100" } },
        { "timm info resnet50.a9_in1k", 1, { "a9_in1k", "a1_in1k" } },
        { "timm info ''", 1, { "Unknown model" } },
        { "timm info $(printf 'a%.0s' $(seq 5000))", 1, { "Unknown model" } },
        { "timm fingerprint resnet18 nonsense_34", 1, { "nonsense_34" } },
        { "timm benchmark vit_bse_patch16_224", 1, { "vit_base_patch16_224" } },
        { "timm infer $S/chelsea.jpg --model resnet51 --checkpoint $W", 1, { "resnet51" } },
        { "timm infer $S/chelsea.jpg --model resnet50", 1, { "timm/resnet50.a1_in1k", "Hugging Face cache", "hf download" } },
        { "timm infer $S/chelsea.jpg --model resnet18", 1, { "refs/main", "should hold a commit" } },
    };
    JUDGE(cases);
}

TEST(bad_input_weights)
{
    static const bad cases[] = {
        { "timm info $T/none.safetensors", 1, { "none.safetensors", "no such file" } },
        { "timm info none.safetensors", 1, { "none.safetensors: no such file" } },
        { "timm info $T/text.safetensors", 1, { "text.safetensors" } },
        { "timm info $T/empty.safetensors", 1, { "empty.safetensors" } },
        { "timm info $T/short.safetensors", 1, { "short.safetensors" } },
        { "timm info $T/cut.safetensors", 1, { "cut.safetensors" } },
        { "timm info $T/cut-header.safetensors", 1, { "cut-header.safetensors" } },
        { "timm info $T/header-100mb.safetensors", 1, { "header-100mb.safetensors", "100000001" } },
        { "timm info $T/header-endless.safetensors", 1, { "header-endless.safetensors" } },
        { "timm info $T/no-json.safetensors", 1, { "no-json.safetensors" } },
        { "timm info $T/huge-dims.safetensors", 1, { "huge-dims.safetensors", "a" } },
        { "timm info $T/negative.safetensors", 1, { "negative.safetensors" } },
        { "timm info $T/overlap.safetensors", 1, { "overlap.safetensors", "b" } },
        { "timm info $T/hole.safetensors", 1, { "hole.safetensors" } },
        { "timm info $T/wrong-size.safetensors", 1, { "wrong-size.safetensors" } },
        { "timm info $T/no-dtype.safetensors", 1, { "no-dtype.safetensors", "F7" } },
        { "timm info $T/past-the-end.safetensors", 1, { "past-the-end.safetensors" } },
        { "timm info $T/folder.safetensors", 1, { "folder.safetensors" } },
        { "timm infer $S/chelsea.jpg --model resnet18 --checkpoint $T/text.safetensors", 1, { "text.safetensors" } },
        { "timm infer $S/chelsea.jpg --model tf_efficientnet_lite0 --checkpoint $T/cut.safetensors", 1, { "cut.safetensors" } },
        { "timm infer $S/chelsea.jpg --model tf_efficientnet_lite0 --checkpoint $T/one-tensor.safetensors", 1,
          { "one-tensor.safetensors", "conv_stem.weight is (2,) in the file and (32, 3, 3, 3) in the model", "missing" } },
        { "timm infer $S/chelsea.jpg --model resnet18 --checkpoint $W", 1, { "is a checkpoint of tf_efficientnet_lite0, not of resnet18" } },
        { "timm fingerprint tf_efficientnet_lite1 --checkpoint $W", 1, { "is a checkpoint of tf_efficientnet_lite0, not of tf_efficientnet_lite1" } },
    };
    JUDGE(cases);
}

TEST(bad_input_images)
{
    static const bad cases[] = {
        { "timm infer $T/none.jpg $M", 1, { "none.jpg", "no such file" } },
        { "timm infer $T/words.jpg $M", 1, { "words.jpg", "neither JPEG nor PNG nor WebP" } },
        { "timm infer $T/gif.jpg $M", 1, { "gif.jpg", "neither JPEG nor PNG nor WebP" } },
        { "timm infer /dev/null $M", 1, { "/dev/null" } },
        { "timm infer /dev/zero $M", 1, { "/dev/zero", "no end" } },
        { "timm infer $T/folder.jpg $M", 1, { "folder.jpg", "directory" } },
        { "timm infer $T/cut.jpg $M", 1, { "cut.jpg" } },
        { "timm infer $T/cut.png $M", 1, { "cut.png" } },
        { "timm infer $W $M", 1, { "lite0.in1k.safetensors", "neither JPEG nor PNG nor WebP" } },
        { "timm image preprocess $T/words.jpg --model resnet18 -o $T/o.png", 1, { "words.jpg" } },
        { "timm image resize $S/chelsea.jpg $T/line.png --size 100x1", 0, { 0 } },
        { "timm image preprocess $T/line.png --input-size 3x8x8 --crop-mode border -o $T/o.png", 1,
          { "line.png", "100 x 1 would be resized to 9 x 0" } },
        { "timm image preprocess $T/line.png --input-size 3x8x8 --crop-pct 9 -o $T/o.png", 2, { "with crop_pct 9" } },
        { "timm image resize $T/cut.jpg $T/o.png --size 8x8", 1, { "cut.jpg" } },
        { "timm image resize $D/data/odd/png_huge.png $T/o.png --size 8x8", 1, { "png_huge.png", "pixels" } },
        { "timm image resize $D/data/odd/jpeg_12bit.jpg $T/o.png --size 8x8", 1, { "jpeg_12bit.jpg" } },
        { "timm image resize $D/data/odd/jpeg_header_only.jpg $T/o.png --size 8x8", 1, { "jpeg_header_only.jpg" } },
        { "timm image resize $D/data/odd/png_bad_crc_header.png $T/o.png --size 8x8", 1, { "png_bad_crc_header.png" } },
        /* The other images of a run are still answered. */
        { "timm infer $T/words.jpg $S/chelsea.jpg $M | grep -q 'tiger cat' && exit 1", 1, { "words.jpg" } },
    };
    JUDGE(cases);
}

TEST(bad_input_odd_images_are_read)
{
    static const bad cases[] = {
        { "timm image resize $S/chelsea.jpg $T/one.png --size 1x1", 0, { 0 } },
        { "timm infer $T/one.png $M", 0, { 0 } },
        { "timm image resize $S/chelsea.jpg $T/wide.png --size 20000x1", 0, { 0 } },
        { "timm infer $T/wide.png $M", 0, { 0 } },
        { "timm image resize $S/chelsea.jpg $T/wider.png --size 20000x30", 0, { 0 } },
        { "timm image preprocess $T/wider.png --model resnet18 -o $T/o.npy", 0, { 0 } },
        { "timm infer $D/data/odd/jpeg_cmyk.jpg $M", 0, { 0 } },
        { "timm infer $D/data/odd/grey16.png $M", 0, { 0 } },
        { "timm infer $D/data/odd/rgb16.png $M", 0, { 0 } },
        { "timm infer $D/data/odd/palette4_trns.png $M", 0, { 0 } },
        { "timm infer $D/data/odd/webp_rgb_animated.webp $M", 0, { 0 } },
    };
    JUDGE(cases);
}

TEST(bad_input_options)
{
    static const bad cases[] = {
        { "timm", 2, { 0 } },
        { "timm frobnicate", 2, { "frobnicate" } },
        { "timm bnchmark x.jpg", 2, { "did you mean 'benchmark'" } },
        { "timm infer", 2, { "--model" } },
        { "timm infer --model resnet18", 2, { "which images" } },
        { "timm infer x.jpg --modle resnet18", 2, { "--modle", "did you mean '--model'" } },
        { "timm infer x.jpg --model", 2, { "--model needs a value" } },
        { "timm infer x.jpg --model --topk 3", 2, { "--model needs a value: --model M\n" } },
        { "timm infer x.jpg -m -k 3", 2, { "--model needs a value" } },
        { "timm infer x.jpg --model --", 2, { "--model needs a value" } },
        { "timm infer x.jpg --model M --topk -1", 2, { "--topk takes a number from 1 to 1000000, not '-1'" } },
        { "timm train --lr --threads 2", 2, { "--lr needs a value: --lr R\n" } },
        { "timm train --opt-betas -0.9,0.9 --lr", 2, { "--lr needs a value" } },
        { "timm infer $S/chelsea.jpg $M --topk five", 2, { "--topk", "five" } },
        { "timm infer $S/chelsea.jpg $M --topk 0", 2, { "--topk", "'0'" } },
        { "timm infer $S/chelsea.jpg $M --topk 99999999999999999999", 2, { "--topk" } },
        { "timm infer $S/chelsea.jpg $M --json=yes", 2, { "--json takes no value, or =true or =false" } },
        { "timm infer $S/chelsea.jpg $M --threads -1", 2, { "--threads", "-1" } },
        { "timm infer $S/chelsea.jpg $M --backend gpu", 2, { "gpu", "onednn" } },
        { "timm infer $S/chelsea.jpg $M -q", 2, { "-q" } },
        { "timm list --no-such", 2, { "--no-such" } },
        { "timm list --no-json=true", 2, { "--no-json takes no value" } },
        { "timm list --no-such=true", 2, { "no option is called '--no-such'" } },
        { "timm info", 2, { "which model" } },
        { "timm info resnet18 resnet34", 2, { "one model" } },
        { "timm info $W --input-size 64", 2, { "--input-size needs a model", "lite0.in1k.safetensors is a file" } },
        { "timm info $W --in-chans 1", 2, { "--in-chans needs a model" } },
        { "timm info $W --num-classes 0", 2, { "--num-classes needs a model" } },
        { "timm info resnet18 --in-chans 0", 2, { "--in-chans", "'0'" } },
        { "timm info resnet18 --num-classes -3", 2, { "--num-classes", "-3" } },
        { "timm info swin_tiny_patch4_window7_224 --input-size 1", 1, { "patch_embed.proj.weight" } },
        { "timm info vit_tiny_patch16_224 --input-size 5", 1, { "patch_embed.proj.weight", "does not fit" } },
        { "timm graph", 2, { "one model" } },
        { "timm graph resnet18 -b 0", 2, { "--batch", "'0'" } },
        { "timm benchmark", 2, { "which model" } },
        { "timm benchmark resnet18 --precision fp7", 2, { "fp7", "fp32, bf16x6, bf16x3, bf16" } },
        { "timm fingerprint test_vit --precision fp16", 2, { "fp16", "fp32, bf16x6, bf16x3, bf16" } },
        { "timm infer $S/chelsea.jpg $M --precision half", 2, { "half", "fp32, bf16x6, bf16x3, bf16" } },
        { "timm validate --model tf_efficientnet_lite0 --checkpoint $W --num-classes 4 --precision int8", 2, { "int8", "fp32, bf16x6, bf16x3, bf16" } },
        { "timm benchmark resnet18 --seconds nan", 2, { "--seconds", "nan" } },
        { "timm benchmark resnet18 --seconds -1", 2, { "--seconds", "-1" } },
        { "timm benchmark resnet18 --copies 2 --profile", 2, { "--copies" } },
        { "timm fingerprint", 2, { "which model" } },
        { "timm fingerprint resnet18 --input-size 1e9", 2, { "--input-size", "1e9" } },
        { "timm doctor now", 2, { "no operands" } },
        { "timm image", 2, { "preprocess or resize" } },
        { "timm image rotate a b", 2, { "rotate" } },
        { "timm image preprocess $S/chelsea.jpg", 2, { "-o" } },
        { "timm image preprocess $S/chelsea.jpg --model resnet18 -o $T/o.bmp", 2, { "o.bmp" } },
        { "timm image preprocess $S/chelsea.jpg --model resnet18 -o $T/no/o.png", 1, { "no/o.png", "No such file" } },
        { "timm image preprocess $S/chelsea.jpg --input-size 224 -o $T/o.png", 2, { "--input-size", "'224'" } },
        { "timm image preprocess $S/chelsea.jpg --input-size 3x0x7 -o $T/o.png", 2, { "3x0x7" } },
        { "timm image preprocess $S/chelsea.jpg --crop-pct 0 -o $T/o.png", 2, { "crop" } },
        { "timm image preprocess $S/chelsea.jpg --crop-pct inf -o $T/o.png", 2, { "inf" } },
        { "timm image preprocess $S/chelsea.jpg --crop-mode oval -o $T/o.png", 2, { "oval", "center" } },
        { "timm image preprocess $S/chelsea.jpg --interpolation magic -o $T/o.png", 2, { "magic", "bicubic" } },
        { "timm image preprocess $S/chelsea.jpg --mean red -o $T/o.png", 2, { "--mean", "red" } },
        { "timm image resize $S/chelsea.jpg $T/o.png", 2, { "--size WxH is missing" } },
        { "timm image resize $S/chelsea.jpg $T/o.png --size 0x8", 2, { "--size", "0x8" } },
        { "timm image resize $S/chelsea.jpg $T/o.png --size 8x8x8", 2, { "8x8x8" } },
        { "timm image resize $S/chelsea.jpg $T/o.png --size 2000000000x2000000000", 1, { "2000000000" } },
        { "timm image resize $S/chelsea.jpg $T/o.png --size 8x8 --filter magic", 2, { "magic" } },
        { "timm image resize $S/chelsea.jpg $T/o.png --size 8x8 --box 1,2,3", 2, { "--box", "1,2,3" } },
        { "timm image resize $S/chelsea.jpg $T/o.png --size 8x8 --box 9,9,3,3", 2, { "box" } },
        { "timm image resize $S/chelsea.jpg $T/o.png --size 8x8 --box 0,0,9999,9", 2, { "box" } },
        { "timm image resize $S/chelsea.jpg $T/o.png --size 8x8 --box nan,0,9,9", 2, { "box" } },
        { "timm image resize $S/chelsea.jpg /dev/full --size 8x8", 2, { "/dev/full" } },
    };
    JUDGE(cases);
}

TEST(bad_input_streams_that_refuse)
{
    static const bad cases[] = {
        { "timm list >/dev/full", 1, { "standard output", "No space left" } },
        { "timm list --json >/dev/full", 1, { "standard output" } },
        { "timm list >&-", 1, { "standard output" } },
        { "timm info resnet18 --tensors >/dev/full", 1, { "standard output" } },
        { "timm info resnet18 --json >&-", 1, { "standard output" } },
        { "timm infer $S/chelsea.jpg $M >/dev/full", 1, { "standard output" } },
        { "timm infer $S/chelsea.jpg $M >&-", 1, { "standard output" } },
        { "timm graph resnet18 >/dev/full", 1, { "standard output" } },
        { "timm doctor >/dev/full", 1, { "standard output" } },
        { "timm fingerprint test_resnet --input-size 64 >/dev/full", 1, { "standard output" } },
        { "timm benchmark test_resnet --runs 1 >/dev/full", 1, { "standard output" } },
        { "timm --help >/dev/full", 1, { "timm: cannot write to standard output" } },
        { "timm infer --help >/dev/full", 1, { "standard output" } },
        { "timm --version >&-", 1, { "standard output" } },
    };
    JUDGE(cases);
}

TEST(bad_input_reader_that_leaves_early)
{
    prepare();
    command_result r = command_run("%s", "(trap '' PIPE; " TEST_TIMM " info resnet50 --tensors; echo $? >$T/left) | true; cat $T/left");
    CHECK(!command_crashed(&r), "%s", r.err);
    CHECK(!strcmp(r.out, "1\n") || !strcmp(r.out, "0\n"), "exit %s", r.out);
    CHECK(!*r.err, "said %s", r.err);                  /* head and less do it: nothing went wrong */
    command_free(&r);
}

/* Root may read everything, so the commands run as nobody, who may not even enter the test's folder. */
TEST(bad_input_no_permission)
{
    static const char *const commands[][2] = {
        { "infer $T/locked.jpg $M", "locked.jpg" },
        { "info $T/locked.safetensors", "locked.safetensors" },
        { "image resize $S/chelsea.jpg $T/none/o.png --size 8x8", "o.png" },
    };
    prepare();
    const char *as = getuid() ? "" : "setpriv --reuid=65534 --regid=65534 --clear-groups ";
    command_result r = command_run("%s%s --version", as, TEST_TIMM);
    int works = r.code;
    command_free(&r);
    if (works) {
        test_skip("the build is not readable to others");
        return;
    }
    for (size_t i = 0; i < COUNT(commands); i++) {
        r = command_run("cd / && %s%s %s", as, TEST_TIMM, commands[i][0]);
        CHECK(!command_crashed(&r) && r.code == 1, "%s: exit %d: %s", commands[i][0], r.code, r.err);
        CHECK(command_has(r.err, commands[i][1]), "%s: %s", commands[i][0], r.err);
        CHECK(i == 2 || command_has(r.err, "Permission denied"), "%s: %s", commands[i][0], r.err);
        command_free(&r);
    }
}

/* Less and less memory: every run ends well or says that memory ran out. */
TEST(bad_input_out_of_memory)
{
    static const char *const commands[] = {
        "infer $S/chelsea.jpg $M --threads 1", "fingerprint resnet50 --input-size 64 --threads 1", "info resnet18 --json",
        "list --pretrained", "image resize $S/chelsea.jpg $T/o.png --size 4000x4000", "benchmark vit_small_patch16_224 --runs 1 --threads 1",
    };
    prepare();
    if (command_sanitized) {
        test_skip("the sanitizer needs its own terabytes");
        return;
    }
    for (size_t i = 0; i < COUNT(commands); i++) {
        int said = 0;
        for (int megabytes = 160; megabytes > 8; megabytes = megabytes * 5 / 8) {
            command_result r = command_run("ulimit -v %d; %s %s", megabytes * 1024, TEST_TIMM, commands[i]);
            bool loads = r.code != 127 && !command_has(r.err, "error while loading shared libraries");
            CHECK(!loads || r.code < 126, "%s in %d MB: exit %d: %s", commands[i], megabytes, r.code, r.err);
            CHECK(!loads || r.code < 126 ? !loads || r.code == 0 || !strncmp(r.err, "timm", 4) : true, "%s in %d MB: %s", commands[i],
                  megabytes, r.err);
            said += loads && r.code == 1 && (command_has(r.err, "memory"));
            command_free(&r);
            if (!loads)
                break;
        }
        bool little = !strncmp(commands[i], "list", 4) || !strncmp(commands[i], "info", 4);
        CHECK(said || little, "%s never ran out", commands[i]);
    }
}
