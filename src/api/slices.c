/* slices.c - a large batch some images at a time.
 *
 * Maps of a few images stay in the cache of the processor where those of sixteen travel to memory and back at each layer, and the
 * arena is as much smaller; but each slice reads all weights, so that it may have as many bytes as they.  The plan is one for a
 * slice; it runs over the batch, and its outputs are gathered.  Where a batch is no multiple of the slice, the last slice begins
 * early and computes some images once more.
 */
#include <stdlib.h>
#include <string.h>
#include "api/model.h"

static const size_t cached = 10 << 20;          /* bytes of arena a thread that are quick: 4 to 16 MB did as well on Zen 3 */

/* Slices of s cost their images, those computed twice too, and each slice a tenth of an image. */
static double cost(int64_t batch, int64_t s) { return (double)((batch + s - 1) / s) * ((double)s + .1); }

int64_t slice_of(int64_t batch, size_t image_bytes, size_t weight_bytes, int threads)
{
    const size_t quick = cached * (size_t)threads;
    size_t room = (weight_bytes > quick ? weight_bytes : quick) / (image_bytes ? image_bytes : 1);
    int64_t most = room < 1 ? 1 : room < (size_t)batch ? (int64_t)room : batch, best = most;
    for (int64_t s = most; s-- > 1;)
        best = cost(batch, s) < cost(batch, best) ? s : best;
    return best;
}

static size_t numbers(const tg_tensor *t) { return (size_t)tg_numel(t->shape); }

bool slices_open(planned *p, int outputs, status *st)
{
    int64_t batch = p->input.dim[0], slice = p->slice;
    p->out = calloc((size_t)outputs + 1, sizeof *p->out);
    p->outputs = outputs;
    size_t all = 0;
    for (int i = 0; p->out && i < outputs; i++) {
        p->out[i] = *plan_output(p->plan, i);
        all += numbers(&p->out[i]) / (size_t)slice * (size_t)batch;
    }
    if (p->out && slice == batch)
        return true;
    p->gathered = malloc(all * sizeof *p->gathered + 1);
    if (!p->out || !p->gathered)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for the results of %lld images", (long long)batch);
    float *at = p->gathered;
    for (int i = 0; i < outputs; i++) {
        p->out[i].data = at;
        p->out[i].shape.dim[0] = batch;
        at += numbers(&p->out[i]);
    }
    return true;
}

void slices_close(planned *p)
{
    plan_free(p->plan);
    free(p->out);
    free(p->gathered);
    *p = (planned){ 0 };
}

int64_t slices_count(const planned *p) { return (p->input.dim[0] + p->slice - 1) / p->slice; }

void slices_run(planned *p, const float *input)
{
    int64_t batch = p->input.dim[0], image = tg_numel(p->input) / batch;
    for (int64_t k = 0; k < slices_count(p); k++) {
        int64_t first = k * p->slice < batch - p->slice ? k * p->slice : batch - p->slice;
        plan_run(p->plan, (const float *const[]){ input + first * image });
        for (int i = 0; p->gathered && i < p->outputs; i++) {
            const tg_tensor *from = plan_output(p->plan, i);
            memcpy((float *)p->out[i].data + (int64_t)numbers(from) / p->slice * first, from->data, numbers(from) * sizeof(float));
        }
    }
}
