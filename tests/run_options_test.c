/* run_options_test.c - options of a run that show in what it leaves: checkpoints, stops, what is trained; and timm validate. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "command.h"
#include "jsonl.h"
#include "made_run.h"
#include "test.h"
#include "timm/timm.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { MOST = 64 };

typedef struct trained { char folder[1200]; int code, epochs; double loss[MOST], top1[MOST], train_loss[MOST], lr[MOST]; char *err; } trained;

static double value(const json_t *row, const char *key)
{
    const json_t *v = json_object_get(row, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* A run of test_vit; its figures are those of stdout. */
static trained train(const char *more)
{
    trained t = { .code = 0 };
    const char *output = made_output();
    command_result r = command_run("timm train --dataset idx --data-dir %s -m test_vit --in-chans 1 --img-size 32 --threads 1 --batch-size 8 "
                                   "--warmup-epochs 0 --experiment r --output %s %s", made_idx(44, 20, 4), output, more);
    snprintf(t.folder, sizeof t.folder, "%s/r", output);
    t.code = r.code;
    for (char *p = r.out; *p && t.epochs < MOST; p = strchr(p, '\n') + 1) {
        json_t *row = json_loads(p, JSON_DISABLE_EOF_CHECK, NULL);
        CHECK(row && value(row, "epoch") >= 0, "%s: no JSON: %s", more, p);
        t.loss[t.epochs] = value(row, "eval_loss");
        t.top1[t.epochs] = value(row, "eval_top1");
        t.train_loss[t.epochs] = value(row, "train_loss");
        t.lr[t.epochs++] = value(row, "lr");
        json_decref(row);
    }
    t.err = r.err;
    r.err = NULL;
    command_free(&r);
    return t;
}

static trained good_train(const char *more)
{
    trained t = train(more);
    CHECK(t.code == 0 && t.epochs, "%s: exit %d: %s", more, t.code, t.err);
    return t;
}

static void path_in(char path[1400], const trained *t, const char *name) { snprintf(path, 1400, "%s/%s", t->folder, name); }

static bool has_epoch(const trained *t, int epoch)
{
    char path[1400], name[64];
    snprintf(name, sizeof name, "checkpoint-%d.safetensors", epoch);
    path_in(path, t, name);
    return !access(path, F_OK);
}

/* The epochs that are kept are the best `keep`, earlier ones first among equals; model_best is the best of all. */
static void check_history(const trained *t, const double *metric, bool smaller, int keep)
{
    int best = 0;
    char one[1400], other[1400], name[64], why[4096];
    for (int i = 0; i < t->epochs; i++) {
        int ahead = 0;
        for (int k = 0; k < t->epochs; k++)
            ahead += (smaller ? metric[k] < metric[i] : metric[k] > metric[i]) || (metric[k] == metric[i] && k < i);
        CHECK(has_epoch(t, i) == (ahead < keep), "checkpoint of epoch %d, %dth best of %d", i, ahead, keep);
        best = ahead ? best : i;
    }
    snprintf(name, sizeof name, "checkpoint-%d.safetensors", best);
    path_in(one, t, name);
    path_in(other, t, "model_best.safetensors");
    CHECK(same_tensors(one, other, why, sizeof why), "%s", why);
}

TEST(run_options_keep_the_best)
{
    trained t = good_train("--epochs 7 --checkpoint-hist 3 --lr 0.05");
    check_history(&t, t.top1, false, 3);
    free(t.err);
    t = good_train("--epochs 7 --checkpoint-hist 2 --lr 0.05 --eval-metric loss");
    check_history(&t, t.loss, true, 2);
    free(t.err);
    t = good_train("--epochs 4 --checkpoint-hist 1 --lr 0.05 --val-split ''");
    check_history(&t, t.train_loss, true, 1);
    free(t.err);
}

TEST(run_options_patience)
{
    trained t = good_train("--epochs 60 --patience-epochs 2 --eval-metric loss --sched constant --lr 0.3 --opt adamw");
    int best = 0;
    for (int i = 0; i < t.epochs; i++)
        best = t.loss[i] < t.loss[best] ? i : best;
    CHECK(t.epochs < 60 && t.epochs == best + 3, "%d epochs, the best was %d", t.epochs, best);
    CHECK(command_has(t.err, "as --patience-epochs has it; the best was epoch"), "%s", t.err);
    free(t.err);
}

/* Nothing is left to train: that is said, with the best and what would train on. */
TEST(run_options_all_epochs_there)
{
    trained t = good_train("--epochs 3 --lr 0.05");
    char folder[1200], want[256];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(t.folder, '/') - t.folder), t.folder);
    int best = 0;
    for (int i = 0; i < t.epochs; i++)
        best = t.top1[i] > t.top1[best] ? i : best;
    CHECK(!command_has(t.err, "asks for no more"), "%s", t.err);
    free(t.err);
    for (int epochs = 2; epochs <= 3; epochs++) {
        command_result r = command_run("timm train --dataset idx --data-dir %s -m test_vit --in-chans 1 --img-size 32 --threads 1 --batch-size 8 "
                                       "--lr 0.05 --warmup-epochs 0 --experiment r --output %s --resume auto --epochs %d", made_idx(44, 20, 4), folder,
                                       epochs);
        snprintf(want, sizeof want, "/r has 3 epochs, and --epochs asks for no more; the best was epoch %d, top-1 %.6g %%; nothing was trained; with more it trains "
                 "on\n",
                 best, t.top1[best]);
        CHECK(r.code == 0 && !*r.out && command_has(r.err, want), "exit %d, not '%s': %s", r.code, want, r.err);
        command_free(&r);
    }
}

TEST(run_options_validation_interval)
{
    trained t = good_train("--epochs 5 --val-interval 3");
    for (int i = 0; i < t.epochs; i++)
        CHECK(isfinite(t.loss[i]) == (i == 2 || i == 4), "epoch %d: %g", i, t.loss[i]);
    CHECK(t.epochs == 5, "%d epochs", t.epochs);
    free(t.err);
}

/* As timm's: the epochs go on, optimizer and average begin anew, or go. */
TEST(run_options_no_resume_opt)
{
    trained t = good_train("--epochs 2 --lr 0.05"), u, averaged;
    char options[1600], start[1400], end[1400];
    size_t n = 0;
    path_in(start, &t, "last.safetensors");
    snprintf(options, sizeof options, "--epochs 3 --resume %s --no-resume-opt --sched plateau --patience-epochs 1 --lr 0.05", start);
    u = good_train(options);
    CHECK(u.epochs == 1 && command_has(u.err, "going on from"), "%d epochs: %s", u.epochs, u.err);
    free(u.err);
    snprintf(options, sizeof options, "--epochs 3 --resume %s --no-resume-opt --opt adamw --lr 1e-3 --model-ema --model-ema-decay 1", start);
    averaged = good_train(options);
    CHECK(averaged.epochs == 1 && command_has(averaged.err, "going on from"), "%d epochs: %s", averaged.epochs, averaged.err);
    path_in(end, &averaged, "last.safetensors");
    float *average = tensor_of(end, "ema/head.weight", &n), *before = tensor_of(start, "head.weight", &n);
    CHECK(average && before && !memcmp(average, before, n * sizeof *before), "an average that never moves is what it began with");
    free(average);
    free(before);
    /* And without the average again. */
    for (int anew = 0; anew < 2; anew++) {
        snprintf(options, sizeof options, "--epochs 4 --resume %s --opt adamw --lr 1e-3 %s", end, anew ? "--no-resume-opt" : "");
        u = train(options);
        CHECK(anew ? u.code == 0 && u.epochs == 1 : u.code == 1 && command_has(u.err, "keeps an average of the weights, which is lost without "
              "--model-ema; --no-resume-opt does without it\n"), "exit %d after %d epochs: %s", u.code, u.epochs, u.err);
        free(u.err);
    }
    free(averaged.err);
    free(t.err);
}

static int rows_of(const trained *t)
{
    char path[1400];
    path_in(path, t, "summary.csv");
    char *text = command_slurp(path);
    int n = -1;                                          /* the header */
    for (const char *p = text; p && *p; p++)
        n += *p == '\n';
    free(text);
    return n;
}

/* From an older checkpoint of the same run: what is given up is told, and the folder is at once what it was then. */
TEST(run_options_resume_from_older)
{
    trained t = good_train("--epochs 4 --lr 0.05"), u;
    char options[4096], old[1200], now[1400], why[4096];
    snprintf(old, sizeof old, "%s", test_temp("old.safetensors"));
    path_in(now, &t, "checkpoint-1.safetensors");
    command_result r = command_run("cp %s %s", now, old);
    command_free(&r);
    *strrchr(now, '/') = 0;
    snprintf(options, sizeof options, "--epochs 2 --lr 0.05 --output %s/.. --resume %s/checkpoint-1.safetensors", now, now);
    u = train(options);
    CHECK(u.code == 0 && !u.epochs && command_has(u.err, "timm: epochs 2 to 3 of ") && command_has(u.err, "/r are given up\n"), "exit %d: %s", u.code, u.err);
    path_in(now, &t, "last.safetensors");
    CHECK(same_tensors(old, now, why, sizeof why), "%s", why);
    t.epochs = 2;
    CHECK(!has_epoch(&t, 2) && !has_epoch(&t, 3) && rows_of(&t) == 2, "epochs that were given up are there");
    check_history(&t, t.top1, false, 10);
    free(u.err);
    /* Again: nothing is given up. */
    snprintf(options, sizeof options, "--epochs 3 --lr 0.05 --output %s/.. --resume %s", t.folder, old);
    u = train(options);
    CHECK(u.code == 0 && u.epochs == 1 && !command_has(u.err, "given up"), "exit %d: %s", u.code, u.err);
    free(u.err);
    free(t.err);
}

/* In another folder model_best.safetensors is there from the beginning, or, if the best of the old one is not at hand, after an epoch. */
TEST(run_options_resume_elsewhere)
{
    trained t = good_train("--epochs 2 --lr 0 --checkpoint-hist 1"), u;              /* the first is as good as the second */
    char options[1600], best[1400], last[1400], why[4096];
    static const struct { const char *from; int epochs, best; } cases[] = {
        { "checkpoint-0", 1, 0 }, { "last", 2, -1 }, { "last", 3, 2 }, { "checkpoint-0", 3, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(options, sizeof options, "--epochs %d --lr 0 --checkpoint-hist 1 --resume %s/%s.safetensors", cases[i].epochs, t.folder, cases[i].from);
        u = train(options);
        path_in(best, &u, "model_best.safetensors");
        path_in(last, &u, "last.safetensors");
        CHECK(u.code == 0 && !access(last, F_OK), "%s: exit %d: %s", options, u.code, u.err);
        CHECK(command_has(u.err, "; nothing was trained, so there is neither summary.csv nor report.html; with more it trains on\n") == !u.epochs,
              "%s: %d epochs: %s", options, u.epochs, u.err);
        CHECK(access(best, F_OK) == (cases[i].best < 0 ? -1 : 0) && (cases[i].best < 0 || has_epoch(&u, cases[i].best)), "%s: not the best", options);
        free(u.err);
    }
    path_in(last, &t, "checkpoint-0.safetensors");
    CHECK(same_tensors(best, last, why, sizeof why), "%s", why);
    free(t.err);
}

/* -- what is trained --------------------------------------------------------------------------------------------------------------- */

/* How far a tensor is between two files: the greatest difference. */
static double moved(const char *a, const char *b, const char *name)
{
    size_t n = 0, m = 0;
    float *x = tensor_of(a, name, &n), *y = tensor_of(b, name, &m);
    double most = x && y && n == m ? 0 : NAN;
    for (size_t i = 0; most == most && i < n; i++)
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
    free(x);
    free(y);
    return most;
}

static const char *const some_tensors[] = { "patch_embed.proj.weight", "cls_token", "blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.bias",
                                            "blocks.3.attn.qkv.weight", "blocks.3.norm2.weight", "head.weight", "head.bias" };

TEST(run_options_freeze)
{
    /* A rate of nothing leaves the first weights: what the others are compared with. */
    trained zero = good_train("--epochs 1 --lr 0 --weight-decay 0"), t;
    char first[1400], last[1400];
    path_in(first, &zero, "last.safetensors");
    static const struct { const char *options, *still; } cases[] = {
        { "", "" },
        { "--head-only", "patch_embed.proj.weight cls_token blocks.0.attn.qkv.weight blocks.0.mlp.fc1.bias blocks.3.attn.qkv.weight "
                         "blocks.3.norm2.weight" },
        { "--freeze 'blocks.0*' cls_token", "cls_token blocks.0.attn.qkv.weight blocks.0.mlp.fc1.bias" },
        { "--freeze patch_embed head", "patch_embed.proj.weight head.weight head.bias" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char options[256];
        snprintf(options, sizeof options, "--epochs 2 --opt adamw --lr 0.01 --weight-decay 0.1 %s", cases[i].options);
        t = good_train(options);
        path_in(last, &t, "last.safetensors");
        for (size_t k = 0; k < COUNT(some_tensors); k++) {
            bool still = strstr(cases[i].still, some_tensors[k]);
            double by = moved(first, last, some_tensors[k]);
            CHECK(still ? by == 0 : by > 0, "%s: %s moved by %g", cases[i].options, some_tensors[k], by);
        }
        free(t.err);
    }
    free(zero.err);
    t = train("--freeze '*'");
    CHECK(t.code == 2 && command_has(t.err, "no parameter is left to train"), "exit %d: %s", t.code, t.err);
    free(t.err);
}

/* Batch norms that are frozen keep their statistics, as after timm.utils.freeze; others move theirs. */
TEST(run_options_frozen_batch_norms)
{
    static const char *const stats[] = { "layer1.0.bn1.running_mean", "layer1.0.bn2.running_var", "layer2.0.bn1.running_mean",
                                         "layer1.0.bn1.num_batches_tracked" };
    static const struct { const char *options; bool still[COUNT(stats)]; } cases[] = {
        { "", { false, false, false, false } }, { "--head-only", { true, true, true, true } }, { "--freeze 'layer1*'", { true, true, false, true } },
        { "--freeze 'layer1.0.bn1.weight'", { false, false, false, false } },
    };
    char first[1400], last[1400], options[1600];
    timm_ctx *ctx = timm_open(NULL);
    snprintf(first, sizeof first, "%s", test_temp("first.safetensors"));
    timm_save(timm_create(ctx, "test_resnet", &(timm_model_opts){ .classes = 4, .in_chans = 1 }), first);
    timm_close(ctx);
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(options, sizeof options, "-m test_resnet --initial-checkpoint %s --epochs 1 --lr 0.01 %s", first, cases[i].options);
        trained t = good_train(options);
        path_in(last, &t, "last.safetensors");
        for (size_t k = 0; k < COUNT(stats); k++) {
            double by = moved(first, last, stats[k]);
            CHECK(cases[i].still[k] ? by == 0 : by > 0, "%s: %s moved by %g", cases[i].options, stats[k], by);
        }
        free(t.err);
    }
}

/* One update of SGD without momentum is rate times gradient: the difference of the weights tells rates and clipping. */
static double update_of(const char *first, const char *options, const char *tensor)
{
    char all[512], last[1400];
    snprintf(all, sizeof all, "--epochs 1 --batch-size 44 --opt momentum --momentum 0 --weight-decay 0 --no-aug --smoothing 0 --sched constant --lr 0.01 %s", options);
    trained t = good_train(all);
    path_in(last, &t, "last.safetensors");
    free(t.err);
    return moved(first, last, tensor);
}

TEST(run_options_rates_and_clipping)
{
    trained zero = good_train("--epochs 1 --lr 0 --weight-decay 0");
    char first[1400];
    path_in(first, &zero, "last.safetensors");
    free(zero.err);
    /* Layers of test_vit, from the stem up: embedding, six blocks, head. */
    static const struct { const char *tensor; double layers; } decayed[] = {
        { "head.weight", 0 }, { "blocks.5.attn.qkv.weight", 1 }, { "blocks.0.attn.qkv.weight", 6 }, { "patch_embed.proj.weight", 7 },
    };
    for (size_t i = 0; i < COUNT(decayed); i++) {
        double plain = update_of(first, "", decayed[i].tensor), half = update_of(first, "--layer-decay 0.5", decayed[i].tensor);
        CHECK(plain > 0 && fabs(half / plain / pow(.5, decayed[i].layers) - 1) < 2e-3, "%s: %g, %g", decayed[i].tensor, plain, half);
    }
    /* No gradient above the limit, so the largest step is rate times limit; and by norm all shrink alike. */
    double plain = update_of(first, "", "head.weight"), small = update_of(first, "", "blocks.0.attn.qkv.weight");
    double most = plain / .01 / 4;
    char options[128];
    snprintf(options, sizeof options, "--clip-mode value --clip-grad %.9g", most);
    CHECK(fabs(update_of(first, options, "head.weight") / (.01 * most) - 1) < 2e-3, "clipping by value");
    double a = update_of(first, "--clip-mode norm --clip-grad 1e-2", "head.weight");
    double b = update_of(first, "--clip-mode norm --clip-grad 1e-2", "blocks.0.attn.qkv.weight");
    CHECK(a < plain && a <= 1.001e-4 && fabs(a / plain / (b / small) - 1) < 2e-2, "clipping by norm: %g of %g, %g of %g", a, plain, b, small);
    /* timm leaves the head out of adaptive clipping. */
    static const char agc[] = "--clip-mode agc --clip-grad 1e-4";
    CHECK(update_of(first, agc, "head.weight") == plain && update_of(first, agc, "blocks.0.attn.qkv.weight") < small / 10, "adaptive clipping");
    /* Frozen or not: then all that is left is clipped.  A norm's weights are 1, 64 of them: the gradient's norm is 8e-4 at most. */
    a = update_of(first, "--freeze head", "norm.weight");
    b = update_of(first, "--freeze head --clip-mode agc --clip-grad 1e-4", "norm.weight");
    CHECK(a > 8e-6 && b > 0 && b <= 8.01e-6, "adaptive clipping without a head: %g of %g", b, a);
}

/* Rates of timm's create_scheduler_v2 at a rate of 0.1: the decay of wsd and rsqrt is a fifth of the run, or a fraction of it. */
TEST(run_options_decay_of_wsd_and_rsqrt)
{
    static const struct { const char *options; double lr[10]; } cases[] = {
        { "--sched wsd", { .1, .1, .1, .1, .1, .1, .1, .1, .1, .029289321881345243 } },
        { "--sched rsqrt --warmup-epochs 2", { 1e-05, .050005, .1, .08164965809277261, .07071067811865477, .0632455532033676, .057735026918962574,
                                               .053452248382484885, .05, .023570226039551584 } },
        { "--sched wsd --decay-epochs 0.5", { .1, .1, .1, .1, .1, .1, .05527864045000422, .036754446796632416, .02254033307585166, .010557280900008416 } },
        { "--sched step", { .1, .1, .1, .1, .1, .1, .1, .1, .1, .1 } },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char options[128];
        snprintf(options, sizeof options, "--epochs 10 --lr 0.1 --val-split '' %s", cases[i].options);
        trained t = good_train(options);
        for (int e = 0; e < 10; e++)
            CHECK(fabs(t.lr[e] - cases[i].lr[e]) < 1e-9, "%s: %.9g in epoch %d, not %.9g", options, t.lr[e], e, cases[i].lr[e]);
        free(t.err);
    }
}

/* -- a loss that is no number -------------------------------------------------------------------------------------------------------- */

TEST(run_options_on_nan)
{
    char last[1400];
    trained t = train("--epochs 4 --lr 1e38 --sched none");
    CHECK(t.code == 1 && command_has(t.err, "is no number") && command_has(t.err, "--lr") && !command_has(t.err, "-nan"), "exit %d: %s", t.code, t.err);
    path_in(last, &t, "last.safetensors");
    CHECK(access(last, F_OK), "weights of no worth were saved");
    free(t.err);
    /* Fine for an epoch, wild after it: what was good is kept. */
    t = train("--epochs 6 --sched constant --warmup-epochs 4 --lr 1e38 --recovery-interval 1");
    CHECK(t.code == 1 && t.epochs == 1 && command_has(t.err, "is out of all measure after update 6"), "exit %d: %s", t.code, t.err);
    path_in(last, &t, "last.safetensors");
    size_t n = 0;
    float *w = tensor_of(last, "blocks.0.attn.qkv.weight", &n);
    CHECK(w, "nothing was kept");
    for (size_t i = 0; w && i < n; i++)
        if (!(fabsf(w[i]) < 10)) {
            CHECK(0, "a weight of %g was saved", w[i]);
            break;
        }
    free(w);
    free(t.err);
    /* What was left out is counted. */
    t = train("--epochs 1 --lr 1e38 --sched none --on-nan skip --val-split ''");
    CHECK(command_has(t.err, "timm: epoch 0: 4 of 5 batches were skipped, whose loss or gradients are no numbers\n"), "%s", t.err);
    CHECK(command_has(t.err, "Loss: nan ("), "%s", t.err);
    free(t.err);
    /* Pixels out of all measure: every batch is skipped, and the epoch ends the run. */
    t = train("--epochs 2 --on-nan skip --std 1e-40 --lr 0.01");
    CHECK(t.code == 1 && t.epochs == 0 && command_has(t.err, "leads nowhere"), "exit %d: %s", t.code, t.err);
    free(t.err);
}

/* -- timm validate -------------------------------------------------------------------------------------------------------------------- */

static json_t *json_of(const command_result *r, const char *what)
{
    json_t *v = json_loads(r->out, 0, NULL);
    CHECK(r->code == 0 && v, "%s: exit %d: %s%s", what, r->code, r->out, r->err);
    return v;
}

/* As timm's validate.py: the head is that of the weights, and may have more classes than the images show. */
TEST(run_options_validate_takes_the_classes_of_the_weights)
{
    const char *data = made_idx(44, 20, 4), *weights = test_temp("ten.safetensors");
    timm_ctx *ctx = timm_open(NULL);
    timm_save(timm_create(ctx, "test_vit", &(timm_model_opts){ .classes = 10, .in_chans = 1, .img_size = { 32 } }), weights);
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    timm_close(ctx);
    for (int i = 0; i < 2; i++) {
        command_result r = command_run("timm validate %s --dataset idx -m test_vit --in-chans 1 --img-size 32 --checkpoint %s%s", data, weights,
                                       i ? " --num-classes 4" : "");
        CHECK(r.code == i && command_has(i ? r.err : r.out, i ? "head.weight is (10, 64) in the file and (4, 64)" : ", 20 images, "),
              "exit %d: %s%s", r.code, r.out, r.err);
        command_free(&r);
    }
}

TEST(run_options_validate)
{
    trained t = good_train("--epochs 3 --lr 0.05 --model-ema --model-ema-decay 0.5");
    const char *data = made_idx(44, 20, 4);
    char results[1200], matrix[1200], png[1200];
    snprintf(results, sizeof results, "%s", test_temp("results"));
    snprintf(matrix, sizeof matrix, "%s", test_temp("confusion.csv"));
    snprintf(png, sizeof png, "%s", test_temp("confusion.png"));
    trained plain = good_train("--epochs 1");
    command_result none = command_run("timm validate %s --dataset idx -m test_vit --checkpoint %s/last.safetensors --use-ema", data, plain.folder);
    CHECK(none.code == 1 && !*none.out && command_has(none.err, "/last.safetensors holds no averaged weights; checkpoints of runs with --model-ema "
          "do\n"), "exit %d: %s", none.code, none.err);
    command_free(&none);
    free(plain.err);
    for (int e = 0; e < t.epochs; e++) {
        command_result r = command_run("timm validate %s --dataset idx -m test_vit --checkpoint %s/checkpoint-%d.safetensors --use-ema --json "
                                       "--batch-size %d", data, t.folder, e, 3 + 8 * e);
        json_t *v = json_of(&r, "validate");
        CHECK(fabs(value(v, "top1") - t.top1[e]) < 1e-4, "epoch %d: %g, not %g", e, value(v, "top1"), t.top1[e]);
        json_decref(v);
        command_free(&r);
    }
    command_result rounded = command_run("timm validate %s --dataset idx -m test_vit --checkpoint %s/checkpoint-0.safetensors --use-ema --json "
                                         "--precision bf16", data, t.folder);
    json_t *both = json_of(&rounded, "validate --precision bf16");
    CHECK(fabs(value(both, "top1_fp32") - t.top1[0]) < 1e-4 && value(both, "top5_fp32") == 100, "in fp32: %g", value(both, "top1_fp32"));
    json_decref(both);
    command_free(&rounded);
    static const char header[] = "model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation\n";
    command_result r = command_run("timm validate %s --dataset idx -m test_vit --checkpoint %s/last.safetensors --crop-pct 0.8 --interpolation bilinear "
                                   "--results-file %s --per-class --confusion %s", data, t.folder, results, matrix);
    CHECK(r.code == 0 && command_has(r.out, "test_vit: top-1 ") && command_has(r.out, "recall %"), "exit %d: %s%s", r.code, r.out, r.err);
    command_free(&r);
    char *csv = command_slurp(results);
    double top1 = 0, error = 0;
    CHECK(csv && !strncmp(csv, header, sizeof header - 1) && sscanf(csv + sizeof header - 1, "test_vit,%lf,%lf,100,0,0.27,32,0.8,bilinear\n",
          &top1, &error) == 2 && fabs(top1 + error - 100) < 1e-9 && strstr(csv, ",0.8,bilinear\n"), "%s", csv);
    free(csv);
    /* Rows of the matrix sum up to the images of a class, the diagonal to the right ones. */
    csv = command_slurp(matrix);
    const char *p = csv ? strchr(csv, '\n') : NULL;
    REQUIRE(p && !strncmp(csv, ",0,1,2,3\n", 9), "confusion.csv");
    double right = 0;
    for (int i = 0; p && i < 4; i++) {
        int v[4] = { 0 }, name = -1;
        CHECK(sscanf(p + 1, "%d,%d,%d,%d,%d", &name, &v[0], &v[1], &v[2], &v[3]) == 5 && name == i && v[0] + v[1] + v[2] + v[3] == 5, "%s", csv);
        right += v[i];
        p = strchr(p + 1, '\n');
    }
    CHECK(fabs(right / 20 * 100 - top1) < 1e-3, "%g right, top-1 %g", right, top1);
    free(csv);
    r = command_run("timm validate %s --dataset idx -m test_vit --checkpoint %s/last.safetensors --confusion %s", data, t.folder, png);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    r = command_run("timm validate %s --dataset idx -m test_vit,test_vit --checkpoint %s/last.safetensors --results-file %s --results-format json",
                    data, t.folder, results);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    char *text = command_slurp(results);
    json_t *all = json_loads(text ? text : "", 0, NULL);
    CHECK(json_array_size(all) == 2 && value(json_array_get(all, 0), "param_count") == .27 && value(json_array_get(all, 0), "img_size") == 32,
          "%s", text);
    json_decref(all);
    free(text);
    timm_ctx *ctx = timm_open(NULL);
    timm_image image = { 0 };
    CHECK(timm_image_load(ctx, png, 3, &image) == TIMM_OK && image.width == 512 && image.height == 512, "%s", timm_message(ctx));
    timm_image_free(&image);
    timm_close(ctx);
    free(t.err);
}

/* Where figures cannot go is told before anything is computed: the weights are not even looked for. */
TEST(run_options_validate_says_where_it_cannot_write)
{
    char file[1200], under[1300];
    snprintf(file, sizeof file, "%s", test_temp("a-file"));
    snprintf(under, sizeof under, "--results-file %s/r.csv", file);
    FILE *f = fopen(file, "w");
    REQUIRE(f && fputs("as before", f) >= 0 && !fclose(f), "no file");
    const struct { const char *options; int code; const char *says; } cases[] = {
        { "--confusion matrix.bmp", 2, "--confusion writes a .csv or a .png, not 'matrix.bmp'\nTry 'timm validate --help'.\n" },
        { "--confusion matrix", 2, "--confusion writes a .csv or a .png, not 'matrix'\n" },
        { "--confusion .csv", 2, "--confusion writes a .csv or a .png, not '.csv'\n" },
        { "--confusion m.csv -m test_vit,test_resnet", 2, "--confusion is a file of one model, and --model names several: 'test_vit,test_resnet'\n" },
        { "--confusion no/such/m.png", 1, "no/such/m.png: cannot write: No such file or directory\n" },
        { "--results-file no/such/r.csv", 1, "no/such/r.csv: cannot write: No such file or directory\n" },
        { "--results-file /", 1, "/: cannot write: Is a directory\n" },
        { under, 1, "/a-file/r.csv: cannot write: Not a directory\n" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        command_result r = command_run("timm validate %s --dataset idx -m test_vit --checkpoint no/such %s", made_idx(44, 20, 4), cases[i].options);
        CHECK(r.code == cases[i].code && !*r.out && command_has(r.err, cases[i].says) && !command_has(r.err, "no/such:"), "%s: exit %d: %s",
              cases[i].options, r.code, r.err);
        command_free(&r);
    }
    /* A file is replaced or left, and a device is no file to be replaced. */
    trained t = good_train("--epochs 1");
    command_result r = command_run("(ulimit -f 0; %s validate %s --dataset idx -m test_vit --checkpoint %s/last.safetensors --no-tune --results-file %s; "
                                   "echo exit $?) 2>&1 | cat", TEST_TIMM, made_idx(44, 20, 4), t.folder, file);
    char *left = command_slurp(file);
    CHECK(command_has(r.out, "a-file: cannot write: File too large\n") && command_has(r.out, "exit 1\n") && left && !strcmp(left, "as before"),
          "%s; %s", r.out, left);
    free(left);
    command_free(&r);
    r = command_run("timm validate %s --dataset idx -m test_vit --checkpoint %s/last.safetensors --results-file /dev/stdout", made_idx(44, 20, 4),
                    t.folder);
    CHECK(r.code == 0 && command_has(r.out, "model,top1,top1_err,"), "exit %d: %s", r.code, r.err);
    command_free(&r);
    free(t.err);
}

/* The command line has the last word, on flags too; what a file leaves at null is not asked for, whether or not there is such an option. */
TEST(run_options_flags_out_again)
{
    static const char *const out[] = { "", "--model-ema=false", "--no-model-ema" };
    char yaml[1200], last[1400], why[4096];
    snprintf(yaml, sizeof yaml, "%s", test_temp("flags.yaml"));
    FILE *f = fopen(yaml, "w");
    REQUIRE(f && fputs("model_ema: true\naa: null\n", f) >= 0 && !fclose(f), "no file");
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        snprintf(why, sizeof why, "--epochs 1 --lr 0.05 --config %s %s", yaml, out[i]);
        trained t = good_train(why);
        size_t n;
        path_in(last, &t, "last.safetensors");
        float *ema = tensor_of(last, "ema/head.weight", &n);
        CHECK(!ema == (i > 0), "%s: %s average", out[i], ema ? "an" : "no");
        free(ema);
        free(t.err);
    }
}

/* Arguments of the constructor and what the pixels were made into go with the checkpoint, and come from YAML as from words. */
TEST(run_options_model_kwargs)
{
    char yaml[1200], last[1400], why[4096];
    snprintf(yaml, sizeof yaml, "%s", test_temp("kwargs.yaml"));
    FILE *f = fopen(yaml, "w");
    REQUIRE(f && fputs("model_kwargs:\n  stem_width: 8\n  channels: [8, 8, 16, 16]\nmean: [0.3]\nstd: [0.2]\ncrop_pct: 0.75\n", f) >= 0
            && !fclose(f), "no file");
    snprintf(why, sizeof why, "-m resnet10t --epochs 2 --lr 0.05 --model-kwargs stem_width=8 channels='[8, 8, 16, 16]' --mean .3 --std .2 "
             "--crop-pct .75");
    trained words = good_train(why), t;
    snprintf(why, sizeof why, "-m resnet10t --epochs 2 --lr 0.05 --config %s", yaml);
    t = good_train(why);
    path_in(last, &t, "last.safetensors");
    char other[1400];
    path_in(other, &words, "last.safetensors");
    CHECK(same_tensors(last, other, why, sizeof why), "%s", why);
    command_result r = command_run("timm validate %s --dataset idx -m resnet10t --checkpoint %s --json", made_idx(44, 20, 4), last);
    json_t *v = json_of(&r, "validate");
    CHECK(fabs(value(v, "top1") - t.top1[1]) < 1e-4 && value(v, "param_count") < .1, "%g, not %g: %s", value(v, "top1"), t.top1[1], r.out);
    json_decref(v);
    command_free(&r);
    timm_ctx *ctx = timm_open(NULL);
    timm_transform how = timm_model_transform(timm_create(ctx, "resnet10t", &(timm_model_opts){ .weights = last }), false);
    CHECK(how.mean[0] == .3 && how.mean[2] == .3 && how.std[1] == .2 && how.crop_pct == .75, "%g %g %g %g: %s", how.mean[0], how.mean[2],
          how.std[1], how.crop_pct, timm_message(ctx));
    timm_close(ctx);
    free(t.err);
    free(words.err);
}

/* Options of the optimizer with several numbers, as Python and as YAML have them; args.yaml has them as timm's, and is read again. */
TEST(run_options_opt_kwargs)
{
    static const struct { const char *options, *file; } forms[] = {
        { "--opt-kwargs 'betas=(0.5,0.9)' foreach=true fused=False eps=1e-8", NULL },
        { "--opt-kwargs 'betas=[0.5, 0.9]'", NULL },
        { "", "opt_kwargs: {betas: [0.5, 0.9], foreach: true}\n" },
        { "", "opt_kwargs:\n- betas=(0.5, 0.9)\n- fused=true\n" },
    };
    char yaml[1200], options[4096], one[1400], last[1400], args[1400], why[4096];
    trained plain = good_train("--epochs 1 --lr 0.01 --opt adamw --opt-betas 0.5 0.9"), t;
    path_in(one, &plain, "last.safetensors");
    snprintf(yaml, sizeof yaml, "%s", test_temp("opt-kwargs.yaml"));
    for (size_t i = 0; i < 2 * COUNT(forms); i++) {
        const char *file = forms[i / 2].file ? forms[i / 2].file : "", *config = i % 2 ? args : yaml;      /* then that of the run itself */
        FILE *f = fopen(yaml, "w");
        CHECK(f && fputs(file, f) >= 0 && !fclose(f), "cannot write %s", yaml);
        snprintf(options, sizeof options, "--epochs 1 --lr 0.01 --opt adamw --config %s %s", config, i % 2 ? "" : forms[i / 2].options);
        t = good_train(options);
        path_in(last, &t, "last.safetensors");
        path_in(args, &t, "args.yaml");
        CHECK(same_tensors(one, last, why, sizeof why), "%s: %s: %s", options, file, why);
        char *text = command_slurp(args);
        CHECK(command_has(text, "\nopt_kwargs:\n  betas:\n  - 0.5\n  - 0.9\n"), "%s", text);
        CHECK(i > 1 || command_has(text, "  foreach: true\n  fused: false\n  eps: 1.0e-08\nclip_grad"), "%s", text);
        free(text);
        free(t.err);
    }
    free(plain.err);
}
