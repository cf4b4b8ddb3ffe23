/* tensor.c - shapes and strides. */
#include <inttypes.h>
#include <string.h>
#include "graph.h"

int64_t tg_span(tg_shape s, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= s.dim[i];
    return n;
}

int64_t tg_numel(tg_shape s) { return tg_span(s, 0, s.rank); }

bool tg_same(tg_shape a, tg_shape b)
{
    if (a.rank != b.rank)
        return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i])
            return false;
    return true;
}

void tg_dense(tg_tensor *t)
{
    int64_t step = 1;
    for (int i = t->shape.rank; i-- > 0; step *= t->shape.dim[i])
        t->stride[i] = step;
}

void tg_channels_last(tg_tensor *t)
{
    if (t->shape.rank != 4) {
        tg_dense(t);
        return;
    }
    const int64_t *d = t->shape.dim;
    t->stride[1] = 1;
    t->stride[3] = d[1];
    t->stride[2] = d[1] * d[3];
    t->stride[0] = d[1] * d[3] * d[2];
}

/* Strides of size-1 axes are never used and so never compared. */
static bool strides_as(const tg_tensor *t, const tg_tensor *like)
{
    for (int i = 0; i < t->shape.rank; i++)
        if (t->shape.dim[i] != 1 && t->stride[i] != like->stride[i])
            return false;
    return true;
}

bool tg_is_dense(const tg_tensor *t)
{
    tg_tensor like = *t;
    tg_dense(&like);
    return strides_as(t, &like);
}

bool tg_is_channels_last(const tg_tensor *t)
{
    tg_tensor like = *t;
    tg_channels_last(&like);
    return t->shape.rank == 4 && strides_as(t, &like);
}

int64_t tg_offset(const tg_tensor *t, const int64_t *index)
{
    int64_t at = 0;
    for (int i = 0; i < t->shape.rank; i++)
        at += index[i] * t->stride[i];
    return at;
}

bool tg_next(tg_shape s, int64_t *index)
{
    for (int i = s.rank; i-- > 0; index[i] = 0)
        if (++index[i] < s.dim[i])
            return true;
    return false;
}

const char *tg_str(tg_shape s)
{
    static _Thread_local char ring[8][160];
    static _Thread_local unsigned next;
    char *p = ring[next++ & 7];
    size_t n = 0;
    p[n++] = '(';
    for (int i = 0; i < s.rank; i++)
        n += (size_t)snprintf(p + n, 160 - n, i ? ", %" PRId64 : "%" PRId64, s.dim[i]);
    memcpy(p + n, s.rank == 1 ? ",)" : ")", s.rank == 1 ? 3 : 2);
    return p;
}
