/* ops_test.c - every case of every op: the shape rule, and every kernel of every backend against the definition, on dense,
 * channels-last, sliced and turned memory, with weights known and unknown before, on one, two and three threads.
 * TIMM_TEST_SEED sets the numbers, TIMM_ISA=plain|avx2|avx512 the instructions.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "backend/backend.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels.h"
#include "base/half.h"
#include "base/random.h"
#include "ops/conv2d_grad.h"
#include "ops/op.h"
#include "plan/plan.h"
#include "test.h"

enum { MOST = 6, CLAIMS = 256 };
extern const gemm_vec gemm_bf16_emulated_amx, gemm_bf16x3_emulated_amx, gemm_bf16x6_emulated_amx, gemm_bf16_emulated_dot;

static struct claim { const tg_kernel *kernel; int times; } claims[CLAIMS];

static uint64_t seed(void)
{
    const char *text = getenv("TIMM_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

static int operands(const tg_case *c)
{
    int n = 0;
    while (n < MOST && c->in[n].rank)
        n++;
    return n;
}

/* -- shape rules ---------------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static bool shape_of(const tg_op *op, const tg_case *c, const void *attr, int n, const tg_shape *in, tg_shape *out)
{
    status st = { 0 };
    tg_graph *g = tg_graph_new(&st);
    tg *x[MOST];
    for (int i = 0; i < n; i++)
        x[i] = tg_input(g, i, in[i]);
    tg *y = tg_apply(op, x, n, attr);
    *out = y->shape;
    bool ok = !y->poisoned;
    if (c->rejects)
        CHECK(!ok && ends_with(st.text, c->rejects), "%s: \"%s\", not \"... %s\"", op->name, ok ? "accepted" : st.text, c->rejects);
    else
        CHECK(ok, "%s: %s", op->name, st.text);
    tg_graph_free(g);
    return ok;
}

/* -- memory of many kinds --------------------------------------------------------------------------------------------------------- */

enum layout { DENSE, CHANNELS_LAST, SLICED, TURNED, LAYOUTS };
static const char *const layout_name[] = { "dense", "channels last", "sliced", "turned" };

typedef struct block { float *memory; tg_tensor t; } block;

static void lay_out(tg_tensor *t, enum layout how)
{
    if (how == CHANNELS_LAST)
        tg_channels_last(t);
    else
        tg_dense(t);
    if (how == SLICED)                                   /* rows of a wider buffer, images of a longer one */
        for (int i = 0; i < t->shape.rank - 1; i++)
            t->stride[i] = t->stride[i] * 2 + (i == t->shape.rank - 2 ? 8 : 0);
    if (how == TURNED && t->shape.rank >= 2) {           /* the first two axes lie the other way round */
        tg_tensor turned = *t;
        turned.shape.dim[0] = t->shape.dim[1];
        turned.shape.dim[1] = t->shape.dim[0];
        tg_dense(&turned);
        memcpy(t->stride, turned.stride, sizeof t->stride);
        t->stride[0] = turned.stride[1];
        t->stride[1] = turned.stride[0];
    }
}

static bool make(block *b, tg_shape shape, enum layout how)
{
    b->t = (tg_tensor){ .shape = shape };
    lay_out(&b->t, how);
    int64_t reach = 1;
    for (int i = 0; i < shape.rank; i++)
        reach += (shape.dim[i] - 1) * b->t.stride[i];
    b->memory = aligned_alloc(64, ((size_t)reach * sizeof(float) + 127) / 64 * 64);
    for (int64_t i = 0; b->memory && i < reach; i++)
        b->memory[i] = NAN;
    b->t.data = b->memory;
    return b->memory != NULL;
}

static void fill(const tg_tensor *t, const tg_case *c, int which, uint64_t key)
{
    bool whole = c->index_of >> which & 1;
    double lo = c->lo, hi = c->hi;
    uint64_t count = 0;
    int64_t i[TG_MAX_RANK] = { 0 };
    if (lo == 0 && hi == 0)
        lo = -2, hi = 2;
    if (c->index_of && !whole)
        lo = -2, hi = 2;
    do {
        double u = random_uniform(key + (uint64_t)which * 7919, ++count);
        tg_put(t, tg_offset(t, i), whole ? floor(lo + (hi - lo + 1) * u) : lo + (hi - lo) * u);
    } while (tg_next(t->shape, i));
}

/* -- one kernel on one call --------------------------------------------------------------------------------------------------------- */

typedef struct setting {
    const tg_op *op;
    const tg_case *c;
    const void *attr;
    int n;
    tg_shape in[MOST], out;
    const char *what;
    tg_precision precision;
} setting;

static void note_claim(const tg_kernel *k)
{
    int i = 0;
    while (i < CLAIMS - 1 && claims[i].kernel && claims[i].kernel != k)
        i++;
    claims[i].kernel = k;
    claims[i].times++;
}

/* Kernels that round their operands where the plan allows it and there are instructions for it; the others stay exact. */
static bool rounds(const tg_kernel *k, tg_precision p)
{
    static const char *const names[] = { "cpu.conv2d", "cpu.conv2d_shortcut", "cpu.conv2d_grad_input", "cpu.conv2d_turned",
                                         "cpu.weight_grad_bf16", "cpu.expand_depthwise", "cpu.linear", "cpu.matmul",
                                         "cpu.attention_bf16", "cpu.attention_grad_bf16", "cpu.grouped_bf16", "cpu.grouped_grad_input_bf16" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(k->name, names[i]))
            return gemm_packs(p);
    return false;
}

static double largest(const tg_tensor *t)
{
    int64_t i[TG_MAX_RANK] = { 0 };
    double most = 0;
    do
        most = fmax(most, fabs(tg_get(t, tg_offset(t, i))));
    while (tg_next(t->shape, i));
    return most;
}

static void compare(const setting *s, const tg_kernel *k, const tg_tensor *want, const tg_tensor *got, const char *how)
{
    int64_t i[TG_MAX_RANK] = { 0 };
    /* The weights of attention and their gradient are rounded too: by 2^-9 each. */
    double tol = s->precision == TG_BF16 && rounds(k, s->precision) && !strncmp(s->op->name, "attention", 9) ? 0x1p-8 : s->op->tol + 1e-7;
    if (s->precision == TG_BF16X3 && rounds(k, s->precision))             /* two roundings of a small part, by 2^-9 of 2^-9 */
        tol += 0x1p-16;
    if (got->dtype == TG_BFLOAT)                            /* rounded, and by functions as good as that */
        tol += 0x1p-8;
    double allowed = tol * fmax(largest(want), 1e-3), worst = 0;
    do {
        double d = fabs(tg_get(want, tg_offset(want, i)) - tg_get(got, tg_offset(got, i)));
        worst = d > worst || isnan(d) ? d : worst;
    } while (tg_next(want->shape, i) && !isnan(worst));
    CHECK(worst <= allowed, "%s (%s%s%s), %s: off by %.3g where %.3g is allowed; x %s", k->name, s->what, s->c->note ? ", " : "",
          s->c->note ? s->c->note : "", how, worst, allowed, tg_str(s->in[0]));
}

/* Runs on 1, 2 and 3 threads, or fewer where memory is watched and time is short; false: it declines. */
#ifdef __SANITIZE_ADDRESS__
enum { MORE_THREADS = 2 };
#else
enum { MORE_THREADS = 1 };
#endif

static bool try_kernel(const setting *s, const tg_kernel *k, const tg_tensor *given, bool known, enum layout how, const tg_tensor *want)
{
    tg_tensor in[MOST];
    char text[96];
    block y = { 0 };
    memcpy(in, given, sizeof in);
    for (int i = 1; i < s->n; i++)
        in[i].constant = known;
    tg_call call = { .op = s->op, .attr = s->attr, .in = in, .n_in = s->n, .out = { .shape = s->out }, .precision = s->precision };
    lay_out(&call.out, how == CHANNELS_LAST || (s->op->flags & TG_SPATIAL) ? CHANNELS_LAST : DENSE);
    if (k->declines && k->declines(&call))
        return false;
    note_claim(k);
    snprintf(text, sizeof text, "%s memory, weights %s%s%s", layout_name[how], known ? "known" : "unknown",
             s->precision == TG_FP32 ? "" : ", ", s->precision == TG_FP32 ? "" : plan_precisions[s->precision]);
    float *first = NULL;
    int64_t bytes = tg_numel(s->out) * (int64_t)sizeof(float);
    for (int threads = 1; threads <= 3; threads += MORE_THREADS) {
        status st = { 0 };
        tg_prep prep = { .st = &st };
        call.pool = pool_open(threads);
        if (k->prepare && !k->prepare(&call, &prep)) {
            CHECK(status_ok(&st), "%s: %s", k->name, st.text);
            pool_close(call.pool);
            break;
        }
        y.memory = aligned_alloc(64, ((size_t)bytes + 127) / 64 * 64);
        call.scratch = prep.scratch ? aligned_alloc(64, (prep.scratch + 63) / 64 * 64) : NULL;
        if (call.scratch)
            memset(call.scratch, 255, prep.scratch);
        memset(y.memory, 255, (size_t)bytes);
        call.out.data = y.memory;
        call.state = prep.state;
        k->run(&call);
        if (threads == 1)
            compare(s, k, want, &call.out, text);
        else if (strncmp(k->name, "onednn.", 7))             /* oneDNN splits sums by threads; ours do not */
            CHECK(first && !memcmp(first, y.memory, (size_t)bytes), "%s (%s), %s: other bytes on %d threads", k->name, s->what, text,
                  threads);
        if (k->release)
            k->release(prep.state);
        free(call.scratch);
        pool_close(call.pool);
        if (threads == 1)
            first = y.memory;
        else
            free(y.memory);
    }
    free(first);
    return true;
}

/* Operand i's number at `at`, rounded; of a gated map, times its gate's. */
static double rounded_at(const setting *s, const tg_tensor *given, int i, bool gated, const int64_t *at)
{
    const tg_tensor *gate = &given[s->n - 1];
    const double by = gated ? tg_get(gate, tg_offset(gate, (int64_t[]){ at[0], at[1], 0, 0 })) : 1;
    return (double)bfloat_to_float(float_to_bfloat((float)(tg_get(&given[i], tg_offset(&given[i], at)) * by)));
}

/* Operand i is of a product; bias and residual are not. */
static bool multiplied(const setting *s, int i)
{
    if (s->op == &op_conv2d_shortcut)                       /* two images, each with its weights after it */
        return i < 2 || i >= s->n - 2;
    return i < (!strcmp(s->op->name, "attention_grad") ? 4 : !strcmp(s->op->name, "attention") ? 3 : 2);
}

/* The definition on rounded operands. */
static bool define_rounded(const setting *s, const tg_tensor *given, block *want)
{
    tg_tensor in[MOST];
    block rounded[MOST] = { 0 };
    conv2d_attr bare = { 0 };
    if (s->op == &op_conv2d)
        bare = *(const conv2d_attr *)s->attr;
    const bool gated = bare.e.gate;
    bare.e.gate = false;
    bool ok = make(want, s->out, DENSE);
    memcpy(in, given, sizeof in);
    for (int i = 0; i < s->n; i++) {
        int64_t at[TG_MAX_RANK] = { 0 };
        if (!multiplied(s, i))
            continue;
        ok = ok && make(&rounded[i], s->in[i], DENSE);
        do
            tg_put(&rounded[i].t, tg_offset(&rounded[i].t, at), rounded_at(s, given, i, gated && !i, at));
        while (ok && tg_next(s->in[i], at));
        in[i] = rounded[i].t;
    }
    tg_call call = { .op = s->op, .attr = gated ? &bare : s->attr, .in = in, .n_in = s->n - gated, .out = want->t };
    if (ok)
        s->op->ref(&call);
    for (int i = 0; i < s->n; i++)
        free(rounded[i].memory);
    return ok;
}

/* The numbers of t as bfloat16, in memory of its own that lies alike; every other number in it is none. */
static bool narrowed(const tg_tensor *t, block *b)
{
    int64_t at[TG_MAX_RANK] = { 0 }, reach = 1;
    b->t = *t;
    for (int i = 0; i < t->shape.rank; i++)
        reach += (t->shape.dim[i] - 1) * t->stride[i];
    b->memory = aligned_alloc(64, ((size_t)reach * sizeof(uint16_t) + 127) / 64 * 64);
    if (!b->memory)
        return false;
    memset(b->memory, 255, (size_t)reach * sizeof(uint16_t));
    b->t.data = b->memory;
    b->t.dtype = TG_BFLOAT;
    do
        tg_put(&b->t, tg_offset(&b->t, at), t->data ? tg_get(t, tg_offset(t, at)) : NAN);
    while (tg_next(t->shape, at));
    return true;
}

/* Operands and result as bfloat16 in memory, as many as the kernel takes and fewer: against the definition on the same numbers. */
static void try_narrow(const setting *s, const tg_kernel *k, const tg_tensor *given, enum layout how)
{
    tg_tensor in[MOST];
    tg_call call = { .op = s->op, .attr = s->attr, .in = in, .n_in = s->n, .out = { .shape = s->out }, .precision = s->precision };
    lay_out(&call.out, how == CHANNELS_LAST || (s->op->flags & TG_SPATIAL) ? CHANNELS_LAST : DENSE);
    for (unsigned round = 0; round < 6 && k->narrow; round++) {
        const unsigned part = round % 3;
        const bool known = round < 3;                       /* weights, that is; then they vary, as in training */
        status st = { 0 };
        tg_prep prep = { .st = &st };
        block b[MOST] = { 0 }, y = { 0 }, want = { 0 };
        tg_tensor plain[MOST];
        memcpy(in, given, sizeof in);
        for (int i = 1; i < s->n; i++)
            in[i].constant = known && (i < 2 || !tg_same(s->in[i], s->out));
        call.out.dtype = TG_F32;
        call.out.data = NULL;
        if (k->declines && k->declines(&call))
            continue;
        call.pool = pool_open(2);
        bool ok = !k->prepare || k->prepare(&call, &prep);
        call.state = prep.state;
        unsigned can = ok ? k->narrow(&call) : 0;
        can |= can & NARROW_SUM ? NARROW_RESULT : 0;
        const bool alike = can & NARROW_ALIKE;
        unsigned mask = alike ? can * (part == 0) : can & (part == 1 ? ~NARROW_RESULT : part == 2 ? NARROW_RESULT | 0xaaaaaaaau : ~0u);
        memcpy(plain, given, sizeof plain);
        for (int i = 0; i < s->n; i++)
            if (mask >> i & 1 && (alike || !in[i].constant) && narrowed(&given[i], &b[i]))
                plain[i] = in[i] = b[i].t;
        if (mask & NARROW_RESULT)
            ok = narrowed(&call.out, &y);
        else
            y.memory = aligned_alloc(64, ((size_t)tg_numel(s->out) * sizeof(float) + 127) / 64 * 64);
        call.out.dtype = mask & NARROW_RESULT ? TG_BFLOAT : TG_F32;
        call.out.data = y.memory;
        call.scratch = prep.scratch ? aligned_alloc(64, (prep.scratch + 63) / 64 * 64) : NULL;
        if (ok && mask && (rounds(k, s->precision) ? define_rounded(s, plain, &want) : make(&want, s->out, DENSE))) {
            if (!rounds(k, s->precision)) {
                tg_call exact = { .op = s->op, .attr = s->attr, .in = plain, .n_in = s->n, .out = want.t };
                s->op->ref(&exact);
            }
            k->run(&call);
            compare(s, k, &want.t, &call.out, part == 0 ? "bf16 in memory" : part == 1 ? "operands in bf16" : "result in bf16");
        }
        if (k->release)
            k->release(prep.state);
        free(call.scratch);
        free(want.memory);
        free(y.memory);
        for (int i = 0; i < s->n; i++)
            free(b[i].memory);
        pool_close(call.pool);
    }
}

static void check_kernels(const setting *s)
{
    static const char *const names[] = { "cpu", "onednn" };
    block want = { 0 }, rounded = { 0 };
    for (enum layout how = DENSE; how < LAYOUTS; how++) {
        block in[MOST] = { 0 };
        tg_tensor t[MOST] = { 0 };
        for (int i = 0; i < s->n; i++) {
            /* Weights and vectors lie dense; what flows lies in every way. */
            bool flows = i == 0 || tg_same(s->in[i], s->in[0]) || tg_same(s->in[i], s->out) || s->in[i].rank == 4;
            bool weight = i == 1 && (!strcmp(s->op->name, "conv2d") || !strcmp(s->op->name, "linear"));
            if (!make(&in[i], s->in[i], flows && !weight ? how : DENSE))
                return;
            fill(&in[i].t, s->c, i, seed());
            t[i] = in[i].t;
        }
        tg_call call = { .op = s->op, .attr = s->attr, .in = t, .n_in = s->n };
        if (make(&want, s->out, DENSE)) {
            call.out = want.t;
            s->op->ref(&call);
            if (s->precision == TG_BF16 && !define_rounded(s, t, &rounded))
                return;
            for (int b = 0; b < 2; b++) {
                const tg_backend *const *list = tg_backends(names[b]);
                for (int l = 0; list && list[l]; l++)
                    for (size_t i = 0; i < list[l]->count; i++)
                        if (!strcmp(list[l]->kernels[i].op, s->op->name)) {
                            const tg_kernel *k = &list[l]->kernels[i];
                            const tg_tensor *held_to = s->precision == TG_BF16 && rounds(k, s->precision) ? &rounded.t : &want.t;
                            try_kernel(s, k, t, true, how, held_to);
                            try_kernel(s, k, t, false, how, held_to);
                            if (s->precision == TG_BF16 || !k->apart)
                                try_narrow(s, k, t, how);
                        }
            }
            free(rounded.memory);
            rounded.memory = NULL;
        }
        free(want.memory);
        for (int i = 0; i < s->n; i++)
            free(in[i].memory);
    }
}

/* -- all of it -------------------------------------------------------------------------------------------------------------------- */

static void check_case(const tg_op *op, const tg_case *c)
{
    setting s = { .op = op, .c = c, .attr = c->attr, .n = operands(c), .what = op->name };
    memcpy(s.in, c->in, sizeof s.in);
    if (shape_of(op, c, c->attr, s.n, s.in, &s.out))
        check_kernels(&s);
}

static void check_product(const tg_op *op, tg_precision p)
{
    for (size_t k = 0; k < op->n_cases; k++) {
        setting s = { .op = op, .c = &op->cases[k], .attr = op->cases[k].attr, .n = operands(&op->cases[k]), .what = op->name,
                      .precision = p };
        memcpy(s.in, s.c->in, sizeof s.in);
        if (shape_of(op, s.c, s.attr, s.n, s.in, &s.out))
            check_kernels(&s);
    }
}

/* A kernel that never ran here is not tested. */
static void check_none_left_out(void)
{
    const tg_backend *const *list = tg_backends("cpu");
    for (int l = 0; list[l]; l++)
        for (size_t i = 0; i < list[l]->count; i++) {
            bool seen = false;
            for (int c = 0; c < CLAIMS && claims[c].kernel && !seen; c++)
                seen = claims[c].kernel == &list[l]->kernels[i];
            CHECK(seen, "%s for %s claimed no case", list[l]->kernels[i].name, list[l]->kernels[i].op);
        }
}

TEST(ops_every_case_on_every_kernel)
{
    size_t n;
    const tg_op *const *ops = tg_ops(&n);
    printf("     seed %llu\n", (unsigned long long)seed());
    for (size_t i = 0; i < n; i++) {
        CHECK(ops[i]->n_cases > 0, "%s has no cases", ops[i]->name);
        for (size_t k = 0; k < ops[i]->n_cases; k++)
            check_case(ops[i], &ops[i]->cases[k]);
    }
    const gemm_vec *was = gemm_exchange(TG_BF16, &gemm_bf16_emulated_dot);      /* for kernels of no other precision */
    check_product(&op_conv2d, TG_BF16);
    check_product(&op_conv2d_grad_input, TG_BF16);
    check_product(&op_conv2d_grad_weight, TG_BF16);
    check_product(tg_find_op("attention"), TG_BF16);
    check_product(tg_find_op("attention_grad"), TG_BF16);
    gemm_exchange(TG_BF16, was);
    check_none_left_out();
}

/* What may follow a product inside its kernel: each activation, before and after a residual, with and without bias. */
static void check_epilogues(const tg_op *op, const tg_case *c, size_t offset, size_t size, unsigned turn)
{
    static const char *const acts[] = { "relu", "gelu", "silu", "hard_swish", "relu6", "gelu_tanh", "quick_gelu", "sigmoid",
                                        "hard_sigmoid", "tanh", "leaky_relu", "clamp", NULL };
    static const double pair[2] = { -.25, .5 };
    if (c->rejects)
        return;
    for (unsigned v = 0; v < 2 * sizeof acts / sizeof *acts; v++) {
        if ((v + turn) % 3)                                             /* a third of them for each case */
            continue;
        setting s = { .op = op, .c = c, .n = 2, .what = "with an epilogue" };
        void *attr = malloc(size);
        memcpy(attr, c->attr, size);
        epilogue *e = (epilogue *)(void *)((char *)attr + offset);
        *e = (epilogue){ .bias = v % 4 != 3, .residual = v % 3 != 1, .act_first = v % 2 == 1 };
        e->act = acts[v / 2] ? tg_find_op(acts[v / 2]) : NULL;
        e->act_first = e->act_first && e->act && e->residual;
        memcpy(e->act_attr, pair, sizeof pair);
        s.attr = attr;
        memcpy(s.in, c->in, 2 * sizeof *s.in);
        tg_shape bare;
        epilogue kept = *e;
        *e = (epilogue){ 0 };
        bool ok = shape_of(op, c, attr, 2, s.in, &bare);
        *e = kept;
        if (e->bias)
            s.in[s.n++] = SHAPE(s.in[1].dim[0]);
        if (e->residual)
            s.in[s.n++] = bare;
        if (ok && shape_of(op, c, attr, s.n, s.in, &s.out))
            check_kernels(&s);
        free(attr);
    }
}

TEST(ops_products_with_epilogues_on_every_kernel)
{
    for (size_t k = 0; k < op_conv2d.n_cases; k++)
        check_epilogues(&op_conv2d, &op_conv2d.cases[k], offsetof(conv2d_attr, e), sizeof(conv2d_attr), (unsigned)k);
    for (size_t k = 0; k < op_linear.n_cases; k++)
        check_epilogues(&op_linear, &op_linear.cases[k], offsetof(linear_attr, e), sizeof(linear_attr), (unsigned)k);
}

/* Shapes with tails: every remainder of the vector widths, one pixel, thin and wide. */
TEST(ops_products_with_odd_shapes)
{
    static const int64_t conv[][7] = {       /* n c h w out k stride; groups 1, then depthwise */
        { 1, 1, 1, 1, 1, 1, 1 },   { 1, 3, 9, 7, 5, 3, 1 },    { 2, 17, 6, 5, 9, 3, 2 },  { 1, 8, 13, 13, 16, 5, 1 }, { 3, 33, 4, 4, 31, 1, 1 },
        { 1, 16, 12, 20, 24, 3, 1 }, { 1, 64, 14, 14, 64, 3, 1 }, { 2, 12, 7, 9, 20, 1, 2 }, { 1, 3, 16, 16, 8, 7, 2 },  { 1, 40, 1, 9, 7, 1, 1 },
        { 1, 24, 10, 10, 48, 2, 2 }, { 1, 72, 8, 8, 72, 7, 1 },  { 2, 15, 11, 6, 15, 5, 2 },
        { 2, 3, 37, 35, 40, 3, 2 }, { 1, 3, 21, 33, 9, 7, 2 }, { 2, 32, 17, 18, 40, 3, 2 }, { 1, 16, 40, 8, 24, 4, 4 }, { 1, 2, 19, 40, 17, 5, 1 },
    };
    static const tg_case plain = { .note = "odd shape" };
    for (size_t i = 0; i < sizeof conv / sizeof *conv; i++) {
        const int64_t *d = conv[i];
        int pad = (int)(d[5] / 2), stride = (int)d[6];
        conv2d_attr a = { .stride = { stride, stride }, .pad = { pad, pad, pad, pad }, .dilation = { 1, 1 }, .groups = 1 };
        setting s = { .op = &op_conv2d, .c = &plain, .attr = &a, .n = 2, .what = "conv2d" };
        s.in[0] = SHAPE(d[0], d[1], d[2], d[3]);
        s.in[1] = SHAPE(d[4], d[1], d[5], d[5]);
        if (shape_of(&op_conv2d, &plain, &a, 2, s.in, &s.out))
            check_kernels(&s);
        const gemm_vec *was = gemm_exchange(TG_BF16, i % 2 ? &gemm_bf16_emulated_dot : &gemm_bf16_emulated_amx);
        s.precision = TG_BF16;
        check_kernels(&s);
        gemm_exchange(TG_BF16, was);
        s.precision = TG_FP32;
        a.groups = (int)d[1];
        s.in[1] = SHAPE(d[1], 1, d[5], d[5]);
        s.what = "depthwise conv2d";
        if (shape_of(&op_conv2d, &plain, &a, 2, s.in, &s.out))
            check_kernels(&s);
    }
    for (int64_t m = 1; m < 80; m += 13) {                  /* rows of whole slabs are read as they lie */
        linear_attr a = { .e = { .bias = true } };
        setting s = { .op = &op_linear, .c = &plain, .attr = &a, .n = 3, .what = "linear", .precision = TG_BF16,
                      .in = { SHAPE(m, 64), SHAPE(40 + m, 64), SHAPE(40 + m) } };
        const gemm_vec *was = gemm_exchange(TG_BF16, m % 2 ? &gemm_bf16_emulated_dot : &gemm_bf16_emulated_amx);
        if (shape_of(&op_linear, &plain, &a, 3, s.in, &s.out))
            check_kernels(&s);
        gemm_exchange(TG_BF16, was);
    }
    static const struct { tg_precision p; const gemm_vec *v; } by[] = {
        { TG_BF16, &gemm_bf16_emulated_amx }, { TG_BF16X3, &gemm_bf16x3_emulated_amx }, { TG_BF16X6, &gemm_bf16x6_emulated_amx }, { TG_FP32, NULL },
    };
    for (int i = 1; i < 13; i++) {                          /* rows so long that they are multiplied in pieces */
        const int how = (i - 1) / 3, e = i % 3 + (i > 3 ? 4 : 0), m = how < 3 ? 19 : 90, k = how < 3 ? 2200 : 3100;       /* bias, residual, function */
        linear_attr a = { .e = { .bias = e & 1, .residual = e & 2, .act = e & 4 ? &op_gelu : NULL } };
        setting s = { .op = &op_linear, .c = &plain, .attr = &a, .n = 2 + (e & 1) + (e >> 1 & 1), .what = "linear", .precision = by[how].p,
                      .in = { SHAPE(m, k), SHAPE(17, k), e & 1 ? SHAPE(17) : SHAPE(m, 17), SHAPE(m, 17) } };
        const gemm_vec *was = by[how].v ? gemm_exchange(s.precision, by[how].v) : NULL;
        if (shape_of(&op_linear, &plain, &a, s.n, s.in, &s.out))
            check_kernels(&s);
        if (was)
            gemm_exchange(s.precision, was);
    }
    for (int i = 0; i < 2; i++) {                           /* a right operand of more than L2 holds, in groups of panels */
        linear_attr a = { .e = { .bias = true } };
        setting s = { .op = &op_linear, .c = &plain, .attr = &a, .n = 3, .what = "linear", .precision = i ? TG_BF16X3 : TG_FP32,
                      .in = { SHAPE(210, 340), SHAPE(790, 340), SHAPE(790) } };
        if (shape_of(&op_linear, &plain, &a, 3, s.in, &s.out))
            check_kernels(&s);
    }
    static const int64_t gated[][5] = {      /* n c h w out: blocks that span images, panels for several threads, rows in pieces */
        { 3, 40, 5, 3, 24 }, { 5, 64, 7, 7, 300 }, { 2, 2200, 4, 5, 17 }, { 1, 9, 1, 33, 5 }, { 19, 33, 2, 1, 16 },
        { 1, 9, 1, 1, 130 },
    };
    for (int i = 0; i < 24; i++) {
        const int64_t *d = gated[i / 4];
        conv2d_attr a = { .stride = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1,
                          .e = { .gate = true, .residual = (i + i / 4) % 2, .act = i >= 8 ? &op_hard_swish : NULL } };
        a.e.act_first = a.e.act && a.e.residual;
        setting s = { .op = &op_conv2d, .c = &plain, .attr = &a, .what = "gated conv2d", .precision = by[i % 4].p,
                      .in = { SHAPE(d[0], d[1], d[2], d[3]), SHAPE(d[4], d[1], 1, 1) } };
        s.n = 2;
        if (a.e.residual)
            s.in[s.n++] = SHAPE(d[0], d[4], d[2], d[3]);
        s.in[s.n++] = SHAPE(d[0], d[1], 1, 1);
        const gemm_vec *was = by[i % 4].v ? gemm_exchange(s.precision, by[i % 4].v) : NULL;
        if (shape_of(&op_conv2d, &plain, &a, s.n, s.in, &s.out))
            check_kernels(&s);
        if (was)
            gemm_exchange(s.precision, was);
    }
    static const int64_t copied[][8] = {     /* n c h w out kernel stride precision: images in two copies, and rows of taps apart */
         { 3, 39040, 1, 2, 1, 3, 1, 0 }, { 5, 192, 7, 9, 17, 5, 2, 0 }, { 2, 96, 8, 5, 33, 5, 2, 1 }, { 3, 64, 9, 11, 7, 5, 3, 2 },
    };
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const int64_t *d = copied[i];
        const int stride = (int)d[6], pad = (int)d[5] / 2;
        conv2d_attr a = { .stride = { stride, stride }, .pad = { pad, pad, pad, pad }, .dilation = { 1, 1 }, .groups = 1, .e = { .residual = true } };
        setting s = { .op = &op_conv2d, .c = &plain, .attr = &a, .n = 3, .what = "copied conv2d", .precision = by[d[7]].p,
                      .in = { SHAPE(d[0], d[1], d[2], d[3]), SHAPE(d[4], d[1], d[5], d[5]),
                              SHAPE(d[0], d[4], (d[2] - 1) / stride + 1, (d[3] - 1) / stride + 1) } };
        const gemm_vec *was = gemm_exchange(s.precision, by[d[7]].v);
        const bool shaped = shape_of(&op_conv2d, &plain, &a, s.n, s.in, &s.out);
        CHECK(shaped, "case %zu", i);
        if (shaped)
            check_kernels(&s);
        gemm_exchange(s.precision, was);
    }
    for (int64_t m = 1; m < 40; m += 6)
        for (int64_t n = 1; n < 80; n += 13)
            for (int64_t k = 1; k < 70; k += 17) {
                linear_attr a = { .e = { .bias = true } };
                setting s = { .op = &op_linear, .c = &plain, .attr = &a, .n = 3, .what = "linear",
                              .in = { SHAPE(m, k), SHAPE(n, k), SHAPE(n) } };
                if (shape_of(&op_linear, &plain, &a, 3, s.in, &s.out))
                    check_kernels(&s);
            }
}

/* Narrow groups, and their gradient in the input, by dot products: part of a block of channels, strips of each length, borders, functions. */
TEST(ops_narrow_groups_by_dot_products)
{
    static const char *const acts[] = { NULL, "relu", "relu6", "silu", "gelu", "gelu_tanh", "hard_swish", "tanh" };
    static const int64_t cases[][8] = {      /* n groups channels h w kernel stride dilation */
        { 2, 4, 4, 5, 9, 3, 1, 1 },  { 1, 9, 4, 7, 7, 3, 2, 1 },   { 1, 3, 8, 4, 17, 3, 1, 1 },  { 2, 5, 8, 6, 14, 3, 2, 1 }, { 1, 3, 16, 9, 3, 3, 1, 2 },
        { 1, 2, 16, 3, 28, 3, 2, 1 }, { 1, 2, 32, 5, 7, 3, 1, 1 }, { 1, 17, 2, 6, 6, 3, 1, 1 },  { 1, 5, 4, 8, 6, 5, 1, 1 },  { 1, 4, 8, 5, 5, 1, 1, 1 },
        { 1, 2, 4, 9, 8, 3, 3, 1 },  { 1, 4, 16, 1, 1, 3, 1, 1 },
    };
    static const tg_case plain = { .note = "narrow groups" };
    const gemm_vec *was = gemm_exchange(TG_BF16, &gemm_bf16_emulated_dot);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t *d = cases[i];
        const int pad = (int)(d[5] / 2 * d[7]), stride = (int)d[6];
        conv2d_attr a = { .stride = { stride, stride }, .pad = { pad, pad, pad, pad }, .dilation = { (int)d[7], (int)d[7] }, .groups = (int)d[1] };
        setting s = { .op = &op_conv2d, .c = &plain, .attr = &a, .n = 2, .what = "grouped conv2d", .precision = TG_BF16,
                      .in = { SHAPE(d[0], d[1] * d[2], d[3], d[4]), SHAPE(d[1] * d[2], d[2], d[5], d[5]) } };
        CHECK(shape_of(&op_conv2d, &plain, &a, 2, s.in, &s.out), "case %zu", i);
        const conv2d_grad_attr back = { a, s.in[0] };
        setting to_x = { .op = &op_conv2d_grad_input, .c = &plain, .attr = &back, .n = 2, .what = "its gradient", .precision = TG_BF16,
                         .in = { s.out, s.in[1] }, .out = s.in[0] };
        check_kernels(&to_x);
        a.e.act = acts[i % 8] ? tg_find_op(acts[i % 8]) : NULL;
        a.e.bias = i % 3 != 1;
        if (a.e.bias)
            s.in[s.n++] = SHAPE(d[1] * d[2]);
        check_kernels(&s);
    }
    gemm_exchange(TG_BF16, was);
}

static int64_t drawn(int64_t lo, int64_t hi)
{
    static uint64_t n;
    return lo + (int64_t)(random_uniform(seed(), ++n) * (double)(hi - lo + 1));
}

/* Convolutions and both their gradients, of any groups, strides, dilations and pads; each fourth of 32 channels, a slab of products of
 * bfloat16 numbers. */
TEST(ops_convolutions_at_random)
{
    static const tg_case plain = { .note = "at random" };
    int made = 0;
    for (int i = 0; i < 60; i++) {
        int64_t n = drawn(1, 3), groups = drawn(0, 1) ? 1 : drawn(2, 6), in = drawn(1, 20), out = drawn(1, 20), size[2], k[2];
        conv2d_attr a = { .groups = (int)groups };
        bool same = drawn(0, 2) > 0;
        if (i % 4 == 3)
            groups = a.groups = 1, in = 32, out = i % 8 == 3 ? 32 : out;
        for (int j = 0; j < 2; j++) {
            k[j] = j && same ? k[0] : drawn(1, 5);
            a.stride[j] = j && same ? a.stride[0] : (int)drawn(1, 2);
            a.dilation[j] = j && same ? a.dilation[0] : drawn(0, 3) ? 1 : 2;
            a.pad[j] = (int)drawn(0, k[j] - 1);
            a.pad[2 + j] = same ? a.pad[j] : (int)drawn(0, k[j] - 1);
            size[j] = drawn(1, 15);
        }
        tg_shape x = SHAPE(n, groups * in, size[0], size[1]), w = SHAPE(groups * out, in, k[0], k[1]);
        tg_check check = { 0 };
        tg_shape y = op_conv2d.shape(&check, (tg_shape[]){ x, w }, 2, &a);
        if (check.failed)
            continue;
        conv2d_grad_attr to_x = { a, x }, to_w = { a, w };
        setting s[] = { { .op = &op_conv2d, .attr = &a, .in = { x, w }, .out = y, .what = "conv2d" },
                        { .op = &op_conv2d_grad_input, .attr = &to_x, .in = { y, w }, .out = x, .what = "conv2d_grad_input" },
                        { .op = &op_conv2d_grad_weight, .attr = &to_w, .in = { y, x }, .out = w, .what = "conv2d_grad_weight" } };
        for (int j = 0; j < 3; j++) {
            s[j].c = &plain;
            s[j].n = 2;
            check_kernels(&s[j]);
            const gemm_vec *was = gemm_exchange(TG_BF16, i % 8 < 4 ? &gemm_bf16_emulated_amx : &gemm_bf16_emulated_dot);
            s[j].precision = TG_BF16;
            if (i % 4 > 1)
                check_kernels(&s[j]);
            gemm_exchange(TG_BF16, was);
            was = gemm_exchange(TG_BF16X3, &gemm_bf16x3_emulated_amx);
            s[j].precision = TG_BF16X3;
            if (i % 4 == 3)
                check_kernels(&s[j]);
            gemm_exchange(TG_BF16X3, was);
            was = gemm_exchange(TG_BF16X6, &gemm_bf16x6_emulated_amx);
            s[j].precision = TG_BF16X6;
            if (i % 4 == 3)
                check_kernels(&s[j]);
            gemm_exchange(TG_BF16X6, was);
        }
        made++;
    }
    CHECK(made > 20, "%d convolutions", made);
}

static void check_products(tg_precision p)
{
    static const char *const names[] = { "conv2d", "conv2d_shortcut", "conv2d_grad_input", "conv2d_grad_weight", "expand_depthwise", "linear", "matmul",
                                         "attention", "attention_grad" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_product(tg_find_op(names[i]), p);
}

/* Products of operands that may be rounded, in every kernel that takes them: by the instructions of this machine, and by those
 * of others, emulated. */
static void check_emulated(tg_precision p, const gemm_vec *v)
{
    const gemm_vec *was = gemm_exchange(p, v);
    check_products(p);
    gemm_exchange(p, was);
}

/* dw of `images` of C channels from number `first` on, by Winograd's kernel. */
enum { LOTS_OF = 4, C = 32, SIZE = 80 };
static void weights_by_winograd(pool *p, tg_precision precision, float *const in[2], int64_t first, int64_t images, float *dw)
{
    const tg_shape maps = SHAPE(images, C, SIZE, SIZE), w = SHAPE(C, C, 3, 3);
    const conv2d_grad_attr a = { { { 1, 1 }, { 1, 1, 1, 1 }, { 1, 1 }, 1, { 0 } }, w };
    tg_tensor t[2] = { { .shape = maps, .data = in[0] + first * C * SIZE * SIZE }, { .shape = maps, .data = in[1] + first * C * SIZE * SIZE } };
    tg_call call = { .op = &op_conv2d_grad_weight, .attr = &a, .in = t, .n_in = 2, .out = { .shape = w, .data = dw }, .precision = precision, .pool = p };
    status st = { 0 };
    tg_prep prep = { .st = &st };
    tg_channels_last(&t[0]);
    tg_channels_last(&t[1]);
    tg_dense(&call.out);
    REQUIRE(!kernel_winograd_grad_weight.declines(&call) && kernel_winograd_grad_weight.prepare(&call, &prep), "%s", st.text);
    call.state = prep.state;
    call.scratch = aligned_alloc(64, (prep.scratch + 63) / 64 * 64);
    kernel_winograd_grad_weight.run(&call);
    kernel_winograd_grad_weight.release(prep.state);
    free(call.scratch);
}

/* More tiles than a lot has: the sum of what images give alone, each of one lot where the products are by parts; and in single precision, where lots
 * are smaller and of two sets, the same bytes by any number of threads. */
TEST(ops_gradients_of_weights_in_lots)
{
    enum { NUMBERS = LOTS_OF * C * SIZE * SIZE, WEIGHTS = C * C * 9 };
    float *in[2] = { malloc(NUMBERS * sizeof(float)), malloc(NUMBERS * sizeof(float)) };
    static float all[WEIGHTS], one[WEIGHTS];
    static double sum[WEIGHTS];
    double worst = 0, most = 0;
    for (int i = 0; i < NUMBERS; i++)
        for (int j = 0; j < 2; j++)
            in[j][i] = (float)random_uniform(seed() + (uint64_t)j, (uint64_t)i + 1) - .5f;
    pool *p = pool_open(2);
    const gemm_vec *was = gemm_exchange(TG_BF16X6, &gemm_bf16x6_emulated_amx);
    weights_by_winograd(p, TG_BF16X6, in, 0, LOTS_OF, all);
    for (int64_t n = 0; n < LOTS_OF; n++) {
        weights_by_winograd(p, TG_BF16X6, in, n, 1, one);
        for (int i = 0; i < WEIGHTS; i++)
            sum[i] += (double)one[i];
    }
    gemm_exchange(TG_BF16X6, was);
    pool_close(p);
    for (int i = 0; i < WEIGHTS; i++) {
        worst = fmax(worst, fabs(sum[i] - (double)all[i]));
        most = fmax(most, fabs(sum[i]));
    }
    CHECK(most > 1 && worst <= op_conv2d_grad_weight.tol * most, "off by %.3g of %.3g", worst, most);
    for (int threads = 1; threads <= 3; threads++) {
        p = pool_open(threads);
        weights_by_winograd(p, TG_FP32, in, 0, LOTS_OF, threads == 1 ? all : one);
        pool_close(p);
        CHECK(threads == 1 || !memcmp(one, all, sizeof all), "other bytes on %d threads", threads);
    }
    worst = 0;
    for (int i = 0; i < WEIGHTS; i++)
        worst = fmax(worst, fabs(sum[i] - (double)all[i]));
    CHECK(worst <= op_conv2d_grad_weight.tol * most, "in single precision off by %.3g of %.3g", worst, most);
    free(in[0]);
    free(in[1]);
}

TEST(ops_products_in_bf16x6) { check_products(TG_BF16X6); }
TEST(ops_products_in_bf16x3) { check_products(TG_BF16X3); }
TEST(ops_products_in_bf16) { check_products(TG_BF16); }
TEST(ops_products_in_bf16_by_dot) { check_emulated(TG_BF16, &gemm_bf16_emulated_dot); }
TEST(ops_products_in_bf16_by_amx) { check_emulated(TG_BF16, &gemm_bf16_emulated_amx); }
TEST(ops_products_in_bf16x6_by_amx) { check_emulated(TG_BF16X6, &gemm_bf16x6_emulated_amx); }
TEST(ops_products_in_bf16x3_by_amx) { check_emulated(TG_BF16X3, &gemm_bf16x3_emulated_amx); }
