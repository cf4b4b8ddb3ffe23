/* init_test.c - initial values: their distribution, and that they depend on the seed and the name alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "nn/nn.h"
#include "test.h"

static void draw(const char *name, nn_par par, uint64_t seed, float *out, int64_t n)
{
    nn_entry e = { .name = name, .shape = SHAPE(n), .par = par };
    nn_draw(&e, seed, out);
}

static void moments(const float *v, int n, double *mean, double *std, double *most)
{
    *mean = *std = *most = 0;
    for (int i = 0; i < n; i++) {
        *mean += v[i] / (double)n;
        *most = fmax(*most, fabs(v[i]));
    }
    for (int i = 0; i < n; i++)
        *std += (v[i] - *mean) * (v[i] - *mean) / n;
    *std = sqrt(*std);
}

TEST(initial_values_have_their_distribution)
{
    enum { N = 200000 };
    float *v = malloc(N * sizeof *v), *w = malloc(N * sizeof *w);
    double mean, std, most;
    draw("a.weight", (nn_par){ .init = NN_NORMAL, .value = .02f }, 42, v, N);
    moments(v, N, &mean, &std, &most);
    CHECK(fabs(mean) < 2e-4 && fabs(std - .02) < 2e-4 && most > .07 && most < .13, "normal: %g %g %g", mean, std, most);
    draw("a.weight", (nn_par){ .init = NN_TRUNC_NORMAL, .value = 1 }, 42, v, N);
    moments(v, N, &mean, &std, &most);
    CHECK(fabs(mean) < 1e-2 && fabs(std - .8796) < 1e-2 && most <= 2, "cut normal: %g %g %g", mean, std, most);
    draw("a.weight", (nn_par){ .init = NN_UNIFORM, .value = 3 }, 42, v, N);
    moments(v, N, &mean, &std, &most);
    CHECK(fabs(mean) < 2e-2 && fabs(std - 3 / sqrt(3)) < 2e-2 && most <= 3, "uniform: %g %g %g", mean, std, most);
    draw("a.weight", (nn_par){ .init = NN_NORMAL, .value = 1 }, 42, v, N);
    draw("a.weight", (nn_par){ .init = NN_NORMAL, .value = 1 }, 42, w, N);
    CHECK(!memcmp(v, w, N * sizeof *v), "the same name and seed differ");
    draw("b.weight", (nn_par){ .init = NN_NORMAL, .value = 1 }, 42, w, N);
    CHECK(memcmp(v, w, 64), "another name is the same");
    draw("a.weight", (nn_par){ .init = NN_NORMAL, .value = 1 }, 43, w, N);
    CHECK(memcmp(v, w, 64), "another seed is the same");
    free(v);
    free(w);
}
