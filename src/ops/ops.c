/* ops.c - the table of ops, from ops.list. */
#include "ops/op.h"

static const tg_op *const table[] = {
#define OP(name) &op_##name,
#include "ops/ops.list"
#undef OP
};

const tg_op *const *tg_ops(size_t *count)
{
    *count = sizeof table / sizeof *table;
    return table;
}

const tg_op *tg_find_op(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i]->name, name))
            return table[i];
    return NULL;
}
