/* train_parts_test.c - train_parts over tests/data; what losses, schedules and optimizers say of bad options. */
#include <math.h>
#include <string.h>
#include "command.h"
#include "graph/graph.h"
#include "test.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/schedule.h"

static void run_parts(const char *file, const char *last)
{
    command_result r = command_run("%s/tests/train_parts %s", TEST_BUILD, test_data(file));
    CHECK(r.code == 0 && command_has(r.out, last), "%s: %s%s", file, r.out, r.err);
    command_free(&r);
}

TEST(losses_as_timm) { run_parts("data/train-losses.jsonl.xz", "\n291 passed, 0 failed\n"); }
TEST(schedules_as_timm) { run_parts("data/train-schedules.jsonl.xz", "\n84 passed, 0 failed\n"); }
TEST(schedules_as_timm_with_other_numbers) { run_parts("data/train-schedules-2.jsonl.xz", "\n84 passed, 0 failed\n"); }

TEST(metrics_as_timm) { run_parts("data/train-metrics.jsonl", "\n5 passed, 0 failed\n"); }

TEST(optimizers_as_timm) { run_parts("data/train-optimizers.jsonl.xz", "\n381 passed, 0 failed\n"); }

TEST(param_groups_as_timm) { run_parts("data/train-groups.jsonl.xz", "\n37 passed, 0 failed\n"); }

/* A record with one figure changed is found. */
TEST(train_parts_can_fail)
{
    const char *path = test_temp("parts.jsonl");
    FILE *f = fopen(path, "w");
    REQUIRE(f, "%s", path);
    fputs("{\"what\":\"losses\",\"seed\":\"public\"}\n", f);
    for (int right = 190; right <= 191; right++)
        fprintf(f, "{\"cutmix\":[224,224],\"lam\":0.5,\"centre\":[112,112],\"box\":[33,191,33,%d],"
                   "\"corrected_lam\":0.502471301}\n", right);
    fclose(f);
    command_result r = command_run("%s/tests/train_parts %s", TEST_BUILD, path);
    CHECK(r.code == 1 && command_has(r.out, "\n1 passed, 1 failed\n"), "%s%s", r.out, r.err);
    command_free(&r);
}

/* -- messages ------------------------------------------------------------------------------------------------------ */

typedef struct complaint { loss_spec spec; bool labels; const char *says; } complaint;

TEST(losses_say_what_makes_no_sense)
{
    static const float numbers[4] = { 1, 2, 3, 4 };
    static const loss_arg smoothed = { "smoothing", "2" }, odd = { "gamma", "1" }, batch = { "reduction", "batchmean" },
                          two = { "num_splits", "2" };
    static const complaint all[] = {
        { { .name = "HingeLoss" },
          false,
          "Unknown loss (HingeLoss); there are AsymmetricLossMultiLabel, AsymmetricLossSingleLabel, " },
        { { .name = "ZlprLoss", .arg = &odd, .args = 1 }, false, "ZlprLoss has no option gamma; it takes none" },
        { { .name = "JsdCrossEntropy", .arg = &odd, .args = 1 },
          true,
          "JsdCrossEntropy has no option gamma; it takes num_splits, alpha, smoothing" },
        { { .name = "LabelSmoothingCrossEntropy", .arg = &smoothed, .args = 1 },
          true,
          "LabelSmoothingCrossEntropy: smoothing cannot be 2" },
        { { .name = "MSELoss", .arg = &batch, .args = 1 }, false, "MSELoss: reduction cannot be batchmean" },
        { { .name = "JsdCrossEntropy", .arg = &two, .args = 1 }, true, "JsdCrossEntropy: a batch of 3 is not 2 parts" },
        { { .name = "JsdCrossEntropy" }, false, "JsdCrossEntropy takes labels, not soft targets" },
        { { .name = "TwoWayLoss" }, true, "TwoWayLoss takes multi-label targets, not labels" },
        { { .name = "TwoWayLoss", .weight = numbers }, false, "TwoWayLoss takes no weights of classes" },
        { { .name = "CrossEntropyLoss", .pos_weight = numbers },
          false,
          "CrossEntropyLoss takes no weights of positives" },
        { { .name = "DistributionBalancedLoss" }, false, "DistributionBalancedLoss needs the counts of classes" },
        { { .name = "DistributionBalancedLoss", .counts = numbers },
          false,
          "DistributionBalancedLoss: num_samples is 0, and has to be 2 or more" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        status st = { 0 };
        tg_graph *g = tg_graph_new(&st);
        loss_build(&all[i].spec, tg_input(g, 0, SHAPE(3, 4)), tg_input(g, 1, SHAPE(3, 4)), all[i].labels);
        CHECK(!strncmp(st.text, all[i].says, strlen(all[i].says)), "\"%s\", not \"%s\"", st.text, all[i].says);
        tg_graph_free(g);
    }
}

TEST(schedules_say_what_makes_no_sense)
{
    static const struct { const char *sched; schedule_arg arg[2]; int n; const char *says; } all[] = {
        { "cosin", { { 0 } }, 0, "Unknown scheduler 'cosin'; the nearest is 'cosine'" },
        { "step", { { "gamma", "1" } }, 1, "schedules have no option gamma" },
        { "cosine", { { "num_epochs", "1.5" } }, 1, "a schedule's num_epochs cannot be 1.5" },
        { "cosine", { { "warmup_prefix", "perhaps" } }, 1, "a schedule's warmup_prefix cannot be perhaps" },
        { "multistep", { { "decay_milestones", "3,x" } }, 1, "a schedule's decay_milestones cannot be 3,x" },
        { "wsd", { { "decay_fn", "cos" } }, 1, "a schedule's decay_fn cannot be cos" },
        { "wsd",
          { { "num_epochs", "10" }, { "decay_epochs", "11" } },
          2,
          "wsd: a decay of 11 does not fit into stable and decay phases of 10" },
        { "rsqrt", { { "num_epochs", "10" } }, 1, "rsqrt needs stable_timescale where there is no warm-up" },
        { "cosine", { { "step_on_epochs", "false" } }, 1, "a schedule by updates needs updates_per_epoch" },
        { "plateau",
          { { "step_on_epochs", "false" }, { "updates_per_epoch", "4" } },
          2,
          "Plateau LR only supports step per epoch." },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        status st = { 0 };
        schedule *s = schedule_new(all[i].sched, all[i].arg, all[i].n, .1, NULL, 1, &st);
        CHECK(!s && !strcmp(st.text, all[i].says), "\"%s\", not \"%s\"", st.text, all[i].says);
        schedule_free(s);
    }
}

/* What schedule_state hands out is all that a plateau knows: one made anew and given it goes on alike. */
TEST(plateau_resumed_goes_on_alike)
{
    const schedule_arg arg[] = {
        { "patience_epochs", "1" }, { "decay_rate", "0.5" }, { "noise", "0.1" }, { "cooldown_t", "2" }
    };
    const double scale[] = { 1, .5 };
    status st = { 0 };
    schedule *whole = schedule_new("plateau", arg, 4, .5, scale, 2, &st),
             *rest = schedule_new("plateau", arg, 4, .5, scale, 2, &st);
    REQUIRE(whole && rest, "%s", st.text);
    for (int t = 1; t < 40; t++) {
        double metric = t < 8 ? t : 8 - t % 3, *from, *to;
        if (t == 17) {
            int n = schedule_state(whole, &from);
            CHECK(schedule_state(rest, &to) == n && n > 0, "%d numbers", n);
            memcpy(to, from, (size_t)n * sizeof *to);
        }
        schedule_epoch(whole, t, metric);
        if (t >= 17)
            schedule_epoch(rest, t, metric);
        for (int i = 0; t >= 17 && i < 2; i++)
            CHECK(schedule_lr(whole, i) == schedule_lr(rest, i), "epoch %d: %g, %g", t, schedule_lr(whole, i),
                  schedule_lr(rest, i));
    }
    CHECK(schedule_lr(whole, 0) < .3, "the metric stays and the rate is %g", schedule_lr(whole, 0));
    schedule_free(whole);
    schedule_free(rest);
}

TEST(optimizers_say_what_makes_no_sense)
{
    static const struct { const char *name, *key, *value, *says; } all[] = {
        { "adamv", "eps", "1e-8", "no optimizer is called 'adamv'; the nearest is 'adam" },
        { "Lookahead_LAMV", "eps", "1e-8", "no optimizer is called 'Lookahead_LAMV'; the nearest is 'lamb'" },
        { "adamw", "gamma", "1", "optimizer adamw has no option 'gamma'" },
        { "adamw", "betas", "0.9,1.5", "optimizer adamw: betas lie in [0, 1), not 1.5" },
        { "adamw", "eps", "much", "optimizer adamw: 'much' is no value for eps" },
        { "adamw", "eps", "-1", "optimizer adamw: eps is not below 0, not -1" },
        { "rmsprop", "eps", "-1e-8", "optimizer rmsprop: eps is not below 0, not -1e-08" },
        { "rmsprop", "alpha", "-.5", "optimizer rmsprop: alpha is not below 0, not -0.5" },
        { "lars", "momentum", "-1", "optimizer lars: momentum is not below 0, not -1" },
        { "madgradw", "momentum", "1", "optimizer madgradw: momentum lies in [0, 1), not 1" },
        { "nmuon", "momentum", "1", "optimizer nmuon: momentum lies in [0, 1), not 1" },
        { "mars", "betas_1d", "0.9,1", "optimizer mars: betas_1d lie in [0, 1), not 1" },
        { "adadelta", "rho", "1.1", "optimizer adadelta: rho lies in [0, 1], not 1.1" },
        { "adagrad", "lr_decay", "-1", "optimizer adagrad: lr_decay is not below 0, not -1" },
        { "nadam", "momentum_decay", "-1", "optimizer nadam: momentum_decay is not below 0, not -1" },
        { "adahessian", "hessian_power", "2", "optimizer adahessian: hessian_power lies in [0, 1], not 2" },
        { "sgd", "momentum", "0", "optimizer sgd: nesterov needs a momentum and no dampening" },
        { "muon", "algo", "lion", "optimizer muon: algo is muon or adamuon" },
    };
    float value[4] = { 0 }, grad[4] = { 0 };
    optim_param p = { .name = "w", .shape = { 1, { 4 } }, .value = value, .grad = grad, .lr = .1 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        status st = { 0 };
        optimizer *o = optimizer_new(all[i].name, .1, &p, 1, &(optim_arg){ all[i].key, all[i].value }, 1, NULL, &st);
        CHECK(!o && strstr(st.text, all[i].says), "%s %s=%s: %s", all[i].name, all[i].key, all[i].value, st.text);
        optimizer_free(o);
    }
}

/* As in timm, case means nothing in a name, nor in what stands before it. */
TEST(optimizers_by_names_of_any_case)
{
    static const char *const names[][2] = { { "adamw", "AdamW" }, { "lookahead_radam", "LookAhead_RAdam" } };
    for (int k = 0; k < 2; k++) {
        float value[2][4] = { { 1, 2, 3, 4 }, { 1, 2, 3, 4 } }, grad[4] = { 1, -2, 3, -4 };
        for (int i = 0; i < 2; i++) {
            status st = { 0 };
            optim_param p = { .name = "w", .shape = { 1, { 4 } }, .value = value[i], .grad = grad, .lr = .1 };
            optimizer *o = optimizer_new(names[k][i], .1, &p, 1, NULL, 0, NULL, &st);
            REQUIRE(o, "%s: %s", names[k][i], st.text);
            for (int step = 0; step < 20; step++)
                optimizer_step(o);
            optimizer_free(o);
        }
        CHECK(!memcmp(value[0], value[1], sizeof *value), "%s: %g, %s: %g", names[k][0], (double)value[0][0], names[k][1], (double)value[1][0]);
    }
    CHECK(optimizer_about("AdamW") && optimizer_wants_hessian("AdaHessian"), "AdamW, AdaHessian");
}
