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

/* A thread's: pointers, sums of rows and of panels, sums that wait. */
typedef struct room { int64_t *offset; void **out; const void **residual, **row; float *left, *right, *waiting; } room;
enum { HEAD = 4 * 2 * MOST * 8 / 64 * 64 + 64 };

static size_t room_bytes(const gemm_vec *v, int vecs, int64_t run)
{
    const int64_t half = strassen_length(run) / 2, rows = half_rows(v, vecs, half), panel = vecs * v->width;
    return HEAD + lines(STRASSEN_SUMS * rows * (half + APART)) + lines(2 * half * panel) + lines(STRASSEN_WAITING * rows * panel);
}

size_t strassen_scratch(const gemm_vec *v, int vecs, int64_t run, int threads) { return room_bytes(v, vecs, run) * (size_t)threads; }

struct deal { const gemm *g; const strassen_vec *s; int rows, threads; int64_t pairs, blocks, groups, per_group; size_t room; };

static room room_of(const struct deal *d)
{
    const gemm *g = d->g;
    char *place = g->scratch + (size_t)pool_worker() * d->room;
    const int64_t half = g->run / 2, panel = g->vecs * g->v->width;
    room r = { .offset = (int64_t *)(void *)place };
    r.out = (void **)(r.offset + 2 * MOST);
    r.residual = (const void **)(r.out + 2 * MOST);
    r.row = r.residual + 2 * MOST;
    r.left = (float *)(void *)(place + HEAD);
    r.right = r.left + lines(STRASSEN_SUMS * d->rows * (half + APART)) / sizeof(float);
    r.waiting = r.right + lines(2 * half * panel) / sizeof(float);
    return r;
}

static void places(const void *at, const rowmap *map, int64_t from, int rows, int64_t *offset, void **to)
{
    rowmap_offsets(map, from, rows, offset);
    for (int i = 0; i < rows; i++)
        to[i] = (float *)(uintptr_t)at + offset[i];
}

/* A block of rows [from, to) by pairs [first, last) of panels. */
static void multiply(const struct deal *d, int64_t from, int64_t to, int64_t first, int64_t last)
{
    const gemm *g = d->g;
    const room r = room_of(d);
    const int rows = (int)(to - from), upper = (rows + 1) / 2, lower = rows - upper, most = g->v->rows[g->vecs];
    const int64_t half = g->run / 2, panel = g->vecs * g->v->width, step = half + APART, deep = g->of_run ? g->of_run : g->run;

    places(g->out, &g->out_rows, from, rows, r.offset, r.out);
    if (g->add)
        for (int i = 0; i < rows; i++)
            r.residual[i] = r.out[i];
    else if (g->residual)
        places(g->residual, &g->residual_rows, from, rows, r.offset, (void **)r.residual);
    for (int i = 0; i < rows; i += TILE_ROWS)
        g->rows(g->ctx, from + i, rows - i < TILE_ROWS ? rows - i : TILE_ROWS, r.row + i);
    for (int i = 0; i < rows; i++)
        r.row[i] = (const float *)r.row[i] + g->skip;
    if (lower < upper)                                      /* the last row's half is nobody's: any numbers will do */
        r.row[rows] = r.row[upper - 1];
    for (int i = 0; i < upper; i++) {
        const float *one = r.row[i], *two = r.row[upper + i];
        d->s->sums((const float *const[]){ one, one + half, two, two + half }, half, r.left + i * step, upper * step);
    }
    float *const wait[STRASSEN_WAITING] = { r.waiting, r.waiting + upper * panel, r.waiting + 2 * upper * panel, r.waiting + 3 * upper * panel };
    const int rest = (upper - most + most - 1) / most, tiles = 1 + rest;
    for (int64_t p = first; p < last; p++) {
        const float *b = g->b + 2 * p * panel * deep + g->skip * panel, *next = b + (p + 1 < last ? 2 : 0) * panel * deep;
        const float *right[] = { b, b + panel * deep, b + half * panel, b + panel * (deep + half), r.right, r.right + half * panel };
        for (const strassen_step *m = strassen_steps; m < strassen_steps + STRASSEN_PRODUCTS; m++) {
            const bool below = strassen_below(m), beside = strassen_beside(m);
            const float *row[TILE_ROWS];
            gemm_tile tile = { .row = row, .taps = 1, .run = half, .used = half, .columns = (int)panel, .b = right[m->right] };
            if (m->result != NONE) {
                tile.column = (2 * p + beside) * panel;
                tile.bias = g->bias;
                tile.act_first = g->act_first;
                tile.f = g->f;
            }
            if (m->less != NONE) {
                tile.other = right[m->less];
                tile.sum = r.right + (m->sum - X) * half * panel;
            }
            tile.ahead = (const char *)tile.b;
            if (m->ahead != NONE) {
                tile.ahead = (const char *)(m->ahead == NEXT ? next : right[m->ahead]);
                tile.ahead_step = panel * (int64_t)sizeof(float) / tiles;
            }
            for (int t = 0; t < tiles; t++) {
                const int at = t ? most + (upper - most) * (t - 1) / rest : 0, end = t ? most + (upper - most) * t / rest : most;
                const int here = below && end > lower ? lower - at : end - at;
                const int64_t before = at * panel;
                if (m->left >= S1)
                    for (int j = at; j < end; j++)
                        row[j - at] = r.left + ((m->left - S1) * upper + j) * step;
                else
                    for (int j = at; j < end; j++)
                        row[j - at] = (const float *)r.row[j + (m->left == Q22 ? upper : 0)] + (m->left == Q11 ? 0 : half);
                for (int j = 0; j < 2; j++)
                    tile.from[j] = m->from[j] == NONE ? NULL : wait[m->from[j]] + before;
                tile.keep = m->keep == NONE ? NULL : wait[m->keep] + before;
                tile.plus = m->plus == NONE ? NULL : wait[m->plus] + before;
                if (m->result != NONE) {
                    tile.out = (float *const *)(r.out + at + (below ? upper : 0));
                    tile.residual = g->residual || g->add ? (const float *const *)(r.residual + at + (below ? upper : 0)) : NULL;
                }
                if (!t && m->less != NONE)
                    g->v->summed[g->vecs](&tile);
                else if (here)
                    g->v->tile[g->vecs][here](&tile);
                if (!t && m->less != NONE)
                    tile.b = tile.sum;
                tile.ahead += half * tile.ahead_step;
            }
        }
    }
}

/* As many blocks as threads at once by the same panels. */
static void work(void *arg, int64_t from, int64_t to)
{
    const struct deal *d = arg;
    for (int64_t i = from; i < to; i++) {
        const int64_t band = i / (d->threads * d->groups), begin = band * d->threads, in = i - begin * d->groups;
        const int64_t blocks = d->blocks - begin < d->threads ? d->blocks - begin : d->threads;
        const int64_t block = begin + in % blocks, first = in / blocks * d->per_group;
        multiply(d, d->g->m * block / d->blocks, d->g->m * (block + 1) / d->blocks, first,
                 first + d->per_group < d->pairs ? first + d->per_group : d->pairs);
    }
}

void strassen_run(const gemm *g, int64_t pairs, pool *p)
{
    struct deal d = { .g = g, .s = VEC_PICK(strassen_vec), .rows = half_rows(g->v, g->vecs, g->run / 2), .threads = pool_threads(p), .pairs = pairs,
                      .room = room_bytes(g->v, g->vecs, g->of_run ? g->of_run : g->run) };
    const int64_t wanted = 4 * d.threads;
    d.blocks = (g->m + 2 * d.rows - 1) / (2 * d.rows);
    if (d.blocks < FEW)
        d.blocks = (d.blocks + 1) / 2 * 2;
    d.groups = (wanted + d.blocks - 1) / d.blocks;
    d.groups = d.groups > pairs ? pairs : d.groups;
    d.per_group = (pairs + d.groups - 1) / d.groups;
    d.groups = (pairs + d.per_group - 1) / d.per_group;
    pool_run(p, d.blocks * d.groups, 1, work, &d);
}
