/* registry.c - timm.h's names, lists and configs over the families of this build. */
#include <string.h>
#include "zoo/imagenet1k.labels.h"
#include "zoo/names.h"

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
