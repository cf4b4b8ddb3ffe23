/* train_cli.h - the library's training options as options of a command. */
#ifndef TRAIN_CLI_H
#define TRAIN_CLI_H
#include "cli.h"
#include "timm/train.h"

typedef struct train_cli train_cli;

/* own: the command's other options, which come first. */
train_cli *train_cli_new(const option *own, size_t count);
const option *train_cli_options(const train_cli *t);
/* A YAML file of options, names with '_'.  Exit code: 0 or that of a failure, told.  The caller reads the command line again:
 * what it says wins. */
int train_cli_config(train_cli *t, const char *path, const option *own, size_t count);
int64_t train_cli_int(const train_cli *t, const char *name, int64_t otherwise);
/* How many classes the data have: 0 with a status. */
int train_cli_classes(const train_cli *t, timm_ctx *ctx, const char *dir);
void train_cli_apply(const train_cli *t, timm_trainer *trainer, const char *dir);
/* Options of timm's train.py that are not there, by their keys in args.yaml: does a value (NULL: a list) ask for one? */
typedef enum train_absent { ABSENT_UNKNOWN, ABSENT_OFF, ABSENT_ASKED } train_absent;
train_absent train_absent_option(const char *key, const char *value);
const char *train_absent_name(size_t i, option_kind *kind);              /* the key of number i; NULL: no more */
/* EXIT_USAGE, told, where the command line asks for one of them. */
int train_cli_absent(const train_cli *t, const command *c);
void train_cli_note(void *user, const char *text);

#endif
