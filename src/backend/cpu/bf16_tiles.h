/* bf16_tiles.h - sums of products by tiles (AMX): of gemm_bf16.c, whose packing and ways of leaving results it uses. */
#ifndef BF16_TILES_H
#define BF16_TILES_H

/* Tiles 0 to 3 hold the sums, 4 what is read of the left, 5 of the right: no more of numbers of one part, although there are eight.  Where
 * another thread shares the core, what is left of its tiles for renaming is so little that each tile in use costs: with one for each half of an
 * operand a product takes 1.5 times as long there, and no less elsewhere, though one half is then read once only.  Static: GCC's
 * _tile_loadconfig says that it reads 8 bytes, and of a variable on the stack the other 56 were never written. */
static void configure(void)
{
    static const struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {
        .palette = 1, .bytes = { 64, 64, 64, 64, 64, 64, 64 }, .rows = { 16, 16, 16, 16, 16, 16, 16 },
    };
    _tile_loadconfig(&shape);
}

static void unconfigure(void) { _tile_release(); }

static void products(int64_t rounds)
{
    configure();
    for (int64_t i = 0; i < rounds; i++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    unconfigure();
}
enum { A_ROUND = 4 * ROWS / 2 * VW * DEEP, GRAIN = DEEP, HALF = ROWS / 2, GAIN = 12 };        /* multiply-adds of a round of products; for the others see gemm_vec */

/* Rows of a are `pitch` bytes apart. */
INLINE void slab(const char *a, int64_t pitch, const uint16_t *b, int64_t second, const bool low, const bool right)
{
    stay_awake();
    _tile_loadd(5, b, 64);
    _tile_loadd(4, a, pitch);
    _tile_dpbf16ps(0, 4, 5);
    if (right) {
        _tile_loadd(5, b + second, 64);
        _tile_dpbf16ps(1, 4, 5);
    }
    if (low)
        _tile_loadd(4, a + ROWS / 2 * pitch, pitch);
    if (low && right) {
        _tile_dpbf16ps(3, 4, 5);
        _tile_loadd(5, b, 64);
    }
    if (low)
        _tile_dpbf16ps(2, 4, 5);
}

/* The same of numbers in parts: products of parts i and j for i + j < parts, the others are as small as what the parts leave.  Seven tiles, so
 * that a left part is read once: of parts that is worth more than a tile. */
INLINE void slab_of_parts(const char *a, int64_t pitch, int64_t a_rest, const uint16_t *b, int64_t b_rest, int64_t second, const bool low,
                          const bool right, const int parts)
{
    stay_awake();
    UNROLL for (int i = parts - 1; i >= 0; i--) {
        _tile_loadd(4, a + i * a_rest, pitch);
        if (low)
            _tile_loadd(6, a + i * a_rest + ROWS / 2 * pitch, pitch);
        UNROLL for (int j = parts - 1 - i; j >= 0; j--) {
            _tile_loadd(5, b + j * b_rest, 64);
            _tile_dpbf16ps(0, 4, 5);
            if (low)
                _tile_dpbf16ps(2, 6, 5);
            if (right) {
                _tile_loadd(5, b + j * b_rest + second, 64);
                _tile_dpbf16ps(1, 4, 5);
                if (low)
                    _tile_dpbf16ps(3, 6, 5);
            }
        }
    }
}

/* The products of a tile, to rows `step` bytes apart; between them rows of the one before, p's, are left, as `how` says. */
INLINE void sums(const operand *l, const uint16_t *b, const bool low, const bool right, const int parts, const form how, const late *p,
                 float *to, int64_t step)
{
    const int all = how == NOTHING ? 0 : p->rows, steps = (int)(l->taps * l->slabs), per = !all || steps >= all ? 1 : (all + steps - 1) / steps;
    int row = 0;
    const way w = how == NOTHING ? (way){ 0 } : way_of(how, p);
    if (l->start) {
        const char *half = (const char *)l->start + ROWS / 2 * l->start_step;
        _tile_loadd(0, l->start, l->start_step);
        if (right)
            _tile_loadd(1, l->start + VW, l->start_step);
        if (low)
            _tile_loadd(2, half, l->start_step);
        if (low && right)
            _tile_loadd(3, half + VEC_BYTES, l->start_step);
    } else {
        _tile_zero(0);
        if (right)
            _tile_zero(1);
        if (low)
            _tile_zero(2);
        if (low && right)
            _tile_zero(3);
    }
    const char *ahead = l->ahead;
    for (int64_t t = 0; t < l->taps; t++) {
        const char *a = l->a + (l->tap ? l->tap[t] : 0);
        for (int64_t s = 0; s < l->slabs; s++, a += l->step, b += l->b_step, ahead += l->ahead_step) {
            for (int64_t i = 0; i < l->ahead_step; i += 64)
                __builtin_prefetch(ahead + i, 0, 2);
            if (parts > 1)
                slab_of_parts(a, l->pitch, l->rest, b, l->b_rest, l->b_second, low, right, parts);
            else
                slab(a, l->pitch, b, l->b_second, low, right);
            if (how != NOTHING) {
                const int end = row + per < all ? row + per : all;
                for (; row < end; row++)
                    leave_row(how, &w, row, 2);
            }
        }
    }
    char *half = (char *)to + ROWS / 2 * step;
    _tile_stored(0, to, step);
    if (right)
        _tile_stored(1, to + VW, step);
    if (low)
        _tile_stored(2, half, step);
    if (low && right)
        _tile_stored(3, half + VEC_BYTES, step);
}

/* Fewer rows than a tile has, or columns. */
INLINE void sums_of_some(const operand *l, const uint16_t *b, int rows, int vecs, const int parts, float *to, int64_t step)
{
    if (rows > ROWS / 2 && vecs > 1)
        sums(l, b, true, true, parts, NOTHING, NULL, to, step);
    else if (rows > ROWS / 2)
        sums(l, b, true, false, parts, NOTHING, NULL, to, step);
    else if (vecs > 1)
        sums(l, b, false, true, parts, NOTHING, NULL, to, step);
    else
        sums(l, b, false, false, parts, NOTHING, NULL, to, step);
}

INLINE void multiply(const operand *l, const uint16_t *b, const gemm_tile *t, int rows, int vecs, const int parts, late *p)
{
    const bool whole = rows > ROWS / 2 && vecs > 1;
    float *to = p->sum[p->turn];
    const int64_t step = 2 * VEC_BYTES;
    if (p->how != NOTHING && (!whole || l->taps * l->slabs == 0 || p->how == OTHER || (parts > 1 && p->how != WIDE)))
        leave(p);
    if (!whole) {
        sums_of_some(l, b, rows, vecs, parts, to, step);
        await(p, t, 0, rows, vecs);
        return;
    }
    switch (parts > 1 && p->how != NOTHING ? WIDE : p->how) {
    case NOTHING: case OTHER: sums(l, b, true, true, parts, NOTHING, p, to, step); break;
    case WIDE:     sums(l, b, true, true, parts, WIDE, p, to, step); break;
    case PLAIN:    sums(l, b, true, true, 1, PLAIN, p, to, step); break;
    case ABOVE:    sums(l, b, true, true, 1, ABOVE, p, to, step); break;
    case STRAIGHT: sums(l, b, true, true, 1, STRAIGHT, p, to, step); break;
    case ADDED:    sums(l, b, true, true, 1, ADDED, p, to, step); break;
    case CURVED:   sums(l, b, true, true, 1, CURVED, p, to, step); break;
    case PIECES:   sums(l, b, true, true, 1, PIECES, p, to, step); break;
    case PIECES_TANH: sums(l, b, true, true, 1, PIECES_TANH, p, to, step); break;
    case HARD:     sums(l, b, true, true, 1, HARD, p, to, step); break;
    }
    left(p);
    await(p, t, 0, rows, vecs);
}

#endif
