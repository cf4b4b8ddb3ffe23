/* fingerprint.h - figures of tensors, and tensors made from names. */
#ifndef FINGERPRINT_H
#define FINGERPRINT_H
#include "cli.h"

/* Number i is lo + (hi - lo) u_i, u from the SplitMix64 stream of FNV-1a(name). */
void fingerprint_fill(const char *name, int64_t n, double lo, double hi, float *out);
json_t *fingerprint_shape(const timm_tensor *t);
json_t *fingerprint(const timm_tensor *t);               /* shape, mean, std, amax, l2, eight samples */
/* Training mode on two images of labels 0 and 1, mean cross entropy; NULL: the context says why. */
json_t *fingerprint_train(timm_model *model, const char *name);

#endif
