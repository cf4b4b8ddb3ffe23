/* gemm.c - blocks a product for the caches and deals it out to threads.
 *
 * A block of rows is chosen so that its left operand stays in L2 while one panel of the packed right operand after
 * another comes through L1. Each result is summed by one thread in the order of k, whatever the blocks, so results
 * do not depend on the number of threads.
 */
#include "gemm.h"
#include <string.h>
#include "base/pages.h"

/* Rows at once (of packed ones or of floats GEMM_ROWS); multiply-adds that are worth a task of their own; columns that are worth reading rows
 * for. */
enum { BLOCK_ROWS = 256, WORTH = 10000000, FEWEST = 384 };

static void push_axis(rowmap *r, int64_t dim, int64_t stride)
{
    if (dim == 1)
        return;
    if (r->rank && r->stride[r->rank - 1] == dim * stride) {
        r->dim[r->rank - 1] *= dim;
        r->stride[r->rank - 1] = stride;
        return;
    }
    r->dim[r->rank] = dim;
    r->stride[r->rank++] = stride;
}

rowmap rowmap_of(const tg_tensor *t, int from, int to)
{
    rowmap r = { 0 };
    for (int i = from; i < to; i++)
        push_axis(&r, t->shape.dim[i], t->stride[i]);
    return r;
}

static rowmap rowmap_in_order(const tg_tensor *t, const int *axis)
{
    rowmap r = { 0 };
    for (int i = 0; i < 3; i++)
        push_axis(&r, t->shape.dim[axis[i]], t->stride[axis[i]]);
    return r;
}

rowmap rowmap_nhw(const tg_tensor *t) { return rowmap_in_order(t, (const int[]){ 0, 2, 3 }); }
rowmap rowmap_hnw(const tg_tensor *t) { return rowmap_in_order(t, (const int[]){ 2, 0, 3 }); }

void rowmap_offsets(const rowmap *r, int64_t from, int count, int64_t *offsets)
{
    if (r->rank <= 1) {
        for (int i = 0; i < count; i++)
            offsets[i] = r->rank ? (from + i) * r->stride[0] : 0;
        return;
    }
    int64_t at[TG_MAX_RANK] = { 0 }, offset = 0, rest = from;
    const int last = r->rank - 1;
    for (int i = last; i >= 0; i--) {
        at[i] = rest % r->dim[i];
        rest /= r->dim[i];
        offset += at[i] * r->stride[i];
    }
    for (int i = 0; i < count;) {
        const int64_t left = r->dim[last] - at[last], here = left < count - i ? left : count - i;
        for (int64_t j = 0; j < here; j++)
            offsets[i + j] = offset + j * r->stride[last];
        i += (int)here;
        at[last] += here;
        offset += here * r->stride[last];
        for (int d = last; d > 0 && at[d] == r->dim[d]; d--) {
            offset += r->stride[d - 1] - at[d] * r->stride[d];
            at[d] = 0;
            at[d - 1]++;
        }
    }
}

void gemm_rows(const void *ctx, int64_t from, int count, const void **row)
{
    const struct gemm_rows *r = ctx;
    for (int i = 0; i < count; i++)
        row[i] = tg_at(r->x, r->of, (from + i) * r->stride);
}

static int64_t depth(const gemm_vec *v, int64_t k) { return (k + v->deep - 1) / v->deep * v->deep; }

/* What packed rows may fill of L2: of numbers in three parts more, as panels are longer, too, and to be read for fewer blocks. */
static size_t room_for_rows(const gemm_vec *v) { return cpu()->l2 * (v->bytes > 4 ? 4 : 3) / 8; }

/* Of m rows of so many numbers that few fit the cache, how many numbers are multiplied at once, while sums wait in the results.  Floats are
 * not packed, and wait for a third piece. */
static int64_t at_once(const gemm_vec *v, int64_t m, int64_t run)
{
    const int64_t room = (int64_t)room_for_rows(v), most = room / GEMM_ROWS / v->bytes, parts = (run + most - 1) / most;
    return parts < (v->left ? 2 : 4) || (!v->left && m * run * v->bytes <= room) ? run : depth(v, (run + parts - 1) / parts);
}

/* One row: as wide as possible, so that enough sums are in flight.  Else the width that wastes least; of one block of rows (block()) a
 * panel and the one fetched ahead share L2 with them. */
int gemm_panel(const gemm_vec *v, int64_t m, int64_t n, int64_t taps, int64_t run)
{
    int best = 2;
    int64_t vectors = (n + v->width - 1) / v->width;
    if (m == 1 && v->rows[8]) {
        best = 8;
        return vectors < best ? (int)vectors : best;
    }
    const bool wide = v->width * sizeof(float) == 64;
    const int64_t k = taps == 1 ? at_once(v, m, run) : taps * run;
    double least = 0;
    for (int vecs = 2; vecs <= 4; vecs++) {
        int rows = m < v->rows[vecs] ? (int)m : v->rows[vecs];
        if (v->rows[vecs] < 2 || (vecs > 2 && !v->left && m <= GEMM_ROWS && (size_t)(vecs * v->width * k) * sizeof(float) > cpu()->l2 / 4))
            continue;
        /* Loads and multiplications of one step, two of each at a time; the last panel is narrower. Loads of 64 bytes hinder: tiles
         * 8 x 3 and 6 x 4 were measured to be a tenth faster than 8 x 2. */
        int64_t whole = vectors / vecs, left = vectors % vecs;
        double tiles = (double)((m + rows - 1) / rows), steps = 0;
        if (wide)
            steps += (double)(whole * (vecs * rows + vecs + rows) + (left ? left * rows + left + rows : 0));
        else
            steps += (double)(whole * (vecs * rows > rows + vecs ? vecs * rows : rows + vecs) + (!left ? 0 : left * rows > 8 ? left * rows : 8));
        double cost = tiles * steps * (1 + .02 * vecs);
        if (least == 0 || cost < least)
            least = cost, best = vecs;
    }
    return best;
}

int64_t gemm_filled(const gemm_vec *v, int64_t n) { return (n + v->width - 1) / v->width * v->width; }

int64_t gemm_packed(const gemm_vec *v, int64_t k, int64_t n)
{
    return gemm_filled(v, n) * depth(v, k) * v->bytes / (int64_t)sizeof(float);
}

/* Of packed rows of k numbers; not a power of two, which would crowd the cache's sets. */
static int64_t pitch(const gemm_vec *v, int64_t k) { return (depth(v, k) * v->bytes + 63) / 64 * 64 + 64; }

/* What of a right operand stays in L2 while rows pass. */
static size_t resident_bytes(void) { return cpu()->l2 * 3 / 8; }

/* Few taps of a row are read where they lie, by neighbours too; packed rows have all of them to themselves. */
static int block_rows(const gemm_vec *v, int vecs, int64_t taps, int64_t run)
{
    size_t room = room_for_rows(v), row = (size_t)(run * (taps > 1 ? (taps + 2) / 3 : 1)) * sizeof(float);
    int64_t rows = (int64_t)(room / (v->left ? (size_t)pitch(v, taps * run) : row + 1)), most = v->rows[vecs];
    rows = rows / most * most;
    if (rows < 4 * most)
        rows = 4 * most;
    return rows > GEMM_ROWS ? (int)(GEMM_ROWS / most * most) : (int)rows;
}

/* Pointers: of BLOCK_ROWS rows to results, residuals and runs, and to packed rows. */
static size_t pointers(int64_t taps) { return ((size_t)BLOCK_ROWS * ((size_t)taps + 4) * sizeof(void *) + 63) / 64 * 64; }

/* A place begins with the number of the first row that lies packed in it: the next piece of work often has the same rows. */
enum { HEAD = 64 };
static int64_t *held(char *place) { return (int64_t *)(void *)place; }

/* And packed rows: as many as block_rows allows for this k, or for a smaller one. */
static size_t place_bytes(const gemm_vec *v, int vecs, int64_t taps, int64_t run)
{
    if (!v->left)
        return HEAD + pointers(taps);
    size_t row = (size_t)pitch(v, taps * run), most = GEMM_ROWS * row, room = room_for_rows(v);
    size_t least = 4 * (size_t)v->rows[vecs] * row;
    room = room < least ? least : room;
    return HEAD + pointers(taps) + ((room < most ? room : most) + 63) / 64 * 64;
}

size_t gemm_scratch(const gemm_vec *v, int vecs, int64_t taps, int64_t run, int threads)
{
    return place_bytes(v, vecs, taps, run) * (size_t)threads;
}

/* Packs the rows of a tile; `row` has room for a list of them. */
static void pack_rows(const gemm *g, int64_t from, int rows, const void **row, char *to)
{
    for (int i = 0; i < rows; i += TILE_ROWS) {
        int count = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
        g->rows(g->ctx, from + i, count, row);
        for (int j = 0; j < count && g->skip; j++)
            row[j] = tg_at(row[j], g->of, g->skip * (g->step ? g->step : 1));
        const float *by[TILE_ROWS];
        for (int j = 0; j < count && g->gate; j++)
            by[j] = g->gate + (from + i + j) / g->gate_rows * g->gate_step + g->skip;
        if (g->gate)
            g->v->left_gated(row, g->of == TG_BFLOAT, by, count, g->run, i, to);
        else if (g->of == TG_BFLOAT)
            g->v->left_narrow(row, count, g->taps, g->run, i, to);
        else
            g->v->left((const float *const *)row, count, g->taps, g->run, g->step ? g->step : 1, i, to);
    }
}

/* A tile of so many rows is read as it lies: not where that would go beyond the last one's line. */
static bool lies(const gemm *g, int rows) { return g->direct && (g->beyond || rows % g->v->half == 0); }
static const void *line_row(const gemm *g, int64_t i)
{
    return (const char *)g->direct + i / g->line_rows * g->line_bytes + i % g->line_rows * g->pitch;
}

/* The same of the slice that columns from `column` on are of. */
static const void *slice_row(const gemm *g, const void *row, int64_t column)
{
    return (const char *)row + (g->slice_columns ? column / g->slice_columns * g->slice_bytes : 0);
}

/* Where lines of the same taps as row i's end. */
static int64_t span_end(const gemm *g, int64_t i)
{
    const gemm_span *s = g->span;
    while (s->end * g->line_rows <= i)
        s++;
    return s->end * g->line_rows;
}

/* The taps that rows [from, to) are of. */
static gemm_span taps_of(const gemm *g, int64_t from, int64_t to)
{
    const gemm_span *s = g->span;
    while (s->end * g->line_rows <= from)
        s++;
    int64_t first = s->first, end = first + s->count;
    for (; s->end * g->line_rows < to; s++) {
        first = s[1].first < first ? s[1].first : first;
        end = s[1].first + s[1].count > end ? s[1].first + s[1].count : end;
    }
    return (gemm_span){ 0, first, end - first };
}

/* Tiles of rows [from, to): within lines, or where any number of rows will do, lines of the same taps; by instructions for tiles full ones, else of
 * one height; a gate's first one has as many rows as one can have.  How many. */
static int cut(const gemm *g, int64_t from, int64_t to, int most, int *start)
{
    int tiles = 0;
    const int half = g->v->half;
    if (!g->v->any) {
        for (int64_t i = from; i < to;) {
            const int64_t end = g->gate && (i / g->gate_rows + 1) * g->gate_rows < to ? (i / g->gate_rows + 1) * g->gate_rows : to;
            const int first = !g->gate ? 0 : end - i < most ? (int)(end - i) : most, rows = (int)(end - i) - first, here = (rows + most - 1) / most;
            if (first)
                start[tiles++] = (int)(i - from);
            for (int t = 0; t < here; t++)
                start[tiles++] = (int)(i - from) + first + rows * t / here;
            i = end;
        }
        start[tiles] = (int)(to - from);
        return tiles;
    }
    for (int64_t i = from; i < to; tiles++) {
        int64_t end = !g->direct ? to : !g->span ? (i / g->line_rows + 1) * g->line_rows : half == 1 ? span_end(g, i) : to;
        start[tiles] = (int)(i - from);
        end = end < to ? end : to;
        i = i + most < end ? i + most : g->direct && !g->beyond && i + half < end && (end - i) % half ? i + half : end;
    }
    start[tiles] = (int)(to - from);
    return tiles;
}

/* Where the results of rows from `from` on go, or what is added to them lies. */
static void places(const gemm *g, const void *at, tg_dtype of, const rowmap *map, int64_t from, int rows, int64_t *offset, void **to)
{
    if (!g->across) {
        rowmap_offsets(map, from, rows, offset);
        for (int i = 0; i < rows; i++)
            to[i] = tg_at(at, of, offset[i]);
        return;
    }
    char *waste = g->own + (size_t)pool_worker() * g->own_bytes;
    int64_t x = from % g->across, line = from / g->across;
    for (int i = 0; i < rows;) {
        const int left = (int)(g->across - x < rows - i ? g->across - x : rows - i);
        const int here = x >= g->used_across ? 0 : g->used_across - x < left ? (int)(g->used_across - x) : left;
        rowmap_offsets(map, line * g->used_across + x, here, offset);
        for (int j = 0; j < left; j++)
            to[i + j] = j < here ? tg_at(at, of, offset[j]) : waste;
        i += left;
        x = 0;
        line++;
    }
}

/* Rows from `from` on, all of one image, whose first ones multiply the panel by its gate. */
static void gated_tile(const gemm *g, gemm_tile *t, int64_t from, int rows, int vecs, bool first)
{
    const float *row[TILE_ROWS], *residual[TILE_ROWS];
    float *out[TILE_ROWS];
    gemm_tile all = *t;
    all.made = (float *)(void *)(g->own + (size_t)pool_worker() * g->own_bytes);
    all.other = g->gate + from / g->gate_rows * g->gate_step + g->skip;
    if (!first) {
        all.b = all.made;
        g->v->tile[vecs][rows](&all);
        return;
    }
    for (int i = 0; i < g->v->rows[vecs]; i++) {            /* of fewer rows the last one again, to where nobody looks */
        const int j = i < rows ? i : rows - 1;
        row[i] = t->row[j];
        out[i] = i < rows ? t->out[i] : all.made + g->run * vecs * g->v->width;
        residual[i] = t->residual ? t->residual[j] : NULL;
    }
    all.row = row;
    all.out = out;
    all.residual = t->residual ? residual : NULL;
    g->v->gated[vecs](&all);
}

/* Rows [from, to), at most BLOCK_ROWS, by panels [first, last).  ready: they lie packed in `place` already.  then: the panel that this
 * thread is likely to read next; -1: none. */
static void block(const gemm *g, int64_t from, int64_t to, int64_t first, int64_t last, char *place, bool ready, int64_t then)
{
    const int rows = (int)(to - from), most = g->v->rows[g->vecs];
    const int panel = g->vecs * g->v->width;
    const int64_t k = g->taps * g->run, step = pitch(g->v, k);
    int64_t *offset = (int64_t *)(void *)place;
    void **out = (void **)(offset + BLOCK_ROWS);
    const void **residual = (const void **)(out + BLOCK_ROWS), **begin = residual + BLOCK_ROWS, **row = begin + BLOCK_ROWS;

    places(g, g->out, g->out_of, &g->out_rows, from, rows, offset, out);
    if (g->residual)
        places(g, g->residual, g->residual_of, &g->residual_rows, from, rows, offset, (void **)residual);
    int start[BLOCK_ROWS + 1];
    const int tiles = cut(g, from, to, most, start);
    for (int t = 0; t < tiles; t++) {
        const int here = start[t + 1] - start[t];
        if (lies(g, here))
            begin[t] = line_row(g, from + start[t]);
        else if (g->v->left) {
            char *slabs = place + pointers(g->taps) + (g->direct ? 0 : t * most * step);
            begin[t] = slabs;
            if (!ready)
                pack_rows(g, from + start[t], here, row, slabs);
        } else {
            g->rows(g->ctx, from + start[t], here, row + start[t] * g->taps);
            for (int i = start[t]; i < start[t + 1] && g->skip; i++)
                row[i] = (const float *)row[i] + g->skip;
        }
    }
    const int64_t deep = depth(g->v, g->of_run ? g->of_run : k), column_bytes = deep * g->v->bytes, panels = last - first;  /* of the right operand */
    /* Of one block of rows each panel is read once: from beyond L2, and better while the one before is used than by the first rows alone. */
    const bool once = !g->v->left && from == 0 && to == g->m;
    /* Small enough to stay in L2 while rows pass; of slices a panel and its rows, which no other panel reads, are together in L1 instead. */
    const bool gated = g->gate && !g->v->left, resident = !once && !gated && !g->slice_columns && (size_t)(panels * panel * column_bytes) <= resident_bytes();
    /* Fetched ahead: the next rows, a piece with each panel; or the next panel, a piece with each tile.  Of three parts nothing: there is
     * time enough for the processor's own fetching, which this would only hinder. */
    const bool rows_ahead = resident && g->taps == 1 && !g->v->left;
    const int64_t rows_piece = (most * (int64_t)sizeof(float) + panels - 1) / panels;
    const int64_t panel_piece = (panel * (int64_t)g->v->bytes + tiles - 1) / tiles;
    gemm_tile tile = { .bias = g->bias,
                       .act_first = g->act_first, .add = g->add, .narrow_out = g->out_of == TG_BFLOAT,
                       .narrow_residual = g->residual_of == TG_BFLOAT, .f = g->f,
                       .residual = g->residual ? (const float *const *)residual : NULL };
    int64_t p = first;
    _Alignas(64) char room[GEMM_ROOM];
    if (g->v->begin)
        g->v->begin(&tile, room);
    for (int t = 0; t < tiles && p < last;) {
        const int at = start[t], end = start[t + 1];
        const int64_t next = p + 1 < last ? p + 1 : then;
        int vecs = g->vecs;
        tile.column = p * panel;
        tile.columns = panel;
        if (g->n - tile.column < panel) {
            tile.columns = (int)(g->n - tile.column);
            vecs = (tile.columns + g->v->width - 1) / g->v->width;
        }
        const bool turned = g->v->left && !lies(g, end - at);       /* into slabs */
        const void *first_row = g->v->left ? slice_row(g, begin[t], tile.column) : NULL;
        tile.row = (const float *const *)(g->v->left ? &first_row : row + at * g->taps);
        tile.tap = turned ? NULL : g->tap;
        tile.pitch = g->pitch;
        tile.rest = g->rest;
        tile.taps = turned ? 1 : g->taps;
        tile.run = turned ? k : g->run;
        tile.used = !turned && g->used ? g->used : tile.run;
        tile.out = (float *const *)(out + at);
        tile.residual = g->residual ? (const float *const *)(residual + at) : NULL;
        tile.b = g->b + tile.column * column_bytes / (int64_t)sizeof(float);
        if (g->v->any) {
            const int64_t wide = (int64_t)vecs * g->v->width;
            tile.b += g->skip * wide / 2;                   /* two to a float */
            tile.b_rest = deep * wide;
        } else
            tile.b += g->skip * vecs * g->v->width;
        tile.ahead = (const char *)tile.b;
        tile.ahead_step = 0;
        if (rows_ahead && t + 1 < tiles) {
            tile.ahead_step = rows_piece;
            tile.ahead = (const char *)row[end] + (p - first) * k * rows_piece;
        } else if (!resident && next >= 0 && g->v->bytes <= 4) {
            tile.ahead_step = panel_piece;
            tile.ahead += (next - p) * panel * column_bytes + t * k * panel_piece;
        } else if (g->v->any && t == 0 && next >= 0 && g->v->bytes <= 4) {
            tile.ahead_step = panel * (int64_t)g->v->bytes;
            tile.ahead += (next - p) * panel * column_bytes;
        }
        if (g->span) {
            const gemm_span of = taps_of(g, from + at, from + end);
            tile.tap += of.first;
            tile.taps = of.count;
            tile.b += of.first * g->run * vecs * g->v->width / 2;
        }
        if (g->v->any)
            g->v->any(&tile, end - at, vecs, room);
        else if (gated)
            gated_tile(g, &tile, from + at, end - at, vecs, !t || (from + at) % g->gate_rows == 0);
        else
            g->v->tile[vecs][end - at](&tile);
        if (resident && ++p == last)
            p = first, t++;
        else if (!resident && ++t == tiles)
            t = 0, p++;
    }
    if (g->v->end)
        g->v->end(room);
}

/* How many numbers are multiplied at once: all of them where results are rounded, or are written over a residual that comes last. */
static int64_t piece_length(const gemm *g)
{
    if (g->image)
        return strassen_length(g->run);
    return g->direct || g->taps != 1 || g->out_of == TG_BFLOAT || (g->residual && g->act_first) ? g->run : at_once(g->v, g->m, g->run);
}

static gemm piece(const gemm *g, int64_t at, int64_t length)
{
    gemm part = *g;
    if (length >= g->run)
        return part;
    const bool last = at + length >= g->run;
    part.skip = at;
    part.of_run = g->run;
    part.run = last ? g->run - at : length;
    part.add = g->add || at;
    if (at)
        part.bias = NULL, part.residual = NULL;
    if (!last)
        part.f = (act){ 0 };
    return part;
}

static int64_t whole_lines(const gemm *g, int64_t rows)
{
    return g->direct && !g->across && rows > g->line_rows ? rows / g->line_rows * g->line_rows : rows;
}

void gemm_part(const gemm *g, int64_t from, int64_t to, int64_t first, int64_t last, char *place)
{
    const int64_t length = piece_length(g);
    for (int64_t at = 0; !at || at < g->run; at += length ? length : 1) {
        const gemm part = piece(g, at, length);
        const int64_t rows = whole_lines(g, g->direct ? BLOCK_ROWS : block_rows(part.v, part.vecs, part.taps, part.run));
        for (int64_t i = from; i < to; i += rows)
            block(&part, i, i + rows < to ? i + rows : to, first, last, place + HEAD, false, -1);
    }
}

/* Blocks of whole strips of `unit` rows, but for the last one's, and groups of panels. */
struct deal { const gemm *g; int64_t unit, strips, blocks, panels, groups; };

static int64_t block_row(const struct deal *d, int64_t i) { return i == d->blocks ? d->g->m : d->strips * i / d->blocks * d->unit; }

static void work(void *arg, int64_t from, int64_t to)
{
    const struct deal *d = arg;
    const gemm *g = d->g;
    char *place = g->scratch + (size_t)pool_worker() * place_bytes(g->v, g->vecs, g->taps, g->run);

    for (int64_t i = from; i < to; i++) {
        const int64_t at = i / d->groups, group = i % d->groups, row = block_row(d, at);
        const int64_t first = d->panels * group / d->groups, last = d->panels * (group + 1) / d->groups;
        const bool same = g->v->left && *held(place) == row;
        *held(place) = row;
        block(g, row, block_row(d, at + 1), first, last, place + HEAD, same, i + 1 < d->blocks * d->groups ? last % d->panels : -1);
    }
}

/* Pieces of work: few enough to be worth their start, many enough that no thread waits long for another's last one.  Where rows
 * are packed, which each thread does for itself, few. */
static int64_t tasks(const gemm *g, int threads)
{
    const int64_t least = 4 * (int64_t)threads, most = 16 * (int64_t)threads;
    const double worth = g->v->left ? 8. * WORTH : WORTH, fit = (double)g->m * (double)g->n * (double)(g->taps * g->run) / worth;
    return fit < (double)least ? least : fit > (double)most ? most : (int64_t)fit;
}

/* Groups of panels small enough for L2: rows pass each and leave long runs of results, which memory takes faster than a panel's; but wide enough
 * to pay for reading rows once for each.  1: none such. */
static int64_t resident_groups(const gemm *g, int64_t panels)
{
    const int64_t bytes = panels * g->vecs * g->v->width * depth(g->v, g->run) * g->v->bytes, most = (int64_t)resident_bytes();
    const int64_t groups = (bytes + most - 1) / most;
    return groups && g->n / groups >= FEWEST ? groups : 1;
}

static int64_t over(int64_t n, int64_t by) { return (n + by - 1) / by; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* As many blocks as the cache wants, more of few panels; and of few pieces in all as many for each thread. */
static void run_piece(const gemm *g, pool *p)
{
    const int threads = pool_threads(p), panel = g->vecs * g->v->width, most = g->v->rows[g->vecs];
    const int64_t wanted = tasks(g, threads), rows = g->across ? BLOCK_ROWS : block_rows(g->v, g->vecs, g->taps, g->run);
    struct deal d = { .g = g, .panels = over(g->n, panel), .blocks = over(g->m, rows) };

    if (d.blocks * d.panels < wanted && g->m > most)
        d.blocks = over(wanted, d.panels);
    /* Where instructions take any number of rows, few blocks are alike, and of many none but the last ends in part of a strip. */
    d.unit = !g->v->any ? most : g->v->half > 1 || d.blocks <= 2 * threads ? g->v->half : TILE_ROWS;
    if (g->direct && !g->across && over(g->m, d.blocks) >= g->line_rows)
        d.unit = g->line_rows;
    d.strips = over(g->m, d.unit);
    const int64_t fewest = over(d.strips, rows / d.unit);   /* blocks */
    d.blocks = least(d.blocks < fewest ? fewest : d.blocks, d.strips);
    d.groups = least(over(wanted, d.blocks), d.panels);
    if (g->far && d.blocks > 1 && d.groups < resident_groups(g, d.panels))
        d.groups = least(resident_groups(g, d.panels), d.panels);
    if (d.blocks * d.groups < 32 * threads) {
        int64_t more = d.groups;
        while (more < d.panels && d.blocks * more % threads)
            more++;
        if (d.blocks * more % threads == 0)
            d.groups = more;
        else
            d.blocks = least(over(d.blocks, threads) * threads, d.strips);
    }
    for (int i = 0; i < threads; i++)
        *held(g->scratch + (size_t)i * place_bytes(g->v, g->vecs, g->taps, g->run)) = -1;
    pool_run(p, d.blocks * d.groups, 1, work, &d);
}

void gemm_run(const gemm *g, pool *p)
{
    const int64_t length = piece_length(g);
    for (int64_t at = 0; !at || at < g->run; at += length ? length : 1) {
        const gemm part = piece(g, at, length);
        if (g->image)
            strassen_run(&part, p);
        else
            run_piece(&part, p);
    }
}

struct packing { const gemm_vec *v; int64_t k, n; const float *w; int64_t sk, sn; int panel; float *to; };

static void pack_columns(void *arg, int64_t from, int64_t to)
{
    const struct packing *d = arg;
    to = to < d->n ? to : d->n;
    d->v->pack(d->w + from * d->sn, d->k, to - from, d->sk, d->sn, d->panel, d->to + gemm_packed(d->v, d->k, from));
}

void gemm_pack_right(const gemm_vec *v, int64_t k, int64_t n, const float *w, int64_t sk, int64_t sn, int vecs, float *to, pool *p)
{
    struct packing d = { v, k, n, w, sk, sn, vecs * v->width, to };
    pool_run(p, n, d.panel, pack_columns, &d);
}

bool gemm_pack(const gemm_vec *v, int vecs, int64_t n, int64_t k, const float *w, int64_t sk, int64_t sn, const tg_tensor *bias, packed *out)
{
    int64_t padded = gemm_filled(v, n), packed_b = gemm_packed(v, k, n);
    *out = (packed){ .vecs = vecs, .bytes = (size_t)(packed_b + padded) * sizeof(float) };
    out->b = pages_alloc(out->bytes);
    if (!out->b)
        return false;
    v->pack(w, k, n, sk, sn, out->vecs * v->width, out->b);
    if (bias) {
        out->bias = out->b + packed_b;
        for (int64_t j = 0; j < padded; j++)
            out->bias[j] = j < n ? ((const float *)bias->data)[j * bias->stride[0]] : 0;
    }
    return true;
}
