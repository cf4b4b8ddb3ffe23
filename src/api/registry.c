/* registry.c - timm.h's names, lists and configs over the families of this build. */
#include <string.h>
#include "api/context.h"
#include "api/names.h"
#include "io/hub.h"
#include "zoo/imagenet1k.labels.h"
#include "zoo/zoo.h"

static name_set all(void)
{
    name_set z;
    z.family = zoo_families(&z.count);
    return z;
}

const char *const *timm_list_models(timm_ctx *ctx, const timm_list_opts *opts, size_t *count)
{
    size_t n = 0;
    const char *const *list = ctx ? name_list(all(), opts, &n, &ctx->mem, &ctx->st) : NULL;
    if (count)
        *count = n;
    return list;
}

const char *const *timm_list_modules(timm_ctx *ctx, size_t *count)
{
    name_set z = all();
    const char **list = ctx ? arena_alloc(&ctx->mem, (z.count + 1) * sizeof *list) : NULL;
    for (size_t i = 0; list && i < z.count; i++)
        list[i] = z.family[i]->name;                             /* zoo.list is sorted */
    if (ctx && !list)
        status_fail(&ctx->st, TIMM_NO_MEMORY, "out of memory for a list of modules");
    if (count)
        *count = list ? z.count : 0;
    return list;
}

bool timm_is_model(const char *name) { return name && name_is_model(all(), name); }
bool timm_is_pretrained(const char *name) { return name && name_is_pretrained(all(), name); }

timm_status timm_get_cfg(timm_ctx *ctx, const char *name, timm_cfg *cfg)
{
    model_name n;
    if (!ctx || !name || !cfg)
        return TIMM_BAD_ARG;
    if (!name_resolve(all(), name, &n, &ctx->st) || !name_fill_cfg(&n, cfg, &ctx->mem, &ctx->st))
        return ctx->st.code;
    if (n.renamed)
        ctx_note(ctx, "Mapping deprecated model name %s to current %s.", name, n.tag->name);
    return TIMM_OK;
}

const char *timm_find_weights(timm_ctx *ctx, const char *name)
{
    model_name n;
    timm_cfg cfg;
    char path[4096];
    if (!ctx || !name || !status_ok(&ctx->st) || !name_resolve(all(), name, &n, &ctx->st)
        || !name_fill_cfg(&n, &cfg, &ctx->mem, &ctx->st))
        return NULL;
    if (!cfg.hf_hub_id) {
        if (cfg.url)
            status_fail(&ctx->st, TIMM_NOT_FOUND, "the weights of %s are not on the Hugging Face hub; they are published as %s",
                        name, cfg.url);
        else
            status_fail(&ctx->st, TIMM_NOT_FOUND, "no weights of %s are published; name a file you have", name);
        return NULL;
    }
    if (!hub_find(cfg.hf_hub_id, "model.safetensors", path, sizeof path, &ctx->st))
        return NULL;
    const char *kept = arena_strdup(&ctx->mem, path);
    if (!kept)
        status_fail(&ctx->st, TIMM_NO_MEMORY, "out of memory for the path of the weights of %s", name);
    return kept;
}

const char *timm_label(const char *labels, int64_t index)
{
    return labels && !strcmp(labels, "imagenet-1k") && index >= 0 && index < 1000 ? imagenet1k_labels[index] : NULL;
}

/* timm's resolve_data_config without arguments; what a hand-made config leaves at zero gets its defaults. */
timm_transform timm_cfg_transform(const timm_cfg *cfg, bool test)
{
    static const timm_transform none = {
        { 3, 224, 224 }, "bicubic", "center", .875, { 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }
    };
    timm_transform t = none;
    if (!cfg)
        return t;
    const int64_t *size = test && cfg->test_input_size[0] ? cfg->test_input_size : cfg->input_size;
    double crop = test && cfg->test_crop_pct > 0 ? cfg->test_crop_pct : cfg->crop_pct;
    if (size[0])
        memcpy(t.input_size, size, sizeof t.input_size);
    if (cfg->interpolation)
        t.interpolation = cfg->interpolation;
    if (cfg->crop_mode)
        t.crop_mode = cfg->crop_mode;
    if (crop > 0)
        t.crop_pct = crop;
    if (cfg->std[0] > 0) {
        memcpy(t.mean, cfg->mean, sizeof t.mean);
        memcpy(t.std, cfg->std, sizeof t.std);
    }
    return t;
}
