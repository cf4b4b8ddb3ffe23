/* loops.c - merging of axes, and the walk over what is left. */
#include "loops.h"
#include <string.h>
#include "vec.h"

enum { PIECE = 16384 };     /* work that one range takes at least; smaller problems stay on the caller */

loops loops_of(const tg_tensor *const *t, int tensors)
{
    loops l = { .rank = 0, .tensors = tensors };
    int rank = t[0]->shape.rank, axis[TG_MAX_RANK], axes = 0;
    int64_t stride[LOOPS_MOST][TG_MAX_RANK];

    for (int a = 0; a < rank; a++) {
        if (t[0]->shape.dim[a] == 1)
            continue;
        for (int i = 0; i < tensors; i++) {
            int b = a - (rank - t[i]->shape.rank);
            stride[i][a] = b < 0 || t[i]->shape.dim[b] == 1 ? 0 : t[i]->stride[b];
        }
        int k = axes++;         /* sorted by the first tensor's strides, outermost first */
        while (k > 0 && stride[0][axis[k - 1]] < stride[0][a]) {
            axis[k] = axis[k - 1];
            k--;
        }
        axis[k] = a;
    }
    for (int k = 0; k < axes; k++) {
        int a = axis[k], last = l.rank - 1;
        bool merges = l.rank > 0;
        for (int i = 0; i < tensors && merges; i++)
            merges = l.stride[i][last] == stride[i][a] * t[0]->shape.dim[a];
        if (!merges)
            l.dim[last = l.rank++] = 1;
        l.dim[last] *= t[0]->shape.dim[a];
        for (int i = 0; i < tensors; i++)
            l.stride[i][last] = stride[i][a];
    }
    if (!l.rank) {
        l.rank = 1;
        l.dim[0] = 1;
    }
    return l;
}

struct walk { const loops *l; loops_row *row; const void *arg; int64_t pieces, length; };

static void work(void *arg, int64_t from, int64_t to)
{
    const struct walk *w = arg;
    const loops *l = w->l;
    const int inner = l->rank - 1;
    int64_t at[TG_MAX_RANK], offset[LOOPS_MOST] = { 0 }, rest = from / w->pieces, piece = from % w->pieces;

    for (int a = inner - 1; a >= 0; a--) {
        at[a] = rest % l->dim[a];
        rest /= l->dim[a];
        for (int i = 0; i < l->tensors; i++)
            offset[i] += at[a] * l->stride[i][a];
    }
    for (int64_t k = from; k < to; k++) {
        int64_t start = piece * w->length, n = l->dim[inner] - start, o[LOOPS_MOST];
        for (int i = 0; i < l->tensors; i++)
            o[i] = offset[i] + start * l->stride[i][inner];
        w->row(w->arg, o, n < w->length ? n : w->length);
        if (++piece < w->pieces)
            continue;
        piece = 0;
        for (int a = inner - 1; a >= 0; a--) {
            for (int i = 0; i < l->tensors; i++)
                offset[i] += l->stride[i][a];
            if (++at[a] < l->dim[a])
                break;
            for (int i = 0; i < l->tensors; i++)
                offset[i] -= at[a] * l->stride[i][a];
            at[a] = 0;
        }
    }
}

void loops_run(const loops *l, pool *p, int64_t weight, loops_row *row, const void *arg)
{
    const int inner = l->rank - 1;
    struct walk w = { .l = l, .row = row, .arg = arg, .pieces = 1, .length = l->dim[inner] };
    int64_t rows = 1;
    for (int a = 0; a < inner; a++)
        rows *= l->dim[a];
    if (!rows || !l->dim[inner])
        return;
    if (rows < 4 * pool_threads(p) && w.length * weight > PIECE) {
        w.length = weight < PIECE / 16 ? PIECE / weight / 16 * 16 : 16;
        w.pieces = (l->dim[inner] + w.length - 1) / w.length;
    }
    int64_t grain = PIECE / (w.length * weight);
    pool_run(p, rows * w.pieces, grain ? grain : 1, work, &w);
}

void loops_gather(const void *from, tg_dtype of, int64_t step, int64_t n, float *to)
{
    const float *x = from;
    const uint16_t *narrow = from;
    if (of == TG_BFLOAT && step == 1)
        VEC_PICK(narrow_vec)->widen(narrow, to, n);
    else if (of == TG_BFLOAT)
        for (int64_t i = 0; i < n; i++)
            to[i] = bfloat_to_float(narrow[i * step]);
    else if (step == 1)
        memcpy(to, x, (size_t)n * sizeof *to);
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = x[i * step];
}
