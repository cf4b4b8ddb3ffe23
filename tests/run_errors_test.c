/* run_errors_test.c - runs that cannot be: each says why in a sentence, with its exit code, and nothing that was there is lost. */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "command.h"
#include "made_run.h"
#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define MODEL "-m test_vit --in-chans 1 --img-size 32 --threads 1 "
#define RUN MODEL "--batch-size 8 --warmup-epochs 0 --experiment r "

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

/* stderr, but for the lines of progress and notes, is this text and nothing else. */
static void says(const command_result *r, int code, const char *what, const char *text)
{
    const char *said = r->err;
    while (!strncmp(said, "Train: ", 7) || !strncmp(said, "epoch ", 6) || !strncmp(said, "timm: ", 6))
        said += strcspn(said, "\n") + 1;
    size_t n = strlen(said);
    CHECK(r->code == code && n && said[n - 1] == '\n' && !command_crashed(r), "%s: exit %d: %s", what, r->code, r->err);
    CHECK(strstr(said, text) && !strncmp(said, "timm train: ", 12), "%s: not '%s', but: %s", what, text, said);
}

static void fails(const char *output, const char *options, int code, const char *text)
{
    command_result r = command_run("timm train --dataset idx --data-dir %s " RUN "--epochs 1 --output %s %s", made_idx(44, 20, 4), output, options);
    says(&r, code, options, text);
    command_free(&r);
}

TEST(run_errors_configurations)
{
    static const struct { const char *text, *says; } cases[] = {
        { "model: test_vit\n\nweihgt_decay: 0.1\n", "line 3: no option is called 'weihgt_decay'; did you mean 'weight_decay'?\n" },
        { "model: test_vit\nepochs: many\n", "line 2: epochs takes a whole number, not 'many'\n" },
        { "lr: [1, 2]\n", "line 1: lr takes one value\n" },
        { "drop: .nan\n", "line 1: drop takes a number, not '.nan'\n" },
        { "drop: nan\n", "line 1: drop takes a number, not 'nan'\n" },
        { "drop: 3\n", "line 1: drop takes a number from 0 to 1, not '3'\n" },
        { "model_ema: maybe\n", "line 1: model_ema takes true or false, not 'maybe'\n" },
        { "model_ema:\n  decay: 0.9\n", "line 1: model_ema takes one value\n" },
        { "freeze: { a: b }\n", "line 1: freeze takes a list\n" },
        { "model_kwargs: { depth: { a: b } }\n", "line 1: model_kwargs takes a list\n" },
        { "- a\n- b\n", "line 1: a list of options is wanted, 'name: value' a line\n" },
        { "model: [test_vit\nlr: 1: 2\n", "line 2: no YAML: " },
        { "\x01\x02", "line 1: no YAML: " },
        { "opt: adamv\n", "no optimizer is called 'adamv'; the nearest is 'adam'\n" },
    };
    char options[1200], path[1024], want[1400];
    const char *output = made_output();
    snprintf(path, sizeof path, "%s", test_temp("run.yaml"));
    snprintf(options, sizeof options, "--config %s", path);
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_text(path, cases[i].text);
        snprintf(want, sizeof want, "%s%s%s", strncmp(cases[i].says, "line", 4) ? "" : path, strncmp(cases[i].says, "line", 4) ? "" : ": ",
                 cases[i].says);
        fails(output, options, 2, want);
    }
    fails(output, "--config no/such.yaml", 1, "no/such.yaml: cannot open: No such file or directory\n");
    fails(output, "--config /", 1, "timm train: /: cannot read: Is a directory\n");
    CHECK(access(output, F_OK), "a folder was made");
}

TEST(run_errors_options)
{
    static const struct { const char *options; int code; const char *says; } cases[] = {
        { "--weihgt-decay 1", 2, "no option is called '--weihgt-decay'; did you mean '--weight-decay'?\n" },
        { "--opt adamv", 2, "no optimizer is called 'adamv'; the nearest is 'adam'\n" },
        { "--sched cosin", 2, "Unknown scheduler 'cosin'; the nearest is 'cosine'\n" },
        { "--loss BinaryCrossEntrop", 2, "; the nearest is BinaryCrossEntropy\n" },
        { "--loss JsdCrossEntropy", 2, "JsdCrossEntropy compares several augmentations of each image, timm's aug_splits, which are not there yet; in C "
          "a loop of one's own can make them\n" },
        { "--ttw 0", 2, "no option is called '--ttw'\n" },
        { "--bce-target-thresh 0.2", 2, "--bce-target-thresh is of binary cross entropy, and the loss is ce; see --bce-loss\n" },
        { "--loss asl --bce-pos-weight 2", 2, "--bce-pos-weight is of binary cross entropy, and the loss is asl; see --bce-loss\n" },
        { "--loss poly --bce-sum", 2, "--bce-sum is of binary cross entropy, and the loss is poly; see --bce-loss\n" },
        { "--loss ce --bce-loss", 2, "--bce-loss asks for one loss, --loss ce for another\n" },
        { "--eval-metric top3", 2, "eval-metric is one of top1, top5, loss, map, micro_f1, macro_f1, sample_f1, rmse, mae, r2, not 'top3'\n" },
        { "--on-nan go", 2, "on-nan is one of stop, skip, not 'go'\n" },
        { "--clip-mode norms", 2, "clip-mode is one of norm, value, agc, not 'norms'\n" },
        { "--interpolation cubic", 2, "interpolation is one of nearest, box, " },
        { "--lr fast", 2, "lr takes a number, not 'fast'\n" },
        { "--seed 1.5", 2, "seed takes a whole number, not '1.5'\n" },
        { "--seed 18446744073709551616", 2, "seed takes a number from -1e+15 to 1e+15, not '18446744073709551616'\n" },
        { "--lr-noise 0.5 --lr-noise-pct 0", 2, "lr-noise-pct takes a number from 1e-06 to 1e+06, not '0'\n" },
        { "--epochs 0", 2, "epochs takes a number from 1 to " },
        { "--batch-size 0", 2, "batch-size takes a number from 1 to " },
        { "--precision fp7", 2, "precision is one of fp32, bf16x6, bf16x3, bf16, not 'fp7'\n" },
        { "--amp --amp-dtype half", 2, "amp-dtype is one of bfloat16, float16, not 'half'\n" },
        { "--amp --amp-dtype float16", 2, "amp-dtype float16 needs its losses scaled and is not there; bfloat16 needs no scaling\n" },
        { "--amp --precision fp32", 2, "amp means precision bf16, and precision says fp32\n" },
        { "--hflip 7", 2, "hflip takes a number from 0 to 1, not '7'\n" },
        { "--remode black", 2, "remode is one of pixel, rand, const, not 'black'\n" },
        { "--recount 0", 2, "recount takes a number from 1 to 1000, not '0'\n" },
        { "--scale 1", 2, "--scale and --ratio take two numbers each\n" },
        { "--scale 2 3", 2, "--scale is 0 < A <= B <= 1" },
        { "--std 0", 2, "--std is above 0, not 0\n" },
        { "--mean 1 2 3", 2, "--mean takes 1 numbers, one a channel, not 3\n" },
        { "--opt adamw --opt-eps -1", 2, "optimizer adamw: eps is not below 0, not -1\n" },
        { "--opt rmsprop --opt-kwargs eps=-1", 2, "optimizer rmsprop: eps is not below 0, not -1\n" },
        { "--opt-kwargs speed=1", 2, "optimizer sgd has no option 'speed'" },
        { "--model-kwargs layers=2", 2, "test_vit takes no argument 'layers'; it takes patch_size, embed_dim, depth, num_heads\n" },
        { "--model-kwargs depth=two", 2, "depth takes 1 whole number from 1, not 'two'\n" },
        { "--model-kwargs depth=[1,2] num_heads=2", 2, "depth takes 1 whole number from 1, not '[1,2]'\n" },
        { "--model-kwargs depth", 2, "model_kwargs are NAME=VALUE, not 'depth'\n" },
        { "-m resnet18 --model-kwargs stem_type=shallow", 2, "stem_type is one of '|deep|deep_tiered', not 'shallow'\n" },
        { "-m resnet18 --model-kwargs avg_down=2", 2, "avg_down is True or False, not '2'\n" },
        { "-m ecaresnet50d_pruned --model-kwargs layers=[1,1,1,1]", 2, "layers of ecaresnet50d_pruned, which is pruned, are " },
        { "--opt-kwargs speed", 2, "--opt-kwargs takes KEY=VALUE, not 'speed'\n" },
        { "--batch-size 45", 2, "a batch of 45 is more than the 44 images to train on; see --batch-size\n" },
        { "--num-classes 3", 1, " has 4 classes, the model's head 3; see --num-classes\n" },
        { "--train-split ''", 2, "no --train-split is named\n" },
        { "--train-split weekday", 2, "no split is called 'weekday'; there are train and test\n" },
        { "--dataset fashon", 2, "no kind of data set is called 'fashon'; there are folder, fashion-mnist, idx, " },
        { "--data-dir /no/such", 1, "/no/such/train-images-idx3-ubyte: cannot open: No such file or directory\n" },
        { "-m test_vitt", 1, "Unknown model (test_vitt); did you mean test_vit" },
        { "--resume auto --experiment ''", 2, "--resume auto finds a run by its name: --experiment\n" },
        { "--resume no/such", 1, "no/such: no such file\n" },
        { "--initial-checkpoint no/such", 1, "no/such: no such file\n" },
        { "--lr 1e38 --sched none", 1, "is no number" },
        { "--lr 1e38 --sched none --epochs 3 --on-nan skip", 1, "the validation loss is no number (NaN) after epoch 0, at a rate of 1e+38: nothing of the epoch is saved" },
        { "--freeze nosuch*", 2, "--freeze nosuch*: no parameter of test_vit has such a name; see timm info test_vit --tensors\n" },
        { "--output /proc/none", 1, "/proc/none: cannot make the folder: " },
        { "--output /dev/null", 1, "/dev/null/r: cannot make the folder: Not a directory\n" },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        fails(made_output(), cases[i].options, cases[i].code, cases[i].says);
}

/* A split whose classes are not those of training would be counted wrong in silence. */
TEST(run_errors_classes_of_validation)
{
    char data[1200];
    const char *four = made_idx(44, 20, 4), *more = made_idx(48, 30, 6);
    snprintf(data, sizeof data, "%s", test_temp("mixed"));
    command_result r = command_run("mkdir -p %s && cp %s/train* %s && cp %s/t10k* %s", data, four, data, more, data);
    CHECK(r.code == 0, "%s", r.err);
    command_free(&r);
    r = command_run("timm train --dataset idx --data-dir %s " RUN "--epochs 1 --output %s", data, made_output());
    says(&r, 1, "six classes after four", "the images to validate on have 6 classes, the model's head 4; see --num-classes\n");
    command_free(&r);
    /* Folders: class 1 is another one. */
    snprintf(data, sizeof data, "%s", test_temp("folders"));
    r = command_run("for d in train/cat train/dog val/cat val/eel; do mkdir -p %s/$d; for i in 1 2 3 4; do cp %s %s/$d/$i.jpg; done; done", data,
                    TEST_DATA "/../share/chelsea.jpg", data);
    CHECK(r.code == 0, "%s", r.err);
    command_free(&r);
    r = command_run("timm train %s " RUN "--batch-size 4 --epochs 1 --output %s", data, made_output());
    says(&r, 1, "cat, eel after cat, dog", "class 1 is 'dog' in training, 'eel' in validation; a --class-map would name them\n");
    command_free(&r);
    r = command_run("rm -r %s/train/dog %s/val && %s train %s " RUN "--batch-size 4 --epochs 1 --val-split '' --output %s", data, data, TEST_TIMM, data,
                    made_output());
    CHECK(r.code == 0 && strstr(r.err, "all images are of one class, cat: "), "%s", r.err);
    command_free(&r);
}

/* The same classes in another order: resumed or validated, each would be taken for another.  And a file that is no image, found when
 * the epoch is trained already: its updates are kept. */
TEST(run_errors_classes_in_another_order)
{
    char data[1200], output[1400];
    snprintf(data, sizeof data, "%s", test_temp("ordered"));
    snprintf(output, sizeof output, "%s", made_output());
    command_result r = command_run("for d in train/cat train/dog val/cat val/dog; do mkdir -p %s/$d; for i in 1 2 3 4; do cp %s %s/$d/$i.jpg; done; done;"
                                   "printf 'dog\ncat\n' > %s/map.txt", data, TEST_DATA "/../share/chelsea.jpg", data, data);
    CHECK(r.code == 0, "%s", r.err);
    command_free(&r);
    r = command_run("timm train %s " RUN "--batch-size 4 --epochs 1 --output %s --class-map %s/map.txt", data, output, data);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    r = command_run("timm train %s " RUN "--batch-size 4 --epochs 2 --output %s --resume auto", data, output);
    says(&r, 1, "resumed without the map", "was trained on the classes [\"dog\",\"cat\"], and the data has [\"cat\",\"dog\"]; see --class-map\n");
    command_free(&r);
    r = command_run("timm validate %s -m test_vit --checkpoint %s/r/last.safetensors", data, output);
    CHECK(r.code == 1 && command_has(r.err, "class 0 is 'dog' in the weights and 'cat' in the data, which have them in another order"),
          "exit %d: %s", r.code, r.err);
    command_free(&r);
    r = command_run("timm validate %s -m test_vit --checkpoint %s/r/last.safetensors --class-map %s/map.txt", data, output, data);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    /* Other classes; and classes that are only numbers, which are no names. */
    r = command_run("mkdir -p %s/other/val && cp -r %s/val/cat %s/other/val/ape && cp -r %s/val/dog %s/other/val/dog && "
                    "%s validate %s/other -m test_vit --checkpoint %s/r/last.safetensors", data, data, data, data, data, TEST_TIMM,
                    data, output);
    CHECK(r.code == 1 && !*r.out && command_has(r.err, "class 0 is 'dog' in the weights and 'ape' in the data, which are not of the classes that these "
          "weights know\n"), "exit %d: %s", r.code, r.err);
    command_free(&r);
    r = command_run("cd %s/other/val && mv ape 0 && mv dog 1 && %s validate %s/other -m test_vit --checkpoint %s/r/last.safetensors", data, TEST_TIMM,
                    data, output);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    snprintf(output, sizeof output, "%s/val/cat/3.jpg", data);
    write_text(output, "");
    r = command_run("timm train %s " RUN "--batch-size 4 --epochs 1 --output %s", data, made_output());
    says(&r, 1, "no image among those to validate on", "3.jpg");
    CHECK(command_has(r.err, "what was saved last is in "), "%s", r.err);
    command_free(&r);
}

/* -- a run that is there ------------------------------------------------------------------------------------------------------------- */

static void run_there(char last[1200], char kept[1200], const char *output, const char *options)
{
    command_result r = command_run("timm train --dataset idx --data-dir %s " RUN "--epochs 1 --output %s %s && cp %s/r/last.safetensors %s.kept",
                                   made_idx(44, 20, 4), output, options, output, output);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    snprintf(last, 1200, "%s/r/last.safetensors", output);
    snprintf(kept, 1200, "%s.kept", output);
}

static void nothing_lost(const char *what, const char *last, const char *kept)
{
    char why[4096], folder[1200];
    CHECK(same_tensors(last, kept, why, sizeof why), "%s: %s", what, why);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(last, '/') - last), last);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        CHECK(!strstr(e->d_name, ".tmp") && strcmp(e->d_name, ".link"), "%s: %s is left", what, e->d_name);
    if (d)
        closedir(d);
}

TEST(run_errors_resume)
{
    char last[1200], kept[1200], other[1200], bad[1200], options[4096];
    const char *output = made_output(), *strange = made_output();
    run_there(last, kept, output, "");
    fails(output, "--epochs 2", 2, " holds a run; --resume auto goes on with it, another --experiment begins anew\n");
    nothing_lost("begun again", last, kept);
    fails(output, "--epochs 2 --resume auto --opt adamw", 1, "as runs with another --opt; --no-resume-opt begins the optimizer anew\n");
    fails(output, "--epochs 2 --resume auto --model-ema", 1, "as runs without --model-ema; --no-resume-opt begins the average anew\n");
    fails(output, "--epochs 2 --resume auto --eval-metric loss --sched plateau", 1,
          "has no 'schedule/state', as runs with another --sched; --no-resume-opt begins the schedule anew\n");
    fails(output, "--epochs 2 --resume auto -m test_resnet", 1, "is a checkpoint of test_vit, not of test_resnet\n");
    fails(output, "--epochs 2 --resume auto --img-size 64", 1, "pos_embed' holds ");
    nothing_lost("resumed as something else", last, kept);
    snprintf(other, sizeof other, "%s/r/args.yaml", output);
    char *args = command_slurp(other);
    CHECK(command_has(args, "\nopt: sgd\n") && command_has(args, "\nmodel_ema: false\n"), "%s", args);
    free(args);
    run_there(other, bad, strange, "-m test_resnet");
    snprintf(options, sizeof options, "--epochs 2 --resume %s", other);
    fails(output, options, 1, "is a checkpoint of test_resnet, not of test_vit\n");
    snprintf(bad, sizeof bad, "%s", test_temp("bad.safetensors"));
    snprintf(options, sizeof options, "--epochs 2 --resume %s", bad);
    write_text(bad, "these are words and no checkpoint of anything\n");
    fails(output, options, 1, "bad.safetensors: not a safetensors file");
    /* Cut anywhere it is refused. */
    for (int size = 0; size < 4000000; size = 3 * size + 7) {
        command_result r = command_run("head -c %d %s >%s", size, last, bad);
        command_free(&r);
        fails(output, options, 1, "bad.safetensors: ");
    }
    /* Of the right size, and one byte of a tensor is another. */
    command_result r = command_run("cp %s %s && printf '\\377' | dd of=%s bs=1 seek=$(( $(wc -c <%s) - 20000 )) conv=notrunc", last, bad, bad, last);
    CHECK(r.code == 0, "%s", r.err);
    command_free(&r);
    fails(output, options, 1, "bad.safetensors is damaged: its tensors have the checksum ");
    nothing_lost("resumed from what is none", last, kept);
    /* Within an epoch the place means the same in the same batches only: stopped there, and gone on with others. */
    const char *part = made_output();
    double place = 0;
    snprintf(other, sizeof other, "%s/r/last.safetensors", part);
    for (int i = 0; i < 20 && place == 0; i++) {
        pid_t pid = run_begin(NULL, NULL, "train --dataset idx --data-dir %s " RUN "--batch-size 1 --epochs 1000 --recovery-interval 7 --resume auto "
                              "--output %s", made_idx(44, 20, 4), part);
        wait_seconds(.3 + .05 * i);
        kill(pid, SIGTERM);
        int code = run_end(pid);
        size_t n = 0;
        float *position = code == 75 ? tensor_of(other, "trainer/position", &n) : NULL;
        place = position && n > 2 ? (double)position[2] : 0;
        free(position);
    }
    CHECK(place > 0, "never stopped within an epoch");
    fails(part, "--batch-size 2 --resume auto", 1, "was saved within an epoch, with --batch-size 1: it can go on with that alone, not with 2\n");
    /* Nor in another data set: with more images, or with classes of other names.  At an epoch's end more images are told of. */
    const char *more = made_idx(45, 20, 4);
    r = command_run("timm train --dataset idx --data-dir %s " RUN "--batch-size 1 --resume auto --output %s", more, part);
    says(&r, 1, "more images, within an epoch", "was saved within an epoch over 44 images: it can go on with those alone, not with 45; checkpoints of "
         "whole epochs can\n");
    command_free(&r);
    r = command_run("timm train --dataset idx --data-dir %s " RUN "--epochs 2 --resume auto --output %s", more, output);
    CHECK(r.code == 0 && command_has(r.err, "last.safetensors was trained on 44 images so far, and from here on there are 45\n"), "exit %d: %s", r.code,
          r.err);
    command_free(&r);
}

/* Without last.safetensors a folder holds a run still: nothing begins over it, and --resume auto takes the newest checkpoint there is. */
TEST(run_errors_without_the_last)
{
    static const char *const away[] = { "last.safetensors", "last.safetensors checkpoint-2.safetensors", "last.safetensors checkpoint-*",
                                        "last.safetensors checkpoint-* model_best.safetensors" };
    static const char *const next[] = { "checkpoint-2.safetensors", "checkpoint-1.safetensors", "model_best.safetensors" };
    char output[1200], last[1200], kept[1200], text[200], why[4096];
    const char *data = made_idx(44, 20, 4);
    snprintf(output, sizeof output, "%s", made_output());
    run_there(last, kept, output, "--epochs 3 --val-split ''");                 /* the loss falls: the last epoch is the best */
    for (size_t i = 0; i < COUNT(away); i++) {
        const char *there = made_output();
        command_result r = command_run("mkdir -p %s && cp -r %s/r %s/r && cd %s/r && rm %s", there, output, there, there, away[i]);
        CHECK(r.code == 0, "%s", r.err);
        command_free(&r);
        fails(there, "--epochs 3", 2, "/r holds a run; --resume auto goes on with it, another --experiment begins anew\n");
        r = command_run("cd %s/r && ls | tr '\\n' ' '", there);
        CHECK(command_has(r.out, "summary.csv") && !command_has(r.out, "last"), "%s: %s", away[i], r.out);
        command_free(&r);
        r = command_run("timm train --dataset idx --data-dir %s " RUN "--epochs 3 --val-split '' --output %s --resume auto", data, there);
        snprintf(text, sizeof text, "/r/last.safetensors is not there; the newest checkpoint beside it is %s\n", i < COUNT(next) ? next[i] : "");
        CHECK(r.code == 0 && command_has(r.err, i < COUNT(next) ? text : "epochs 0 to 2 of "), "%s: exit %d: %s", away[i], r.code, r.err);
        command_free(&r);
        snprintf(last, sizeof last, "%s/r/last.safetensors", there);
        CHECK(i == 2 || same_tensors(last, kept, why, sizeof why), "%s: %s", away[i], why);      /* there the list of the best is shorter */
        r = command_run("cut -d, -f1 %s/r/summary.csv | tr '\\n' ' '", there);
        CHECK(!strcmp(r.out, "epoch 0 1 2 "), "%s: summary.csv has %s", away[i], r.out);
        command_free(&r);
    }
    /* Damaged, and the others whole: checkpoint-2 and model_best are links to it, which a file of its own is not. */
    command_result r = command_run("cd %s/r && head -c 5000 last.safetensors >x && mv x last.safetensors", output);
    CHECK(r.code == 0, "%s", r.err);
    command_free(&r);
    fails(output, "--epochs 4 --resume auto", 1, "; --resume takes another checkpoint of ");
    fails(output, "--epochs 4 --resume auto", 1, "/r, the newest first: checkpoint-2.safetensors checkpoint-1.safetensors checkpoint-0.safetensors "
          "model_best.safetensors\n");
    /* Gone, and the newest beside it damaged, which here is the best as well. */
    r = command_run("cd %s/r && rm last.safetensors && head -c 5000 checkpoint-2.safetensors >x && cp x checkpoint-2.safetensors && rm x", output);
    CHECK(r.code == 0, "%s", r.err);
    command_free(&r);
    fails(output, "--epochs 4 --resume auto", 1, "/r, the newest first: checkpoint-1.safetensors checkpoint-0.safetensors\n");
}

/* Two runs into one folder would ruin each other. */
TEST(run_errors_folder_in_use)
{
    const char *output = made_output(), *data = made_idx(44, 20, 4);
    char last[1200];
    snprintf(last, sizeof last, "%s/r/last.safetensors", output);
    pid_t first = run_begin(NULL, NULL, "train --dataset idx --data-dir %s " RUN "--epochs 100000 --output %s", data, output);
    for (double end = clock_seconds() + 20; access(last, F_OK) && clock_seconds() < end;)
        wait_seconds(.01);
    fails(output, "--resume auto", 1, ": another run is writing there\n");
    kill(first, SIGTERM);
    CHECK(run_end(first) == 75, "the first run");
}

/* -- no room ------------------------------------------------------------------------------------------------------------------------ */

TEST(run_errors_disk_full)
{
    char last[1200], kept[1200], why[4096], end[1200];
    const char *output = made_output(), *whole = made_output();
    run_there(last, kept, output, "");
    command_result r = command_run("ulimit -f 1000; %s train --dataset idx --data-dir %s " RUN "--epochs 2 --resume auto --output %s", TEST_TIMM,
                                   made_idx(44, 20, 4), output);
    CHECK(r.code == 1 && command_has(r.err, "last.safetensors: cannot write: File too large\n")
          && command_has(r.err, "timm train: what was saved last is in "), "exit %d: %s", r.code, r.err);
    command_free(&r);
    nothing_lost("a full disk", last, kept);
    /* With room again it goes on as if nothing had been. */
    for (int i = 0; i < 2; i++) {
        r = command_run("timm train --dataset idx --data-dir %s " RUN "--epochs 2 --resume auto --output %s", made_idx(44, 20, 4), i ? whole : output);
        CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
        command_free(&r);
    }
    snprintf(end, sizeof end, "%s/r/last.safetensors", whole);
    CHECK(!same_tensors(last, kept, why, sizeof why), "nothing was trained");
}

/* Whatever memory there is: an answer, or a sentence; with --retry smaller batches are tried. */
TEST(run_errors_memory)
{
    if (command_sanitized) {
        test_skip("the address sanitizer needs all addresses");
        return;
    }
    int retried = 0, refused = 0;
    char last[1200], kept[1200];
    const char *output = made_output(), *many = made_idx(44, 3000, 4);
    run_there(last, kept, output, "");
    for (int kib = 16000; kib < 200000 && !(retried && refused); kib += kib / 5) {
        command_result r = command_run("ulimit -v %d; %s validate %s --dataset idx -m test_vit --checkpoint %s --batch-size 3000 --threads 1 "
                                       "--workers 0 --retry", kib, TEST_TIMM, many, last);
        CHECK((r.code == 0 || command_has(r.err, "memory")) && !command_has(r.err, "egmentation"), "%d KiB: exit %d: %s", kib, r.code, r.err);
        retried += r.code == 0 && command_has(r.err, "timm validate: out of memory; trying again with batches of 1500\n");
        command_free(&r);
        r = command_run("ulimit -v %d; %s train --dataset idx --data-dir %s " RUN "--epochs 1 --train-split test --val-split '' --batch-size 3000 "
                        "--workers 0 --output %s.%d", kib, TEST_TIMM, many, output, kib);
        CHECK((r.code == 0 || command_has(r.err, "memory")) && !command_has(r.err, "egmentation"), "%d KiB: exit %d: %s", kib, r.code, r.err);
        refused += r.code == 1 && command_has(r.err, "out of memory");
        command_free(&r);
    }
    CHECK(retried && refused, "%d tried again, %d refused", retried, refused);
}
