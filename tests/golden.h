/* golden.h - holding what `timm fingerprint` prints against what real timm computed. */
#ifndef GOLDEN_H
#define GOLDEN_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Differences of `got` from a golden record, as text; "" if there is none.  Every figure must lie within
 * max(1e-4, 100 noise) of the tensor's largest value; names, shapes, feature modules, channels and reductions are equal.
 * *worst: the largest deviation as a fraction of what is allowed. */
void golden_compare(const json_t *golden, const json_t *got, char *text, size_t size, double *worst);

/* Likewise for `timm fingerprint --train`: the loss within 1e-4, each gradient within max(2e-3, 100 noise) of its largest value
 * (those of noise above 0.01 are zero but for rounding and only have to be there), running statistics within 1e-4. */
void golden_compare_grads(const json_t *golden, const json_t *got, char *text, size_t size, double *worst);

/* Runs `timm fingerprint` for one record, with the options that stand in it; NULL: it failed, and text says how. */
json_t *golden_run(const char *timm, const json_t *golden, const char *more, char *text, size_t size);

#endif
