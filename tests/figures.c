/* figures.c - values made from names, and figures of tensors, as golden.py has them. */
#include "figures.h"
#include <math.h>
#include <string.h>
#include "jsonl.h"
#include "test.h"

void figures_draw(const char *name, int64_t n, double lo, double hi, float *out)
{
    uint64_t seed = 0xCBF29CE484222325u;
    for (const char *c = name; *c; c++)
        seed = (seed ^ (unsigned char)*c) * 0x100000001B3u;
    for (int64_t i = 0; i < n; i++) {
        uint64_t z = seed + (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        out[i] = (float)(lo + (hi - lo) * ((double)(z >> 11) * 0x1p-53));
    }
}

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), m = strlen(with);
    return n >= m && !strcmp(name + n - m, with);
}

void figures_fill(void *user, const char *name, int rank, const int64_t *dim, float *out)
{
    int64_t n = 1;
    (void)user;
    for (int i = 0; i < rank; i++)
        n *= dim[i];
    double wide = rank < 2 ? .1 : dim[0] > 1 ? sqrt(3. / ((double)n / (double)dim[0])) : .5, low = -wide;
    if (ends(name, "num_batches_tracked"))
        low = wide = 0;
    else if (ends(name, "running_mean"))
        low = -.2, wide = .2;
    else if (ends(name, "running_var"))
        low = .5, wide = 1.5;
    else if (rank == 1 && (ends(name, "weight") || strstr(name, ".gamma")))
        low = .5, wide = 1;
    figures_draw(name, n, low, wide, out);
}

static void figure(const char *what, const char *key, double want, double got, double allowed)
{
    CHECK(fabs(want - got) <= allowed, "%s %s: %.9g, not %.9g", what, key, got, want);
}

void figures_check(const char *what, const json_t *want, int rank, const int64_t *dim, const float *x, double allowed)
{
    const json_t *shape = json_object_get(want, "shape"), *at = json_object_get(want, "at");
    bool same = (size_t)rank == json_array_size(shape);
    int64_t n = 1;
    for (int i = 0; same && i < rank; n *= dim[i++])
        same = dim[i] == json_integer_value(json_array_get(shape, (size_t)i));
    REQUIRE(same && n, "%s has another shape", what);
    double sum = 0, squares = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
        most = fmax(most, fabs((double)x[i]));
    }
    double mean = sum / (double)n, l2 = jsonl_number(want, "l2");
    figure(what, "mean", jsonl_number(want, "mean"), mean, allowed);
    figure(what, "std", jsonl_number(want, "std"), sqrt(fmax(0, squares / (double)n - mean * mean)), allowed);
    figure(what, "amax", jsonl_number(want, "amax"), most, allowed);
    figure(what, "l2", l2, sqrt(squares), allowed * fmax(1, l2));
    for (size_t i = 0; i < 8; i++)
        figure(what, "at", json_number_value(json_array_get(at, i)), (double)x[(int64_t)i * (n - 1) / 7], allowed);
}
