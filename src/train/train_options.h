/* train_options.h - the options of a training run: timm's train.py names, kept as text and read where they are used.
 *
 * One table (train_options.c) serves the command line, configuration files, args.yaml, checkpoints and timm_trainer_set.
 */
#ifndef TRAIN_OPTIONS_H
#define TRAIN_OPTIONS_H
#include "base/status.h"
#include "timm/train.h"

enum { TRAIN_OPTIONS = 128, TRAIN_HISTORY = 100 };      /* room, the table is shorter; most checkpoints kept */

typedef struct train_options {
    char *value[TRAIN_OPTIONS];         /* as set; NULL: the default */
} train_options;

/* Names with '-' or '_'.  False: no such option (with the nearest one), or a value that its kind does not take. */
bool train_set(train_options *o, const char *name, const char *value, status *st);
void train_options_free(train_options *o);
bool train_given(const train_options *o, const char *name);       /* set by somebody, even to the default */
const char *train_text(const train_options *o, const char *name); /* never NULL; "" where there is none */
double train_number(const train_options *o, const char *name);    /* NAN where there is none */
int64_t train_int(const train_options *o, const char *name);
bool train_flag(const train_options *o, const char *name);
int train_numbers(const train_options *o, const char *name, double *out, int room);   /* of a list: how many */
/* Calls `each` for the words of a list, separated by blanks or commas outside of brackets; the word lives during the call. */
bool train_words(const train_options *o, const char *name, bool (*each)(void *user, const char *word), void *user);

#endif
