/* groups.c - rate and weight decay of every parameter of a network, as timm's optimizer has them. */
#include <math.h>
#include <stdlib.h>
#include "api/groups.h"
#include "parts.h"

static void compare(const char *name, const json_t *want, const param_group *got, part_report *r)
{
    if (json_is_null(want) != got->frozen) {
        part_differ(r, "    %s is %s\n", name, got->frozen ? "frozen" : "trained");
        return;
    }
    if (!want)
        part_differ(r, "    %s is none of timm's\n", name);
    else if (!got->frozen) {
        part_number(r, name, json_number_value(json_array_get(want, 0)), got->lr_scale, 1e-8);
        part_number(r, name, json_number_value(json_array_get(want, 1)), got->weight_decay, 0);
    }
}

void check_groups(const json_t *head, const json_t *record, part_report *r)
{
    const json_t *options = json_object_get(record, "options"), *params = json_object_get(record, "params");
    group_opts o = { .weight_decay = jsonl_number(record, "weight_decay"), .layer_decay = jsonl_number(options, "layer_decay"),
                     .min_scale = jsonl_number(options, "layer_decay_min_scale"),
                     .no_opt_scale = jsonl_number(options, "layer_decay_no_opt_scale"),
                     .decay_all = json_is_false(json_object_get(options, "filter_bias_and_bn")) };
    timm_ctx *ctx = timm_open(NULL);
    timm_model *m = timm_create(ctx, jsonl_text(record, "model"), NULL);
    param_group *group = m ? calloc(m->entries + 1, sizeof *group) : NULL;
    size_t count = 0;
    (void)head;
    snprintf(r->label, sizeof r->label, "groups of %.60s", jsonl_text(record, "model"));
    if (!group || !model_param_groups(m, &o, group)) {
        part_differ(r, "    %s\n", timm_message(ctx));
    } else {
        for (size_t i = 0; i < m->entries; i++)
            if (!m->entry[i]->par.buffer) {
                compare(m->entry[i]->name, json_object_get(params, m->entry[i]->name), &group[i], r);
                count++;
            }
        if (count != json_object_size(params))
            part_differ(r, "    %zu parameters, not %zu\n", count, json_object_size(params));
    }
    free(group);
    timm_close(ctx);
}
