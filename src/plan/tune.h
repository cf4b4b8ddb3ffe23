/* tune.h - which kernel was measured to be the fastest, by what the call looks like.
 *
 * A table of one machine.  Its text is a line that names the machine and then a line a call, "KERNEL<tab>CALL".  A table says
 * nothing about what a kernel can do: a name in it is only taken if that kernel claims the call.  How many images of a batch run at
 * once is a line too.
 */
#ifndef PLAN_TUNE_H
#define PLAN_TUNE_H
#include "backend/backend.h"

typedef struct tune tune;
#define TUNE_TITLE "timm kernels 1: "       /* with which the text begins */
#define TUNE_CLEARLY .96                    /* of the time by rule: what is less is clearly quicker */
enum { TUNE_CALL = 600 };                   /* bytes of a call's text, with its end */

tune *tune_open(const char *machine, bool measure);         /* NULL: out of memory */
void tune_close(tune *t);
bool tune_measures(const tune *t);
/* Adds what the text has and t has not; false, with nothing added, if it is no such text or of another machine. */
bool tune_parse(tune *t, const char *text, size_t size);
/* The text of all that t holds; NULL: out of memory.  The caller's to free. */
char *tune_text(const tune *t, size_t *size);
/* False: it has more to say than fits. */
bool tune_call(const tg_call *c, char text[TUNE_CALL]);
const char *tune_find(const tune *t, const char *call);     /* the kernel's name; NULL: not known */
bool tune_add(tune *t, const char *call, const char *kernel);   /* in place of what was known of the call */
/* What the caller has measured, over other measurements perhaps: `spent` is then what tune_spent was before, and the time since. */
bool tune_found(tune *t, const char *call, const char *found, double spent);
double tune_spent(const tune *t);           /* seconds, since tune_measured was asked */
double tune_clock(void);                    /* seconds */
/* Calls measured since the last time this was asked, and how long that took. */
int tune_measured(tune *t, double *seconds);

/* Of n prepared kernels of one call the fastest, by running them in turns over made-up operands; 0, the choice by rule, unless
 * another is clearly faster.  -1: out of memory.  us[i]: the time of each, of the quicker quarter. */
struct choice;
int tune_fastest(tune *t, const tg_call *c, const struct choice *of, int n, double *us);

#endif
