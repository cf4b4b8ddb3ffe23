/* store.c - names to values, which are made when they are asked for: drawn, read from a file, or owned. */
#include "nn.h"
#include <stdlib.h>
#include <string.h>
#include "base/random.h"
#include "base/room.h"

struct nn_store {
    arena mem;
    status *st;
    uint64_t seed;
    nn_entry **table;                   /* open addressing, power of two */
    size_t room, used;
    nn_fill *fill;
    void *user;                         /* fill's */
    nn_entry **every;                   /* also those replaced since, for freeing */
    size_t count, every_room;
};

nn_store *nn_store_new(uint64_t seed, status *st)
{
    nn_store *s = calloc(1, sizeof *s);
    if (!s) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for a parameter store");
        return NULL;
    }
    s->st = st;
    s->seed = seed;
    return s;
}

void nn_store_free(nn_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        free(s->every[i]->owned);
    free(s->every);
    free(s->table);
    arena_free(&s->mem);
    free(s);
}

void nn_store_fill(nn_store *s, nn_fill *fill, void *user)
{
    s->fill = fill;
    s->user = user;
}

static nn_entry **place(nn_store *s, const char *name)
{
    size_t i = hash_name(name) & (s->room - 1);
    while (s->table[i] && strcmp(s->table[i]->name, name))
        i = (i + 1) & (s->room - 1);
    return &s->table[i];
}

nn_entry *nn_store_find(nn_store *s, const char *name) { return s->room ? *place(s, name) : NULL; }

static bool grow(nn_store *s)
{
    size_t old_room = s->room, room = old_room ? old_room * 2 : 512;
    nn_entry **old = s->table, **table = calloc(room, sizeof *table);
    if (!table)
        return false;
    s->table = table;
    s->room = room;
    for (size_t i = 0; i < old_room; i++)
        if (old[i])
            *place(s, old[i]->name) = old[i];
    free(old);
    return true;
}

static bool keep(nn_store *s, nn_entry *e)
{
    if (s->count == s->every_room) {
        size_t room = s->every_room ? s->every_room * 2 : 512;
        nn_entry **more = realloc(s->every, room * sizeof *more);
        if (!more)
            return false;
        s->every = more;
        s->every_room = room;
    }
    s->every[s->count++] = e;
    return true;
}

nn_entry *nn_store_declare(nn_store *s, const char *name, tg_shape shape, nn_par par)
{
    nn_entry *e = nn_store_find(s, name);
    if (e && tg_same(e->shape, shape))
        return e;
    if ((2 * s->used >= s->room && !grow(s)) || !(e = arena_alloc(&s->mem, sizeof *e))) {
        status_fail(s->st, TIMM_NO_MEMORY, "out of memory for parameter %s", name);
        return NULL;
    }
    nn_entry **p = place(s, name);
    *e = (nn_entry){ .store = s, .name = *p ? (*p)->name : arena_strdup(&s->mem, name), .shape = shape, .par = par };
    if (!e->name || !keep(s, e)) {
        status_fail(s->st, TIMM_NO_MEMORY, "out of memory for parameter %s", name);
        return NULL;
    }
    s->used += !*p;
    *p = e;
    return e;
}

static bool make(nn_entry *e, float *out)
{
    nn_store *s = e->store;
    if (e->source == NN_READ)
        return e->read(e->reader, e->index, out, s->st);
    if (s->fill)
        s->fill(s->user, e->name, e->shape.rank, e->shape.dim, out);
    else
        nn_draw(e, s->seed, out);
    return true;
}

static size_t bytes_of(const nn_entry *e)
{
    int64_t n = tg_numel(e->shape);
    return (size_t)(n ? n : 1) * sizeof(float);
}

static float *told(nn_entry *e, float *p)
{
    if (!p)
        status_fail(e->store->st, TIMM_NO_MEMORY, "out of memory for %zu bytes of %s", bytes_of(e), e->name);
    return p;
}

const float *nn_fetch(nn_entry *e, bool *temporary)
{
    *temporary = false;
    if (e->source == NN_OWNED)
        return e->owned;
    if (e->source == NN_READ && e->direct)
        return e->direct;
    float *p = told(e, room_alloc(bytes_of(e)));
    if (p && !make(e, p)) {
        room_free(p);
        return NULL;
    }
    *temporary = p != NULL;
    return p;
}

void nn_done(nn_entry *e, const float *value, bool temporary)
{
    if (temporary)
        room_free((void *)(uintptr_t)value);
    else if (e->source == NN_READ && e->drop)
        e->drop(e->reader, e->index);
}

float *nn_own(nn_entry *e)
{
    if (e->source == NN_OWNED)
        return e->owned;
    float *p = told(e, malloc(bytes_of(e)));
    if (!p || !make(e, p)) {
        free(p);
        return NULL;
    }
    e->owned = p;
    e->source = NN_OWNED;
    return p;
}
