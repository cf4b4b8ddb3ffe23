/* timm_options_test.c - command lines and files of options that were written for timm's own scripts. */
#include <stdlib.h>
#include <string.h>
#include "command.h"
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
