/* gemm_bf16.c - products of bfloat16 numbers by instructions for them: tiles (AMX) or pairs in vectors (AVX512-BF16).
 *
 * Compiled once for each (VEC_ISA: amx, dot; see CMakeLists.txt), and for tests once more over instructions written in C.
 * What differs between them is in bf16_tiles.h and bf16_dots.h.  Operands are packed in slabs of 32 numbers of k, filled up with zeros:
 *   left, of up to 32 rows: [part][slab][row][32]; right, of one or two vectors: [part][slab][vector][16 pairs][16 columns][2]; for pairs in
 *   vectors [slab][16 pairs][vector][16 columns][2]
 * Rows, residuals and results may be of bfloat16 in memory already.  The parts are the number rounded, and for bf16x3 what is left of
 * it, rounded: hi hi + hi lo + lo hi is then as exact as single precision for most networks.  For bf16x6 they are three, cut, which is all of
 * it; what six products leave out is about 2^-24 of theirs (2^-21 at most).  Sums are in single precision; a tile's wait in a room of
 * their own, and are rounded and stored between the products of the next.
 */
#include "rows_bf16.h"

enum { PARTS = 3, PAIRS = DEEP / 2, RIGHT = DEEP * VW };        /* RIGHT: numbers of a slab of one vector */

_Static_assert(DEEP == 2 * VW, "a row of a slab is two vectors of floats");

/* -- packing ---------------------------------------------------------------------------------------------------------- */

/* n numbers (up to a row of a slab) as bfloat16, the parts `on` numbers apart. */
INLINE void narrow_two(vf a, vf b, int n, uint16_t *to, int64_t on, const int parts)
{
    put(to, halves_of(a, b, parts), n);
    UNROLL for (int part = 1; part < parts; part++) {
        a = rest_of(a, parts), b = rest_of(b, parts);
        put(to + part * on, halves_of(a, b, parts), n);
    }
}

INLINE void narrow(const float *from, int n, uint16_t *to, int64_t on, const int parts)
{
    vf a = n >= VW ? vload(from) : vload_n(from, n);
    vf b = n == DEEP ? vload(from + VW) : n > VW ? vload_n(from + VW, n - VW) : vset(0.f);
    narrow_two(a, b, n, to, on, parts);
}

/* Rows of numbers `step` apart: a slab at a time is turned, where the rows are neighbours, and then is as any other. */
static void turn(const float *const *row, int count, int64_t first, int64_t n, int64_t step, float *to)
{
    bool neighbours = count == TILE_ROWS;
    for (int i = 1; i < count; i++)
        neighbours = neighbours && row[i] == row[0] + i;
    int64_t k = 0;
    for (; neighbours && k + BLOCK <= n; k += BLOCK)
        for (int i = 0; i < count; i += BLOCK)
            vtranspose(row[i] + (first + k) * step, step, to + i * DEEP + k, DEEP);
    for (; k < n; k++)
        for (int i = 0; i < count; i++)
            to[i * DEEP + k] = row[i][(first + k) * step];
}

INLINE void left_turned(const float *const *row, int count, int64_t run, int64_t step, int at, void *packed, const int parts)
{
    const int64_t slabs = (run + DEEP - 1) / DEEP;
    for (int64_t s = 0; s < slabs; s++) {
        int64_t n = run - s * DEEP < DEEP ? run - s * DEEP : DEEP;
        float block[TILE_ROWS * DEEP];
        turn(row, count, s * DEEP, n, step, block);
        for (int i = 0; i < count; i++) {
            uint16_t *to = (uint16_t *)packed + s * LEFT + (at + i) * DEEP;
            for (int64_t k = n; k < DEEP; k++)
                block[i * DEEP + k] = 0;
            narrow(block + i * DEEP, DEEP, to, slabs * LEFT, parts);
        }
    }
}

INLINE void left_any(const float *const *row, int count, int64_t taps, int64_t run, int at, void *packed, const int parts)
{
    const int64_t k = taps * run, slabs = (k + DEEP - 1) / DEEP;
    for (int i = 0; i < count; i++) {
        uint16_t *to = (uint16_t *)packed + (at + i) * DEEP;
        int64_t place = 0;
        for (int64_t t = 0; t < taps; t++) {
            const float *from = row[t * count + i];
            int64_t p = 0, n;
            if (place % DEEP == 0)
                for (; p + DEEP <= run; p += DEEP, place += DEEP)
                    narrow(from + p, DEEP, to + place / DEEP * LEFT, slabs * LEFT, parts);
            for (; p < run; p += n, place += n) {
                int64_t in = place % DEEP;
                n = DEEP - in < run - p ? DEEP - in : run - p;
                narrow(from + p, (int)n, to + place / DEEP * LEFT + in, slabs * LEFT, parts);
            }
        }
        if (place % DEEP)
            for (int part = 0; part < parts; part++)
                memset(to + (part * slabs + slabs - 1) * LEFT + place % DEEP, 0, (size_t)(DEEP - place % DEEP) * sizeof *to);
    }
}

/* Rows that are bfloat16 already. */
static void left_narrow(const void *const *row, int count, int64_t taps, int64_t run, int at, void *packed)
{
    const int64_t slabs = (taps * run + DEEP - 1) / DEEP;
    for (int i = 0; i < count; i++) {
        uint16_t *to = (uint16_t *)packed + (at + i) * DEEP;
        int64_t place = 0;
        for (int64_t t = 0; t < taps; t++) {
            const uint16_t *from = row[t * count + i];
            int64_t p = 0;
            if (place % DEEP == 0)
                for (; p + DEEP <= run; p += DEEP, place += DEEP)
                    put(to + place / DEEP * LEFT, get(from + p, DEEP), DEEP);
            for (int64_t n; p < run; p += n, place += n) {
                int64_t in = place % DEEP;
                n = DEEP - in < run - p ? DEEP - in : run - p;
                put(to + place / DEEP * LEFT + in, get(from + p, (int)n), (int)n);
            }
        }
        if (place % DEEP)
            memset(to + (slabs - 1) * LEFT + place % DEEP, 0, (size_t)(DEEP - place % DEEP) * sizeof *to);
    }
}

/* Up to a vector of numbers, of floats or bfloat16. */
INLINE vf some(const void *x, const bool of_bfloat, int64_t i, int n)
{
    return of_bfloat ? wide((const uint16_t *)x + i, n) : vload_n((const float *)x + i, n);
}

/* Rows times what the gates of their images hold; multiplied in single precision. */
INLINE void left_times(const void *const *row, const bool of_bfloat, const float *const *by, int count, int64_t run, int at, void *packed,
                       const int parts)
{
    const int64_t on = (run + DEEP - 1) / DEEP * LEFT;
    for (int i = 0; i < count; i++) {
        uint16_t *to = (uint16_t *)packed + (at + i) * DEEP;
        int64_t p = 0;
        for (; p + DEEP <= run; p += DEEP, to += LEFT)
            narrow_two(some(row[i], of_bfloat, p, VW) * vload(by[i] + p), some(row[i], of_bfloat, p + VW, VW) * vload(by[i] + p + VW), DEEP, to, on,
                       parts);
        if (p < run) {
            const int n = (int)(run - p), first = n < VW ? n : VW;
            narrow_two(some(row[i], of_bfloat, p, first) * vload_n(by[i] + p, first),
                       some(row[i], of_bfloat, p + first, n - first) * vload_n(by[i] + p + first, n - first), DEEP, to, on, parts);
        }
    }
}

/* DEEP x VW numbers of b, of which k x n are there, zeros else. */
static void gather(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, float *to)
{
    int p = 0;
    if (k < DEEP || n < VW)
        memset(to, 0, DEEP * VW * sizeof *to);
    if (sk == 1 && n >= VW)
        for (; p + BLOCK <= k && p < DEEP; p += BLOCK)
            for (int j = 0; j < VW; j += BLOCK)
                vtranspose(b + p + j * sn, sn, to + p * VW + j, VW);
    for (; p < DEEP && p < k; p++)
        for (int j = 0; j < VW && j < n; j++)
            to[p * VW + j] = b[p * sk + j * sn];
}

/* Where in a panel vector j's part of a slab begins, and how far its pairs are apart, in floats.  Tiles read a vector's pairs in one go;
 * dot products both vectors' of one pair, which so lie in the order in which they are read. */
INLINE int64_t right_at(int64_t slab, int64_t j, int64_t vecs) { return slab * vecs * RIGHT / 2 + j * (BF16_TILES ? RIGHT / 2 : VW); }
INLINE int64_t right_pair(int64_t vecs) { return BF16_TILES ? VW : vecs * VW; }

/* Pairs of a number of x and one of y, the parts `on` floats apart. */
INLINE void pairs_of_parts(vf x, vf y, float *to, int64_t on, const int parts)
{
    vstore(to, (vf)pair_of(x, y, parts));
    UNROLL for (int part = 1; part < parts; part++) {
        x = rest_of(x, parts), y = rest_of(y, parts);
        vstore(to + part * on, (vf)pair_of(x, y, parts));
    }
}

INLINE void pack_any(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed, const int parts)
{
    const int64_t slabs = (k + DEEP - 1) / DEEP;
    for (int64_t j = 0; j < n; j += panel) {
        int64_t columns = n - j < panel ? n - j : panel, vecs = (columns + VW - 1) / VW;
        for (int64_t i = 0; i < slabs * vecs; i++) {
            float block[DEEP * VW], *to = packed + j * slabs * DEEP * parts / 2 + right_at(i / vecs, i % vecs, vecs);
            int64_t p = i / vecs * DEEP, c = j + i % vecs * VW, step = sk;
            int deep = k - p < DEEP ? (int)(k - p) : DEEP, wide = n - c < VW ? (int)(n - c) : VW;
            const float *from = b + p * sk + c * sn;
            if (sn != 1) {
                gather(from, k - p, n - c, sk, sn, block);
                from = block, step = VW, deep = DEEP, wide = VW;
            }
            for (int q = 0; q < PAIRS; q++) {
                vf x = 2 * q < deep ? vload_n(from + 2 * q * step, wide) : vset(0.f);
                vf y = 2 * q + 1 < deep ? vload_n(from + (2 * q + 1) * step, wide) : vset(0.f);
                pairs_of_parts(x, y, to + q * right_pair(vecs), slabs * vecs * RIGHT / 2, parts);
            }
        }
    }
}

/* Pairs of up to VW columns, of which a slab's first `deep` numbers are there, into [16 pairs][16 columns][2], pairs `step` floats
 * apart. */
static void pairs_of(const uint16_t *b, int deep, int across, int64_t sk, int64_t sn, float *to, int64_t step)
{
    if (sn == 1)
        for (int q = 0; q < PAIRS; q++) {
            vi x = 2 * q < deep ? (vi)wide(b + 2 * q * sk, across) : vseti(0), y = 2 * q + 1 < deep ? (vi)wide(b + (2 * q + 1) * sk, across) : vseti(0);
            vstore(to + q * step, (vf)((x >> 16 & vseti(0xffff)) | y));
        }
    else if (sk == 1 && sn % 2 == 0 && deep == DEEP && across == VW)         /* pairs lie side by side: as numbers of 32 bits */
        for (int q = 0; q < PAIRS; q += BLOCK)
            for (int j = 0; j < VW; j += BLOCK)
                vtranspose((const float *)(const void *)(b + 2 * q + j * sn), sn / 2, to + q * step + j, step);
    else {
        uint16_t pair[PAIRS][VW][2] = { 0 };
        for (int p = 0; p < deep; p++)
            for (int j = 0; j < across; j++)
                pair[p / 2][j][p % 2] = b[p * sk + j * sn];
        for (int q = 0; q < PAIRS; q++)
            memcpy(to + q * step, pair[q], sizeof pair[q]);
    }
}

static void pack_narrow(const void *from, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed)
{
    const uint16_t *b = from;
    const int64_t slabs = (k + DEEP - 1) / DEEP;
    for (int64_t j = 0; j < n; j += panel) {
        int64_t columns = n - j < panel ? n - j : panel, vecs = (columns + VW - 1) / VW;
        for (int64_t i = 0; i < slabs * vecs; i++) {
            int64_t p = i / vecs * DEEP, c = j + i % vecs * VW;
            pairs_of(b + p * sk + c * sn, k - p < DEEP ? (int)(k - p) : DEEP, n - c < VW ? (int)(n - c) : VW, sk, sn,
                     packed + j * slabs * DEEP / 2 + right_at(i / vecs, i % vecs, vecs), right_pair(vecs));
        }
    }
}

/* Pairs of the 32 pixels that begin at at[]: numbers [c, c + n) of one and the next. */
INLINE void pairs_across(const float *const *at, int64_t c, int n, float *to, int64_t on, const int parts)
{
    for (int q = 0; q < PAIRS; q++)
        pairs_of_parts(vload_n(at[2 * q] + c, n), vload_n(at[2 * q + 1] + c, n), to + q * VW, on, parts);
}

INLINE void turn_any(const float *const *at, int64_t c, int n, char *slab, int64_t low, const int parts)
{
    for (int first = 0; first < n; first += VW) {
        float block[PARTS][PAIRS * VW];
        pairs_across(at, c + first, n - first < VW ? n - first : VW, block[0], PAIRS * VW, parts);
        for (int part = 0; part < parts; part++)
            for (int i = 0; i < VW; i += BLOCK)
                for (int q = 0; q < PAIRS; q += BLOCK)
                    vtranspose(block[part] + q * VW + i, VW, (float *)(void *)(slab + part * low) + (first + i) * PAIRS + q, PAIRS);
    }
}

INLINE void pairs_any(const float *const *at, int64_t c, int n, char *slab, int64_t low, const int parts)
{
    pairs_across(at, c, n > 0 ? n : 0, (float *)(void *)slab, low / (int64_t)sizeof(float), parts);
}

/* -- from the sums of a tile to its results --------------------------------------------------------------------------------- */

/* Sums on their way to results: those of the tile before, left while the products of the next are made. */
typedef struct late {
    float sum[2][ROWS * 2 * VW];            /* of the next tile, and of this; `turn` tells which is the next's */
    gemm_tile t;                            /* as the first tile of the block; of this one: */
    float *const *out;
    const float *const *residual;
    int64_t column;
    int columns, rows, vecs, turn;
    curve q;
    form how, usual;                        /* of this tile; of tiles of the block */
} late;
_Static_assert(sizeof(late) <= GEMM_ROOM, "room for a tile's results");

static form usual_form(const gemm_tile *t, curve *q)
{
    *q = curve_of(t->f);
    if (t->narrow_out && t->residual)
        return (q->form == PLAIN || q->form == ABOVE) && t->narrow_residual && !t->act_first ? ADDED : OTHER;
    if (t->narrow_out)
        return t->add ? OTHER : q->form;
    return t->narrow_residual || (t->add && t->residual) ? OTHER : WIDE;
}

/* What leaving a row takes; of one vector the second's sums are anything, and not stored. */
typedef struct way {
    const float *sum;
    float *const *out;
    const float *const *more;               /* rows to add, or NULL */
    int64_t column;
    int columns;
    bool cut;
    bend q;
} way;

INLINE way way_of(const form how, const late *l)
{
    way w = { l->sum[!l->turn], l->out, NULL, l->column, l->columns, l->t.f.kind == ACT_CLAMP, bend_of(&l->q) };
    if (how == ADDED)
        w.more = l->residual;
    if (how == WIDE)
        w.more = l->t.add ? (const float *const *)l->out : l->t.act_first ? NULL : l->residual;
    return w;
}

/* Sums of row i. */
INLINE void leave_sums(const form how, const way *w, int i, vf *v, const int vecs)
{
    if (how == ADDED) {
        const uint16_t *more = (const uint16_t *)(const void *)w->more[i] + w->column;
        v[0] += wide(more, w->columns < VW ? w->columns : VW);
        if (vecs > 1)
            v[1] += wide(more + VW, w->columns > VW ? w->columns - VW : 0);
    }
    if (how == WIDE && w->more)
        UNROLL for (int j = 0; j < vecs; j++)
            v[j] += vload(w->more[i] + w->column + j * VW);
    UNROLL for (int j = 0; j < vecs; j++)
        v[j] = how != WIDE ? follow(how, &w->q, v[j]) : w->cut ? vclamp(v[j], w->q.lo, w->q.hi) : v[j];
    if (how == WIDE)
        UNROLL for (int j = 0; j < vecs; j++)
            vstore(w->out[i] + w->column + j * VW, v[j]);
    else
        put((uint16_t *)(void *)w->out[i] + w->column, halves(v[0], v[1]), w->columns);
}

INLINE void leave_row(const form how, const way *w, int i, const int vecs)
{
    vf v[2] = { vset(0.f), vset(0.f) };
    UNROLL for (int j = 0; j < vecs; j++)
        v[j] = vload(w->sum + (2 * i + j) * VW);
    leave_sums(how, w, i, v, vecs);
}

/* What leave_row does not do: parts of vectors, odd functions, a result of floats and a residual of bfloat16 or the other way. */
static __attribute__((noinline)) void leave_any(late *l)
{
    const gemm_tile *t = &l->t;
    float *sum = l->sum[!l->turn], *out[ROWS];
    const bool residual = t->residual && !t->act_first, clamps = t->f.kind == ACT_CLAMP;
    _Alignas(64) float more[ROWS][2 * VW];
    const float *added[ROWS];
    gemm_tile u = *t;
    u.out = out;
    u.column = 0;
    u.columns = l->columns;
    u.residual = t->residual ? added : NULL;
    for (int i = 0; i < l->rows; i++, sum += 2 * VW) {
        out[i] = t->narrow_out ? sum : l->out[i] + l->column;
        added[i] = more[i];
        for (int j = 0; j < l->vecs; j++) {
            const int n = l->columns - j * VW < VW ? l->columns - j * VW : VW;
            const int64_t c = l->column + j * VW;
            vf v = vload(sum + j * VW), r = vset(0.f);
            if (t->residual)
                r = t->narrow_residual ? wide((const uint16_t *)(const void *)l->residual[i] + c, n) : vload_n(l->residual[i] + c, n);
            if (t->add)
                v += vload_n(l->out[i] + c, n);
            if (residual)
                v += r;
            vstore(more[i] + j * VW, r);
            vstore_n(out[i] + j * VW, clamps ? vclamp(v, vset(t->f.a), vset(t->f.b)) : v, n);
        }
    }
    if (t->f.kind > ACT_CLAMP || (t->residual && t->act_first))
        VEC_PICK(gemm_vec)->finish(&u, l->rows);
    for (int i = 0; i < l->rows && t->narrow_out; i++)
        put((uint16_t *)(void *)l->out[i] + l->column, halves(vload(out[i]), l->vecs > 1 ? vload(out[i] + VW) : vset(0.f)), l->columns);
}

/* Dearer functions of rows of floats, after them all. */
static void left(late *l)
{
    if (l->how == WIDE && (l->t.f.kind > ACT_CLAMP || (l->t.residual && l->t.act_first))) {
        gemm_tile u = l->t;
        u.out = l->out;
        u.residual = l->residual;
        u.column = l->column;
        u.columns = l->columns;
        VEC_PICK(gemm_vec)->finish(&u, l->rows);
    }
    l->how = NOTHING;
}

INLINE void leave_as(const form how, const late *l)
{
    const way w = way_of(how, l);
    for (int i = 0; i < l->rows && l->vecs > 1; i++)
        leave_row(how, &w, i, 2);
    for (int i = 0; i < l->rows && l->vecs == 1; i++)
        leave_row(how, &w, i, 1);
}

/* All that waits. */
static void leave(late *l)
{
    switch (l->how) {
    case NOTHING:  return;
    case OTHER:    leave_any(l); break;
    case WIDE:     leave_as(WIDE, l); break;
    case PLAIN:    leave_as(PLAIN, l); break;
    case ABOVE:    leave_as(ABOVE, l); break;
    case STRAIGHT: leave_as(STRAIGHT, l); break;
    case ADDED:    leave_as(ADDED, l); break;
    case CURVED:   leave_as(CURVED, l); break;
    case PIECES:   leave_as(PIECES, l); break;
    case PIECES_TANH: leave_as(PIECES_TANH, l); break;
    case HARD:     leave_as(HARD, l); break;
    }
    left(l);
}

/* Of the tile t the sums of so many rows are there, and wait. */
static void await(late *p, const gemm_tile *t, int first, int rows, int vecs)
{
    p->out = t->out + first;
    p->residual = t->residual ? t->residual + first : NULL;
    p->column = t->column;
    p->columns = t->columns;
    p->rows = rows;
    p->vecs = vecs;
    p->how = p->usual == WIDE && t->columns != 2 * VW ? OTHER : p->usual;
    p->turn = !p->turn;
}

/* -- up to 32 x 2 vectors of sums: sum[ROWS][2 VW] ---------------------------------------------------------------------- */

/* Rows of a tile: packed, or as they lie; distances in bytes, slabs of a tap. */
typedef struct operand {
    const char *a;
    int64_t pitch, step, rest, taps, slabs, pairs;      /* pairs: of numbers of a tap; slabs are filled up with zeros */
    int64_t b_rest, b_step, b_second, b_pair;       /* of the right operand: to the next part, slab, vector and pair; numbers */
    const int64_t *tap;
    const char *ahead;                      /* fetched meanwhile, so many bytes a slab */
    int64_t ahead_step;
    const float *start;                     /* what sums begin with, rows start_step bytes apart; NULL: zeros */
    int64_t start_step;
} operand;

#if BF16_TILES
#include "bf16_tiles.h"
#else
#include "bf16_dots.h"
#endif

static void begin(const gemm_tile *t, void *room)
{
    late *l = room;
    l->t = *t;
    l->usual = usual_form(t, &l->q);
    l->how = NOTHING;
    l->turn = l->rows = 0;
    configure();
}

static void end(void *room)
{
    leave(room);
    unconfigure();
}

INLINE void tile_any(const gemm_tile *t, int rows, int vecs, const int parts, void *room)
{
    late *p = room;
    const int64_t size = sizeof(uint16_t), row = DEEP * size, slabs = (t->run + DEEP - 1) / DEEP;
    const operand l = { .a = (const char *)t->row[0], .pitch = t->tap ? t->pitch : row, .step = t->tap ? row : LEFT * size,
                        .rest = t->tap ? t->rest : slabs * LEFT * size, .taps = t->taps, .slabs = slabs, .pairs = (t->used + 1) / 2, .tap = t->tap,
                        .b_rest = t->b_rest, .b_step = vecs > 1 ? 2 * RIGHT : RIGHT, .b_second = BF16_TILES ? RIGHT : 2 * VW,
                        .b_pair = 2 * right_pair(vecs),
                        .ahead = t->ahead, .ahead_step = t->ahead_step * DEEP, .start = t->bias && !t->add ? t->bias + t->column : NULL };
    multiply(&l, (const uint16_t *)(const void *)t->b, t, rows, vecs, parts, p);
}

INLINE void bare_any(const gemm_bare *t, const int parts)
{
    const int64_t size = sizeof(uint16_t), step = t->step * (int64_t)sizeof(float);
    const int64_t second = BF16_TILES ? RIGHT : 2 * VW;
    const operand l = { .a = t->a, .pitch = DEEP * size, .step = LEFT * size, .rest = t->a_rest, .taps = 1, .slabs = t->slabs,
                        .pairs = t->slabs * PAIRS, .b_rest = t->b_rest, .b_step = t->b_second || t->vecs < 2 ? RIGHT : 2 * RIGHT,
                        .b_second = t->b_second ? t->b_second : second, .b_pair = t->b_second ? 2 * VW : 2 * right_pair(t->vecs),
                        .start = t->add ? t->y : NULL, .start_step = step };
    sums_of_some(&l, t->b, t->rows, t->vecs, parts, t->y, step);
}

#ifdef BF16_EMULATED
#define DEPTHWISE depthwise_bf16_emulated_dot
#define GROUPED grouped_bf16_emulated_dot
#define CHAIN chain_bf16_emulated_dot
#else
#define DEPTHWISE depthwise_bf16_dot
#define GROUPED grouped_bf16_dot
#define CHAIN chain_bf16_dot
#endif
extern const depthwise_vec DEPTHWISE;
extern const chain_vec CHAIN;
void GROUPED(const grouped *g, int64_t from, int64_t to, int64_t c, int64_t end);
INLINE void split_any(const void *x, const bool of_bfloat, const gemm_strips *s, uint16_t *y, const int parts)
{
    for (int64_t k = 0; k < s->count; k++, y += s->on)
        for (int64_t i = 0; i < s->n; i += DEEP) {
            const int n = s->n - i < DEEP ? (int)(s->n - i) : DEEP;
            const int64_t at = k * s->step + i;
            if (of_bfloat)
                put(y + i, get((const uint16_t *)x + at, n), n);
            else
                narrow((const float *)x + at, n, y + i, s->rest / (int64_t)sizeof *y, parts);
        }
}

INLINE void triples_any(const float *x, int64_t channel, int64_t pixels, uint16_t *y, int64_t on, const int parts)
{
    for (int64_t i = 0; i < pixels; i += DEEP, y += 3 * DEEP) {
        const int here = pixels - i < DEEP ? (int)(pixels - i) : DEEP, first = here < VW ? here : VW;
        vf a[3], b[3];
        UNROLL for (int j = 0; j < 3; j++) {
            a[j] = vload_n(x + j * channel + i, first);
            b[j] = here > VW ? vload_n(x + j * channel + i + VW, here - VW) : vset(0.f);
        }
        UNROLL for (int part = 0; part < parts; part++) {
            put_triples(y + part * on, halves_of(a[0], b[0], parts), halves_of(a[1], b[1], parts), halves_of(a[2], b[2], parts), here);
            UNROLL for (int j = 0; j < 3; j++)
                a[j] = rest_of(a[j], parts), b[j] = rest_of(b[j], parts);
        }
    }
}

static void spread(const uint16_t *x, int64_t step, int64_t n, int64_t runs, uint16_t *y, int64_t pitch)
{
    const int last = (int)((n - 1) % DEEP + 1);
    for (int64_t i = 0; i < runs; i++, x += step, y += pitch) {
        int64_t k = 0;
        for (; k + DEEP < n; k += DEEP)
            put(y + k, get(x + k, DEEP), DEEP);
        put(y + k, get(x + k, last), last);
    }
}

#define TABLE(name, parts) \
    static void left_##parts(const float *const *row, int count, int64_t taps, int64_t run, int64_t step, int at, void *packed) \
    { \
        if (step == 1) \
            left_any(row, count, taps, run, at, packed, parts); \
        else                                            /* of one tap */ \
            left_turned(row, count, run, step, at, packed, parts); \
    } \
    static void left_gated_##parts(const void *const *row, bool of_bfloat, const float *const *by, int count, int64_t run, int at, void *packed) \
    { \
        if (of_bfloat) \
            left_times(row, true, by, count, run, at, packed, parts); \
        else \
            left_times(row, false, by, count, run, at, packed, parts); \
    } \
    static void pack_##parts(const float *b, int64_t k, int64_t n, int64_t sk, int64_t sn, int panel, float *packed) \
    { \
        pack_any(b, k, n, sk, sn, panel, packed, parts); \
    } \
    static void split_##parts(const void *x, bool of_bfloat, const gemm_strips *s, uint16_t *y) { split_any(x, of_bfloat, s, y, parts); } \
    static void triples_##parts(const float *x, int64_t channel, int64_t pixels, uint16_t *y, int64_t low) \
    { \
        triples_any(x, channel, pixels, y, low / 2, parts); \
    } \
    static void turn_##parts(const float *const *at, int64_t c, int n, void *slab, int64_t low) { turn_any(at, c, n, slab, low, parts); } \
    static void pairs_##parts(const float *const *at, int64_t c, int n, void *slab, int64_t low) { pairs_any(at, c, n, slab, low, parts); } \
    static void tile_##parts(const gemm_tile *t, int rows, int vecs, void *room) { tile_any(t, rows, vecs, parts, room); } \
    static void bare_##parts(const gemm_bare *t) { bare_any(t, parts); } \
    static float peak_##parts(int64_t rounds) { products(rounds); return (float)rounds * A_ROUND / (parts * (parts + 1) / 2); } \
    const gemm_vec VEC(name) = { .width = VW, .rows = { 0, ROWS, ROWS }, .any = tile_##parts, .pack = pack_##parts, .left = left_##parts, \
                                 .left_narrow = left_narrow, .left_gated = left_gated_##parts, .pack_narrow = pack_narrow, \
                                 .turn = turn_##parts, .split = split_##parts, .triples = triples_##parts, .spread = spread, \
                                 .pairs = pairs_##parts, .settle = settle, .quick = quick, .round_scaled = round_scaled, .weigh = weigh, \
                                 .weigh_back = weigh_back, .depthwise = &DEPTHWISE, .chain = &CHAIN, .grouped = GROUPED, .peak = peak_##parts, \
                                 .deep = DEEP, .grain = GRAIN, .half = HALF, .bytes = 2 * parts, .gain = GAIN / (parts * (parts + 1) / 2), \
                                 .begin = begin, .end = end, .bare = bare_##parts, .enter = configure, .leave = unconfigure };
TABLE(gemm_bf16, 1)
#if BF16_TILES
TABLE(gemm_bf16x3, 2)
TABLE(gemm_bf16x6, 3)
#endif
