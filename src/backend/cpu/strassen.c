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
 * Halves are an image's even and odd rows, and all columns' first and last ones, so that results depend neither on other images nor on how work is dealt out.  It is done where
 * things lie in L2: of a block of pairs of rows the sums stay there for all columns, and of two panels of the packed right operand they are made by
 * the block's first tile on its way.  So weights are packed as for other products, no sum goes to memory, and what a product is added to is where
 * its own sums begin.
 */
#include "gemm.h"
#include <string.h>
#include "strassen.h"

enum { MOST = 104, LONGEST = 1024, APART = 16, FEWEST = 2 * TILE_ROWS };

const strassen_step strassen_steps[STRASSEN_PRODUCTS] = {
    { Q11, Q11, NONE, NONE, { NONE, NONE }, P1, NONE, NONE, Q12 },
    { S1, Q12, Q11, X, { NONE, NONE }, P5, NONE, NONE, Q22 },
    { S2, Q22, X, Y, { P1, NONE }, P1_P6, NONE, NONE, NONE },
    { S3, Q22, Q12, X, { P1_P6, NONE }, P1_P6_P7, P5, Q22, Q21 },
    { Q22, Q21, Y, X, { P1_P6_P7, NONE }, NONE, NONE, Q21, NONE },
    { S4, Q22, NONE, NONE, { P1_P6, P5 }, NONE, NONE, Q12, NONE },
    { Q12, Q21, NONE, NONE, { P1, NONE }, NONE, NONE, Q11, NEXT },
};

int strassen_vecs(int width, const int *rows, int64_t n)
{
    for (int vecs = 4; vecs > 1; vecs--)
        if (rows[vecs] > 1 && n % (2 * vecs * width) == 0)
            return vecs;
    return 0;
}

const char *strassen_declines(int64_t image, int64_t n, int64_t k, bool last)
{
    const gemm_vec *v = VEC_PICK(gemm_vec);
    if (image < FEWEST || k % 2 || k < 2 || !strassen_vecs(v->width, v->rows, n))
        return "no halves";
    return last && k > LONGEST ? "a residual after a function, and pieces" : NULL;
}

/* By times of 36 to 50176 rows by 64 to 3072 numbers: sums cost as much as an eighth of a product of about 96 x 128. */
const char *strassen_doubts(double m, int64_t n, int64_t k)
{
    const int64_t few = m < 96 ? 256 : 128;
    return n < few || k < few ? "few numbers, whose sums take as long" : NULL;
}

int64_t strassen_length(int64_t run)
{
    const int64_t parts = (run + LONGEST - 1) / LONGEST;
    return parts < 2 ? run : ((run + parts - 1) / parts + 31) / 32 * 32;
}

/* Of a thread: which block it holds; pointers; sums of rows, of panels, and those that wait; results that nobody wants. */
enum { HEAD = 64 + 3 * 2 * MOST * 8 };
typedef struct sizes { int pairs; size_t left, right, waiting, all; } sizes;

/* For all pieces of a run of so many numbers.  Pairs of rows: as many as have their sums in half of L2. */
static sizes sizes_of(const gemm_vec *v, int vecs, int64_t run, int64_t n)
{
    const int64_t half = strassen_length(run) / 2, panel = vecs * v->width;
    int64_t pairs = (int64_t)(cpu()->l2 * 7 / 16 / sizeof(float)) / (STRASSEN_SUMS * half) / v->rows[vecs] * v->rows[vecs];
    pairs = pairs > MOST ? MOST : pairs < 3 * v->rows[vecs] ? 3 * v->rows[vecs] : pairs;
    sizes z = { (int)pairs, lines(STRASSEN_SUMS * pairs * (half + APART)), lines(2 * half * panel), lines(STRASSEN_WAITING * pairs * panel), 0 };
    z.all = HEAD + z.left + z.right + z.waiting + lines(n);
    return z;
}

size_t strassen_scratch(const gemm_vec *v, int vecs, int64_t run, int64_t n, int threads) { return sizes_of(v, vecs, run, n).all * (size_t)threads; }

/* per_image: pairs of rows of an image; all of all images. */
struct deal { const gemm *g; const strassen_vec *s; sizes z; int64_t per_image, all, blocks, panels, groups; };

/* Some pairs of rows, the upper ones before the lower ones; 2 half numbers of each. */
typedef struct block {
    const gemm *g;
    int pairs, tiles;
    int64_t half, step, panel, deep;        /* step: from row to row of sums; deep: rows of a panel */
    int64_t *held;
    void **out;
    const void **residual, **row;
    float *left, *right, *waiting, *waste;
} block;

static block block_of(const struct deal *d, int pairs)
{
    const gemm *g = d->g;
    char *place = g->scratch + (size_t)pool_worker() * d->z.all;
    const int most = g->v->rows[g->vecs];
    block b = { .g = g, .pairs = pairs, .tiles = (pairs + most - 1) / most, .half = g->run / 2, .step = g->run / 2 + APART,
                .panel = g->vecs * g->v->width, .deep = g->of_run ? g->of_run : g->run };
    b.held = (int64_t *)(void *)place;
    b.out = (void **)(void *)(place + 64);
    b.residual = (const void **)(b.out + 2 * MOST);
    b.row = b.residual + 2 * MOST;
    b.left = (float *)(void *)(place + HEAD);
    b.right = b.left + d->z.left / sizeof(float);
    b.waiting = b.right + d->z.right / sizeof(float);
    b.waste = b.waiting + d->z.waiting / sizeof(float);
    return b;
}

/* Where rows from `from` on lie and go: each other one is the lower one of a pair, the first of which is the block's at-th. */
static void bring_rows(const block *b, int at, int64_t from, int rows)
{
    const gemm *g = b->g;
    for (int i = 0; i < rows; i += TILE_ROWS) {
        const int here = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
        int64_t out[TILE_ROWS], residual[TILE_ROWS];
        const void *row[TILE_ROWS];
        g->rows(g->ctx, from + i, here, row);
        rowmap_offsets(&g->out_rows, from + i, here, out);
        if (g->residual)
            rowmap_offsets(&g->residual_rows, from + i, here, residual);
        for (int j = 0; j < here; j++) {
            const int to = at + (i + j) / 2 + (i + j) % 2 * b->pairs;
            b->row[to] = (const float *)row[j] + g->skip;
            b->out[to] = (float *)g->out + out[j];
            if (g->add || g->residual)
                b->residual[to] = g->add ? b->out[to] : (const float *)g->residual + residual[j];
        }
    }
}

/* The block's pairs, from all images' `from`-th on, and their sums. */
static void bring(const block *b, const struct deal *d, int64_t from)
{
    const gemm *g = b->g;
    for (int i = 0; i < b->pairs;) {
        const int64_t image = (from + i) / d->per_image, first = (from + i) % d->per_image, left = d->per_image - first;
        const int n = left < b->pairs - i ? (int)left : b->pairs - i;
        const bool odd = 2 * (first + n) > g->image;
        bring_rows(b, i, image * g->image + 2 * first, 2 * n - odd);
        i += n;
        if (odd) {                                          /* below the last one is none: itself will do */
            const int one = i - 1, two = b->pairs + one;
            b->row[two] = b->row[one];
            b->out[two] = b->waste;
            if (g->add || g->residual)
                b->residual[two] = g->add ? b->waste : b->residual[one];
        }
    }
    for (int i = 0; i < b->pairs; i++) {
        const float *one = b->row[i], *two = b->row[b->pairs + i];
        d->s->sums((const float *const[]){ one, one + b->half, two, two + b->half }, b->half, b->left + i * b->step, b->pairs * b->step);
    }
}

/* The first tile has all rows that one can have, the others are alike. */
static int tile_row(const block *b, int t)
{
    const int most = b->g->v->rows[b->g->vecs];
    return !t ? 0 : t == b->tiles ? b->pairs : most + (b->pairs - most) * (t - 1) / (b->tiles - 1);
}

static const float *left_row(const block *b, int operand, int i)
{
    if (operand >= S1)
        return b->left + ((operand - S1) * b->pairs + i) * b->step;
    return (const float *)b->row[operand == Q22 ? b->pairs + i : i] + (operand == Q11 ? 0 : b->half);
}

static float *waiting(const block *b, int sum, int row) { return sum == NONE ? NULL : b->waiting + (sum * b->pairs + row) * b->panel; }

/* One product, of the two panels whose quarters and sums are `right`; columns from `column` on. */
static void multiply(const block *b, const strassen_step *s, const float *const *right, int64_t column)
{
    const gemm *g = b->g;
    const int below = strassen_below(s) ? b->pairs : 0;
    const float *row[TILE_ROWS];
    gemm_tile tile = { .row = row, .taps = 1, .run = b->half, .used = b->half, .columns = (int)b->panel, .b = right[s->right] };
    if (s->result != NONE) {
        tile.column = column + (strassen_beside(s) ? g->n / 2 : 0);
        tile.bias = g->bias;
        tile.act_first = g->act_first;
        tile.f = g->f;
    }
    tile.ahead = (const char *)(s->ahead == NONE ? tile.b : right[s->ahead]);
    tile.ahead_step = s->ahead == NONE ? 0 : b->panel * (int64_t)sizeof(float) / b->tiles;
    for (int t = 0; t < b->tiles; t++, tile.ahead += b->half * tile.ahead_step) {
        const int from = tile_row(b, t), end = tile_row(b, t + 1);
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
            tile.made = b->right + (s->sum - X) * b->half * b->panel;
            g->v->summed[g->vecs](&tile);
            tile.b = tile.made;
        } else
            g->v->tile[g->vecs][end - from](&tile);
    }
}

/* A block by one group of panels after another: so it is brought once by whom it is dealt to, and what a thread wrote it reads. */
static void work(void *arg, int64_t task, int64_t end)
{
    const struct deal *d = arg;
    const gemm *g = d->g;
    for (; task < end; task++) {
        const int64_t at = task / d->groups, group = task % d->groups, from = d->all * at / d->blocks;
        const int64_t last = d->panels * (group + 1) / d->groups;
        const block b = block_of(d, (int)(d->all * (at + 1) / d->blocks - from));
        if (*b.held != at)
            bring(&b, d, from);
        *b.held = at;
        for (int64_t p = d->panels * group / d->groups; p < last; p++) {
            const float *one = g->b + (p * b.deep + g->skip) * b.panel, *two = one + g->n / 2 * b.deep, *next = p + 1 < d->panels ? one + b.deep * b.panel : one;
            const float *right[] = { one, two, one + b.half * b.panel, two + b.half * b.panel, b.right, b.right + b.half * b.panel, next };
            for (int k = 0; k < STRASSEN_PRODUCTS; k++)
                multiply(&b, &strassen_steps[k], right, p * b.panel);
        }
    }
}

void strassen_run(const gemm *g, pool *p)
{
    const int threads = pool_threads(p), most = g->v->rows[g->vecs];
    struct deal d = { .g = g, .s = VEC_PICK(strassen_vec), .z = sizes_of(g->v, g->vecs, g->of_run ? g->of_run : g->run, g->n),
                      .per_image = (g->image + 1) / 2, .panels = g->n / 2 / (g->vecs * g->v->width) };
    d.all = g->m / g->image * d.per_image;
    d.blocks = (d.all + d.z.pairs - 1) / d.z.pairs;
    /* Of few, each thread has as many; but panels, not blocks of fewer than three tiles, whose first one makes each its sums of panels. */
    const int64_t fair = (d.blocks + threads - 1) / threads * threads;
    if (fair <= 8 * threads && (d.all / fair >= 3 * most || d.panels % threads))
        d.blocks = fair;
    if (d.blocks > d.all / most)
        d.blocks = d.all / most;
    d.groups = (4 * threads + d.blocks - 1) / d.blocks;
    d.groups = d.groups > d.panels ? d.panels : d.groups;
    for (int i = 0; i < threads; i++)
        *(int64_t *)(void *)(g->scratch + (size_t)i * d.z.all) = -1;
    pool_run(p, d.blocks * d.groups, 1, work, &d);
}
