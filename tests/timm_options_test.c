/* timm_options_test.c - command lines and files of options that were written for timm's own scripts. */
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "jsonl.h"
#include "made_run.h"
#include "test.h"
#include "timm/train.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* A run of test_vit on grey images with these options alone; its args.yaml is to be freed. */
static char *args_of(const char *options, const char *output)
{
    char path[1200];
    command_result r = command_run("timm train -m test_vit --dataset idx --threads 1 --epochs 1 --lr 0.01 --warmup-epochs 0 --experiment r --output %s %s",
                                   output, options);
    CHECK(r.code == 0, "%s: exit %d: %s", options, r.code, r.err);
    command_free(&r);
    snprintf(path, sizeof path, "%s/r/args.yaml", output);
    char *args = command_slurp(path);
    CHECK(args, "no %s", path);
    return args ? args : calloc(1, 1);
}

TEST(timm_options_other_names)
{
    char options[1200];
    snprintf(options, sizeof options, "--data %s -b 8 -vb 5 -j 1 --dr 0.25 --in-chans 1 --img-size 32", made_idx(44, 20, 4));
    char *args = args_of(options, made_output());
    CHECK(command_has(args, "\nbatch_size: 8\nvalidation_batch_size: 5\nworkers: 1\n") && command_has(args, "\ndecay_rate: 0.25\n"), "%s", args);
    free(args);
    command_result r = command_run("timm train --help");
    CHECK(command_has(r.out, " -b, --batch-size N") && command_has(r.out, " -vb N ") && command_has(r.out, " --dr R ")
          && command_has(r.out, "as --decay-rate\n"), "%s", r.out);
    command_free(&r);
    CHECK(!strcmp(timm_train_alias("decay-rate"), "--dr") && !timm_train_alias("lr"), "timm_train_alias");
}

/* "C H W" is --in-chans and --img-size, and need not be square. */
TEST(timm_options_input_size)
{
    static const struct { const char *options, *says; } bad[] = {
        { "--input-size 1 32", "--input-size takes channels, height and width, as 3 224 224, not '1 32'\n" },
        { "--input-size 1 32 x", "not '1 32 x'\n" },
        { "--input-size 1 0 32", "not '1 0 32'\n" },
        { "--input-size 1 32 32 --in-chans 3", "--input-size says 1 channels, --in-chans 3\n" },
        { "--input-size 1 32 64 --img-size 32", "--input-size says 32 x 64, --img-size 32\n" },
    };
    static const struct { const char *model; int code; const char *says; } oblong[] = {
        { "test_vit", 0, "" }, { "test_resnet", 0, "" }, { "test_vit --input-size 1 40 64", 2, "Input height (40) should be divisible by patch size (16)" },
    };
    const char *data = made_idx(44, 20, 4);
    for (size_t i = 0; i < COUNT(bad); i++)
        for (int k = 0; k < 2; k++) {
            command_result r = command_run("timm %s %s --dataset idx -m test_vit %s", k ? "validate" : "train", data, bad[i].options);
            CHECK(r.code == 2 && command_has(r.err, bad[i].says), "%s: exit %d: %s", bad[i].options, r.code, r.err);
            command_free(&r);
        }
    for (size_t i = 0; i < COUNT(oblong); i++) {
        char output[1200];
        snprintf(output, sizeof output, "%s", made_output());
        command_result r = command_run("timm train --input-size 1 32 64 %s --dataset idx --batch-size 8 --epochs 1 --lr 0.01 --threads 1 --experiment r "
                                       "--output %s -m %s", data, output, oblong[i].model);
        CHECK(r.code == oblong[i].code && command_has(r.err, oblong[i].says), "%s: exit %d: %s", oblong[i].model, r.code, r.err);
        command_free(&r);
        if (oblong[i].code)
            continue;
        /* The checkpoint knows it; asked for again it is the same. */
        for (int k = 0; k < 2; k++) {
            r = command_run("timm validate %s %s --dataset idx -m %s --checkpoint %s/r/last.safetensors --json", k ? "--input-size 1 32 64" : "", data,
                            oblong[i].model, output);
            json_t *v = json_loads(r.out, 0, NULL);
            CHECK(v && jsonl_number(v, "img_size") == 64, "%s: exit %d: %s%s", oblong[i].model, r.code, r.out, r.err);
            json_decref(v);
            command_free(&r);
        }
        /* So does args.yaml; the command line wins. */
        char options[1400];
        snprintf(options, sizeof options, "--config %s/r/args.yaml %s", output, i ? "--input-size 1 64 32" : "");
        char *args = args_of(options, made_output());
        CHECK(command_has(args, i ? "\ninput_size: '1 64 32'\n" : "\ninput_size: '1 32 64'\n"), "%s", args);
        free(args);
    }
}
