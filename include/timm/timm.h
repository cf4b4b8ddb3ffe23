/* timm.h - PyTorch Image Models in C: create a network by its timm name, run it, take its features.
 *
 * Everything hangs off a context.  The first failure sticks to it as a status and a sentence; calls given NULL do nothing,
 * so a program may run to its end and ask once.  One context per thread; nothing here ends the process.
 * Shapes are in PyTorch's order, dimensions are int64_t, sizes in bytes are size_t.  Every option struct may be {0} or
 * NULL: zero is the default, which stands in the field's comment.  Strings and tensors that a call returns belong to the
 * object they were asked of and live until its next call of the same kind or until it is closed, unless said otherwise.
 */
#ifndef TIMM_H
#define TIMM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define TIMM_VERSION_MAJOR 0
#define TIMM_VERSION_MINOR 1
#define TIMM_VERSION_PATCH 0
#define TIMM_VERSION "0.1.0"
#if defined(__GNUC__)
#define TIMM_API __attribute__((visibility("default")))
#else
#define TIMM_API
#endif

/* What can go wrong: name, sentence. */
#define TIMM_STATUSES(X)                                                                         \
    X(OK,          "all went well")                                                              \
    X(BAD_ARG,     "an argument or option that makes no sense")                                  \
    X(NOT_FOUND,   "no such model, tag, file or tensor")                                         \
    X(IO,          "the operating system refused to read or write")                              \
    X(BAD_FILE,    "a file whose bytes are not what its format demands")                         \
    X(MISMATCH,    "tensors whose names or shapes do not fit the model")                         \
    X(SHAPE,       "shapes that do not fit each other")                                          \
    X(NO_MEMORY,   "out of memory")                                                              \
    X(DIVERGED,    "training whose loss is no number")                                           \
    X(UNSUPPORTED, "a thing this build cannot do")                                               \
    X(INTERNAL,    "a mistake of ours; please report it")
typedef enum timm_status {
#define TIMM_STATUS_ENUM(name, text) TIMM_##name,
    TIMM_STATUSES(TIMM_STATUS_ENUM)
#undef TIMM_STATUS_ENUM
    TIMM_STATUS_COUNT
} timm_status;

typedef struct timm_ctx timm_ctx;
typedef struct timm_model timm_model;

/* -- context --------------------------------------------------------------------------------------------------------- */

/* Kernels of inference by measurement.  What was measured is kept in a file, for this machine, and holds for equal layers of any
 * model; training chooses by rule always, so that its bytes never depend on it. */
typedef enum timm_tuning {
    TIMM_TUNE_KNOWN,            /* as measured before, where the file has it; else by rule */
    TIMM_TUNE_MEASURE,          /* what the file does not have is measured when it is first needed, in some seconds a model, and kept */
    TIMM_TUNE_NEVER             /* by rule alone */
} timm_tuning;

typedef struct timm_open_opts {
    int threads;                /* compute threads; 0: one per core this process may use */
    const char *backend;        /* "auto" (NULL): the fastest kernels found; "ref": the naive definitions only;
                                   "cpu": no oneDNN; "onednn": no kernels of our own but where oneDNN has none */
    uint64_t seed;              /* of initial values; 0: 42 */
    int verbose;                /* 0: quiet, 1: notes on stderr, 2: which kernel won each node and why others declined */
    void (*note)(void *user, const char *text);   /* receives notes (deprecated names, ...) instead of stderr */
    void *user;
    const char *without;        /* passes over the graph to leave out, to find out what one of them does: "fuse,slices"; all:
                                   fuse, expand, gate, shortcut, pointwise, dots, recompute, narrow, inplace, slices, fewer (multiplications:
                                   Winograd's and Strassen's, which round a little more) */
    timm_tuning tuning;
    const char *tune_file;      /* NULL: timm/kernels-MACHINE.txt in $XDG_CACHE_HOME or ~/.cache */
} timm_open_opts;

TIMM_API timm_ctx *timm_open(const timm_open_opts *opts);        /* NULL only when out of memory */
TIMM_API int timm_close(timm_ctx *ctx);                          /* frees all it owns; 1 if anything failed, else 0 */
TIMM_API timm_status timm_ctx_status(const timm_ctx *ctx);       /* the first failure, or TIMM_OK */
TIMM_API const char *timm_message(const timm_ctx *ctx);          /* its sentence; "" if none */
TIMM_API void timm_clear(timm_ctx *ctx);                         /* forget the failure and go on */
TIMM_API int timm_threads(timm_ctx *ctx);                        /* compute threads in use */
/* A file that appears whole or not at all; until then what was there under its name stays. */
TIMM_API timm_status timm_write_file(timm_ctx *ctx, const char *path, const void *bytes, size_t size);
/* CPU, kernels and libraries found, a line each, for `timm doctor`. */
TIMM_API const char *timm_doctor(timm_ctx *ctx);
TIMM_API const char *timm_doctor_json(timm_ctx *ctx);            /* the same as an object; sizes are bytes */
TIMM_API const char *timm_status_text(timm_status code);
TIMM_API const char *timm_version(void);                         /* of the library that is running: "0.1.0" */

/* -- tensors --------------------------------------------------------------------------------------------------------- */

typedef struct timm_tensor {
    int rank;                   /* 0: no tensor (the call failed) or a scalar with data */
    int64_t dim[6];
    float *data;                /* dense, row-major in the order of dim */
} timm_tensor;

TIMM_API int64_t timm_numel(const timm_tensor *t);

/* -- the registry ---------------------------------------------------------------------------------------------------- */

typedef struct timm_list_opts {
    const char *const *filters;           /* globs (* ? [a-z]) over the whole name, any of them; NULL-ended; NULL: all */
    const char *const *exclude;           /* globs taken away afterwards */
    const char *const *modules;           /* families by file name: "resnet"; NULL: all */
    bool pretrained;                      /* only names with weights, as "arch.tag" */
    bool name_matches_cfg;                /* only architectures whose own name has a config */
    int include_tags;                     /* 0: as pretrained, 1: "arch.tag", -1: "arch" */
} timm_list_opts;

/* Counterpart of timm.list_models: names in timm's natural order, NULL-ended, freed with the context. */
TIMM_API const char *const *timm_list_models(timm_ctx *ctx, const timm_list_opts *opts, size_t *count);
TIMM_API const char *const *timm_list_modules(timm_ctx *ctx, size_t *count);
TIMM_API bool timm_is_model(const char *name);                   /* tag ignored; deprecated names count */
TIMM_API bool timm_is_pretrained(const char *name);              /* "arch" or "arch.tag" has weights */

/* Counterpart of timm's PretrainedCfg: what a set of weights was trained for. */
typedef struct timm_cfg {
    const char *architecture, *tag;       /* "resnet50", "a1_in1k" ("" without tag) */
    const char *module;                   /* "resnet" */
    int64_t input_size[3];                /* C, H, W */
    int64_t test_input_size[3];           /* zeros: none */
    int64_t min_input_size[3];
    bool fixed_input_size;
    const char *interpolation;            /* "bicubic", "bilinear", ... */
    double crop_pct, test_crop_pct;       /* test_crop_pct 0: none */
    const char *crop_mode;                /* "center", "squash", "border" */
    double mean[3], std[3];
    int64_t num_classes;
    int64_t pool_size[2], test_pool_size[2];   /* zeros: none */
    const char *first_conv, *classifier;  /* parameter prefixes, space-separated when several; NULL: none */
    const char *hf_hub_id, *hf_hub_filename, *url;     /* NULL: none */
    const char *license, *origin_url, *paper_ids, *notes, *description;   /* NULL: none */
    const char *labels;                   /* "imagenet-1k" when the classes are those 1000, else NULL */
} timm_cfg;

/* The config of "arch" (its default tag) or "arch.tag".  An unknown name fails with the nearest known ones. */
TIMM_API timm_status timm_get_cfg(timm_ctx *ctx, const char *name, timm_cfg *cfg);
TIMM_API const char *timm_label(const char *labels, int64_t index);       /* "tiger cat" of "imagenet-1k", 282; or NULL */

/* -- models ---------------------------------------------------------------------------------------------------------- */

enum { TIMM_CLASSES_OF_WEIGHTS = -2 };

typedef struct timm_model_opts {
    const char *weights;        /* a .safetensors file; NULL: initial values as timm draws them */
    bool use_ema;               /* weights is a checkpoint of a run: its averaged weights */
    bool strict;                /* fail where the file and the network differ in anything, instead of adapting: see timm_create */
    int classes;                /* 0: as the config says, or the run that made the weights; -1: none, the head is taken off (timm's
                                   num_classes=0); TIMM_CLASSES_OF_WEIGHTS: as many as the file's classifier has */
    int in_chans;               /* 0: as the file says, if it was saved here, or the config; the first convolution of a file is adapted as timm does */
    int64_t img_size[2];        /* height, width of the input; zeros: as the file says, or the config; one alone: square */
    const char *global_pool;    /* NULL: the file's, or the model's own; "avg", "max", "avgmax", "catavgmax", "fast", "token", "map", ...; "": none */
    int output_stride;          /* 0: the file's, or 32; 16 or 8 put dilation in place of stride where timm can */
    float drop_rate, drop_path, drop_block, proj_drop, attn_drop, pos_drop, patch_drop;  /* rates; 0: the model's own; below 0: none */
    bool dynamic_img_size;      /* accept other sizes than img_size at run time (ViT position grids are resampled) */
    /* Of products; sums and what is returned are single.  "fp32": of single precision (NULL, but in training).  "bf16x6": of both
     * operands as three bfloat16 numbers each, which is all of them, leaving out what is as small as single precision's own rounding
     * (NULL in training); faster, its weights take half as much memory again, and an infinite operand may give what is no number.
     * "bf16x3": of two each, as exact as single for most networks.  "bf16": of operands rounded to bfloat16, results in between in memory
     * as such, too.  Where the processor has no instructions for it (timm doctor tells), and
     * of kernels that were measured (timm_open_opts.tuning) where single is faster, single; timm_precision tells. */
    const char *precision;
    const char *kwargs;         /* timm's model_kwargs, of the constructor: "layers=[1,1,1,1] stem_width=16"; NULL: none */
    /* Draws initial values in place of timm's initialisers: the tensor called name, dense, into out. */
    void (*fill)(void *user, const char *name, int rank, const int64_t *dim, float *out);
    void *user;
} timm_model_opts;

/* Counterpart of timm.create_model.  name: "resnet50", "resnet50.a1_in1k", or a name of an older timm (with a note).
 * Weights must have every tensor of the network and no other; input channels, sizes and patches are fitted.  With another number
 * of classes asked for than they have the head stays as drawn, and what else is missing or unexpected is told in a note. */
TIMM_API timm_model *timm_create(timm_ctx *ctx, const char *name, const timm_model_opts *opts);
TIMM_API void timm_free(timm_model *model);
/* How products are computed now: timm_model_opts.precision, or what a trainer (timm_trainer_open) made of it with its first step, which is
 * for good; "fp32" where the processor has no instructions for that.  Static. */
TIMM_API const char *timm_precision(const timm_model *model);

/* image: (N, C, H, W), normalised.  The answer belongs to the model and lives until its next run of any kind. */
TIMM_API timm_tensor timm_forward(timm_model *model, const timm_tensor *image);            /* logits, or as the head leaves them */
TIMM_API timm_tensor timm_forward_features(timm_model *model, const timm_tensor *image);   /* before pooling, in timm's own layout */
TIMM_API timm_tensor timm_forward_head(timm_model *model, const timm_tensor *features, bool pre_logits);

/* Another head over the same weights: classes 0: none (timm's reset_classifier(0)).  pool NULL: as it is; "": no pooling. */
TIMM_API timm_status timm_reset_classifier(timm_model *model, int classes, const char *pool);

/* The name of a class: as the run that made the weights called it, else the config's label; NULL: it has none. */
TIMM_API const char *timm_model_label(const timm_model *model, int64_t index);
/* What the run that made the weights learned, its option "task": "multilabel" (logits are of a sigmoid each), "regression" (they are the
 * numbers); "classification" where it or nobody says so. */
TIMM_API const char *timm_model_task(const timm_model *model);
TIMM_API const timm_cfg *timm_model_cfg(const timm_model *model);
TIMM_API int64_t timm_num_features(const timm_model *model);      /* channels of forward_features */
TIMM_API int64_t timm_head_hidden_size(const timm_model *model);  /* channels of pre_logits */
TIMM_API int64_t timm_num_classes(const timm_model *model);
TIMM_API int64_t timm_num_params(const timm_model *model);        /* numbers that training would change */

typedef struct timm_model_stats {
    int64_t macs;               /* multiply-adds of one image in convolutions, linear layers and matrix products */
    int64_t activations;        /* numbers those produce */
    size_t weight_bytes, arena_bytes;     /* parameters; the planned arena for one image */
    int nodes, steps;           /* of the graph after its passes; kernel calls of a run */
} timm_model_stats;
TIMM_API timm_status timm_get_stats(timm_model *model, timm_model_stats *stats);
/* The graph of `batch` images as text: "%12 conv2d (1, 64, 56, 56) ..."; or, with kernels, after a line that says how many
 * of them are run at a time, the kernel calls for those. */
TIMM_API const char *timm_graph_text(timm_model *model, int64_t batch, bool kernels);

typedef struct timm_step {      /* one kernel call of the last plan that ran; a large batch runs some images at a time */
    const char *op, *kernel, *where;      /* "conv2d", "onednn.conv2d", "layer1.0.conv1" */
    int rank;
    int64_t dim[6];             /* of the result of one call */
    double seconds;             /* summed over the runs since profiling was switched on */
    int64_t macs, bytes;        /* of a run: multiply-adds; bytes read and written once each */
} timm_step;
/* What the machine can do at most on the context's threads, measured in some hundredths of a second: arithmetic of products in a
 * precision (NULL: fp32), and a copy from memory to memory, bytes read and written.  What lies in caches can be faster than that. */
TIMM_API timm_status timm_measure_peak(timm_ctx *ctx, const char *precision, double *gflops, double *gb_per_second);
TIMM_API void timm_set_profile(timm_model *model, bool on);
TIMM_API int timm_step_count(const timm_model *model);
TIMM_API timm_step timm_get_step(const timm_model *model, int i);

/* A weights file for "arch.tag" (or arch: its default tag) in the Hugging Face cache, never from the network. */
TIMM_API const char *timm_find_weights(timm_ctx *ctx, const char *name);

/* -- features -------------------------------------------------------------------------------------------------------- */

typedef struct timm_feature_opts {
    const int *out_indices;     /* which taps, in this order; negative count from the end; NULL: timm's default */
    int count;                  /* of out_indices; with NULL: the last so many, 0: the default */
    bool norm;                  /* apply the final norm to the taps of a transformer */
    int output_stride;          /* 0: the model's; 8, 16, 32: another, which some families have for features alone */
} timm_feature_opts;

typedef struct timm_feature_info { const char *module; int64_t channels; int reduction, index; } timm_feature_info;

/* Counterpart of create_model(..., features_only=True): a model whose run gives several maps.  It shares the parameters. */
TIMM_API timm_model *timm_features(timm_model *model, const timm_feature_opts *opts);
TIMM_API int timm_feature_count(const timm_model *features);
TIMM_API timm_feature_info timm_get_feature_info(const timm_model *features, int i);
/* Runs; fills maps[0 .. timm_feature_count), in network order as timm gives them. */
TIMM_API timm_status timm_forward_intermediates(timm_model *features, const timm_tensor *image, timm_tensor *maps);

/* -- parameters by name ---------------------------------------------------------------------------------------------- */

typedef struct timm_param_info { const char *name, *dtype; int rank; int64_t dim[8]; bool buffer; } timm_param_info;

TIMM_API size_t timm_param_count(const timm_model *model);                             /* parameters and buffers: the state_dict */
TIMM_API timm_param_info timm_get_param_info(const timm_model *model, size_t i);       /* sorted by name */
TIMM_API timm_status timm_param_read(timm_model *model, const char *name, float *out, size_t count);
TIMM_API timm_status timm_param_write(timm_model *model, const char *name, const float *in, size_t count);
/* sha256, in hex, of the lines "name<TAB>AxBxC<TAB>dtype<LF>" in order: equal for equal state_dicts.  hash holds 65 bytes. */
TIMM_API timm_status timm_state_hash(timm_model *model, char *hash);
TIMM_API timm_status timm_load(timm_model *model, const char *path);     /* safetensors; all misfits in one message */
TIMM_API timm_status timm_save(timm_model *model, const char *path);     /* safetensors; atomic; says what the
                                   network was made with (classes, channels, size, pooling, stride, model_kwargs) and
                                   how its images are prepared, which then holds whatever tag it is loaded under */
/* What a safetensors file holds, sorted by name; freed with the context. */
TIMM_API const timm_param_info *timm_file_tensors(timm_ctx *ctx, const char *path, size_t *count);
/* What it says beside its tensors ("__metadata__"), in the file's order; freed with the context. */
typedef struct timm_file_pair { const char *key, *value; } timm_file_pair;
TIMM_API const timm_file_pair *timm_file_metadata(timm_ctx *ctx, const char *path, size_t *count);

/* -- images ---------------------------------------------------------------------------------------------------------- */

typedef struct timm_image { int width, height, channels; uint8_t *pixels; } timm_image;   /* HWC, 8 bits; 1: L, 3: RGB, 4: RGBA */

/* JPEG, PNG or WebP by content, as PIL's Image.open(path).convert(mode): channels 1 "L", 3 "RGB", 0 the file's own of L/RGB/RGBA. */
TIMM_API timm_status timm_image_load(timm_ctx *ctx, const char *path, int channels, timm_image *out);
TIMM_API timm_status timm_image_decode(timm_ctx *ctx, const void *bytes, size_t size, int channels, timm_image *out);
/* By the name's ending: .png, or .npy (rows, columns, channels; chw: channels first; one channel: rows and columns only in HWC). */
TIMM_API timm_status timm_image_save(timm_ctx *ctx, const char *path, const timm_image *image, bool chw);
TIMM_API timm_status timm_image_resize(timm_ctx *ctx, const timm_image *in, int width, int height, const char *filter,
                                       const double box[4], timm_image *out);      /* PIL's Image.resize, byte for byte */
TIMM_API void timm_image_free(timm_image *image);

typedef struct timm_transform {
    int64_t input_size[3];
    const char *interpolation, *crop_mode;
    double crop_pct, mean[3], std[3];
} timm_transform;

/* Counterpart of resolve_model_data_config; test: use the test size and crop where the config has one. */
TIMM_API timm_transform timm_model_transform(const timm_model *model, bool test);
TIMM_API timm_transform timm_cfg_transform(const timm_cfg *cfg, bool test);
/* Resize and crop: the exact uint8 pixels the network sees, HWC. */
TIMM_API timm_status timm_preprocess(timm_ctx *ctx, const timm_image *in, const timm_transform *how, timm_image *out);
/* (v / 255 - mean) / std into row n of a (N, C, H, W) tensor. */
TIMM_API timm_status timm_normalize(timm_ctx *ctx, const timm_image *in, const timm_transform *how, timm_tensor *batch, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
