/* bf16.c - which instructions do products of rounded operands here.
 *
 * Those of AMX and AVX512-BF16 are tried once, on a small product whose sums are exact, and left alone if it comes out wrong.
 * Without them products are in single precision, which is more exact, and faster than to round their operands first.  bf16x3 and
 * bf16x6 are worth their products with AMX alone.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include "backend/backend.h"
#include "base/pages.h"
#include "gemm.h"

#ifdef TIMM_BF16
enum { M = 45, N = 41, K = 75 };

static int whole(int i, int j, int most) { return (i * 37 + j * 61 + i * j * 7) % (2 * most + 1) - most; }

/* Whole numbers up to `most` times `left` and `right`: so that they are exact in as many bfloat16 numbers as v takes, and so are all sums. */
static bool multiplies(const gemm_vec *v, int most, float left, float right)
{
    const int64_t room = gemm_packed(v, K, N);
    float *a = calloc((size_t)(M * K + K * N + M * N), sizeof *a), *b = a + M * K, *y = b + K * N;
    float *pack = pages_alloc((size_t)room * sizeof *pack);
    struct gemm_rows rows = { a, K, TG_F32 };
    gemm g = { .v = v, .m = M, .n = N, .taps = 1, .run = K, .vecs = gemm_panel(v, M, N, 1, K), .b = pack, .rows = gemm_rows, .ctx = &rows,
               .out = y, .out_rows = { 1, { M }, { N } } };
    char *place = pages_alloc(gemm_scratch(v, g.vecs, 1, K, 1));
    bool ok = a && pack && place;
    for (int i = 0; ok && i < M * K; i++)
        a[i] = (float)whole(i / K, i % K, most) * left;
    for (int i = 0; ok && i < K * N; i++)
        b[i] = (float)whole(i % N, i / N + 1, most) * right;
    if (ok) {
        v->pack(b, K, N, N, 1, g.vecs * v->width, pack);
        gemm_part(&g, 0, M, 0, (N + g.vecs * v->width - 1) / (g.vecs * v->width), place);
    }
    for (int i = 0; ok && i < M * N; i++) {
        int sum = 0;
        for (int k = 0; k < K; k++)
            sum += whole(i / N, k, most) * whole(i % N, k + 1, most);
        ok = y[i] == (float)sum * left * right;
    }
    free(a);
    pages_free(pack);
    pages_free(place);
    return ok;
}
#endif

static const gemm_vec *table[TG_PRECISIONS];
static const char *how;

static void choose(void)
{
    table[TG_FP32] = table[TG_BF16X6] = table[TG_BF16X3] = table[TG_BF16] = VEC_PICK(gemm_vec);
    how = "in single precision: there are no instructions for them";
#ifdef TIMM_BF16
    const cpu_info *c = cpu();
    const float fine = 257.f / 256, finest = 65793.f / 65536;           /* of two parts, and of three */
    bool amx = c->amx && multiplies(&gemm_bf16_amx, 7, 1, 1) && multiplies(&gemm_bf16x3_amx, 7, fine, 1) && multiplies(&gemm_bf16x3_amx, 7, 1, fine)
               && multiplies(&gemm_bf16x6_amx, 1, finest, 1) && multiplies(&gemm_bf16x6_amx, 1, 1, finest);
    if (amx) {
        table[TG_BF16X6] = &gemm_bf16x6_amx;
        table[TG_BF16X3] = &gemm_bf16x3_amx;
        table[TG_BF16] = &gemm_bf16_amx;
        how = "AMX";
    } else if (c->bf16 && multiplies(&gemm_bf16_dot, 7, 1, 1)) {
        table[TG_BF16] = &gemm_bf16_dot;
        how = c->amx ? "AVX512-BF16; AMX is left alone: it multiplied wrong when tried" : "AVX512-BF16";
    } else if (c->amx || c->bf16) {
        how = "in single precision; the processor's own products came out wrong when tried";
    }
#endif
}

static void chosen(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
}

const gemm_vec *gemm_for(tg_precision p)
{
    chosen();
    return table[p];
}

const gemm_vec *gemm_exchange(tg_precision p, const gemm_vec *v)
{
    const gemm_vec *was = gemm_for(p);
    table[p] = v;
    return was;
}

bool gemm_packs(tg_precision p) { return gemm_for(p)->any != NULL; }
bool gemm_whole(tg_precision p) { return p == TG_BF16X6 && gemm_packs(p); }
bool gemm_narrow(tg_precision p) { return p == TG_BF16 && gemm_packs(p); }

const char *cpu_bf16(void)
{
    chosen();
    return how;
}
