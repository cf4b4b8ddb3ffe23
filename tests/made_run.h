/* made_run.h - runs of training over a small made data set: started, stopped, compared. */
#ifndef MADE_RUN_H
#define MADE_RUN_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A folder of idx files, as Fashion-MNIST's: `train` and `test` grey images of 32 x 32, patterns of `classes` kinds under noise.
 * Made once a test run; lives in the test's folder. */
const char *made_idx(int train, int test, int classes);
/* A fresh path for runs, "--output"; a ring of four results. */
const char *made_output(void);

/* "train --epochs 3 ..." begun, in a process of its own; its streams go to files out and err (NULL: nowhere). */
pid_t run_begin(const char *out, const char *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* How it ended: exit status, or 128 + the signal. */
int run_end(pid_t pid);
void wait_seconds(double seconds);
double clock_seconds(void);

/* Two checkpoints hold the same tensors, byte for byte, whatever their options; else why, and where, into text. */
bool same_tensors(const char *a, const char *b, char *text, size_t room);
/* One tensor of a file, as floats to be freed; NULL: not there. */
float *tensor_of(const char *path, const char *name, size_t *count);
/* A key of a file's metadata becomes another as long: what it said is said no more. */
void rename_in_header(const char *path, const char *from, const char *to);
/* The tensors of a file in another, without its metadata: before every name there is a prefix. */
bool put_before_names(const char *from, const char *to, const char *prefix);

#endif
