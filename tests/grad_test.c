/* grad_test.c - every gradient rule, and its own gradient, against central differences of the definitions, in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/random.h"
#include "interpret.h"
#include "ops/op.h"
#include "test.h"

enum { MOST = 8 };
/* Numbers moved of an operand.  Where memory is watched, which takes ten times as long, few: the numbers are checked without. */
#ifdef __SANITIZE_ADDRESS__
enum { PROBES = 2, FEW_PROBES = 1 };
#else
enum { PROBES = 12, FEW_PROBES = 4 };
#endif

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

typedef struct subject { tg_graph *g; tg *x[MOST], *y, *dy, *dx[MOST]; int n; double *value[MOST + 1]; } subject;

/* sum y dy with element i of operand k moved by h. */
static double moved(subject *s, int k, int64_t i, double h)
{
    double *y = NULL, kept = s->value[k][i], sum = NAN;
    s->value[k][i] += h;
    if (interpret(s->g, &s->y, 1, s->value, &y))
        sum = dot(y, s->value[s->n], tg_numel(s->y->shape));
    s->value[k][i] = kept;
    free(y);
    return sum;
}

/* dx NULL: all zero. */
static void probe(subject *s, const tg_op *op, const tg_case *c, int k, const double *dx, int probes)
{
    int64_t n = tg_numel(s->x[k]->shape);
    double largest = 1e-3;
    for (int64_t i = 0; i < n && dx; i++)
        largest = fmax(largest, fabs(dx[i]));
    for (int p = 0; p < probes && p < n; p++) {
        int64_t i = n <= probes ? p : (int64_t)(random_uniform(99, (uint64_t)p + 1) * (double)n);
        double h = 1e-5, far = (moved(s, k, i, h) - moved(s, k, i, -h)) / (2 * h);
        /* Richardson: the error of the difference falls from h^2 to h^4. */
        double near_ = (moved(s, k, i, h / 2) - moved(s, k, i, -h / 2)) / h, slope = (4 * near_ - far) / 3;
        double is = dx ? dx[i] : 0;
        CHECK(fabs(slope - is) <= 1e-6 * largest, "%s%s%s: d/d operand %d [%lld] is %.9g, its differences say %.9g", op->name,
              c->note ? ", " : "", c->note ? c->note : "", k, (long long)i, is, slope);
    }
}

/* The rule's own nodes differentiated: of the sum of dx z over all operands, in these and in dy. */
static void check_second(const subject *first, const tg_op *op, const tg_case *c)
{
    status st = { 0 };
    subject s = { .g = first->g, .n = first->n + 1 };
    double one = 1;
    first->g->st = &st;
    memcpy(s.x, first->x, sizeof s.x);
    memcpy(s.value, first->value, sizeof s.value);
    s.x[first->n] = first->dy;
    s.value[s.n] = &one;
    for (int k = 0; k < first->n; k++) {
        int64_t n = first->dx[k] ? tg_numel(first->dx[k]->shape) : 0;
        float *z = malloc((size_t)n * sizeof *z + 1);
        for (int64_t i = 0; i < n; i++)
            z[i] = (float)(2 * random_uniform(17 + (uint64_t)k, (uint64_t)i + 1) - 1);
        if (n) {
            tg *weighed = tg_mul(first->dx[k], tg_constant(s.g, first->dx[k]->shape, z));
            tg *sum = tg_reshape(tg_sum(weighed, (1u << tg_rank(weighed)) - 1), SHAPE(1));
            s.y = s.y ? tg_add(s.y, sum) : sum;
        }
        free(z);
    }
    if (!s.y)
        return;
    s.dy = tg_constant(s.g, SHAPE(1), &(float){ 1 });
    tg_gradients(s.y, s.dy, s.x, s.n, s.dx);
    CHECK(status_ok(&st), "%s, twice: %s", op->name, st.text);
    for (int k = 0; k < s.n && status_ok(&st); k++) {
        double *dx = NULL;
        if (s.x[k]->wants_grad && (!s.dx[k] || interpret(s.g, &s.dx[k], 1, s.value, &dx)))
            probe(&s, op, c, k, dx, FEW_PROBES);
        free(dx);
    }
}

static void check(const tg_op *op, const tg_case *c)
{
    status st = { 0 };
    subject s = { .g = tg_graph_new(&st) };
    while (s.n < (int)(sizeof c->in / sizeof *c->in) && c->in[s.n].rank)
        s.n++;
    for (int i = 0; i < s.n; i++) {
        int64_t n = tg_numel(c->in[i]);
        bool whole = c->index_of >> i & 1, plain = (c->lo == 0 && c->hi == 0) || (c->index_of && !whole);
        double lo = plain ? -2 : c->lo, hi = plain ? 2 : c->hi;
        s.x[i] = tg_input(s.g, i, c->in[i]);
        s.x[i]->wants_grad = !whole;
        s.value[i] = malloc((size_t)n * sizeof(double));
        for (int64_t k = 0; k < n; k++) {
            double u = random_uniform(hash_name(op->name) + (uint64_t)i, (uint64_t)k + 1);
            s.value[i][k] = whole ? floor(lo + (hi - lo + 1) * u) : lo + (hi - lo) * u;
        }
    }
    s.y = tg_apply(op, s.x, s.n, c->attr);
    int64_t n = tg_numel(s.y->shape);
    s.dy = tg_input(s.g, s.n, s.y->shape);
    s.dy->wants_grad = true;
    s.value[s.n] = malloc((size_t)n * sizeof(double));
    for (int64_t k = 0; k < n; k++)
        s.value[s.n][k] = 2 * random_uniform(5, (uint64_t)k + 1) - 1;
    tg_gradients(s.y, s.dy, s.x, s.n, s.dx);
    CHECK(status_ok(&st), "%s: %s", op->name, st.text);
    for (int k = 0; k < s.n && status_ok(&st); k++) {
        double *dx = NULL;
        if (!s.x[k]->wants_grad)
            continue;
        CHECK(s.dx[k], "%s: nothing flows to operand %d", op->name, k);
        if (!s.dx[k])
            continue;
        CHECK(tg_same(s.dx[k]->shape, s.x[k]->shape), "%s: d/d operand %d is %s", op->name, k, tg_str(s.dx[k]->shape));
        if (tg_same(s.dx[k]->shape, s.x[k]->shape) && interpret(s.g, &s.dx[k], 1, s.value, &dx))
            probe(&s, op, c, k, dx, PROBES);
        free(dx);
    }
    if (status_ok(&st))
        check_second(&s, op, c);
    for (int i = 0; i <= s.n; i++)
        free(s.value[i]);
    tg_graph_free(s.g);
}

TEST(gradients_as_central_differences)
{
    size_t n;
    int checked = 0;
    const tg_op *const *ops = tg_ops(&n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ops[i]->n_cases; k++) {
            const tg_case *c = &ops[i]->cases[k];
            if (c->rejects || c->kinked || (ops[i]->flags & TG_FLAT))
                continue;
            check(ops[i], c);
            checked++;
        }
    CHECK(checked > 100, "%d cases", checked);
}
