/* groups.h - how each parameter is trained: timm's param_groups_weight_decay and param_groups_layer_decay. */
#ifndef API_GROUPS_H
#define API_GROUPS_H
#include "api/model.h"

typedef struct group_opts {
    double weight_decay;
    double layer_decay;         /* a layer's rate over that of the next; 0: all learn alike */
    double min_scale;           /* no layer's rate below it times the rate */
    double no_opt_scale;        /* layers below it are frozen; 0: none */
    bool decay_all;             /* biases and norms too: timm's filter_bias_and_bn=False */
} group_opts;

typedef struct param_group {
    double lr_scale, weight_decay;
    int layer;                  /* from 0, the stem, on; 0 without layer decay */
    bool frozen;                /* not trained; buffers are */
} param_group;

/* One for each of m->entry, in its order.  False with a status. */
bool model_param_groups(timm_model *m, const group_opts *o, param_group *group);
/* Numbers the nodes of each of the family's blocks as a segment, to be computed again for the gradients: the blocks that timm's
 * set_grad_checkpointing checkpoints. */
void model_number_blocks(const timm_family *f, tg_graph *g);

#endif
