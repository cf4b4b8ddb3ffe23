/* report.c - report.html: what a person would show of a run.  One file, SVG drawn here, no scripts, nothing loaded. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/atomic_file.h"
#include "train/run_log.h"
#include "train/task.h"

static void escaped(FILE *f, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '&': fputs("&amp;", f); break;
        case '"': fputs("&quot;", f); break;
        default: fputc(*s, f);
        }
}

static const char style[] =
    "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1080px;padding:0 1rem;color:#1a2733;background:#fff}"
    "h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{color:#51606e}"
    ".tiles{display:flex;gap:1rem;flex-wrap:wrap;margin:1.2rem 0}.tile{border:1px solid #dde3e9;border-radius:8px;padding:.7rem 1.1rem}"
    ".tile b{display:block;font-size:1.5rem;font-weight:600}.tile span{color:#51606e;font-size:.85rem}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(460px,1fr));gap:1rem}"
    "svg{width:100%;height:auto;border:1px solid #dde3e9;border-radius:8px}text{font:11px system-ui,sans-serif;fill:#51606e}"
    "table{border-collapse:collapse;font-size:.85rem}td,th{padding:.15rem .5rem;text-align:right}th{font-weight:600}"
    ".m td{text-align:center;min-width:2.2em;border:1px solid #fff}.m th{font-weight:400;color:#51606e;white-space:nowrap}"
    ".o td{text-align:left;border-bottom:1px solid #eef1f4}</style>\n";

/* -- curves ---------------------------------------------------------------------------------------------------------------- */

/* of: what it shows; NULL: the metric. */
typedef struct curve { const char *name, *colour; double (*of)(const timm_epoch *e); const timm_metric *metric; } curve;
static double train_loss(const timm_epoch *e) { return e->train_loss; }
static double eval_loss(const timm_epoch *e) { return e->validated ? e->eval.loss : NAN; }
static double rate(const timm_epoch *e) { return e->lr; }
static double speed(const timm_epoch *e) { return e->images_per_second > 0 ? e->images_per_second : NAN; }

static double at_epoch(const curve *c, const timm_epoch *e)
{
    return c->of ? c->of(e) : e->validated ? task_metric_value(c->metric, &e->eval) : NAN;
}

enum { W = 480, H = 240, LEFT = 52, RIGHT = 12, TOP = 30, BOTTOM = 24 };

/* 1, 2 or 5 times a power of ten: about five ticks over the range. */
static double tick_of(double range)
{
    double unit = pow(10, floor(log10(range / 5)));
    return range / unit > 25 ? 10 * unit : range / unit > 10 ? 5 * unit : range / unit > 5 ? 2 * unit : unit;
}

static void chart(FILE *f, const char *title, const timm_epoch *rows, int n, const curve *c, int curves)
{
    double lo = INFINITY, hi = -INFINITY;
    for (int k = 0; k < curves; k++)
        for (int i = 0; i < n; i++) {
            double v = at_epoch(&c[k], &rows[i]);
            lo = isfinite(v) ? fmin(lo, v) : lo;
            hi = isfinite(v) ? fmax(hi, v) : hi;
        }
    if (!(hi >= lo))
        return;
    double range = hi > lo ? hi - lo : fmax(fabs(hi), 1e-9), tick = tick_of(range), most = c->metric && *c->metric->unit ? 100 : INFINITY;
    lo = floor(lo / tick) * tick;
    hi = fmin(ceil(hi / tick) * tick, most);
    if (hi <= lo) {                                      /* a flat curve: room above it, or below where it is all there can be */
        hi = fmin(lo + tick, most);
        lo = fmin(lo, hi - tick);
    }
    fprintf(f, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><text x=\"%d\" y=\"18\" style=\"font-weight:600;fill:#1a2733\">%s</text>\n", W, H,
            LEFT, title);
    for (int k = 0; k <= (int)lround((hi - lo) / tick); k++) {
        double v = lo + k * tick;
        double y = TOP + (hi - v) / (hi - lo) * (H - TOP - BOTTOM);
        fprintf(f, "<path d=\"M%d %.1fH%d\" stroke=\"#eef1f4\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", LEFT, y,
                W - RIGHT, LEFT - 6, y + 4, fabs(v) < tick / 1e6 ? 0 : v);
    }
    fprintf(f, "<text x=\"%d\" y=\"%d\">epoch %" PRId64 "</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%" PRId64 "</text>\n", LEFT,
            H - 8, rows[0].epoch, W - RIGHT, H - 8, rows[n - 1].epoch);
    for (int k = 0, at = W - RIGHT; k < curves; k++) {
        const char *pen = "M";
        fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\" d=\"", c[k].colour);
        for (int i = 0; i < n; i++) {
            double v = at_epoch(&c[k], &rows[i]), x = LEFT + (n > 1 ? (double)i / (n - 1) : .5) * (W - LEFT - RIGHT);
            if (isfinite(v)) {
                fprintf(f, "%s%.1f %.1f", pen, x, TOP + (hi - v) / (hi - lo) * (H - TOP - BOTTOM));
                pen = "L";
            }
        }
        fprintf(f, "h0.01\" stroke-linecap=\"round\"/><text x=\"%d\" y=\"18\" text-anchor=\"end\" style=\"fill:%s\">%s</text>\n", at,
                c[k].colour, c[k].name);
        at -= 12 + 7 * (int)strlen(c[k].name);
    }
    fputs("</svg>\n", f);
}

/* -- confusion ------------------------------------------------------------------------------------------------------------- */

enum { MATRIX_MAX = 40, MISTAKES = 20 };

static void label(FILE *f, const char *const *labels, int n, int i)
{
    if (i < n && labels && labels[i])
        escaped(f, labels[i]);
    else
        fprintf(f, "%d", i);
}

static void matrix(FILE *f, const timm_metrics *m, const char *const *labels, int n)
{
    fputs("<h2>Confusion matrix</h2><p>Rows are the truth, columns the answer.</p><table class=\"m\"><tr><th></th>", f);
    for (int c = 0; c < n; c++) {
        fputs("<th>", f);
        label(f, labels, n, c);
        fputs("</th>", f);
    }
    fputs("</tr>\n", f);
    for (int r = 0; r < n; r++) {
        int64_t row = 0;
        for (int c = 0; c < n; c++)
            row += m->confusion[r * m->classes + c];
        fputs("<tr><th>", f);
        label(f, labels, n, r);
        fputs("</th>", f);
        for (int c = 0; c < n; c++) {
            int64_t v = m->confusion[r * m->classes + c];
            double part = row ? (double)v / (double)row : 0, deep = sqrt(part);
            fprintf(f, "<td style=\"background:rgba(%s,%.3f);color:%s\">%" PRId64 "</td>", r == c ? "38,120,90" : "200,70,50", deep,
                    deep > .6 ? "#fff" : "#1a2733", v);
        }
        fputs("</tr>\n", f);
    }
    fputs("</table>\n", f);
}

typedef struct mistake { int truth, guess; int64_t times; } mistake;
static int by_times(const void *a, const void *b)
{
    const mistake *x = a, *y = b;
    return x->times != y->times ? (x->times < y->times ? 1 : -1) : x->truth != y->truth ? x->truth - y->truth : x->guess - y->guess;
}

/* The commonest, for sets whose matrix would fill a wall. */
static void mistakes(FILE *f, const timm_metrics *m, const char *const *labels, int n)
{
    mistake top[MISTAKES + 1];
    int found = 0;
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) {
            int64_t v = m->confusion[r * m->classes + c];
            if (r == c || !v)
                continue;
            top[found] = (mistake){ r, c, v };
            qsort(top, (size_t)found + 1, sizeof *top, by_times);
            found += found < MISTAKES;
        }
    fputs("<h2>Commonest mistakes</h2><table class=\"o\"><tr><td>truth</td><td>answer</td><td>times</td></tr>\n", f);
    for (int i = 0; i < found; i++) {
        fputs("<tr><td>", f);
        label(f, labels, n, top[i].truth);
        fputs("</td><td>", f);
        label(f, labels, n, top[i].guess);
        fprintf(f, "</td><td>%" PRId64 "</td></tr>\n", top[i].times);
    }
    fputs("</table>\n", f);
}

/* -- the page -------------------------------------------------------------------------------------------------------------- */

static void tile(FILE *f, const char *name, const char *fmt, double value)
{
    if (value != value)
        return;
    fputs("<div class=\"tile\"><b>", f);
    fprintf(f, fmt[0] == 'p' ? "%.2f %%" : fmt[0] == 'i' ? "%.0f" : "%.4g", value);
    fprintf(f, "</b><span>%s</span></div>\n", name);
}

static void options(FILE *f, const train_options *o)
{
    fputs("<h2>Options</h2><p>Those that were set.</p><table class=\"o\">\n", f);
    for (const timm_train_option *t = timm_train_options(); t->help; t++)
        if (t->name && train_given(o, t->name)) {
            fprintf(f, "<tr><td>%s</td><td>", t->name);
            escaped(f, train_text(o, t->name));
            fputs("</td></tr>\n", f);
        }
    fputs("</table>\n", f);
}

/* A chart of per cents, one of errors, one of what is neither. */
static void metric_charts(FILE *f, timm_task task, const timm_epoch *rows, int n)
{
    static const char *const colours[] = { "#26785a", "#8aa39a", "#d0732f", "#6b4fa0" };
    static const char *const titles[] = { "Accuracy, per cent", "Error", "Fit" };
    for (int kind = 0; kind < 3; kind++) {
        curve c[4];
        int curves = 0;
        for (const timm_metric *m = timm_metrics_of(task) + 1; m->name; m++)
            if (kind == (*m->unit ? 0 : m->less_is_better ? 1 : 2))
                c[curves] = (curve){ m->label, colours[curves], NULL, m }, curves++;
        if (curves)
            chart(f, titles[kind], rows, n, c, curves);
    }
}

static void metric_tiles(FILE *f, const timm_metric *m, const timm_epoch *rows, int n)
{
    char name[64];
    double best = NAN, at = NAN;
    for (int i = 0; i < n; i++) {
        double v = rows[i].validated ? task_metric_value(m, &rows[i].eval) : NAN;
        if (v == v && (best != best || (m->less_is_better ? v < best : v > best))) {
            best = v;
            at = (double)rows[i].epoch;
        }
    }
    snprintf(name, sizeof name, "best %s", m->label);
    tile(f, name, *m->unit ? "p" : "g", best);
    tile(f, "in epoch", "i", at);
    snprintf(name, sizeof name, "last %s", m->label);
    tile(f, name, *m->unit ? "p" : "g", n && rows[n - 1].validated ? task_metric_value(m, &rows[n - 1].eval) : NAN);
}

bool write_report(const char *path, const char *title, const train_options *o, const char *model, const timm_epoch *rows, int n,
                  const timm_metrics *last, const char *const *labels, int n_labels, status *st)
{
    static const curve losses[] = { { "train", "#2f6fab", train_loss, NULL }, { "validation", "#d0732f", eval_loss, NULL } };
    static const curve rates[] = { { "rate", "#6b4fa0", rate, NULL } }, speeds[] = { { "images/s", "#51606e", speed, NULL } };
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return status_errno(st, path, "write");
    double images = NAN;
    for (int i = 0; i < n; i++)
        images = rows[i].images_per_second > 0 ? rows[i].images_per_second : images;
    fputs("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>", f);
    escaped(f, title);
    fprintf(f, "</title>\n%s<h1>", style);
    escaped(f, title);
    fputs("</h1><p>", f);
    escaped(f, model);
    fprintf(f, ", %d epoch%s</p>\n<div class=\"tiles\">", n, n == 1 ? "" : "s");
    metric_tiles(f, timm_metrics_of(task_of(o)) + 1, rows, n);
    if (n) {
        tile(f, "training loss", "g", rows[n - 1].train_loss);
        tile(f, "validation loss", "g", eval_loss(&rows[n - 1]));
    }
    tile(f, "images/s", "g", images);
    fputs("</div>\n<div class=\"charts\">\n", f);
    if (n) {
        chart(f, "Loss", rows, n, losses, 2);
        metric_charts(f, task_of(o), rows, n);
        chart(f, "Learning rate", rows, n, rates, 1);
        chart(f, "Throughput", rows, n, speeds, 1);
    }
    fputs("</div>\n", f);
    if (last && last->confusion && n_labels <= MATRIX_MAX)
        matrix(f, last, labels, n_labels);
    else if (last && last->confusion)
        mistakes(f, last, labels, n_labels);
    options(f, o);
    fputs("</html>\n", f);
    bool ok = !fclose(f) && text ? atomic_write_file(path, text, size, st) : status_errno(st, path, "write");
    free(text);
    return ok;
}
