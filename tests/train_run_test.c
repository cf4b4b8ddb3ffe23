/* train_run_test.c - whole runs: the same bytes at the end, whatever stopped them on the way. */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "backend/cpu/gemm.h"
#include "command.h"
#include "io/safetensors.h"
#include "made_run.h"
#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Runs that hold all that a step depends on: momentum, averages, dropout, accumulation, schedules with memory. */
static const char *const kinds[] = {
    "-m test_vit --opt adamw --lr 1e-3 --weight-decay 0.05 --sched cosine --warmup-epochs 1 --model-ema --drop 0.1 --drop-path 0.1 "
    "--grad-accum-steps 2 --layer-decay 0.7",
    "-m test_resnet --opt sgd --lr 0.05 --sched cosine --sched-on-updates --warmup-epochs 1 --clip-grad 1 --drop 0.2 --reprob 0.5 "
    "--model-ema --model-ema-warmup",
    "-m test_vit --opt lookahead_lamb --lr 1e-2 --sched plateau --patience-epochs 0 --warmup-epochs 0 --lr-noise 0.3 0.9 "
    "--eval-metric loss --checkpoint-hist 2 --clip-grad 0.1 --clip-mode agc",
    "-m test_resnet --opt muon --lr 1e-2 --sched step --decay-epochs 1 --warmup-epochs 0 --bce-loss --mixup 0.4 --cutmix 1 --mixup-off-epoch 2",
};

static void command_of(char line[4096], const char *kind, const char *output, const char *more)
{
    snprintf(line, 4096, "train --dataset idx --data-dir %s %s --in-chans 1 --img-size 32 --batch-size 8 --epochs 3 --threads 1 "
             "--recovery-interval 1 --experiment r --output %s %s", made_idx(44, 20, 4), kind, output, more);
}

static void in_run(char path[1200], const char *output, const char *name) { snprintf(path, 1200, "%s/r/%s", output, name); }

static bool readable(const char *path)
{
    status st = { 0 };
    safetensors *f = safetensors_open(path, &st);
    bool ok = f && safetensors_count(f) > 0;
    CHECK(ok, "%s: %s", path, st.text);
    safetensors_close(f);
    return ok;
}

/* Every checkpoint of the first run is in the second, with the same tensors; and the same summary. */
static void same_runs(const char *what, const char *a, const char *b)
{
    char one[1200], other[1200], why[4096];
    int checkpoints = 0, more = 0;
    in_run(one, a, "");
    DIR *d = opendir(one);
    REQUIRE(d, "%s: no %s", what, one);
    for (struct dirent *e; (e = readdir(d));)
        if (strstr(e->d_name, ".safetensors")) {
            in_run(one, a, e->d_name);
            in_run(other, b, e->d_name);
            CHECK(same_tensors(one, other, why, sizeof why), "%s: %s", what, why);
            checkpoints++;
        }
    closedir(d);
    in_run(other, b, "");
    d = opendir(other);
    for (struct dirent *e; d && (e = readdir(d));) {
        more += strstr(e->d_name, ".safetensors") != NULL;
        CHECK(!strstr(e->d_name, ".tmp") && strcmp(e->d_name, ".link"), "%s: %s is left", what, e->d_name);
    }
    if (d)
        closedir(d);
    CHECK(checkpoints > 2 && checkpoints == more, "%s: %d checkpoints, %d", what, checkpoints, more);
    in_run(one, a, "summary.csv");
    in_run(other, b, "summary.csv");
    char *x = command_slurp(one), *y = command_slurp(other);
    CHECK(x && y && !strcmp(x, y), "%s: summary.csv\n%s\n%s", what, x ? x : "(none)", y ? y : "(none)");
    free(x);
    free(y);
}

static unsigned draw(void)
{
    static unsigned long long s = 88172645463325252ull;
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return (unsigned)(s >> 20);
}

/* Threads that read, threads that compute, and what is computed twice change nothing. */
static const char *some_threads(void)
{
    static const char *const some[] = { "--workers 0", "--workers 1 --threads 2 --grad-checkpointing", "--workers 2 --threads 3", "--workers 5" };
    return some[draw() % COUNT(some)];
}

/* TIMM_KILLS=100 makes it a long one (make check-resume). */
TEST(runs_killed_anywhere_end_the_same)
{
    const char *text = getenv("TIMM_KILLS");
    int wanted = text ? atoi(text) : command_sanitized ? 3 : 12, kills = 0, finished = 0;
    size_t most = command_sanitized ? 1 : COUNT(kinds);                   /* slow there */
    for (size_t k = 0; k < most || kills < wanted; k++) {
        const char *kind = kinds[k % COUNT(kinds)];
        char whole[1024], broken[1024], line[4096], more[128], last[1200];
        int mine = 0;
        snprintf(whole, sizeof whole, "%s", made_output());
        snprintf(broken, sizeof broken, "%s", made_output());
        command_of(line, kind, whole, "--workers 2");
        double began = clock_seconds();
        int code = run_end(run_begin(NULL, test_temp("err"), "%s", line));
        double spent = clock_seconds() - began;
        if (code) {
            char *err = command_slurp(test_temp("err"));
            CHECK(0, "%s: exit %d: %s", line, code, err);
            free(err);
            return;
        }
        in_run(last, broken, "last.safetensors");
        for (code = -1; code;) {
            snprintf(more, sizeof more, "--resume auto %s", some_threads());
            command_of(line, kind, broken, more);
            pid_t pid = run_begin(NULL, test_temp("err"), "%s", line);
            if (mine < 3 + wanted / 8) {
                wait_seconds(spent * (draw() % 1000) * 8e-4);
                kill(pid, SIGKILL);
            }
            code = run_end(pid);
            mine += code == 128 + SIGKILL;
            if (code && code != 128 + SIGKILL) {
                char *err = command_slurp(test_temp("err"));
                CHECK(0, "%s: exit %d: %s", line, code, err);
                free(err);
                return;
            }
            if (!access(last, F_OK) && !readable(last))
                return;
        }
        kills += mine;
        finished++;
        same_runs(kind, whole, broken);
    }
    printf("     %d kills over %d runs\n", kills, finished);
}

/* Waits until a file has the text in it; false: ten seconds have passed. */
static bool wait_for(const char *path, const char *text)
{
    for (double end = clock_seconds() + 10; clock_seconds() < end; wait_seconds(.002)) {
        char *now = command_slurp(path);
        bool there = command_has(now, text);
        free(now);
        if (there)
            return true;
    }
    return false;
}

TEST(runs_stop_at_a_signal_and_go_on)
{
    static const int signals[] = { SIGTERM, SIGHUP, SIGINT, SIGUSR1 };
    signal(SIGHUP, SIG_DFL);                    /* the tests may run under nohup, whose runs would ignore it */
    for (size_t k = 0; k < (command_sanitized ? 1 : 2); k++) {
        char whole[1024], broken[1024], line[4096], last[1200];
        char err[1024];
        int stops = 0, code = 75;
        snprintf(err, sizeof err, "%s", test_temp("signal.err"));
        snprintf(whole, sizeof whole, "%s", made_output());
        snprintf(broken, sizeof broken, "%s", made_output());
        command_of(line, kinds[k], whole, "--epochs 6 --recovery-interval 0");
        double began = clock_seconds();
        CHECK(!run_end(run_begin(NULL, NULL, "%s", line)), "%s", line);
        double spent = clock_seconds() - began;
        in_run(last, broken, "last.safetensors");
        while (code == 75 && stops < 20) {
            command_of(line, kinds[k], broken, "--epochs 6 --recovery-interval 0 --resume auto");
            unlink(err);
            pid_t pid = run_begin(NULL, err, "%s", line);
            if (stops < 4 && wait_for(err, "Train: ")) {
                if (stops)                                  /* the first at once: a run that is over sooner would have none */
                    wait_seconds(spent * (draw() % 1000) * 2e-4);
                kill(pid, signals[(k + (size_t)stops) % COUNT(signals)]);
            }
            code = run_end(pid);
            char *said = command_slurp(err);
            CHECK(code == 0 || code == 75, "%s: exit %d: %s", line, code, said);
            if (code == 75) {
                CHECK(command_has(said, "stopped; go on with --resume"), "%s", said);
                CHECK(readable(last), "nothing to go on with");
                stops++;
            }
            free(said);
        }
        CHECK(!code && stops, "%s: exit %d after %d stops", kinds[k], code, stops);
        same_runs(kinds[k], whole, broken);
    }
}

/* Under nohup a closed terminal means nothing. */
TEST(runs_under_nohup_go_on)
{
    char line[4096], err[1024];
    snprintf(err, sizeof err, "%s", test_temp("nohup.err"));
    command_of(line, kinds[0], made_output(), "--epochs 3 --recovery-interval 0");
    void (*was)(int) = signal(SIGHUP, SIG_IGN);
    pid_t pid = run_begin(NULL, err, "%s", line);
    signal(SIGHUP, was);
    CHECK(wait_for(err, "Train: "), "%s does not begin", line);
    kill(pid, SIGHUP);
    int code = run_end(pid);
    CHECK(code == 0, "%s: exit %d", line, code);
}

/* Runs of `kind` with these options: train_loss of each of three epochs. */
static bool losses_of(const char *kind, const char *output, const char *more, double loss[3])
{
    char line[4096];
    command_of(line, kind, output, more);
    command_result r = command_run("timm %s", line);
    int n = 0;
    for (const char *p = r.out; p && n < 3 && (p = strstr(p, "\"train_loss\": ")); n++)
        loss[n] = strtod(p += 14, NULL);
    CHECK(!r.code && n == 3, "%s: exit %d after %d epochs: %s", line, r.code, n, r.err);
    command_free(&r);
    return n == 3;
}

/* The loss follows that of single precision, without being the same where there are instructions for bfloat16; threads change nothing; what is saved is single. */
TEST(runs_of_bf16_follow_those_of_fp32)
{
    static const char *const some[] = {
        "-m test_vit --opt adamw --lr 3e-3 --warmup-epochs 0 --no-aug", "-m test_resnet --opt sgd --lr 0.01 --warmup-epochs 0 --model-ema --no-aug",
    };
    for (size_t k = 0; k < COUNT(some); k++) {
        double single[3], half[3], again[3];
        char out[3][1024], file[1200], other[1200], why[4096];
        for (int i = 0; i < 3; i++)
            snprintf(out[i], sizeof out[i], "%s", made_output());
        if (!losses_of(some[k], out[0], "", single) || !losses_of(some[k], out[1], "--amp", half)
            || !losses_of(some[k], out[2], "--precision bf16 --threads 2", again))
            return;
        CHECK(single[2] < .8 * single[0], "%s: from %g to %g", some[k], single[0], single[2]);
        for (int i = 0; i < 3; i++) {
            CHECK(fabs(half[i] - single[i]) <= .04 * single[0] && (half[i] != single[i]) == gemm_packs(TG_BF16), "%s: epoch %d: %.9g, %.9g in fp32", some[k], i, half[i],
                  single[i]);
            CHECK(half[i] == again[i], "%s: epoch %d: %.9g, %.9g on two threads", some[k], i, half[i], again[i]);
        }
        in_run(file, out[1], "last.safetensors");
        in_run(other, out[2], "last.safetensors");
        CHECK(same_tensors(file, other, why, sizeof why), "%s: on two threads: %s", some[k], why);
        status st = { 0 };
        safetensors *f = safetensors_open(file, &st);
        for (size_t i = 0; f && i < safetensors_count(f); i++)
            CHECK(safetensors_get(f, i)->dtype != ST_BF16, "%s is saved in bf16", safetensors_get(f, i)->name);
        safetensors_close(f);
    }
}
