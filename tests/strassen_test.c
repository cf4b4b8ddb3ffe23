/* strassen_test.c - products of halves (strassen.c): what an image gives does not depend on the images beside it, nor on threads. */
#include <stdlib.h>
#include <string.h>
#include "backend/backend.h"
#include "base/random.h"
#include "graph/graph.h"
#include "ops/op.h"
#include "test.h"

enum { IMAGES = 5, ROWS = 45, IN = 70, OUT = 192 };

static const tg_kernel *kernel(void)
{
    const tg_backend *const *list = tg_backends("cpu");
    for (int b = 0; list[b]; b++)
        for (size_t i = 0; i < list[b]->count; i++)
            if (!strcmp(list[b]->kernels[i].op, "linear") && !strcmp(list[b]->kernels[i].name, "cpu.strassen"))
                return &list[b]->kernels[i];
    return NULL;
}

/* y of so many images from the `first` on. */
static void multiply(const tg_kernel *k, float *x, float *w, int first, int images, int threads, float *y)
{
    static const linear_attr plain = { { 0 } };
    status st = { 0 };
    tg_prep prep = { .st = &st };
    tg_tensor in[] = { { .data = x + (size_t)first * ROWS * IN, .shape = SHAPE(images, ROWS, IN) }, { .data = w, .shape = SHAPE(OUT, IN) } };
    tg_call c = { .op = &op_linear, .attr = &plain, .in = in, .n_in = 2, .pool = pool_open(threads),
                  .out = { .data = y + (size_t)first * ROWS * OUT, .shape = SHAPE(images, ROWS, OUT) } };
    tg_dense(&in[0]);
    tg_dense(&in[1]);
    tg_dense(&c.out);
    CHECK(!k->declines(&c) && k->prepare(&c, &prep), "declines");
    c.scratch = aligned_alloc(64, (prep.scratch + 63) / 64 * 64);
    c.state = prep.state;
    if (c.scratch && c.state)
        k->run(&c);
    k->release(prep.state);
    free(c.scratch);
    pool_close(c.pool);
}

TEST(products_of_halves_are_of_each_image_alone)
{
    const tg_kernel *k = kernel();
    float *x = malloc(sizeof(float) * IMAGES * ROWS * IN), *w = malloc(sizeof(float) * OUT * IN);
    float *all = malloc(sizeof(float) * IMAGES * ROWS * OUT), *alone = malloc(sizeof(float) * IMAGES * ROWS * OUT);
    CHECK(k && x && w && all && alone, "no kernel, or no memory");
    if (k && x && w && all && alone) {
        for (int i = 0; i < IMAGES * ROWS * IN; i++)
            x[i] = (float)random_uniform(1, (uint64_t)i) - .5f;
        for (int i = 0; i < OUT * IN; i++)
            w[i] = (float)random_uniform(2, (uint64_t)i) - .5f;
        multiply(k, x, w, 0, IMAGES, 2, all);
        for (int i = 0; i < IMAGES; i++)
            multiply(k, x, w, i, 1, 1, alone);
        CHECK(!memcmp(all, alone, sizeof(float) * IMAGES * ROWS * OUT), "other bytes");
        multiply(k, x, w, 0, 2, 3, alone);
        multiply(k, x, w, 2, 3, 5, alone);
        CHECK(!memcmp(all, alone, sizeof(float) * IMAGES * ROWS * OUT), "other bytes in slices");
    }
    free(x);
    free(w);
    free(all);
    free(alone);
}
