/* tune.c - the table of measured choices, and the measuring. */
#include "plan/tune.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/cpu.h"
#include "base/room.h"
#include "ops/op.h"
#include "plan_in.h"

enum { LINES = 1 << 16, ROUNDS = 12 };
static const double patience = 0.05;        /* seconds for the rounds of one call */
static const double bandwidth = 40e3;       /* bytes a microsecond that neighbours move, or that weights come with from memory */

typedef struct line { uint64_t hash; char *call, *kernel; } line;      /* one block, at call */
struct tune {
    char *machine;
    bool measure;
    line *line;
    int lines, room, measured;
    double seconds;
};

static uint64_t hash_of(const char *s, size_t n)
{
    uint64_t h = UINT64_C(14695981039346656037);                       /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(1099511628211);
    return h;
}

tune *tune_open(const char *machine, bool measure)
{
    tune *t = calloc(1, sizeof *t);
    if (t && !(t->machine = strdup(machine))) {
        free(t);
        return NULL;
    }
    if (t)
        t->measure = measure;
    return t;
}

void tune_close(tune *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->lines; i++)
        free(t->line[i].call);
    free(t->line);
    free(t->machine);
    free(t);
}

bool tune_measures(const tune *t) { return t->measure; }

int tune_measured(tune *t, double *seconds)
{
    int n = t->measured;
    *seconds = t->seconds;
    t->measured = 0;
    t->seconds = 0;
    return n;
}

static line *find(const tune *t, const char *call, size_t n)
{
    uint64_t h = hash_of(call, n);
    for (int i = 0; i < t->lines; i++)
        if (t->line[i].hash == h && !strncmp(t->line[i].call, call, n) && !t->line[i].call[n])
            return &t->line[i];
    return NULL;
}

const char *tune_find(const tune *t, const char *call)
{
    const line *l = find(t, call, strlen(call));
    return l ? l->kernel : NULL;
}

static char *line_text(const char *call, size_t n, const char *kernel, size_t m)
{
    char *text = malloc(n + m + 2);
    if (!text)
        return NULL;
    memcpy(text, call, n);
    memcpy(text + n + 1, kernel, m);
    text[n] = text[n + m + 1] = 0;
    return text;
}

static bool add(tune *t, const char *call, size_t n, const char *kernel, size_t m)
{
    if (t->lines == LINES || find(t, call, n))
        return true;
    if (t->lines == t->room) {
        int room = t->room ? 2 * t->room : 64;
        line *more = realloc(t->line, (size_t)room * sizeof *more);
        if (!more)
            return false;
        t->line = more;
        t->room = room;
    }
    char *text = line_text(call, n, kernel, m);
    if (!text)
        return false;
    t->line[t->lines++] = (line){ hash_of(call, n), text, text + n + 1 };
    return true;
}

bool tune_add(tune *t, const char *call, const char *kernel)
{
    size_t n = strlen(call);
    line *old = find(t, call, n);
    if (!old)
        return add(t, call, n, kernel, strlen(kernel));
    char *text = line_text(call, n, kernel, strlen(kernel));
    if (!text)
        return false;
    free(old->call);
    *old = (line){ old->hash, text, text + n + 1 };
    return true;
}

double tune_spent(const tune *t) { return t->seconds; }

bool tune_found(tune *t, const char *call, const char *found, double spent)
{
    t->measured++;
    t->seconds = spent;
    return tune_add(t, call, found);
}

bool tune_parse(tune *t, const char *text, size_t size)
{
    const char *end = text + size;
    size_t head = strlen(TUNE_TITLE), name = strlen(t->machine);
    if (size < head + name + 1 || memcmp(text, TUNE_TITLE, head) || memcmp(text + head, t->machine, name) || text[head + name] != '\n'
        || memchr(text, 0, size))
        return false;
    for (const char *at = text + head + name + 1; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at)), *tab = stop ? memchr(at, '\t', (size_t)(stop - at)) : NULL;
        if (tab && tab > at && stop - tab - 1 < TUNE_CALL && !add(t, tab + 1, (size_t)(stop - tab - 1), at, (size_t)(tab - at)))
            return false;
        at = stop ? stop + 1 : end;
    }
    return true;
}

char *tune_text(const tune *t, size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (!f)
        return NULL;
    fprintf(f, "%s%s\n", TUNE_TITLE, t->machine);
    for (int i = 0; i < t->lines; i++)
        fprintf(f, "%s\t%s\n", t->line[i].kernel, t->line[i].call);
    if (!fclose(f))
        return text;
    free(text);
    return NULL;
}

/* " c64x32x3x3": a constant; " 8x64x56x56/200704,1,3584,64": with strides. */
static void tensor_text(const tg_tensor *t, FILE *f)
{
    fputs(t->constant ? " c" : " ", f);
    for (int i = 0; i < t->shape.rank; i++)
        fprintf(f, i ? "x%lld" : "%lld", (long long)t->shape.dim[i]);
    for (int i = 0; i < t->shape.rank && !t->constant; i++)
        fprintf(f, "%c%lld", i ? ',' : '/', (long long)t->stride[i]);
}

bool tune_call(const tg_call *c, char text[TUNE_CALL])
{
    char about[200] = "";
    FILE *f = fmemopen(text, TUNE_CALL, "w");
    if (!f)
        return false;
    if (c->op->describe && c->attr)
        c->op->describe(c->attr, about, sizeof about);
    fprintf(f, "%s %s [%s] %d threads", c->op->name, plan_precisions[c->precision], about, pool_threads(c->pool));
    for (int k = 0; k < c->n_in; k++)
        tensor_text(&c->in[k], f);
    fputs(" =", f);
    tensor_text(&c->out, f);
    long length = ftell(f);
    return !fclose(f) && length > 0 && length < TUNE_CALL - 1;
}

/* -- measuring ------------------------------------------------------------------------------------------------------------- */

double tune_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t numbers(const tg_tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->shape.rank; i++)
        n += (size_t)((t->shape.dim[i] - 1) * t->stride[i]);
    return n;
}

static float *made_up(const tg_tensor *t)
{
    size_t n = numbers(t);
    float *x = room_alloc(n * sizeof *x);
    for (size_t i = 0; x && i < n; i++) {               /* both halves of a number are that number, nearly, as bfloat16 */
        x[i] = (float)((int)(i * 7919 % 2001) - 1000) * 1e-3f;
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits = (bits & 0xffff0000) | bits >> 16;
        memcpy(&x[i], &bits, sizeof bits);
    }
    return x;
}

/* The call of kernel k of `of`, once; its time. */
static unsigned narrow_of(tg_call c, const choice *of)
{
    c.precision = of->precision;
    c.state = of->prep.state;
    return c.precision == TG_BF16 && of->kernel->narrow ? of->kernel->narrow(&c) : 0;
}

/* Between two calls of a kernel a network reads other weights and writes the operands: what there is in each thread's cache. */
typedef struct meanwhile { const tg_call *c; const char *other; size_t bytes; volatile char *last; } meanwhile;

static char touch(const char *x, size_t bytes)
{
    char sum = 0;
    for (size_t i = 0; i < bytes; i += 64)
        sum = (char)(sum + x[i]);
    return sum;
}

static void other_things(void *arg, int64_t from, int64_t to)
{
    const meanwhile *m = arg;
    for (int64_t i = from; i < to; i++) {
        char sum = touch(m->other, m->bytes);
        for (int k = 0; k < m->c->n_in; k++)
            if (!m->c->in[k].constant) {
                const size_t part = numbers(&m->c->in[k]) * (size_t)tg_size(m->c->in[k].dtype) / (size_t)pool_threads(m->c->pool);
                sum = (char)(sum + touch((const char *)m->c->in[k].data + part * (size_t)i, part));
            }
        *m->last = sum;
    }
}

/* Threads of others' are asleep when a call of theirs begins, as they are between ours; this pool's are awake. */
static void between(const tg_call *c, const char *other, size_t bytes)
{
    char last;
    meanwhile m = { c, other, bytes, &last };
    nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
    pool_run(c->pool, pool_threads(c->pool), 1, other_things, &m);
}

/* What kernels are timed with. */
typedef struct bench { tg_call call; void *scratch; char *other; size_t bytes; } bench;

/* In memory as narrow as the kernel can take. */
static double once(const bench *b, const choice *of)
{
    tg_call c = b->call;
    const unsigned narrow = narrow_of(c, of);
    tg_tensor operand[64];
    memcpy(operand, c.in, (size_t)c.n_in * sizeof *operand);
    for (int k = 0; k < c.n_in; k++)
        operand[k].dtype = k < NARROW_OPERANDS && narrow >> k & 1 && !operand[k].constant ? TG_BFLOAT : TG_F32;
    c.out.dtype = narrow & (NARROW_RESULT | NARROW_SUM) ? TG_BFLOAT : TG_F32;
    c.in = operand;
    c.precision = of->precision;
    c.state = of->prep.state;
    c.scratch = b->scratch;
    between(&c, b->other, b->bytes);
    double t = tune_clock();
    of->kernel->run(&c);
    return tune_clock() - t;
}

/* What it costs the neighbours, in microseconds, that this kernel holds floats where `first` holds bfloat16. */
static double wider(const tg_call *c, const choice *first, const choice *of)
{
    const unsigned more = narrow_of(*c, first) & ~narrow_of(*c, of);
    size_t n = more & (NARROW_RESULT | NARROW_SUM) ? numbers(&c->out) : 0;
    for (int k = 0; k < c->n_in && k < NARROW_OPERANDS; k++)
        n += more >> k & 1 && !c->in[k].constant ? numbers(&c->in[k]) : 0;
    return (double)(n * (sizeof(float) - sizeof(uint16_t))) / bandwidth;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Long enough for the system to give each thread a core of its own. */
static void work_a_while(void *arg, int64_t from, int64_t to)
{
    (void)arg;
    for (double until = tune_clock() + .02 * (double)(to - from); tune_clock() < until;)
        ;
}

/* us[i] becomes what is passed by three runs of four of kernel i, if that is less: others disturb, and nobody helps. */
static void time_all(const bench *b, const choice *of, int n, double (*took)[ROUNDS], double *us)
{
    for (int i = 0; i < n; i++)
        once(b, &of[i]);                                                /* the first run is slow for all */
    const double from = tune_clock();
    int rounds = 0;
    for (; rounds < ROUNDS && (rounds < 2 || tune_clock() - from < patience); rounds++)
        for (int i = 0; i < n; i++)
            took[i][rounds] = 1e6 * once(b, &of[i]);
    for (int i = 0; i < n; i++) {
        qsort(took[i], (size_t)rounds, sizeof *took[i], by_size);
        if (took[i][(rounds - 1) / 4] < us[i])
            us[i] = took[i][(rounds - 1) / 4];
    }
}

/* Weights come from memory in a network, and from L3 at best where one kernel is run again and again. */
static double weights(const choice *of) { return (double)of->prep.state_bytes / bandwidth; }

static int fastest(const tg_call *c, const choice *of, int n, const double *us)
{
    int best = 0;
    double least = TUNE_CLEARLY * (us[0] + weights(&of[0]));
    for (int i = 1; i < n; i++) {
        const double all = us[i] + weights(&of[i]) + wider(c, &of[0], &of[i]);
        if (all < least)
            least = all, best = i;
    }
    return best;
}

int tune_fastest(tune *t, const tg_call *c, const choice *of, int n, double *us)
{
    tg_tensor operand[64];
    bench b = { .call = *c, .bytes = cpu()->l2 + cpu()->l2 / 4 };
    size_t scratch = 64;
    double start = tune_clock(), (*took)[ROUNDS] = malloc((size_t)n * sizeof *took);
    bool ok = took != NULL;
    for (int i = 0; i < n; i++) {
        scratch = of[i].prep.scratch > scratch ? of[i].prep.scratch : scratch;
        us[i] = INFINITY;
    }
    for (int k = 0; k < c->n_in; k++) {
        operand[k] = c->in[k];
        ok = (c->in[k].constant || (operand[k].data = made_up(&c->in[k]))) && ok;
    }
    b.call.in = operand;
    b.call.out.data = made_up(&c->out);
    b.other = room_alloc(b.bytes);
    b.scratch = room_alloc(scratch);
    int best = -1;
    if (ok && b.call.out.data && b.scratch && b.other) {
        memset(b.other, 1, b.bytes);
        time_all(&b, of, n, took, us);
        best = fastest(&b.call, of, n, us);
        if (best) {                                     /* a rule is not given up for one bad moment: threads that shared a core, say */
            pool_run(c->pool, pool_threads(c->pool), 1, work_a_while, NULL);
            time_all(&b, of, n, took, us);
            best = fastest(&b.call, of, n, us);
        }
        t->measured++;
    }
    room_free(b.other);
    room_free(b.scratch);
    room_free(b.call.out.data);
    for (int k = 0; k < c->n_in; k++)
        if (!c->in[k].constant)
            room_free(operand[k].data);
    free(took);
    t->seconds += tune_clock() - start;
    return best;
}
