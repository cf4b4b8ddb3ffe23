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

/* What asks for nothing of options that are not there may stand on the command line, and is not shown. */
TEST(timm_options_absent)
{
    static const struct { const char *options, *says; } asked[] = {
        { "--color-jitter 0.4", "timm's --color-jitter is not there yet, and '0.4' asks for it\n" },
        { "--jsd-loss", "timm's --jsd-loss is not there yet, and 'true' asks for it\n" },
        { "--train-img-sizes 128 160", "timm's --train-img-sizes is not there yet, and '128 160' asks for it\n" },
        { "--start-epoch 3", "timm's --start-epoch is not there yet, and '3' asks for it\n" },
    };
    char options[1200];
    const char *data = made_idx(44, 20, 4);
    snprintf(options, sizeof options, "%s -b 8 --in-chans 1 --img-size 32 --color-jitter 0 --start-epoch 0 --aa '' --channels-last --no-prefetcher "
             "--device cuda --tta=0 --torchcompile --seed 7 --torchcompile inductor --torchcompile", data);
    char *args = args_of(options, made_output());
    CHECK(!command_has(args, "color_jitter") && command_has(args, "\nseed: 7\n"), "%s", args);
    free(args);
    for (size_t i = 0; i < COUNT(asked); i++) {
        command_result r = command_run("timm train %s --dataset idx -m test_vit %s", data, asked[i].options);
        CHECK(r.code == 2 && command_has(r.err, asked[i].says), "%s: exit %d: %s", asked[i].options, r.code, r.err);
        command_free(&r);
    }
    command_result r = command_run("timm train --help");
    CHECK(!command_has(r.out, "--tta") && !command_has(r.out, "--device"), "%s", r.out);
    command_free(&r);
}

/* Booleans in YAML's several words. */
TEST(timm_options_yaml_booleans)
{
    static const struct { const char *text, *flag; } words[] = {
        { "yes", "true" }, { "On", "true" }, { "TRUE", "true" }, { "no", "false" }, { "Off", "false" }, { "False", "false" },
    };
    char yaml[1200], options[2400], want[64];
    snprintf(yaml, sizeof yaml, "%s", test_temp("words.yaml"));
    for (size_t i = 0; i < COUNT(words); i++) {
        FILE *f = fopen(yaml, "w");
        REQUIRE(f && fprintf(f, "model_ema: %s\npretrained: no\nstart_epoch: 0\nopt_kwargs: {nesterov: %s}\n", words[i].text, words[i].text) > 0
                && !fclose(f), "cannot write %s", yaml);
        snprintf(options, sizeof options, "%s -b 8 --in-chans 1 --img-size 32 --config %s", made_idx(44, 20, 4), yaml);
        char *args = args_of(options, made_output());
        snprintf(want, sizeof want, "\nmodel_ema: %s\n", words[i].flag);
        CHECK(command_has(args, want), "%s: %s", words[i].text, args);
        snprintf(want, sizeof want, "\n  nesterov: %s\n", words[i].flag);
        CHECK(command_has(args, want), "%s: %s", words[i].text, args);
        free(args);
    }
}

/* Numbers are such to PyYAML too, which wants a point before an exponent and a sign in it, and takes 010 for eight. */
TEST(timm_options_numbers_in_yaml)
{
    static const char *const want[] = { "\nbatch_size: 8\n", "\nseed: 10\n", "\nmin_lr: 1.25e-07\n", "\nweight_decay: 2.0e-05\n", "\nwarmup_lr: 1.0e-05\n",
                                        "\nmomentum: 0.9\n", "\nlr_noise:\n- 0.25\n- 0.5\n", "\nmean:\n- -0.5\n", "\nclip_grad: 2.0e+20\n", "\ndrop: 1.00000000e-05\n",
                                        "\nfreeze:\n- cls_token\n", "\nscale:\n- 0.08\n- 1.0\n", "\n  eps: 1.0e-12\n", "\nlr: 0.001\n" };
    char options[1200];
    snprintf(options, sizeof options, "%s -b 8 --in-chans 1 --img-size 32 --opt adamw --seed 010 --min-lr 1.25E-7 --lr-noise .25 5e-1 --mean -5e-1 --clip-grad 2e20 "
             "--drop 1e-5 --freeze cls_token --opt-kwargs eps=1e-12 --lr 1e-3", made_idx(44, 20, 4));
    char *args = args_of(options, made_output());
    for (size_t i = 0; i < COUNT(want); i++)
        CHECK(command_has(args, want[i]), "no %s in %s", want[i], args);
    free(args);
}

/* What timm 1.0.31 writes into args.yaml of a run without augmentation of colours. */
static const char timm_args[] =
    "aa: null\namp: false\namp_dtype: float16\naug_repeats: 0\naug_splits: 0\nbatch_size: 8\nbce_loss: false\nbce_pos_weight: null\nbce_sum: false\n"
    "bce_target_thresh: null\nbn_eps: null\nbn_momentum: null\nchannels_last: false\ncheckpoint_hist: 10\nclass_map: ''\nclip_grad: null\nclip_mode: norm\n"
    "color_jitter: 0.0\ncolor_jitter_prob: null\ncooldown_epochs: 0\ncrop_pct: null\ncutmix: 0.0\ncutmix_minmax: null\ndataset: idx\n"
    "dataset_download: false\ndataset_trust_remote_code: false\ndecay_epochs: 90\ndecay_milestones:\n- 90\n- 180\n- 270\ndecay_rate: 0.1\ndevice: cuda:0\n"
    "device_modules: null\ndist_bn: reduce\ndrop: 0.0\ndrop_block: null\ndrop_connect: null\ndrop_path: null\nepoch_repeats: 0.0\nepochs: 1\n"
    "eval_metric: top1\nexperiment: ''\nfast_norm: false\nfuser: ''\ngaussian_blur_prob: null\ngp: null\ngrad_accum_steps: 1\ngrad_checkpointing: false\n"
    "grayscale_prob: null\nhead_init_bias: null\nhead_init_scale: null\nhflip: 0.5\nimg_size: null\nin_chans: null\ninitial_checkpoint: ''\n"
    "input_img_mode: null\ninput_key: null\ninput_size:\n- 1\n- 32\n- 32\ninterpolation: ''\njsd_loss: false\nkd_distill_type: logit\nkd_model_name: null\n"
    "kd_temperature: 4.0\nlayer_decay: null\nlocal_rank: 0\nlog_interval: 50\nlog_wandb: false\nlr: 0.01\nlr_base: 0.1\nlr_base_scale: ''\nlr_noise: null\n"
    "mean: null\nmin_lr: 0\nmixup: 0.0\nmixup_mode: batch\nmodel: test_vit\nmodel_dtype: null\nmodel_ema: false\nmodel_kwargs: {}\nmomentum: 0.9\n"
    "naflex_loader: false\nnaflex_train_seq_lens:\n- 128\n- 256\nno_aug: false\nno_prefetcher: false\nnum_classes: null\nopt: sgd\nopt_betas: null\n"
    "opt_kwargs: {}\noutput: ''\npin_mem: false\npretrained: false\npretrained_path: null\nratio:\n- 0.75\n- 1.3333333333333333\nrecount: 1\nremode: pixel\n"
    "reprob: 0.0\nresplit: false\nresume: ''\nsave_images: false\nscale:\n- 0.08\n- 1.0\nsched: cosine\nsplit_bn: false\nstart_epoch: null\nstd: null\n"
    "sync_bn: false\ntarget_key: null\ntorchcompile: null\ntorchscript: false\ntrain_batches_per_epoch: 0\ntrain_crop_mode: null\ntrain_img_sizes: null\n"
    "train_num_samples: null\ntta: 0\nval_split: validation\nvariable_batch_loss_scale: none\nwarmup_epochs: 0\nweight_decay: 2.0e-05\nworker_seeding: all\n";

TEST(timm_options_args_yaml)
{
    static const struct { const char *line, *says; } asked[] = {
        { "aa: rand-m9-mstd0.5", "line 1: timm's aa is not there yet, and 'rand-m9-mstd0.5' asks for it; null does without\n" },
        { "tta: 2", "timm's tta is not there yet, and '2' asks for it" },
        { "jsd_loss: true", "timm's jsd_loss is not there yet, and 'true' asks for it" },
        { "resplit: true", "timm's resplit is not there yet, and 'true' asks for it" },
        { "aug_repeats: 3.0", "timm's aug_repeats is not there yet, and '3.0' asks for it" },
        { "train_img_sizes: [128, 160]", "timm's train_img_sizes is not there yet, and a list asks for it" },
        { "tta2: 0", "line 1: no option is called 'tta2'\n" },
        { "jsd_loss: Yes", "timm's jsd_loss is not there yet, and 'true' asks for it" },
    };
    char yaml[1200], options[4096];
    const char *output = made_output(), *data = made_idx(44, 20, 4);
    snprintf(yaml, sizeof yaml, "%s", test_temp("timm-args.yaml"));
    FILE *f = fopen(yaml, "w");
    REQUIRE(f && fprintf(f, "data: %s\n%s", data, timm_args) > 0 && !fclose(f), "cannot write %s", yaml);
    snprintf(options, sizeof options, "--config %s", yaml);
    char *args = args_of(options, output);
    CHECK(command_has(args, "\nbatch_size: 8\n") && command_has(args, "\ninput_size: '1 32 32'\n"), "%s", args);
    free(args);
    for (size_t i = 0; i < COUNT(asked); i++) {
        f = fopen(yaml, "w");
        REQUIRE(f && fprintf(f, "%s\n", asked[i].line) > 0 && !fclose(f), "cannot write %s", yaml);
        command_result r = command_run("timm train %s --config %s --output %s.not", data, yaml, output);
        CHECK(r.code == 2 && command_has(r.err, asked[i].says), "%s: exit %d: %s", asked[i].line, r.code, r.err);
        command_free(&r);
    }
    /* Without --output a run goes to output/train of where one is. */
    command_result r = command_run("cd %s && %s train %s --dataset idx -m test_vit --input-size 1 32 32 -b 8 --epochs 1 --output '' --experiment e && ls "
                                   "output/train/e/args.yaml", test_temp("."), TEST_TIMM, data);
    CHECK(r.code == 0 && command_has(r.out, "output/train/e/args.yaml\n"), "exit %d: %s", r.code, r.err);
    command_free(&r);
}
