/* model.h - a model: options over a store of parameters, and the plans made of it so far. */
#ifndef API_MODEL_H
#define API_MODEL_H
#include "api/context.h"
#include "io/safetensors.h"
#include "nn/nn.h"
#include "plan/plan.h"

/* The store and what it reads from, shared by a model and its features. */
typedef struct weights {
    nn_store *store;
    struct weight_file *files;              /* open checkpoints that entries still read from (checkpoint.c) */
    int users;
} weights;

/* What is run: which part of the network, on what shape. */
typedef enum part { PART_FORWARD, PART_FEATURES, PART_HEAD, PART_PRE_LOGITS, PART_TAPS } part;

typedef struct planned {
    part what;
    tg_shape input;
    plan *plan;
    uint64_t used;                          /* clock of the last run: the oldest plan makes room */
} planned;

typedef struct tap_info { const char *module; int64_t channels; int reduction; } tap_info;

enum { PLANS = 4 };

struct timm_model {
    timm_ctx *ctx;
    timm_model *next;
    const timm_family *family;
    const void *variant;                    /* of the table, or with model_kwargs a copy that they changed */
    const char *kwargs;                     /* NULL: none */
    timm_cfg cfg;
    nn_options opts;                        /* as created, resolved */
    timm_head head;                         /* as reset_classifier left it */
    weights *w;
    arena mem;
    nn_entry **entry;                       /* the state_dict, sorted by name */
    size_t entries;
    int64_t num_features, head_hidden_size;
    tg_shape features;                      /* of what the body leaves, of one image of the model's size */
    int features_axis;                      /* the one of channels in it */
    tap_info *tap;
    int taps;
    int *wanted, n_wanted;                  /* features: indices asked for, in the order asked; NULL: a plain model */
    planned plans[PLANS];
    int last;                               /* of plans: the one that ran last */
    uint64_t clock;
    bool profile, use_ema;
    tg_precision precision;                 /* of products */
    bool precision_named;                   /* by options, else by what it is used for */
    const char **label;                     /* class names that the weights came with, or NULL */
    int labels;
    const char *task;                       /* of the run that made them; NULL: classification */
};

/* Shapes of the whole model at its own input size: entries, taps, widths.  False with a status. */
bool model_survey(timm_model *m);
/* Builds one part over an input of that shape; outputs in out[], *n of them (at most max). */
bool model_build(timm_model *m, part what, tg_shape input, nn_build *b, tg **out, int max, int *n);
/* plans.c: the plan of this part for this input, made anew or kept; NULL: with a status. */
planned *model_plan(timm_model *m, part what, tg_shape input);
/* Such a plan to be told of, not run: it needs no weights.  The caller frees it. */
plan *model_sketch(timm_model *m, part what, tg_shape input);
void model_drop_plans(timm_model *m);
timm_step model_step(const plan *p, int i);              /* of a plan, as told outside (params.c) */

/* How many images of a batch to run at once, when one takes so much memory, and weights so much. */
int64_t slice_of(int64_t batch, size_t image_bytes, size_t weight_bytes, int threads);

/* checkpoint.c.  asked: the user named a number of classes; where the file has another, the head stays as drawn. */
bool weights_load(timm_model *m, const char *path, bool strict, bool asked);
/* What a run's checkpoint says of its network, pixels and classes, where the options say nothing: o->weights is read. */
bool weights_describe(timm_model *m, timm_model_opts *o);
/* What a file of weights says of its network and of how its images are prepared, so that the same is made of it again;
 * the model's strings stay the model's. */
enum { WEIGHTS_PAIRS = 16 };
typedef struct weights_metadata {
    safetensors_pair pair[WEIGHTS_PAIRS];
    char text[WEIGHTS_PAIRS][80];           /* of values that are numbers */
    size_t count;
} weights_metadata;
void weights_describe_model(const timm_model *m, weights_metadata *w);
/* The file is a checkpoint of a run that keeps an average of the weights. */
bool weights_have_average(const safetensors *f);
void weights_release(weights *w);

bool model_take_kwargs(timm_model *m, const char *text);                 /* kwargs.c; text may be NULL */

/* pooling.c: "avg" and the like; false: no such name. */
bool pooling_by_name(const char *name, nn_pooling *how);
const char *pooling_name(nn_pooling how);                                /* of all but the default */

#endif
