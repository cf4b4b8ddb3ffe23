/* parts.h - parts of training against what timm and PyTorch computed: what the checks of the parts share.
 *
 * A data file has a header, {"what": "losses", ...}, and then a record a line.  A part is a function that looks at one
 * record; main.c finds it by the header's word in parts.list.
 */
#ifndef PARTS_H
#define PARTS_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/threads.h"
#include "graph/graph.h"
#include "jsonl.h"

typedef struct part_report {
    char text[4096];            /* what differs; "" if nothing does */
    double worst;               /* of this record: the largest deviation as a fraction of what is allowed */
    char label[200];            /* which record it is */
    pool *threads;
} part_report;

typedef void part_check(const json_t *head, const json_t *record, part_report *r);
#define PART(what) part_check check_##what;
#include "parts.list"
#undef PART

void part_differ(part_report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* |got - want| <= allowed, or r has it. */
void part_number(part_report *r, const char *what, double want, double got, double allowed);
/* A tensor against its fingerprint ({"shape", "mean", "std", "amax", "l2", "at"}), to tol times the largest value. */
void part_tensor(part_report *r, const char *what, const json_t *want, const float *got, tg_shape shape, double tol);
/* The fill of that name: n numbers of [lo, hi); NULL: out of memory; to be freed. */
void part_fill_into(float *out, int64_t n, double lo, double hi, const char *name);
float *part_fill(int64_t n, double lo, double hi, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* An option's value as text: "0.1", "true", "none", "0.9,0.99". */
const char *part_text(const json_t *value, char *text, size_t size);
double part_or(const json_t *o, const char *key, double otherwise);     /* a number, or what stands for it */

#endif
