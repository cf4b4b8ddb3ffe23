/* bf16_dots.h - sums of products by dot products of pairs (AVX512-BF16): of gemm_bf16.c, whose packing and ways of leaving results it uses. */
#ifndef BF16_DOTS_H
#define BF16_DOTS_H

/* STRIP: rows whose sums are registers; A_ROUND: multiply-adds of a round of products; for the others see gemm_vec. */
enum { STRIP = 8, A_ROUND = 2 * STRIP * DEEP, GRAIN = 2, HALF = 1, GAIN = 2 };
static void configure(void) {}
static void unconfigure(void) {}

static void products(int64_t rounds)
{
    static volatile int32_t one = 0x3f803f80;
    vf acc[2 * STRIP];
    vi x = vseti(one), y = vseti(one);
    volatile float result;
    UNROLL for (int i = 0; i < 2 * STRIP; i++)
        acc[i] = vset((float)i);
    for (int64_t k = 0; k < rounds; k++)
        UNROLL for (int i = 0; i < 2 * STRIP; i++)
            acc[i] = bf16_dot(acc[i], x, y);
    for (int i = 1; i < 2 * STRIP; i++)
        acc[0] += acc[i];
    result = vsum(acc[0]);
    (void)result;
}

INLINE vi two(const char *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return vseti(x);
}

/* n pairs of a slab, with the columns of b. */
INLINE void some_pairs(vf acc[STRIP][2], const char *a, int64_t pitch, const uint16_t *b, int64_t second, int64_t pair, int n, const int rows,
                       const int vecs)
{
    for (int q = 0; q < n; q++, a += 2 * sizeof *b, b += pair) {
        vi right[2];
        UNROLL for (int j = 0; j < vecs; j++)
            memcpy(&right[j], b + j * second, sizeof *right);
        UNROLL for (int i = 0; i < rows; i++) {
            const vi x = two(a + i * pitch);
            UNROLL for (int j = 0; j < vecs; j++)
                acc[i][j] = bf16_dot(acc[i][j], x, right[j]);
        }
    }
}

/* Rows from the `first` on. */
INLINE void sums(const operand *l, int first, const uint16_t *b, const int rows, const int vecs, vf acc[STRIP][2])
{
    const int64_t whole = l->pairs / PAIRS;
    const int left = (int)(l->pairs % PAIRS);
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < vecs; j++)
            acc[i][j] = l->start ? vload((const float *)(const void *)((const char *)l->start + (first + i) * l->start_step) + j * VW) : vset(0.f);
    for (int64_t t = 0; t < l->taps; t++) {
        const char *a = l->a + (l->tap ? l->tap[t] : 0) + first * l->pitch;
        for (int64_t s = 0; s < whole; s++, a += l->step, b += l->b_step)
            some_pairs(acc, a, l->pitch, b, l->b_second, l->b_pair, PAIRS, rows, vecs);
        if (left) {
            some_pairs(acc, a, l->pitch, b, l->b_second, l->b_pair, left, rows, vecs);
            b += l->b_step;
        }
    }
}

#define STRIP_OF(rows, vecs) \
    static void strip_##rows##x##vecs(const operand *l, int first, const uint16_t *b, float *to, int64_t step) \
    { \
        vf acc[STRIP][2]; \
        sums(l, first, b, rows, vecs, acc); \
        UNROLL for (int i = 0; i < rows; i++) \
            UNROLL for (int j = 0; j < vecs; j++) \
                vstore((float *)(void *)((char *)to + i * step) + j * VW, acc[i][j]); \
    }
STRIP_OF(1, 1) STRIP_OF(2, 1) STRIP_OF(3, 1) STRIP_OF(4, 1) STRIP_OF(5, 1) STRIP_OF(6, 1) STRIP_OF(7, 1) STRIP_OF(8, 1)
STRIP_OF(1, 2) STRIP_OF(2, 2) STRIP_OF(3, 2) STRIP_OF(4, 2) STRIP_OF(5, 2) STRIP_OF(6, 2) STRIP_OF(7, 2) STRIP_OF(8, 2)
static void (*const strip[2][STRIP])(const operand *l, int first, const uint16_t *b, float *to, int64_t step) = {
    { strip_1x1, strip_2x1, strip_3x1, strip_4x1, strip_5x1, strip_6x1, strip_7x1, strip_8x1 },
    { strip_1x2, strip_2x2, strip_3x2, strip_4x2, strip_5x2, strip_6x2, strip_7x2, strip_8x2 },
};

static int strips_of(int rows) { return (rows + STRIP - 1) / STRIP; }

INLINE void sums_of_some(const operand *l, const uint16_t *b, int rows, int vecs, const int parts, float *to, int64_t step)
{
    (void)parts;                                        /* three products would be slower than single precision */
    for (int i = 0, n = strips_of(rows); i < n; i++) {
        const int first = rows * i / n, end = rows * (i + 1) / n;
        strip[vecs - 1][end - first - 1](l, first, b, (float *)(void *)((char *)to + first * step), step);
    }
}

/* Whole strips, whose rows leave from registers.  The loop over them is in one place for each way, so that the next strip's products begin early. */
INLINE void whole_strips(const form how, const operand *l, const uint16_t *b, int count, const int vecs, const late *p)
{
    way w = way_of(how, p);
    for (int first = 0; first < count * STRIP; first += STRIP) {
        vf acc[STRIP][2];
        sums(l, first, b, STRIP, vecs, acc);
        __asm__ volatile("" : "+r"(w.q.pieces));        /* read here, and not before the loop: its products need the registers */
        UNROLL for (int i = 0; i < STRIP; i++) {
            if (vecs < 2)
                acc[i][1] = vset(0.f);
            leave_sums(how, &w, first + i, acc[i], vecs);
        }
    }
}

#define STRIPS(how) \
    static void strips_##how(const operand *l, const uint16_t *b, int count, int vecs, const late *p) \
    { \
        if (vecs > 1) \
            whole_strips(how, l, b, count, 2, p); \
        else \
            whole_strips(how, l, b, count, 1, p); \
    }
STRIPS(WIDE) STRIPS(PLAIN) STRIPS(ABOVE) STRIPS(STRAIGHT) STRIPS(ADDED) STRIPS(CURVED) STRIPS(PIECES) STRIPS(PIECES_TANH) STRIPS(HARD)

/* How many rows are left by whole strips. */
static int leave_whole(const operand *l, const uint16_t *b, int rows, int vecs, const late *p)
{
    const int count = rows / STRIP;
    switch (p->how) {
    case NOTHING: case OTHER: return 0;
    case WIDE:     strips_WIDE(l, b, count, vecs, p); break;
    case PLAIN:    strips_PLAIN(l, b, count, vecs, p); break;
    case ABOVE:    strips_ABOVE(l, b, count, vecs, p); break;
    case STRAIGHT: strips_STRAIGHT(l, b, count, vecs, p); break;
    case ADDED:    strips_ADDED(l, b, count, vecs, p); break;
    case CURVED:   strips_CURVED(l, b, count, vecs, p); break;
    case PIECES:   strips_PIECES(l, b, count, vecs, p); break;
    case PIECES_TANH: strips_PIECES_TANH(l, b, count, vecs, p); break;
    case HARD:     strips_HARD(l, b, count, vecs, p); break;
    }
    return count * STRIP;
}

/* Nothing waits for the next tile. */
INLINE void multiply(const operand *l, const uint16_t *b, const gemm_tile *t, int rows, int vecs, const int parts, late *p)
{
    (void)parts;
    await(p, t, 0, rows, vecs);
    int first = leave_whole(l, b, rows, vecs, p), end;
    if (first) {
        p->rows = first;
        left(p);
    }
    for (; first < rows; first = end) {
        end = first + STRIP < rows ? first + STRIP : rows;
        await(p, t, first, end - first, vecs);
        strip[vecs - 1][end - first - 1](l, first, b, p->sum[!p->turn], 2 * VEC_BYTES);
        leave(p);
    }
}

#endif
