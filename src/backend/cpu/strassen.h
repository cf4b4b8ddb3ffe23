/* strassen.h - the seven products of halves (formulas: strassen.c), in an order in which each but the first has a quarter of the right operand in
 * common with the one before. */
#ifndef STRASSEN_H
#define STRASSEN_H
#include <stdbool.h>

/* Operands: quarters; sums of left ones; of right ones the two that were made last, whose places are used in turn, and quarter 11 of what comes
 * next. */
enum { NONE = -1, Q11, Q12, Q21, Q22, S1, S2, S3, S4, X = S1, Y, NEXT, STRASSEN_SUMS = 4, STRASSEN_PRODUCTS = 7 };
/* Sums of products that wait. */
enum { P1, P1_P6, P1_P6_P7, P5, STRASSEN_WAITING };

typedef struct strassen_step {
    int left, right, less, sum;             /* right - less is made, and stays in `sum` */
    int from[2], keep, plus;                /* where its own sums begin, and are kept before `plus` makes them a result */
    int result;                             /* a quarter */
    int ahead;                              /* a quarter of the right operand that is wanted next */
} strassen_step;
extern const strassen_step strassen_steps[STRASSEN_PRODUCTS];

static inline bool strassen_below(const strassen_step *s) { return s->result == Q21 || s->result == Q22; }
static inline bool strassen_beside(const strassen_step *s) { return s->result == Q12 || s->result == Q22; }

#endif
