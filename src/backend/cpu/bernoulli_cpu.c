/* bernoulli_cpu.c - masks of dropout: each number from its own counter, so any thread may make any of them. */
#include "kernels.h"
#include "ops/attrs.h"
#include "ops/random_key.h"

struct mask { uint64_t key, hits; float value, *y; };

static const char *declines(const tg_call *c)
{
    return c->out.dtype != TG_F32 ? "not float" : tg_is_dense(&c->out) ? NULL : "result lies otherwise";
}

static void work(void *arg, int64_t from, int64_t to)
{
    const struct mask *m = arg;
    for (int64_t i = from; i < to; i++)
        m->y[i] = random_bits(m->key, (uint64_t)i + 1) >> 11 < m->hits ? m->value : 0;
}

static void run(const tg_call *c)
{
    const bernoulli_attr *a = c->attr;
    struct mask m = { random_key(&c->in[0]) ^ a->site, random_hits(a->chance), (float)a->value, c->out.data };
    pool_run(c->pool, tg_numel(c->out.shape), 4096, work, &m);
}

const tg_kernel kernel_bernoulli = { .op = "bernoulli", .name = "cpu.bernoulli", .declines = declines, .run = run };
