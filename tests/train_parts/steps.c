/* steps.c - the first steps of training whole models: the loss before each update, and some tensors after the last.
 *
 * Parameters are filled from their names, images and labels from the step's number; the update is timm's "momentum".
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "parts.h"
#include "timm/train.h"
#include "train/optimizer.h"

enum { SIZE = 64 };
typedef struct subject {
    timm_ctx *ctx;
    timm_model *model;
    timm_trainer *trainer;
    optimizer *optimizer;
    optim_param *param;
    int params;
    timm_tensor image, target;
} subject;

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static void fill(void *user, const char *name, int rank, const int64_t *dim, float *out)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    int64_t n = 1;
    double lo = -.1, hi = .1;
    (void)user;
    for (int i = 0; i < rank; i++)
        n *= dim[i];
    if (!strcmp(last, "num_batches_tracked")) {
        lo = hi = 0;
    } else if (!strcmp(last, "running_var")) {
        lo = .5, hi = 1.5;
    } else if (!strcmp(last, "running_mean")) {
        lo = -.2, hi = .2;
    } else if (rank >= 2) {
        hi = dim[0] > 1 ? sqrt(3. / ((double)n / (double)dim[0])) : .5;
        lo = -hi;
    } else if (rank == 1 && (ends_with(last, "weight") || !strncmp(last, "gamma", 5) || ends_with(last, "scale"))) {
        lo = .5, hi = 1;
    }
    part_fill_into(out, n, lo, hi, name);
}

static size_t numel(const timm_param_info *p)
{
    size_t n = 1;
    for (int i = 0; i < p->rank; i++)
        n *= (size_t)p->dim[i];
    return n;
}

static bool open_params(subject *s, double lr)
{
    size_t count = timm_param_count(s->model);
    s->param = calloc(count + 1, sizeof *s->param);
    for (size_t i = 0; s->param && i < count; i++) {
        timm_param_info p = timm_get_param_info(s->model, i);
        if (p.buffer)
            continue;
        optim_param *o = &s->param[s->params++];
        *o = (optim_param){ .name = p.name, .shape = { .rank = p.rank }, .lr = lr, .weight_decay = 1e-4 };
        memcpy(o->shape.dim, p.dim, sizeof o->shape.dim);
        o->value = malloc(numel(&p) * sizeof *o->value);
        if (!o->value || timm_param_read(s->model, p.name, o->value, numel(&p)) != TIMM_OK)
            return false;
    }
    return s->param != NULL;
}

static bool open_subject(subject *s, const json_t *record, part_report *r)
{
    const optim_arg momentum = { "momentum", "0.9" };
    int64_t batch = (int64_t)jsonl_number(record, "batch");
    status st = { 0 };
    s->ctx = timm_open(&(timm_open_opts){ .threads = 2 });
    s->model = timm_create(s->ctx, jsonl_text(record, "model"), &(timm_model_opts){
        .img_size = { SIZE, SIZE }, .drop_rate = -1, .drop_path = -1, .fill = fill });
    s->trainer = timm_trainer_open(s->model);
    if (!s->trainer || timm_trainer_set(s->trainer, "smoothing", "0") != TIMM_OK || !open_params(s, jsonl_number(record, "lr"))) {
        part_differ(r, "    %s\n", timm_message(s->ctx));
        return false;
    }
    s->optimizer = optimizer_new("momentum", jsonl_number(record, "lr"), s->param, s->params, &momentum, 1, r->threads, &st);
    s->image = (timm_tensor){ .rank = 4, .dim = { batch, 3, SIZE, SIZE } };
    s->target = (timm_tensor){ .rank = 2, .dim = { batch, timm_num_classes(s->model) } };
    s->image.data = malloc((size_t)timm_numel(&s->image) * sizeof(float));
    s->target.data = malloc((size_t)timm_numel(&s->target) * sizeof(float));
    if (!s->optimizer)
        part_differ(r, "    %s\n", st.text);
    return s->optimizer && s->image.data && s->target.data;
}

static void close_subject(subject *s)
{
    for (int i = 0; i < s->params; i++)
        free(s->param[i].value);
    free(s->param);
    free(s->image.data);
    free(s->target.data);
    optimizer_free(s->optimizer);
    timm_trainer_close(s->trainer);
    timm_free(s->model);
    timm_close(s->ctx);
}

static bool one_step(subject *s, int k, double *loss)
{
    char name[40];
    int64_t classes = s->target.dim[1];
    snprintf(name, sizeof name, "batch/%d", k);
    part_fill_into(s->image.data, timm_numel(&s->image), -2, 2, name);
    memset(s->target.data, 0, (size_t)timm_numel(&s->target) * sizeof(float));
    for (int64_t i = 0; i < s->target.dim[0]; i++)
        s->target.data[i * classes + (7 * i + k) % classes] = 1;
    if (timm_backward(s->trainer, &s->image, &s->target, loss) != TIMM_OK)
        return false;
    for (int i = 0; i < s->params; i++)
        s->param[i].grad = timm_gradient(s->trainer, s->param[i].name).data;
    optimizer_step(s->optimizer);
    for (int i = 0; i < s->params; i++)
        timm_param_write(s->model, s->param[i].name, s->param[i].value, (size_t)tg_numel(s->param[i].shape));
    return timm_ctx_status(s->ctx) == TIMM_OK;
}

/* To the rounding that the recorded run has itself in all its steps. */
static void compare_state(subject *s, const json_t *record, part_report *r)
{
    const char *name;
    json_t *want;
    json_object_foreach(json_object_get(record, "state"), name, want) {
        for (size_t i = 0; i < timm_param_count(s->model); i++) {
            timm_param_info p = timm_get_param_info(s->model, i);
            tg_shape shape = { .rank = p.rank };
            memcpy(shape.dim, p.dim, sizeof shape.dim);
            float *v = strcmp(p.name, name) ? NULL : malloc(numel(&p) * sizeof *v);
            if (v && timm_param_read(s->model, name, v, numel(&p)) == TIMM_OK)
                part_tensor(r, name, want, v, shape, fmax(1e-4, 30 * jsonl_number(record, "state_noise")));
            free(v);
        }
    }
}

void check_step(const json_t *head, const json_t *record, part_report *r)
{
    subject s = { 0 };
    const json_t *losses = json_object_get(record, "losses"), *noises = json_object_get(record, "noise");
    double noise = 0;
    (void)head;
    snprintf(r->label, sizeof r->label, "%s, lr %g", jsonl_text(record, "model"), jsonl_number(record, "lr"));
    bool ok = open_subject(&s, record, r);
    for (size_t k = 0; ok && k < json_array_size(losses); k++) {
        double want = json_number_value(json_array_get(losses, k)), loss = NAN;
        char what[40];
        ok = one_step(&s, (int)k, &loss);
        noise = fmax(noise, json_number_value(json_array_get(noises, k)));
        snprintf(what, sizeof what, "loss %zu", k);
        part_number(r, what, want, loss, fmax(1e-5, 30 * noise) * fabs(want));
    }
    if (ok)
        compare_state(&s, record, r);
    else
        part_differ(r, "    %s\n", s.ctx ? timm_message(s.ctx) : "out of memory");
    close_subject(&s);
}
