/* drop_test.c - what training leaves out: rates against timm's modules, masks by their statistics. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "api/model.h"
#include "base/random.h"
#include "interpret.h"
#include "jsonl.h"
#include "ops/op.h"
#include "test.h"
#include "timm/train.h"

/* -- rates --------------------------------------------------------------------------------------------------------------------- */

static float rate(const json_t *golden, const char *key)
{
    return (float)json_number_value(json_object_get(json_object_get(golden, "options"), key));
}

/* What a random node does, in the terms of the data: a rate, a centre's chance (drop block), or tokens that stay. */
static double said(const tg *x)
{
    const bernoulli_attr *a = x->attr;
    if (!strcmp(x->op->name, "sample"))
        return (double)tg_dim(x, 1);
    return a->value == 1 ? a->chance : 1 - a->chance;
}

static void compare_rates(const json_t *golden, nn_build *b)
{
    const json_t *rates = json_object_get(golden, "rates");
    const char *model = jsonl_text(golden, "model");
    size_t found = 0;
    for (int i = 0; i < b->graph->count; i++) {
        const tg *x = b->graph->node[i];
        if (strcmp(x->op->name, "bernoulli") && strcmp(x->op->name, "sample"))
            continue;
        const json_t *want = json_object_get(rates, x->where);
        double w = json_number_value(want);
        CHECK(want && fabs(said(x) - w) <= 2e-6 * fmax(w, .1), "%s: %s drops %.7g, not %.7g", model, x->where, said(x), w);
        found++;
    }
    CHECK(found == json_object_size(rates), "%s: %zu random layers, not %zu", model, found, json_object_size(rates));
}

static void train_graph(timm_ctx *ctx, const json_t *golden)
{
    int64_t size = (int64_t)jsonl_number(golden, "size");
    timm_model *m = timm_create(ctx, jsonl_text(golden, "model"), &(timm_model_opts){
        .drop_rate = rate(golden, "drop_rate"), .drop_path = rate(golden, "drop_path"), .drop_block = rate(golden, "drop_block"),
        .proj_drop = rate(golden, "proj_drop"), .attn_drop = rate(golden, "attn_drop"), .pos_drop = rate(golden, "pos_drop"),
        .patch_drop = rate(golden, "patch_drop"), .img_size = { size, size } });
    nn_build b;
    REQUIRE(m && nn_build_open(&b, m->w->store, m->family, &m->opts, &m->ctx->st), "%s", timm_message(ctx));
    for (int training = 0; training < 2; training++) {
        if (training)
            nn_build_train(&b);
        tg *x = m->family->body(nn_root(&b), tg_input(b.graph, 0, SHAPE(2, 3, size, size)), m->variant);
        m->family->head(nn_root(&b), x, m->variant, m->head);
        CHECK(training || !b.key, "%s: inference is random", jsonl_text(golden, "model"));
    }
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    compare_rates(golden, &b);
    nn_build_close(&b);
    timm_free(m);
}

TEST(drop_rates_as_timm)
{
    jsonl lines;
    int models = 0;
    REQUIRE(jsonl_open(&lines, test_data("data/drop_rates.jsonl.xz")), "no data");
    for (json_t *golden; (golden = jsonl_next(&lines)); json_decref(golden), models++) {
        timm_ctx *ctx = timm_open(NULL);
        train_graph(ctx, golden);
        timm_close(ctx);
    }
    jsonl_close(&lines);
    CHECK(models == 31, "%d models", models);
}

TEST(drop_rates_of_one_are_refused)
{
    timm_ctx *ctx = timm_open(NULL);
    CHECK(!timm_create(ctx, "test_vit", &(timm_model_opts){ .attn_drop = 1 }), "attn_drop 1 is accepted");
    CHECK(!strcmp(timm_message(ctx), "attn_drop is 1; a rate must be below 1"), "%s", timm_message(ctx));
    timm_close(ctx);
}

/* -- masks --------------------------------------------------------------------------------------------------------------------- */

enum { MOST = 200000 };
typedef struct site { status st; nn_build b; nn_scope s; tg *ones; double *input[3], key[NN_KEY_SIZE]; } site;

static void set_key(site *t, uint64_t update)
{
    float key[NN_KEY_SIZE];
    nn_key_of(42, update, key);
    for (int i = 0; i < NN_KEY_SIZE; i++)
        t->key[i] = (double)key[i];
}

/* A training build with one input, all ones. */
static bool open_site(site *t, tg_shape shape)
{
    static const timm_family none = { .name = "none" };
    *t = (site){ 0 };
    if (!nn_build_open(&t->b, NULL, &none, &(nn_options){ 0 }, &t->st))
        return false;
    nn_build_train(&t->b);
    t->s = at(nn_root(&t->b), "layer");
    t->ones = tg_input(t->b.graph, 0, shape);
    t->input[0] = malloc(MOST * sizeof(double));
    t->input[NN_KEY] = t->key;
    for (int64_t i = 0; t->input[0] && i < MOST; i++)
        t->input[0][i] = 1;
    set_key(t, 0);
    return t->input[0] != NULL;
}

static void close_site(site *t)
{
    CHECK(status_ok(&t->st), "%s", t->st.text);
    free(t->input[0]);
    nn_build_close(&t->b);
}

static double *values(site *t, tg *y)
{
    double *v = NULL;
    CHECK(interpret(t->b.graph, &y, 1, t->input, &v), "out of memory");
    return v;
}

/* Within five standard deviations of what a chance promises. */
static bool likely(double hits, double n, double chance) { return fabs(hits - n * chance) <= 5 * sqrt(n * chance * (1 - chance)); }

TEST(drop_keeps_and_scales)
{
    site t;
    int64_t n = 150 * 400;
    REQUIRE(open_site(&t, SHAPE(150, 400)), "no graph");
    double *y = values(&t, nn_dropout(t.s, t.ones, .3)), kept = 0, pairs = 0;
    for (int64_t i = 0; y && i < n; i++) {
        CHECK(y[i] == 0 || fabs(y[i] - 1 / .7) < 1e-12, "%g is neither 0 nor 1 / .7", y[i]);
        kept += y[i] > 0;
        pairs += i && y[i] > 0 && y[i - 1] > 0;
    }
    CHECK(likely(kept, (double)n, .7), "%.0f of %lld stay", kept, (long long)n);
    CHECK(likely(pairs, (double)n - 1, .49), "%.0f of %lld neighbours stay", pairs, (long long)n);
    free(y);
    close_site(&t);
}

TEST(drop_masks_follow_update_and_layer)
{
    site t;
    REQUIRE(open_site(&t, SHAPE(10000)), "no graph");
    tg *here = nn_dropout(t.s, t.ones, .5), *there = nn_dropout(at(t.s, "other"), t.ones, .5);
    double *first = values(&t, here), *again = values(&t, here), *other = values(&t, there), differ[2] = { 0 };
    set_key(&t, 1);
    double *next = values(&t, here);
    for (int i = 0; i < 10000; i++) {
        CHECK(first[i] == again[i], "the same update gives another mask at %d", i);
        differ[0] += first[i] != next[i];
        differ[1] += first[i] != other[i];
    }
    CHECK(likely(differ[0], 10000, .5), "%.0f of 10000 differ in the next update", differ[0]);
    CHECK(likely(differ[1], 10000, .5), "%.0f of 10000 differ in another layer", differ[1]);
    free(first);
    free(again);
    free(other);
    free(next);
    close_site(&t);
}

TEST(drop_path_takes_whole_images)
{
    site t;
    REQUIRE(open_site(&t, SHAPE(5000, 3, 2, 2)), "no graph");
    double *y = values(&t, nn_drop_path(t.s, t.ones, .2)), kept = 0;
    for (int i = 0; i < 60000; i++) {
        CHECK(y[i] == y[i / 12 * 12], "image %d is torn", i / 12);
        CHECK(y[i] == 0 || fabs(y[i] - 1.25) < 1e-12, "%g is neither 0 nor 1 / .8", y[i]);
        kept += i % 12 == 0 && y[i] > 0;
    }
    CHECK(likely(kept, 5000, .8), "%.0f of 5000 stay", kept);
    free(y);
    close_site(&t);
}

/* Every centre that was drawn takes the window that torch's max_pool2d(k, stride 1, padding k / 2) spreads it over, cut as timm cuts
 * the results of even windows; what stays is scaled by numel / (kept + 1e-7). */
static void drop_block_of(int64_t h, int64_t w, int size, double gamma_scale)
{
    site t;
    int64_t n = 20, kh = size < h ? size : h, kw = size < w ? size : w, whole = n * h * w;
    REQUIRE(open_site(&t, SHAPE(n, 2, h, w)), "no graph");
    tg *y = nn_drop_block(t.s, t.ones, .3, size, gamma_scale), *drawn = NULL;
    for (int i = 0; i < t.b.graph->count; i++)
        if (!strcmp(t.b.graph->node[i]->op->name, "bernoulli"))
            drawn = t.b.graph->node[i];
    REQUIRE(drawn, "nothing is drawn");
    double *centre = values(&t, drawn), *got = values(&t, y), left = 0, centres = 0;
    bool *gone = calloc((size_t)whole, sizeof *gone);
    for (int64_t i = 0; i < whole; i++) {
        int64_t row = i / w % h, col = i % w, top = row + (kh + 1) % 2 - kh / 2, first = col + (kw + 1) % 2 - kw / 2;
        for (int64_t r = top < 0 ? 0 : top; r < top + kh && r < h; r++)
            for (int64_t c = first < 0 ? 0 : first; c < first + kw && c < w; c++)
                gone[i] |= centre[i / (h * w) * h * w + r * w + c] > 0;
        left += !gone[i];
        centres += centre[i];
    }
    for (int64_t i = 0; i < whole * 2; i++) {
        bool is_gone = gone[i / (2 * h * w) * h * w + i % (h * w)];
        CHECK(fabs(got[i] - (is_gone ? 0 : (double)whole / (left + 1e-7))) < 1e-6, "%lldx%lld, %lld: %g", (long long)h, (long long)w,
              (long long)i, got[i]);
    }
    double gamma = gamma_scale * .3 * (double)(h * w) / (double)(kh * kw) / (double)((h - kh + 1) * (w - kw + 1));
    CHECK(likely(centres, (double)whole, gamma), "%.0f centres in %lld, chance %g", centres, (long long)whole, gamma);
    free(centre);
    free(got);
    free(gone);
    close_site(&t);
}

TEST(drop_block_spreads_as_timm)
{
    drop_block_of(14, 14, 5, .25);
    drop_block_of(7, 9, 3, 1);
    drop_block_of(4, 4, 5, .25);
    drop_block_of(4, 6, 5, .25);
}

TEST(patch_dropout_keeps_tokens_once)
{
    site t;
    enum { B = 300, N = 20, P = 2, KEEP = 9 };
    REQUIRE(open_site(&t, SHAPE(B, N + P, 1)), "no graph");
    for (int i = 0; i < B * (N + P); i++)
        t.input[0][i] = i;
    tg *y = nn_patch_dropout(t.s, t.ones, P, .55);
    REQUIRE(tg_dim(y, 1) == P + KEEP, "%lld tokens", (long long)tg_dim(y, 1));
    double *v = values(&t, y), times[N] = { 0 };
    for (int b = 0; b < B; b++)
        for (int i = 0; i < P + KEEP; i++) {
            double now = v[b * (P + KEEP) + i], first = b * (N + P);
            CHECK(i >= P ? now > v[b * (P + KEEP) + i - 1] && now < first + N + P : now == first + i, "token %g of image %d", now, b);
            if (i >= P && now >= first + P && now < first + P + N)
                times[(int)(now - first) - P]++;
        }
    for (int i = 0; i < N; i++)
        CHECK(likely(times[i], B, KEEP / (double)N), "token %d stays %.0f times in %d", i, times[i], B);
    free(v);
    close_site(&t);
}

TEST(attention_with_dropout_is_attention_but_for_it)
{
    site t;
    REQUIRE(open_site(&t, SHAPE(2, 3, 4, 5)), "no graph");
    for (int i = 0; i < 120; i++)
        t.input[0][i] = sin(i * 1.7);
    tg *q = t.ones, *bias = tg_reshape(tg_slice(tg_reshape(q, SHAPE(120)), 0, 0, 48), SHAPE(1, 3, 4, 4));
    tg *k = tg_roll(q, 3, 2), *v = tg_roll(q, 2, 1);
    double *whole = values(&t, tg_attention(q, k, v, bias, 0)), *none = values(&t, nn_attention(t.s, q, k, v, bias, 0, 1e-12));
    double *some = values(&t, nn_attention(t.s, q, k, v, bias, 0, .5)), far = 0;
    for (int i = 0; i < 120; i++) {
        CHECK(fabs(whole[i] - none[i]) < 1e-9, "%d: %g, not %g", i, none[i], whole[i]);
        far = fmax(far, fabs(whole[i] - some[i]));
    }
    CHECK(far > .1, "a rate of .5 changes nothing");
    free(whole);
    free(none);
    free(some);
    close_site(&t);
}

/* -- a pass of training -------------------------------------------------------------------------------------------------------- */

enum { IMAGES = 4, CLASSES = 1000, SIZE = 160 };

static float *image_numbers(void)
{
    float *x = malloc(sizeof *x * IMAGES * 3 * SIZE * SIZE);
    for (size_t i = 0; x && i < (size_t)IMAGES * 3 * SIZE * SIZE; i++)
        x[i] = (float)(random_uniform(3, i + 1) * 2 - 1);
    return x;
}

/* Losses of two updates without a step between them, one gradient of the first, the logits of inference after both. */
static bool two_passes(int threads, float drop, double loss[2], float *gradient, float *logits)
{
    timm_ctx *ctx = timm_open(&(timm_open_opts){ .threads = threads });
    timm_model *m = timm_create(ctx, "test_vit", &(timm_model_opts){ .drop_rate = drop, .drop_path = drop, .attn_drop = drop,
                                                                     .proj_drop = drop, .patch_drop = drop });
    timm_trainer *t = timm_trainer_open(m);
    timm_tensor x = { .rank = 4, .dim = { IMAGES, 3, SIZE, SIZE }, .data = image_numbers() };
    timm_tensor y = { .rank = 2, .dim = { IMAGES, CLASSES }, .data = calloc(IMAGES * CLASSES, sizeof(float)) }, out = { 0 };
    bool ok = m && t && x.data && y.data;
    for (int i = 0; ok && i < IMAGES; i++)
        y.data[i * CLASSES + i] = 1;
    for (int i = 0; ok && i < 2; i++) {
        ok = timm_backward(t, &x, &y, &loss[i]) == TIMM_OK;
        timm_tensor g = timm_gradient(t, "blocks.0.attn.qkv.weight");
        if (ok && i == 0)
            memcpy(gradient, g.data, 64 * sizeof *gradient);
    }
    if (ok)
        out = timm_forward(m, &x);
    ok = ok && out.data;
    if (ok)
        memcpy(logits, out.data, CLASSES * sizeof *logits);
    CHECK(ok, "%s", timm_message(ctx));
    free(x.data);
    free(y.data);
    timm_trainer_close(t);
    timm_close(ctx);
    return ok;
}

TEST(drop_in_training_only)
{
    static float gradient[3][64], logits[3][CLASSES];
    double loss[3][2];
    REQUIRE(two_passes(1, .3f, loss[0], gradient[0], logits[0]) && two_passes(2, .3f, loss[1], gradient[1], logits[1]) &&
            two_passes(1, 0, loss[2], gradient[2], logits[2]), "no pass");
    CHECK(!memcmp(loss[0], loss[1], sizeof loss[0]) && !memcmp(gradient[0], gradient[1], sizeof gradient[0]),
          "threads change what is left out: %.9g, %.9g", loss[0][0], loss[1][0]);
    CHECK(loss[0][0] != loss[0][1], "two updates leave out the same: %.9g", loss[0][0]);
    CHECK(loss[2][0] == loss[2][1] && loss[2][0] != loss[0][0], "without rates: %.9g, %.9g", loss[2][0], loss[2][1]);
    CHECK(!memcmp(logits[0], logits[2], sizeof logits[0]), "inference drops");
}
