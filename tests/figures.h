/* figures.h - values made from names, and figures of tensors, as golden.py has them. */
#ifndef FIGURES_H
#define FIGURES_H
#include <jansson.h>
#include <stdint.h>

/* n values in [lo, hi) out of a name. */
void figures_draw(const char *name, int64_t n, double lo, double hi, float *out);
/* For timm_model_opts.fill: a parameter or buffer in golden.py's bounds. */
void figures_fill(void *user, const char *name, int rank, const int64_t *dim, float *out);
/* Checks x against a fingerprint: shape, and every figure within `allowed` (l2 within that part of itself, where it is above 1). */
void figures_check(const char *what, const json_t *want, int rank, const int64_t *dim, const float *x, double allowed);

#endif
