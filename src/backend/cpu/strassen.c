/* strassen.c - large products in single precision of seven products of halves, not eight (V. Strassen, "Gaussian Elimination is not Optimal", 1969;
 * in S. Winograd's form, of fewer sums).
 *
 * Rows, columns and the numbers of a row are halved once: with a the left operand's quarters and b the right one's,
 *
 *     s1 = a21 + a22   s2 = s1 - a11   s3 = a11 - a21   s4 = a12 - s2     t1 = b12 - b11   t2 = b22 - t1   t3 = b22 - b12   t4 = b21 - t2
 *     p1 = a11 b11   p2 = a12 b21   p3 = s4 b22   p4 = a22 t4   p5 = s1 t1   p6 = s2 t2   p7 = s3 t3     u = p1 + p6
 *
 *     c11 = p1 + p2   c12 = u + p5 + p3   c21 = u + p7 + p4   c22 = u + p7 + p5
 *
 * It is halves of what lies in L2 that are taken, not of the matrices: of a block of rows, whose sums stay there for all columns, and of two
 * neighbouring panels of the packed right operand, whose sums the block's first tile makes on its way.  So weights are packed as for other
 * products, no sum goes to memory, and what a product is added to is where its own sums begin.
 */
#include "gemm.h"
#include <string.h>
#include "strassen.h"

enum { MOST = 104, LONGEST = 1024, APART = 16, FEW = 16, LEAST = 32 };

const strassen_step strassen_steps[STRASSEN_PRODUCTS] = {
    { Q11, Q11, NONE, NONE, { NONE, NONE }, P1, NONE, NONE, Q12 },
    { S1, Q12, Q11, X, { NONE, NONE }, P5, NONE, NONE, Q22 },
    { S2, Q22, X, Y, { P1, NONE }, P1_P6, NONE, NONE, NONE },
    { S3, Q22, Q12, X, { P1_P6, NONE }, P1_P6_P7, P5, Q22, Q21 },
    { Q22, Q21, Y, X, { P1_P6_P7, NONE }, NONE, NONE, Q21, NONE },
    { S4, Q22, NONE, NONE, { P1_P6, P5 }, NONE, NONE, Q12, NONE },
    { Q12, Q21, NONE, NONE, { P1, NONE }, NONE, NONE, Q11, NEXT },
};

const char *strassen_declines(int64_t m, int64_t n, int64_t k, bool last)
{
    const gemm_vec *v = VEC_PICK(gemm_vec);
    if (m < LEAST || k < 2 || k % 2 || n < 2 * gemm_panel(v, m, n, 1, k) * v->width)
        return "no halves";
    return last && k > LONGEST ? "a residual after a function, and pieces" : NULL;
}

/* By times of 784 to 50176 rows by 64 to 3072 numbers: sums cost as much as an eighth of a product of about 96 x 128. */
const char *strassen_doubts(int64_t m, int64_t n, int64_t k) { return m < 96 || n < 128 || k < 128 ? "few numbers, whose sums take as long" : NULL; }

/* Rows of each half of a block: as many as have their sums of `half` numbers in half of L2. */
static int half_rows(const gemm_vec *v, int vecs, int64_t half)
{
    const int most = v->rows[vecs];
    int64_t rows = (int64_t)(cpu()->l2 * 7 / 16 / sizeof(float)) / (STRASSEN_SUMS * half);
    rows = rows > MOST ? MOST : rows;
    return (int)(rows < 3 * most ? 3 * most : rows / most * most);
}

int64_t strassen_length(int64_t run)
{
    const int64_t parts = (run + LONGEST - 1) / LONGEST;
    return parts < 2 ? run : ((run + parts - 1) / parts + 31) / 32 * 32;
}

/* Of a thread: pointers, sums of rows, of panels, and those that wait. */
enum { HEAD = 3 * 2 * MOST * 8 / 64 * 64 + 64 };
typedef struct sizes { int rows; int64_t half; size_t left, right, all; } sizes;

/* For all pieces of a run of so many numbers. */
static sizes sizes_of(const gemm_vec *v, int vecs, int64_t run)
{
    const int64_t half = strassen_length(run) / 2, panel = vecs * v->width;
    const int rows = half_rows(v, vecs, half);
    const size_t left = lines(STRASSEN_SUMS * rows * (half + APART)), right = lines(2 * half * panel);
    return (sizes){ rows, half, left, right, HEAD + left + right + lines(STRASSEN_WAITING * rows * panel) };
}

size_t strassen_scratch(const gemm_vec *v, int vecs, int64_t run, int threads) { return sizes_of(v, vecs, run).all * (size_t)threads; }

struct deal { const gemm *g; const strassen_vec *s; sizes z; int threads; int64_t pairs, blocks, groups, per_group; };

/* Some rows, the upper ones and as many below, or one less; 2 half numbers of each. */
typedef struct block {
    const gemm *g;
    int upper, lower, tiles;                /* tiles down a half */
    int64_t half, step, panel, deep;        /* from row to row of its sums; of a panel's columns and rows */
    void **out;
    const void **residual, **row;
    float *left, *right, *waiting;
} block;

static block block_of(const struct deal *d, int rows)
{
    const gemm *g = d->g;
    char *place = g->scratch + (size_t)pool_worker() * d->z.all;
    const int upper = (rows + 1) / 2, most = g->v->rows[g->vecs];
    block b = { .g = g, .upper = upper, .lower = rows - upper, .tiles = (upper + most - 1) / most, .half = g->run / 2, .step = g->run / 2 + APART,
                .panel = g->vecs * g->v->width, .deep = g->of_run ? g->of_run : g->run };
    b.out = (void **)(void *)place;
    b.residual = (const void **)(b.out + 2 * MOST);
    b.row = b.residual + 2 * MOST;
    b.left = (float *)(void *)(place + HEAD);
    b.right = (float *)(void *)(place + HEAD + d->z.left);
    b.waiting = (float *)(void *)(place + HEAD + d->z.left + d->z.right);
    return b;
}

static void places(const void *at, const rowmap *map, int64_t from, int rows, void **to)
{
    int64_t offset[2 * MOST];
    rowmap_offsets(map, from, rows, offset);
    for (int i = 0; i < rows; i++)
        to[i] = (float *)(uintptr_t)at + offset[i];
}

/* Where rows from `from` on lie and go, and their sums. */
static void bring_rows(const block *b, const strassen_vec *s, int64_t from)
{
    const gemm *g = b->g;
    const int rows = b->upper + b->lower;
    places(g->out, &g->out_rows, from, rows, b->out);
    if (g->add)
        memcpy(b->residual, b->out, (size_t)rows * sizeof *b->out);
    else if (g->residual)
        places(g->residual, &g->residual_rows, from, rows, (void **)b->residual);
    for (int i = 0; i < rows; i += TILE_ROWS)
        g->rows(g->ctx, from + i, rows - i < TILE_ROWS ? rows - i : TILE_ROWS, b->row + i);
    for (int i = 0; i < rows; i++)
        b->row[i] = (const float *)b->row[i] + g->skip;
    if (b->lower < b->upper)                                /* below the last one is none: any numbers will do */
        b->row[rows] = b->row[b->upper - 1];
    for (int i = 0; i < b->upper; i++) {
        const float *one = b->row[i], *two = b->row[b->upper + i];
        s->sums((const float *const[]){ one, one + b->half, two, two + b->half }, b->half, b->left + i * b->step, b->upper * b->step);
    }
}

/* The first tile has all rows that one can have, the others are alike. */
static int tile_row(const block *b, int t)
{
    const int most = b->g->v->rows[b->g->vecs];
    return !t ? 0 : t == b->tiles ? b->upper : most + (b->upper - most) * (t - 1) / (b->tiles - 1);
}

static const float *left_row(const block *b, int operand, int i)
{
    if (operand >= S1)
        return b->left + ((operand - S1) * b->upper + i) * b->step;
    return (const float *)b->row[operand == Q22 ? b->upper + i : i] + (operand == Q11 ? 0 : b->half);
}

static float *waiting(const block *b, int sum, int row) { return sum == NONE ? NULL : b->waiting + (sum * b->upper + row) * b->panel; }

/* One product, of the pair of panels whose quarters and sums are `right`; columns from `column` on. */
static void multiply(const block *b, const strassen_step *s, const float *const *right, int64_t column)
{
    const gemm *g = b->g;
    const int below = strassen_below(s) ? b->upper : 0;
    const float *row[TILE_ROWS];
    gemm_tile tile = { .row = row, .taps = 1, .run = b->half, .used = b->half, .columns = (int)b->panel, .b = right[s->right] };
    if (s->result != NONE) {
        tile.column = column + (strassen_beside(s) ? b->panel : 0);
        tile.bias = g->bias;
        tile.act_first = g->act_first;
        tile.f = g->f;
    }
    tile.ahead = (const char *)(s->ahead == NONE ? tile.b : right[s->ahead]);
    tile.ahead_step = s->ahead == NONE ? 0 : b->panel * (int64_t)sizeof(float) / b->tiles;
    for (int t = 0; t < b->tiles; t++, tile.ahead += b->half * tile.ahead_step) {
        const int from = tile_row(b, t), end = tile_row(b, t + 1), used = below && end > b->lower ? b->lower - from : end - from;
        for (int i = from; i < end; i++)
            row[i - from] = left_row(b, s->left, i);
        for (int i = 0; i < 2; i++)
            tile.from[i] = waiting(b, s->from[i], from);
        tile.keep = waiting(b, s->keep, from);
        tile.plus = waiting(b, s->plus, from);
        if (s->result != NONE) {
            tile.out = (float *const *)(b->out + from + below);
            tile.residual = g->residual || g->add ? (const float *const *)(b->residual + from + below) : NULL;
        }
        if (!t && s->less != NONE) {
            tile.other = right[s->less];
            tile.sum = b->right + (s->sum - X) * b->half * b->panel;
            g->v->summed[g->vecs](&tile);
            tile.b = tile.sum;
        } else if (used)
            g->v->tile[g->vecs][used](&tile);
    }
}

/* As many blocks as threads at once by the same panels. */
static void work(void *arg, int64_t from, int64_t to)
{
    const struct deal *d = arg;
    const gemm *g = d->g;
    for (int64_t i = from; i < to; i++) {
        const int64_t band = i / (d->threads * d->groups), begin = band * d->threads, in = i - begin * d->groups;
        const int64_t blocks = d->blocks - begin < d->threads ? d->blocks - begin : d->threads, at = begin + in % blocks;
        const int64_t row = g->m * at / d->blocks, first = in / blocks * d->per_group;
        const int64_t last = first + d->per_group < d->pairs ? first + d->per_group : d->pairs;
        const block b = block_of(d, (int)(g->m * (at + 1) / d->blocks - row));
        bring_rows(&b, d->s, row);
        for (int64_t p = first; p < last; p++) {
            const float *one = g->b + (2 * p * b.deep + g->skip) * b.panel, *two = one + b.deep * b.panel, *next = p + 1 < last ? two + b.deep * b.panel : one;
            const float *right[] = { one, two, one + b.half * b.panel, two + b.half * b.panel, b.right, b.right + b.half * b.panel, next };
            for (int k = 0; k < STRASSEN_PRODUCTS; k++)
                multiply(&b, &strassen_steps[k], right, 2 * p * b.panel);
        }
    }
}

void strassen_run(const gemm *g, int64_t pairs, pool *p)
{
    struct deal d = { .g = g, .s = VEC_PICK(strassen_vec), .z = sizes_of(g->v, g->vecs, g->of_run ? g->of_run : g->run), .threads = pool_threads(p),
                      .pairs = pairs };
    d.blocks = (g->m + 2 * d.z.rows - 1) / (2 * d.z.rows);
    if (d.blocks < FEW)                                     /* of few each thread is to have as many, of two; not of `threads`, which results know nothing of */
        d.blocks = (d.blocks + 1) / 2 * 2;
    d.groups = (4 * d.threads + d.blocks - 1) / d.blocks;
    d.groups = d.groups > pairs ? pairs : d.groups;
    d.per_group = (pairs + d.groups - 1) / d.groups;
    d.groups = (pairs + d.per_group - 1) / d.per_group;
    pool_run(p, d.blocks * d.groups, 1, work, &d);
}
