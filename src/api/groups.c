/* groups.c - layers of parameters, and from them rates and weight decay.  Counterparts: timm.optim._param_groups and
 * timm.models._manipulate.group_parameters. */
#include "api/groups.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where a layer stands: part (stem, blocks, head), the numbers in its name, what follows them; -1 where there is none. */
enum { STEM, BLOCKS, HEAD, NUMBERS = 4 };
enum { LAST = 99999 };
typedef struct place { int64_t key[2 + NUMBERS]; bool joins, beside; } place;      /* beside: between blocks, no block itself */

/* Does `name` start as the pattern of n characters says?  Numbers go to key from 1 on. */
static bool starts(const char *name, const char *pattern, size_t n, place *at)
{
    int numbers = 0;
    for (const char *end = pattern + n; pattern < end; pattern++) {
        if (pattern[0] == '%') {
            char *after;
            if (!isdigit((unsigned char)*name) || numbers == NUMBERS)
                return false;
            at->key[1 + numbers++] = strtoll(name, &after, 10);
            name = after;
            pattern++;
        } else if (*name++ != *pattern) {
            return false;
        }
    }
    return true;
}

static int numbers_in(const place *at)
{
    int n = 0;
    while (n < NUMBERS && at->key[1 + n] >= 0)
        n++;
    return n;
}

static bool in_part(const char *name, const char *patterns, int of, place *at)
{
    for (const char *p = patterns; p && *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, "= "), whole = strcspn(p, " ");
        *at = (place){ .key = { of, -1, -1, -1, -1, -1 } };
        if (starts(name, p, n, at)) {
            at->joins = !strncmp(p + n, "=last", 5);
            at->beside = p[n] == '=';
            if (at->beside)
                at->key[1 + numbers_in(at)] = at->joins ? LAST : 0;
            return true;
        }
        p += whole;
    }
    return false;
}

static place place_of(const timm_family *f, const char *name)
{
    place at;
    if (!in_part(name, f->stem, STEM, &at) && !in_part(name, f->blocks, BLOCKS, &at))
        at = (place){ .key = { HEAD, -1, -1, -1, -1, -1 } };
    return at;
}

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;
    for (int i = 0; i < 2 + NUMBERS; i++)
        if (x->key[i] != y->key[i])
            return x->key[i] < y->key[i] ? -1 : 1;
    return 0;
}

void model_number_blocks(const timm_family *f, tg_graph *g)
{
    place last = { 0 }, at;
    int n = 0;
    for (int i = 0; i < g->count; i++) {
        tg *x = g->node[i];
        if ((x->op->flags & TG_LEAF) || !in_part(x->where, f->blocks, BLOCKS, &at) || at.beside)
            continue;
        n += !n || by_place(&at, &last) != 0;
        x->segment = n;
        last = at;
    }
}

/* Sorted and without repetitions: places; returns how many layers they are, and each place's layer. */
static int number_layers(place *sorted, int *layer, int *places)
{
    int n = 0, id = -1;
    qsort(sorted, (size_t)*places, sizeof *sorted, by_place);
    for (int i = 0; i < *places; i++) {
        if (n && !by_place(&sorted[n - 1], &sorted[i]))
            continue;
        id += id < 0 || !sorted[i].joins;
        layer[n] = id;
        sorted[n++] = sorted[i];
    }
    *places = n;
    return id + 1;
}

/* Layers of all parameters into group[].layer; returns their number, 0 without memory. */
static int find_layers(const timm_model *m, param_group *group)
{
    place *sorted = calloc(m->entries + 1, sizeof *sorted);
    int *layer = calloc(m->entries + 1, sizeof *layer), places = 0, layers = 0;
    if (sorted && layer) {
        for (size_t i = 0; i < m->entries; i++)
            if (!m->entry[i]->par.buffer)
                sorted[places++] = place_of(m->family, m->entry[i]->name);
        layers = number_layers(sorted, layer, &places);
        for (size_t i = 0; i < m->entries; i++) {
            place at = place_of(m->family, m->entry[i]->name);
            const place *found = bsearch(&at, sorted, (size_t)places, sizeof *sorted, by_place);
            group[i].layer = found ? layer[found - sorted] : 0;
        }
    }
    free(sorted);
    free(layer);
    return layers;
}

/* With layer decay timm looks at the rank only; without, at the name's end too. */
static bool decays(const nn_entry *e, const group_opts *o)
{
    size_t n = strlen(e->name);
    bool bias = o->layer_decay == 0 && n >= 5 && !strcmp(e->name + n - 5, ".bias");
    return !e->par.no_decay && (o->decay_all || (e->shape.rank > 1 && !bias));
}

bool model_param_groups(timm_model *m, const group_opts *o, param_group *group)
{
    for (size_t i = 0; i < m->entries; i++)
        group[i] = (param_group){ .lr_scale = 1, .frozen = m->entry[i]->par.buffer,
                                  .weight_decay = decays(m->entry[i], o) ? o->weight_decay : 0 };
    if (o->layer_decay == 0)
        return true;
    int layers = find_layers(m, group);
    if (!layers)
        return status_fail(&m->ctx->st, TIMM_NO_MEMORY, "out of memory for the layers of %s", m->cfg.architecture);
    for (size_t i = 0; i < m->entries; i++) {
        group[i].lr_scale = fmax(o->min_scale, pow(o->layer_decay, layers - 1 - group[i].layer));
        group[i].frozen |= group[i].lr_scale < o->no_opt_scale;
    }
    return true;
}
