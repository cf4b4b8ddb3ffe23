/* cmd_train.c - timm train: a run over images; its options are the library's table. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "cli.h"
#include "timm/train.h"
#include "train_cli.h"

enum { EXIT_STOPPED = 75 };             /* EX_TEMPFAIL: asked to stop, saved, can go on */

static struct {
    const char *model, *checkpoint, *backend, *config, *pool;
    int64_t classes, chans, size, threads;
    double drop, drop_path, drop_block;
    text_list kwargs, input;
    bool pretrained, list_opts;
} o;

static const option own[] = {
    { NULL, 0, OPT_FLAG, NULL, NULL, "Model:", 0, 0 },
    { "--model", 'm', OPT_TEXT, &o.model, "M", "the network (resnet50)", 0, 0 },
    { "--pretrained", 0, OPT_FLAG, &o.pretrained, NULL, "start from its published weights, in the Hugging Face cache", 0, 0 },
    { "--initial-checkpoint", 0, OPT_TEXT, &o.checkpoint, "FILE", "start from these weights (.safetensors); another head is drawn anew", 0, 0 },
    { "--num-classes", 0, OPT_INT, &o.classes, "N", "classes of the head (those of the data)", 1, 1000000 },
    { "--in-chans", 0, OPT_INT, &o.chans, "N", "1 for grey images, 3 (the model's own)", 1, 3 },
    { "--img-size", 0, OPT_INT, &o.size, "N", "height and width (the model's own)", 1, 65535 },
    { "--input-size", 0, OPT_WORDS, &o.input, "C H W", "channels, height and width, in place of the two", 0, 3 },
    { "--gp", 0, OPT_TEXT, &o.pool, "POOL", "global pooling: avg, max, avgmax, ... (the model's own)", 0, 0 },
    { "--drop", 0, OPT_DOUBLE, &o.drop, "P", "dropout before the head", 0, 1 },
    { "--drop-path", 0, OPT_DOUBLE, &o.drop_path, "P", "stochastic depth", 0, 1 },
    { "--drop-block", 0, OPT_DOUBLE, &o.drop_block, "P", "drop block", 0, 1 },
    { "--model-kwargs", 0, OPT_WORDS, &o.kwargs, "K=V...", "arguments of its constructor: layers=[1,1,1,1] depth=6", 0, 0 },
    { NULL, 0, OPT_FLAG, NULL, NULL, "Machine:", 0, 0 },
    { "--threads", 0, OPT_INT, &o.threads, "N", "compute threads (one per core)", 0, 1024 },
    { "--backend", 0, OPT_TEXT, &o.backend, "B", "auto, onednn, cpu, ref (auto)", 0, 0 },
    { "--config", 'c', OPT_TEXT, &o.config, "FILE", "options from a YAML file, as args.yaml; the command line wins", 0, 0 },
    { "--list-opts", 0, OPT_FLAG, &o.list_opts, NULL, "print the names of the optimizers", 0, 0 },
};

static timm_trainer *running;
static volatile sig_atomic_t asked;                      /* to stop, before there was anything running */
static void on_signal(int number)
{
    if (number == SIGHUP)
        signal(SIGPIPE, SIG_IGN);                        /* whoever read what is printed may be gone too */
    asked = 1;
    timm_trainer_stop(running);
}

static void hear_signals(void)
{
    struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, was;
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGUSR1, &act, NULL);
    sigaction(SIGHUP, NULL, &was);
    if (was.sa_handler != SIG_IGN)                       /* as nohup leaves it */
        sigaction(SIGHUP, &act, NULL);
    act.sa_flags |= SA_RESETHAND;                        /* a second Ctrl-C ends it at once */
    sigaction(SIGINT, &act, NULL);
}

/* -- progress -------------------------------------------------------------------------------------------------------------- */

typedef struct screen { bool terminal; int64_t every; double last; } screen;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void left(double seconds, char text[32])
{
    long s = (long)seconds;
    if (s >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld", s / 60, s % 60);
}

/* On a terminal one line that is written over; else a line every so many batches. */
static void progress(void *user, const timm_progress *p)
{
    screen *s = user;
    char eta[32];
    bool train = p->phase[0] == 't';
    left(p->seconds_left, eta);
    if (s->terminal) {
        if (now() - s->last < .1 && p->batch != p->batches)
            return;
        s->last = now();
        fprintf(stderr, "\r%s %lld/%lld  %lld/%lld  loss %.4f  %.0f img/s", train ? "epoch" : "validating", (long long)p->epoch,
                (long long)p->epochs - 1, (long long)p->batch, (long long)p->batches, p->mean_loss, p->images_per_second);
        if (train)
            fprintf(stderr, "  lr %.3g  ETA %s", p->lr, eta);
        fputs("\033[K", stderr);
    } else if (train && (p->batch == 1 || p->batch == p->batches || p->batch % s->every == 0)) {
        fprintf(stderr, "Train: %lld [%4lld/%lld (%3.0f%%)]  Loss: %.4g (%.4g)  %.1f img/s  LR: %.3e  ETA: %s\n", (long long)p->epoch,
                (long long)p->batch, (long long)p->batches, 100. * (double)p->batch / (double)p->batches,
                isnan(p->loss) ? (double)NAN : p->loss, p->mean_loss, p->images_per_second, p->lr, eta);      /* printf shows the sign of a NaN */
    }
}

/* JSON has no NaN. */
static void print_number(const char *key, double v)
{
    if (isfinite(v))
        printf(", \"%s\": %.9g", key, v);
    else
        printf(", \"%s\": null", key);
}

static void each_epoch(void *user, const timm_epoch *e)
{
    const screen *s = user;
    if (s->terminal)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "epoch %lld: train loss %.4f", (long long)e->epoch, e->train_loss);
    if (e->validated)
        fprintf(stderr, ", validation%s loss %.4f", e->averaged ? " (average)" : "", e->eval.loss);
    for (const timm_metric *m = timm_metrics_of(e->eval.task) + 1; m->name && e->validated; m++)
        fprintf(stderr, *m->unit ? ", %s %.2f%s" : ", %s %.4g%s", m->label, timm_metric_value(m, &e->eval), m->unit);
    if (e->images_per_second > 0)
        fprintf(stderr, ", %.0f img/s", e->images_per_second);
    fputc('\n', stderr);
    printf("{\"epoch\": %lld", (long long)e->epoch);
    print_number("train_loss", e->train_loss);
    for (const timm_metric *m = timm_metrics_of(e->eval.task); m->name && e->validated; m++) {
        char key[64];
        snprintf(key, sizeof key, "eval_%s", m->name);
        print_number(key, timm_metric_value(m, &e->eval));
    }
    print_number("lr", e->lr);
    puts("}");
    fflush(stdout);
}

/* -- the command ----------------------------------------------------------------------------------------------------------- */

static timm_model *make_model(timm_ctx *ctx, const char *name, int classes, const int64_t input[3])
{
    bool named = o.checkpoint && *o.checkpoint;          /* timm's own files of options say '' */
    const char *weights = named ? o.checkpoint : o.pretrained ? timm_find_weights(ctx, name) : NULL;
    return timm_create(ctx, name, &(timm_model_opts){ .weights = weights, .classes = classes, .in_chans = (int)input[0], .img_size = { input[1], input[2] },
                                                      .global_pool = o.pool, .drop_rate = (float)o.drop, .drop_path = (float)o.drop_path,
                                                      .drop_block = (float)o.drop_block, .kwargs = cli_joined(&o.kwargs) });
}

/* Options of the model and the machine into args.yaml; classes: those of the data, when not given. */
static void tell_made(timm_trainer *trainer, int classes)
{
    o.classes = classes;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        const option *p = &own[i];
        char name[64], text[32];
        if (!p->name || p->value == &o.model || p->value == &o.config || p->value == &o.list_opts)
            continue;
        snprintf(name, sizeof name, "%s", p->name + 2);
        for (char *s = name; *s; s++)
            *s = *s == '-' ? '_' : *s;
        const char *value = text;
        switch (p->kind) {
        case OPT_FLAG: value = *(bool *)p->value ? "true" : "false"; break;
        case OPT_INT: snprintf(text, sizeof text, "%lld", (long long)*(int64_t *)p->value); break;
        case OPT_DOUBLE: snprintf(text, sizeof text, *(double *)p->value && *(double *)p->value < 1e-4 ? "%.8e" : "%.9g", *(double *)p->value); break;
        case OPT_WORDS: value = cli_joined(p->value); break;
        default: value = *(const char **)p->value;
        }
        if (value && !(p->kind == OPT_INT && !*(int64_t *)p->value))
            timm_trainer_made(trainer, name, value);
    }
}

/* Where the last checkpoint is, if there is one. */
static void tell_where(const char *folder, bool stopped, bool fine)
{
    char last[1200];
    snprintf(last, sizeof last, "%s/last.safetensors", folder);
    if (*folder && !access(last, F_OK))
        fprintf(stderr, "timm train: %s %s\n", stopped ? "stopped; go on with --resume" : fine ? "the run is in" : "what was saved last is in", last);
    else if (stopped)
        fputs("timm train: stopped before the first update: there is nothing to save\n", stderr);
}

static void list_optimizers(void)
{
    for (const char *const *n = timm_list_optimizers(); *n; n++)
        printf("%-16s %s\n", *n, timm_optimizer_about(*n));
}

static int run(int argc, char **argv)
{
    int code;
    text_list operands = { 0 };
    train_cli *t = train_cli_new(own, sizeof own / sizeof *own);
    if (!cli_options(&cmd_train, train_cli_options(t), argc, argv, &operands, &code))
        return code;
    if (o.list_opts) {
        list_optimizers();
        return cli_finish(&cmd_train, EXIT_OK);
    }
    if (o.config) {
        o.kwargs.count = o.input.count = 0;
        if ((code = train_cli_config(t, o.config, own, sizeof own / sizeof *own)))
            return code;
        operands.count = 0;
        if (!cli_options(&cmd_train, train_cli_options(t), argc, argv, &operands, &code))
            return code;
    }
    if ((code = train_cli_absent(t, &cmd_train)))
        return code;
    if (operands.count > 1)
        return cli_usage(&cmd_train, "one folder of images, not %zu", operands.count);
    int64_t input[3];
    if ((code = cli_input_size(&cmd_train, &o.input, o.chans, o.size, input)))
        return code;
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = (int)o.threads, .backend = o.backend, .tuning = TIMM_TUNE_NEVER, .note = train_cli_note,
                                                 .seed = (uint64_t)train_cli_int(t, "seed", 42) });
    if (!ctx) {
        fputs("timm: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    hear_signals();
    const char *name = o.model ? o.model : "resnet50";
    int classes = (int)o.classes;
    if (!classes)
        classes = train_cli_classes(t, ctx, operands.count ? operands.text[0] : NULL);
    timm_model *m = timm_ctx_status(ctx) == TIMM_OK ? make_model(ctx, name, classes, input) : NULL;
    timm_trainer *trainer = m ? timm_trainer_open(m) : NULL;
    bool stopped = false;
    if (trainer) {
        screen s = { .terminal = isatty(STDERR_FILENO), .every = train_cli_int(t, "log-interval", 50) };
        s.every = s.every > 0 ? s.every : 1;
        tell_made(trainer, classes);
        train_cli_apply(t, trainer, operands.count ? operands.text[0] : NULL);
        running = trainer;
        if (asked)
            timm_trainer_stop(trainer);
        timm_trainer_progress(trainer, progress, &s);
        timm_trainer_run(trainer, each_epoch, &s);
        stopped = timm_trainer_stopped(trainer) && timm_ctx_status(ctx) == TIMM_OK;
        if (s.terminal)
            fputs("\r\033[K", stderr);
        tell_where(timm_trainer_folder(trainer), stopped, timm_ctx_status(ctx) == TIMM_OK);
        signal(SIGTERM, SIG_DFL);
        signal(SIGUSR1, SIG_DFL);
        signal(SIGHUP, SIG_IGN);                         /* ignored or not before: little is left to do */
        signal(SIGINT, SIG_DFL);
        timm_trainer_close(trainer);
    }
    code = cli_close(&cmd_train, ctx, NULL);
    return code ? code : stopped || asked ? EXIT_STOPPED : EXIT_OK;
}

const command cmd_train = {
    "train", "train a network on images of one's own", "[DIR] [options]",
    "Trains from scratch, or on from given weights, with the options of timm's train.py.  DIR holds train and val (or\n"
    "validation), and those a folder for each class.  The run goes to a folder of its own: checkpoints, args.yaml,\n"
    "summary.csv, TensorBoard's events and report.html.  An epoch's figures go to stdout, a JSON object a line.\n"
    "With --task multilabel or regression DIR/train/labels.csv, or DIR/train.csv, tells what is in the images: a header, then\n"
    "a row an image, its path first.  Multilabel: one more column, labels with ';' between, or a column a label, 0 or 1.\n"
    "Regression: a column a number.  Likewise val/labels.csv or val.csv.\n"
    "SIGTERM, SIGHUP, SIGUSR1 or Ctrl-C: the update is finished and saved, exit 75; --resume goes on as if nothing had been.",
    "  $ timm train photos --model resnet18 --pretrained --epochs 20 --lr 0.01\n"
    "  $ timm train photos -m vit_tiny_patch16_224 --opt adamw --lr 5e-4 --weight-decay 0.05 --sched cosine --model-ema\n"
    "  $ timm train --dataset fashion-mnist -m resnet18 --in-chans 1 --img-size 28 --epochs 5\n"
    "  $ timm train photos --task multilabel -m resnet18 --pretrained --loss asl --epochs 20 --lr 0.01\n"
    "  $ timm train photos --resume auto --experiment mine\n",
    run,
};
