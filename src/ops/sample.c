/* sample.c - y (rows, take): in row r, `take` different numbers of r from .. (r + 1) from - 1, drawn as key and site say. */
#include "ops/op.h"
#include "ops/random_key.h"

typedef struct sample_attr { int64_t rows, from, take; uint64_t site; } sample_attr;

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    const sample_attr *a = attr;
    (void)n_in;
    if (in[0].rank != 1 || in[0].dim[0] != RANDOM_KEY)
        return tg_reject(c, "a key is (4), not %s", tg_str(in[0]));
    if (a->take > a->from)
        return tg_reject(c, "cannot take %lld of %lld", (long long)a->take, (long long)a->from);
    return SHAPE(a->rows, a->take);
}

/* Selection sampling: what is still wanted over what is left is each number's chance, so the order is the numbers' own. */
static void ref(const tg_call *c)
{
    const sample_attr *a = c->attr;
    const tg_tensor *y = &c->out;
    uint64_t key = random_key(&c->in[0]) ^ a->site, n = 0;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0, taken = 0; i < a->from; i++) {
            double u = random_uniform(key, ++n) * (double)(a->from - i);
            if (u < (double)(a->take - taken))
                tg_put(y, r * y->stride[0] + taken++ * y->stride[1], (double)(r * a->from + i));
        }
}

static const tg_case cases[] = {
    { .in = { DIMS(4) }, .attr = &(const sample_attr){ 3, 20, 7, 5 }, .index_of = 1, .lo = 0, .hi = 65535 },
    { .in = { DIMS(4) }, .attr = &(const sample_attr){ 2, 5, 5, 5 }, .index_of = 1, .lo = 0, .hi = 65535 },
    { .in = { DIMS(4) }, .attr = &(const sample_attr){ 2, 5, 6, 5 }, .rejects = "cannot take 6 of 5" },
};

const tg_op op_sample = {
    "sample", .arity = 1, .attr_size = sizeof(sample_attr), .flags = TG_FLAT, .shape = shape, .ref = ref, TG_CASES(cases),
};

tg *tg_sample(tg *key, int64_t rows, int64_t from, int64_t take, uint64_t site)
{
    return tg_apply(&op_sample, &key, 1, &(sample_attr){ rows, from, take, site });
}
