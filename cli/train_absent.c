/* train_absent.c - what timm's train.py has and this has not, so that its args.yaml and its command lines can be read. */
#include <stdlib.h>
#include <string.h>
#include "train_cli.h"

/* off: the value that asks for nothing, as '' and null do.  NULL: any, as it changes no result here, or none unless another of these
 * options is on. */
static const struct { const char *key; option_kind kind; const char *off; } absent[] = {
    /* What is learned, and from what. */
    { "aa", OPT_TEXT, "" }, { "apex_amp", OPT_FLAG, "false" }, { "aug_repeats", OPT_TEXT, "0" }, { "aug_splits", OPT_TEXT, "0" },
    { "bn_eps", OPT_TEXT, "" }, { "bn_momentum", OPT_TEXT, "" }, { "color_jitter", OPT_TEXT, "0" },
    { "color_jitter_prob", OPT_TEXT, "0" }, { "dataset_download", OPT_FLAG, "false" },
    { "dataset_trust_remote_code", OPT_FLAG, "false" }, { "drop_connect", OPT_TEXT, "0" }, { "epoch_repeats", OPT_TEXT, "0" },
    { "gaussian_blur_prob", OPT_TEXT, "0" }, { "grayscale_prob", OPT_TEXT, "0" }, { "head_init_bias", OPT_TEXT, "" },
    { "head_init_scale", OPT_TEXT, "" }, { "input_img_mode", OPT_TEXT, "" }, { "input_key", OPT_TEXT, "" },
    { "jsd_loss", OPT_FLAG, "false" }, { "kd_model_name", OPT_TEXT, "" }, { "log_wandb", OPT_FLAG, "false" },
    { "model_dtype", OPT_TEXT, "float32" }, { "naflex_loader", OPT_FLAG, "false" }, { "native_amp", OPT_FLAG, "false" },
    { "pretrained_path", OPT_TEXT, "" }, { "resplit", OPT_FLAG, "false" }, { "save_images", OPT_FLAG, "false" },
    { "split_bn", OPT_FLAG, "false" }, { "start_epoch", OPT_TEXT, "0" }, { "target_key", OPT_TEXT, "" },
    { "train_batches_per_epoch", OPT_TEXT, "0" }, { "train_crop_mode", OPT_TEXT, "rrc" }, { "train_img_sizes", OPT_WORDS, "" },
    { "train_num_samples", OPT_TEXT, "" }, { "tta", OPT_TEXT, "0" }, { "val_num_samples", OPT_TEXT, "" },
    { "variable_batch_loss_scale", OPT_TEXT, "none" },
    /* Machines, and how fast they are. */
    { "channels_last", OPT_FLAG, NULL }, { "device", OPT_TEXT, NULL }, { "device_modules", OPT_WORDS, NULL },
    { "dist_bn", OPT_TEXT, NULL }, { "fast_norm", OPT_FLAG, NULL }, { "fuser", OPT_TEXT, NULL }, { "local_rank", OPT_TEXT, NULL },
    { "model_ema_force_cpu", OPT_FLAG, NULL }, { "no_ddp_bb", OPT_FLAG, NULL }, { "no_prefetcher", OPT_FLAG, NULL },
    { "pin_mem", OPT_FLAG, NULL }, { "sync_bn", OPT_FLAG, NULL }, { "synchronize_step", OPT_FLAG, NULL },
    { "torchcompile", OPT_MAYBE, NULL }, { "torchcompile_mode", OPT_TEXT, NULL }, { "torchscript", OPT_FLAG, NULL },
    { "use_multi_epochs_loader", OPT_FLAG, NULL }, { "worker_seeding", OPT_TEXT, NULL },
    /* Details of those above: distillation, NaFlex, sizes by schedule, W&B. */
    { "distill_loss_weight", OPT_TEXT, NULL }, { "kd_distill_type", OPT_TEXT, NULL }, { "kd_loss_type", OPT_TEXT, NULL },
    { "kd_student_feature_dim", OPT_TEXT, NULL }, { "kd_teacher_feature_dim", OPT_TEXT, NULL },
    { "kd_temperature", OPT_TEXT, NULL }, { "kd_token_distill_type", OPT_TEXT, NULL }, { "task_loss_weight", OPT_TEXT, NULL },
    { "naflex_loss_scale", OPT_TEXT, NULL }, { "naflex_max_seq_len", OPT_TEXT, NULL },
    { "naflex_patch_size_probs", OPT_WORDS, NULL }, { "naflex_patch_sizes", OPT_WORDS, NULL },
    { "naflex_patchify_channels_first", OPT_FLAG, NULL }, { "naflex_train_seq_lens", OPT_WORDS, NULL },
    { "train_batch_sizes", OPT_WORDS, NULL }, { "train_size_probs", OPT_WORDS, NULL }, { "train_size_random_mix", OPT_TEXT, NULL },
    { "train_size_schedule", OPT_TEXT, NULL }, { "train_size_schedule_spread", OPT_TEXT, NULL },
    { "wandb_project", OPT_TEXT, NULL }, { "wandb_resume_id", OPT_TEXT, NULL }, { "wandb_tags", OPT_WORDS, NULL },
};

const char *train_absent_name(size_t i, option_kind *kind)
{
    bool there = i < sizeof absent / sizeof *absent;
    *kind = there ? absent[i].kind : OPT_TEXT;
    return there ? absent[i].key : NULL;
}

/* "0.0" is "0". */
static bool same_value(const char *a, const char *b)
{
    char *end_a, *end_b;
    double x = strtod(a, &end_a), y = strtod(b, &end_b);
    return !strcmp(a, b) || (end_a != a && end_b != b && !*end_a && !*end_b && x == y);
}

train_absent train_absent_option(const char *key, const char *value)
{
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (!strcmp(absent[i].key, key))
            return !absent[i].off || (value && (!*value || same_value(value, absent[i].off))) ? ABSENT_OFF : ABSENT_ASKED;
    return ABSENT_UNKNOWN;
}
