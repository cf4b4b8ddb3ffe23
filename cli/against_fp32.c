/* against_fp32.c - how far results of another precision are from those in single precision. */
#include <math.h>
#include <string.h>
#include "cli.h"

bool cli_rounds(const char *precision) { return precision && *precision && strcmp(precision, "fp32"); }

double cli_off_fp32(timm_ctx *ctx, const char *name, const timm_model_opts *opts, const timm_tensor *x, const timm_tensor *y)
{
    timm_model_opts exact = *opts;
    exact.precision = "fp32";
    timm_model *m = timm_create(ctx, name, &exact);
    timm_tensor want = m ? timm_forward(m, x) : (timm_tensor){ 0 };
    double most = 0, off = 0;
    for (int64_t i = 0; i < timm_numel(&want) && timm_numel(y) == timm_numel(&want); i++) {
        double d = fabs((double)y->data[i] - (double)want.data[i]);
        most = fmax(most, fabs((double)want.data[i]));
        off = d > off || isnan(d) ? d : off;
    }
    timm_free(m);
    return most > 0 ? off / most : NAN;
}
