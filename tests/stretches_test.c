/* stretches_test.c - layers that run some images of a batch at a time, and others another number of them, give what all at once give. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "api/model.h"
#include "backend/cpu/gemm.h"
#include "figures.h"
#include "ops/op.h"
#include "test.h"
#include "timm/timm.h"

extern const gemm_vec gemm_bf16_emulated_dot;

enum { BATCH = 5, SIDE = 8, WIDE = 32, CLASSES = 7, CUTS = 4 };

static tg *numbers(tg_graph *g, tg_shape s, double step)
{
    static float v[WIDE * WIDE * 9];
    for (int64_t i = 0; i < tg_numel(s); i++)
        v[i] = (float)sin((double)(i + 1) * step) * .1f;
    return tg_constant(g, s, v);
}

/* Maps; tokens, from wider ones that would fill the place of the maps; logits, which the last step might write over; and what is only another view of
 * them. */
static tg *network(tg_graph *g, int64_t images, tg **cut)
{
    tg *x = tg_input(g, 0, SHAPE(images, 3, SIDE, SIDE));
    cut[0] = tg_conv2d(x, numbers(g, SHAPE(WIDE, 3, 3, 3), .37), NULL, (tg_conv){ .pad = { 1, 1, 1, 1 } });
    x = tg_conv2d(tg_relu(cut[0]), numbers(g, SHAPE(WIDE, WIDE, 3, 3), .11), NULL, (tg_conv){ .stride = 2, .pad = { 1, 1, 1, 1 } });
    x = tg_add(x, tg_conv2d(cut[0], numbers(g, SHAPE(WIDE, WIDE, 1, 1), .13), NULL, (tg_conv){ .stride = 2 }));
    x = tg_linear(tg_rearrange(x, "b c h w -> b (h w) c", NULL, 0), numbers(g, SHAPE(8 * WIDE, WIDE), .7), NULL);
    cut[1] = tg_slice(tg_linear(tg_silu(x), numbers(g, SHAPE(WIDE, 8 * WIDE), .9), NULL), 1, 1, SIDE * SIDE / 4);
    x = tg_add(tg_linear(tg_silu(cut[1]), numbers(g, SHAPE(WIDE, WIDE), .3), NULL), cut[1]);
    cut[2] = tg_linear(tg_reshape(tg_slice(x, 1, 0, 1), SHAPE(images, WIDE)), numbers(g, SHAPE(CLASSES, WIDE), .5), NULL);
    cut[3] = tg_exp(tg_affine(cut[2], 10, 1));
    return tg_reshape(cut[3], SHAPE(images, CLASSES, 1));
}

/* images[k] at a time in stretch k; one stretch of all: {0}. */
static void logits(const int64_t *images, int stretches, tg_precision precision, const char *backend, float *out)
{
    static float x[BATCH * 3 * SIDE * SIDE];
    status st = { 0 };
    tg_graph *g[CUTS + 1];
    tg *cut[CUTS + 1][CUTS], *end[CUTS + 1];
    plan_stretch s[CUTS + 1];
    pool *threads = pool_open(2);
    for (int i = 0; i < BATCH * 3 * SIDE * SIDE; i++)
        x[i] = (float)sin(i * .17);
    for (int k = 0; k < stretches; k++) {
        g[k] = tg_graph_new(&st);
        end[k] = network(g[k], images[k] ? images[k] : BATCH, cut[k]);
        if (k)
            tg_begin(cut[k][k - 1], 0);
        s[k] = (plan_stretch){ .graph = g[k], .outputs = k < stretches - 1 ? &cut[k][k] : &end[k], .n_outputs = 1, .images = images[k] };
    }
    plan *p = plan_make_of(s, stretches, &(plan_opts){ .backends = tg_backends(backend), .pool = threads, .precision = precision, .batch = BATCH }, &st);
    CHECK(p && plan_stretches(p) == stretches, "%s", st.text);
    for (int again = 0; p && again < 2; again++)
        plan_run(p, (const float *const[]){ x });
    if (p && tg_same(plan_output(p, 0)->shape, SHAPE(BATCH, CLASSES, 1)))
        memcpy(out, plan_output(p, 0)->data, BATCH * CLASSES * sizeof *out);
    plan_free(p);
    for (int k = 0; k < stretches; k++)
        tg_graph_free(g[k]);
    pool_close(threads);
}

TEST(stretches_give_what_all_images_at_once_give)
{
    static const int64_t courses[][CUTS + 1] = { { 1, 2, 5, 2, 1 }, { 5, 3, 1, 5, 5 }, { 2, 2, 2, 2, 2 }, { 5, 5, 5, 5, 2 }, { 1, 3, 4, 3, 4 } };
    static const char *const backends[] = { "ref", "cpu", "auto" };
    const gemm_vec *was = gemm_exchange(TG_BF16, &gemm_bf16_emulated_dot);
    for (int narrow = 0; narrow < 2; narrow++)
        for (int b = 0; b < 3; b++) {
            const tg_precision precision = narrow ? TG_BF16 : TG_FP32;
            float want[BATCH * CLASSES], got[BATCH * CLASSES];
            double most = 0, off = 0;
            logits((const int64_t[]){ 0 }, 1, precision, backends[b], want);
            for (size_t c = 0; c < sizeof courses / sizeof *courses; c++) {
                memset(got, 0, sizeof got);
                logits(courses[c], CUTS + 1, precision, backends[b], got);
                for (int i = 0; i < BATCH * CLASSES; i++) {
                    most = fmax(most, fabs((double)want[i]));
                    off = fmax(off, fabs((double)want[i] - (double)got[i]));
                }
            }
            CHECK(most > 0 && off <= (narrow ? 1e-2 : 1e-5) * most, "%s, %s: %g off, of %g", backends[b], plan_precisions[precision], off, most);
        }
    gemm_exchange(TG_BF16, was);
}

/* What a network's stages are run with: more images where maps are smaller, one number where they never change. */
TEST(stretches_of_networks)
{
    static const struct { const char *name; int least; } nets[] = { { "resnet18", 2 }, { "convnext_tiny", 2 }, { "mobilenetv3_large_100", 2 }, { "vit_tiny_patch16_224", 1 } };
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = 2, .tuning = TIMM_TUNE_NEVER, .backend = "cpu" });
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        timm_model *m = timm_create(ctx, nets[i].name, NULL);
        plan *p = m ? model_sketch(m, PART_FORWARD, SHAPE(16, 3, 224, 224)) : NULL;
        REQUIRE(p, "%s", timm_message(ctx));
        const int n = plan_stretches(p);
        CHECK(nets[i].least == 1 ? n == 1 : n >= nets[i].least, "%s: %d stretches", nets[i].name, n);
        for (int k = 1; k < n; k++) {
            const plan_stretch_told before = plan_stretch_tell(p, k - 1), s = plan_stretch_tell(p, k);
            CHECK(s.first == before.last && s.images > before.images && s.images <= 16, "%s, stretch %d: %lld images after %lld", nets[i].name, k,
                  (long long)s.images, (long long)before.images);
        }
        plan_free(p);
        timm_free(m);
    }
    timm_close(ctx);
}
