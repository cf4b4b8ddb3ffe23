/* gemm_bf16_test.c - products by the instructions for bfloat16, emulated (bf16_emulated.h) and the processor's own where it has
 * them, against sums in double.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "backend/cpu/gemm.h"
#include "base/half.h"
#include "base/pages.h"
#include "base/random.h"
#include "test.h"

extern const gemm_vec gemm_bf16_emulated_amx, gemm_bf16x3_emulated_amx, gemm_bf16x6_emulated_amx, gemm_bf16_emulated_dot;

static uint64_t drawn;
static double draw(double lo, double hi) { return lo + (hi - lo) * random_uniform(20, ++drawn); }
static int pick(int most) { return 1 + (int)draw(0, most); }

static double half_of(double x) { return bfloat_to_float(float_to_bfloat((float)x)); }

/* Rows of several taps, from rows of one image: tap t of row i begins at x + i * step + t * apart. */
struct taps { const float *x; int64_t step, apart, taps; };
static void rows(const void *ctx, int64_t from, int count, const void **row)
{
    const struct taps *m = ctx;
    for (int64_t t = 0; t < m->taps; t++)
        for (int i = 0; i < count; i++)
            row[t * count + i] = m->x + (from + i) * m->step + t * m->apart;
}

static float *numbers(int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)draw(-2, 2);
    return x;
}

/* One product of any shape; parts: of bfloat16 that an operand is. */
static void product(const gemm_vec *v, const char *name, int parts, int m, int n, int taps, int run, bool turned)
{
    const int k = taps * run, threads = 1 + m % 2;
    struct taps from = { NULL, run + 3, run + 5, taps };
    int64_t image = m * from.step + taps * from.apart;
    float *x = numbers(image), *w = numbers((int64_t)k * n), *y = numbers((int64_t)m * (n + 2)), *r = numbers((int64_t)m * n);
    float *bias = numbers(n), *full = calloc((size_t)n + 64, sizeof *full);
    char *scratch;
    from.x = x;
    x[0] = bias[0] = 1e-41f;                            /* subnormal: may count as zero */
    for (int i = 0; i < n; i++)
        full[i] = bias[i];
    gemm g = { .v = v, .m = m, .n = n, .taps = taps, .run = run, .vecs = gemm_panel(v, m, n, taps, run), .rows = rows, .ctx = &from, .out = y,
               .out_rows = { 1, { m }, { n + 2 } }, .bias = full };
    bool residual = m % 3 == 0, first = m % 2 == 0, clamp = n % 2 == 0;
    if (residual) {
        g.residual = r;
        g.residual_rows = (rowmap){ 1, { m }, { n } };
        g.act_first = first;
    }
    g.f = clamp ? (act){ ACT_CLAMP, 0, 6 } : (act){ n % 3 == 0 ? ACT_SIGMOID : ACT_NONE, 0, 0 };
    float *right = pages_alloc((size_t)gemm_packed(v, k, n) * sizeof *right);
    g.scratch = scratch = pages_alloc(gemm_scratch(v, g.vecs, taps, run, threads));
    v->pack(w, k, n, turned ? 1 : n, turned ? k : 1, g.vecs * v->width, right);
    g.b = right;
    float guard[2] = { y[n], y[n + 1] };
    pool *p = pool_open(threads);
    gemm_run(&g, p);
    pool_close(p);
    CHECK(y[n] == guard[0] && y[n + 1] == guard[1], "%s %dx%dx(%d %d): written beyond a row", name, m, n, taps, run);
    double worst = 0;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0, size = fabs(bias[j]);
            for (int q = 0; q < k; q++) {
                double a = x[i * from.step + q / run * from.apart + q % run], b = turned ? w[j * k + q] : w[q * n + j];
                double prod = parts == 1 ? half_of(a) * half_of(b) : a * b;
                sum += prod;
                size += fabs(prod);
            }
            sum += bias[j];
            if (residual && !first)
                sum += r[i * n + j];
            if (clamp)
                sum = fmin(fmax(sum, 0), 6);
            else if (g.f.kind == ACT_SIGMOID)
                sum = 1 / (1 + exp(-sum));
            if (residual && first)
                sum += r[i * n + j];
            worst = fmax(worst, fabs(sum - y[i * (n + 2) + j]) / (size + 1));
        }
    CHECK(worst <= (parts == 2 ? 2e-5 : 1e-6), "%s %dx%dx(%d %d)%s: off by %.3g", name, m, n, taps, run, turned ? " turned" : "", worst);
    free(x);
    free(w);
    free(y);
    free(r);
    free(bias);
    free(full);
    pages_free(right);
    pages_free(scratch);
}

/* The same of rows of bfloat16 that are read as they lie, of each of which the first `used` numbers count; the others' weights are zeros. */
static void as_they_lie(const gemm_vec *v, const char *name, int m, int n, int run, int used)
{
    static const int64_t none = 0;
    const int64_t size = sizeof(uint16_t);
    uint16_t *x = calloc((size_t)((m + 32) * run), sizeof *x);
    float *w = numbers((int64_t)run * n), *y = numbers((int64_t)m * n), *right = pages_alloc((size_t)gemm_packed(v, run, n) * sizeof *right);
    double worst = 0;
    for (int64_t i = 0; i < (int64_t)m * run; i++)
        x[i] = float_to_bfloat((float)draw(-2, 2));
    for (int64_t i = (int64_t)used * n; i < (int64_t)run * n; i++)
        w[i] = 0;
    struct gemm_rows lines = { x, run, TG_BFLOAT };
    gemm g = { .v = v, .m = m, .n = n, .taps = 1, .run = run, .used = used, .vecs = gemm_panel(v, m, n, 1, run), .of = TG_BFLOAT, .rows = gemm_rows,
               .ctx = &lines, .direct = x, .tap = &none, .pitch = run * size, .line_rows = m, .b = right, .out = y, .out_rows = { 1, { m }, { n } } };
    v->pack(w, run, n, n, 1, g.vecs * v->width, right);
    g.scratch = pages_alloc(gemm_scratch(v, g.vecs, 1, run, 2));
    pool *p = pool_open(2);
    gemm_run(&g, p);
    pool_close(p);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0, all = 1;
            for (int q = 0; q < used; q++) {
                const double prod = (double)bfloat_to_float(x[i * run + q]) * half_of(w[q * n + j]);
                sum += prod;
                all += fabs(prod);
            }
            worst = fmax(worst, fabs(sum - y[i * n + j]) / all);
        }
    CHECK(worst <= 1e-6, "%s %dx%dx%d, %d of them used: off by %.3g", name, m, n, run, used, worst);
    free(x);
    free(w);
    free(y);
    pages_free(right);
    pages_free(g.scratch);
}

struct kind { const gemm_vec *v; const char *name; int parts; };
static const struct kind emulated[] = {
    { &gemm_bf16_emulated_amx, "AMX", 1 }, { &gemm_bf16x3_emulated_amx, "AMX x3", 2 }, { &gemm_bf16x6_emulated_amx, "AMX x6", 3 },
    { &gemm_bf16_emulated_dot, "AVX512-BF16", 1 },
};
#ifdef TIMM_BF16
static const struct kind real[] = {
    { &gemm_bf16_amx, "this AMX", 1 }, { &gemm_bf16x3_amx, "this AMX x3", 2 }, { &gemm_bf16x6_amx, "this AMX x6", 3 },
    { &gemm_bf16_dot, "this AVX512-BF16", 1 },
};
#endif

static void check_kinds(const struct kind *kinds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int c = 0; c < 60; c++)
            product(kinds[i].v, kinds[i].name, kinds[i].parts, pick(c % 3 ? 70 : 4), pick(c % 4 ? 70 : 20), c % 5 ? 1 : pick(9), pick(c % 2 ? 40 : 110),
                    c % 2 == 0);
        product(kinds[i].v, kinds[i].name, kinds[i].parts, 300, 33, 9, 40, false);      /* several blocks */
        product(kinds[i].v, kinds[i].name, kinds[i].parts, 64, 64, 1, 64, true);
        product(kinds[i].v, kinds[i].name, kinds[i].parts, 1, 1, 1, 1, true);
        for (int c = 0; c < 20 && kinds[i].parts == 1; c++) {
            const int grain = kinds[i].v->grain, run = grain * pick(150 / grain);
            as_they_lie(kinds[i].v, kinds[i].name, pick(c % 2 ? 70 : 9), pick(70), run, c % 3 ? run : pick(run));
        }
    }
}

TEST(bf16_instructions_multiply)
{
    check_kinds(emulated, sizeof emulated / sizeof *emulated);
}

TEST(bf16_instructions_of_this_processor_multiply)
{
#ifdef TIMM_BF16
    if (cpu()->amx)
        check_kinds(real, 3);
    if (cpu()->bf16)
        check_kinds(real + 3, 1);
    if (cpu()->amx || cpu()->bf16)
        return;
#endif
    test_skip("this processor has neither AMX nor AVX512-BF16");
}

/* What is no number, and infinities, come out as such; of more than one part an infinity may come out as no number. */
TEST(bf16_instructions_keep_what_is_no_number)
{
    const gemm_vec *kinds[] = { &gemm_bf16_emulated_amx, &gemm_bf16_emulated_dot, &gemm_bf16x3_emulated_amx, &gemm_bf16x6_emulated_amx };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const gemm_vec *v = kinds[i];
        float x[3][5] = { { 1, NAN, 1, 1, 1 }, { 1, INFINITY, 1, 1, 1 }, { 1, 2, 3, 4, 5 } }, w[5] = { 1, 1, 1, 1, 1 }, y[3];
        struct gemm_rows from = { x[0], 5, TG_F32 };
        float *right = pages_alloc((size_t)gemm_packed(v, 5, 1) * sizeof *right);
        gemm g = { .v = v, .m = 3, .n = 1, .taps = 1, .run = 5, .vecs = gemm_panel(v, 3, 1, 1, 5), .b = right, .rows = gemm_rows, .ctx = &from,
                   .out = y, .out_rows = { 1, { 3 }, { 1 } } };
        char *place = pages_alloc(gemm_scratch(v, g.vecs, 1, 5, 1));
        v->pack(w, 5, 1, 1, 1, g.vecs * v->width, right);
        gemm_part(&g, 0, 3, 0, 1, place);
        CHECK(isnan(y[0]) && (y[1] == INFINITY || (i > 1 && isnan(y[1]))) && y[2] == 15, "%g %g %g", (double)y[0], (double)y[1], (double)y[2]);
        pages_free(right);
        pages_free(place);
    }
}

/* Rows so long that they are multiplied in pieces: dealt out to threads or not, the same bytes. */
static void long_rows(const gemm_vec *v)
{
    enum { M = 19, N = 17, K = 2200 };
    float *x = numbers(M * K), *w = numbers(K * N), *y = numbers(2 * M * N);
    struct gemm_rows from = { x, K, TG_F32 };
    gemm g = { .v = v, .m = M, .n = N, .taps = 1, .run = K, .vecs = gemm_panel(v, M, N, 1, K), .rows = gemm_rows, .ctx = &from, .out = y,
               .out_rows = { 1, { M }, { N } }, .f = { ACT_CLAMP, 0, INFINITY } };
    float *right = pages_alloc((size_t)gemm_packed(v, K, N) * sizeof *right);
    char *scratch = pages_alloc(gemm_scratch(v, g.vecs, 1, K, 3));
    v->pack(w, K, N, N, 1, g.vecs * v->width, right);
    g.b = right;
    g.scratch = scratch;
    pool *p = pool_open(3);
    gemm_run(&g, p);
    pool_close(p);
    g.out = y + M * N;
    gemm_part(&g, 0, M, 0, (N + g.vecs * v->width - 1) / (g.vecs * v->width), scratch);
    CHECK(!memcmp(y, y + M * N, M * N * sizeof *y), "%d bytes a number: other bytes", v->bytes);
    free(x);
    free(w);
    free(y);
    pages_free(right);
    pages_free(scratch);
}

TEST(bf16_long_rows_give_the_same_on_one_thread)
{
    long_rows(&gemm_bf16x3_emulated_amx);
    long_rows(&gemm_bf16x6_emulated_amx);
}

/* Functions and their slopes, from their definitions, as exact as a result of bfloat16 tells: within half of its last bit, of 1 or of itself. */
TEST(functions_of_narrow_maps)
{
    enum { N = 6001 };
    static const struct { const char *op; act_kind kind; } functions[] = {
        { "sigmoid", ACT_SIGMOID }, { "silu", ACT_SILU }, { "quick_gelu", ACT_QUICK_GELU }, { "gelu", ACT_GELU }, { "gelu_tanh", ACT_GELU_TANH },
        { "silu_slope", ACT_SILU_SLOPE }, { "gelu_slope", ACT_GELU_SLOPE },
    };
    static float x[N], y[N];
    const gemm_vec *ways[] = { &gemm_bf16_emulated_dot, gemm_narrow(TG_BF16) ? gemm_for(TG_BF16) : NULL };
    for (int i = 0; i < N; i++)
        x[i] = (float)(i - N / 2) / 100;
    for (size_t k = 0; k < 2 * sizeof functions / sizeof *functions; k++) {
        const gemm_vec *v = ways[k % 2];
        const tg_op *op = tg_find_op(functions[k / 2].op);
        double most = 0, at = 0;
        if (!v)
            continue;
        CHECK(op && v->quick((act){ functions[k / 2].kind, 0, 0 }, x, y, N), "%s", functions[k / 2].op);
        for (int i = 0; op && i < N; i++) {
            const double is = op->scalar(x[i], NULL), off = fabs(y[i] - is) / fmax(1, fabs(is));
            if (!(off <= most))
                most = off, at = x[i];
        }
        CHECK(most <= 1. / 512, "%s: off by %g at %g", functions[k / 2].op, most, at);
    }
    CHECK(!gemm_bf16_emulated_dot.quick((act){ ACT_CLAMP, 0, 6 }, x, y, N), "clamps are left to others");
}
