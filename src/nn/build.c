/* build.c - scopes and the parameters and taps declared in them. */
#include "nn.h"
#include <stdlib.h>
#include <string.h>
#include "base/random.h"

bool nn_build_open(nn_build *b, nn_store *store, const timm_family *family, const nn_options *opts, status *st)
{
    *b = (nn_build){ .store = store, .st = st, .family = family, .opts = *opts };
    b->graph = tg_graph_new(st);
    return b->graph != NULL;
}

void nn_build_train(nn_build *b)
{
    b->training = true;
    b->graph->params_vary = true;
}

void nn_build_close(nn_build *b)
{
    tg_graph_free(b->graph);
    free(b->entry);
    free(b->leaf);
    free(b->slot);
    free(b->tap);
    free(b->update);
    *b = (nn_build){ 0 };
}

nn_scope nn_root(nn_build *b) { return (nn_scope){ b, "" }; }
const nn_options *nn_opts(nn_scope s) { return &s.b->opts; }

nn_scope at(nn_scope s, const char *fmt, ...)
{
    arena *mem = &s.b->graph->mem;
    va_list ap;
    va_start(ap, fmt);
    char *leaf = arena_vprintf(mem, fmt, ap);
    va_end(ap);
    char *path = !leaf || !s.path[0] ? leaf : arena_printf(mem, "%s.%s", s.path, leaf);
    if (!path)
        status_fail(s.b->st, TIMM_NO_MEMORY, "out of memory for the name of a layer in %s", s.path);
    return (nn_scope){ s.b, path ? path : s.path };
}

void nn_fail(nn_scope s, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    tg_poison(s.b->graph, TIMM_BAD_ARG, "%s", text);
}

/* -- parameters ------------------------------------------------------------------------------------------------------------ */

static int *slot_of(nn_build *b, const char *name)
{
    size_t mask = (size_t)b->slots - 1, i = hash_name(name) & mask;
    while (b->slot[i] && strcmp(b->entry[b->slot[i] - 1]->name, name))
        i = (i + 1) & mask;
    return &b->slot[i];
}

static bool more_room(nn_build *b)
{
    if (b->entries < b->room)
        return true;
    int room = b->room ? b->room * 2 : 512;
    nn_entry **entry = realloc(b->entry, (size_t)room * sizeof *entry);
    if (entry)
        b->entry = entry;
    tg **leaf = realloc(b->leaf, (size_t)room * sizeof *leaf);
    if (leaf)
        b->leaf = leaf;
    int *slot = calloc((size_t)room * 2, sizeof *slot);
    if (!entry || !leaf || !slot) {
        free(slot);
        return false;
    }
    free(b->slot);
    b->slot = slot;
    b->slots = room * 2;
    b->room = room;
    for (int i = 0; i < b->entries; i++)
        *slot_of(b, b->entry[i]->name) = i + 1;
    return true;
}

tg *nn_param(nn_scope s, tg_shape shape, nn_par o)
{
    nn_build *b = s.b;
    tg_graph *g = b->graph;
    if (!status_ok(b->st) || !more_room(b))
        return tg_poison(g, TIMM_NO_MEMORY, "out of memory for parameter %s", s.path);
    int *slot = slot_of(b, s.path);
    if (*slot) {
        tg *leaf = b->leaf[*slot - 1];
        if (!tg_same(leaf->shape, shape))
            return tg_poison(g, TIMM_INTERNAL, "parameter %s is declared as %s and as %s", s.path, tg_str(leaf->shape),
                             tg_str(shape));
        return leaf;
    }
    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] < 0 || (shape.dim[i] == 0 && !o.buffer))
            return tg_poison(g, TIMM_SHAPE, "parameter %s cannot be %s", s.path, tg_str(shape));
    nn_entry *e = nn_store_declare(b->store, s.path, shape, o);
    if (!e)
        return tg_poison(g, TIMM_NO_MEMORY, "out of memory for parameter %s", s.path);
    tg_where(g, s.path);
    tg *leaf = tg_param_leaf(g, e, shape, !o.buffer);
    leaf->input = NN_FIRST_PARAM + b->entries;
    b->entry[b->entries] = e;
    b->leaf[b->entries] = leaf;
    *slot = ++b->entries;
    return leaf;
}

/* -- taps ------------------------------------------------------------------------------------------------------------------ */

static void tap(nn_scope s, tg *x, bool nhwc)
{
    nn_build *b = s.b;
    if (b->taps == b->tap_room) {
        int room = b->tap_room ? b->tap_room * 2 : 64;
        nn_tap *more = realloc(b->tap, (size_t)room * sizeof *more);
        if (!more) {
            status_fail(b->st, TIMM_NO_MEMORY, "out of memory for the tap %s", s.path);
            return;
        }
        b->tap = more;
        b->tap_room = room;
    }
    b->tap[b->taps++] = (nn_tap){ .module = s.path, .value = x, .nhwc = nhwc };
}

void nn_feature(nn_scope s, tg *x) { tap(s, x, false); }
void nn_feature_nhwc(nn_scope s, tg *x) { tap(s, x, true); }

void nn_updated(nn_scope s, tg *buffer, tg *value)
{
    nn_build *b = s.b;
    if (b->updates == b->update_room) {
        int room = b->update_room ? b->update_room * 2 : 64;
        nn_update *more = realloc(b->update, (size_t)room * sizeof *more);
        if (!more) {
            status_fail(b->st, TIMM_NO_MEMORY, "out of memory for an update of %s", s.path);
            return;
        }
        b->update = more;
        b->update_room = room;
    }
    b->update[b->updates++] = (nn_update){ .entry = buffer->param, .value = value };
}
