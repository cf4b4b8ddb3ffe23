/* train_absent.c - what timm's train.py has and this has not, so that its args.yaml can be read. */
#include <stdlib.h>
#include <string.h>
#include "train_cli.h"

/* off: the value that asks for nothing, as '' and null do.  NULL: any, as it changes no result here, or none unless another of these
 * options is on. */
static const struct { const char *key, *off; } absent[] = {
    /* What is learned, and from what. */
    { "aa", "" }, { "apex_amp", "false" }, { "aug_repeats", "0" }, { "aug_splits", "0" }, { "bn_eps", "" },
    { "bn_momentum", "" }, { "color_jitter", "0" }, { "color_jitter_prob", "0" }, { "dataset_download", "false" },
    { "dataset_trust_remote_code", "false" }, { "drop_connect", "0" }, { "epoch_repeats", "0" },
    { "gaussian_blur_prob", "0" }, { "grayscale_prob", "0" }, { "head_init_bias", "" }, { "head_init_scale", "" },
    { "input_img_mode", "" }, { "input_key", "" }, { "jsd_loss", "false" }, { "kd_model_name", "" },
    { "log_wandb", "false" }, { "model_dtype", "float32" }, { "naflex_loader", "false" }, { "native_amp", "false" },
    { "pretrained_path", "" }, { "resplit", "false" }, { "save_images", "false" }, { "split_bn", "false" },
    { "start_epoch", "" }, { "target_key", "" },
    { "train_batches_per_epoch", "0" }, { "train_crop_mode", "rrc" }, { "train_img_sizes", "" },
    { "train_num_samples", "" }, { "tta", "0" }, { "val_num_samples", "" }, { "variable_batch_loss_scale", "none" },
    /* Machines, and how fast they are. */
    { "channels_last", NULL }, { "device", NULL }, { "device_modules", NULL }, { "dist_bn", NULL },
    { "fast_norm", NULL }, { "fuser", NULL }, { "local_rank", NULL }, { "model_ema_force_cpu", NULL },
    { "no_ddp_bb", NULL }, { "no_prefetcher", NULL }, { "pin_mem", NULL }, { "sync_bn", NULL },
    { "synchronize_step", NULL }, { "torchcompile", NULL }, { "torchcompile_mode", NULL }, { "torchscript", NULL },
    { "use_multi_epochs_loader", NULL }, { "worker_seeding", NULL },
    /* Details of those above: distillation, NaFlex, sizes by schedule, W&B. */
    { "distill_loss_weight", NULL }, { "kd_distill_type", NULL }, { "kd_loss_type", NULL },
    { "kd_student_feature_dim", NULL }, { "kd_teacher_feature_dim", NULL }, { "kd_temperature", NULL },
    { "kd_token_distill_type", NULL }, { "task_loss_weight", NULL }, { "naflex_loss_scale", NULL },
    { "naflex_max_seq_len", NULL }, { "naflex_patch_size_probs", NULL }, { "naflex_patch_sizes", NULL },
    { "naflex_patchify_channels_first", NULL }, { "naflex_train_seq_lens", NULL }, { "train_batch_sizes", NULL },
    { "train_size_probs", NULL }, { "train_size_random_mix", NULL }, { "train_size_schedule", NULL },
    { "train_size_schedule_spread", NULL }, { "wandb_project", NULL }, { "wandb_resume_id", NULL },
    { "wandb_tags", NULL },
};

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
