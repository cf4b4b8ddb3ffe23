/* cmd_benchmark.c - timm benchmark: time of a run, and where it goes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "cli.h"
#include "timm/train.h"

static struct {
    int64_t batch, threads, size, chans, classes, runs, copies;
    double seconds;
    bool train, grad_checkpointing, tune, no_tune, profile, times, json;
    const char *opt, *precision, *backend;
    text_list kwargs;
} o;

static const option options[] = {
    { "--batch", 'b', OPT_INT, &o.batch, "N", "images a run (1)", 1, 65536 },
    { "--input-size", 0, OPT_INT, &o.size, "N", "height and width of the image (the model's own)", 1, 1 << 14 },
    { "--in-chans", 0, OPT_INT, &o.chans, "N", "channels of the image (the model's own)", 1, 4096 },
    { "--num-classes", 0, OPT_INT, &o.classes, "N", "classes of the head (the model's own)", 1, 1000000 },
    { "--model-kwargs", 0, OPT_WORDS, &o.kwargs, "K=V...", "arguments of its constructor: layers=[1,1,1,1] depth=6", 0, 0 },
    { "--threads", 0, OPT_INT, &o.threads, "N", "compute threads (one per core)", 0, 1024 },
    { "--train", 0, OPT_FLAG, &o.train, NULL, "steps of training: forward, backward, update", 0, 0 },
    { "--opt", 0, OPT_TEXT, &o.opt, "NAME", "optimizer of --train (sgd)", 0, 0 },
    { "--grad-checkpointing", 0, OPT_FLAG, &o.grad_checkpointing, NULL, "with --train: less memory, more arithmetic", 0, 0 },
    { "--precision", 0, OPT_TEXT, &o.precision, "P", CLI_PRECISIONS, 0, 0 },
    { "--backend", 0, OPT_TEXT, &o.backend, "B", "auto, onednn, cpu, ref (auto)", 0, 0 },
    { "--tune", 0, OPT_FLAG, &o.tune, NULL, "measure which kernels of inference are the fastest, once, and keep that for later commands (true)", 0, 0 },
    { "--no-tune", 0, OPT_FLAG, &o.no_tune, NULL, "kernels of inference by rule", 0, 0 },
    { "--runs", 0, OPT_INT, &o.runs, "N", "counted runs (as many as fit in --seconds, at least 5)", 1, 1000000 },
    { "--seconds", 0, OPT_DOUBLE, &o.seconds, "S", "time to spend on a model (3)", 0, 86400 },
    { "--copies", 0, OPT_INT, &o.copies, "N", "N processes at once, each with its threads, against one alone", 2, 64 },
    { "--profile", 0, OPT_FLAG, &o.profile, NULL, "then a table of kernel calls, slowest first", 0, 0 },
    { "--times", 0, OPT_FLAG, &o.times, NULL, "with --json: every counted run, in milliseconds, sorted, as \"ms\"", 0, 0 },
    { "--json", 0, OPT_FLAG, &o.json, NULL, "one JSON object a model", 0, 0 },
    { 0 }
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of this program; getrusage would also count whoever started it, from before exec. */
static int64_t peak_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long long kilobytes = 0;
    while (f && fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %lld", &kilobytes) != 1)
        continue;
    if (f)
        fclose(f);
    struct rusage use;
    if (!kilobytes && !getrusage(RUSAGE_SELF, &use))
        kilobytes = use.ru_maxrss;
    return kilobytes * 1024;
}

static int slower(const void *a, const void *b)
{
    const timm_step *x = a, *y = b;
    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : 0;
}

static int less(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b; }

static void shape_text(const timm_step *s, char *text, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < s->rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, i ? "x%lld" : "%lld", (long long)s->dim[i]);
}

/* What is timed: inference, or with a trainer its steps. */
typedef struct subject { timm_model *m; timm_trainer *t; timm_tensor x, y; } subject;

static void once(subject *s)
{
    if (!s->t)
        timm_forward(s->m, &s->x);
    else if (timm_backward(s->t, &s->x, &s->y, NULL) == TIMM_OK)
        timm_optimizer_step(s->t);
}

static timm_model_opts model_opts(void)
{
    return (timm_model_opts){ .img_size = { o.size, o.size }, .in_chans = (int)o.chans, .classes = (int)o.classes,
                              .precision = o.precision, .kwargs = cli_joined(&o.kwargs) };
}

static bool open_subject(subject *s, timm_ctx *ctx, const char *name)
{
    const timm_model_opts opts = model_opts();
    *s = (subject){ .m = timm_create(ctx, name, &opts) };
    if (!s->m)
        return false;
    timm_transform tr = timm_model_transform(s->m, false);
    int classes = timm_num_classes(s->m) > 0 ? (int)timm_num_classes(s->m) : 1;
    s->x = (timm_tensor){ .rank = 4, .dim = { o.batch, tr.input_size[0], tr.input_size[1], tr.input_size[2] } };
    s->y = (timm_tensor){ .rank = 2, .dim = { o.batch, classes } };
    s->x.data = malloc((size_t)timm_numel(&s->x) * sizeof *s->x.data);
    s->y.data = calloc((size_t)timm_numel(&s->y), sizeof *s->y.data);
    if (!s->x.data || !s->y.data) {
        fprintf(stderr, "timm benchmark: out of memory for %lld images\n", (long long)o.batch);
        exit(EXIT_FAILED);
    }
    for (int64_t i = 0; i < timm_numel(&s->x); i++)
        s->x.data[i] = (float)(i * 7919 % 2001 - 1000) * 1e-3f;
    for (int64_t i = 0; i < o.batch; i++)
        s->y.data[i * classes + i % classes] = 1;
    if (o.train) {
        s->t = timm_trainer_open(s->m);
        timm_trainer_set(s->t, "opt", o.opt ? o.opt : "sgd");
        timm_trainer_set(s->t, "grad-checkpointing", o.grad_checkpointing ? "true" : "false");
        timm_trainer_set(s->t, "lr", "1e-6");            /* so that nothing diverges, however long it runs */
    }
    return timm_ctx_status(ctx) == TIMM_OK;
}

static void close_subject(subject *s)
{
    free(s->x.data);
    free(s->y.data);
    timm_trainer_close(s->t);
    timm_free(s->m);
}

/* Of the machine's peak, that of arithmetic or of memory, whichever the call is nearer to; what lies in caches may exceed it. */
static double of_peak(const timm_step *s, double seconds, const double peak[2])
{
    double work = 2e-9 * (double)s->macs / peak[0], memory = 1e-9 * (double)s->bytes / peak[1];
    return seconds > 0 ? (work > memory ? work : memory) / seconds : 0;
}

static json_t *profile(const subject *of, int runs, const double peak[2])
{
    int n = of->t ? timm_trainer_step_count(of->t) : timm_step_count(of->m);
    timm_step *s = malloc(((size_t)n + 1) * sizeof *s);
    json_t *rows = json_array();
    double all = 0;
    if (!s)
        return rows;
    for (int i = 0; i < n; i++) {
        s[i] = of->t ? timm_trainer_get_step(of->t, i) : timm_get_step(of->m, i);
        all += s[i].seconds;
    }
    qsort(s, (size_t)n, sizeof *s, slower);
    if (!o.json)
        printf("%10s %6s %9s %8s %7s  %-14s %-26s %-20s %s\n", "us", "share", "GFLOP/s", "GB/s", "of peak", "op", "kernel", "result", "layer");
    for (int i = 0; i < n; i++) {
        double t = s[i].seconds / runs;
        char shape[80] = "";
        shape_text(&s[i], shape, sizeof shape);
        if (o.json)
            json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "layer", s[i].where, "op", s[i].op, "kernel",
                                                  s[i].kernel, "result", shape, "us", cli_real(1e6 * t), "gflops",
                                                  cli_real(t > 0 ? 2e-9 * (double)s[i].macs / t : 0), "gb_per_second",
                                                  cli_real(t > 0 ? 1e-9 * (double)s[i].bytes / t : 0), "of_peak",
                                                  cli_real(of_peak(&s[i], t, peak))));
        else
            printf("%10.1f %5.1f%% %9.1f %8.1f %6.0f%%  %-14s %-26s %-20s %s\n", 1e6 * t, all > 0 ? 100 * s[i].seconds / all : 0,
                   t > 0 ? 2e-9 * (double)s[i].macs / t : 0, t > 0 ? 1e-9 * (double)s[i].bytes / t : 0,
                   100 * of_peak(&s[i], t, peak), s[i].op, s[i].kernel, shape, s[i].where);
    }
    free(s);
    return rows;
}

static double *measure(subject *s, size_t *count)
{
    size_t room = o.runs ? (size_t)o.runs : 1u << 16, least = o.runs ? (size_t)o.runs : 5;
    double *t = malloc(room * sizeof *t), stop;
    *count = 0;
    if (!t)
        return NULL;
    once(s);
    once(s);
    stop = now() + o.seconds;
    while (*count < room && (*count < least || (!o.runs && now() < stop))) {
        double a = now();
        once(s);
        t[(*count)++] = now() - a;
    }
    return t;
}

static void one_model(timm_ctx *ctx, const char *name)
{
    subject s;
    timm_model_stats stats;
    size_t n = 0;
    double *t = open_subject(&s, ctx, name) ? measure(&s, &n) : NULL;
    json_t *rows = NULL;
    int64_t most = peak_bytes();
    double peak[2], off = NAN;
    if (t && !s.t && cli_rounds(o.precision)) {
        const timm_model_opts opts = model_opts();
        timm_tensor y = timm_forward(s.m, &s.x);
        off = cli_off_fp32(ctx, name, &opts, &s.x, &y);
    }
    if (t && o.profile && timm_ctx_status(ctx) == TIMM_OK) {
        int runs = (int)(n < 20 ? n : 20);
        if (s.t)
            timm_trainer_set_profile(s.t, true);
        else
            timm_set_profile(s.m, true);
        for (int i = 0; i < runs; i++)
            once(&s);
        if (timm_measure_peak(ctx, timm_precision(s.m), &peak[0], &peak[1]) == TIMM_OK)
            rows = profile(&s, runs, peak);
    }
    if (t && timm_ctx_status(ctx) == TIMM_OK && timm_get_stats(s.m, &stats) == TIMM_OK) {
        qsort(t, n, sizeof *t, less);
        double median = t[n / 2], gflop = (s.t ? 3 : 1) * 2e-9 * (double)stats.macs * (double)o.batch;
        json_t *r = json_pack("{s:s,s:I,s:I,s:s,s:i,s:o,s:o,s:o,s:I,s:o}", "model", name, "batch", (json_int_t)o.batch, "threads",
                              (json_int_t)timm_threads(ctx), "precision", timm_precision(s.m), "runs", (int)n,
                              "ms_min", cli_real(1e3 * t[0]), "ms_median", cli_real(1e3 * median), "images_per_second",
                              cli_real((double)o.batch / median), "peak_bytes", (json_int_t)most, "gflops",
                              cli_real(gflop / median));
        if (o.train)
            json_object_set_new(r, "optimizer", json_string(o.opt ? o.opt : "sgd"));
        if (isfinite(off))
            json_object_set_new(r, "off_fp32", cli_real(off));
        if (o.times) {
            json_t *ms = json_array();
            for (size_t i = 0; i < n; i++)
                json_array_append_new(ms, cli_real(1e3 * t[i]));
            json_object_set_new(r, "ms", ms);
        }
        if (rows && o.json)
            json_object_update_new(r, json_pack("{s:O,s:o,s:o}", "profile", rows, "peak_gflops", cli_real(peak[0]), "peak_gb_per_second",
                                                cli_real(peak[1])));
        if (o.json)
            cli_json(json_incref(r));
        else
            printf("%-40s b%-4lld %2d threads  %9.3f ms min %9.3f ms median %10.1f img/s %8.1f GFLOP/s %8.1f MB peak\n", name,
                   (long long)o.batch, timm_threads(ctx), 1e3 * t[0], 1e3 * median, (double)o.batch / median, gflop / median,
                   (double)most / (1 << 20));
        if (isfinite(off) && !o.json)
            printf("%-40s logits off those in fp32 by %.2g of the largest\n", "", off);
        if (rows && !o.json)
            printf("%-40s peaks of the machine, measured: %.0f GFLOP/s in %s, %.1f GB/s from memory to memory\n", "", peak[0],
                   timm_precision(s.m), peak[1]);
        json_decref(r);
    }
    json_decref(rows);
    fflush(stdout);
    free(t);
    close_subject(&s);
}

/* -- several at once ------------------------------------------------------------------------------------------------------- */

/* ms: least, median; precision: static, so that it is the same in all these processes. */
typedef struct timing { double ms[2]; int64_t threads; const char *precision; } timing;
typedef struct copy { pid_t pid; int out; timing t; } copy;

/* In a process of its own: tells that it is ready, waits until `go` ends, measures, tells its timing. */
static void be_copy(const char *name, int go, int out)
{
    timm_ctx *ctx = cli_open(o.threads, o.backend, 1, cli_tuning(o.tune, o.no_tune));
    subject s;
    size_t n = 0;
    char none;
    if (open_subject(&s, ctx, name)) {
        once(&s);
        double *t = write(out, "", 1) == 1 && read(go, &none, 1) == 0 ? measure(&s, &n) : NULL;
        if (n && timm_ctx_status(ctx) == TIMM_OK) {
            qsort(t, n, sizeof *t, less);
            timing took = { { 1e3 * t[0], 1e3 * t[n / 2] }, timm_threads(ctx), timm_precision(s.m) };
            n = write(out, &took, sizeof took) == sizeof took;
        }
        free(t);
        close_subject(&s);
    }
    _exit(cli_close(&cmd_benchmark, ctx, NULL));
}

static bool start_copy(copy *c, const char *name, const int go[2])
{
    int out[2];
    if (pipe(out))
        return false;
    c->out = out[0];
    c->pid = fork();
    if (!c->pid) {
        close(go[1]);
        close(out[0]);
        be_copy(name, go[0], out[1]);
    }
    close(out[1]);
    return c->pid > 0;
}

/* n processes at once; the worst exit code. */
static int run_copies(const char *name, copy *c, int n)
{
    int go[2], worst = EXIT_OK, started = 0;
    char ready;
    if (pipe(go))
        return EXIT_FAILED;
    while (started < n && start_copy(&c[started], name, go))
        started++;
    for (int i = 0; i < started; i++)
        worst = read(c[i].out, &ready, 1) == 1 ? worst : EXIT_FAILED;
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < started; i++) {
        int status = 0;
        bool told = read(c[i].out, &c[i].t, sizeof c[i].t) == sizeof c[i].t;
        close(c[i].out);
        waitpid(c[i].pid, &status, 0);
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
        code = code || told ? code : EXIT_FAILED;
        worst = code > worst ? code : worst;
    }
    if (started < n)
        fprintf(stderr, "timm benchmark: %d of %d processes could not be started\n", n - started, n);
    return started < n && !worst ? EXIT_FAILED : worst;
}

static int copies_of(const char *name)
{
    copy alone = { 0 }, *c = calloc((size_t)o.copies, sizeof *c);
    int code = c ? run_copies(name, &alone, 1) : EXIT_FAILED;
    code = code ? code : run_copies(name, c, (int)o.copies);
    double worst[2] = { 0 };
    json_t *least = json_array(), *median = json_array();
    for (int i = 0; !code && i < o.copies; i++) {
        for (int k = 0; k < 2; k++)
            worst[k] = c[i].t.ms[k] > worst[k] ? c[i].t.ms[k] : worst[k];
        json_array_append_new(least, cli_real(c[i].t.ms[0]));
        json_array_append_new(median, cli_real(c[i].t.ms[1]));
    }
    const double *one = alone.t.ms;
    if (!code && o.json)
        cli_json(json_pack("{s:s,s:I,s:I,s:s,s:I,s:o,s:o,s:O,s:O,s:o,s:o}", "model", name, "batch", (json_int_t)o.batch,
                           "threads", (json_int_t)alone.t.threads, "precision", alone.t.precision,
                           "copies", (json_int_t)o.copies, "alone_ms_min", cli_real(one[0]), "alone_ms_median",
                           cli_real(one[1]), "ms_min", least, "ms_median", median, "slowdown_min",
                           cli_real(worst[0] / one[0]), "slowdown_median", cli_real(worst[1] / one[1])));
    else if (!code)
        printf("%-40s b%-4lld %2lld threads  alone %9.3f ms min %9.3f ms median; %lld at once, the slowest "
               "%9.3f ms min %9.3f ms median: %.2f x %.2f x\n", name, (long long)o.batch, (long long)alone.t.threads,
               one[0], one[1], (long long)o.copies, worst[0], worst[1], worst[0] / one[0], worst[1] / one[1]);
    fflush(stdout);
    json_decref(least);
    json_decref(median);
    free(c);
    return code;
}

static int run(int argc, char **argv)
{
    text_list models = { 0 };
    int code, worst = EXIT_OK;
    o.batch = 1;
    o.seconds = 3;
    o.tune = true;
    if (!cli_options(&cmd_benchmark, options, argc, argv, &models, &code))
        return cli_finish(&cmd_benchmark, code);
    if (!models.count)
        return cli_usage(&cmd_benchmark, "which model?");
    if (o.copies && o.profile)
        return cli_usage(&cmd_benchmark, "--copies says nothing about kernel calls: without --profile");
    for (size_t i = 0; i < models.count && o.copies; i++) {
        code = copies_of(models.text[i]);
        worst = code > worst ? code : worst;
    }
    for (size_t i = 0; i < models.count && !o.copies; i++) {
        timm_ctx *ctx = cli_open(o.threads, o.backend, 1, cli_tuning(o.tune, o.no_tune));
        one_model(ctx, models.text[i]);
        code = cli_close(&cmd_benchmark, ctx, NULL);
        worst = code > worst ? code : worst;
    }
    return worst;
}

const command cmd_benchmark = {
    "benchmark", "time of a run, and where it goes", "MODEL... [options]",
    "Times inference, or steps of training, on initial weights: two warm-up runs, then the least and the median of the\n"
    "counted ones.  The arithmetic of a step of training counts as three times that of inference.  With another --precision\n"
    "than fp32 it tells how far the logits are from those in fp32, of the largest of them (\"off_fp32\"); with --train, where\n"
    "bf16x6 is the default as in timm train, or --copies it tells times alone.",
    "  $ timm benchmark resnet50\n"
    "  $ timm benchmark mobilenetv3_large_100 efficientnet_b0 -b 16 --json\n"
    "  $ timm benchmark convnext_tiny --profile\n"
    "  $ timm benchmark resnet18 --copies 2\n"
    "  $ timm benchmark resnet18 --train -b 32 --opt adamw\n",
    run,
};
