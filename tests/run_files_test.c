/* run_files_test.c - what a run leaves in its folder, read back by readers of their own. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "jsonl.h"
#include "made_run.h"
#include "test.h"
#include "train/run_log.h"

#define MODEL "-m test_vit --in-chans 1 --img-size 32 --threads 1"

static char folder[1200];

/* One run of four epochs for all tests here: validated every second epoch and after the last. */
static const char *run_folder(void)
{
    if (folder[0])
        return folder;
    const char *output = made_output();
    command_result r = command_run("timm train --dataset idx --data-dir %s " MODEL " --batch-size 8 --epochs 4 --opt adamw --lr 2e-3 "
                                   "--warmup-epochs 1 --val-interval 2 --drop 0.1 --freeze 'blocks.0*' 'patch_embed' --opt-betas 0.9 0.98 "
                                   "--experiment \"it's <a> \\\"run\\\" & so\" --output %s", made_idx(44, 20, 4), output);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    snprintf(folder, sizeof folder, "%s/it's <a> \"run\" & so", output);
    return folder;
}

static char *file_of(const char *name)
{
    char path[1400];
    snprintf(path, sizeof path, "%s/%s", run_folder(), name);
    char *text = command_slurp(path);
    CHECK(text, "no %s", path);
    return text ? text : calloc(1, 1);
}

/* -- summary.csv --------------------------------------------------------------------------------------------------------------- */

enum { EPOCHS = 4 };
typedef struct row { bool validated; double epoch, train_loss, loss, top1, top5, lr; } row;

static bool number(const char **p, double *v)
{
    char *end;
    bool have = **p != ',' && **p != '\n';
    *v = have ? strtod(*p, &end) : NAN;
    *p = have ? end : *p;
    *p += **p == ',';
    return have;
}

static void read_summary(row rows[EPOCHS])
{
    char *text = file_of("summary.csv");
    const char *p = strchr(text, '\n');
    CHECK(p && !strncmp(text, "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n", 50), "%s", text);
    for (int i = 0; p && i < EPOCHS; i++) {
        row *r = &rows[i];
        p++;
        CHECK(number(&p, &r->epoch) && number(&p, &r->train_loss), "%s", text);
        r->validated = number(&p, &r->loss) + number(&p, &r->top1) + number(&p, &r->top5) == 3;
        CHECK(number(&p, &r->lr) && *p == '\n', "%s", text);
    }
    CHECK(p && !p[1], "%s", text);
    free(text);
}

TEST(run_files_summary)
{
    row r[EPOCHS] = { { 0 } };
    read_summary(r);
    /* timm: linear warm-up from 1e-5, then 0.5 (1 + cos(pi t / T)) of the rate; the rate is the epoch's. */
    static const double lr[] = { 1e-5, 2e-3 * .8535533905932737, 2e-3 * .5, 2e-3 * .14644660940672627 };
    for (int i = 0; i < EPOCHS; i++) {
        CHECK(r[i].epoch == i && r[i].train_loss > 0 && r[i].train_loss < 3, "epoch %d", i);
        CHECK(fabs(r[i].lr - lr[i]) < 1e-9, "rate of epoch %d: %g", i, r[i].lr);
        CHECK(r[i].validated == (i % 2 == 1), "epoch %d is%s validated", i, r[i].validated ? "" : " not");
        CHECK(!r[i].validated || (r[i].top5 == 100 && fmod(r[i].top1, 5) == 0 && r[i].loss > 0), "epoch %d", i);
    }
}

/* A summary that somebody edited: what is no epoch is no row. */
TEST(run_files_edited_summary)
{
    const char *path = test_temp("edited.csv");
    status st = { 0 };
    timm_epoch *rows;
    FILE *f = fopen(path, "w");
    REQUIRE(f && fputs("epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n-3,1,1,1,1,1\n0,2.5,,,,0.1\n1e300,1,1,1,1,1\nnan,1,1,1,1,1\n"
                       "1,2,1.5,60,90,0.05", f) >= 0 && !fclose(f), "cannot write %s", path);
    int n = summary_read(path, TIMM_CLASSIFICATION, &rows, &st);
    CHECK(n == 2 && rows[0].epoch == 0 && !rows[0].validated && rows[1].epoch == 1 && rows[1].eval.top1 == 60 && rows[1].lr == .05, "%d rows", n);
    free(rows);
}

TEST(run_files_args_give_the_same_run)
{
    char why[4096], one[1400], other[1400];
    const char *output = made_output();
    char *args = file_of("args.yaml");
    CHECK(command_has(args, "model: test_vit\n") && command_has(args, "\nfreeze:\n- 'blocks.0*'\n- patch_embed\n")
          && command_has(args, "\nexperiment: 'it''s <a> \"run\" & so'\n") && command_has(args, "\npretrained: false\n")
          && command_has(args, "\nimg_size: 32\n") && command_has(args, "\nlayer_decay: null\n"), "%s", args);
    free(args);
    char base[1400];
    snprintf(base, sizeof base, "%s", run_folder());
    *strrchr(base, '/') = 0;
    command_result r = command_run("timm train --config %s/*/args.yaml --experiment again --output %s", base, output);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    snprintf(one, sizeof one, "%s/last.safetensors", run_folder());
    snprintf(other, sizeof other, "%s/again/last.safetensors", output);
    CHECK(same_tensors(one, other, why, sizeof why), "%s", why);
    /* The command line wins over the file, lists and zeros too. */
    r = command_run("timm train --config %s/*/args.yaml --experiment other --output %s --drop 0 --freeze head --epochs 1 --val-split ''", base,
                    output);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    command_free(&r);
    snprintf(other, sizeof other, "%s/other/args.yaml", output);
    args = command_slurp(other);
    CHECK(command_has(args, "\ndrop: 0\n") && command_has(args, "\nfreeze:\n- head\nhead_only") && command_has(args, "\nepochs: 1\n"), "%s", args);
    free(args);
}

/* -- TensorBoard ---------------------------------------------------------------------------------------------------------------- */

/* CRC-32C by its polynomial, bit by bit: no table to be wrong in the same way. */
static uint32_t masked_crc(const unsigned char *p, size_t n)
{
    uint32_t c = ~0u;
    for (size_t i = 0; i < n; i++)
        for (int b = 0; b < 8; b++) {
            uint32_t bit = (c ^ (uint32_t)(p[i] >> b)) & 1;
            c = c >> 1 ^ (bit ? 0x82F63B78u : 0);
        }
    c = ~c;
    return (c >> 15 | c << 17) + 0xA282EAD8u;
}

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

typedef struct field { int number, wire; uint64_t value; const unsigned char *bytes; size_t n; } field;

/* The next field of a message; false at its end, or where it is none. */
static bool next_field(const unsigned char **p, const unsigned char *end, field *f)
{
    uint64_t v[2] = { 0, 0 };
    for (int part = 0; part < 2; part++) {
        int shift = 0;
        do {
            if (*p == end || shift > 63)
                return false;
            v[part] |= (uint64_t)(**p & 127) << shift;
            shift += 7;
        } while (*(*p)++ & 128);
        if (part == 0 && (v[0] & 7) != 0 && (v[0] & 7) != 2)
            break;
    }
    *f = (field){ .number = (int)(v[0] >> 3), .wire = (int)(v[0] & 7), .value = v[1] };
    f->n = f->wire == 1 ? 8 : f->wire == 5 ? 4 : f->wire == 2 ? (size_t)v[1] : 0;
    if ((f->wire != 0 && f->wire != 1 && f->wire != 2 && f->wire != 5) || f->n > (size_t)(end - *p))
        return false;
    f->bytes = *p;
    *p += f->n;
    return true;
}

typedef struct scalar { char tag[64]; int64_t step; float value; } scalar;
typedef struct event_file { scalar s[128]; int n, records; int64_t starts_at; } event_file;

static bool read_value(const unsigned char *p, const unsigned char *end, scalar *s)
{
    field f;
    int tags = 0, values = 0;
    while (p < end) {
        if (!next_field(&p, end, &f))
            return false;
        if (f.number == 1 && f.wire == 2 && f.n < sizeof s->tag) {
            memcpy(s->tag, f.bytes, f.n);
            s->tag[f.n] = 0;
            tags++;
        } else if (f.number == 2 && f.wire == 5) {
            uint32_t bits = (uint32_t)little(f.bytes, 4);
            memcpy(&s->value, &bits, sizeof bits);
            values++;
        } else {
            return false;
        }
    }
    return tags == 1 && values == 1;
}

static bool read_event(event_file *out, const unsigned char *p, const unsigned char *end)
{
    field f, value;
    int64_t step = 0;
    double wall = 0;
    bool first = !out->records, version = false;
    scalar *s = &out->s[out->n];
    while (p < end) {
        if (!next_field(&p, end, &f))
            return false;
        if (f.number == 1 && f.wire == 1) {
            uint64_t bits = little(f.bytes, 8);
            memcpy(&wall, &bits, sizeof bits);
        } else if (f.number == 2 && f.wire == 0) {
            step = (int64_t)f.value;
        } else if (f.number == 3 && f.wire == 2 && f.n == 13 && !memcmp(f.bytes, "brain.Event:2", 13)) {
            version = true;
        } else if (f.number == 5 && f.wire == 2) {
            const unsigned char *q = f.bytes;
            if (!next_field(&q, f.bytes + f.n, &value) || value.number != 1 || value.wire != 2 || q != f.bytes + f.n
                || out->n == 128 || !read_value(value.bytes, value.bytes + value.n, s))
                return false;
            s->step = step;
            out->n++;
        } else if (f.number == 7 && f.wire == 2 && f.n == 2 && f.bytes[0] == 8 && f.bytes[1] == 1) {
            out->starts_at = step;
        } else {
            return false;
        }
    }
    return first == version && wall > 1.5e9 && wall < 5e9;
}

static bool read_events(const char *path, event_file *out)
{
    FILE *f = fopen(path, "rb");
    static unsigned char bytes[1 << 16];
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0, at = 0;
    if (f)
        fclose(f);
    *out = (event_file){ .starts_at = -1 };
    while (at < n) {
        uint64_t length = n - at >= 16 ? little(bytes + at, 8) : n;
        if (length > n - at - 16 || masked_crc(bytes + at, 8) != little(bytes + at + 8, 4)
            || masked_crc(bytes + at + 12, length) != little(bytes + at + 12 + length, 4)
            || !read_event(out, bytes + at + 12, bytes + at + 12 + length))
            return false;
        out->records++;
        at += 16 + length;
    }
    return n > 0;
}

static bool find_events(const char *run, char path[1600])
{
    DIR *d = opendir(run);
    path[0] = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        if (!strncmp(e->d_name, "events.out.tfevents.", 20) && !path[0])
            snprintf(path, 1600, "%s/%s", run, e->d_name);
    if (d)
        closedir(d);
    return path[0];
}

/* What every scalar must be, of the summary. */
static void check_scalars(const char *what, const scalar *s, int n)
{
    row r[EPOCHS] = { { 0 } };
    int seen = 0;
    read_summary(r);
    for (int i = 0; i < EPOCHS; i++) {
        const struct { const char *tag; double value; bool have; } want[] = {
            { "train/loss", r[i].train_loss, true }, { "train/lr", r[i].lr, true }, { "eval/loss", r[i].loss, r[i].validated },
            { "eval/top1", r[i].top1, r[i].validated }, { "eval/top5", r[i].top5, r[i].validated },
        };
        for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
            int found = 0;
            for (int j = 0; j < n; j++)
                if (s[j].step == i && !strcmp(s[j].tag, want[k].tag)) {
                    CHECK(fabs(s[j].value - want[k].value) <= 1e-6 * fabs(want[k].value), "%s: %s of %d: %g, not %g", what, want[k].tag, i,
                          s[j].value, want[k].value);
                    found++;
                }
            CHECK(found == want[k].have, "%s: %s of %d: %d times", what, want[k].tag, i, found);
            seen += found;
        }
    }
    for (int j = 0; j < n; j++)
        seen += !strcmp(s[j].tag, "train/images_per_second") && s[j].value > 0;
    CHECK(seen == n, "%s: %d of %d scalars are known", what, seen, n);
}

TEST(run_files_events)
{
    char path[1600];
    event_file e;
    CHECK(masked_crc((const unsigned char *)"123456789", 9) == ((0xE3069283u >> 15 | 0xE3069283u << 17) + 0xA282EAD8u), "CRC-32C");
    REQUIRE(find_events(run_folder(), path), "no events");
    REQUIRE(read_events(path, &e), "%s: record %d is no event", path, e.records);
    CHECK(e.records == e.n + 1 && e.starts_at < 0, "%d records", e.records);
    check_scalars(path, e.s, e.n);
}

/* Where a run goes on, its events tell TensorBoard to forget what came after that point. */
TEST(run_files_events_of_a_resumed_run)
{
    char path[1600], run[1200];
    event_file e;
    const char *output = made_output();
    snprintf(run, sizeof run, "%s/r", output);
    for (int part = 0; part < 2; part++) {
        command_result r = command_run("timm train --dataset idx --data-dir %s " MODEL " --batch-size 8 --epochs %d --sched constant --lr 0.01 "
                                       "--experiment r --output %s --resume auto", made_idx(44, 20, 4), 2 + part, output);
        CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
        command_free(&r);
        if (!part && find_events(run, path))
            remove(path);
    }
    REQUIRE(find_events(run, path) && read_events(path, &e), "%s: no events", path);
    CHECK(e.starts_at == 2, "starts at %lld", (long long)e.starts_at);
    for (int i = 0; i < e.n; i++)
        CHECK(e.s[i].step == 2, "%s of step %lld", e.s[i].tag, (long long)e.s[i].step);
}

/* An epoch that was trained when the run stopped, but not validated: nothing is known of how fast it was. */
TEST(run_files_of_an_epoch_trained_before)
{
    static const char *const options[] = { "dataset", "idx", "batch-size", "8", "epochs", "1", "lr", "0.01" };
    char path[1600], run[1200], trained[1200];
    event_file e;
    const char *output = made_output();
    snprintf(trained, sizeof trained, "%s", test_temp("trained.safetensors"));
    snprintf(run, sizeof run, "%s/r", output);
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 1 });
    timm_trainer *t = timm_trainer_open(timm_create(ctx, "test_vit", &(timm_model_opts){ .classes = 4, .in_chans = 1, .img_size = { 32, 32 } }));
    for (size_t i = 0; i < sizeof options / sizeof *options; i += 2)
        timm_trainer_set(t, options[i], options[i + 1]);
    timm_trainer_set(t, "data-dir", made_idx(44, 20, 4));
    CHECK(timm_trainer_epoch(t, NULL) && timm_trainer_save(t, trained) == TIMM_OK, "%s", timm_message(ctx));
    timm_trainer_close(t);
    timm_close(ctx);
    command_result r = command_run("timm train --dataset idx --data-dir %s " MODEL " --batch-size 8 --epochs 1 --lr 0.01 --experiment r --output %s --resume %s",
                                   made_idx(44, 20, 4), output, trained);
    CHECK(r.code == 0 && command_has(r.err, "epoch 0: train loss ") && !command_has(r.err, "img/s"), "exit %d: %s", r.code, r.err);
    command_free(&r);
    REQUIRE(find_events(run, path) && read_events(path, &e), "%s: no events", path);
    CHECK(e.n == 5, "%d scalars", e.n);
    for (int i = 0; i < e.n; i++)
        CHECK(strcmp(e.s[i].tag, "train/images_per_second"), "%g images a second", (double)e.s[i].value);
}

/* TIMM_PYTHON: a python with tensorboard; else python3. */
TEST(run_files_in_tensorboard)
{
    const char *python = getenv("TIMM_PYTHON");
    python = python && *python ? python : "python3";
    command_result r = command_run("%s -c 'import tensorboard'", python);
    int missing = r.code;
    command_free(&r);
    if (missing) {
        test_skip("no python with tensorboard; TIMM_PYTHON names one");
        return;
    }
    char base[1200];
    snprintf(base, sizeof base, "%s", run_folder());
    *strrchr(base, '/') = 0;
    r = command_run("%s -c '\n"
                    "import glob, sys\n"
                    "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
                    "a = EventAccumulator(glob.glob(sys.argv[1] + \"/*\")[0])\n"
                    "a.Reload()\n"
                    "for tag in a.Tags()[\"scalars\"]:\n"
                    "    for e in a.Scalars(tag):\n"
                    "        print(tag, e.step, repr(e.value))\n"
                    "' %s", python, base);
    CHECK(r.code == 0, "exit %d: %s", r.code, r.err);
    static scalar s[128];
    int n = 0, used;
    long long step;
    for (const char *p = r.out; n < 128 && sscanf(p, "%63s %lld %f\n%n", s[n].tag, &step, &s[n].value, &used) == 3; p += used)
        s[n++].step = step;
    check_scalars("TensorBoard", s, n);
    command_free(&r);
}

/* -- report.html ------------------------------------------------------------------------------------------------------------------ */

/* Every element that opens closes, in order; attributes are quoted; & begins an entity. */
static const char *malformed(const char *p)
{
    char open[64][16];
    int depth = 0;
    static char why[64];
    for (; *p; p++) {
        if (*p == '&' && strncmp(p, "&lt;", 4) && strncmp(p, "&gt;", 4) && strncmp(p, "&amp;", 5) && strncmp(p, "&quot;", 6))
            return "a bare &";
        if (*p == '>')
            return "a bare >";
        if (*p != '<')
            continue;
        bool closing = p[1] == '/';
        const char *name = p + 1 + closing;
        size_t n = strcspn(name, " />\n");
        for (p = name; *p && *p != '>' && *p != '<'; p++)
            if (*p == '"' && !(p = strchr(p + 1, '"')))
                return "a quote that does not end";
        if (*p != '>' || n >= 16)
            return "a tag that does not end";
        if (!strncmp(name, "!doctype", n) || !strncmp(name, "meta", n) || p[-1] == '/')
            continue;
        if (!closing && depth < 64) {
            snprintf(open[depth++], 16, "%.*s", (int)n, name);
        } else if (!depth || strlen(open[--depth]) != n || strncmp(open[depth], name, n)) {
            snprintf(why, sizeof why, "</%.*s> closes <%.15s>", (int)n, name, depth >= 0 ? open[depth] : "");
            return why;
        }
    }
    return depth ? "an element that does not end" : NULL;
}

TEST(run_files_report)
{
    CHECK(malformed("<p>a</p><b>") && malformed("<p><b></p></b>") && malformed("<p>a & b</p>") && !malformed("<p>a<br/></p>"), "malformed()");
    char *html = file_of("report.html");
    const char *bad = malformed(html);
    CHECK(!bad, "%s", bad);
    static const char *const outside[] = { "http:", "https:", "src=", "href=", "<script", "url(", "@import", "nan", "inf" };
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        CHECK(!command_has(html, outside[i]), "report.html has %s", outside[i]);
    static const char *const inside[] = { "<!doctype html>", "test_vit, 4 epochs", "it's &lt;a&gt; &quot;run&quot; &amp; so", "Loss", "Learning rate",
                                          "Confusion matrix", "<td>opt</td><td>adamw</td>" };
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        CHECK(command_has(html, inside[i]), "report.html lacks %s", inside[i]);
    free(html);
}

/* Per cents end at 100: a curve that stays there has its room below. */
TEST(run_files_report_of_per_cents)
{
    timm_epoch rows[3];
    status st = { 0 };
    train_options none = { { NULL } };
    const char *path = test_temp("per-cents.html");
    static const double levels[] = { 100, 0, 99.3 };
    for (size_t k = 0; k < sizeof levels / sizeof *levels; k++) {
        for (int i = 0; i < 3; i++)
            rows[i] = (timm_epoch){ .epoch = i, .train_loss = 1, .validated = true,
                                    .eval = { .task = TIMM_CLASSIFICATION, .loss = 1, .top1 = levels[k], .top5 = levels[k] } };
        CHECK(write_report(path, "r", &none, "m", rows, 3, NULL, NULL, 0, &st), "%s", st.text);
        char *html = command_slurp(path), *chart = html ? strstr(html, "Accuracy, per cent") : NULL, *end = chart ? strstr(chart, "</svg>") : NULL;
        REQUIRE(end, "no chart");
        *end = 0;
        CHECK(!strstr(chart, ">120<") && !strstr(chart, ">-20<") && !strstr(chart, "nan") && !strstr(chart, "inf"), "of %g: %s", levels[k], chart);
        CHECK(levels[k] < 99 || strstr(chart, ">100<"), "of %g: %s", levels[k], chart);
        free(html);
    }
}
