/* bernoulli.c - `value` with a chance, else 0, of the shape asked for: a function of the key, the site and the index. */
#include "ops/op.h"
#include "ops/random_key.h"

static tg_shape shape(tg_check *c, const tg_shape *in, int n_in, const void *attr)
{
    (void)n_in;
    if (in[0].rank != 1 || in[0].dim[0] != RANDOM_KEY)
        return tg_reject(c, "a key is (4), not %s", tg_str(in[0]));
    return ((const bernoulli_attr *)attr)->shape;
}

static void ref(const tg_call *c)
{
    const bernoulli_attr *a = c->attr;
    uint64_t key = random_key(&c->in[0]) ^ a->site, hits = random_hits(a->chance), n = 0;
    int64_t i[TG_MAX_RANK] = { 0 };
    if (tg_numel(c->out.shape))
        do
            tg_put(&c->out, tg_offset(&c->out, i), random_bits(key, ++n) >> 11 < hits ? a->value : 0);
        while (tg_next(c->out.shape, i));
}

static const tg_case cases[] = {
    { .in = { DIMS(4) }, .attr = &(const bernoulli_attr){ DIMS(2, 30, 7), .75, 1 / .75, 99 }, .index_of = 1, .lo = 0, .hi = 65535 },
    { .in = { DIMS(4) }, .attr = &(const bernoulli_attr){ DIMS(8, 1, 1, 1), .5, 2, 0 }, .index_of = 1, .lo = 0, .hi = 65535 },
    { .in = { DIMS(4) }, .attr = &(const bernoulli_attr){ DIMS(70, 300), .1, 1, 7 }, .index_of = 1, .lo = 0, .hi = 65535 },
    { .in = { DIMS(2, 2) }, .attr = &(const bernoulli_attr){ DIMS(3), .5, 2, 0 }, .rejects = "a key is (4), not (2, 2)" },
};

const tg_op op_bernoulli = {
    "bernoulli", .arity = 1, .attr_size = sizeof(bernoulli_attr), .flags = TG_FLAT, .shape = shape, .ref = ref, TG_CASES(cases),
};

tg *tg_bernoulli(tg *key, tg_shape s, double chance, double value, uint64_t site)
{
    return tg_apply(&op_bernoulli, &key, 1, &(bernoulli_attr){ s, chance, value, site });
}
