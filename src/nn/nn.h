/* nn.h - the parameter store, which is the model, and a build, which is one graph over it. */
#ifndef NN_H
#define NN_H
#include "base/arena.h"
#include "base/status.h"
#include "graph/graph.h"
#include "timm/model.h"

/* -- the store: names to values ---------------------------------------------------------------------------------------- */

typedef struct nn_store nn_store;

/* Where the value of an entry comes from when it is asked for. */
typedef enum nn_source { NN_DRAWN, NN_OWNED, NN_READ } nn_source;

/* Reads one tensor from wherever it lies, into `out` in float; false and a status when that fails. */
typedef bool nn_reader(void *reader, size_t index, float *out, status *st);

typedef struct nn_entry {
    nn_store *store;
    const char *name;
    tg_shape shape;
    nn_par par;
    nn_source source;
    float *owned;                       /* NN_OWNED */
    const float *direct;                /* NN_READ: usable as it lies (a mapped F32 tensor); NULL: read it */
    void (*drop)(void *reader, size_t index);              /* direct memory is not needed for now; may be NULL */
    nn_reader *read;
    void *reader;
    size_t index;
} nn_entry;

nn_store *nn_store_new(uint64_t seed, status *st);
void nn_store_free(nn_store *s);
nn_entry *nn_store_find(nn_store *s, const char *name);    /* the latest of that name, or NULL */
/* The entry of that name and shape; drawn anew (and replacing the name's former entry) when there is none. */
nn_entry *nn_store_declare(nn_store *s, const char *name, tg_shape shape, nn_par par);
/* Values made by `fill` instead of the initialisers: fingerprints. */
typedef void nn_fill(void *user, const char *name, int rank, const int64_t *dim, float *out);
void nn_store_fill(nn_store *s, nn_fill *fill, void *user);
/* The value, dense: borrowed memory, or *temporary memory that nn_done frees.  NULL on failure, with the store's status. */
const float *nn_fetch(nn_entry *e, bool *temporary);
void nn_done(nn_entry *e, const float *value, bool temporary);
/* The value in memory of the entry's own, to be written to; NULL: out of memory. */
float *nn_own(nn_entry *e);
void nn_draw(const nn_entry *e, uint64_t seed, float *out);      /* init.c */

/* -- a build: body and head as one graph -------------------------------------------------------------------------------- */

/* What a training pass makes of a buffer: running statistics. */
typedef struct nn_update { nn_entry *entry; tg *value; } nn_update;

/* Inputs of a training plan: those of the user come first, then parameter number i as input NN_FIRST_PARAM + i. */
enum { NN_KEY = 2, NN_FIRST_PARAM = 8 };
enum { NN_KEY_SIZE = 4 };
/* What input NN_KEY of a training plan holds: all that is random in one update. */
void nn_key_of(uint64_t seed, uint64_t update, float key[NN_KEY_SIZE]);

typedef struct nn_tap { const char *module; tg *value; bool nhwc; } nn_tap;

struct nn_build {
    tg_graph *graph;
    nn_store *store;
    status *st;
    const timm_family *family;
    nn_options opts;
    nn_entry **entry;                   /* declared, in order of first declaration; sorted by nn_sort_entries */
    tg **leaf;                          /* their values */
    int entries, room;
    int *slot, slots;                   /* open-addressing table over entry names */
    nn_tap *tap;
    int taps, tap_room;
    bool training;                      /* statistics of the batch, parameters that vary; nn_build_train */
    bool (*frozen)(void *user, const nn_entry *e);       /* in training: stays as it is; NULL: nothing does */
    void *user;
    tg *key;                            /* the plan's input NN_KEY; NULL until something random asks for it */
    nn_update *update;
    int updates, update_room;
};

tg *nn_key(nn_scope s);                            /* the plan's input NN_KEY, of which every random value of a pass is a function */
bool nn_build_open(nn_build *b, nn_store *store, const timm_family *family, const nn_options *opts, status *st);
void nn_build_train(nn_build *b);                  /* right after opening: what follows is a training pass */
void nn_build_close(nn_build *b);
void nn_updated(nn_scope s, tg *buffer, tg *value);      /* buffer (a value of nn_param) becomes this after the pass */
nn_scope nn_root(nn_build *b);

#endif
