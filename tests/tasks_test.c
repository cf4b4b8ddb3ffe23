/* tasks_test.c - several labels an image, and numbers: their files, losses, figures and runs. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/random.h"
#include "command.h"
#include "data/dataset.h"
#include "made_run.h"
#include "test.h"
#include "timm/train.h"
#include "train/metrics.h"

/* PyTorch's binary_cross_entropy_with_logits, mse_loss and l1_loss in double; r2 from its definition there. */
TEST(figures_of_tasks_as_pytorch)
{
    static const float x[] = { .5f, -1.25f, 2, 3.5f, -30, 0, 1.75f, 100 }, labels[] = { 1, 0, 0, 1, .25f, 1, 1, 0 };
    static const float y[] = { .5f, -1.25f, 2, 3.5f, -3, 0, 1.75f, 10 }, t[] = { 1, .5f, 2.5f, 3, -2, 1, 0, 7 };
    double loss = metrics_binary_loss(x, labels, 8);
    CHECK(fabs(loss - 13.9045069782299) < 1e-9, "%.12g", loss);
    regression_metrics m = metrics_regression(y, t, 4, 2);
    CHECK(fabs(m.mse - 2.234375) < 1e-9 && fabs(m.mae - 1.25) < 1e-9 && fabs(m.r2 - 0.5323730966238189) < 1e-9, "%.12g %.12g %.12g",
          m.mse, m.mae, m.r2);
    static const float same[] = { 2, 2, 2 }, off[] = { 2, 2, 3 };
    CHECK(metrics_regression(same, same, 3, 1).r2 == 1 && metrics_regression(off, same, 3, 1).r2 == 0, "a column of one value");
}

/* -- files ----------------------------------------------------------------------------------------------------------------- */

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[1300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    REQUIRE(f, "%s", path);
    fputs(text, f);
    fclose(f);
}

static const char *folder_of(const char *name)
{
    static char path[4][1200];
    static int turn;
    char *to = path[turn = (turn + 1) % 4];
    snprintf(to, sizeof *path, "%s", test_temp(name));
    mkdir(to, 0777);
    return to;
}

TEST(tables_of_labels_are_read)
{
    static const struct { const char *kind, *csv, *names; float row[2][3]; } all[] = {
        { "multilabel", "path,labels\na.png,dog; cat \nb.png,\n", "cat dog", { { 1, 1 }, { 0, 0 } } },
        { "multilabel", "\xEF\xBB\xBFpath,labels\r\n\"a.png\",\"cat, small;\"\"dog\"\"\"\r\n\r\nb.png,bird\r\n", "\"dog\" bird cat, small",
          { { 1, 0, 1 }, { 0, 1, 0 } } },
        { "multilabel", "path,sun,rain\na.png,1,0\nb.png,.25,1", "sun rain", { { 1, 0 }, { .25f, 1 } } },
        { "regression", "path,age,height\na.png,-3.5,1e2\nb.png,7,0\n", "age height", { { -3.5f, 100 }, { 7, 0 } } },
    };
    const char *folder = folder_of("tables");
    put_file(folder, "a.png", "");
    put_file(folder, "b.png", "");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        status st = { 0 };
        char names[200] = "";
        put_file(folder, "val.csv", all[i].csv);
        dataset *d = dataset_open(all[i].kind, folder, "validation", NULL, &st);
        CHECK(d && dataset_count(d) == 2, "%zu: %s", i, st.text);
        for (int k = 0; d && k < dataset_classes(d); k++)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", k ? " " : "", dataset_class_name(d, k));
        CHECK(!strcmp(names, all[i].names), "%zu: %s", i, names);
        for (int r = 0; d && r < 2; r++)
            CHECK(!memcmp(dataset_target(d, r), all[i].row[r], (size_t)dataset_classes(d) * sizeof(float)), "%zu: row %d", i, r);
        dataset_close(d);
    }
}

TEST(tables_say_what_is_wrong)
{
    static const struct { const char *kind, *csv, *says; } all[] = {
        { "multilabel", "path,labels\n", "/val.csv: a header and rows of an image and its labels are wanted" },
        { "multilabel", "path,labels\na.png,x,y\n", "/val.csv: line 2 has 3 columns, the first 2" },
        { "multilabel", "path,labels\na.png, ;\n", "/val.csv: no image has a label" },
        { "multilabel", "path,labels\nc.png,x\n", "/c.png: No such file" },
        { "multilabel", "path,x,y\na.png,1,2\n", "/val.csv: y of a.png is a number from 0 to 1, not '2'" },
        { "regression", "path,age\na.png,\n", "/val.csv: age of a.png is a number that 32 bits hold, not ''" },
        { "regression", "path,age\na.png,12 years\n", "/val.csv: age of a.png is a number that 32 bits hold, not '12 years'" },
        { "regression", "path,age\na.png,1e95\n", "/val.csv: age of a.png is a number that 32 bits hold, not '1e95'" },
        { "regression", NULL, "neither validation/labels.csv nor validation.csv is in it" },
    };
    const char *folder = folder_of("wrong");
    put_file(folder, "a.png", "");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        status st = { 0 };
        char path[1300];
        snprintf(path, sizeof path, "%s/val.csv", folder);
        if (all[i].csv)
            put_file(folder, "val.csv", all[i].csv);
        else
            remove(path);
        dataset *d = dataset_open(all[i].kind, folder, "validation", NULL, &st);
        CHECK(!d && strstr(st.text, all[i].says), "%zu: '%s'", i, st.text);
        dataset_close(d);
    }
    status st = { 0 };
    put_file(folder, "val.csv", "path,labels\na.png,owl\n");
    dataset *d = dataset_open("multilabel", folder, "val", &(dataset_opts){ .classes = (const char *[]){ "cat", "dog" }, .n_classes = 2 }, &st);
    CHECK(!d && strstr(st.text, "'owl' of a.png is none of the 2 labels of training"), "%s", st.text);
}

/* -- runs ------------------------------------------------------------------------------------------------------------------ */

/* n images of noise, quarters of which are red, green, blue or none of these; how light they are is a number of theirs. */
static void make_split(timm_ctx *ctx, const char *root, const char *split, int n)
{
    static const char *const names[] = { "red", "green", "blue" };
    char folder[1300], path[1400];
    uint8_t pixels[32 * 32 * 3];
    snprintf(folder, sizeof folder, "%s/%s", root, split);
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/labels.csv", folder);
    FILE *labels = fopen(path, "w");
    snprintf(path, sizeof path, "%s/%s-light.csv", root, split);
    FILE *light = fopen(path, "w");
    REQUIRE(labels && light, "%s", path);
    fputs("path,labels\n", labels);
    fputs("path,light,dark\n", light);
    for (int i = 0; i < n; i++) {
        uint64_t key = random_bits(hash_name(split), (uint64_t)i + 1);
        double level = random_uniform(key, 1);
        bool has[3];
        for (int c = 0; c < 3; c++)
            has[c] = random_uniform(key, 2 + (uint64_t)c) < .4;
        for (int k = 0; k < 32 * 32 * 3; k++) {
            int c = k % 3, at = k / 3, y = at / 32, x = at % 32;
            bool inside = has[c] && y >= 4 + 8 * c && y < 12 + 8 * c && x >= 8 && x < 24;
            double v = 40 + 120 * level + 40 * random_uniform(key, 100 + (uint64_t)k) + (inside ? 55 : 0);
            pixels[k] = (uint8_t)(v > 255 ? 255 : v);
        }
        snprintf(path, sizeof path, "%s/%d.png", folder, i);
        REQUIRE(timm_image_save(ctx, path, &(timm_image){ 32, 32, 3, pixels }, false) == TIMM_OK, "%s", timm_message(ctx));
        fprintf(labels, "%d.png,", i);
        for (int c = 0, any = 0; c < 3; c++)
            if (has[c])
                fprintf(labels, "%s%s", any++ ? ";" : "", names[c]);
        fputc('\n', labels);
        fprintf(light, "%s/%d.png,%.4f,%.4f\n", split, i, level, 1 - level);
    }
    fclose(labels);
    fclose(light);
}

static const char *made_photos(void)
{
    static char root[1200];
    timm_ctx *ctx = *root ? NULL : timm_open(NULL);
    if (ctx) {
        snprintf(root, sizeof root, "%s", folder_of("photos"));
        make_split(ctx, root, "train", 96);
        make_split(ctx, root, "val", 48);
        timm_close(ctx);
    }
    return root;
}

/* The last line of figures; NULL: it failed. */
static json_t *trained(const char *output, const char *options)
{
    command_result r = command_run("timm train %s -m test_resnet --img-size 32 --batch-size 16 --no-aug --warmup-epochs 0 --opt adamw --threads 2 "
                                   "--lr 3e-3 --experiment r --output %s %s", made_photos(), output, options);
    CHECK(!r.code, "%s: exit %d: %s", options, r.code, r.err);
    char *last = r.code ? NULL : strrchr(r.out, '{');
    json_t *v = last ? json_loads(last, 0, NULL) : NULL;
    command_free(&r);
    return v;
}

static double figure(const json_t *v, const char *name) { return json_number_value(json_object_get(v, name)); }

/* What the run said of its last epoch, validate says of the checkpoint; summary.csv has it, too. */
static void same_figures(const char *output, const json_t *v, const char *options, const char *const *names, const char *header)
{
    char path[1200];
    command_result r = command_run("timm validate %s -m test_resnet --img-size 32 --json --checkpoint %s/r/last.safetensors %s",
                                   made_photos(), output, options);
    json_t *w = json_loads(r.out, 0, NULL);
    CHECK(!r.code && w, "%s: %s", options, r.err);
    for (; *names; names++) {
        char key[64];
        snprintf(key, sizeof key, "eval_%s", *names);
        CHECK(json_object_get(v, key) && fabs(figure(v, key) - figure(w, *names)) < 1e-4, "%s: %g in the run, %g now", key, figure(v, key), figure(w, *names));
    }
    json_decref(w);
    command_free(&r);
    snprintf(path, sizeof path, "%s/r/summary.csv", output);
    char *csv = command_slurp(path);
    CHECK(csv && !strncmp(csv, header, strlen(header)), "%s", csv ? csv : path);
    free(csv);
    snprintf(path, sizeof path, "%s/r/model_best.safetensors", output);
    struct stat s;
    CHECK(!stat(path, &s), "no %s", path);
}

/* What infer says of an image that is red, green and blue, and light: all labels are likely, and the numbers are no probabilities. */
static void inferred(const char *output, bool numbers)
{
    static const char *const labels[] = { "blue", "green", "red" }, *const columns[] = { "light", "dark" };
    char photo[1300];
    uint8_t pixels[32 * 32 * 3];
    for (int k = 0; k < 32 * 32 * 3; k++) {
        int c = k % 3, y = k / 96, x = k / 3 % 32;
        pixels[k] = (uint8_t)(180 + (y >= 4 + 8 * c && y < 12 + 8 * c && x >= 8 && x < 24 ? 55 : 0));
    }
    timm_ctx *ctx = timm_open(NULL);
    snprintf(photo, sizeof photo, "%s/all.png", made_photos());
    timm_image_save(ctx, photo, &(timm_image){ 32, 32, 3, pixels }, false);
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    timm_close(ctx);
    command_result r = command_run("timm infer %s -m test_resnet --checkpoint %s/r/last.safetensors --json", photo, output);
    json_t *v = json_loads(r.out, 0, NULL), *list = json_object_get(v, numbers ? "values" : "top"), *row;
    CHECK(json_array_size(list) == (numbers ? 2 : 3), "exit %d: %s%s", r.code, r.out, r.err);
    double sum = 0;
    size_t i;
    json_array_foreach(list, i, row) {
        const char *name = json_string_value(json_object_get(row, "label"));
        size_t index = (size_t)figure(row, "index");
        sum += figure(row, numbers ? "value" : "probability");
        CHECK(name && !strcmp(name, numbers ? columns[i] : labels[index]), "%zu: %s", i, r.out);
    }
    if (numbers)
        CHECK(figure(json_array_get(list, 0), "value") > figure(json_array_get(list, 1), "value"), "%s", r.out);
    else
        CHECK(sum > 1.5, "%s", r.out);
    json_decref(v);
    command_free(&r);
    r = command_run("timm infer %s -m test_resnet --checkpoint %s/r/last.safetensors", photo, output);
    CHECK(!r.code && command_has(r.out, "%") == !numbers && command_has(r.out, numbers ? "      0  light\n" : "  red\n"), "%s", r.out);
    command_free(&r);
}

TEST(several_labels_are_learned)
{
    static const char *const losses[] = { "", "--loss asl", "--loss poly", "--loss db", "--loss zlpr --smoothing 0", "--loss twoway --smoothing 0",
                                          "--mixup .2 --cutmix 1 --mixup-mode elem" };
    static const char *const names[] = { "loss", "map", "micro_f1", "macro_f1", "sample_f1", NULL };
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        char options[200], output[1200];
        snprintf(output, sizeof output, "%s", made_output());
        snprintf(options, sizeof options, "--task multilabel --epochs %d %s", i ? 2 : 14, losses[i]);
        json_t *v = trained(output, options);
        CHECK(v && figure(v, "eval_map") > (i ? 30 : 85), "%s: mAP %g", options, figure(v, "eval_map"));
        if (v && !i)
            same_figures(output, v, "--task multilabel", names, "epoch,train_loss,eval_loss,eval_map,eval_micro_f1,eval_macro_f1,eval_sample_f1,lr\n0,");
        if (v && !i)
            inferred(output, false);
        json_decref(v);
    }
}

TEST(numbers_are_learned)
{
    static const char *const losses[] = { "", "--loss l1", "--loss smooth_l1 --loss-kwargs beta=.1" };
    static const char *const names[] = { "loss", "rmse", "mae", "r2", NULL };
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        char options[200], output[1200];
        snprintf(output, sizeof output, "%s", made_output());
        snprintf(options, sizeof options, "--task regression --train-split train-light --val-split val-light --epochs 10 %s", losses[i]);
        json_t *v = trained(output, options);
        CHECK(v && figure(v, "eval_r2") > .7 && figure(v, "eval_rmse") >= figure(v, "eval_mae"), "%s: R2 %g, RMSE %g, MAE %g", options,
              figure(v, "eval_r2"), figure(v, "eval_rmse"), figure(v, "eval_mae"));
        CHECK(v && fabs(figure(v, "eval_rmse") - sqrt(figure(v, "eval_loss"))) < 1e-6, "the loss is not the square of RMSE");
        if (v && !i)
            same_figures(output, v, "--task regression --split val-light", names, "epoch,train_loss,eval_loss,eval_rmse,eval_mae,eval_r2,lr\n0,");
        if (v && !i)
            inferred(output, true);
        json_decref(v);
    }
}

TEST(tasks_say_what_makes_no_sense)
{
    static const char *const all[][2] = {
        { "--task multilabel --loss ce", "--loss ce is none of --task multilabel" },
        { "--task multilabel --loss zlpr", "--loss zlpr takes targets of 0 and 1: --smoothing 0, and no --mixup or --cutmix" },
        { "--task multilabel --eval-metric top1", "--task multilabel has the metrics loss, map, micro_f1, macro_f1, sample_f1, not top1" },
        { "--task regression --eval-metric map --train-split train-light --val-split val-light", "--task regression has the metrics loss, rmse, mae, r2, not map" },
        { "--task multilabel --dataset cifar10 --num-classes 3", "--task multilabel reads images of a folder, and not of --dataset cifar10" },
        { "--task multilabel --num-classes 5", "3 columns, but 5 outputs of the model; see --num-classes" },
        { "--task counting --num-classes 3", "task is one of classification, multilabel, regression, not 'counting'" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        command_result r = command_run("timm train %s -m test_resnet --img-size 32 --batch-size 16 --epochs 1 --output %s %s", made_photos(), made_output(),
                                       all[i][0]);
        CHECK(r.code && command_has(r.err, all[i][1]), "%s: exit %d: %s", all[i][0], r.code, r.err);
        command_free(&r);
    }
}
