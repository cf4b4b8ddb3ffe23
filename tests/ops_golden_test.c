/* ops_golden_test.c - definitions against PyTorch (data/ops.jsonl.xz, made by tools/op_golden.py). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interpret.h"
#include "jsonl.h"
#include "ops/op.h"
#include "test.h"

static tg_shape shape_of(const json_t *pair)
{
    const json_t *s = json_array_get(pair, 0);
    tg_shape r = { .rank = (int)json_array_size(s) };
    for (int i = 0; i < r.rank; i++)
        r.dim[i] = json_integer_value(json_array_get(s, (size_t)i));
    return r;
}

static int64_t item(const json_t *attr, const char *key, size_t i)
{
    return json_integer_value(json_array_get(json_object_get(attr, key), i));
}

typedef tg *unary(tg *x);
typedef tg *binary(tg *a, tg *b);

static const struct { const char *name; unary *f; } unaries[] = {
    { "relu", tg_relu }, { "relu6", tg_relu6 }, { "gelu", tg_gelu }, { "gelu_tanh", tg_gelu_tanh }, { "quick_gelu", tg_quick_gelu },
    { "silu", tg_silu }, { "sigmoid", tg_sigmoid }, { "tanh", tg_tanh }, { "hard_swish", tg_hard_swish },
    { "hard_sigmoid", tg_hard_sigmoid }, { "exp", tg_exp }, { "log", tg_log }, { "erf", tg_erf }, { "abs", tg_abs },
    { "sqrt", tg_sqrt }, { "rsqrt", tg_rsqrt },
};
static const struct { const char *name; binary *f; } binaries[] = {
    { "add", tg_add }, { "sub", tg_sub }, { "mul", tg_mul }, { "div", tg_div }, { "maximum", tg_maximum }, { "minimum", tg_minimum },
    { "matmul", tg_matmul }, { "gather", tg_gather },
};

static tg *image_op(const char *op, tg **x, int n, const json_t *a)
{
    int k = (int)jsonl_number(a, "k"), stride = (int)jsonl_number(a, "stride");
    tg_pool p = { .k = k, .stride = stride, .ceil = json_is_true(json_object_get(a, "ceil")),
                  .exclude_pad = json_is_true(json_object_get(a, "exclude_pad")) };
    tg_conv c = { .stride = stride, .dilation = (int)jsonl_number(a, "dilation"), .groups = (int)jsonl_number(a, "groups") };
    for (size_t i = 0; i < 4; i++)
        p.pad[i] = c.pad[i] = (int)item(a, "pad", i);
    if (!strcmp(op, "conv2d"))
        return tg_conv2d(x[0], x[1], n > 2 ? x[2] : NULL, c);
    if (!strcmp(op, "max_pool"))
        return tg_max_pool(x[0], p);
    if (!strcmp(op, "avg_pool"))
        return tg_avg_pool(x[0], p);
    if (!strcmp(op, "resize"))
        return tg_resize(x[0], (int64_t)jsonl_number(a, "h"), (int64_t)jsonl_number(a, "w"), (tg_resize_mode)jsonl_number(a, "mode"),
                         json_is_true(json_object_get(a, "antialias")));
    return NULL;
}

static tg *norm_op(const char *op, tg **x, const json_t *a)
{
    double eps = jsonl_number(a, "eps");
    int axis = (int)jsonl_number(a, "axis");
    if (!strcmp(op, "batch_norm"))
        return tg_batch_norm(x[0], x[1], x[2], x[3], x[4], eps);
    if (!strcmp(op, "layer_norm"))
        return tg_layer_norm(x[0], x[1], x[2], axis, eps);
    if (!strcmp(op, "rms_norm"))
        return tg_rms_norm(x[0], x[1], axis, eps);
    return strcmp(op, "group_norm") ? NULL : tg_group_norm(x[0], x[1], x[2], (int)jsonl_number(a, "groups"), eps);
}

static tg *shape_op(const char *op, tg **x, const json_t *a)
{
    int axis = (int)jsonl_number(a, "axis"), order[TG_MAX_RANK];
    unsigned axes = (unsigned)jsonl_number(a, "axes");
    tg_pads p = { .mode = (tg_pad_mode)jsonl_number(a, "mode"), .value = jsonl_number(a, "value") };
    for (size_t i = 0; i < TG_MAX_RANK; i++) {
        order[i] = (int)item(a, "order", i);
        p.before[i] = item(a, "before", i);
        p.after[i] = item(a, "after", i);
    }
    return !strcmp(op, "sum") ? tg_sum(x[0], axes) : !strcmp(op, "mean") ? tg_mean(x[0], axes) : !strcmp(op, "amax") ? tg_amax(x[0], axes)
           : !strcmp(op, "softmax") ? tg_softmax(x[0], axis) : !strcmp(op, "roll") ? tg_roll(x[0], axis, (int64_t)jsonl_number(a, "shift"))
           : !strcmp(op, "permute") ? tg_permute(x[0], order) : !strcmp(op, "pad") ? tg_pad(x[0], p) : NULL;
}

static tg *build(const char *op, tg **x, int n, const json_t *a)
{
    for (size_t i = 0; i < sizeof unaries / sizeof *unaries; i++)
        if (!strcmp(op, unaries[i].name))
            return unaries[i].f(x[0]);
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (!strcmp(op, binaries[i].name))
            return binaries[i].f(x[0], x[1]);
    if (!strcmp(op, "elu"))
        return tg_elu(x[0], jsonl_number(a, "a"));
    if (!strcmp(op, "leaky_relu"))
        return tg_leaky_relu(x[0], jsonl_number(a, "a"));
    if (!strcmp(op, "clamp"))
        return tg_clamp(x[0], jsonl_number(a, "a"), jsonl_number(a, "b"));
    if (!strcmp(op, "linear"))
        return tg_linear(x[0], x[1], x[2]);
    if (!strcmp(op, "attention"))
        return tg_attention(x[0], x[1], x[2], n > 3 ? x[3] : NULL, jsonl_number(a, "scale"));
    tg *y = image_op(op, x, n, a);
    y = y ? y : norm_op(op, x, a);
    return y ? y : shape_op(op, x, a);
}

static void check(const json_t *record)
{
    const char *op = jsonl_text(record, "op");
    const json_t *in = json_object_get(record, "in"), *out = json_object_get(record, "out");
    int n = (int)json_array_size(in);
    status st = { 0 };
    tg_graph *g = tg_graph_new(&st);
    tg *x[6];
    double *value[6] = { 0 }, *got = NULL, worst = 0, most = 1e-3;
    for (int i = 0; i < n && i < 6; i++) {
        const json_t *numbers = json_array_get(json_array_get(in, (size_t)i), 1);
        x[i] = tg_input(g, i, shape_of(json_array_get(in, (size_t)i)));
        value[i] = malloc(json_array_size(numbers) * sizeof(double) + 8);
        for (size_t k = 0; k < json_array_size(numbers); k++)
            value[i][k] = json_number_value(json_array_get(numbers, k));
    }
    tg *y = build(op, x, n, json_object_get(record, "attr"));
    CHECK(y && status_ok(&st), "%s: %s", op, y ? st.text : "not known here");
    if (y && status_ok(&st) && interpret(g, &y, 1, value, &got)) {
        const json_t *numbers = json_array_get(out, 1);
        CHECK(tg_same(y->shape, shape_of(out)), "%s is %s", op, tg_str(y->shape));
        for (size_t k = 0; k < json_array_size(numbers) && tg_same(y->shape, shape_of(out)); k++) {
            double want = json_number_value(json_array_get(numbers, k));
            most = fmax(most, fabs(want));
            worst = fmax(worst, fabs(got[k] - want));
        }
        CHECK(worst <= 3e-6 * most, "%s of %s: off by %g of %g", op, tg_str(x[0]->shape), worst, most);
    }
    free(got);
    for (int i = 0; i < 6; i++)
        free(value[i]);
    tg_graph_free(g);
}

TEST(ops_definitions_as_pytorch)
{
    jsonl lines;
    int records = 0;
    REQUIRE(jsonl_open(&lines, test_data("data/ops.jsonl.xz")), "no data");
    for (json_t *record; (record = jsonl_next(&lines)); json_decref(record), records++)
        check(record);
    jsonl_close(&lines);
    CHECK(records > 70, "%d records", records);
}
