/* fingerprint_train.c - timm fingerprint --train: loss, logits, every gradient and running statistic of one pass. */
#include <stdlib.h>
#include <string.h>
#include "fingerprint.h"
#include "timm/train.h"

enum { IMAGES = 2 };

static void add_buffers(json_t *r, timm_model *m)
{
    json_t *buffers = json_object();
    for (size_t i = 0; i < timm_param_count(m); i++) {
        timm_param_info p = timm_get_param_info(m, i);
        timm_tensor t = { .rank = p.rank };
        memcpy(t.dim, p.dim, sizeof t.dim);
        size_t n = (size_t)timm_numel(&t);
        if (!p.buffer || strcmp(p.dtype, "float32"))
            continue;
        t.data = malloc(n * sizeof *t.data);
        if (t.data && timm_param_read(m, p.name, t.data, n) == TIMM_OK)
            json_object_set_new(buffers, p.name, fingerprint(&t));
        free(t.data);
    }
    json_object_set_new(r, "buffers", buffers);
}

static json_t *pass(timm_model *m, timm_trainer *t, const timm_tensor *image, const char *name)
{
    int64_t classes = timm_num_classes(m) ? timm_num_classes(m) : timm_head_hidden_size(m);      /* no head: its input is compared */
    timm_tensor target = { .rank = 2, .dim = { IMAGES, classes } };
    double loss = 0;
    target.data = calloc((size_t)(IMAGES * classes) + 1, sizeof *target.data);
    if (!target.data)
        return NULL;
    for (int i = 0; i < IMAGES && classes > 0; i++)
        target.data[i * classes + i % classes] = 1;
    timm_status st = timm_backward(t, image, &target, &loss);
    free(target.data);
    if (st != TIMM_OK)
        return NULL;
    timm_tensor logits = timm_trainer_logits(t);
    json_t *r = json_pack("{s:s,s:o,s:o,s:o}", "model", name, "input", fingerprint_shape(image), "loss", cli_real(loss),
                          "logits", fingerprint(&logits));
    json_t *grads = json_object();
    for (size_t i = 0; i < timm_param_count(m); i++) {
        timm_param_info p = timm_get_param_info(m, i);
        timm_tensor g = timm_gradient(t, p.name);
        if (g.data)
            json_object_set_new(grads, p.name, fingerprint(&g));
    }
    json_object_set_new(r, "grads", grads);
    add_buffers(r, m);
    return r;
}

json_t *fingerprint_train(timm_model *m, const char *name)
{
    timm_transform tr = timm_model_transform(m, false);
    timm_tensor image = { .rank = 4, .dim = { IMAGES, tr.input_size[0], tr.input_size[1], tr.input_size[2] } };
    int64_t n = timm_numel(&image);
    timm_trainer *t = timm_trainer_open(m);
    json_t *r = NULL;
    image.data = malloc((size_t)n * sizeof *image.data);
    timm_trainer_set(t, "smoothing", "0");
    if (image.data && t) {
        fingerprint_fill("input", n, -2, 2, image.data);
        r = pass(m, t, &image, name);
    }
    free(image.data);
    timm_trainer_close(t);
    return r;
}
