/* cli.h - what the commands share: options, output, exit codes.  The command line uses the public header only.
 *
 * Data goes to stdout, everything else to stderr.  Exit: 0 fine, 1 failed, 2 wrong usage.
 */
#ifndef CLI_H
#define CLI_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "timm/timm.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* One option of a command.  A row with help and no name is a heading; one with a name and the help "" is taken, and not shown. */
typedef enum option_kind { OPT_FLAG, OPT_TEXT, OPT_INT, OPT_DOUBLE, OPT_LIST, OPT_WORDS, OPT_MAYBE } option_kind;
typedef struct option {
    const char *name;                   /* "--topk" */
    char letter;                        /* 'k' for -k; 0: none */
    option_kind kind;
    void *value;                        /* bool, const char *, int64_t, double, text_list; OPT_WORDS: text_list, of all words up to the next
                                         * option; OPT_MAYBE: const char *, "" where none follows */
    const char *argument, *help;        /* "K", "how many classes to print (5)" */
    int64_t least, most;                /* of OPT_INT and OPT_DOUBLE, when most > least; most of OPT_WORDS: words, 0: any number */
} option;

typedef struct text_list { const char **text; size_t count, room; } text_list;       /* grows; NULL-ended; never freed by hand */

typedef struct command {
    const char *name, *summary;         /* "infer", "classify photographs" */
    const char *synopsis;               /* "IMAGE... --model M [options]" */
    const char *description;            /* a paragraph */
    const char *examples;               /* lines: "$ timm ..." */
    int (*run)(int argc, char **argv);
} command;

extern const command cmd_list, cmd_info, cmd_infer, cmd_fingerprint, cmd_image, cmd_benchmark, cmd_graph, cmd_doctor, cmd_train, cmd_validate;

/* Reads options; what is left are operands (in order, NULL-ended).  False: usage error already told, exit with *code
 * (also after --help, with 0). */
bool cli_options(const command *c, const option *options, int argc, char **argv, text_list *operands, int *code);
void cli_help(const command *c, const option *options, FILE *f);
int cli_usage(const command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_append(text_list *l, const char *text);
const char *cli_joined(const text_list *l);             /* "a b c", for the next seven calls; NULL: an empty list */
/* What --input-size, "C H W", --in-chans and --img-size say together: channels, height and width, 0 where none says anything.
 * EXIT_USAGE, told, where they contradict each other. */
int cli_input_size(const command *c, const text_list *words, int64_t chans, int64_t side, int64_t size[3]);
/* Is a word nearer to this name than to all before, and half of its letters the name's?  *least, then that distance, begins as one
 * more than what is worth suggesting. */
enum { CLI_NEAR = 3 };
bool cli_nearer(const char *word, const char *name, size_t *least);
/* A context for a command: threads 0 for all; backend NULL for auto; notes go to stderr. */
timm_ctx *cli_open(int64_t threads, const char *backend, int verbose, timm_tuning tuning);
/* Of --tune and --no-tune. */
timm_tuning cli_tuning(bool measure, bool never);
/* "timm infer: MESSAGE" on stderr, if the context failed; about, a file, goes before a message that does not name it. */
void cli_tell(const command *c, timm_ctx *ctx, const char *about);
/* Tells, closes and gives the exit code. */
int cli_close(const command *c, timm_ctx *ctx, const char *about);
/* Prints a JSON value and a line feed on stdout, and frees it. */
void cli_json(json_t *value);
json_t *cli_real(double v);             /* nine significant digits; null of what JSON has no number for */
/* Help of --precision. */
#define CLI_PRECISIONS "of products: fp32, bf16x6 (as exact), bf16x3, bf16; fp32 if timm doctor has none for it (fp32)"
bool cli_rounds(const char *precision);         /* not strictly fp32 */
/* The largest difference of logits y of x from those of the same network in fp32, as a part of the largest of these; NaN: none. */
double cli_off_fp32(timm_ctx *ctx, const char *name, const timm_model_opts *opts, const timm_tensor *x, const timm_tensor *y);
json_t *cli_text(const char *text);     /* bytes that are no UTF-8, as names of files may hold, become U+FFFD */
/* c NULL: timm itself.  Flushes stdout; a full disk or closed pipe is a failure that is told. */
int cli_finish(const command *c, int code);

#endif
