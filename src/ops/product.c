/* product.c - the epilogue of conv2d and linear. */
#include "ops/product.h"

bool epilogue_fits(tg_check *c, const epilogue *e, const tg_shape *in, int n_in, int64_t out, tg_shape result)
{
    if (n_in != 2 + e->bias + e->residual + e->gate)
        return tg_reject(c, "%d operands, not %d", n_in, 2 + e->bias + e->residual + e->gate), false;
    if (e->bias && (in[2].rank != 1 || in[2].dim[0] != out))
        return tg_reject(c, "the bias is %s, not (%lld,)", tg_str(in[2]), (long long)out), false;
    if (e->residual && !tg_same(in[2 + e->bias], result))
        return tg_reject(c, "the residual is %s, the result %s", tg_str(in[2 + e->bias]), tg_str(result)), false;
    return true;
}

double epilogue_of(const tg_call *c, const epilogue *e, double v, int64_t o, const int64_t *i)
{
    if (e->bias)
        v += tg_get(&c->in[2], o * c->in[2].stride[0]);
    if (e->act && e->act_first)
        v = e->act->scalar(v, e->act_attr);
    if (e->residual)
        v += tg_get(&c->in[2 + e->bias], tg_offset(&c->in[2 + e->bias], i));
    if (e->act && !e->act_first)
        v = e->act->scalar(v, e->act_attr);
    return v;
}

void epilogue_describe(const epilogue *e, char *text, size_t size)
{
    const char *act = e->act ? e->act->name : "";
    snprintf(text, size, "%s%s%s%s%s%s%s", e->gate ? " gated" : "", e->bias ? " + bias" : "", e->act && e->act_first ? " " : "",
             e->act_first ? act : "", e->residual ? " + residual" : "", e->act && !e->act_first ? " " : "", e->act_first ? "" : act);
}
